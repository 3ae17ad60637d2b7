//! What outlives a connection, and what does not.

use suite::for_both;
use suite::mqtt::wire::{puback, pubcomp, pubrec, pubrel};
use suite::mqtt::{Connect, Peer, Publish, Version, Will, property, unique};

for_both!(
    a_session_begins_where_none_is_stored,
    a_kept_session_is_taken_up_with_its_subscriptions_and_messages,
    a_clean_connect_throws_the_old_session_away,
    a_session_that_was_not_to_be_kept_ends_with_its_connection,
    state_stays_while_the_connection_is_open,
    an_unacknowledged_message_comes_again_with_its_packet_id,
    a_message_is_not_sent_again_while_its_connection_lasts,
    after_pubrec_only_the_pubrel_comes_again,
    a_pubrel_comes_again_until_pubcomp,
    messages_come_again_in_their_order,
    every_unacknowledged_message_has_a_packet_id_of_its_own,
    a_received_packet_id_is_remembered_for_the_session,
    retained_messages_outlive_the_session,
);

/// 3.1.1 [MQTT-3.1.2-4] [MQTT-3.2.2-3], 5 [MQTT-3.1.2-6] [MQTT-3.2.2-3]
fn a_session_begins_where_none_is_stored(v: Version) {
    let (peer, connack) = Peer::accepted(Connect::to_session(v, &unique("c")));
    assert!(!connack.session_present);
    peer.leave();
}

/// 3.1.1 [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.3-2] [MQTT-3.2.2-2] [MQTT-4.1.0-1] [MQTT-4.5.0-1],
/// 5 [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-3.1.3-2] [MQTT-3.2.2-3] [MQTT-4.5.0-1]
fn a_kept_session_is_taken_up_with_its_subscriptions_and_messages(v: Version) {
    let (connect, topic) = (Connect::to_session(v, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 2);
    peer.leave();

    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "at least once").qos(1, 1));
    publisher.publish(Publish::new(v, &topic, "exactly once").qos(2, 2));

    let (mut peer, connack) = Peer::accepted(connect);
    assert!(connack.session_present);
    let mut missed = [peer.receive(), peer.receive()];
    missed.sort_by_key(|delivery| delivery.qos);
    assert_eq!(missed.each_ref().map(|delivery| (delivery.qos, delivery.dup)), [(1, false), (2, false)]);
    assert_eq!(missed.each_ref().map(|delivery| delivery.text()), ["at least once", "exactly once"]);
    publisher.publish(Publish::new(v, &topic, "now"));
    assert_eq!(peer.receive().text(), "now");
    peer.leave();
}

/// 3.1.1 [MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.2.2-1] [MQTT-3.2.2-3],
/// 5 [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
fn a_clean_connect_throws_the_old_session_away(v: Version) {
    let (connect, topic) = (Connect::to_session(v, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 1);
    peer.leave();
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "missed").qos(1, 1));

    let (mut peer, connack) = Peer::accepted(connect.clone().clean(true));
    assert!(!connack.session_present);
    publisher.publish(Publish::new(v, &topic, "not subscribed").qos(1, 2));
    peer.nothing_from(&mut publisher);
    peer.leave();
}

/// 3.1.1 [MQTT-3.1.2-6] [MQTT-3.2.2-3], 5 [MQTT-4.1.0-2] [MQTT-3.2.2-3] [MQTT-3.1.2-6]
fn a_session_that_was_not_to_be_kept_ends_with_its_connection(v: Version) {
    let (name, topic) = (unique("c"), unique("t"));
    let (mut peer, _) = Peer::accepted(Connect::new(v, &name));
    peer.subscribe(&topic, 1);
    peer.leave();
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "missed").qos(1, 1));
    let (mut peer, connack) = Peer::accepted(Connect::new(v, &name).clean(false));
    assert!(!connack.session_present);
    peer.nothing_from(&mut publisher);
}

/// 3.1.1 [MQTT-4.1.0-1] [MQTT-4.1.0-2], 5 [MQTT-4.1.0-1]
fn state_stays_while_the_connection_is_open(v: Version) {
    let topic = unique("t");
    let (mut peer, mut publisher) = (Peer::new(v), Peer::new(v));
    peer.subscribe(&topic, 1);
    for round in 0..20 {
        publisher.publish(Publish::new(v, &topic, "still here").qos(1, 1 + round));
        assert_eq!(peer.receive().text(), "still here");
        peer.idle();
    }
}

