use std::time::Duration;

use bus::{Ack, Delivery, DeliveryId, Event, Matched, Qos, Reason, SubscriptionId};
use harness::delivery;

use crate::*;

const REGISTER: [u8; 9] = [9, 0x0A, 0, 43, 0, 1, b'a', b'/', b'b'];
const REGACK: [u8; 7] = [7, 0x0B, 0, 43, 0, 1, 0];

fn deliver(bench: &mut Bench, id: u16, topic: &str, qos: Qos) {
    let delivery = delivery(id, 0, topic, "x", qos, bench.now);
    bench.deliver(delivery);
}

fn id(id: u16) -> DeliveryId {
    DeliveryId::new(id).unwrap()
}

#[test]
fn an_unknown_topic_is_registered_before_its_first_message() {
    let mut bench = connected();
    deliver(&mut bench, 0, "a/b", Qos::AtMostOnce);
    assert_eq!(bench.take_sent(), REGISTER);
    assert_eq!(bench.connection.room(), 0, "one at a time");
    bench.receive(&REGACK);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x00, 0, 43, 0, 0, b'x']);
    deliver(&mut bench, 0, "a/b", Qos::AtMostOnce);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x00, 0, 43, 0, 0, b'x'], "now it is known");
}

#[test]
fn a_topic_the_client_registered_is_not_registered_again() {
    let mut bench = registered("a/b");
    deliver(&mut bench, 0, "a/b", Qos::AtMostOnce);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x00, 0, 43, 0, 0, b'x']);
}

#[test]
fn a_name_of_two_octets_needs_no_registration() {
    let mut bench = connected();
    deliver(&mut bench, 0, "ab", Qos::AtMostOnce);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x02, b'a', b'b', 0, 0, b'x']);
}

#[test]
fn who_subscribed_by_a_predefined_id_gets_it_back() {
    let mut bench = connected();
    bench.receive(&[7, 0x12, 0x01, 0, 5, 0, 7]);
    let (ticket, request) = bench.request();
    let Request::Subscribe(subscriptions) = request else { panic!("{request:?}") };
    bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtMostOnce)]));
    bench.take_sent();
    let made = delivery(0, subscriptions[0].id.0, "pre/seven", "x", Qos::AtMostOnce, bench.now);
    let overlapping = Matched::Many([SubscriptionId(0), subscriptions[0].id].into());
    for matched in [made.matched.clone(), overlapping] {
        bench.deliver(Delivery { matched, ..made.clone() });
        assert_eq!(bench.take_sent(), [8, 0x0C, 0x01, 0, 7, 0, 0, b'x']);
    }
}

#[test]
fn retained_and_repeated_messages_say_so() {
    let mut bench = registered("a/b");
    let made = delivery(9, 0, "a/b", "x", Qos::AtLeastOnce, bench.now);
    bench.deliver(Delivery { retain: true, duplicate: true, ..made });
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xB0, 0, 43, 0, 9, b'x']);
}

#[test]
fn qos_1_is_complete_with_puback_and_the_next_waits_for_it() {
    let mut bench = registered("a/b");
    let now = bench.now;
    bench.handle(Event::Deliver(delivery(9, 0, "a/b", "1", Qos::AtLeastOnce, now)));
    bench.handle(Event::Deliver(delivery(0, 0, "a/b", "2", Qos::AtMostOnce, now)));
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x20, 0, 43, 0, 9, b'1']);
    bench.receive(&[7, 0x0D, 0, 43, 0, 8, 0]);
    assert!(bench.acks.is_empty(), "that acknowledges something else");
    bench.receive(&[7, 0x0D, 0, 43, 0, 9, 0]);
    assert_eq!(bench.acks, [(id(9), Ack::Complete)]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x00, 0, 43, 0, 0, b'2']);
    assert!(bench.connection.room() > 0);
}

#[test]
fn qos_2_passes_pubrec_pubrel_and_pubcomp() {
    let mut bench = registered("a/b");
    deliver(&mut bench, 9, "a/b", Qos::ExactlyOnce);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x40, 0, 43, 0, 9, b'x']);
    bench.receive(&[4, 0x0F, 0, 9]);
    assert_eq!(bench.acks, [(id(9), Ack::Received)]);
    assert_eq!(bench.take_sent(), [4, 0x10, 0, 9]);
    bench.receive(&[4, 0x0F, 0, 9]);
    assert_eq!(bench.acks.len(), 1, "PUBREC came again");
    assert_eq!(bench.take_sent(), [4, 0x10, 0, 9]);
    bench.receive(&[4, 0x0E, 0, 9]);
    assert_eq!(bench.acks[1], (id(9), Ack::Complete));
}

