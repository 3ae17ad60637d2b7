use bus::{Disconnect, Event, SessionExpiry};

use super::*;

fn left(bench: &mut Bench) -> Disconnect {
    let (ticket, request) = bench.request();
    assert_eq!(ticket, Ticket::NONE);
    let Request::Disconnect(disconnect) = request else { panic!("no disconnect: {request:?}") };
    disconnect
}

#[test]
fn a_client_leaves_without_its_will_unless_mqtt_5_asks_for_it() {
    let cases = [
        (CONNECT_311, &b"\xE0\x00"[..], false),
        (CONNECT_5, b"\xE0\x00", false),
        (CONNECT_5, b"\xE0\x01\x04", true),
        (CONNECT_5, b"\xE0\x01\x80", true),
    ];
    for (connect, disconnect, publish_will) in cases {
        let mut bench = connected(connect);
        bench.receive(&[disconnect, b"\xC0\x00"].concat());
        assert_eq!(left(&mut bench), Disconnect { publish_will, session_expiry: None });
        let reason = if publish_will { Reason::DisconnectedWithWill } else { Reason::Disconnected };
        assert_eq!((bench.take_sent(), bench.closed), (Vec::new(), Some(reason)));
        assert_eq!((bench.connection.room(), bench.connection.deadline()), (0, None));
    }
}

#[test]
fn a_leaving_client_changes_its_session_expiry_but_not_from_zero() {
    let disconnect = b"\xE0\x07\x00\x05\x11\x00\x00\x00\x64";
    let config = Config { session_expiry_maximum: Some(Duration::from_secs(60)), ..Config::default() };
    let bench_5 = bench_with(config, Limits::default());
    let mut bench = connected_on(bench_5, &connect_5(b"\x11\x00\x00\x00\x05"));
    bench.receive(disconnect);
    assert_eq!(left(&mut bench).session_expiry, Some(SessionExpiry::After(Duration::from_secs(60))));

    let mut bench = connected(CONNECT_5);
    bench.receive(disconnect);
    assert_eq!((sent_code(&mut bench), bench.closed), (0x82, Some(Reason::ProtocolViolation)));
    assert!(bench.requests.is_empty(), "the will is published");
}

#[test]
fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    for connect in [CONNECT_31, CONNECT_311, CONNECT_5] {
        let mut bench = connected(connect);
        bench.advance(Duration::from_secs(14));
        bench.receive(b"\xC0\x00");
        assert_eq!(bench.take_sent(), b"\xD0\x00");
        bench.advance(Duration::from_millis(14_999));
        assert_eq!(bench.closed, None);
        bench.advance(Duration::from_millis(1));
        assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout));
        let sent = bench.take_sent();
        assert_eq!(sent.get(2), (connect == CONNECT_5).then_some(&0x8D));
    }
}

#[test]
fn without_a_keep_alive_a_client_may_be_silent_for_ever() {
    let mut bench = connected(&connect(4, 2, b"\x00\x01c"));
    bench.advance(Duration::from_secs(1_000_000));
    assert_eq!((bench.closed, bench.connection.deadline()), (None, None));
}

#[test]
fn a_second_connect_and_packets_of_servers_end_the_connection() {
    for packet in [
        CONNECT_5,
        b"\x20\x03\x00\x00\x00",
        b"\x90\x04\x00\x01\x00\x00",
        b"\xB0\x04\x00\x01\x00\x00",
        b"\xD0\x00",
    ] {
        let mut bench = connected(CONNECT_5);
        bench.receive(packet);
        assert_eq!(
            (sent_code(&mut bench), bench.closed),
            (0x82, Some(Reason::ProtocolViolation)),
            "{packet:02X?}"
        );
    }
}

#[test]
fn mqtt_5_clients_are_told_why_the_server_closes() {
    let cases = [
        (Reason::TakenOver, 0x8E),
        (Reason::Kicked, 0x98),
        (Reason::ShuttingDown, 0x8B),
        (Reason::Banned, 0x87),
        (Reason::SlowConsumer, 0x97),
        (Reason::MaximumConnectTime, 0xA0),
        (Reason::UseAnotherServer, 0x9C),
        (Reason::SessionExpired, 0x80),
    ];
    for (reason, code) in cases {
        let mut bench = connected(CONNECT_5);
        bench.handle(Event::Close(reason));
        assert_eq!((sent_code(&mut bench), bench.closed), (code, Some(reason)));
        bench.handle(Event::Close(reason));
        assert!(bench.take_sent().is_empty());
        let mut bench = connected(CONNECT_311);
        bench.handle(Event::Close(reason));
        assert!(bench.take_sent().is_empty());
    }
}

