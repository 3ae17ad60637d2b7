//! SUBSCRIBE and UNSUBSCRIBE.

use suite::for_both;
use suite::mqtt::wire::{PINGREQ, PINGRESP, puback, pubcomp, pubrec, subscribe, unsubscribe};
use suite::mqtt::{Connect, Peer, Publish, Version, unique};

use super::forget;

for_both!(
    a_subscribe_is_answered_with_its_packet_id_and_a_code_for_each_filter,
    a_filter_with_misplaced_wildcards_is_refused,
    an_empty_filter_is_refused,
    filters_with_wildcards_are_granted,
    a_filter_subscribed_to_again_replaces_the_subscription,
    several_filters_act_like_several_subscribes,
    an_unsubscribe_is_answered_with_its_packet_id,
    an_unsubscribe_of_nothing_is_answered_too,
    only_an_equal_filter_is_unsubscribed,
    after_an_unsubscribe_nothing_new_comes,
    several_filters_act_like_several_unsubscribes,
    a_delivery_under_way_is_finished_after_unsubscribe,
);

/// 3.1.1 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-2.3.1-7],
/// 5 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-2.2.1-6]
fn a_subscribe_is_answered_with_its_packet_id_and_a_code_for_each_filter(v: Version) {
    let name = unique("t");
    let filters = ["a", "b", "c", "d", "e"].map(|end| format!("{name}/{end}"));
    let mut peer = Peer::new(v);
    for id in [1, 0x0203, 0xFFFF] {
        let asked: Vec<_> =
            filters.iter().zip([2, 0, 1, 1, 0]).map(|(filter, qos)| (filter.as_str(), qos)).collect();
        let (answered, _, codes) = peer.ask(&subscribe(v, id, &asked)).codes();
        assert_eq!((answered, codes), (id, vec![2, 0, 1, 1, 0]));
    }
}

/// 3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3], 5 [MQTT-4.7.1-1] [MQTT-4.7.1-2]
fn a_filter_with_misplaced_wildcards_is_refused(v: Version) {
    let name = unique("t");
    for filter in ["#/x", "x#", "x/#y", "x/y#", "##", "+x", "x+", "x/+y", "x/y+/z", "++"] {
        refused(v, &format!("{name}/{filter}"));
    }
}

/// [MQTT-4.7.3-1]
fn an_empty_filter_is_refused(v: Version) {
    refused(v, "");
}

/// 3.1.1 [MQTT-3.8.3-2] [MQTT-4.7.1-2] [MQTT-4.7.1-3], 5 [MQTT-4.7.1-1] [MQTT-4.7.1-2]
fn filters_with_wildcards_are_granted(v: Version) {
    let name = unique("t");
    let mut peer = Peer::new(v);
    for filter in ["#", "+", "+/#", "+/+", "a/+/b", "a/#", "/", "/+", "//"] {
        peer.subscribe(&format!("{name}/{filter}"), 0);
    }
}

/// 3.1.1 [MQTT-3.8.4-3], 5 [MQTT-3.8.4-3] [MQTT-3.8.4-4]
fn a_filter_subscribed_to_again_replaces_the_subscription(v: Version) {
    let topic = unique("t");
    let (mut peer, mut publisher) = (Peer::new(v), Peer::new(v));
    publisher.publish(Publish::new(v, &topic, "kept").qos(1, 1).retain());
    for granted in [2, 0, 1] {
        peer.subscribe(&topic, granted);
        let kept = peer.receive();
        assert_eq!((kept.text(), kept.retain, kept.qos), ("kept", true, granted.min(1)));
        publisher.publish(Publish::new(v, &topic, "new").qos(2, 2));
        let new = peer.receive();
        assert_eq!((new.text(), new.retain, new.qos), ("new", false, granted));
        peer.nothing_from(&mut publisher);
    }
    forget(v, &topic);
}

/// 3.1.1 [MQTT-3.8.4-4], 5 [MQTT-3.8.4-5]
fn several_filters_act_like_several_subscribes(v: Version) {
    let (one, two) = (unique("t"), unique("t"));
    let mut publisher = Peer::new(v);
    for topic in [&one, &two] {
        publisher.publish(Publish::new(v, topic, topic).qos(1, 1).retain());
    }
    let mut peer = Peer::new(v);
    let (_, _, codes) = peer.ask(&subscribe(v, 1, &[(&one, 0), (&two, 1), (&one, 1)])).codes();
    assert_eq!(codes, [0, 1, 1]);
    let kept: Vec<_> = (0..3).map(|_| peer.receive()).collect();
    assert_eq!(kept.iter().filter(|kept| kept.topic == one).count(), 2);
    publisher.publish(Publish::new(v, &one, "last granted").qos(1, 1));
    assert_eq!(peer.receive().qos, 1);
    peer.nothing_from(&mut publisher);
    forget(v, &one);
    forget(v, &two);
}

