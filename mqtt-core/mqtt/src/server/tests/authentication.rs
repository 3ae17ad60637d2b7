use bus::EnhancedAuthentication;

use super::*;

/// Method `M`, data `1`.
const CONNECT: &[u8] = b"\x15\x00\x01M\x16\x00\x011";

fn step(data: &'static str) -> EnhancedAuthentication {
    EnhancedAuthentication { method: "M".into(), data: data.into() }
}

fn authenticate(bench: &mut Bench) -> (Ticket, EnhancedAuthentication) {
    let (ticket, request) = bench.request();
    let Request::Authenticate(step) = request else { panic!("no authentication: {request:?}") };
    (ticket, step)
}

fn challenged() -> Bench {
    let mut bench = bench();
    bench.receive(&connect_5(CONNECT));
    let (ticket, Request::Connect(connect)) = bench.request() else { panic!("no connect") };
    assert_eq!(connect.credentials.enhanced, Some(step("1")));
    bench.reply(ticket, Reply::Challenge(Box::new(step("2"))));
    assert_eq!(bench.take_sent(), b"\xF0\x0A\x18\x08\x15\x00\x01M\x16\x00\x012");
    bench
}

fn accepted() -> Bench {
    let mut bench = bench();
    bench.receive(&connect_5(CONNECT));
    bench.accept_connect(false);
    bench.take_sent();
    bench
}

#[test]
fn a_challenge_is_answered_before_the_session_opens() {
    let mut bench = challenged();
    bench.receive(b"\xF0\x0A\x18\x08\x15\x00\x01M\x16\x00\x013\xC0\x00");
    let (ticket, answer) = authenticate(&mut bench);
    assert_eq!(answer, step("3"));
    assert!(bench.take_sent().is_empty(), "the PINGREQ waits");
    let connected = bus::Connected {
        client_id: bus::ClientId::parse("c").unwrap(),
        assigned: false,
        session_present: false,
        session_expiry: bus::SessionExpiry::AtOnce,
        maximum_qos: Qos::AtLeastOnce,
        retain_available: false,
        shared_subscriptions_available: false,
        authentication: Some(step("4")),
    };
    bench.reply(ticket, Reply::Connected(Box::new(connected)));
    let sent = bench.take_sent();
    assert!(sent.starts_with(b"\x20") && sent.ends_with(b"\x15\x00\x01M\x16\x00\x014"));
    assert!(sent.windows(4).any(|bytes| bytes == b"\x24\x01\x25\x00"), "QoS at most 1, nothing retained");
    assert!(sent.windows(2).any(|bytes| bytes == b"\x2A\x00"), "nothing shared");
    bench.receive(b"\x34\x06\x00\x01a\x00\x07\x00");
    assert_eq!(bench.closed, Some(Reason::QosNotSupported));
}

#[test]
fn only_auth_with_the_same_method_answers_a_challenge() {
    for (packet, code) in
        [(&b"\xC0\x00"[..], 0x82), (b"\xF0\x06\x18\x04\x15\x00\x01X", 0x82), (b"\xF0\x00", 0x82)]
    {
        let mut bench = challenged();
        bench.receive(packet);
        assert_eq!((sent_code(&mut bench), bench.closed), (code, Some(Reason::ProtocolViolation)));
    }
    let mut bench = challenged();
    bench.receive(b"\xE0\x00");
    assert_eq!((bench.take_sent(), bench.closed), (Vec::new(), Some(Reason::Disconnected)));
}

#[test]
fn a_connected_client_authenticates_again() {
    let mut bench = accepted();
    bench.receive(b"\xF0\x0A\x19\x08\x15\x00\x01M\x16\x00\x015");
    let (ticket, asked) = authenticate(&mut bench);
    assert_eq!(asked, step("5"));
    bench.reply(ticket, Reply::Challenge(Box::new(step("6"))));
    assert_eq!(bench.take_sent(), b"\xF0\x0A\x18\x08\x15\x00\x01M\x16\x00\x016");
    bench.receive(b"\xF0\x0A\x18\x08\x15\x00\x01M\x16\x00\x017");
    let (ticket, _) = authenticate(&mut bench);
    bench.reply(ticket, Reply::Authenticated(Box::new(step(""))));
    assert_eq!(bench.take_sent(), b"\xF0\x06\x00\x04\x15\x00\x01M");
    bench.receive(b"\xF0\x06\x19\x04\x15\x00\x01M");
    let (ticket, _) = authenticate(&mut bench);
    bench.refuse(ticket, Reason::BadCredentials);
    assert_eq!((sent_code(&mut bench), bench.closed), (0x87, Some(Reason::BadCredentials)));
}

#[test]
fn auth_out_of_turn_ends_the_connection() {
    let cases: [(Bench, &[u8]); 3] = [
        (accepted(), b"\xF0\x06\x18\x04\x15\x00\x01M"),
        (accepted(), b"\xF0\x06\x19\x04\x15\x00\x01X"),
        (connected(CONNECT_5), b"\xF0\x06\x19\x04\x15\x00\x01M"),
    ];
    for (mut bench, auth) in cases {
        bench.receive(auth);
        assert_eq!((sent_code(&mut bench), bench.closed), (0x82, Some(Reason::ProtocolViolation)));
    }
    let mut bench = connected(CONNECT_311);
    bench.receive(b"\xF0\x00");
    assert_eq!(bench.closed, Some(Reason::Malformed));
}
