//! Who a request is from, when the session opens, and when the connection ends.

mod common;

use std::time::Duration;

use bus::{Connect, Protocol, Reason, Reply, Request, Ticket};
use coap::{Coap, Code, Config, Kind};
use common::*;
use harness::Bench;

fn connect(bench: &mut Bench) -> Connect {
    bench.accept_connect(false)
}

fn left(bench: &mut Bench) {
    let (ticket, request) = bench.request();
    assert!(matches!(request, Request::Disconnect(farewell) if !farewell.publish_will), "{request:?}");
    assert_eq!(ticket, Ticket::NONE);
}

#[test]
fn the_first_request_that_needs_a_session_opens_it_with_the_credentials_of_its_query() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a?c=dev1&u=joe&p=secret"));
    let opened = connect(&mut bench);
    assert_eq!(opened.client_id.unwrap().as_str(), "dev1");
    assert_eq!(opened.credentials.username.as_deref(), Some("joe"));
    assert_eq!(opened.credentials.password.as_deref(), Some(&b"secret"[..]));
    published(&mut bench);
    bench.receive(&con(Code::PUT, 2, b"t", "ps/a?clientid=dev1&username=joe&password=secret"));
    published(&mut bench);
}

#[test]
fn without_a_client_id_the_broker_chooses_one() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    assert!(connect(&mut bench).client_id.is_none());
}

#[test]
fn requests_that_come_while_the_session_opens_wait_for_it_in_order() {
    let mut bench = bench();
    for (id, uri) in [(1, "ps/a?c=dev1"), (2, "ps/b?c=dev1"), (3, "ps/c")] {
        bench.receive(&con(Code::PUT, id, b"t", uri));
    }
    assert_eq!(bench.requests.len(), 1);
    connect(&mut bench);
    let topics: Vec<String> = (0..3).map(|_| published(&mut bench).1.topic.as_str().to_owned()).collect();
    assert_eq!(topics, ["a", "b", "c"]);
}

#[test]
fn a_refused_session_is_told_and_may_be_tried_again() {
    for (reason, code) in [
        (Reason::BadCredentials, Code::UNAUTHORIZED),
        (Reason::NotAuthorized, Code::FORBIDDEN),
        (Reason::Banned, Code::FORBIDDEN),
        (Reason::ClientIdInvalid, Code::BAD_REQUEST),
    ] {
        let mut bench = bench();
        bench.receive(&con(Code::PUT, 1, b"t", "ps/a?c=dev1&p=wrong"));
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), text(&answer)), (code, reason.explain()));
        bench.receive(&con(Code::PUT, 2, b"t", "ps/a?c=dev1&p=right"));
        assert_eq!(connect(&mut bench).credentials.password.as_deref(), Some(&b"right"[..]));
    }
}

#[test]
fn other_credentials_open_another_session_and_end_what_the_first_observed() {
    let mut bench = bench();
    observing(&mut bench, 1, b"1", "ps/a?c=dev1");
    bench.receive(&con(Code::PUT, 2, b"2", "ps/a?c=dev2"));
    assert!(bench.sent.is_empty(), "nothing ends before the broker has spoken");
    assert_eq!(connect(&mut bench).client_id.unwrap().as_str(), "dev2");
    let last = sent(&mut bench);
    assert_eq!((last.code(), last.token().as_slice()), (Code::UNAUTHORIZED, &b"1"[..]));
    left(&mut bench);
    published(&mut bench);
}

#[test]
fn a_session_that_took_a_password_is_not_for_who_comes_without() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a?c=dev1&p=secret"));
    connect(&mut bench);
    done(&mut bench);
    bench.take_sent();
    bench.receive(&con(Code::PUT, 2, b"t", "ps/a"));
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
    assert!(bench.requests.is_empty());
}

#[test]
fn connection_mode_gives_a_token_that_stands_for_the_password() {
    let mut bench = bench();
    bench.receive(&con(Code::POST, 1, b"t", "mqtt/connection?clientid=dev1&username=joe&password=secret"));
    connect(&mut bench);
    let answer = sent(&mut bench);
    assert_eq!(answer.code(), Code::CREATED);
    let token = text(&answer).to_owned();
    assert!((1 << 32..1 << 53).contains(&token.parse::<u64>().unwrap()), "not to be guessed by trying");
    assert_eq!(bench.claims.len(), 1);

    bench.receive(&con(Code::PUT, 2, b"t", &format!("ps/a?clientid=dev1&token={token}")));
    let (ticket, _) = published(&mut bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);
    bench.receive(&con(Code::PUT, 3, b"t", &format!("mqtt/connection?clientid=dev1&token={token}")));
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);
    let mut id = 9;
    for wrong in
        ["ps/a?clientid=dev1&token=1", "ps/a", "mqtt/connection?clientid=dev2&token=", "mqtt/connection"]
    {
        id += 1;
        bench.receive(&con(Code::PUT, id, b"t", wrong));
        assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED, "{wrong}");
    }
    bench.receive(&con(Code::DELETE, 4, b"t", &format!("mqtt/connection?clientid=dev1&token={token}")));
    let codes: Vec<u8> = bench.sent.drain(..).map(|(_, datagram)| datagram[1]).collect();
    assert_eq!(codes.last(), Some(&Code::DELETED.0));
    left(&mut bench);
    assert!(bench.claims.is_empty());
}

