//! Requests that are protected with OSCORE [RFC8613], and what answers them.

mod common;
#[path = "common/protected.rs"]
mod protected;

use std::sync::Arc;

use bus::{Limits, Qos, Reply, Request, Ticket, Transport};
use coap::{Coap, Code, Frame, Framing, Kind, Message, OptionNumber};
use common::*;
use harness::Bench;
use oscore::{Contexts, Pending, SecurityContext};
use protected::*;

fn put(id: u16, uri: &str) -> Message {
    request(Kind::Confirmable, Code::PUT, id, b"t", uri).with_payload("21.5")
}

fn get(id: u16, uri: &str) -> Message {
    request(Kind::Confirmable, Code::GET, id, b"t", uri)
}

/// The session that is asked for: its client id and the user that is proved.
fn asked(bench: &mut Bench) -> (Option<String>, Option<String>) {
    let Some((_, Request::Connect(connect))) = bench.requests.front() else { panic!("no connect") };
    assert!(connect.credentials.username.is_none() && connect.credentials.password.is_none());
    let proved = connect.credentials.proved.as_ref();
    assert!(proved.is_none_or(|proved| &*proved.version == "OSCORE"));
    (
        connect.client_id.as_ref().map(|id| id.as_str().to_owned()),
        proved.and_then(|proved| proved.username.as_deref().map(str::to_owned)),
    )
}

/// Lets a device observe `ps/a`: the id of the subscription, the first answer, and what opens it and those that follow.
fn observing_protected(bench: &mut Bench, device: &Arc<SecurityContext>) -> (u32, Message, Pending) {
    let (datagram, pending) = protect(device, get(7, "ps/a").with_observe(0));
    bench.receive(&datagram);
    accept(bench);
    let id = granted(bench);
    found_nothing(bench);
    (id, sent(bench), pending)
}

/// A message that nobody acknowledges to the broker.
fn deliver(bench: &mut Bench, subscription: u32, payload: &str) {
    let delivery = harness::delivery(0, subscription, "a", payload, Qos::AtMostOnce, bench.now);
    bench.deliver(delivery);
}

#[test]
fn a_protected_publish_opens_the_session_of_its_context_and_its_answer_is_protected() {
    let (mut bench, _) = server(false, None);
    let (datagram, mut pending) = protect(&device(1), put(7, "ps/a/b"));
    bench.receive(&datagram);
    assert_eq!(asked(&mut bench), (Some("sensor".into()), Some("sensor".into())));
    accept(&mut bench);
    let (ticket, publish) = published(&mut bench);
    assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("a/b", &b"21.5"[..]));
    bench.reply(ticket, Reply::Published { matched: 0 });
    let answer = sent(&mut bench);
    assert_eq!((answer.kind(), answer.id(), answer.code()), (Kind::Acknowledgement, 7, Code::CHANGED));
    assert_eq!(answer.option(OptionNumber::OSCORE), Some(&[][..]));
    assert_eq!(open(&mut pending, &answer).code(), Code::CHANGED);
}

#[test]
fn a_retransmission_is_answered_again_and_published_once() {
    let (mut bench, _) = server(false, None);
    let (datagram, mut pending) = protect(&device(1), put(7, "ps/a"));
    bench.receive(&datagram);
    accept(&mut bench);
    done(&mut bench);
    let first = sent(&mut bench);
    bench.receive(&datagram);
    assert_eq!((sent(&mut bench), bench.requests.len()), (first.clone(), 0));
    assert_eq!(open(&mut pending, &first).code(), Code::CHANGED);
}

#[test]
fn what_was_recorded_is_refused_when_it_comes_again_as_another_message() {
    let (mut bench, _) = server(false, None);
    let (datagram, _) = protect(&device(1), put(7, "ps/a"));
    bench.receive(&datagram);
    accept(&mut bench);
    done(&mut bench);
    sent(&mut bench);
    bench.receive(&numbered(Message::decode(&datagram).unwrap(), Kind::Confirmable, 8).encode());
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), text(&answer)), (Code::UNAUTHORIZED, "Replay detected"));
    assert_eq!((answer.uint(OptionNumber::MAX_AGE), bench.requests.len()), (Some(0), 0));
}

