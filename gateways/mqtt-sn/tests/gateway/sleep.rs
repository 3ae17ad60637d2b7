use std::time::Duration;

use bus::{Ack, DeliveryId, Event, Qos, Reason};
use harness::delivery;

use crate::*;

const PINGREQ: [u8; 4] = [4, 0x16, b'c', b'1'];

/// `c1`, asleep for 300 s.
fn asleep() -> Bench {
    let mut bench = bench();
    open(&mut bench, 0);
    bench.receive(&[4, 0x18, 1, 44]);
    assert_eq!(bench.take_sent(), [2, 0x18]);
    bench
}

#[test]
fn nothing_is_sent_to_a_sleeping_client() {
    let mut bench = asleep();
    assert_eq!(bench.connection.room(), 0);
    assert!(bench.requests.is_empty(), "it has not left its session");
    bench.idle();
    bench.advance(Duration::from_secs(200));
    assert!(bench.sent.is_empty());
}

#[test]
fn a_sleeping_client_gets_its_messages_on_pingreq_and_pingresp_after_them() {
    let mut bench = asleep();
    bench.receive(&PINGREQ);
    assert!(bench.sent.is_empty(), "PINGRESP comes last");
    for payload in ["1", "2"] {
        bench.deliver(delivery(0, 0, "ab", payload, Qos::AtMostOnce, bench.now));
    }
    bench.idle();
    assert_eq!(
        datagrams(&mut bench),
        [&[8, 0x0C, 2, b'a', b'b', 0, 0, b'1'][..], &[8, 0x0C, 2, b'a', b'b', 0, 0, b'2'], &[2, 0x17]]
    );
    assert_eq!(bench.connection.room(), 0, "asleep again");
}

#[test]
fn without_messages_pingresp_comes_at_once() {
    let mut bench = asleep();
    bench.receive(&PINGREQ);
    bench.idle();
    assert_eq!(bench.take_sent(), [2, 0x17]);
    bench.receive(&PINGREQ);
    bench.idle();
    assert_eq!(bench.take_sent(), [2, 0x17], "again the next time");
}

#[test]
fn pingresp_waits_for_acknowledgements() {
    let mut bench = asleep();
    bench.receive(&PINGREQ);
    bench.deliver(delivery(9, 0, "a/b", "x", Qos::ExactlyOnce, bench.now));
    assert!(!bench.connection.wants_idle());
    assert_eq!(bench.take_sent(), [9, 0x0A, 0, 43, 0, 1, b'a', b'/', b'b']);
    bench.receive(&[7, 0x0B, 0, 43, 0, 1, 0]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x40, 0, 43, 0, 9, b'x']);
    bench.receive(&[4, 0x0F, 0, 9]);
    assert_eq!(bench.take_sent(), [4, 0x10, 0, 9]);
    bench.idle();
    assert!(bench.sent.is_empty());
    bench.receive(&[4, 0x0E, 0, 9]);
    bench.idle();
    assert_eq!(bench.take_sent(), [2, 0x17]);
}

#[test]
fn an_unacknowledged_message_comes_again_when_the_client_wakes_up() {
    let mut bench = bench();
    open(&mut bench, 0);
    bench.deliver(delivery(9, 0, "ab", "x", Qos::AtLeastOnce, bench.now));
    bench.receive(&[4, 0x18, 1, 44]);
    bench.take_sent();
    bench.advance(Duration::from_secs(100));
    assert!(bench.sent.is_empty(), "nothing is sent again during sleep");
    bench.receive(&PINGREQ);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xA2, b'a', b'b', 0, 9, b'x']);
    bench.receive(&[7, 0x0D, b'a', b'b', 0, 9, 0]);
    assert_eq!(bench.acks, [(DeliveryId::new(9).unwrap(), Ack::Complete)]);
    bench.idle();
    assert_eq!(bench.take_sent(), [2, 0x17]);
}

#[test]
fn a_client_that_went_back_to_sleep_without_acknowledging_is_not_lost() {
    let mut bench = asleep();
    bench.receive(&PINGREQ);
    bench.deliver(delivery(9, 0, "ab", "x", Qos::AtLeastOnce, bench.now));
    bench.advance(Duration::from_secs(60));
    assert_eq!(bench.closed, None);
    assert_eq!(datagrams(&mut bench).len(), 5, "once, and four times again");
    assert_eq!(bench.connection.room(), 0);
    bench.receive(&PINGREQ);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xA2, b'a', b'b', 0, 9, b'x']);
}

#[test]
fn pingreq_that_was_sent_again_brings_the_message_again() {
    let mut bench = asleep();
    bench.receive(&PINGREQ);
    bench.deliver(delivery(9, 0, "ab", "x", Qos::AtLeastOnce, bench.now));
    bench.take_sent();
    bench.receive(&PINGREQ);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xA2, b'a', b'b', 0, 9, b'x']);
}

