//! The message layer: duplicates, acknowledgements, retransmission, resets, pings.

mod common;
#[path = "common/device.rs"]
mod device;

use std::time::Duration;

use bus::{Limits, Reply};
use coap::{Code, Incoming, Kind, Message, SendError, Token};
use common::*;
use device::{Device, answer};

#[test]
fn a_duplicate_is_answered_from_the_exchange_cache_and_not_published_again() {
    let mut bench = bench();
    let put = con(Code::PUT, 1, b"t", "ps/a");
    bench.receive(&put);
    accept(&mut bench);
    done(&mut bench);
    let answer = bench.take_sent();
    bench.advance(200 * SECOND);
    bench.receive(&put);
    assert_eq!(bench.take_sent(), answer);
    assert!(bench.requests.is_empty());
    bench.advance(46 * SECOND);
    bench.receive(&put);
    assert!(bench.sent.pop_front().is_some(), "still within EXCHANGE_LIFETIME");
    bench.advance(SECOND);
    bench.receive(&put);
    published(&mut bench); // 247 s have passed, the id means another message
}

#[test]
fn a_duplicate_of_a_non_confirmable_request_is_ignored() {
    let mut bench = bench();
    let put = non(Code::PUT, 1, b"t", "ps/a");
    bench.receive(&put);
    accept(&mut bench);
    let (ticket, _) = published(&mut bench);
    bench.receive(&put);
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);
    bench.advance(144 * SECOND);
    bench.receive(&put);
    assert!(bench.sent.is_empty() && bench.requests.is_empty());
    bench.advance(SECOND);
    bench.receive(&put);
    published(&mut bench);
}

#[test]
fn a_device_that_restarts_with_old_ids_is_heard() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    accept(&mut bench);
    published(&mut bench);
    bench.receive(&con(Code::PUT, 1, b"t", "ps/b"));
    assert_eq!(published(&mut bench).1.topic.as_str(), "b");
}

#[test]
fn a_slow_answer_is_acknowledged_first_and_then_comes_by_itself() {
    let mut bench = bench();
    let put = con(Code::PUT, 0x0102, b"t", "ps/a");
    bench.receive(&put);
    accept(&mut bench);
    let (ticket, _) = published(&mut bench);
    bench.advance(SECOND);
    assert_eq!(bench.take_sent(), b"\x60\x00\x01\x02"); // empty ACK
    bench.receive(&put);
    assert_eq!(bench.take_sent(), b"\x60\x00\x01\x02");
    bench.reply(ticket, Reply::Published { matched: 0 });
    let answer = sent(&mut bench);
    assert_eq!(
        (answer.kind(), answer.code(), answer.token()),
        (Kind::Confirmable, Code::CHANGED, Token::new(b"t"))
    );
    bench.advance(3 * SECOND);
    assert_eq!(sent(&mut bench), answer);
    bench.receive(&acknowledgement(answer.id()));
    bench.advance(100 * SECOND);
    assert!(bench.sent.is_empty());
    bench.receive(&put);
    assert_eq!(bench.take_sent(), b"\x60\x00\x01\x02");
}

#[test]
fn a_duplicate_that_comes_before_the_answer_is_acknowledged_at_once() {
    let mut bench = bench();
    let put = con(Code::PUT, 1, b"t", "ps/a");
    bench.receive(&put);
    accept(&mut bench);
    let (ticket, _) = published(&mut bench);
    bench.receive(&put);
    assert_eq!(bench.take_sent(), acknowledgement(1));
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(sent(&mut bench).kind(), Kind::Confirmable);
}

#[test]
fn a_ping_is_answered_with_a_reset_and_what_is_broken_too() {
    let mut bench = bench();
    let cases: [(&[u8], &[u8]); 12] = [
        (b"\x40\x00\x12\x34", b"\x70\x00\x12\x34"),     // a ping
        (b"\x40\x01\x12\x34\xFF", b"\x70\x00\x12\x34"), // CON, marker without payload
        (b"\x4F\x01\x12\x34", b"\x70\x00\x12\x34"),     // CON, token length 15
        (b"\x41\x00\x12\x34t", b"\x70\x00\x12\x34"),    // CON, empty with a token
        (b"\x40\xE1\x12\x34", b"\x70\x00\x12\x34"),     // CON, reserved class
        (b"\x50\x01\x12\x34\xFF", b""),                 // NON, marker without payload
        (b"\x50\x00\x12\x34", b""),                     // NON, empty
        (b"\x60\x00\x12\x34", b""),                     // ACK of nothing
        (b"\x70\x00\x12\x34", b""),                     // RST of nothing
        (b"\x60\x01\x12\x34", b""),                     // ACK with a request
        (b"\x80\x01\x12\x34", b""),                     // version 2
        (b"\x41\x45\x12\x34t", b"\x70\x00\x12\x34"),    // CON, an answer to nothing
    ];
    for (datagram, answer) in cases {
        bench.receive(datagram);
        assert_eq!(bench.take_sent(), answer, "{datagram:02x?}");
    }
    assert!(bench.closed.is_none() && bench.requests.is_empty());
}

