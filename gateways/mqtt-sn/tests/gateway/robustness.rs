use std::time::Duration;

use bus::{Chance, Event, Qos};
use harness::delivery;

use crate::table::{accept_all, in_state};
use crate::*;

const MESSAGES: [&[u8]; 12] = [
    &[8, 0x04, 0x0C, 1, 0, 60, b'c', b'1'],
    &[4, 0x07, 0x30, b'w'],
    &[5, 0x09, b'b', b'y', b'e'],
    &[9, 0x0A, 0, 0, 0, 1, b'a', b'/', b'b'],
    &[7, 0x0B, 0, 43, 0, 1, 0],
    &[9, 0x0C, 0x20, 0, 43, 0, 1, b'h', b'i'],
    &[7, 0x0D, 0, 43, 0, 9, 0],
    &[8, 0x12, 0x20, 0, 5, b'a', b'/', b'#'],
    &[7, 0x14, 1, 0, 5, 0, 7],
    &[4, 0x16, b'c', b'1'],
    &[4, 0x18, 1, 44],
    &[6, 0xFE, 0, 1, 2, 3, 4, 0x1A, 0, b'w'],
];

#[test]
fn no_prefix_and_no_changed_octet_makes_a_connection_panic() {
    for state in ["no session", "awaiting WILLTOPIC", "active", "asleep", "awake"] {
        for message in MESSAGES {
            for end in 0..message.len() {
                in_state(state).receive(&message[..end]);
            }
            for at in 0..message.len() {
                for octet in [0, 1, 2, 0x20, 0x60, 0x7F, 0x80, 0xFE, 0xFF] {
                    let mut changed = message.to_vec();
                    changed[at] = octet;
                    in_state(state).receive(&changed);
                }
            }
        }
    }
}

#[test]
fn no_order_of_messages_deliveries_and_time_makes_a_connection_panic_or_send_too_much() {
    let mut chance = Chance::new(0x5EED);
    for _ in 0..300 {
        let mut bench = bench();
        for step in 0..200_u16 {
            if bench.closed.is_some() {
                break;
            }
            match chance.below(10) {
                0..6 => bench.receive(MESSAGES[chance.below(MESSAGES.len() - 1)]),
                6 => accept_all(&mut bench),
                7 => bench.advance(Duration::from_secs(chance.below(12) as u64)),
                8 if bench.connection.room() > 0 => {
                    let qos = Qos::from_level(chance.below(3) as u8).unwrap();
                    let id = if qos == Qos::AtMostOnce { 0 } else { step + 1 };
                    let topic = ["a/b", "ab", "pre/seven"][chance.below(3)];
                    bench.deliver(delivery(id, 0x1_0007, topic, "x", qos, bench.now));
                }
                8 => bench.handle(Event::Idle),
                _ => bench.idle(),
            }
            assert!(bench.sent.len() <= 40, "so much at once");
            bench.sent.clear();
        }
    }
}