#[test]
fn connect_wakes_the_client_for_good() {
    let mut bench = asleep();
    bench.receive(&connect(0));
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
    assert!(bench.requests.is_empty(), "it never left its session");
    assert!(bench.connection.room() > 0);
    bench.receive(&PINGREQ);
    assert_eq!(bench.take_sent(), [2, 0x17], "an active client is answered at once");
    bench.advance(Duration::from_secs(90));
    assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout), "by its keep alive of 60 s");
}

#[test]
fn a_client_that_sleeps_one_and_a_half_times_too_long_is_lost() {
    let mut bench = asleep();
    bench.advance(Duration::from_secs(449));
    assert_eq!(bench.closed, None);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout));
    assert!(bench.requests.is_empty(), "no good-bye, so the will is published");
}

#[test]
fn pingreq_begins_the_sleep_anew() {
    let mut bench = asleep();
    bench.advance(Duration::from_secs(400));
    bench.receive(&PINGREQ);
    bench.idle();
    bench.advance(Duration::from_secs(449));
    assert_eq!(bench.closed, None);
}

#[test]
fn a_new_disconnect_changes_the_duration_and_one_without_ends_the_session() {
    let mut bench = asleep();
    bench.receive(&[4, 0x18, 0, 10]);
    assert_eq!(bench.take_sent(), [2, 0x18]);
    bench.advance(Duration::from_secs(14));
    assert_eq!(bench.closed, None);
    bench.receive(&[2, 0x18]);
    assert_eq!(bench.take_sent(), [2, 0x18]);
    assert!(matches!(bench.request().1, Request::Disconnect(_)));
}

#[test]
fn a_sleeping_client_may_publish() {
    let mut bench = asleep();
    bench.receive(&[8, 0x0C, 0x22, b'a', b'b', 0, 5, b'x']);
    let (ticket, _) = published(&mut bench);
    take_published(&mut bench, ticket);
    assert_eq!(bench.take_sent(), [7, 0x0D, b'a', b'b', 0, 5, 0]);
    assert_eq!(bench.connection.room(), 0, "and sleeps on");
}

#[test]
fn pingreq_of_an_unknown_client_is_answered_with_disconnect() {
    let mut bench = asleep();
    bench.receive(&[4, 0x16, b'c', b'2']);
    assert_eq!(bench.take_sent(), [2, 0x18]);
    assert_eq!(bench.connection.room(), 0);
    assert_eq!(bench.closed, None);
}

#[test]
fn what_was_to_be_released_waits_for_the_client_to_wake_up() {
    let mut bench = asleep();
    bench.handle(Event::Release(DeliveryId::new(9).unwrap()));
    assert!(bench.sent.is_empty());
    bench.receive(&PINGREQ);
    assert_eq!(bench.take_sent(), [4, 0x10, 0, 9]);
}

#[test]
fn a_connect_of_a_sleeping_client_wakes_it_whatever_its_flags() {
    for flags in [CLEAN, WILL, CLEAN | WILL] {
        let mut bench = registered("a/b");
        bench.receive(&[4, 0x18, 1, 44]);
        bench.take_sent();
        bench.receive(&connect(flags));
        assert_eq!(bench.take_sent(), [3, 0x05, 0]);
        assert!(bench.requests.is_empty(), "its subscriptions and messages are still there");
        bench.deliver(delivery(0, 0, "a/b", "x", Qos::AtMostOnce, bench.now));
        let type_and_id = bench.take_sent()[1..4].to_vec();
        match flags & CLEAN {
            0 => assert_eq!(type_and_id, [0x0C, 0, 0], "PUBLISH at once"),
            _ => assert_eq!(type_and_id, [0x0A, 0, 43], "REGISTER of the same id: it may have restarted"),
        }
    }
}

#[test]
fn the_keep_alive_counts_again_once_the_client_is_back() {
    let mut bench = asleep();
    bench.advance(Duration::from_secs(449));
    assert_eq!(bench.closed, None, "300 s of sleep, and half as much");
    bench.receive(&connect(0));
    bench.advance(Duration::from_secs(89));
    assert_eq!(bench.closed, None);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout), "60 s of silence, and half as much");
}

#[test]
fn what_was_sent_and_not_answered_before_the_sleep_comes_before_pingresp() {
    let mut bench = bench();
    open(&mut bench, 0);
    bench.deliver(delivery(9, 0, "ab", "x", Qos::AtLeastOnce, bench.now));
    bench.handle(Event::Deliver(delivery(0, 0, "ab", "y", Qos::AtMostOnce, bench.now)));
    bench.receive(&[4, 0x18, 1, 44]);
    bench.take_sent();
    bench.advance(Duration::from_secs(100));
    assert!(bench.sent.is_empty(), "no retry to who sleeps");
    bench.receive(&PINGREQ);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xA2, b'a', b'b', 0, 9, b'x'], "with DUP");
    bench.idle();
    assert!(bench.sent.is_empty());
    bench.receive(&[7, 0x0D, b'a', b'b', 0, 9, 0]);
    bench.idle();
    assert_eq!(datagrams(&mut bench), [&[8, 0x0C, 2, b'a', b'b', 0, 0, b'y'][..], &[2, 0x17]]);
}
