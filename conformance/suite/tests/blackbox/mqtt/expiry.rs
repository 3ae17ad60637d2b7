//! Messages that expire in MQTT 5.

use suite::mqtt::wire::pubrel;
use suite::mqtt::{Connect, Peer, Publish, Version, property, unique};

use super::{forget, passed};

const V: Version = Version::V5;

/// 5 [MQTT-3.3.2-5]
#[test]
fn a_message_that_expired_while_its_client_was_away_does_not_come() {
    let (connect, topic) = (Connect::to_session(V, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 1);
    peer.leave();
    let mut publisher = Peer::new(V);
    publisher.publish(Publish::new(V, &topic, "short").qos(1, 1).property(property::message_expiry(1)));
    publisher.publish(Publish::new(V, &topic, "long").qos(1, 2).property(property::message_expiry(600)));
    passed(3);
    let (mut peer, _) = Peer::accepted(connect);
    assert_eq!(peer.receive().text(), "long");
    peer.nothing_from(&mut publisher);
    peer.leave();
}

/// 5 [MQTT-3.3.2-5]
#[test]
fn a_retained_message_that_expired_does_not_come() {
    let topic = unique("t");
    let mut publisher = Peer::new(V);
    publisher
        .publish(Publish::new(V, &topic, "short").qos(1, 1).retain().property(property::message_expiry(1)));
    passed(3);
    let mut peer = Peer::new(V);
    peer.subscribe(&topic, 1);
    peer.nothing_from(&mut publisher);
    forget(V, &topic);
}

/// 5 [MQTT-3.3.2-6]
#[test]
fn a_delivery_tells_what_is_left_of_its_expiry_interval() {
    let (connect, topic) = (Connect::to_session(V, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 1);
    let publish = Publish::new(V, &topic, "waiting").qos(1, 1).property(property::message_expiry(100));
    let mut publisher = Peer::new(V);
    publisher.publish(publish.clone());
    let at_once = peer.receive().properties.number(0x02);
    assert!(matches!(at_once, Some(99 | 100)), "{at_once:?}");
    peer.leave();
    publisher.publish(publish);
    passed(3);
    let (mut peer, _) = Peer::accepted(connect);
    let later = peer.receive().properties.number(0x02);
    assert!(matches!(later, Some(90..=98)), "{later:?}");
    peer.leave();
}

/// 5 [MQTT-4.3.3-7]
#[test]
fn a_message_that_was_sent_at_qos_2_does_not_expire() {
    let (connect, topic) = (Connect::to_session(V, &unique("c")), unique("t"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 2);
    Peer::new(V).publish(Publish::new(V, &topic, "sent").qos(2, 1).property(property::message_expiry(1)));
    let id = peer.delivery().id;
    peer.vanish();
    passed(3);
    let (mut peer, _) = Peer::accepted(connect);
    let again = peer.receive();
    assert_eq!((again.id, again.text(), again.dup), (id, "sent", true));
    peer.leave();
}

/// 5 [MQTT-4.3.3-13]
#[test]
fn the_exchange_of_a_message_that_expired_is_finished() {
    let topic = unique("t");
    let mut publisher = Peer::new(V);
    let publish = Publish::new(V, &topic, "expiring").qos(2, 6).property(property::message_expiry(1));
    assert_eq!(publisher.ask(&publish.bytes()).kind(), 5);
    passed(3);
    let answer = publisher.ask(&pubrel(6));
    assert_eq!((answer.kind(), answer.id(), answer.code()), (7, 6, 0));
}
