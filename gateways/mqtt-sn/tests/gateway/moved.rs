use bus::{Address, Carrier, Link};
use harness::Bench;

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
fn a_client_that_does_not_answer_is_asked_a_few_times() {
    let mut bench = secured();
    moved(&mut bench);
    for _ in 0..10 {
        bench.receive(PINGREQ);
    }
    let asked = bench.take_sent().chunks(2).filter(|packet| *packet == PINGREQ).count();
    assert_eq!(asked, usize::from(config().retries));
}

#[test]
fn a_client_that_sleeps_is_not_asked() {
    let mut bench = secured();
    moved(&mut bench);
    bench.receive(&[4, 0x18, 0, 60]);
    assert_eq!(bench.take_sent(), DISCONNECT);
}
