//! Shared subscriptions.

use suite::mqtt::wire::{pubcomp, pubrec, subscribe, unsubscribe};
use suite::mqtt::{Connect, Peer, Publish, Version, property, unique};

const V: Version = Version::V5;

/// 5 [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn a_shared_filter_has_a_name_and_a_filter() {
    for filter in ["$share/", "$share//t", "$share/g", "$share/g/", "$share/g+/t", "$share/+/t", "$share/#/t"]
    {
        let mut peer = Peer::new(V);
        let Some(answer) = peer.answer(&subscribe(V, 1, &[(filter, 0)])) else { continue };
        if answer.kind() == 9 {
            assert!(answer.codes().2[0] >= 0x80, "{filter} was answered with {answer:?}");
        } else {
            super::ended(filter, V, &[answer], &[0x81, 0x82, 0x8F, 0x9E]);
        }
    }
}

/// 5 [MQTT-4.8.2-1] [MQTT-4.5.0-1]
#[test]
fn a_shared_message_goes_to_one_client_of_its_group() {
    let (topic, mut members) = group(1);
    let mut publisher = Peer::new(V);
    let mut other = Peer::new(V);
    other.subscribe(&format!("$share/other/{topic}"), 1);
    for count in 1..=20 {
        publisher.publish(Publish::new(V, &topic, count.to_string()).qos(1, count));
        assert_eq!(other.receive().text(), count.to_string());
    }
    let end = unique("end");
    let mut seen = Vec::new();
    for member in &mut members {
        member.subscribe(&end, 0);
    }
    publisher.publish(Publish::new(V, &end, "end"));
    for member in &mut members {
        loop {
            let delivery = member.receive();
            if delivery.topic == end {
                break;
            }
            seen.push(delivery.text().parse::<u16>().unwrap());
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
}

/// 5 [MQTT-4.8.2-3]
#[test]
fn a_shared_delivery_keeps_to_the_qos_its_client_was_granted() {
    for granted in 0..=2 {
        let topic = unique("t");
        let (mut peer, mut publisher) = (Peer::new(V), Peer::new(V));
        peer.subscribe(&format!("$share/group/{topic}"), granted);
        for qos in 0..=2 {
            publisher.publish(Publish::new(V, &topic, "x").qos(qos, 1));
            assert_eq!(peer.receive().qos, qos.min(granted));
        }
    }
}

/// 5 [MQTT-4.8.2-4]
#[test]
fn a_shared_delivery_at_qos_2_is_finished_with_the_client_that_began_it() {
    let topic = unique("t");
    let filter = format!("$share/group/{topic}");
    let connect = Connect::to_session(V, &unique("c"));
    let (mut first, _) = Peer::accepted(connect.clone());
    first.subscribe(&filter, 2);
    let mut publisher = Peer::new(V);
    publisher.publish(Publish::new(V, &topic, "once").qos(2, 1));
    let id = first.delivery().id;
    let mut second = Peer::new(V);
    second.subscribe(&filter, 2);
    assert_eq!(first.ask(&pubrec(id)).kind(), 6);
    first.vanish();
    second.nothing_from(&mut publisher);
    let (mut first, _) = Peer::accepted(connect);
    let release = first.next();
    assert_eq!((release.kind(), release.id()), (6, id));
    first.send(&pubcomp(id));
    first.idle();
    first.leave();
}

/// 5 [MQTT-4.8.2-5]
#[test]
fn a_shared_delivery_at_qos_2_that_was_begun_goes_to_nobody_else() {
    let topic = unique("t");
    let filter = format!("$share/group/{topic}");
    let mut first = Peer::new(V);
    first.subscribe(&filter, 2);
    let mut publisher = Peer::new(V);
    publisher.publish(Publish::new(V, &topic, "once").qos(2, 1));
    let id = first.delivery().id;
    let mut second = Peer::new(V);
    second.subscribe(&filter, 2);
    assert_eq!(first.ask(&pubrec(id)).kind(), 6);
    first.vanish();
    second.nothing_from(&mut publisher);
}

/// 5 [MQTT-4.8.2-6]
#[test]
fn a_refused_shared_delivery_is_offered_to_nobody_else() {
    let (topic, mut members) = group(2);
    let mut publisher = Peer::new(V);
    for (qos, first) in [(1, 0x40), (2, 0x50)] {
        publisher.publish(Publish::new(V, &topic, "refuse me").qos(qos, 1));
        let mut refusals = 0;
        let end = unique("end");
        for member in &mut members {
            member.subscribe(&end, 0);
        }
        publisher.publish(Publish::new(V, &end, "end"));
        for member in &mut members {
            loop {
                let delivery = member.delivery();
                if delivery.topic == end {
                    break;
                }
                refusals += 1;
                member.send(&[first, 3, (delivery.id >> 8) as u8, delivery.id as u8, 0x80]);
            }
        }
        assert_eq!(refusals, 1);
        members.iter_mut().for_each(|member| member.nothing_from(&mut publisher));
    }
}

/// 5 [MQTT-3.10.4-1] [MQTT-3.10.4-2]
#[test]
fn a_shared_subscription_ends_with_its_unsubscribe() {
    let topic = unique("t");
    let filter = format!("$share/group/{topic}");
    let (mut first, mut second, mut publisher) = (Peer::new(V), Peer::new(V), Peer::new(V));
    first.subscribe(&filter, 1);
    second.subscribe(&filter, 1);
    let (_, _, codes) = first.ask(&unsubscribe(V, 1, &[&topic, &filter, "$share/other/x"])).codes();
    assert_eq!(codes, [0x11, 0x00, 0x11]);
    for count in 1..=6 {
        publisher.publish(Publish::new(V, &topic, count.to_string()).qos(1, count));
        assert_eq!(second.receive().text(), count.to_string());
    }
    first.nothing_from(&mut publisher);
}

/// 5 [MQTT-4.8.2-3] [MQTT-3.3.4-2]
#[test]
fn a_client_with_a_subscription_of_its_own_and_a_shared_one_gets_both() {
    let topic = unique("t");
    let (mut peer, mut publisher) = (Peer::new(V), Peer::new(V));
    peer.subscribe_with(&property::subscription_identifier(1), &topic, 1);
    peer.subscribe_with(&property::subscription_identifier(2), &format!("$share/group/{topic}"), 1);
    publisher.publish(Publish::new(V, &topic, "x").qos(1, 1));
    let end = format!("{topic}/end");
    peer.subscribe(&end, 0);
    publisher.publish(Publish::new(V, &end, "end"));
    let mut identifiers = Vec::new();
    loop {
        let delivery = peer.receive();
        if delivery.topic == end {
            break;
        }
        identifiers.extend(delivery.properties.all(0x0B).iter().map(|bytes| bytes[3]));
    }
    identifiers.sort_unstable();
    assert_eq!(identifiers, [1, 2]);
}

/// 5 [MQTT-3.3.1-9]
#[test]
fn a_shared_subscription_is_sent_nothing_retained() {
    let topic = unique("t");
    let mut publisher = Peer::new(V);
    publisher.publish(Publish::new(V, &topic, "kept").qos(1, 1).retain());
    let mut peer = Peer::new(V);
    peer.subscribe_with(&property::subscription_identifier(3), &format!("$share/group/{topic}"), 1);
    peer.nothing_from(&mut publisher);
    super::forget(V, &topic);
}

/// A topic of its own and three clients that share it.
fn group(qos: u8) -> (String, Vec<Peer>) {
    let topic = unique("t");
    let mut members: Vec<Peer> = (0..3).map(|_| Peer::new(V)).collect();
    for member in &mut members {
        member.subscribe(&format!("$share/group/{topic}"), qos);
    }
    (topic, members)
}