/// 3.1.1 [MQTT-3.3.1-1] [MQTT-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.4.0-1], 5 [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3]
/// [MQTT-4.4.0-1]
fn an_unacknowledged_message_comes_again_with_its_packet_id(v: Version) {
    for qos in [1, 2] {
        let (connect, topic) = (Connect::to_session(v, &unique("c")), unique("t"));
        let (mut peer, _) = Peer::accepted(connect.clone());
        peer.subscribe(&topic, qos);
        Peer::new(v).publish(Publish::new(v, &topic, "take it").qos(qos, 1));
        let first = peer.delivery();
        assert!(!first.dup);
        peer.vanish();
        let (mut peer, _) = Peer::accepted(connect);
        let again = peer.receive();
        assert!(again.dup, "QoS {qos}");
        assert_eq!((again.id, again.qos, again.text()), (first.id, qos, "take it"));
        peer.leave();
    }
}

/// 3.1.1 [MQTT-4.4.0-1], 5 [MQTT-4.4.0-1]
fn a_message_is_not_sent_again_while_its_connection_lasts(v: Version) {
    let topic = unique("t");
    let (mut peer, mut publisher) = (Peer::new(v), Peer::new(v));
    peer.subscribe(&topic, 2);
    publisher.publish(Publish::new(v, &topic, "one").qos(1, 1));
    publisher.publish(Publish::new(v, &topic, "two").qos(2, 2));
    assert_eq!([peer.delivery().qos, peer.delivery().qos], [1, 2]);
    peer.nothing_from(&mut publisher);
    peer.idle();
}