#[test]
fn every_reason_has_a_code_that_belongs_in_its_packet() {
    use crate::codec::Kind;
    for reason in Reason::ALL {
        for kind in
            [Kind::ConnAck, Kind::PubAck, Kind::PubRec, Kind::SubAck, Kind::UnsubAck, Kind::Disconnect]
        {
            let code = reason::code(reason, kind);
            assert!(code.belongs(kind), "{reason:?} in {kind:?}");
            let may_succeed = matches!(kind, Kind::Disconnect | Kind::UnsubAck);
            assert!(code.is_error() || may_succeed, "{reason:?} in {kind:?}");
        }
    }
}

/// Code 0x9C, the server reference `b:1883`, and a reason string.
const ELSEWHERE: &[u8] = b"\x1C\x00\x06b:1883\x1F";

fn bench_that_refers() -> Bench {
    bench_with(Config { server_reference: "b:1883".into(), ..Config::default() }, Limits::default())
}

#[test]
fn a_client_of_mqtt_5_is_told_which_other_server_to_use() {
    let cases = [
        (Reason::UseAnotherServer, 0x9C, true),
        (Reason::ServerMoved, 0x9D, true),
        (Reason::ShuttingDown, 0x9C, true),
        (Reason::Kicked, 0x98, false),
    ];
    for (reason, code, refers) in cases {
        let mut bench = connected_on(bench_that_refers(), CONNECT_5);
        bench.handle(Event::Close(reason));
        let sent = bench.take_sent();
        assert_eq!((sent[0], sent[2], sent[4..].starts_with(ELSEWHERE)), (0xE0, code, refers), "{reason:?}");

        let mut bench = bench_that_refers();
        bench.receive(CONNECT_5);
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        let sent = bench.take_sent();
        assert_eq!((sent[0], sent[5..].starts_with(ELSEWHERE)), (0x20, refers), "{reason:?}");
        assert!(!refers || sent[3] == code, "{reason:?}");
    }
}

#[test]
fn a_server_reference_goes_before_words_but_only_as_far_as_the_client_takes_the_packet() {
    for (maximum, sent) in [(20, &b"\xE0\x0B\x9C\x09\x1C\x00\x06b:1883"[..]), (12, b"\xE0\x01\x9C")] {
        let terms = terms::Terms { packet_maximum: maximum, ..terms::Terms::new(crate::codec::Version::V5) };
        let mut out = bus::Outbox::new(Transport::Stream);
        let why = bus::ProtocolError { reason: Reason::UseAnotherServer, detail: "go there" };
        terms.dismiss(&mut out, why, "b:1883");
        assert_eq!(out.chunks().flat_map(|chunk| chunk.bytes.to_vec()).collect::<Vec<_>>(), sent);
    }
}

/// Any byte was a sign of life, so that one byte a minute of a packet that never ended kept a client connected.
#[test]
fn only_whole_packets_and_large_parts_of_one_are_signs_of_life() {
    let mut trickle = connected(CONNECT_311);
    let mut upload = connected(CONNECT_311);
    let publish = [b"\x30\x83\x10\x00\x01a", &[b'x'; 2048][..]].concat();
    for (index, part) in publish.chunks(1030).enumerate() {
        upload.receive(part);
        trickle.receive(&publish[index..=index]);
        trickle.advance(Duration::from_secs(10));
        upload.advance(Duration::from_secs(10));
    }
    assert_eq!((trickle.closed, upload.closed), (Some(Reason::KeepAliveTimeout), None));
    assert_eq!(next_publish(&mut upload).1.payload.len(), 2048);
    upload.advance(Duration::from_secs(5));
    assert_eq!(upload.closed, Some(Reason::KeepAliveTimeout));
}

#[test]
fn the_operator_chooses_how_many_keep_alives_a_client_may_be_silent() {
    let config = Config { keep_alive_multiplier: 2.5, ..Config::default() };
    let mut bench = connected_on(bench_with(config, Limits::default()), CONNECT_311);
    bench.advance(Duration::from_millis(24_999));
    assert_eq!(bench.closed, None);
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout));
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_what_was_wrong() {
    let mut bench = connected(CONNECT_5);
    bench.receive(b"\x40\x02\x00\x00");
    assert!(bench.take_sent().ends_with(b"the packet id is 0"));
    let mut bench = bench_with(Config::default(), Limits::default());
    bench.receive(&connect(5, 3, b"\x00\x00\x01c"));
    assert!(bench.take_sent().ends_with(b"the flags of the CONNECT or CONNACK are not allowed"));
}
