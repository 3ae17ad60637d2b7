//! Bytes nobody planned for.

use suite::for_both;
use suite::mqtt::wire::{PINGREQ, puback, pubcomp, pubrec, pubrel, subscribe, unsubscribe};
use suite::mqtt::{Connect, Peer, Publish, Version, Will, property, unique};

for_both!(no_bytes_disturb_other_clients);

/// 3.1.1 [MQTT-4.8.0-1], 5 [MQTT-4.13.1-1]
fn no_bytes_disturb_other_clients(v: Version) {
    let (topic, name) = (unique("t"), unique("c"));
    let (mut watcher, mut publisher) = (Peer::new(v), Peer::new(v));
    watcher.subscribe(&topic, 2);
    let connect = Connect::new(v, &name)
        .will(Will::new(&unique("t"), "will").property(property::will_delay(1)))
        .property(property::receive_maximum(5))
        .property(property::topic_alias_maximum(5))
        .bytes();
    let packets = [
        Publish::new(v, &name, "0").property(property::topic_alias(1)).bytes(),
        Publish::new(v, &name, "1").qos(1, 1).property(property::user_property("a", "b")).bytes(),
        Publish::new(v, &name, "2").qos(2, 2).property(property::message_expiry(5)).bytes(),
        subscribe(v, 1, &[(&name, 2), (&format!("$share/g/{name}"), 1)]),
        unsubscribe(v, 2, &[&name]),
        puback(1),
        pubrec(1),
        pubrel(2),
        pubcomp(1),
        PINGREQ.to_vec(),
        connect.clone(),
        vec![0xE0, 0],
        vec![0xF0, 0],
    ];
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for round in 0..300_u16 {
        let mut bytes = connect.clone();
        for _ in 0..4 {
            bytes.extend(&packets[chance.below(packets.len())]);
        }
        // A third of the rounds leave CONNECT whole, so that what follows is looked at.
        let first = if round % 3 == 0 { 0 } else { connect.len() };
        for _ in 0..=chance.below(3) {
            let place = first + chance.below(bytes.len() - first);
            match chance.below(4) {
                0 => bytes[place] = chance.below(256) as u8,
                1 => bytes[place] ^= 1 << chance.below(8),
                2 => bytes.truncate(place + 1),
                _ => bytes.insert(place, chance.below(256) as u8),
            }
        }
        Peer::sending(v, &bytes).vanish();
        if round % 50 == 0 {
            publisher.publish(Publish::new(v, &topic, round.to_string()).qos(2, 1 + round));
            assert_eq!(watcher.receive().text(), round.to_string());
        }
    }
    publisher.leave();
    watcher.leave();
}

/// Numbers that look random and are the same in every run.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