#[test]
fn a_request_of_no_known_context_and_what_is_no_cose_are_refused_in_the_open() {
    let (mut bench, _) = server(false, None);
    let (datagram, _) = protect(&device(9), put(7, "ps/a"));
    bench.receive(&datagram);
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), text(&answer)), (Code::UNAUTHORIZED, "Security context not found"));
    let request = put(8, "ps/a").with_option(OptionNumber::OSCORE, [0xFF]);
    bench.receive(&request.encode());
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), text(&answer)), (Code::BAD_OPTION, "Failed to decode COSE"));
    let request = put(9, "ps/a").with_option(OptionNumber::OSCORE, [0x09, 0x00, 0x01]);
    bench.receive(&request.encode());
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), text(&answer)), (Code::BAD_REQUEST, "Decryption failed"));
    assert!(bench.requests.is_empty());
}

#[test]
fn a_refusal_is_never_much_longer_than_what_is_refused() {
    let (mut bench, _) = server(true, None);
    let bare = request(Kind::Confirmable, Code::POST, 7, b"", "");
    for refused in [bare.clone(), bare.with_option(OptionNumber::OSCORE, [0x09, 0x00]).with_payload("x")] {
        bench.receive(&refused.encode());
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), answer.payload()), (Code::UNAUTHORIZED, &b""[..]));
    }
}

#[test]
fn an_error_of_a_resource_is_protected() {
    let (mut bench, _) = server(false, None);
    let device = device(1);
    let (datagram, mut pending) = protect(&device, get(7, "nowhere"));
    bench.receive(&datagram);
    assert_eq!(opened(&mut bench, &mut pending).code(), Code::NOT_FOUND);
    let unknown = get(8, "ps/a").with_option(OptionNumber(65_001), "x");
    let (datagram, mut pending) = protect(&device, unknown);
    bench.receive(&datagram);
    assert_eq!(opened(&mut bench, &mut pending).code(), Code::BAD_OPTION);
}

#[test]
fn an_observer_gets_protected_notifications_each_with_a_partial_iv_of_its_own() {
    let (mut bench, _) = server(false, None);
    let (id, first, mut pending) = observing_protected(&mut bench, &device(1));
    assert_eq!((first.code(), first.option(OptionNumber::OSCORE)), (Code::CONTENT, Some(&[1, 0][..])));
    assert_eq!(open(&mut pending, &first).observe(), Some(1));
    for number in 0..3_u8 {
        deliver(&mut bench, id, &number.to_string());
        let notification = sent(&mut bench);
        assert_eq!(notification.option(OptionNumber::OSCORE), Some(&[1, 1 + number][..]));
        assert_eq!((notification.code(), notification.token().as_slice()), (Code::CONTENT, &b"t"[..]));
        assert!(notification.observe().is_some());
        let notification = open(&mut pending, &notification);
        assert_eq!(
            (notification.payload(), notification.observe()),
            (number.to_string().as_bytes(), Some(2 + u32::from(number)))
        );
    }
}

#[test]
fn an_observation_ends_by_a_protected_request_with_another_partial_iv() {
    let (mut bench, _) = server(false, None);
    let device = device(1);
    let (id, ..) = observing_protected(&mut bench, &device);
    bench.receive(&get(8, "ps/a").with_observe(1).encode());
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
    let (datagram, mut pending) = protect(&device, get(9, "ps/a").with_observe(1));
    bench.receive(&datagram);
    assert_eq!(unsubscribed_first(&mut bench), id);
    found_nothing(&mut bench);
    let answer = opened(&mut bench, &mut pending);
    assert_eq!((answer.code(), answer.observe()), (Code::CONTENT, None));
}

fn unsubscribed_first(bench: &mut Bench) -> u32 {
    let (ticket, request) = bench.request();
    let Request::Unsubscribe(wishes) = request else { panic!("expected an unsubscribe, found {request:?}") };
    let bus::Unsubscribe::Id(id) = wishes[0] else { panic!("unsubscribed from {wishes:?}") };
    bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())]));
    id.0
}

#[test]
fn after_a_restart_the_first_request_is_challenged_and_the_echo_is_answered() {
    let echo = *b"restart1";
    let (mut bench, _) = server(false, Some(echo));
    let device = device(1);
    let (datagram, mut pending) = protect(&device, put(7, "ps/a"));
    bench.receive(&datagram);
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.option(OptionNumber::OSCORE)), (Code::CHANGED, Some(&[1, 0][..])));
    let answer = open(&mut pending, &answer);
    assert_eq!(
        (answer.code(), answer.option(ECHO), answer.payload()),
        (Code::UNAUTHORIZED, Some(&echo[..]), &[][..])
    );
    assert!(bench.requests.is_empty());
    let (datagram, mut pending) = protect(&device, put(8, "ps/a").with_option(ECHO, echo));
    bench.receive(&datagram);
    accept(&mut bench);
    done(&mut bench);
    assert_eq!(opened(&mut bench, &mut pending).code(), Code::CHANGED);
}

