//! How a session begins and ends.

use std::time::Duration;

use crate::story::*;
use bus::{Event, Limits, Reason, Reply, Request, SessionExpiry};

#[test]
fn connect_opens_a_session_and_connected_names_version_and_heart_beat() {
    let mut bench = stranger();
    bench.receive(
        b"CONNECT\naccept-version:1.0,1.1,1.2\nhost:example.org\nlogin:anna\npasscode:s:e\\cret\n\n\0",
    );
    let connect = bench.accept_connect(false);
    assert_eq!(connect.client_id, None);
    assert_eq!(connect.credentials.username.as_deref(), Some("anna"));
    assert_eq!(connect.credentials.password.as_deref(), Some(&b"s:e\\cret"[..]), "CONNECT is not unescaped");
    assert!(connect.clean_start);
    assert_eq!(connect.session_expiry, SessionExpiry::AtOnce);
    assert_eq!(connect.receive_maximum, 100);
    assert_eq!(connect.protocol, "STOMP 1.2");
    assert_eq!(
        sent(&mut bench),
        "CONNECTED\nversion:1.2\nserver:watersmeet/0.1.0\nsession:assigned\nheart-beat:10000,10000\n\n\0"
    );
    assert_eq!(bench.connection.room(), 100);
}

#[test]
fn the_stomp_command_opens_a_session_too() {
    let mut bench = stranger();
    bench.receive(b"STOMP\r\naccept-version:1.1\r\nhost:h\r\n\r\n\0\r\n");
    assert_eq!(bench.accept_connect(false).protocol, "STOMP 1.1");
    assert!(sent(&mut bench).starts_with("CONNECTED\nversion:1.1\n"));
}

#[test]
fn a_connect_without_accept_version_is_1_0_and_has_blanks_and_no_heart_beat() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\nlogin: anna \npasscode: secret\nheart-beat:5,5\n\n\0\n");
    let connect = bench.accept_connect(false);
    assert_eq!(connect.credentials.username.as_deref(), Some("anna"));
    assert_eq!(connect.keep_alive, None);
    assert_eq!(sent(&mut bench), "CONNECTED\nversion:1.0\nserver:watersmeet/0.1.0\nsession:assigned\n\n\0");
    assert_eq!(bench.connection.deadline(), None);
}

#[test]
fn no_common_version_is_answered_with_those_that_are_offered() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:2.0,3.0\nhost:h\n\n\0");
    assert!(bench.requests.is_empty());
    assert_error(&mut bench, Reason::UnsupportedVersion, "\nversion:1.0,1.1,1.2\n");
}

#[test]
fn a_client_id_with_an_expiry_makes_a_durable_session() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.2\nclient-id:c1\nsession-expiry:3600\n\n\0");
    let connect = bench.accept_connect(true);
    assert_eq!(connect.client_id.map(|id| id.to_string()).as_deref(), Some("c1"));
    assert!(!connect.clean_start);
    assert_eq!(connect.session_expiry, SessionExpiry::After(Duration::from_secs(3600)));
    assert!(sent(&mut bench).contains("\nsession:c1\n"));
}

#[test]
fn a_session_expiry_without_a_client_id_is_refused() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.2\nsession-expiry:3600\n\n\0");
    assert_error(&mut bench, Reason::ClientIdInvalid, "session-expiry needs a client-id");
}

#[test]
fn broken_connect_headers_are_refused() {
    for (headers, reason) in [
        ("heart-beat:fast", Reason::Malformed),
        ("heart-beat:1", Reason::Malformed),
        ("heart-beat:1,-1", Reason::Malformed),
        ("heart-beat:1,99999999999", Reason::Malformed),
        ("client-id:", Reason::ClientIdInvalid),
        ("client-id:c\nsession-expiry:long", Reason::Malformed),
    ] {
        let mut bench = stranger();
        bench.receive(format!("CONNECT\naccept-version:1.2\n{headers}\n\n\0").as_bytes());
        assert_error(&mut bench, reason, "ERROR");
    }
}

#[test]
fn a_refused_connect_is_answered_with_the_reason() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.2\nlogin:eve\npasscode:x\n\n\0");
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::BadCredentials);
    assert_error(&mut bench, Reason::BadCredentials, "message:access refused\n");
}

#[test]
fn what_is_pipelined_behind_connect_waits_for_the_answer() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:t\n\nhi\0");
    assert_eq!(bench.requests.len(), 1, "the SEND is not read yet");
    bench.accept_connect(false);
    bench.receive(b"");
    assert_eq!(publish(&mut bench).1.payload, "hi");
}

#[test]
fn a_silent_stranger_is_closed_when_the_handshake_time_is_over() {
    let mut bench = stranger();
    bench.advance(Duration::from_secs(14));
    bench.receive(b"CONN");
    assert_eq!(bench.closed, None);
    bench.advance(Duration::from_secs(1));
    assert_error(&mut bench, Reason::HandshakeTimeout, "message:no CONNECT in time\n");
}

#[test]
fn a_broker_that_does_not_answer_does_not_hold_the_handshake_open() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.2\n\n\0");
    bench.advance(Duration::from_secs(15));
    assert_error(&mut bench, Reason::HandshakeTimeout, "ERROR");
}

