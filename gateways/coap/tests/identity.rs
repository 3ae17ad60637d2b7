//! For whom a session is left: who has shown that it is there, once the broker has let it in.

mod common;
#[path = "common/protected.rs"]
mod protected;

use bus::{Carrier, Limits, Link, Reason, Reply, Request, Ticket, Transport};
use coap::{Coap, Code, Config, Kind, Message, OptionNumber};
use common::*;
use harness::Bench;
use protected::{config, device, open, protect};

/// A peer on UDP, whose address may be forged.
fn stranger() -> Bench {
    stranger_with(unasked(Config::default()))
}

fn stranger_with(config: Config) -> Bench {
    let link = Link { carrier: Carrier::Udp, secured: None };
    let coap = Coap::new(config, Limits::default());
    Bench::with_peer_at(([203, 0, 113, 7], 5_683).into(), &coap, Transport::Datagram, link)
}

fn put(id: u16, query: &str) -> Message {
    request(Kind::Confirmable, Code::PUT, id, b"t", &format!("ps/a?{query}"))
}

/// A publish that is done, in a session that it opens if there is none.
fn publish(bench: &mut Bench, put: &Message) {
    bench.receive(&put.encode());
    if matches!(bench.requests.front(), Some((_, Request::Connect(_)))) {
        accept(bench);
    }
    let (ticket, _) = published(bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(sent(bench).code(), Code::CHANGED);
}

/// The Echo that a 4.01 asks for.
fn challenged(bench: &mut Bench) -> Vec<u8> {
    assert!(bench.requests.is_empty(), "the broker is not asked");
    let challenge = sent(bench);
    assert_eq!(challenge.code(), Code::UNAUTHORIZED);
    challenge.option(OptionNumber::ECHO).expect("an Echo").to_vec()
}

fn has_left(bench: &mut Bench) {
    let asked = bench.request();
    assert!(matches!(asked, (Ticket::NONE, Request::Disconnect(_))), "{asked:?}");
}

#[test]
fn a_session_that_took_a_password_is_left_only_for_who_repeats_its_echo() {
    let mut bench = stranger();
    publish(&mut bench, &put(1, "c=dev1&u=joe&p=secret"));
    bench.receive(&put(2, "c=dev2&u=eve&p=other").encode());
    let echo = challenged(&mut bench);
    publish(&mut bench, &put(3, "c=dev1&u=joe&p=secret"));
    bench.receive(&put(4, "c=dev2&u=eve&p=other").with_option(OptionNumber::ECHO, b"guessed!").encode());
    assert_eq!(challenged(&mut bench), echo);
    bench.receive(&put(5, "c=dev2&u=eve&p=other").with_option(OptionNumber::ECHO, echo.clone()).encode());
    assert_eq!(bench.accept_connect(false).client_id.unwrap().as_str(), "dev2");
    has_left(&mut bench);
    let (ticket, _) = published(&mut bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);

    bench.receive(&put(6, "c=dev1&u=joe&p=secret").with_option(OptionNumber::ECHO, echo.clone()).encode());
    assert_ne!(challenged(&mut bench), echo, "an Echo serves one change");
}

#[test]
fn credentials_that_are_refused_leave_the_session_and_what_it_observes() {
    let mut bench = stranger();
    let id = observing(&mut bench, 1, b"o", "ps/a?c=dev1");
    bench.receive(&put(2, "c=dev1&u=joe&p=wrong").encode());
    let echo = challenged(&mut bench);
    bench.receive(&put(3, "c=dev1&u=joe&p=wrong").with_option(OptionNumber::ECHO, echo).encode());
    let (ticket, asked) = bench.request();
    assert!(matches!(asked, Request::Connect(_)));
    bench.refuse(ticket, Reason::BadCredentials);
    let answer = sent(&mut bench);
    assert_eq!((answer.id(), text(&answer)), (3, Reason::BadCredentials.explain()));
    assert!(bench.requests.is_empty(), "the session is there as before");
    let now = bench.now;
    bench.deliver(harness::delivery(1, id, "a", "21", bus::Qos::AtLeastOnce, now));
    let notification = sent(&mut bench);
    assert_eq!((notification.code(), notification.token().as_slice()), (Code::CONTENT, &b"o"[..]));
    publish(&mut bench, &put(4, "c=dev1"));
}

#[test]
fn who_loses_nothing_need_not_show_where_it_is() {
    let mut bench = stranger();
    publish(&mut bench, &put(1, "c=dev1"));
    bench.receive(&put(2, "c=dev2").encode());
    assert_eq!(bench.accept_connect(false).client_id.unwrap().as_str(), "dev2");
    has_left(&mut bench);
    published(&mut bench);
}

#[test]
fn a_login_or_logout_without_the_secret_is_asked_for_an_echo() {
    let mut bench = stranger();
    let login = |id| request(Kind::Confirmable, Code::POST, id, b"l", "mqtt/connection?c=dev1&p=secret");
    bench.receive(&login(1).encode());
    accept(&mut bench);
    let token = text(&sent(&mut bench)).to_owned();
    for forged in ["c=dev1", "c=dev1&p=wrong", "c=dev2&p=other"] {
        bench.receive(&con(Code::POST, 2, b"f", &format!("mqtt/connection?{forged}")));
        challenged(&mut bench);
    }
    bench.receive(&login(3).encode());
    accept(&mut bench);
    has_left(&mut bench);
    let again = text(&sent(&mut bench)).to_owned();
    assert_ne!(again, token, "who has the password needs no Echo");
    bench.receive(&con(Code::DELETE, 4, b"d", &format!("mqtt/connection?c=dev1&t={again}")));
    has_left(&mut bench);
    assert_eq!(sent(&mut bench).code(), Code::DELETED);

    let mut bench = stranger();
    observing(&mut bench, 1, b"o", "ps/a?c=dev1");
    bench.receive(&con(Code::DELETE, 2, b"f", "mqtt/connection?c=dev1"));
    challenged(&mut bench);
}

#[test]
fn a_login_that_is_refused_leaves_the_connection_and_its_token() {
    let mut bench = bench();
    bench.receive(&con(Code::POST, 1, b"l", "mqtt/connection?c=dev1&p=secret"));
    accept(&mut bench);
    let token = text(&sent(&mut bench)).to_owned();
    bench.receive(&con(Code::POST, 2, b"l", "mqtt/connection?c=dev1&p=wrong"));
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::BadCredentials);
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
    assert_eq!(bench.claims.len(), 1);
    bench.receive(&con(Code::PUT, 3, b"t", &format!("mqtt/connection?c=dev1&t={token}")));
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);
}

