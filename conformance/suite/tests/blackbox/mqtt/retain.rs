//! Retained messages.

use suite::for_both;
use suite::mqtt::{Peer, Publish, Version, property, unique};

use super::forget;

for_both!(
    a_retained_message_is_kept_with_its_qos,
    a_retained_message_says_so_to_a_new_subscription_only,
    every_matching_topic_sends_what_it_retains,
    the_latest_retained_message_counts,
    a_retained_message_at_qos_0_replaces_the_one_before,
    an_empty_retained_message_is_delivered_and_removes_what_was_kept,
    an_empty_message_is_not_kept,
    a_message_that_is_not_retained_changes_nothing,
);

/// 3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-6], 5 [MQTT-3.3.1-5] [MQTT-3.3.1-9]
fn a_retained_message_is_kept_with_its_qos(v: Version) {
    for qos in 0..=2 {
        let topic = unique("t");
        let mut publisher = Peer::new(v);
        publisher.publish(Publish::new(v, &topic, "kept").qos(qos, 1).retain());
        publisher.idle(); // at QoS 0 nothing else says that it has arrived
        for _ in 0..20 {
            let mut later = Peer::new(v);
            later.subscribe(&topic, 2);
            let kept = later.receive();
            assert_eq!((kept.text(), kept.qos, kept.retain, kept.dup), ("kept", qos, true, false));
        }
        forget(v, &topic);
    }
}

/// 3.1.1 [MQTT-3.3.1-8] [MQTT-3.3.1-9], 5 [MQTT-3.3.1-12]
fn a_retained_message_says_so_to_a_new_subscription_only(v: Version) {
    let topic = unique("t");
    let mut standing = Peer::new(v);
    standing.subscribe(&topic, 1);
    Peer::new(v).publish(Publish::new(v, &topic, "kept").qos(1, 1).retain());
    assert!(!standing.receive().retain);
    let mut new = Peer::new(v);
    new.subscribe(&topic, 1);
    assert!(new.receive().retain);
    forget(v, &topic);
}

/// 3.1.1 [MQTT-3.3.1-6], 5 [MQTT-3.3.1-9]
fn every_matching_topic_sends_what_it_retains(v: Version) {
    let name = unique("t");
    let topics = ["a", "a/b", "a/c", "b"].map(|topic| format!("{name}/{topic}"));
    let mut publisher = Peer::new(v);
    for topic in &topics {
        publisher.publish(Publish::new(v, topic, topic).qos(1, 1).retain());
    }
    for (filter, count) in [("#", 4), ("+", 2), ("a/+", 2), ("a/#", 3), ("+/b", 1)] {
        let mut peer = Peer::new(v);
        peer.subscribe(&format!("{name}/{filter}"), 0);
        let mut seen: Vec<_> = (0..count).map(|_| peer.receive().topic).collect();
        peer.nothing_from(&mut publisher);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{filter}");
    }
    topics.iter().for_each(|topic| forget(v, topic));
}

/// 3.1.1 [MQTT-3.3.1-5], 5 [MQTT-3.3.1-5]
fn the_latest_retained_message_counts(v: Version) {
    let topic = unique("t");
    let mut publisher = Peer::new(v);
    for count in 1..=3 {
        publisher.publish(Publish::new(v, &topic, count.to_string()).qos(1, count).retain());
    }
    let mut peer = Peer::new(v);
    peer.subscribe(&topic, 0);
    assert_eq!(peer.receive().text(), "3");
    peer.nothing_from(&mut publisher);
    forget(v, &topic);
}

/// 3.1.1 [MQTT-3.3.1-7], 5 [MQTT-3.3.1-5]
fn a_retained_message_at_qos_0_replaces_the_one_before(v: Version) {
    let topic = unique("t");
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "before").qos(1, 1).retain());
    publisher.publish(Publish::new(v, &topic, "after").retain());
    publisher.idle();
    let mut peer = Peer::new(v);
    peer.subscribe(&topic, 1);
    let kept = peer.receive();
    assert_eq!((kept.text(), kept.qos), ("after", 0));
    forget(v, &topic);
}

