use std::time::Duration;

use bus::{Ack, Address, Carrier, DeliveryId, Link, Qos};
use harness::{Bench, delivery};

use crate::*;

const PINGREQ: &[u8] = &[2, 0x16];
const PINGRESP: &[u8] = &[2, 0x17];
const DISCONNECT: &[u8] = &[2, 0x18];

/// `c1`, connected over DTLS.
fn secured() -> Bench {
    let link = Link { carrier: Carrier::Dtls, secured: Some(std::sync::Arc::default()) };
    let mut bench = Bench::over(&MqttSn::new(config(), Limits::default()), Transport::Datagram, link);
    open(&mut bench, CLEAN);
    bench
}

fn moved(bench: &mut Bench) {
    bench.connection.moved(Address::Socket(([198, 51, 100, 9], 9).into()), false);
}

#[test]
fn a_client_that_has_moved_is_asked_whether_it_hears() {
    let mut bench = secured();
    moved(&mut bench);
    bench.receive(PINGREQ);
    assert_eq!(bench.take_sent(), [PINGRESP, PINGREQ].concat());
    assert!(!bench.connection.is_reached());
    bench.receive(PINGRESP);
    assert!(bench.connection.is_reached());
    bench.receive(PINGREQ);
    assert_eq!(bench.take_sent(), PINGRESP, "it is known");
}

#[test]
fn an_answer_to_what_was_asked_elsewhere_shows_nothing() {
    let mut bench = secured();
    moved(&mut bench);
    bench.receive(PINGREQ);
    bench.take_sent();
    moved(&mut bench);
    bench.receive(PINGRESP);
    assert!(!bench.connection.is_reached());
    assert_eq!(bench.take_sent(), PINGREQ);
}

#[test]
fn a_client_that_does_not_answer_is_asked_a_few_times_for_what_it_sends() {
    let mut bench = secured();
    moved(&mut bench);
    for _ in 0..10 {
        bench.receive(&[7, 0x0C, 2, b'a', b'b', 0, 0]);
    }
    assert_eq!(datagrams(&mut bench), vec![PINGREQ; config().retries.into()]);
}

/// What went wrong: who had missed what it was asked four times was never asked again, whatever it did.
#[test]
fn a_client_that_does_not_answer_is_asked_again_when_it_pings_or_connects() {
    let mut bench = secured();
    moved(&mut bench);
    for _ in 0..10 {
        bench.receive(PINGREQ);
        assert_eq!(datagrams(&mut bench), [PINGRESP, PINGREQ]);
    }
    bench.receive(&connect(CLEAN));
    bench.request();
    bench.accept_connect(false);
    assert_eq!(datagrams(&mut bench), [&[3, 0x05, 0], PINGREQ]);
}

/// What went wrong: a client that woke up at another address was not asked, and most of what it woke up for was lost.
#[test]
fn a_client_that_wakes_up_elsewhere_is_asked_and_gets_its_messages_when_it_answers() {
    let mut bench = secured();
    bench.receive(&[4, 0x18, 1, 44]);
    assert_eq!(bench.take_sent(), DISCONNECT);
    moved(&mut bench);
    bench.receive(&[4, 0x16, b'c', b'1']);
    assert_eq!(bench.take_sent(), PINGREQ);
    assert_eq!(bench.connection.room(), 1);
    bench.deliver(delivery(0, 0, "ab", "x", Qos::AtMostOnce, bench.now));
    assert!(bench.sent.is_empty() && !bench.connection.wants_idle(), "it waits");
    assert_eq!(bench.connection.room(), 0);
    bench.receive(PINGRESP);
    assert_eq!(bench.take_sent(), [8, 0x0C, 2, b'a', b'b', 0, 0, b'x']);
    assert!(bench.connection.room() > 1);
    bench.idle();
    assert_eq!(bench.take_sent(), PINGRESP);
}

