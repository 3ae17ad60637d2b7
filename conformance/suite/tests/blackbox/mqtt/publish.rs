//! PUBLISH and the exchanges its QoS asks for.

use suite::for_both;
use suite::mqtt::wire::{puback, pubcomp, pubrel};
use suite::mqtt::{Peer, Publish, Version, property, unique};

for_both!(
    every_qos_is_answered_in_its_way,
    acknowledgements_name_the_packet_id_of_their_publish,
    a_packet_id_is_free_again_after_puback,
    a_message_at_qos_2_is_delivered_once_however_often_it_comes,
    a_packet_id_is_free_again_after_pubcomp,
    a_pubrel_of_an_unknown_packet_id_is_answered,
    acknowledgements_of_nothing_change_nothing,
    a_delivery_has_the_lower_of_both_qos,
    dup_is_not_passed_on,
    overlapping_subscriptions_are_served_at_the_highest_qos,
    messages_stay_in_their_order,
    every_matching_client_gets_the_message,
    a_topic_is_matched_as_it_is,
    a_wildcard_at_the_front_matches_no_topic_that_begins_with_a_dollar,
    a_delivery_bears_the_topic_it_was_published_to,
    a_publish_that_is_not_permitted_is_delivered_to_nobody,
    a_long_topic_is_passed_on_whole,
);

/// 3.1.1 [MQTT-3.3.4-1] [MQTT-2.3.1-5] [MQTT-4.3.2-2] [MQTT-4.3.3-2],
/// 5 [MQTT-3.3.4-1] [MQTT-2.2.1-2] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11]
fn every_qos_is_answered_in_its_way(v: Version) {
    let topic = unique("t");
    let mut peer = Peer::new(v);
    peer.send(&Publish::new(v, &topic, "0").bytes());
    peer.idle();
    assert_eq!(peer.ask(&Publish::new(v, &topic, "1").qos(1, 1).bytes()).kind(), 4);
    peer.idle();
    assert_eq!(peer.ask(&Publish::new(v, &topic, "2").qos(2, 2).bytes()).kind(), 5);
    peer.idle();
    assert_eq!(peer.ask(&pubrel(2)).kind(), 7);
    peer.idle();
}

/// 3.1.1 [MQTT-2.3.1-6], 5 [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-3.4.2-1] [MQTT-3.5.2-1]
/// [MQTT-3.7.2-1]
fn acknowledgements_name_the_packet_id_of_their_publish(v: Version) {
    let topic = unique("t");
    let mut peer = Peer::new(v);
    for id in [1, 0x0100, 0x7FFF, 0xFFFF] {
        for qos in [1, 2] {
            peer.publish(Publish::new(v, &topic, "x").qos(qos, id));
        }
    }
}

/// 3.1.1 [MQTT-4.3.2-2], 5 [MQTT-4.3.2-5]
fn a_packet_id_is_free_again_after_puback(v: Version) {
    let (topic, mut watcher, mut publisher) = watched(v);
    publisher.publish(Publish::new(v, &topic, "first").qos(1, 7));
    publisher.publish(Publish::new(v, &topic, "second").qos(1, 7).dup());
    assert_eq!([watcher.receive(), watcher.receive()].map(|it| it.text().to_owned()), ["first", "second"]);
}

/// 3.1.1 [MQTT-4.3.3-2], 5 [MQTT-4.3.3-10] [MQTT-4.3.3-8]
fn a_message_at_qos_2_is_delivered_once_however_often_it_comes(v: Version) {
    let (topic, mut watcher, mut publisher) = watched(v);
    let publish = Publish::new(v, &topic, "once").qos(2, 7);
    for bytes in [publish.bytes(), publish.clone().dup().bytes()] {
        let answer = publisher.ask(&bytes);
        assert_eq!((answer.kind(), answer.id()), (5, 7));
    }
    assert_eq!(publisher.ask(&pubrel(7)).kind(), 7);
    assert_eq!(watcher.receive().text(), "once");
    watcher.nothing_from(&mut publisher);
}