#[test]
fn a_request_is_sent_again_at_doubling_times_and_then_given_up() {
    let mut device = Device::new();
    let exchange = device.request(Message::request(Code::GET).with_path(["3", "0"]));
    let first = device.sent[0].clone();
    let (times, failed) = device.advance(Duration::from_secs(120));
    let timeout = times[0];
    assert!((2_000..=3_000).contains(&timeout), "{timeout}");
    let doubled = [1, 3, 7, 15].map(|factor| factor * timeout);
    assert!(times.iter().zip(doubled).all(|(time, expected)| time.abs_diff(expected) <= 15), "{times:?}");
    assert_eq!((times.len(), failed), (4, vec![exchange]));
    assert!(device.sent.iter().all(|datagram| *datagram == first));
    assert!(device.endpoint.can_send() && device.endpoint.deadline().is_none());
}

#[test]
fn an_answer_in_the_acknowledgement_ends_the_exchange() {
    let mut device = Device::new();
    let exchange = device.request(Message::request(Code::GET));
    let request = device.take();
    assert_eq!((request.kind(), request.token().as_slice().len()), (Kind::Confirmable, 8));
    let wrong = numbered(Message::response(Code::CONTENT), Kind::Acknowledgement, request.id());
    assert!(device.receive(&wrong.encode()).is_none(), "another token");
    let answer = answer(&request, Kind::Acknowledgement, Code::CONTENT);
    let Some(Incoming::Response { exchange: answered, .. }) = device.receive(&answer) else { panic!() };
    assert_eq!(answered, exchange);
    assert!(device.receive(&answer).is_none());
    assert_eq!(device.endpoint.deadline(), None);
}

#[test]
fn a_separate_answer_is_acknowledged_and_its_duplicate_too() {
    let mut device = Device::new();
    let exchange = device.request(Message::request(Code::GET));
    let request = device.take();
    let acknowledged = device.receive(&acknowledgement(request.id()));
    assert!(matches!(acknowledged, Some(Incoming::Acknowledged { exchange: known }) if known == exchange));
    assert!(device.endpoint.can_send(), "an acknowledged request leaves the way free");
    let answer = answer(&request, Kind::Confirmable, Code::CONTENT);
    assert!(matches!(device.receive(&answer), Some(Incoming::Response { .. })));
    let expected = acknowledgement(request.id() ^ 0x5555);
    assert_eq!(device.sent, std::slice::from_ref(&expected));
    assert!(device.receive(&answer).is_none());
    assert_eq!(device.sent, [expected.clone(), expected]);
}

#[test]
fn a_separate_answer_whose_acknowledgement_was_lost_stops_the_retransmission() {
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        let mut device = Device::new();
        device.request(Message::request(Code::GET));
        let request = device.take();
        let answer = answer(&request, kind, Code::CONTENT);
        assert!(matches!(device.receive(&answer), Some(Incoming::Response { .. })));
        assert_eq!(device.endpoint.deadline(), None);
    }
}

#[test]
fn an_answer_that_never_comes_fails_after_the_acknowledgement() {
    let mut device = Device::new();
    let exchange = device.request(Message::request(Code::GET));
    let request = device.take();
    device.receive(&acknowledgement(request.id()));
    let (times, failed) = device.advance(Duration::from_secs(247));
    assert_eq!((times, failed), (vec![], vec![exchange]));
}

#[test]
fn a_reset_ends_the_exchange() {
    let mut device = Device::new();
    for message in [Message::request(Code::GET), Message::request(Code::GET).non_confirmable()] {
        let exchange = device.request(message);
        let request = device.take();
        let incoming = device.receive(&reset(request.id()));
        assert!(matches!(incoming, Some(Incoming::Reset { exchange: known }) if known == exchange));
        assert_eq!(device.endpoint.deadline(), None);
    }
}

