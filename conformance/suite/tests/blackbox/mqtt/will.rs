//! The will.

use suite::for_both;
use suite::mqtt::wire::DISCONNECT;
use suite::mqtt::{Connect, Peer, Version, Will, property, unique};

for_both!(
    a_lost_connection_publishes_the_will,
    a_protocol_violation_publishes_the_will,
    a_client_silent_for_too_long_loses_its_connection_and_its_will_is_published,
    a_disconnect_throws_the_will_away,
    a_will_is_published_once,
    a_connection_that_is_pushed_out_publishes_its_will,
    without_a_will_nothing_is_published,
    a_will_has_its_qos,
    a_will_is_retained_only_if_it_asks_for_it,
);

/// 3.1.1 [MQTT-3.1.2-8] [MQTT-3.1.2-16], 5 [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14]
fn a_lost_connection_publishes_the_will(v: Version) {
    let (topic, mut watcher) = watched(v);
    let (peer, _) = Peer::accepted(Connect::new(v, &unique("c")).will(Will::new(&topic, "lost")));
    watcher.idle();
    peer.vanish();
    let will = watcher.delivery();
    assert_eq!((will.text(), will.retain, will.qos), ("lost", false, 0));
}

/// 3.1.1 [MQTT-3.1.2-8], 5 [MQTT-3.1.2-8]
fn a_protocol_violation_publishes_the_will(v: Version) {
    let (topic, mut watcher) = watched(v);
    let (mut peer, _) = Peer::accepted(Connect::new(v, &unique("c")).will(Will::new(&topic, "thrown out")));
    peer.send(&[0xF7, 0]);
    peer.end();
    assert_eq!(watcher.delivery().text(), "thrown out");
}

/// 3.1.1 [MQTT-3.1.2-24] [MQTT-3.1.2-8], 5 [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT-3.1.2-8]
fn a_client_silent_for_too_long_loses_its_connection_and_its_will_is_published(v: Version) {
    let (topic, mut watcher) = watched(v);
    let connect = Connect::new(v, &unique("c")).keep_alive(2).will(Will::new(&topic, "silent"));
    let began = std::time::Instant::now();
    let (mut peer, _) = Peer::accepted(connect);
    let farewell = peer.end();
    let lasted = began.elapsed().as_secs_f32();
    assert!((2.0..4.5).contains(&lasted), "the connection lasted {lasted} s");
    match v {
        Version::V3 => assert_eq!(farewell, []),
        Version::V5 => assert!(farewell.iter().all(|packet| packet.code() == 0x8D), "{farewell:?}"),
    }
    assert_eq!(watcher.delivery().text(), "silent");
}

/// 3.1.1 [MQTT-3.1.2-10] [MQTT-3.14.4-3], 5 [MQTT-3.1.2-10] [MQTT-3.14.4-3]
fn a_disconnect_throws_the_will_away(v: Version) {
    let (topic, mut watcher) = watched(v);
    let (peer, _) = Peer::accepted(Connect::new(v, &unique("c")).will(Will::new(&topic, "lost")));
    peer.leave();
    watcher.nothing_from(&mut Peer::new(v));
}

/// 3.1.1 [MQTT-3.1.2-10], 5 [MQTT-3.1.2-10]
fn a_will_is_published_once(v: Version) {
    let (topic, mut watcher) = watched(v);
    let connect = Connect::to_session(v, &unique("c"));
    let (peer, _) = Peer::accepted(connect.clone().will(Will::new(&topic, "once")));
    peer.vanish();
    assert_eq!(watcher.delivery().text(), "once");
    let (peer, connack) = Peer::accepted(connect.clone());
    assert!(connack.session_present);
    peer.vanish();
    Peer::accepted(connect).0.leave();
    watcher.nothing_from(&mut Peer::new(v));
}

/// 3.1.1 [MQTT-3.1.2-8], 5 [MQTT-3.1.2-8]
fn a_connection_that_is_pushed_out_publishes_its_will(v: Version) {
    let (topic, mut watcher) = watched(v);
    let connect = Connect::new(v, &unique("c"));
    let (mut old, _) = Peer::accepted(connect.clone().will(Will::new(&topic, "pushed out")));
    let (new, _) = Peer::accepted(connect);
    old.end();
    assert_eq!(watcher.delivery().text(), "pushed out");
    new.leave();
}

/// 3.1.1 [MQTT-3.1.2-12], 5 [MQTT-3.1.2-7]
fn without_a_will_nothing_is_published(v: Version) {
    let connect = Connect::new(v, &unique("c"));
    let mut watcher = Peer::new(v);
    watcher.subscribe(&format!("{}/#", unique("t")), 0);
    let (peer, _) = Peer::accepted(connect.clone());
    peer.vanish();
    Peer::accepted(connect).0.leave();
    watcher.nothing_from(&mut Peer::new(v));
}

/// 3.1.1 [MQTT-3.1.2-8], 5 [MQTT-3.1.2-8]
fn a_will_has_its_qos(v: Version) {
    for qos in 0..=2 {
        let (topic, mut watcher) = watched(v);
        let will = Will::new(&topic, "lost").qos(qos);
        Peer::accepted(Connect::new(v, &unique("c")).will(will)).0.vanish();
        assert_eq!(watcher.receive().qos, qos);
    }
}