/// Opens a connection in place of the one there may be; returns its token.
fn logged_in(bench: &mut Bench, id: u16, query: &str) -> String {
    bench.receive(&con(Code::POST, id, b"l", &format!("mqtt/connection?{query}")));
    connect(bench);
    if !bench.requests.is_empty() {
        left(bench);
    }
    let (_, datagram) = bench.sent.pop_back().expect("an answer");
    let answer = coap::Message::decode(&datagram).unwrap();
    assert_eq!((answer.code(), answer.id()), (Code::CREATED, id));
    text(&answer).to_owned()
}

#[test]
fn the_query_has_short_names_in_connection_mode_too() {
    let mut bench = bench();
    let token = logged_in(&mut bench, 1, "c=dev1&u=joe&p=secret");
    bench.receive(&con(Code::POST, 2, b"t", &format!("ps/a?c=dev1&t={token}&q=0&r=1")));
    let (_, publish) = published(&mut bench);
    assert_eq!((publish.qos, publish.retain), (bus::Qos::AtMostOnce, true));
    bench.receive(&con(Code::PUT, 3, b"t", &format!("mqtt/connection?c=dev1&t={token}")));
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);
}

#[test]
fn a_second_login_ends_the_first_connection_and_its_token() {
    for client_id in ["dev1", "dev2"] {
        let mut bench = bench();
        let first = logged_in(&mut bench, 1, "clientid=dev1");
        bench.receive(&observe(2, b"o", &format!("ps/a?clientid=dev1&token={first}")));
        granted(&mut bench);
        found_nothing(&mut bench);
        bench.take_sent();
        let second = logged_in(&mut bench, 3, &format!("clientid={client_id}"));
        assert_ne!(first, second);
        let ended = sent(&mut bench);
        assert_eq!((ended.code(), ended.token().as_slice()), (Code::UNAUTHORIZED, &b"o"[..]));
        assert_eq!(bench.claims.len(), 1);
        for (id, query, code) in [
            (4, format!("clientid=dev1&token={first}"), Code::UNAUTHORIZED),
            (5, format!("clientid={client_id}&token={second}"), Code::CHANGED),
        ] {
            bench.receive(&con(Code::PUT, id, b"t", &format!("mqtt/connection?{query}")));
            assert_eq!(sent(&mut bench).code(), code, "{query}");
        }
    }
}

#[test]
fn heartbeats_keep_a_connection_that_does_nothing_else() {
    let mut bench = bench();
    let token = logged_in(&mut bench, 1, "clientid=dev1");
    for id in 2..9 {
        bench.advance(200 * SECOND);
        bench.receive(&con(Code::PUT, id, b"t", &format!("mqtt/connection?clientid=dev1&token={token}")));
        assert_eq!((sent(&mut bench).code(), bench.closed), (Code::CHANGED, None));
    }
    bench.advance(300 * SECOND);
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
}

#[test]
fn part_of_a_token_and_client_id_is_not_enough() {
    let mut bench = bench();
    let token = logged_in(&mut bench, 1, "clientid=dev1");
    let wrong =
        [format!("token={token}"), "clientid=dev1".to_owned(), format!("clientid=dev1&token={token}0")];
    for (id, query) in (2..).zip(wrong) {
        bench.receive(&con(Code::POST, id, b"t", &format!("ps/a?{query}")));
        assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED, "{query}");
    }
    assert!(bench.requests.is_empty());
}