#[test]
fn other_protocols_are_recognized_by_their_first_bytes() {
    let mut tls = stranger();
    tls.receive(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(tls.closed, Some(Reason::TlsOnPlainPort));
    assert!(tls.take_sent().is_empty(), "a TLS client could not read it");

    for request in [&b"GET / HTTP/1.1\r\n"[..], b"POST /x HTTP/1.1\r\n", b"\x10\x0c\x00\x04MQTT"] {
        let mut bench = stranger();
        bench.receive(request);
        assert_error(&mut bench, Reason::WrongProtocol, "message:not STOMP\n");
    }
}

#[test]
fn heart_beats_are_kept_by_the_server_and_expected_of_the_client() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.2\nheart-beat:4000,20000\n\n\0");
    assert_eq!(bench.accept_connect(false).keep_alive, Some(Duration::from_secs(10)), "the longer wish");
    bench.take_sent();
    // the server promised one every 20 s, and sends it in time
    bench.advance(Duration::from_secs(15));
    assert_eq!(bench.take_sent(), b"\n");
    bench.receive(b"\n");
    // the client promised one every 10 s; twice that is tolerated
    bench.advance(Duration::from_millis(19_999));
    assert_eq!(bench.closed, None);
    bench.take_sent();
    bench.advance(Duration::from_millis(20_001));
    assert_error(&mut bench, Reason::KeepAliveTimeout, "message:heart-beat missing\n");
}

#[test]
fn any_traffic_counts_as_heart_beat() {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.1\nheart-beat:10000,10000\n\n\0");
    bench.accept_connect(false);
    bench.take_sent();
    for second in 0..100 {
        bench.advance(Duration::from_secs(1));
        // a large frame that arrives slowly is a sign of life too
        bench.receive(if second == 0 { b"SEND\ndestination:t\n\n" } else { b"x" });
    }
    assert_eq!(bench.closed, None);
    assert_eq!(bench.take_sent(), [b'\n'; 13], "one every 7.5 s, which keeps a promise of 10 s");
}

#[test]
fn no_heart_beat_is_sent_or_expected_where_one_side_does_not_want_it() {
    for wish in ["heart-beat:0,0", "host:h"] {
        let mut bench = stranger();
        bench.receive(format!("CONNECT\naccept-version:1.2\n{wish}\n\n\0").as_bytes());
        assert_eq!(bench.accept_connect(false).keep_alive, None);
        assert_eq!(bench.connection.deadline(), None);
    }
}

#[test]
fn disconnect_waits_for_what_came_before_and_is_answered_by_its_receipt() {
    let mut bench = connected("1.2");
    bench.receive(
        b"SEND\ndestination:t\nreceipt:1\n\nhi\0DISCONNECT\nreceipt:77\n\n\0SEND\ndestination:u\n\n\0",
    );
    let (ticket, _) = publish(&mut bench);
    assert!(bench.requests.is_empty(), "the good-bye waits, and nothing counts behind it");
    bench.reply(ticket, Reply::Published { matched: 0 });
    let (ticket, request) = bench.request();
    assert!(matches!(request, Request::Disconnect(leave) if !leave.publish_will));
    assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:1\n\n\0");
    bench.reply(ticket, Reply::Disconnected);
    assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:77\n\n\0");
    assert_eq!(bench.closed, Some(Reason::Disconnected));
}

#[test]
fn disconnect_without_receipt_closes_without_a_word() {
    let mut bench = connected("1.0");
    bench.receive(b"DISCONNECT\n\n\0\n");
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Disconnected);
    assert!(bench.take_sent().is_empty());
    assert_eq!(bench.closed, Some(Reason::Disconnected));
}

#[test]
fn the_server_says_why_it_closes() {
    for (reason, message) in [
        (Reason::ShuttingDown, "message:server shutting down\n"),
        (Reason::TakenOver, "message:session taken over\n"),
        (Reason::Kicked, "message:disconnected by an operator\n"),
    ] {
        let mut bench = connected("1.2");
        bench.handle(Event::Close(reason));
        assert_error(&mut bench, reason, message);
    }
}

#[test]
fn every_reason_makes_an_error_frame_with_message_and_body() {
    for reason in Reason::ALL {
        let mut bench = connected("1.2");
        bench.handle(Event::Close(reason));
        let answer = sent(&mut bench);
        assert!(answer.starts_with("ERROR\nmessage:"), "{answer}");
        assert!(answer.contains(reason.explain()), "{answer}");
        assert!(answer.contains(reason.hint()), "{answer}");
    }
}

#[test]
fn a_large_connect_is_refused_while_it_arrives() {
    let limits = Limits { packet_before_connect: 1_000, ..Limits::default() };
    let mut bench = stranger_within(stomp::Config::default(), limits);
    bench.receive(b"CONNECT\nlogin:");
    for _ in 0..20 {
        bench.receive(&[b'a'; 100]);
    }
    assert_error(&mut bench, Reason::PacketTooLarge, "message:frame too large\n");
}