#[test]
fn a_client_that_wakes_up_elsewhere_for_nothing_may_sleep_on_and_is_asked_the_next_time() {
    let mut bench = secured();
    bench.receive(&[4, 0x18, 1, 44]);
    bench.take_sent();
    moved(&mut bench);
    for _ in 0..10 {
        bench.receive(&[4, 0x16, b'c', b'1']);
        bench.idle();
        assert_eq!(datagrams(&mut bench), [PINGREQ, PINGRESP]);
    }
    assert!(!bench.connection.is_reached());
}

#[test]
fn who_agrees_to_a_registration_hears() {
    let mut bench = secured();
    moved(&mut bench);
    bench.deliver(delivery(0, 0, "a/b", "x", Qos::AtMostOnce, bench.now));
    let register = [9, 0x0A, 0, 43, 0, 1, b'a', b'/', b'b'];
    assert_eq!(bench.take_sent(), register);
    bench.receive(&[7, 0x0B, 0, 43, 0, 1, 0]);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0, 0, 43, 0, 0, b'x']);
    assert!(bench.connection.is_reached());
    // The number of what it was sent elsewhere says nothing.
    bench.deliver(delivery(0, 0, "a/c", "x", Qos::AtMostOnce, bench.now));
    assert_eq!(bench.take_sent(), [9, 0x0A, 0, 44, 0, 2, b'a', b'/', b'c']);
    moved(&mut bench);
    bench.receive(&[7, 0x0B, 0, 44, 0, 2, 0]);
    assert!(!bench.connection.is_reached());
}

#[test]
fn a_topic_that_is_known_is_registered_to_see_who_hears() {
    for refused in [0, 3] {
        let mut bench = secured();
        bench.receive(&register(1, "a/b"));
        bench.take_sent();
        moved(&mut bench);
        bench.deliver(delivery(9, 0, "a/b", "x", Qos::AtLeastOnce, bench.now));
        assert_eq!(bench.take_sent(), [9, 0x0A, 0, 43, 0, 1, b'a', b'/', b'b']);
        bench.receive(&[7, 0x0B, 0, 43, 0, 1, refused]);
        assert_eq!(
            bench.take_sent(),
            [8, 0x0C, 0x20, 0, 43, 0, 9, b'x'],
            "the client knows the id all the same"
        );
    }
    // An answer to PINGREQ is as good, and what was registered needs no answer then.
    let mut bench = secured();
    bench.receive(&register(1, "a/b"));
    moved(&mut bench);
    bench.receive(PINGREQ);
    bench.deliver(delivery(0, 0, "a/b", "x", Qos::AtMostOnce, bench.now));
    bench.take_sent();
    bench.receive(PINGRESP);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0, 0, 43, 0, 0, b'x']);
    bench.advance(Duration::from_secs(30));
    assert!(bench.sent.is_empty());
}

#[test]
fn who_acknowledges_what_it_was_first_sent_here_hears() {
    let mut bench = secured();
    moved(&mut bench);
    bench.deliver(delivery(9, 0, "ab", "x", Qos::AtLeastOnce, bench.now));
    assert_eq!(bench.take_sent(), [8, 0x0C, 0x22, b'a', b'b', 0, 9, b'x']);
    moved(&mut bench);
    bench.receive(&[7, 0x0D, b'a', b'b', 0, 9, 0]);
    assert_eq!(bench.acks, [(DeliveryId::new(9).unwrap(), Ack::Complete)]);
    assert!(!bench.connection.is_reached(), "that it was sent elsewhere");
    bench.deliver(delivery(10, 0, "ab", "y", Qos::ExactlyOnce, bench.now));
    bench.receive(&[4, 0x0F, 0, 10]);
    assert!(bench.connection.is_reached());
}

#[test]
fn a_client_that_sleeps_is_not_asked() {
    let mut bench = secured();
    moved(&mut bench);
    bench.receive(&[4, 0x18, 0, 60]);
    assert_eq!(bench.take_sent(), DISCONNECT);
}