/// 3.1.1 [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-2.3.1-6], 5 [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1]
/// [MQTT-2.2.1-5] [MQTT-3.6.2-1]
fn after_pubrec_only_the_pubrel_comes_again(v: Version) {
    let (connect, topic) = (Connect::to_session(v, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 2);
    Peer::new(v).publish(Publish::new(v, &topic, "once").qos(2, 1));
    let first = peer.delivery();
    let release = peer.ask(&pubrec(first.id));
    assert_eq!((release.first(), release.id()), (0x62, first.id));
    peer.vanish();
    let (mut peer, _) = Peer::accepted(connect.clone());
    let again = peer.next();
    assert_eq!((again.first(), again.id()), (0x62, first.id));
    peer.send(&pubcomp(first.id));
    peer.idle();
    peer.leave();
    let (mut peer, _) = Peer::accepted(connect);
    peer.idle();
    peer.leave();
}

/// 3.1.1 [MQTT-4.3.3-1] [MQTT-4.4.0-1], 5 [MQTT-4.3.3-5] [MQTT-4.4.0-1]
fn a_pubrel_comes_again_until_pubcomp(v: Version) {
    let (connect, topic) = (Connect::to_session(v, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 2);
    Peer::new(v).publish(Publish::new(v, &topic, "once").qos(2, 1));
    let id = peer.delivery().id;
    assert_eq!(peer.ask(&pubrec(id)).kind(), 6);
    for _ in 0..3 {
        peer.vanish();
        peer = Peer::accepted(connect.clone()).0;
        let release = peer.next();
        assert_eq!((release.kind(), release.id()), (6, id));
    }
    peer.send(&pubcomp(id));
    peer.leave();
}

/// 3.1.1 [MQTT-4.6.0-6] [MQTT-4.4.0-1], 5 [MQTT-4.6.0-5] [MQTT-4.4.0-1]
fn messages_come_again_in_their_order(v: Version) {
    let (connect, topic) = (Connect::to_session(v, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 1);
    let mut publisher = Peer::new(v);
    for count in 1..=8 {
        publisher.publish(Publish::new(v, &topic, count.to_string()).qos(1, count));
    }
    let first: Vec<_> = (0..8).map(|_| peer.delivery()).collect();
    peer.send(&puback(first[0].id));
    peer.idle();
    peer.vanish();
    let (mut peer, _) = Peer::accepted(connect);
    for earlier in &first[1..] {
        let again = peer.receive();
        assert_eq!((again.id, again.text()), (earlier.id, earlier.text()));
    }
    peer.leave();
}

/// 3.1.1 [MQTT-2.3.1-1] [MQTT-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1],
/// 5 [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2]
fn every_unacknowledged_message_has_a_packet_id_of_its_own(v: Version) {
    let topic = unique("t");
    let (mut peer, mut publisher) = (Peer::new(v), Peer::new(v));
    peer.subscribe(&topic, 2);
    let mut ids = Vec::new();
    for count in 1..=16 {
        let qos = 1 + (count % 2) as u8;
        publisher.publish(Publish::new(v, &topic, "numbered").qos(qos, count));
        let delivery = peer.delivery();
        assert_eq!((delivery.qos, delivery.dup), (qos, false));
        assert!(delivery.id != 0 && !ids.contains(&delivery.id), "{} after {ids:?}", delivery.id);
        ids.push(delivery.id);
    }
}

/// 3.1.1 [MQTT-4.3.3-2] [MQTT-3.1.2-4], 5 [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-3.1.2-5] [MQTT-3.1.2-23]
fn a_received_packet_id_is_remembered_for_the_session(v: Version) {
    let (connect, topic) = (Connect::to_session(v, &unique("c")), unique("t"));
    let mut watcher = Peer::new(v);
    watcher.subscribe(&topic, 0);
    let publish = Publish::new(v, &topic, "once").qos(2, 9);
    let (mut publisher, _) = Peer::accepted(connect.clone());
    assert_eq!(publisher.ask(&publish.bytes()).kind(), 5);
    publisher.vanish();
    let (mut publisher, _) = Peer::accepted(connect);
    let answer = publisher.ask(&publish.dup().bytes());
    assert_eq!((answer.kind(), answer.id()), (5, 9));
    let answer = publisher.ask(&pubrel(9));
    assert_eq!((answer.kind(), answer.id()), (7, 9));
    assert_eq!(watcher.receive().text(), "once");
    watcher.nothing_from(&mut publisher);
    publisher.leave();
}

/// 3.1.1 [MQTT-3.1.2-7], 5 [MQTT-3.3.1-5]
fn retained_messages_outlive_the_session(v: Version) {
    let topic = unique("t");
    let mut publisher = Peer::new(v);
    publisher.publish(Publish::new(v, &topic, "kept").qos(1, 1).retain());
    publisher.leave();
    let mut peer = Peer::new(v);
    peer.subscribe(&topic, 1);
    assert_eq!(peer.receive().text(), "kept");
    super::forget(v, &topic);
}

/// 5 [MQTT-4.1.0-2] [MQTT-3.1.2-8]
#[test]
fn a_session_ends_when_its_expiry_interval_has_passed() {
    let (v, name, topic) = (Version::V5, unique("c"), unique("t"));
    let mut watcher = Peer::new(v);
    watcher.subscribe(&topic, 0);
    let will = Will::new(&topic, "the session ended").property(property::will_delay(600));
    let connect = Connect::new(v, &name).clean(false).will(will);
    let (peer, _) = Peer::accepted(connect.clone().property(property::session_expiry(1)));
    peer.vanish();
    assert_eq!(watcher.delivery().text(), "the session ended");
    let (_, connack) = Peer::accepted(Connect::to_session(v, &name).clean(false));
    assert!(!connack.session_present);
}

/// 5 [MQTT-3.1.2-23] [MQTT-3.1.2-4]
#[test]
fn a_session_that_began_clean_is_kept_for_its_expiry_interval() {
    let (v, name, topic) = (Version::V5, unique("c"), unique("t"));
    let (mut peer, _) = Peer::accepted(Connect::new(v, &name).property(property::session_expiry(300)));
    peer.subscribe(&topic, 1);
    peer.leave();
    Peer::new(v).publish(Publish::new(v, &topic, "missed").qos(1, 1));
    let (mut peer, connack) = Peer::accepted(Connect::new(v, &name).clean(false));
    assert!(connack.session_present);
    assert_eq!(peer.receive().text(), "missed");
}

/// 5 [MQTT-4.1.0-2]
#[test]
fn a_disconnect_may_shorten_the_expiry_interval() {
    let (v, name) = (Version::V5, unique("c"));
    let (mut peer, _) = Peer::accepted(Connect::to_session(v, &name));
    peer.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]);
    assert_eq!(peer.end(), []);
    let (_, connack) = Peer::accepted(Connect::new(v, &name).clean(false));
    assert!(!connack.session_present);
}

/// 5 [MQTT-3.1.2-23]
#[test]
fn a_disconnect_may_lengthen_the_expiry_interval() {
    let (v, name) = (Version::V5, unique("c"));
    let (mut peer, _) = Peer::accepted(Connect::new(v, &name).property(property::session_expiry(1)));
    peer.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 1, 0]);
    assert_eq!(peer.end(), []);
    super::passed(3);
    let (_, connack) = Peer::accepted(Connect::new(v, &name).clean(false));
    assert!(connack.session_present);
}

/// 5 [MQTT-4.13.1-1]
#[test]
fn a_disconnect_may_not_begin_an_expiry_interval() {
    let v = Version::V5;
    let mut peer = Peer::new(v);
    peer.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9]);
    let farewell = peer.end();
    assert!(
        matches!(farewell.iter().map(|packet| packet.code()).collect::<Vec<_>>()[..], [] | [0x82]),
        "{farewell:?}"
    );
}