/// 3.1.1 [MQTT-4.3.3-2], 5 [MQTT-4.3.3-12]
fn a_packet_id_is_free_again_after_pubcomp(v: Version) {
    let (topic, mut watcher, mut publisher) = watched(v);
    publisher.publish(Publish::new(v, &topic, "first").qos(2, 7));
    publisher.publish(Publish::new(v, &topic, "second").qos(2, 7).dup());
    assert_eq!([watcher.receive(), watcher.receive()].map(|it| it.text().to_owned()), ["first", "second"]);
}

/// 3.1.1 [MQTT-4.3.3-2], 5 [MQTT-4.3.3-11] [MQTT-3.7.2-1]
fn a_pubrel_of_an_unknown_packet_id_is_answered(v: Version) {
    let mut peer = Peer::new(v);
    let answer = peer.ask(&pubrel(77));
    assert_eq!((answer.kind(), answer.id()), (7, 77));
    peer.idle();
}

/// 3.1.1 [MQTT-4.3.2-1], 5 [MQTT-4.3.2-3] [MQTT-3.6.2-1]
fn acknowledgements_of_nothing_change_nothing(v: Version) {
    let (topic, mut watcher, mut publisher) = watched(v);
    watcher.send(&[puback(99), pubcomp(98)].concat());
    publisher.publish(Publish::new(v, &topic, "x").qos(1, 1));
    let delivery = watcher.delivery();
    assert_eq!(delivery.text(), "x");
    watcher.send(&[puback(delivery.id), puback(delivery.id)].concat());
    publisher.publish(Publish::new(v, &topic, "y").qos(1, 1));
    assert_eq!(watcher.receive().text(), "y");
    watcher.idle();
}

/// 3.1.1 [MQTT-3.8.4-6] [MQTT-2.3.1-5] [MQTT-4.3.1-1], 5 [MQTT-3.8.4-8] [MQTT-2.2.1-2] [MQTT-4.3.1-1]
fn a_delivery_has_the_lower_of_both_qos(v: Version) {
    for granted in 0..=2 {
        let topic = unique("t");
        let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
        watcher.subscribe(&topic, granted);
        for published in 0..=2 {
            publisher.publish(Publish::new(v, &topic, "x").qos(published, 1 + u16::from(published)));
            let delivery = watcher.receive();
            assert_eq!(delivery.qos, granted.min(published), "granted {granted}, published {published}");
            assert_eq!(delivery.text(), "x");
        }
    }
}

/// 3.1.1 [MQTT-3.3.1-3] [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1],
/// 5 [MQTT-3.3.1-3] [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2]
fn dup_is_not_passed_on(v: Version) {
    for granted in 0..=2 {
        let topic = unique("t");
        let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
        watcher.subscribe(&topic, granted);
        publisher.publish(Publish::new(v, &topic, "1").qos(1, 1).dup());
        publisher.publish(Publish::new(v, &topic, "2").qos(2, 2).dup());
        assert_eq!([watcher.receive().dup, watcher.receive().dup], [false, false]);
    }
}

/// 3.1.1 [MQTT-3.3.5-1], 5 [MQTT-3.3.4-2]
fn overlapping_subscriptions_are_served_at_the_highest_qos(v: Version) {
    let topic = unique("t");
    let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
    watcher.subscribe(&format!("{topic}/#"), 0);
    watcher.subscribe(&format!("{topic}/+"), 2);
    watcher.subscribe(&format!("{topic}/x"), 1);
    publisher.publish(Publish::new(v, &format!("{topic}/x"), "x").qos(2, 1));
    let marker = format!("{topic}/end/of/it");
    publisher.publish(Publish::new(v, &marker, ""));
    let mut highest = 0;
    loop {
        let delivery = watcher.receive();
        if delivery.topic == marker {
            break;
        }
        highest = highest.max(delivery.qos);
    }
    assert_eq!(highest, 2);
}