#[test]
fn an_answer_with_an_unknown_critical_option_is_rejected() {
    for (kind, rejection) in
        [(Kind::Acknowledgement, false), (Kind::Confirmable, true), (Kind::NonConfirmable, true)]
    {
        let mut device = Device::new();
        device.request(Message::request(Code::GET));
        let request = device.take();
        let answer = Message::response(Code::CONTENT).with_token(request.token());
        let id = if kind == Kind::Acknowledgement { request.id() } else { 0x7777 };
        let answer = numbered(answer.with_option(coap::OptionNumber(65_001), "x"), kind, id);
        assert!(matches!(device.receive(&answer.encode()), Some(Incoming::Reset { .. })));
        let expected = if rejection { vec![reset(0x7777)] } else { vec![] };
        assert_eq!(device.sent, expected, "{kind:?}");
    }
}

#[test]
fn one_confirmable_message_is_on_its_way_at_a_time() {
    let mut device = Device::with(Limits { send_window: 2, ..Limits::default() });
    device.request(Message::request(Code::GET));
    device.request(Message::request(Code::PUT));
    assert_eq!(device.sent.len(), 1);
    assert!(!device.endpoint.can_send());
    let refused = device.act(|endpoint, now, out| endpoint.request(Message::request(Code::GET), now, out));
    assert_eq!(refused, Err(SendError::Full));
    let first = device.take();
    let answer = answer(&first, Kind::Acknowledgement, Code::CONTENT);
    device.receive(&answer);
    assert_eq!(device.take().code(), Code::PUT);
}

#[test]
fn a_message_that_fits_no_datagram_is_not_sent() {
    let mut device = Device::new();
    let level = "x".repeat(255);
    let large = Message::request(Code::PUT).with_path([level.as_str(); 5]);
    assert_eq!(device.act(|endpoint, now, out| endpoint.request(large, now, out)), Err(SendError::TooLarge));
    assert!(device.endpoint.can_send() && device.endpoint.deadline().is_none());
}

#[test]
fn notifications_come_in_order_until_one_says_that_it_is_the_last() {
    let mut device = Device::new();
    let exchange = device.request(Message::request(Code::GET).with_observe(0));
    let request = device.take();
    let token = request.token();
    let notification = |id: u16, observe: u32, kind: Kind| {
        numbered(Message::response(Code::CONTENT).with_token(token.clone()).with_observe(observe), kind, id)
            .encode()
    };
    let first = notification(request.id(), 0xFF_FFF0, Kind::Acknowledgement);
    assert!(matches!(device.receive(&first), Some(Incoming::Response { .. })));
    assert_eq!(device.endpoint.token(exchange), Some(token.clone()));
    // The numbers wrap round at 24 bits; what is older than the newest is acknowledged and dropped.
    for (id, number, new) in [(1, 0xFF_FFF5, true), (2, 3, true), (3, 0xFF_FFFF, false), (4, 4, true)] {
        let incoming = device.receive(&notification(id, number, Kind::Confirmable));
        assert_eq!(matches!(incoming, Some(Incoming::Notification { .. })), new, "{number}");
        assert_eq!(device.sent.pop().unwrap(), acknowledgement(id));
    }
    device.advance(Duration::from_secs(129));
    let late = device.receive(&notification(5, 1, Kind::NonConfirmable));
    assert!(matches!(late, Some(Incoming::Notification { .. })), "after 128 s every number is new");
    let last =
        numbered(Message::response(Code::NOT_FOUND).with_token(token.clone()), Kind::NonConfirmable, 6);
    let last = device.receive(&last.encode());
    assert!(
        matches!(last, Some(Incoming::Notification { message, .. }) if message.code() == Code::NOT_FOUND)
    );
    assert!(device.receive(&notification(7, 5, Kind::Confirmable)).is_none());
    assert_eq!(device.sent, [reset(7)]);
}

