//! Every packet in every state.

use bus::{EnhancedAuthentication, Event, Lane};

use super::*;

/// One packet of each type; AUTH has the method `M`.
const PACKETS_5: [&[u8]; 15] = [
    CONNECT_5,
    b"\x20\x03\x00\x00\x00",
    b"\x32\x07\x00\x01a\x00\x01\x00x",
    b"\x40\x02\x00\x01",
    b"\x50\x02\x00\x01",
    b"\x62\x02\x00\x01",
    b"\x70\x02\x00\x01",
    b"\x82\x07\x00\x01\x00\x00\x01a\x00",
    b"\x90\x04\x00\x01\x00\x00",
    b"\xA2\x06\x00\x01\x00\x00\x01a",
    b"\xB0\x04\x00\x01\x00\x00",
    b"\xC0\x00",
    b"\xD0\x00",
    b"\xE0\x00",
    b"\xF0\x06\x18\x04\x15\x00\x01M",
];

/// The same of MQTT 3.1.1, which has no AUTH.
const PACKETS_311: [&[u8]; 15] = [
    CONNECT_311,
    b"\x20\x02\x00\x00",
    b"\x32\x06\x00\x01a\x00\x01x",
    b"\x40\x02\x00\x01",
    b"\x50\x02\x00\x01",
    b"\x62\x02\x00\x01",
    b"\x70\x02\x00\x01",
    b"\x82\x06\x00\x01\x00\x01a\x00",
    b"\x90\x03\x00\x01\x00",
    b"\xA2\x05\x00\x01\x00\x01a",
    b"\xB0\x02\x00\x01",
    b"\xC0\x00",
    b"\xD0\x00",
    b"\xE0\x00",
    b"\xF0\x00",
];

const VIOLATION: Option<Reason> = Some(Reason::ProtocolViolation);

/// Feeds each packet to a fresh bench, and compares why it closed and how many requests it made.
fn expect(
    packets: [&[u8]; 15],
    fresh: impl Fn() -> Bench,
    outcome: impl Fn(usize) -> (Option<Reason>, usize),
) {
    for (index, packet) in packets.iter().enumerate() {
        let mut bench = fresh();
        bench.requests.clear();
        bench.receive(packet);
        assert_eq!((bench.closed, bench.requests.len()), outcome(index + 1), "packet type {}", index + 1);
    }
}

fn connecting(connect: &[u8]) -> Bench {
    let mut bench = bench();
    bench.receive(connect);
    bench
}

fn challenged() -> Bench {
    let mut bench = connecting(&connect_5(b"\x15\x00\x01M"));
    let (ticket, _) = bench.request();
    let step = EnhancedAuthentication { method: "M".into(), data: "?".into() };
    bench.reply(ticket, Reply::Challenge(step));
    bench
}

fn closed() -> Bench {
    let mut bench = connected(CONNECT_5);
    bench.handle(Event::Close(Reason::Kicked));
    bench
}

#[test]
fn before_connect_only_connect_is_taken() {
    for packets in [PACKETS_5, PACKETS_311] {
        expect(packets, bench, |kind| if kind == 1 { (None, 1) } else { (VIOLATION, 0) });
    }
}

#[test]
fn before_the_reply_to_connect_everything_waits() {
    expect(PACKETS_5, || connecting(CONNECT_5), |_| (None, 0));
    expect(PACKETS_311, || connecting(CONNECT_311), |_| (None, 0));
}

#[test]
fn a_challenge_takes_auth_or_a_farewell() {
    expect(PACKETS_5, challenged, |kind| match kind {
        14 => (Some(Reason::Disconnected), 0),
        15 => (None, 1),
        _ => (VIOLATION, 0),
    });
}

#[test]
fn an_open_session_takes_what_clients_send() {
    let outcome = |kind| match kind {
        1 | 2 | 9 | 11 | 13 | 15 => (VIOLATION, 0),
        3 | 6 | 8 | 10 => (None, 1),
        14 => (Some(Reason::Disconnected), 1),
        _ => (None, 0),
    };
    expect(PACKETS_5, || connected(CONNECT_5), outcome);
    expect(
        PACKETS_311,
        || connected(CONNECT_311),
        |kind| match kind {
            15 => (Some(Reason::Malformed), 0),
            kind => outcome(kind),
        },
    );
}

#[test]
fn a_closed_connection_takes_no_notice() {
    expect(PACKETS_5, closed, |_| (Some(Reason::Kicked), 0));
    let mut bench = closed();
    bench.take_sent();
    bench.handle(Event::Deliver(delivery(1, 0, "a", "x", Qos::AtLeastOnce, bench.now)));
    bench.handle(Event::Release(bus::DeliveryId::new(1).unwrap()));
    bench.handle(Event::Reply(Ticket(0), Err(Reason::Internal)));
    assert!(bench.take_sent().is_empty());
}

#[test]
fn an_answer_goes_on_the_lane_of_its_request_and_other_lanes_wait_for_the_session() {
    let mut bench = bench();
    bench.receive_on(Lane(4), PACKETS_311[2]);
    assert!(bench.requests.is_empty() && bench.closed.is_none());
    let mut bench = connected(CONNECT_311);
    bench.receive_on(Lane(4), PACKETS_311[2]);
    let (ticket, _) = bench.request();
    bench.receive(b"\xC0\x00");
    bench.reply(ticket, Reply::Published { matched: 1 });
    let sent: Vec<_> = bench.sent.drain(..).collect();
    assert_eq!(sent, [(Lane::MAIN, b"\xD0\x00".to_vec()), (Lane(4), b"\x40\x02\x00\x01".to_vec())]);
}
