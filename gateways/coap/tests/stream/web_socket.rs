//! CoAP over WebSocket: the same, but that a message is as long as its WebSocket message. On the bench each stands
//! behind its length, in four bytes.

use bus::{Carrier, Limits, Reason, Reply};
use coap::{Code, Config, Framing};
use harness::Bench;

use crate::common::published;
use crate::peer::{over, read_all};

fn open() -> Bench {
    let mut bench = over(Carrier::WebSocket, Config::default(), Limits::default());
    assert_eq!(bench.take_sent(), b"\0\0\0\x09\x00\xE1\x23\x01\x00\x00\x20\x21\x40"); // [RFC8323 4.3]
    bench.receive(b"\0\0\0\x02\x00\xE1");
    bench
}

#[test]
fn a_publish_is_read_and_answered_with_a_length_of_zero() {
    for carrier in [Carrier::WebSocket, Carrier::SecureWebSocket] {
        let mut bench = over(carrier, Config::default(), Limits::default());
        bench.receive(b"\0\0\0\x02\x00\xE1\0\0\0\x0D\x01\x03\xBB\xB2ps\x01a\xFF21.5");
        bench.accept_connect(false);
        bench.take_sent();
        let (ticket, publish) = published(&mut bench);
        assert_eq!(&publish.payload[..], b"21.5");
        bench.reply(ticket, Reply::Published { matched: 1 });
        assert_eq!(bench.take_sent(), b"\0\0\0\x03\x01\x44\xBB"); // [RFC8323 4.2]
    }
}

#[test]
fn a_length_in_a_web_socket_message_ends_the_connection() {
    for broken in [&b"\0\0\0\x03\x10\x01\xFF"[..], b"\0\0\0\x00", b"\0\0\0\x02\x02\x01"] {
        let mut bench = open();
        bench.receive(broken);
        let abort = read_all(Framing::WebSocket, &bench.take_sent()).pop().expect("an Abort");
        assert_eq!((abort.code(), bench.closed), (Code::ABORT, Some(Reason::Malformed)));
    }
}

#[test]
fn a_message_that_is_announced_as_too_long_ends_the_connection() {
    let mut bench = open();
    bench.receive(b"\x00\x01\x00\x01");
    let abort = read_all(Framing::WebSocket, &bench.take_sent()).pop().expect("an Abort");
    assert_eq!((abort.code(), bench.closed), (Code::ABORT, Some(Reason::PacketTooLarge)));
}

#[test]
fn signals_are_the_same() {
    let mut bench = open();
    bench.receive(b"\0\0\0\x03\x01\xE2\x42\0\0\0\x02\x00\x00\0\0\0\x02\x00\xE4");
    assert_eq!(bench.take_sent(), b"\0\0\0\x03\x01\xE3\x42");
    assert_eq!(bench.closed, Some(Reason::Disconnected));
}