/// 3.1.1 [MQTT-4.6.0-5] [MQTT-4.6.0-6], 5 [MQTT-4.6.0-5] [MQTT-4.6.0-6]
fn messages_stay_in_their_order(v: Version) {
    for qos in 0..=2 {
        let topic = unique("t");
        let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
        watcher.subscribe(&topic, qos);
        let bytes: Vec<u8> = (1..=40)
            .flat_map(|count| Publish::new(v, &topic, count.to_string()).qos(qos.min(1), count).bytes())
            .collect();
        publisher.send(&bytes);
        for count in 1..=40 {
            assert_eq!(watcher.receive().text(), count.to_string());
        }
    }
}

/// [MQTT-4.5.0-1]
fn every_matching_client_gets_the_message(v: Version) {
    let topic = unique("t");
    let mut watchers: Vec<Peer> = (0..5).map(|_| Peer::new(v)).collect();
    for watcher in &mut watchers {
        watcher.subscribe(&topic, 1);
    }
    let mut other = Peer::new(v);
    other.subscribe(&unique("t"), 1);
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "to all").qos(1, 1));
    for watcher in &mut watchers {
        assert_eq!(watcher.receive().text(), "to all");
        watcher.idle();
    }
    other.nothing_from(&mut publisher);
}

/// 3.1.1 [MQTT-4.7.3-4] [MQTT-3.3.2-3] [MQTT-4.7.1-2] [MQTT-4.7.1-3],
/// 5 [MQTT-4.7.3-4] [MQTT-3.3.2-3] [MQTT-4.7.1-1] [MQTT-4.7.1-2]
fn a_topic_is_matched_as_it_is(v: Version) {
    let name = unique("t");
    let matching = [
        ("a", "a", true),
        ("a", "A", false),
        ("a", "a/", false),
        ("a/", "a", false),
        ("/a", "a", false),
        ("a//b", "a/b", false),
        ("a b", "a b", true),
        ("a b", "a  b", false),
        ("a", "a ", false),
        ("caf\u{e9}", "cafe\u{301}", false),
        ("a/b/c", "a/+/c", true),
        ("a//c", "a/+/c", true),
        ("a/b/c/d", "a/+/c", false),
        ("a/b", "a/+/+", false),
        ("a/b", "+/+", true),
        ("a/", "a/+", true),
        ("a", "a/+", false),
        ("a/b/c", "a/#", true),
        ("a", "a/#", true),
        ("a/", "a/#", true),
        ("b", "a/#", false),
        ("ab", "a/#", false),
        ("a/b/c", "#", true),
        ("a/b/c", "+/#", true),
        ("a/b/c", "+/b/#", true),
        ("a/b/c", "+", false),
    ];
    let mut publisher = Peer::new(v);
    for (topic, filter, matches) in matching {
        let (topic, filter) = (format!("{name}/{topic}"), format!("{name}/{filter}"));
        let mut watcher = Peer::new(v);
        watcher.subscribe(&filter, 0);
        publisher.publish(Publish::new(v, &topic, "x").qos(1, 1));
        match matches {
            true => assert_eq!(watcher.delivery().topic, topic, "{filter}"),
            false => watcher.nothing_from(&mut publisher),
        }
    }
}

/// [MQTT-4.7.2-1]
fn a_wildcard_at_the_front_matches_no_topic_that_begins_with_a_dollar(v: Version) {
    let topic = format!("$private/{}", unique("t"));
    let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
    watcher.subscribe("#", 0);
    watcher.subscribe("+/#", 0);
    watcher.subscribe(&topic.replace("$private", "+"), 0);
    let mut named = Peer::new(v);
    named.subscribe("$private/#", 0);
    publisher.publish(Publish::new(v, &topic, "hidden").qos(1, 1));
    let seen = std::iter::repeat_with(|| named.delivery()).find(|delivery| delivery.topic == topic);
    assert_eq!(seen.map(|delivery| delivery.payload), Some(b"hidden".to_vec()));
    let marker = unique("marker");
    publisher.publish(Publish::new(v, &marker, "marker"));
    loop {
        let delivery = watcher.receive();
        assert!(!delivery.topic.starts_with('$'), "{delivery:?}");
        if delivery.topic == marker {
            break;
        }
    }
}