#[test]
fn a_connection_is_named_by_client_id_and_token() {
    let coap = Coap::new(Config::default(), bus::Limits::default());
    let name = coap.name(&con(Code::PUT, 1, b"t", "ps/a?c=dev1&t=77"));
    assert_eq!(name, coap.name(&con(Code::GET, 2, b"u", "mqtt/connection?token=77&clientid=dev1")));
    assert!(name.is_some());
    assert_eq!(coap.name(&con(Code::PUT, 1, b"t", "ps/a?c=dev1")), None);
    assert_eq!(coap.name(&con(Code::PUT, 1, b"t", "ps/a?t=77")), None);
    assert_eq!(coap.name(&acknowledgement(1)), None);
    assert_eq!(coap.name(b"\x40\x01\x00\x01\xFF"), None);
}

#[test]
fn a_login_that_fails_or_names_nobody_is_refused() {
    let mut bench = bench();
    bench.receive(&con(Code::POST, 1, b"t", "mqtt/connection?username=joe"));
    assert_eq!(sent(&mut bench).code(), Code::BAD_REQUEST);
    bench.receive(&con(Code::POST, 2, b"t", "mqtt/connection?clientid=dev1&password=wrong"));
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::BadCredentials);
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
    bench.receive(&con(Code::GET, 3, b"t", "mqtt/connection?clientid=dev1"));
    assert_eq!(sent(&mut bench).code(), Code::METHOD_NOT_ALLOWED);
    bench.receive(&con(Code::PUT, 4, b"t", "mqtt/connection?clientid=dev1&token=1"));
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
    assert!(bench.claims.is_empty() && bench.requests.is_empty());
}

#[test]
fn only_a_request_makes_a_connection() {
    let coap = Coap::new(Config::default(), bus::Limits::default());
    assert!(coap.admits(&con(Code::GET, 1, b"", "ps/a")));
    assert!(coap.admits(&non(Code::PUT, 1, b"", "ps/a")));
    let strays: [&[u8]; 7] = [
        b"\x40\x00\x00\x01", // a ping
        b"\x60\x00\x00\x01", // an acknowledgement
        b"\x70\x00\x00\x01", // a reset
        b"\x40\x45\x00\x01", // a response
        b"\x60\x01\x00\x01", // an acknowledgement with a method
        b"\x80\x01\x00\x01", // version 2
        b"\x40\x01\x00",
    ];
    assert!(!strays.iter().any(|stray| coap.admits(stray)));
}

#[test]
fn who_observes_nothing_may_be_silent_for_the_idle_time() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    connect(&mut bench);
    done(&mut bench);
    bench.advance(299 * SECOND);
    bench.receive(&con(Code::PUT, 2, b"t", "ps/a"));
    bench.advance(299 * SECOND);
    assert_eq!(bench.closed, None);
    bench.advance(2 * SECOND);
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
}

#[test]
fn who_has_no_session_may_be_silent_for_less() {
    let mut bench = bench();
    bench.receive(&con(Code::GET, 1, b"t", ".well-known/core"));
    bench.advance(15 * SECOND);
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
}

#[test]
fn what_waits_is_answered_when_the_session_ends() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    bench.receive(&con(Code::PUT, 2, b"t", "ps/a"));
    connect(&mut bench);
    bench.handle(bus::Event::Close(Reason::Kicked));
    let answers: Vec<Vec<u8>> = bench.sent.drain(..).map(|(_, datagram)| datagram[..4].to_vec()).collect();
    assert_eq!(answers, [b"\x61\x83\x00\x01", b"\x61\x83\x00\x02"]); // ACK 4.03
    assert_eq!(bench.closed, Some(Reason::Kicked));
}

#[test]
fn what_waits_for_a_session_is_bounded() {
    let mut bench = bench();
    for id in 1..=3 {
        let put = request(Kind::Confirmable, Code::PUT, id, b"t", "ps/a").with_payload(vec![b'x'; 30_000]);
        bench.receive(&put.encode());
    }
    let answer = sent(&mut bench);
    assert_eq!((answer.id(), answer.code()), (3, Code::SERVICE_UNAVAILABLE));
    let large = request(Kind::Confirmable, Code::PUT, 4, b"t", "ps/a").with_payload(vec![b'x'; 66_000]);
    bench.receive(&large.encode());
    let answer = sent(&mut bench);
    assert_eq!(answer.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(answer.uint(coap::OptionNumber::SIZE1), Some(65_536));
}

#[test]
fn a_late_reply_of_a_session_that_has_ended_is_ignored() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a?c=dev1"));
    connect(&mut bench);
    let (late, _) = published(&mut bench);
    bench.handle(bus::Event::Close(Reason::Kicked));
    assert_eq!(sent(&mut bench).code(), Code::FORBIDDEN);
    bench.reply(late, Reply::Published { matched: 0 });
    assert!(bench.sent.is_empty());
    bench.advance(Duration::ZERO);
}