#[test]
fn what_was_asked_before_another_identity_came_is_answered_with_what_became_of_it() {
    let mut bench = Bench::new(&Coap::new(unasked(Config::default()), Limits::default()), Transport::Stream);
    // CSM; then, each with Len 9, TKL 1, PUT: Uri-Path "ps" "a", Uri-Query "c=1" or "c=2"
    bench.receive(b"\x00\xE1");
    let [first, second] =
        [b"\x91\x03\x01\xB2ps\x01a\x43c=1", b"\x91\x03\x02\xB2ps\x01a\x43c=2"].map(|put| put.to_vec());
    bench.receive(&first);
    accept(&mut bench);
    let (ticket, _) = published(&mut bench);
    bench.take_sent();
    bench.receive(&second);
    assert!(bench.requests.is_empty() && bench.take_sent().is_empty(), "it waits");
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(bench.take_sent(), b"\x01\x44\x01", "2.04, which it is");
    assert_eq!(bench.accept_connect(false).client_id.unwrap().as_str(), "2");
    has_left(&mut bench);
    let (ticket, _) = published(&mut bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(bench.take_sent(), b"\x01\x44\x02");
}

#[test]
fn whoever_has_a_key_takes_nobody_over_by_a_forged_address() {
    let mut bench = stranger_with(config(false, None));
    publish(&mut bench, &put(1, "c=dev1&u=joe&p=secret"));
    let other = device(2);
    let (forged, mut pending) = protect(&other, put(2, ""));
    bench.receive(&forged);
    let challenge = sent(&mut bench);
    assert!(bench.requests.is_empty());
    publish(&mut bench, &put(3, "c=dev1&u=joe&p=secret"));
    // Who hears the answer, and can read it, is let in; then nothing is taken that is not protected.
    let echo = open(&mut pending, &challenge).option(OptionNumber::ECHO).expect("an Echo").to_vec();
    let (datagram, _) = protect(&other, put(4, "").with_option(OptionNumber::ECHO, echo));
    bench.receive(&datagram);
    accept(&mut bench);
    has_left(&mut bench);
    let (ticket, _) = published(&mut bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert!(sent(&mut bench).option(OptionNumber::OSCORE).is_some());
    bench.receive(&put(5, "c=dev1&u=joe&p=secret").encode());
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
    let (forged, mut pending) = protect(&device(1), put(6, ""));
    bench.receive(&forged);
    let challenge = sent(&mut bench);
    assert!(open(&mut pending, &challenge).option(OptionNumber::ECHO).is_some(), "nor by another key");
    assert!(bench.requests.is_empty());
}

#[test]
fn a_secured_transport_needs_no_echo_and_waits_for_the_broker_all_the_same() {
    let link = Link { carrier: Carrier::Udp, secured: Some(Default::default()) };
    let coap = Coap::new(unasked(Config::default()), Limits::default());
    let mut bench = Bench::with_peer_at(([203, 0, 113, 7], 5_684).into(), &coap, Transport::Datagram, link);
    publish(&mut bench, &put(1, "c=dev1&u=joe&p=secret"));
    bench.receive(&put(2, "c=dev2&u=eve&p=other").encode());
    let (ticket, asked) = bench.request();
    assert!(matches!(asked, Request::Connect(_)));
    bench.refuse(ticket, Reason::BadCredentials);
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
    publish(&mut bench, &put(3, "c=dev1&u=joe&p=secret"));
}