#[test]
fn where_protection_is_required_only_discovery_is_open() {
    let (mut bench, _) = server(true, None);
    bench.receive(&put(7, "ps/a").encode());
    assert_eq!((sent(&mut bench).code(), bench.requests.len()), (Code::UNAUTHORIZED, 0));
    bench.receive(&get(8, ".well-known/core").encode());
    assert_eq!(sent(&mut bench).code(), Code::CONTENT);
    let (datagram, _) = protect(&device(1), put(9, "ps/a"));
    bench.receive(&datagram);
    accept(&mut bench);
    published(&mut bench);
}

#[test]
fn each_link_says_once_and_without_a_value_that_it_takes_protection() {
    for required in [true, false] {
        let (mut bench, _) = server(required, None);
        bench.receive(&get(1, ".well-known/core").encode());
        let answer = sent(&mut bench);
        let links = text(&answer).split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(!links.is_empty());
        for link in links {
            let saying: Vec<&str> =
                link.split(';').filter(|attribute| attribute.starts_with("osc")).collect();
            assert_eq!(saying, if required { vec!["osc"] } else { vec![] }, "{link}"); // [RFC8613 9]
        }
    }
}

#[test]
fn signals_on_a_stream_stay_as_they_are_whoever_protects_its_requests() {
    let coap = Coap::new(config(true, None), Limits::default());
    let mut bench = Bench::new(&coap, Transport::Stream);
    assert_eq!(bench.take_sent(), b"\x70\xE1\x23\x01\x00\x00\x20\x21\x40", "CSM");
    let context = device(1);
    let (protected, _) = protect(&context, put(1, "ps/a"));
    let protected = Message::decode(&protected).unwrap();
    let body = protected.encode_options_and_payload();
    let mut bytes = b"\x00\xE1".to_vec(); // CSM
    Framing::Tcp.encode(&Frame { code: protected.code(), token: b"t", body: &body }, &mut bytes);
    bench.receive(&bytes);
    accept(&mut bench);
    assert_eq!(bench.take_sent(), b"\x40\xE1\x23\x10\x00\x00", "CSM");
    let (ticket, _) = published(&mut bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
    let answer = bench.take_sent();
    assert_eq!(answer[1..4], *b"\x44t\x90", "2.04 with OSCORE, which is empty");
    bench.receive(b"\x01\xE2p");
    assert_eq!(bench.take_sent(), b"\x01\xE3p", "Ping and Pong [RFC8613 4.3]");
}

/// What went wrong: the path of discovery with this query is that of the topics, which are not told to everybody.
#[test]
fn what_topics_there_are_is_asked_with_protection_like_any_other() {
    for required in [true, false] {
        let (mut bench, _) = server(required, None);
        let (datagram, _) = protect(&device(1), put(7, "ps/a"));
        bench.receive(&datagram);
        accept(&mut bench);
        published(&mut bench);
        for (id, target) in
            [(8, ".well-known/core?rt=core.ps.conf"), (9, ".well-known/core?rt=core.ps.data&c=x")]
        {
            bench.receive(&get(id, target).encode());
            assert_eq!((sent(&mut bench).code(), bench.requests.len()), (Code::UNAUTHORIZED, 0), "{target}");
        }
    }
}

/// The address of the device can be forged.
#[test]
fn who_has_protected_requests_is_not_taken_at_its_word_for_others() {
    let (mut bench, _) = server(false, None);
    bench.receive(&get(6, "nowhere").encode());
    assert_eq!(sent(&mut bench).code(), Code::NOT_FOUND);
    let (datagram, _) = protect(&device(1), put(7, "ps/a"));
    bench.receive(&datagram);
    accept(&mut bench);
    published(&mut bench);
    bench.receive(&put(8, "ps/a?c=sensor").encode());
    assert_eq!((sent(&mut bench).code(), bench.requests.len()), (Code::UNAUTHORIZED, 0));
}

#[test]
fn a_context_is_no_other_client_and_needs_no_password() {
    let (mut bench, _) = server(false, None);
    let device = device(1);
    for query in ["c=other", "u=joe", "p=secret"] {
        let (datagram, mut pending) = protect(&device, put(7, &format!("ps/a?{query}")));
        bench.receive(&datagram);
        assert_eq!(opened(&mut bench, &mut pending).code(), Code::UNAUTHORIZED, "{query}");
    }
    assert!(bench.requests.is_empty());
}

#[test]
fn a_context_without_a_client_id_lets_the_request_name_one() {
    let (mut bench, _) = server(false, None);
    let device = device(2);
    let (datagram, _) = protect(&device, put(7, "ps/a?c=mine"));
    bench.receive(&datagram);
    assert_eq!(asked(&mut bench), (Some("mine".into()), Some("other".into())));
    accept(&mut bench);
    published(&mut bench);
    let (datagram, _) = protect(&device, put(8, "ps/a"));
    bench.receive(&datagram);
    published(&mut bench);
}

#[test]
fn another_context_at_the_same_address_gets_a_session_of_its_own() {
    let (mut bench, _) = server(false, None);
    for (number, name, leaves) in [(1, "sensor", false), (2, "other", true)] {
        let (datagram, _) = protect(&device(number), put(u16::from(number), "ps/a"));
        bench.receive(&datagram);
        assert_eq!(asked(&mut bench).1.as_deref(), Some(name));
        accept(&mut bench);
        if leaves {
            assert!(matches!(bench.request(), (Ticket::NONE, Request::Disconnect(_))));
        }
        let (ticket, _) = published(&mut bench);
        bench.reply(ticket, Reply::Published { matched: 0 });
    }
}

#[test]
fn a_context_that_is_taken_away_is_known_no_more() {
    let (mut bench, in_force) = server(false, None);
    let device = device(1);
    let (id, ..) = observing_protected(&mut bench, &device);
    in_force.replace(Contexts::default());
    deliver(&mut bench, id, "secret");
    assert!(bench.sent.is_empty());
    assert_eq!(unsubscribed(&mut bench), [id]);
    let (datagram, _) = protect(&device, put(8, "ps/a"));
    bench.receive(&datagram);
    assert_eq!(text(&sent(&mut bench)), "Security context not found");
}

#[test]
fn what_a_proxy_has_cut_up_is_refused() {
    let (mut bench, _) = server(false, None);
    let (datagram, _) = protect(&device(1), put(7, "ps/a"));
    let fragment = Message::decode(&datagram).unwrap().with_uint(OptionNumber::BLOCK1, 0x0E);
    bench.receive(&fragment.encode());
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.option(OptionNumber::OSCORE)), (Code::BAD_OPTION, None));
}

