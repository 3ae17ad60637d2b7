//! What MQTT 5 lets a message carry, and how subscriptions shape its deliveries.

use suite::mqtt::wire::{pubrel, subscribe, unsubscribe};
use suite::mqtt::{Connect, Peer, Publish, Version, property, unique};

const V: Version = Version::V5;

/// 5 [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] [MQTT-2.2.2-1]
#[test]
fn properties_are_passed_on_unchanged_and_in_order() {
    let topic = unique("t");
    let (mut watcher, mut publisher) = (Peer::new(V), Peer::new(V));
    watcher.subscribe(&topic, 1);
    let publish = Publish::new(V, &topic, "x").qos(1, 1);
    publisher.publish(publish.clone());
    assert_eq!(watcher.receive().properties.0, []);

    let names = ["b", "a", "b", "", "c\u{e9}"];
    let mut carrying = publish
        .property(property::payload_is_text())
        .property(property::content_type("text/plain; caf\u{e9}"))
        .property(property::response_topic(&format!("{topic}/answer")))
        .property(property::correlation_data(&[0, 255, 10]));
    for (count, name) in names.iter().enumerate() {
        carrying = carrying.property(property::user_property(name, &count.to_string()));
    }
    publisher.publish(carrying);
    let sent = watcher.receive().properties;
    assert_eq!(sent.one(0x01), Some(&[1][..]));
    assert_eq!(sent.one(0x03), Some("text/plain; caf\u{e9}".as_bytes()));
    assert_eq!(sent.one(0x08), Some(format!("{topic}/answer").as_bytes()));
    assert_eq!(sent.one(0x09), Some(&[0, 255, 10][..]));
    let pairs: Vec<_> = names.iter().enumerate().map(|(count, name)| format!("{name}={count}")).collect();
    assert_eq!(sent.all(0x26), pairs.iter().map(|pair| pair.as_bytes()).collect::<Vec<_>>());
}

/// 5 [MQTT-3.3.2-12] [MQTT-3.3.4-1]
#[test]
fn every_alias_up_to_the_maximum_is_taken() {
    let name = unique("t");
    let mut watcher = Peer::new(V);
    watcher.subscribe(&format!("{name}/+"), 1);
    let (mut publisher, connack) = Peer::accepted(Connect::new(V, &unique("c")));
    let maximum = connack.properties.number(0x22).unwrap_or(0);
    let aliases: Vec<u16> = [1, 2, maximum]
        .into_iter()
        .filter(|alias| (1..=maximum).contains(alias))
        .map(|alias| alias as u16)
        .collect();
    for alias in &aliases {
        let topic = format!("{name}/{alias}");
        publisher.publish(Publish::new(V, &topic, "named").qos(1, 1).property(property::topic_alias(*alias)));
        assert_eq!(watcher.receive().topic, topic);
    }
    for alias in &aliases {
        publisher.publish(Publish::new(V, "", "by alias").qos(1, 1).property(property::topic_alias(*alias)));
        assert_eq!(watcher.receive().topic, format!("{name}/{alias}"));
    }
    if let Some(alias) = aliases.first() {
        let moved = format!("{name}/moved");
        publisher.publish(Publish::new(V, &moved, "again").qos(1, 1).property(property::topic_alias(*alias)));
        watcher.receive();
        publisher.publish(Publish::new(V, "", "by alias").qos(1, 1).property(property::topic_alias(*alias)));
        assert_eq!(watcher.receive().topic, moved);
    }
}

/// 5 [MQTT-3.3.2-9] [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-4.13.1-1]
#[test]
fn an_alias_above_the_maximum_ends_the_connection() {
    let (mut publisher, connack) = Peer::accepted(Connect::new(V, &unique("c")));
    let maximum = connack.properties.number(0x22).unwrap_or(0) as u16;
    if maximum < u16::MAX {
        publisher
            .send(&Publish::new(V, &unique("t"), "x").property(property::topic_alias(maximum + 1)).bytes());
        super::ended("an alias too high", V, &publisher.end(), &[0x82, 0x94]);
    }
}

/// 5 [MQTT-3.3.2-7] [MQTT-4.13.1-1]
#[test]
fn an_alias_ends_with_its_connection() {
    let (connect, topic) = (Connect::to_session(V, &unique("c")), unique("t"));
    let (mut publisher, _) = Peer::accepted(connect.clone());
    publisher.publish(Publish::new(V, &topic, "named").qos(1, 1).property(property::topic_alias(1)));
    publisher.leave();
    let (mut publisher, connack) = Peer::accepted(connect);
    assert!(connack.session_present);
    publisher.send(&Publish::new(V, "", "by alias").qos(1, 2).property(property::topic_alias(1)).bytes());
    super::ended("an alias of an earlier connection", V, &publisher.end(), &[0x82, 0x94]);
}