/// 3.1.1 [MQTT-3.3.1-10], 5 [MQTT-3.3.1-6]
fn an_empty_retained_message_is_delivered_and_removes_what_was_kept(v: Version) {
    let topic = unique("t");
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "kept").qos(1, 1).retain());
    let mut standing = Peer::new(v);
    standing.subscribe(&topic, 1);
    assert_eq!(standing.receive().text(), "kept");
    publisher.publish(Publish::new(v, &topic, "").qos(1, 1).retain());
    assert_eq!(standing.receive().text(), "");
    let mut new = Peer::new(v);
    new.subscribe(&topic, 1);
    new.nothing_from(&mut publisher);
}

/// 3.1.1 [MQTT-3.3.1-11], 5 [MQTT-3.3.1-7]
fn an_empty_message_is_not_kept(v: Version) {
    let topic = unique("t");
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "").qos(1, 1).retain());
    let mut peer = Peer::new(v);
    peer.subscribe(&topic, 1);
    peer.nothing_from(&mut publisher);
}

/// 3.1.1 [MQTT-3.3.1-12], 5 [MQTT-3.3.1-8]
fn a_message_that_is_not_retained_changes_nothing(v: Version) {
    let topic = unique("t");
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "passing").qos(1, 1));
    let mut peer = Peer::new(v);
    peer.subscribe(&topic, 1);
    peer.nothing_from(&mut publisher);

    publisher.publish(Publish::new(v, &topic, "kept").qos(1, 1).retain());
    publisher.publish(Publish::new(v, &topic, "passing").qos(1, 1));
    publisher.publish(Publish::new(v, &topic, "").qos(1, 1));
    let mut peer = Peer::new(v);
    peer.subscribe(&topic, 1);
    assert_eq!(peer.receive().text(), "kept");
    forget(v, &topic);
}

/// 5 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
#[test]
fn retain_handling_decides_when_retained_messages_are_sent() {
    let (v, topic) = (Version::V5, unique("t"));
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "kept").qos(1, 1).retain());
    // Retain Handling, and whether the message comes for a new and for a standing subscription.
    for (handling, new, standing) in [(0x00, true, true), (0x10, true, false), (0x20, false, false)] {
        let mut peer = Peer::new(v);
        for expected in [new, standing] {
            peer.subscribe(&topic, handling | 1);
            match expected {
                true => assert_eq!(peer.receive().text(), "kept"),
                false => peer.nothing_from(&mut publisher),
            }
        }
    }
    forget(v, &topic);
}

/// 5 [MQTT-3.3.1-12] [MQTT-3.3.1-13]
#[test]
fn retain_as_published_passes_retain_on() {
    let (v, topic) = (Version::V5, unique("t"));
    let mut publisher = Peer::new(v);
    for (options, passed_on) in [(0x00, false), (0x08, true)] {
        let mut peer = Peer::new(v);
        peer.subscribe(&topic, 1 | options);
        publisher.publish(Publish::new(v, &topic, "kept").qos(1, 1).retain());
        assert_eq!(peer.receive().retain, passed_on);
        publisher.publish(Publish::new(v, &topic, "passing").qos(1, 1));
        assert!(!peer.receive().retain);
        forget(v, &topic);
    }
}

/// 5 [MQTT-3.3.4-3] [MQTT-3.3.2-17] [MQTT-3.3.2-20]
#[test]
fn a_retained_message_keeps_its_properties_and_carries_the_identifier() {
    let (v, topic) = (Version::V5, unique("t"));
    let kept = Publish::new(v, &topic, "kept").qos(1, 1).retain();
    let kept = kept.property(property::content_type("text")).property(property::user_property("a", "b"));
    Peer::new(v).publish(kept);
    let mut peer = Peer::new(v);
    peer.subscribe_with(&property::subscription_identifier(77), &topic, 1);
    let sent = peer.receive().properties;
    assert_eq!(sent.one(0x03), Some(&b"text"[..]));
    assert_eq!(sent.all(0x26), [b"a=b"]);
    assert_eq!(sent.number(0x0B), Some(77));
    forget(v, &topic);
}