/// 3.1.1 [MQTT-3.10.4-4] [MQTT-2.3.1-7],
/// 5 [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.2.1-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2]
fn an_unsubscribe_is_answered_with_its_packet_id(v: Version) {
    let name = unique("t");
    let mut peer = Peer::new(v);
    peer.subscribe(&name, 1);
    let (id, _, codes) = peer.ask(&unsubscribe(v, 0x0909, &["not/there", &name, "nor/this"])).codes();
    assert_eq!(id, 0x0909);
    match v {
        Version::V3 => assert!(codes.is_empty()),
        Version::V5 => assert_eq!(codes, [0x11, 0x00, 0x11]),
    }
}

/// 3.1.1 [MQTT-3.10.4-5], 5 [MQTT-3.10.4-5]
fn an_unsubscribe_of_nothing_is_answered_too(v: Version) {
    let mut peer = Peer::new(v);
    let answer = peer.ask(&unsubscribe(v, 3, &[&unique("t")]));
    assert_eq!((answer.kind(), answer.id()), (11, 3));
}

/// [MQTT-3.10.4-1]
fn only_an_equal_filter_is_unsubscribed(v: Version) {
    let name = unique("t");
    let (mut peer, mut publisher) = (Peer::new(v), Peer::new(v));
    peer.subscribe(&format!("{name}/+"), 0);
    let upper = name.to_uppercase();
    let others = [
        format!("{name}/#"),
        format!("{name}/x"),
        format!("{upper}/+"),
        format!("{name}/+/"),
        "#".to_owned(),
    ];
    for other in &others {
        peer.ask(&unsubscribe(v, 1, &[other]));
    }
    publisher.publish(Publish::new(v, &format!("{name}/x"), "still"));
    assert_eq!(peer.delivery().text(), "still");
    peer.ask(&unsubscribe(v, 1, &[&format!("{name}/+")]));
    publisher.publish(Publish::new(v, &format!("{name}/x"), "gone"));
    peer.nothing_from(&mut publisher);
}

/// [MQTT-3.10.4-2]
fn after_an_unsubscribe_nothing_new_comes(v: Version) {
    let topic = unique("t");
    let (mut peer, mut publisher) = (Peer::new(v), Peer::new(v));
    peer.subscribe(&topic, 2);
    publisher.publish(Publish::new(v, &topic, "before").qos(1, 1));
    assert_eq!(peer.receive().text(), "before");
    assert_eq!(peer.ask(&unsubscribe(v, 3, &[&topic])).kind(), 11);
    for qos in 0..=2 {
        publisher.publish(Publish::new(v, &topic, "after").qos(qos, 2));
    }
    peer.nothing_from(&mut publisher);
}

/// [MQTT-3.10.4-6]
fn several_filters_act_like_several_unsubscribes(v: Version) {
    let topics = [unique("t"), unique("t"), unique("t")];
    let (mut peer, mut publisher) = (Peer::new(v), Peer::new(v));
    for topic in &topics {
        peer.subscribe(topic, 0);
    }
    let answer = peer.ask(&unsubscribe(v, 3, &[&topics[0], &topics[2]]));
    assert_eq!((answer.kind(), answer.id()), (11, 3));
    peer.idle();
    for topic in &topics {
        publisher.publish(Publish::new(v, topic, "x"));
    }
    assert_eq!(peer.delivery().topic, topics[1]);
    peer.nothing_from(&mut publisher);
}

/// [MQTT-3.10.4-3]
fn a_delivery_under_way_is_finished_after_unsubscribe(v: Version) {
    let topic = unique("t");
    let connect = Connect::to_session(v, &unique("c"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    let mut publisher = Peer::new(v);
    peer.subscribe(&topic, 2);
    publisher.publish(Publish::new(v, &topic, "one").qos(1, 1));
    publisher.publish(Publish::new(v, &topic, "two").qos(2, 2));
    let (one, two) = (peer.delivery(), peer.delivery());
    assert_eq!(peer.ask(&unsubscribe(v, 3, &[&topic])).kind(), 11);
    let release = peer.ask(&pubrec(two.id));
    assert_eq!((release.kind(), release.id()), (6, two.id));
    peer.vanish();
    let (mut peer, _) = Peer::accepted(connect);
    let (again, release) = (peer.next(), peer.next());
    let (again, release) = if again.kind() == 3 { (again, release) } else { (release, again) };
    assert_eq!((again.delivery().id, again.delivery().dup), (one.id, true));
    assert_eq!((release.kind(), release.id()), (6, two.id));
    peer.send(&[puback(one.id), pubcomp(two.id), PINGREQ.to_vec()].concat());
    assert_eq!(peer.next().bytes(), PINGRESP);
    peer.leave();
}

/// A filter that is answered with a failure, or with the end of the connection.
fn refused(v: Version, filter: &str) {
    let mut peer = Peer::new(v);
    let Some(answer) = peer.answer(&subscribe(v, 1, &[(filter, 0)])) else { return };
    if answer.kind() == 9 {
        assert!(answer.codes().2.iter().all(|code| *code >= 0x80), "{filter}: {answer:?}");
    } else {
        super::ended(filter, v, &[answer], &[0x81, 0x82, 0x8F]);
    }
}