/// [MQTT-3.3.2-3]
fn a_delivery_bears_the_topic_it_was_published_to(v: Version) {
    let name = unique("t");
    let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
    watcher.subscribe(&format!("{name}/+/#"), 1);
    for topic in [format!("{name}/a"), format!("{name}/b/c"), format!("{name}//")] {
        publisher.publish(Publish::new(v, &topic, "x").qos(1, 1));
        assert_eq!(watcher.receive().topic, topic);
    }
}

/// 3.1.1 [MQTT-3.3.5-2], 5 [MQTT-3.4.2-1] [MQTT-3.5.2-1]
fn a_publish_that_is_not_permitted_is_delivered_to_nobody(v: Version) {
    let topic = format!("forbidden/{}", unique("t"));
    let mut watcher = Peer::new(v);
    watcher.subscribe("forbidden/#", 0);
    for qos in [1, 2] {
        let mut peer = Peer::new(v);
        // A refusal by its code, the usual acknowledgement, or the end of the connection.
        let Some(answer) = peer.answer(&Publish::new(v, &topic, "x").qos(qos, 5).bytes()) else { continue };
        match answer.kind() {
            4 | 5 => {
                assert_eq!((answer.kind(), answer.id()), (3 + qos, 5));
                assert!(v == Version::V3 || matches!(answer.code(), 0 | 0x10 | 0x87), "{answer:?}");
            }
            _ => super::ended("not permitted", v, &[answer], &[0x87]),
        }
    }
    watcher.nothing_from(&mut Peer::new(v));
}

/// 5 [MQTT-4.3.3-9]
#[test]
fn a_packet_id_is_free_again_after_a_refusing_pubrec() {
    let v = Version::V5;
    let (topic, mut watcher, mut publisher) = watched(v);
    let refused = publisher.ask(&Publish::new(v, "forbidden/t", "no").qos(2, 7).bytes());
    assert_eq!((refused.kind(), refused.id(), refused.code()), (5, 7, 0x87));
    publisher.publish(Publish::new(v, &topic, "yes").qos(2, 7));
    assert_eq!(watcher.receive().text(), "yes");
}

/// [MQTT-4.7.3-3]
fn a_long_topic_is_passed_on_whole(v: Version) {
    let topic = format!("{}{}", unique("t"), "x".repeat(30_000));
    let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
    watcher.subscribe(&topic, 0);
    publisher.publish(Publish::new(v, &topic, "long").qos(1, 1));
    let delivery = watcher.delivery();
    assert!(delivery.topic == topic && delivery.text() == "long");
}

/// 3.1.1 [MQTT-7.0.0-2], 5 [MQTT-3.3.2-17]
#[test]
fn clients_of_both_versions_understand_each_other() {
    let (topic, mut new, mut old) = watched(Version::V5);
    old.leave();
    old = Peer::new(Version::V3);
    old.subscribe(&topic, 2);
    for qos in 0..=2 {
        old.publish(Publish::new(Version::V3, &topic, "from the old").qos(qos, 1));
        assert_eq!(
            [new.receive(), old.receive()].map(|it| (it.qos, it.properties.0)),
            [(qos, vec![]), (qos, vec![])]
        );
        let publish = Publish::new(Version::V5, &topic, "from the new").qos(qos, 1);
        new.publish(publish.property(property::user_property("a", "b")));
        assert_eq!([new.receive(), old.receive()].map(|it| it.properties.all(0x26).len()), [1, 0]);
    }
}

/// A topic of its own, a client that watches it at QoS 2, and one to publish with.
fn watched(v: Version) -> (String, Peer, Peer) {
    let topic = unique("t");
    let mut watcher = Peer::new(v);
    watcher.subscribe(&topic, 2);
    (topic, watcher, Peer::new(v))
}