#[test]
fn a_read_brings_the_retained_message_protected() {
    let (mut bench, _) = server(false, None);
    let (datagram, mut pending) = protect(&device(1), get(7, "ps/a"));
    bench.receive(&datagram);
    accept(&mut bench);
    found_text(&mut bench, "kept");
    let answer = opened(&mut bench, &mut pending);
    assert_eq!((answer.code(), answer.payload()), (Code::CONTENT, &b"kept"[..]));
}

/// The session was opened for whoever the query named, before anybody had looked who protects the request.
#[test]
fn a_body_that_comes_in_blocks_opens_the_session_of_its_context_with_the_first() {
    let (mut bench, _) = server(false, None);
    let device = device(1);
    let block = |id, number: u32, more: u32| {
        let message = put(id, "ps/a").with_payload([number as u8; 16]);
        message.with_uint(OptionNumber::BLOCK1, number << 4 | more << 3)
    };
    let (datagram, mut pending) = protect(&device, block(7, 0, 1));
    bench.receive(&datagram);
    assert_eq!(asked(&mut bench), (Some("sensor".into()), Some("sensor".into())));
    assert_eq!(opened(&mut bench, &mut pending).code(), Code(0x5F));
    accept(&mut bench);
    let (datagram, _) = protect(&device, block(8, 1, 0));
    bench.receive(&datagram);
    let (_, publish) = published(&mut bench);
    assert_eq!(&publish.payload[..], [[0; 16], [1; 16]].concat());
}

#[test]
fn the_blocks_of_one_context_are_not_those_of_another() {
    let (mut bench, _) = server(false, None);
    let block = |number: u32, more: u32| {
        let message = put(7 + number as u16, "ps/a").with_payload([number as u8; 16]);
        message.with_uint(OptionNumber::BLOCK1, number << 4 | more << 3)
    };
    let (datagram, mut pending) = protect(&device(1), block(0, 1));
    bench.receive(&datagram);
    assert_eq!(opened(&mut bench, &mut pending).code(), Code(0x5F));
    accept(&mut bench);
    let (datagram, mut pending) = protect(&device(2), block(1, 0));
    bench.receive(&datagram);
    assert_eq!(opened(&mut bench, &mut pending).code(), Code::REQUEST_ENTITY_INCOMPLETE);
}