#[test]
fn a_forgotten_observation_is_reset() {
    let mut device = Device::new();
    let exchange = device.request(Message::request(Code::GET).with_observe(0));
    let request = device.take();
    let first = Message::response(Code::CONTENT).with_token(request.token()).with_observe(1);
    device.receive(&numbered(first.clone(), Kind::Acknowledgement, request.id()).encode());
    device.endpoint.forget(exchange);
    let next = numbered(first.with_observe(2), Kind::NonConfirmable, 9);
    assert!(device.receive(&next.encode()).is_none());
    assert_eq!(device.sent, [reset(9)]); // [RFC7641 3.6]
}

/// A device that had restarted was sent a request of its former registration again, and for a minute and a half
/// nothing else.
#[test]
fn a_forgotten_request_is_sent_no_more_and_makes_way_at_once() {
    let mut device = Device::new();
    let forgotten = device.request(Message::request(Code::POST));
    let waiting = device.request(Message::request(Code::PUT));
    device.request(Message::request(Code::GET));
    device.sent.clear();
    device.endpoint.forget(forgotten);
    device.endpoint.forget(waiting);
    assert_eq!(device.advance(Duration::ZERO), (vec![0], vec![]));
    assert_eq!(device.take().code(), Code::GET);
}

#[test]
fn requests_beyond_the_limit_are_lost_and_may_come_again() {
    let mut device = Device::with(Limits { outstanding: 2, ..Limits::default() });
    let mut requests = Vec::new();
    for id in 1..=3 {
        if let Some(Incoming::Request(request)) = device.receive(&con(Code::GET, id, b"t", "x")) {
            requests.push(request);
        }
    }
    assert_eq!((requests.len(), device.sent.len()), (2, 0));
    let reply_to = requests[0].reply_to.clone();
    device.act(|endpoint, now, out| endpoint.respond(&reply_to, Message::response(Code::CONTENT), now, out));
    assert!(matches!(device.receive(&con(Code::GET, 3, b"t", "x")), Some(Incoming::Request(_))));
}

#[test]
fn an_acknowledgement_and_a_reset_are_never_answered_nor_is_what_is_broken_and_asks_for_nothing() {
    let mut device = Device::new();
    let silent: [&[u8]; 9] = [
        b"\x60\x00\x00\x01",     // an acknowledgement of nothing
        b"\x70\x00\x00\x01",     // a reset of nothing
        b"\x60\x01\x00\x01",     // an acknowledgement with a request
        b"\x60\x20\x00\x01",     // an acknowledgement of a reserved class
        b"\x60\x45\x00\x01",     // an answer to nothing
        b"\x70\x01\x00\x01",     // a reset that is not empty
        b"\x50\x00\x00\x01",     // an empty non-confirmable message
        b"\x50\x01\x00\x01\xFF", // a payload marker without payload, non-confirmable
        b"\x80\x01\x00\x01",     // version 2
    ];
    for datagram in silent {
        assert!(device.receive(datagram).is_none(), "{datagram:02x?}");
        assert_eq!(device.sent, Vec::<Vec<u8>>::new(), "{datagram:02x?}");
    }
}

#[test]
fn an_acknowledgement_with_another_id_is_for_another_message() {
    let mut device = Device::new();
    device.request(Message::request(Code::GET));
    let request = device.take();
    for stray in [acknowledgement(request.id() ^ 1), reset(request.id() ^ 1)] {
        assert!(device.receive(&stray).is_none());
    }
    assert!(!device.endpoint.can_send(), "it is still awaited");
    assert!(matches!(device.receive(&acknowledgement(request.id())), Some(Incoming::Acknowledged { .. })));
}

#[test]
fn no_message_id_comes_again() {
    let mut device = Device::with(Limits { send_window: 1_000, ..Limits::default() });
    let mut ids = std::collections::HashSet::new();
    for _ in 0..900 {
        device.request(Message::request(Code::GET).non_confirmable());
        assert!(ids.insert(device.take().id()));
    }
}

/// Only a thousand messages were remembered: of a peer that sent more between a message and its retransmission, the
/// message was published twice.
#[test]
fn a_duplicate_behind_thousands_of_messages_is_still_one() {
    let mut bench = bench();
    let put = con(Code::PUT, 0, b"t", "ps/a");
    bench.receive(&put);
    accept(&mut bench);
    done(&mut bench);
    let answer = bench.take_sent();
    for id in 1..=7_000 {
        bench.receive(&con(Code::PUT, id, b"t", "ps/a"));
        done(&mut bench);
        bench.take_sent();
    }
    bench.receive(&put);
    assert_eq!((bench.take_sent(), bench.requests.len()), (answer, 0));
}