#[test]
fn what_an_earlier_connection_left_is_released() {
    let mut bench = connected();
    bench.handle(Event::Release(id(9)));
    assert_eq!(bench.take_sent(), [4, 0x10, 0, 9]);
    bench.advance(Duration::from_secs(10));
    assert_eq!(bench.take_sent(), [4, 0x10, 0, 9]);
    bench.receive(&[4, 0x0E, 0, 9]);
    assert_eq!(bench.acks, [(id(9), Ack::Complete)]);
}

#[test]
fn every_step_is_sent_again_and_then_the_client_is_lost() {
    let register = |bench: &mut Bench| deliver(bench, 9, "a/b", Qos::AtLeastOnce);
    let publish = |bench: &mut Bench| deliver(bench, 9, "ab", Qos::AtLeastOnce);
    let release = |bench: &mut Bench| bench.handle(Event::Release(id(9)));
    type Step = (fn(&mut Bench), &'static [u8]);
    let steps: [Step; 3] = [
        (register, &REGISTER),
        (publish, &[8, 0x0C, 0xA2, b'a', b'b', 0, 9, b'x']),
        (release, &[4, 0x10, 0, 9]),
    ];
    for (begin, again) in steps {
        let mut bench = connected();
        begin(&mut bench);
        bench.take_sent();
        for _ in 0..4 {
            bench.advance(Duration::from_secs(10));
            assert_eq!(bench.take_sent(), again);
        }
        assert_eq!(bench.closed, None);
        bench.advance(Duration::from_secs(10));
        assert_eq!(bench.closed, Some(Reason::NotAcknowledged));
        assert!(bench.acks.is_empty(), "it stays the session's");
    }
}

#[test]
fn a_refused_registration_drops_that_message_and_the_next_goes_on() {
    let mut bench = connected();
    let now = bench.now;
    bench.handle(Event::Deliver(delivery(9, 0, "a/b", "x", Qos::AtLeastOnce, now)));
    bench.handle(Event::Deliver(delivery(0, 0, "ab", "y", Qos::AtMostOnce, now)));
    bench.take_sent();
    bench.receive(&[7, 0x0B, 0, 43, 0, 1, 3]);
    assert_eq!(bench.acks, [(id(9), Ack::Reject(Reason::TopicInvalid))]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x02, b'a', b'b', 0, 0, b'y']);
}

#[test]
fn an_invalid_topic_id_is_registered_again_once() {
    let mut bench = registered("a/b");
    deliver(&mut bench, 9, "a/b", Qos::AtLeastOnce);
    bench.take_sent();
    bench.receive(&[7, 0x0D, 0, 43, 0, 9, 2]);
    assert_eq!(bench.take_sent(), [9, 0x0A, 0, 44, 0, 1, b'a', b'/', b'b']);
    bench.receive(&[7, 0x0B, 0, 44, 0, 1, 0]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x20, 0, 44, 0, 9, b'x']);
    bench.receive(&[7, 0x0D, 0, 44, 0, 9, 2]);
    assert_eq!(bench.acks, [(id(9), Ack::Reject(Reason::TopicAliasInvalid))]);
}

#[test]
fn a_predefined_id_that_the_client_does_not_know_is_replaced_by_a_registered_one() {
    let mut bench = connected();
    bench.deliver(delivery(9, 0x1_0007, "pre/seven", "x", Qos::AtLeastOnce, bench.now));
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x21, 0, 7, 0, 9, b'x']);
    bench.receive(&[7, 0x0D, 0, 7, 0, 9, 2]);
    assert_eq!(bench.take_sent()[..6], [15, 0x0A, 0, 43, 0, 1]);
}

#[test]
fn a_refused_message_of_qos_0_registers_the_topic_again_for_the_next() {
    let mut bench = registered("a/b");
    deliver(&mut bench, 0, "a/b", Qos::AtMostOnce);
    bench.receive(&[7, 0x0D, 0, 43, 0, 0, 2]);
    bench.take_sent();
    deliver(&mut bench, 0, "a/b", Qos::AtMostOnce);
    assert_eq!(bench.take_sent(), [9, 0x0A, 0, 44, 0, 1, b'a', b'/', b'b']);
}

#[test]
fn a_congested_client_is_asked_again_later_and_not_lost() {
    let mut bench = registered("a/b");
    deliver(&mut bench, 9, "a/b", Qos::AtLeastOnce);
    bench.take_sent();
    bench.receive(&[7, 0x0D, 0, 43, 0, 9, 1]);
    assert!(bench.sent.is_empty() && bench.acks.is_empty());
    bench.advance(Duration::from_secs(10));
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xA0, 0, 43, 0, 9, b'x']);
    bench.advance(Duration::from_secs(40));
    assert_eq!(bench.acks, [(id(9), Ack::Reject(Reason::QuotaExceeded))]);
    assert_eq!(bench.closed, None);
}

