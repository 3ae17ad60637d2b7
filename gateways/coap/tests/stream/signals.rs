//! What the two ends say of the connection itself.

use std::time::Duration;

use bus::{Carrier, Event, Limits, Reason, Reply};
use coap::{Code, Config, OptionNumber, StreamConfig, Token};

use crate::common::{observing_on_stream, published};
use crate::peer::{
    CSM, LET_IN, OURS, aborted, answer, answers, in_session, open, open_with, over, publish, stranger, tcp,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_server_says_first_what_it_takes_and_need_not_hear_the_peer_before() {
    let mut bench = stranger();
    assert_eq!(bench.take_sent(), OURS); // [RFC8323 3.3]
    bench.receive(CSM);
    assert_eq!((bench.take_sent(), bench.closed), (vec![], None), "once is enough");
}

#[test]
fn a_short_token_is_what_everybody_takes_and_is_not_announced() {
    let config = Config { longest_token: 8, ..Config::default() };
    let limits = Limits { packet_before_connect: 2000, ..Limits::default() };
    let mut bench = over(Carrier::Tcp, config, limits);
    assert_eq!(bench.take_sent(), b"\x40\xE1\x22\x07\xD0\x20");
}

#[test]
fn larger_messages_are_taken_once_the_peer_has_a_session() {
    let mut bench = open();
    bench.receive(&tcp(Code::PUT, b"t", "ps/a", "x"));
    assert_eq!(bench.take_sent(), b"");
    bench.accept_connect(false);
    assert_eq!(bench.take_sent(), LET_IN); // [RFC8323 5.3]: a CSM may come at any time
    let (ticket, _) = published(&mut bench);
    bench.reply(ticket, Reply::Published { matched: 1 });
    assert_eq!(bench.take_sent(), b"\x01\x44t");
    bench.receive(b"\xF0\x00\x0E\x00\x00\x03");
    assert_eq!(bench.closed, None, "983,309 bytes are announced");

    let mut bench = open();
    bench.receive(b"\xF0\x00\x0E\x00\x00\x03");
    assert!(aborted(&mut bench).contains("Max-Message-Size of 65536"), "a stranger's message is too large");
    assert_eq!(bench.closed, Some(Reason::PacketTooLarge));
}

#[test]
fn what_comes_before_the_csm_ends_the_connection() {
    for first in [&b"\x01\x01t"[..], b"\x01\x45t", b"\x00\xE2", b"\x00\xE3", b"\x00\xE4", b"\x00\x21"] {
        let mut bench = stranger();
        bench.receive(first);
        assert_eq!(aborted(&mut bench), "The first message must be a CSM (7.01)."); // [RFC8323 3.3]
        assert_eq!(bench.closed, Some(Reason::ProtocolViolation), "{first:02x?}");
    }
    let mut bench = stranger();
    bench.take_sent();
    bench.receive(b"\x00\xE5");
    assert_eq!((bench.take_sent(), bench.closed), (vec![], Some(Reason::ConnectionReset)), "an Abort may");
}

#[test]
fn who_says_nothing_is_let_go() {
    let mut bench = stranger();
    bench.advance(14 * SECOND);
    assert_eq!(bench.closed, None);
    bench.advance(SECOND);
    assert_eq!(aborted(&mut bench), "No CSM came in time.");
    assert_eq!(bench.closed, Some(Reason::HandshakeTimeout));
}

#[test]
fn a_tls_client_on_the_plain_port_is_recognized() {
    let mut bench = stranger();
    bench.take_sent();
    bench.receive(b"\x16\x03\x01\x02\x00\x01");
    assert_eq!((bench.take_sent(), bench.closed), (vec![], Some(Reason::TlsOnPlainPort)));
}

#[test]
fn an_empty_message_says_nothing_even_before_the_csm() {
    let mut bench = stranger();
    bench.take_sent();
    bench.receive(b"\x00\x00\x00\x00");
    bench.receive(CSM);
    bench.receive(b"\x00\x00");
    assert_eq!((bench.take_sent(), bench.closed), (vec![], None)); // [RFC8323 3.4]
}

#[test]
fn a_ping_is_answered_at_once_with_its_token() {
    let mut bench = open();
    bench.receive(b"\x01\xE2\x42");
    assert_eq!(bench.take_sent(), b"\x01\xE3\x42"); // [RFC8323 5.7], figures 11 and 12
    bench.receive(b"\x00\xE2");
    assert_eq!(bench.take_sent(), b"\x00\xE3");
    // an elective option that is unknown: 8, empty
    bench.receive(b"\x11\xE2\x42\x80");
    assert_eq!(bench.take_sent(), b"\x01\xE3\x42");
    bench.receive(b"\x01\xE3\x42");
    assert_eq!((bench.take_sent(), bench.closed), (vec![], None), "a Pong that nobody asked for");
}

#[test]
fn a_ping_with_custody_is_answered_once_everything_before_it_is() {
    let mut bench = in_session();
    bench.receive(&tcp(Code::PUT, b"1", "ps/a", "x"));
    bench.receive(b"\x11\xE2p\x20"); // Ping, token p, Custody
    bench.receive(&tcp(Code::PUT, b"2", "ps/a", "x"));
    bench.receive(b"\x11\xE2q\x20");
    bench.receive(b"\x01\xE2r");
    assert_eq!(bench.take_sent(), b"\x01\xE3r", "the one without custody does not wait");
    let (first, _) = published(&mut bench);
    let (second, _) = published(&mut bench);
    bench.reply(first, Reply::Published { matched: 1 });
    assert_eq!(bench.take_sent(), b"\x01\x441\x11\xE3p\x20"); // [RFC8323 5.4.1]
    bench.reply(second, Reply::Published { matched: 1 });
    assert_eq!(bench.take_sent(), b"\x01\x442\x11\xE3q\x20");
    bench.receive(b"\x11\xE2s\x20");
    assert_eq!(bench.take_sent(), b"\x11\xE3s\x20", "nothing is owed");
}

#[test]
fn an_unknown_critical_option_of_a_signal_ends_the_connection() {
    for code in [0xE1, 0xE2, 0xE3, 0xE4, 0xE5] {
        let mut bench = open();
        bench.receive(&[0x10, code, 0x10]); // option 1, empty
        assert!(aborted(&mut bench).contains("critical option 1"), "{code:#x}"); // [RFC8323 5.2]
    }
}

#[test]
fn a_csm_that_cannot_be_is_answered_with_the_option_that_is_wrong() {
    for (csm, option) in [
        (&b"\x60\xE1\x25\x01\x00\x00\x00\x00"[..], 2), // five bytes of size
        (b"\x10\xE1\x20", 2),                          // no room at all
        (b"\x20\xE1\x41x", 4),                         // something where nothing belongs
        (b"\x10\xE1\x90", 9),                          // critical and unknown
    ] {
        for mut bench in [stranger(), open()] {
            bench.receive(csm);
            let abort = answers(&mut bench).pop().expect("an Abort");
            assert_eq!(abort.code(), Code::ABORT);
            assert_eq!(abort.option(OptionNumber(2)), Some(&[option][..]), "{csm:02x?}"); // [RFC8323 5.6]
            assert!(!abort.payload().is_empty() && bench.closed == Some(Reason::ProtocolViolation));
        }
    }
}

#[test]
fn a_signal_that_is_unknown_ends_the_connection() {
    let mut bench = open();
    bench.receive(b"\x00\xE6");
    assert_eq!(aborted(&mut bench), "The signalling code 7.06 is unknown.");
}

#[test]
fn an_abort_of_the_peer_ends_the_connection_without_a_word() {
    let mut bench = in_session();
    bench.receive(&tcp(Code::PUT, b"1", "ps/a", "x"));
    bench.receive(b"\x50\xE5\xFFBye!");
    assert_eq!((bench.take_sent(), bench.closed), (vec![], Some(Reason::ConnectionReset)));
}

#[test]
fn a_release_of_the_peer_closes_once_everything_before_it_is_answered() {
    let mut bench = in_session();
    bench.receive(&tcp(Code::PUT, b"1", "ps/a", "x"));
    bench.receive(b"\x00\xE4");
    bench.receive(&tcp(Code::PUT, b"2", "ps/a", "x"));
    assert_eq!((bench.closed, bench.connection.room()), (None, 0));
    let (ticket, _) = published(&mut bench);
    assert!(bench.requests.is_empty(), "what comes behind a Release is not worked");
    bench.reply(ticket, Reply::Published { matched: 1 });
    assert_eq!(bench.take_sent(), b"\x01\x441");
    assert_eq!(bench.closed, Some(Reason::Disconnected)); // [RFC8323 5.5]

    let mut bench = open();
    bench.receive(b"\x00\xE4");
    assert_eq!((bench.take_sent(), bench.closed), (vec![], Some(Reason::Disconnected)), "nothing is owed");
}

#[test]
fn a_released_connection_does_not_wait_for_ever() {
    let mut bench = in_session();
    bench.receive(&tcp(Code::PUT, b"1", "ps/a", "x"));
    bench.receive(b"\x00\xE4");
    bench.advance(30 * SECOND);
    assert_eq!(bench.closed, Some(Reason::Disconnected));
}

#[test]
fn a_server_that_shuts_down_says_where_to_go_and_when_to_come_back() {
    let stream = StreamConfig {
        alternative_addresses: vec!["b.example".to_owned(), "c.example:1".to_owned()],
        hold_off: 60 * SECOND,
        ..StreamConfig::default()
    };
    let mut bench = open_with(Config { stream, ..Config::default() });
    publish(&mut bench, b"t");
    bench.handle(Event::Close(Reason::ShuttingDown));
    let release = answer(&mut bench);
    assert_eq!((release.code(), release.token()), (Code::RELEASE, Token::default()));
    let addresses: Vec<&[u8]> = release.options(OptionNumber(2)).collect();
    assert_eq!(addresses, [&b"b.example"[..], b"c.example:1"]); // [RFC8323 5.5]
    assert_eq!(release.option(OptionNumber(4)), Some(&[60][..]));
    assert_eq!(release.payload(), Reason::ShuttingDown.explain().as_bytes());
    assert_eq!(bench.closed, Some(Reason::ShuttingDown));
    bench.handle(Event::Close(Reason::ShuttingDown));
    assert_eq!(bench.take_sent(), b"", "nothing is said behind the last word");
}

#[test]
fn whoever_is_thrown_out_learns_why() {
    for reason in [Reason::Kicked, Reason::TakenOver, Reason::SlowConsumer] {
        let mut bench = in_session();
        bench.handle(Event::Close(reason));
        assert_eq!(aborted(&mut bench), reason.explain());
        assert_eq!(bench.closed, Some(reason));
    }
}

#[test]
fn a_silent_peer_that_observes_nothing_is_released() {
    let mut bench = in_session();
    bench.advance(299 * SECOND);
    bench.receive(b"\x00\x00"); // an empty message keeps the connection [RFC8323 3.4]
    bench.advance(299 * SECOND);
    assert_eq!(bench.take_sent(), b"");
    bench.advance(SECOND);
    assert_eq!(answer(&mut bench).code(), Code::RELEASE);
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
}

#[test]
fn a_silent_observer_is_asked_whether_it_is_there() {
    let mut bench = open_with(Config { observer_check: 60 * SECOND, ..Config::default() });
    observing_on_stream(&mut bench, b"o");
    bench.advance(60 * SECOND);
    let ping = answer(&mut bench);
    assert_eq!((ping.code(), ping.token().is_empty()), (Code::PING, false)); // [RFC8323 7.3]
    bench.receive(&[b"\x08\xE3", ping.token().as_slice()].concat());
    bench.advance(59 * SECOND);
    assert_eq!((bench.take_sent(), bench.closed), (vec![], None));
    bench.advance(SECOND);
    assert_eq!(answer(&mut bench).code(), Code::PING);
    bench.advance(30 * SECOND);
    assert_eq!(aborted(&mut bench), Reason::NotAcknowledged.explain());
    assert_eq!(bench.closed, Some(Reason::NotAcknowledged));
}
