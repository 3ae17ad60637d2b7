//! Guarantees that hold however often connections are lost.

use std::collections::BTreeSet;
use std::thread;

use suite::for_both;
use suite::mqtt::wire::{puback, pubcomp, pubrec, pubrel};
use suite::mqtt::{Connect, Packet, Peer, Publish, Version, unique};

use super::robust::Chance;

for_both!(
    qos_2_is_exactly_once_and_in_order_over_lost_connections,
    qos_1_is_at_least_once_and_in_order_over_lost_connections,
);

const MESSAGES: u16 = 120;

/// 3.1.1 [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.4.0-1] [MQTT-4.6.0-6] [MQTT-3.1.2-5],
/// 5 [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT-4.4.0-1] [MQTT-4.6.0-5] [MQTT-3.1.2-5]
fn qos_2_is_exactly_once_and_in_order_over_lost_connections(v: Version) {
    let seen = over_lost_connections(v, 2);
    assert_eq!(seen, (1..=MESSAGES).collect::<Vec<_>>());
}

/// 3.1.1 [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.4.0-1] [MQTT-4.6.0-6] [MQTT-3.1.2-5],
/// 5 [MQTT-4.3.2-3] [MQTT-4.3.2-4] [MQTT-4.4.0-1] [MQTT-4.6.0-5] [MQTT-3.1.2-5]
fn qos_1_is_at_least_once_and_in_order_over_lost_connections(v: Version) {
    let mut first = over_lost_connections(v, 1);
    let mut known = BTreeSet::new();
    first.retain(|number| known.insert(*number));
    assert_eq!(first, (1..=MESSAGES).collect::<Vec<_>>());
}

/// The numbers that arrive, where both ends lose their connections again and again and take up their sessions.
fn over_lost_connections(v: Version, qos: u8) -> Vec<u16> {
    let topic = unique("t");
    let mut subscriber = Unlucky::new(v, 3);
    subscriber.peer.subscribe(&topic, qos);
    let subscriber = thread::spawn(move || subscriber.take_all());
    let mut publisher = Unlucky::new(v, 5);
    for number in 1..=MESSAGES {
        publisher.publish(&Publish::new(v, &topic, number.to_string()).qos(qos, number), number);
    }
    publisher.peer.leave();
    subscriber.join().expect("the subscriber got everything")
}

/// A client that keeps its session and loses its connection every now and then.
struct Unlucky {
    connect: Connect,
    peer: Peer,
    chance: Chance,
}

impl Unlucky {
    fn new(v: Version, seed: u64) -> Self {
        let connect = Connect::to_session(v, &unique("c"));
        Self { peer: Peer::accepted(connect.clone()).0, connect, chance: Chance(seed) }
    }

    /// Loses the connection, or not. What was sent last may be lost with it.
    fn is_cut_off(&mut self) -> bool {
        let cut_off = self.chance.below(5) == 0;
        if cut_off {
            let (peer, connack) = Peer::accepted(self.connect.clone());
            assert!(connack.session_present);
            std::mem::replace(&mut self.peer, peer).vanish();
        }
        cut_off
    }

    /// Publishes, and after each loss goes on where the standard says.
    fn publish(&mut self, publish: &Publish, id: u16) {
        let mut next = publish.bytes();
        loop {
            self.peer.send(&next);
            if self.is_cut_off() {
                if next[0] & 0xF0 == 0x30 {
                    next = publish.clone().dup().bytes();
                }
                continue;
            }
            let answer = self.peer.next();
            assert_eq!(answer.id(), id, "{answer:?}");
            match answer.kind() {
                5 => next = pubrel(id),
                _ => return,
            }
        }
    }

    /// Takes messages until the last of them is complete.
    fn take_all(mut self) -> Vec<u16> {
        let mut seen = Vec::new();
        let mut unreleased = BTreeSet::new();
        while seen.last() != Some(&MESSAGES) || !unreleased.is_empty() {
            let packet = self.peer.next();
            let answer = match packet.kind() {
                3 => take(&packet, &mut seen, &mut unreleased),
                _ => {
                    unreleased.remove(&packet.id());
                    pubcomp(packet.id())
                }
            };
            if !self.is_cut_off() {
                self.peer.send(&answer);
                self.is_cut_off();
            }
        }
        self.peer.vanish();
        seen
    }
}

/// Notes the number of a message that is not a duplicate, and answers it.
fn take(packet: &Packet, seen: &mut Vec<u16>, unreleased: &mut BTreeSet<u16>) -> Vec<u8> {
    let delivery = packet.delivery();
    let is_new = delivery.qos == 1 || unreleased.insert(delivery.id);
    if is_new {
        seen.push(delivery.text().parse().expect("a number"));
    } else {
        assert!(delivery.dup, "a packet id in use came with another message: {packet:?}");
    }
    if delivery.qos == 1 { puback(delivery.id) } else { pubrec(delivery.id) }
}