/// 3.1.1 [MQTT-3.1.2-16] [MQTT-3.1.2-17], 5 [MQTT-3.1.2-14] [MQTT-3.1.2-15]
fn a_will_is_retained_only_if_it_asks_for_it(v: Version) {
    let (topic, mut watcher) = watched(v);
    let will = Will::new(&topic, "for the moment");
    Peer::accepted(Connect::new(v, &unique("c")).will(will)).0.vanish();
    assert_eq!(watcher.delivery().text(), "for the moment");
    let mut later = Peer::new(v);
    later.subscribe(&topic, 0);
    later.nothing_from(&mut watcher);

    let will = Will::new(&topic, "for ever").retain();
    Peer::accepted(Connect::new(v, &unique("c")).will(will)).0.vanish();
    assert!(!watcher.delivery().retain);
    let mut later = Peer::new(v);
    later.subscribe(&topic, 0);
    let kept = later.delivery();
    assert_eq!((kept.text(), kept.retain), ("for ever", true));
    super::forget(v, &topic);
}

/// 5 [MQTT-3.1.2-8] [MQTT-3.1.2-10]
#[test]
fn a_disconnect_with_will_publishes_it() {
    let v = Version::V5;
    let (topic, mut watcher) = watched(v);
    let (mut peer, _) = Peer::accepted(Connect::new(v, &unique("c")).will(Will::new(&topic, "good-bye")));
    peer.send(&[0xE0, 1, 0x04]);
    assert_eq!(peer.end(), []);
    assert_eq!(watcher.delivery().text(), "good-bye");
}

/// 5 [MQTT-3.1.3-9] [MQTT-3.1.2-8]
#[test]
fn a_connection_within_the_will_delay_keeps_the_will_unsent() {
    let v = Version::V5;
    let (topic, mut watcher) = watched(v);
    let connect = Connect::to_session(v, &unique("c"));
    let will = Will::new(&topic, "late").property(property::will_delay(2));
    Peer::accepted(connect.clone().will(will.clone())).0.vanish();
    let (mut peer, connack) = Peer::accepted(connect.clone());
    assert!(connack.session_present);
    // A will of another client with the same delay comes after the one that is not to come.
    let later = Will::new(&topic, "another").property(property::will_delay(3));
    Peer::accepted(Connect::to_session(v, &unique("c")).will(later)).0.vanish();
    assert_eq!(watcher.delivery().text(), "another");
    peer.send(&DISCONNECT);
}

/// 5 [MQTT-3.1.2-8] [MQTT-3.1.2-4]
#[test]
fn a_clean_start_ends_the_session_whose_will_was_delayed() {
    let v = Version::V5;
    let (topic, mut watcher) = watched(v);
    let connect = Connect::to_session(v, &unique("c"));
    let will = Will::new(&topic, "session ended").property(property::will_delay(600));
    Peer::accepted(connect.clone().will(will)).0.vanish();
    watcher.idle();
    let (new, connack) = Peer::accepted(connect.clean(true));
    assert!(!connack.session_present);
    assert_eq!(watcher.delivery().text(), "session ended");
    new.leave();
}

/// 5 [MQTT-3.1.2-8]
#[test]
fn a_will_waits_for_its_delay() {
    let v = Version::V5;
    let (topic, mut watcher) = watched(v);
    let will = Will::new(&topic, "late").property(property::will_delay(2));
    Peer::accepted(Connect::to_session(v, &unique("c")).will(will)).0.vanish();
    let soon = Will::new(&topic, "soon");
    Peer::accepted(Connect::new(v, &unique("c")).will(soon)).0.vanish();
    assert_eq!([watcher.delivery(), watcher.delivery()].map(|will| will.text().to_owned()), ["soon", "late"]);
}

/// 5 [MQTT-3.1.3-10] [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20]
#[test]
fn the_properties_of_a_will_go_with_it_in_their_order() {
    let v = Version::V5;
    let (topic, mut watcher) = watched(v);
    let will = Will::new(&topic, "lost")
        .property(property::payload_is_text())
        .property(property::content_type("text/plain"))
        .property(property::response_topic("answers"))
        .property(property::correlation_data(&[1, 2, 3]))
        .property(property::user_property("b", "1"))
        .property(property::user_property("a", "2"))
        .property(property::user_property("b", "3"));
    Peer::accepted(Connect::new(v, &unique("c")).will(will)).0.vanish();
    let sent = watcher.delivery().properties;
    assert_eq!(sent.one(0x01), Some(&[1][..]));
    assert_eq!(sent.one(0x03), Some(&b"text/plain"[..]));
    assert_eq!(sent.one(0x08), Some(&b"answers"[..]));
    assert_eq!(sent.one(0x09), Some(&[1, 2, 3][..]));
    assert_eq!(sent.all(0x26), [b"b=1", b"a=2", b"b=3"]);
}

/// A topic of its own, and a client that watches it at QoS 2.
fn watched(v: Version) -> (String, Peer) {
    let topic = unique("t");
    let mut watcher = Peer::new(v);
    watcher.subscribe(&topic, 2);
    (topic, watcher)
}