/// 5 [MQTT-3.1.2-27]
#[test]
fn a_client_that_takes_no_aliases_is_sent_none() {
    for none in [vec![], property::topic_alias_maximum(0)] {
        let topic = unique("t");
        let (mut watcher, _) = Peer::accepted(Connect::new(V, &unique("c")).property(none));
        let mut publisher = Peer::new(V);
        watcher.subscribe(&topic, 1);
        for id in 1..=10 {
            publisher.publish(Publish::new(V, &topic, "x").qos(1, id));
            let delivery = watcher.receive();
            assert_eq!((delivery.topic, delivery.properties.one(0x23)), (topic.clone(), None));
        }
    }
}

/// 5 [MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8]
#[test]
fn no_alias_to_a_client_is_above_its_maximum() {
    let name = unique("t");
    let (mut watcher, _) =
        Peer::accepted(Connect::new(V, &unique("c")).property(property::topic_alias_maximum(2)));
    let mut publisher = Peer::new(V);
    watcher.subscribe(&format!("{name}/+"), 1);
    let mut aliases = std::collections::HashMap::new();
    for round in 1..=5 {
        for count in 1..=5 {
            let topic = format!("{name}/{count}");
            publisher.publish(Publish::new(V, &topic, "x").qos(1, round));
            let delivery = watcher.receive();
            let meant = match delivery.properties.number(0x23) {
                None => delivery.topic,
                Some(alias) => {
                    assert!((1..=2).contains(&alias), "{alias}");
                    if !delivery.topic.is_empty() {
                        aliases.insert(alias, delivery.topic);
                    }
                    aliases.get(&alias).expect("an alias that was explained").clone()
                }
            };
            assert_eq!(meant, topic);
        }
    }
}

/// 5 [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
#[test]
fn a_delivery_carries_the_identifiers_of_its_subscriptions() {
    let topic = unique("t");
    let (mut watcher, mut publisher) = (Peer::new(V), Peer::new(V));
    watcher.subscribe_with(&property::subscription_identifier(1), &topic, 1);
    watcher.subscribe_with(&property::subscription_identifier(268_435_455), &format!("{topic}/#"), 1);
    watcher.subscribe(&format!("+/{topic}"), 1);
    publisher.publish(Publish::new(V, &topic, "x").qos(1, 1));
    publisher.publish(Publish::new(V, &format!("{topic}/end"), "end").qos(1, 2));
    let mut identifiers = Vec::new();
    loop {
        let delivery = watcher.receive();
        if delivery.text() == "end" {
            assert_eq!(delivery.properties.all(0x0B), [268_435_455_u32.to_be_bytes()]);
            break;
        }
        identifiers.extend(delivery.properties.all(0x0B).iter().map(|bytes| bytes.to_vec()));
    }
    identifiers.sort();
    assert_eq!(identifiers, [1_u32.to_be_bytes(), 268_435_455_u32.to_be_bytes()]);
}

/// 5 [MQTT-3.8.4-3] [MQTT-3.3.4-3]
#[test]
fn a_replaced_subscription_has_its_new_identifier() {
    let topic = unique("t");
    let (mut watcher, mut publisher) = (Peer::new(V), Peer::new(V));
    for (number, seen) in [(Some(1), vec![1_u32]), (Some(2), vec![2]), (None, vec![])] {
        let with = number.map(property::subscription_identifier).unwrap_or_default();
        watcher.subscribe_with(&with, &topic, 1);
        publisher.publish(Publish::new(V, &topic, "x").qos(1, 1));
        let seen: Vec<_> = seen.iter().map(|number| number.to_be_bytes()).collect();
        assert_eq!(watcher.receive().properties.all(0x0B), seen);
    }
}

/// 5 [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    let topic = unique("t");
    let (mut peer, mut other) = (Peer::new(V), Peer::new(V));
    peer.subscribe(&topic, 0x04 | 1);
    other.subscribe(&topic, 1);
    peer.publish(Publish::new(V, &topic, "mine").qos(1, 1));
    assert_eq!(other.receive().text(), "mine");
    other.publish(Publish::new(V, &topic, "theirs").qos(1, 1));
    assert_eq!(peer.receive().text(), "theirs");
    assert_eq!(other.receive().text(), "theirs");
    peer.nothing_from(&mut other);
}

/// 5 [MQTT-3.1.2-29]
#[test]
fn a_client_that_wants_no_problem_information_gets_none() {
    let topic = format!("forbidden/{}", unique("t"));
    let requests = [
        Publish::new(V, &topic, "x").qos(1, 1).bytes(),
        Publish::new(V, &topic, "x").qos(2, 2).bytes(),
        pubrel(77),
        subscribe(V, 3, &[(&topic, 0)]),
        unsubscribe(V, 4, &[&topic]),
    ];
    for request in requests {
        let connect = Connect::new(V, &unique("c")).property(property::no_problem_information());
        let answer = Peer::accepted(connect).0.ask(&request);
        let properties = match answer.kind() {
            9 | 11 => answer.codes().1,
            _ => answer.properties(),
        };
        assert_eq!(properties.0, [], "{answer:?}");
    }
}