#[test]
fn a_message_the_client_does_not_support_is_rejected() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut bench = registered("a/b");
        deliver(&mut bench, 9, "a/b", qos);
        bench.receive(&[7, 0x0D, 0, 43, 0, 9, 3]);
        assert_eq!(bench.acks, [(id(9), Ack::Reject(Reason::UnsupportedFeature))]);
    }
}

#[test]
fn a_message_too_large_for_a_datagram_is_rejected() {
    let mut bench = bench_with(Config { datagram: 20, ..config() }, Limits::default());
    open(&mut bench, CLEAN);
    let now = bench.now;
    bench.deliver(delivery(9, 0, "ab", &"x".repeat(13), Qos::AtLeastOnce, now));
    assert_eq!(bench.take_sent().len(), 20);
    bench.receive(&[7, 0x0D, b'a', b'b', 0, 9, 0]);
    bench.deliver(delivery(10, 0, "ab", &"x".repeat(14), Qos::AtLeastOnce, now));
    bench.deliver(delivery(11, 0, &"t".repeat(20), "x", Qos::AtLeastOnce, now));
    let rejected = Ack::Reject(Reason::PacketTooLarge);
    assert_eq!(bench.acks[1..], [(id(10), rejected), (id(11), rejected)]);
    assert!(bench.sent.is_empty());
}

#[test]
fn topics_the_client_was_told_make_room_for_new_ones() {
    let mut bench = bench_with(config(), Limits { topic_aliases: 1, ..Limits::default() });
    open(&mut bench, CLEAN);
    for (topic, id, msg_id) in [("first", 43, 1), ("other", 44, 2), ("first", 45, 3)] {
        deliver(&mut bench, 0, topic, Qos::AtMostOnce);
        assert_eq!(bench.take_sent()[..6], [11, 0x0A, 0, id, 0, msg_id], "{topic}");
        bench.receive(&[7, 0x0B, 0, id, 0, msg_id, 0]);
        bench.take_sent();
    }
    bench.receive(&[8, 0x0C, 0, 0, 43, 0, 0, b'x']);
    assert_eq!(bench.take_sent(), [7, 0x0D, 0, 43, 0, 0, 2], "an old id leads nowhere else");
}

#[test]
fn registrations_that_cross_give_the_topic_one_id() {
    let mut bench = connected();
    bench.deliver(delivery(9, 0, "a/b", "x", Qos::AtLeastOnce, bench.now));
    assert_eq!(bench.take_sent(), [9, 0x0A, 0, 43, 0, 1, b'a', b'/', b'b']);
    bench.receive(&register(1, "a/b"));
    assert_eq!(bench.take_sent(), [7, 0x0B, 0, 43, 0, 1, 0], "the same id, with the client's MsgId");
    bench.receive(&[7, 0x0B, 0, 43, 0, 2, 0]);
    assert!(bench.sent.is_empty(), "an answer to no registration");
    bench.receive(&[7, 0x0B, 0, 43, 0, 1, 0]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x20, 0, 43, 0, 9, b'x']);
    bench.receive(&[7, 0x0B, 0, 43, 0, 1, 0]);
    assert!(bench.sent.is_empty(), "an answer that comes twice");
}

#[test]
fn answers_that_come_twice_or_late_complete_nothing_else() {
    let mut bench = connected();
    bench.deliver(delivery(9, 0, "ab", "x", Qos::ExactlyOnce, bench.now));
    bench.handle(Event::Deliver(delivery(10, 0, "ab", "y", Qos::ExactlyOnce, bench.now)));
    bench.take_sent();
    bench.receive(&[4, 0x0E, 0, 9]);
    assert!(bench.acks.is_empty() && bench.sent.is_empty(), "PUBCOMP before PUBREC");
    for _ in 0..2 {
        bench.receive(&[4, 0x0F, 0, 9]);
        assert_eq!(bench.take_sent(), [4, 0x10, 0, 9]);
    }
    bench.receive(&[4, 0x0E, 0, 9]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x42, b'a', b'b', 0, 10, b'y']);
    bench.receive(&[4, 0x0F, 0, 9]);
    assert_eq!(bench.take_sent(), [4, 0x10, 0, 9], "a late PUBREC: the client can finish");
    bench.receive(&[4, 0x0E, 0, 9]);
    let acks: Vec<_> = bench.acks.iter().map(|(id, ack)| (id.get(), *ack)).collect();
    assert_eq!(acks, [(9, Ack::Received), (9, Ack::Complete)]);
}
