//! What MQTT 5 lets a client limit: unacknowledged messages, and the size of a packet.

use suite::mqtt::wire::{puback, pubcomp, pubrec, pubrel, subscribe, unsubscribe};
use suite::mqtt::{Connect, Packet, Peer, Publish, Version, property, unique};

const V: Version = Version::V5;

/// 5 [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
#[test]
fn no_more_messages_are_under_way_than_the_client_takes() {
    let (topic, mut peer, mut publisher) = limited(2);
    for count in 1..=5 {
        publisher.publish(Publish::new(V, &topic, count.to_string()).qos(1, count));
    }
    let mut under_way = vec![peer.delivery(), peer.delivery()];
    for count in 3..=5 {
        peer.idle();
        let answer = peer.ask(&subscribe(V, 1, &[(&unique("t"), 0)]));
        assert_eq!(answer.kind(), 9, "a full window held up a SUBACK");
        peer.send(&puback(under_way.remove(0).id));
        let next = peer.delivery();
        assert_eq!(next.text(), count.to_string());
        assert!(under_way.iter().all(|other| other.id != next.id));
        under_way.push(next);
    }
}

/// 5 [MQTT-3.3.4-9] [MQTT-4.9.0-2]
#[test]
fn a_message_at_qos_2_is_under_way_until_pubcomp() {
    let (topic, mut peer, mut publisher) = limited(1);
    publisher.publish(Publish::new(V, &topic, "one").qos(2, 1));
    publisher.publish(Publish::new(V, &topic, "two").qos(2, 2));
    let id = peer.delivery().id;
    peer.idle();
    let release = peer.ask(&pubrec(id));
    assert_eq!((release.kind(), release.id()), (6, id));
    peer.idle();
    peer.send(&pubcomp(id));
    assert_eq!(peer.receive().text(), "two");
}

/// 5 [MQTT-3.3.4-9] [MQTT-4.4.0-2] [MQTT-4.9.0-2]
#[test]
fn a_refused_message_is_no_longer_under_way_and_does_not_come_again() {
    let (topic, connect) =
        (unique("t"), Connect::to_session(V, &unique("c")).property(property::receive_maximum(1)));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.subscribe(&topic, 2);
    let mut publisher = Peer::new(V);
    for (count, qos) in [(1, 1), (2, 2), (3, 1)] {
        publisher.publish(Publish::new(V, &topic, count.to_string()).qos(qos, count));
    }
    let first = peer.delivery();
    peer.send(&[0x40, 3, (first.id >> 8) as u8, first.id as u8, 0x80]);
    let second = peer.delivery();
    assert_eq!((second.text(), second.qos), ("2", 2));
    peer.send(&[0x50, 3, (second.id >> 8) as u8, second.id as u8, 0x80]);
    assert_eq!(peer.delivery().text(), "3");
    peer.idle();
    peer.vanish();
    let (mut peer, _) = Peer::accepted(connect);
    let again = peer.receive();
    assert_eq!((again.text(), again.dup), ("3", true));
    peer.idle();
    peer.leave();
}

/// 5 [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_message_too_large_for_a_client_is_dropped_as_if_sent() {
    let topic = unique("t");
    let connect = Connect::new(V, &unique("c"));
    let connect = connect.property(property::maximum_packet_size(200)).property(property::receive_maximum(1));
    let (mut peer, _) = Peer::accepted(connect);
    let mut publisher = Peer::new(V);
    peer.subscribe(&topic, 2);
    for count in 0..3 {
        for qos in 0..=2 {
            publisher.publish(Publish::new(V, &topic, "long".repeat(60)).qos(qos, 1 + count));
        }
        publisher.publish(Publish::new(V, &topic, "short").qos(1, 9));
        assert_eq!(peer.receive().text(), "short");
    }
    peer.idle();
}

/// 5 [MQTT-3.1.2-24] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-1] [MQTT-3.6.2-2]
/// [MQTT-3.6.2-3] [MQTT-3.7.2-1] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1]
/// [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4]
#[test]
fn no_answer_is_larger_than_the_client_takes() {
    let connect = Connect::new(V, &unique("c"));
    let enough = Peer::sending(V, &connect.bytes()).next().bytes().len() + 5;
    let (mut peer, _) = Peer::accepted(connect.property(property::maximum_packet_size(enough as u32)));
    let topic = format!("forbidden/{}", unique("t"));
    let mut answers: Vec<Packet> = [
        Publish::new(V, &topic, "x").qos(1, 1).bytes(),
        Publish::new(V, &topic, "x").qos(2, 2).bytes(),
        pubrec(77),
        pubrel(78),
        subscribe(V, 3, &[("$share/group/", 0)]),
        unsubscribe(V, 4, &[&unique("t")]),
    ]
    .iter()
    .map_while(|bytes| peer.answer(bytes))
    .collect();
    peer.send(&[0x00, 0]);
    answers.extend(peer.end());
    for answer in answers {
        assert!(answer.bytes().len() <= enough, "{answer:?} is larger than {enough}");
    }
}

/// 5 [MQTT-3.2.2-15] [MQTT-4.13.1-1]
#[test]
fn a_packet_larger_than_the_server_takes_ends_the_connection() {
    let (mut peer, connack) = Peer::accepted(Connect::new(V, &unique("c")));
    let Some(maximum) = connack.properties.number(0x27) else { return };
    let too_large = Publish::new(V, &unique("t"), vec![b'x'; maximum as usize]).bytes();
    peer.send(&too_large);
    super::ended("a packet too large", V, &peer.end(), &[0x95]);
}

/// 5 [MQTT-3.3.4-7] [MQTT-4.13.1-1]
#[test]
fn more_messages_under_way_than_the_server_takes_end_the_connection() {
    let (mut peer, connack) = Peer::accepted(Connect::new(V, &unique("c")));
    let Some(maximum) = connack.properties.number(0x21) else { return };
    for id in 1..=maximum as u16 {
        peer.send(&Publish::new(V, "under/way", "x").qos(2, id).bytes());
    }
    for id in 1..=maximum as u16 {
        let answer = peer.next();
        assert_eq!((answer.kind(), answer.id()), (5, id));
    }
    peer.idle();
    peer.send(&Publish::new(V, "under/way", "x").qos(2, maximum as u16 + 1).bytes());
    super::ended("one more than the Receive Maximum", V, &peer.end(), &[0x93]);
}

/// A topic of its own, a client that watches it with a Receive Maximum, and one to publish with.
fn limited(receive_maximum: u16) -> (String, Peer, Peer) {
    let topic = unique("t");
    let connect = Connect::new(V, &unique("c")).property(property::receive_maximum(receive_maximum));
    let (mut peer, _) = Peer::accepted(connect);
    peer.subscribe(&topic, 2);
    (topic, peer, Peer::new(V))
}
