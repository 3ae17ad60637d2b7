//! What RFC 7252 asks of every request and answer, whatever the resource.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bus::{Address, Carrier, Limits, Link, Outbox, Peer, Protocol, Qos, Reason, Reply, Request, Transport};
use coap::{Coap, Code, Config, Endpoint, Incoming, Kind, Message, OptionNumber, Transmission};
use common::*;

#[test]
fn a_put_and_a_delete_that_are_done_twice_leave_what_one_leaves() {
    let mut bench = bench();
    let mut said = Vec::new();
    for (id, method) in [(1, Code::PUT), (2, Code::PUT), (3, Code::DELETE), (4, Code::DELETE)] {
        // No message-layer duplicates: each has an id of its own.
        bench.receive(&request(Kind::Confirmable, method, id, b"t", "ps/a").with_payload("21").encode());
        if id == 1 {
            accept(&mut bench);
        }
        let (ticket, publish) = published(&mut bench);
        bench.reply(ticket, Reply::Published { matched: 0 });
        said.push((publish.topic, publish.payload, publish.retain, sent(&mut bench).code()));
    }
    assert_eq!(said[0], said[1]);
    assert_eq!(said[2], said[3]);
    assert_eq!((said[1].3, said[3].3), (Code::CHANGED, Code::DELETED));
}

#[test]
fn a_post_that_makes_no_resource_is_changed() {
    let mut bench = bench();
    bench.receive(&con(Code::POST, 1, b"t", "ps/a"));
    accept(&mut bench);
    done(&mut bench);
    assert_eq!(bench.take_sent(), b"\x61\x44\x00\x01t"); // ACK 2.04
}

#[test]
fn who_leaves_host_and_port_out_means_the_same_as_who_names_them() {
    let plain = request(Kind::Confirmable, Code::GET, 1, b"t", "ps/a");
    let named = plain.clone().with_option(OptionNumber::URI_HOST, "127.0.0.1");
    let named = named.with_uint(OptionNumber::URI_PORT, 5683);
    for message in [plain, named] {
        let mut bench = bench();
        bench.receive(&message.encode());
        accept(&mut bench);
        let (ticket, asked) = bench.request();
        assert!(matches!(asked, Request::Read(topic) if topic.as_str() == "a"));
        bench.reply(ticket, Reply::Read(None));
        assert_eq!(sent(&mut bench).code(), Code::NOT_FOUND);
    }
}

#[test]
fn the_refusal_of_an_option_tells_its_number() {
    for number in [13, 65_001, 65_535] {
        let mut bench = bench();
        let get =
            request(Kind::Confirmable, Code::GET, 1, b"t", "ps/a").with_option(OptionNumber(number), "x");
        bench.receive(&get.encode());
        let answer = sent(&mut bench);
        assert_eq!(answer.code(), Code::BAD_OPTION);
        assert!(text(&answer).contains(&number.to_string()), "{}", text(&answer));
    }
}

/// Numbers from 65,000 are for experiments; nothing here means anything by one.
#[test]
fn no_option_of_the_experimental_range_is_known() {
    for number in 65_000..=u16::MAX {
        let message = Message::request(Code::GET).with_option(OptionNumber(number), "");
        let refused = (number % 2 == 1).then_some(OptionNumber(number));
        assert_eq!(message.unknown_critical_option(), refused);
    }
}

#[test]
fn an_elective_option_that_comes_twice_counts_once() {
    let get = |id| request(Kind::Confirmable, Code::GET, id, b"t", ".well-known/core");
    let twice = |first, second| [first, second].map(|value: u32| value);
    let mut bench = bench();
    for (id, values, code) in [
        (1, twice(16, 0), Code::CONTENT),
        (2, twice(0, 16), Code::BAD_REQUEST),
        (3, twice(9, 9), Code::CONTENT),
    ] {
        let message =
            values.into_iter().fold(get(id), |message, value| message.with_uint(OptionNumber(16), value));
        bench.receive(&message.encode());
        assert_eq!(sent(&mut bench).code(), code, "Hop-Limit {values:?}"); // [RFC7252 5.4.5], [RFC8768 3]
    }
}

#[test]
fn what_is_sent_has_no_option_twice_that_may_not_be_and_none_that_is_unknown() {
    let mut bench = bench();
    let expires = bench.now + Duration::from_secs(90);
    let mut retained = Arc::into_inner(harness::message("a/b", "21", Qos::AtLeastOnce, bench.now)).unwrap();
    retained.expires = Some(expires);
    let retained = Arc::new(retained);
    let uris =
        ["ps/a/b", "ps/a/b?qos=1", "ps", "nowhere", ".well-known/core", "mqtt/connection?c=dev", "ps/+/b"];
    let methods = [Code::GET, Code::POST, Code::PUT, Code::DELETE, Code::FETCH, Code::PATCH, Code::IPATCH];
    let mut id = 0;
    let mut answers = 0;
    for (uri, method) in uris.iter().flat_map(|uri| methods.map(|method| (uri, method))) {
        for observe in [None, Some(0), Some(1)] {
            id += 1;
            let plain = request(Kind::Confirmable, method, id, &id.to_be_bytes(), uri).with_payload("21");
            let plain = plain.with_option(OptionNumber::REQUEST_TAG, "tag");
            let message = observe.map_or(plain.clone(), |value| plain.with_observe(value));
            bench.receive(&message.encode());
            serve(&mut bench, Some(&retained));
            for (_, datagram) in bench.sent.drain(..) {
                answers += 1;
                let answer = Message::decode(&datagram).unwrap();
                assert_eq!(answer.unknown_critical_option(), None, "{answer:?}");
                for number in
                    (0..300).map(OptionNumber).filter(|number| *number != OptionNumber::LOCATION_PATH)
                {
                    assert!(answer.options(number).count() <= 1, "{number:?} in {answer:?}");
                }
                if answer.code() != Code::CONTENT {
                    assert_eq!(answer.observe(), None, "{answer:?}");
                }
                for request_only in [
                    OptionNumber::IF_MATCH,
                    OptionNumber::IF_NONE_MATCH,
                    OptionNumber::URI_HOST,
                    OptionNumber::URI_PATH,
                    OptionNumber::URI_QUERY,
                    OptionNumber::ACCEPT,
                    OptionNumber::REQUEST_TAG, // [RFC9175 3.4]
                ] {
                    assert_eq!(answer.option(request_only), None, "{answer:?}");
                }
                let ends = answer.code() == Code::EMPTY;
                assert!(!ends || datagram.len() == 4, "an empty message is empty");
            }
        }
    }
    assert!(answers >= id, "every request is answered");
}

/// What expires within the second must not be taken for fresh a minute long.
#[test]
fn what_is_about_to_expire_has_a_max_age_of_zero() {
    let mut bench = bench();
    let mut retained = Arc::into_inner(harness::message("a", "21", Qos::AtLeastOnce, bench.now)).unwrap();
    retained.expires = Some(bench.now + Duration::from_millis(400));
    bench.receive(&con(Code::GET, 1, b"t", "ps/a"));
    accept(&mut bench);
    found(&mut bench, Arc::new(retained));
    assert_eq!(sent(&mut bench).uint(OptionNumber::MAX_AGE), Some(0)); // [RFC7252 5.6.1]
}

#[test]
fn the_tokens_of_our_requests_are_chance_and_never_the_same() {
    let limits = Limits { send_window: 100, ..Limits::default() };
    let mut tokens = BTreeSet::new();
    for seed in 0..20 {
        let mut endpoint = Endpoint::new(seed, Transmission::default(), &limits, 1_152);
        let now = common::bench().now;
        for _ in 0..50 {
            let mut out = Outbox::new(Transport::Datagram);
            let get = Message::request(Code::GET).non_confirmable();
            endpoint.request(get, now, &mut out).unwrap();
            let datagram = out.chunks().map(|chunk| chunk.bytes.to_vec()).next().unwrap();
            let token = Message::decode(&datagram).unwrap().token();
            assert_eq!(token.as_slice().len(), 8);
            assert!(tokens.insert(token.as_slice()[..4].to_vec()), "32 bits alone are not the same twice");
        }
    }
}

#[test]
fn a_confirmable_answer_to_a_non_confirmable_request_is_taken_and_acknowledged() {
    let mut endpoint = Endpoint::new(7, Transmission::default(), &Limits::default(), 1_152);
    let now = common::bench().now;
    let mut out = Outbox::new(Transport::Datagram);
    let get = Message::request(Code::GET).non_confirmable();
    let exchange = endpoint.request(get, now, &mut out).unwrap();
    let asked = Message::decode(out.chunks().next().unwrap().bytes).unwrap();
    let answer = Message::response(Code::CONTENT).with_token(asked.token());
    let answer = numbered(answer, Kind::Confirmable, 0x1234).encode();
    let mut out = Outbox::new(Transport::Datagram);
    let incoming = endpoint.receive(&answer, now, &mut out);
    assert!(matches!(incoming, Some(Incoming::Response { exchange: known, .. }) if known == exchange));
    assert_eq!(out.chunks().next().unwrap().bytes, acknowledgement(0x1234));
}

/// Without Max-Age a client waits for a minute before it asks again.
#[test]
fn who_asks_too_often_or_while_the_server_is_busy_is_told_when_to_come_again() {
    let cases = [
        (Reason::MessageRateTooHigh, Code::TOO_MANY_REQUESTS, Some(1)),
        (Reason::ServerBusy, Code::SERVICE_UNAVAILABLE, Some(5)),
        (Reason::QuotaExceeded, Code::TOO_MANY_REQUESTS, None),
        (Reason::NotAuthorized, Code::FORBIDDEN, None),
    ];
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    accept(&mut bench);
    for (id, (reason, code, seconds)) in (2..).zip(cases) {
        let (ticket, _) = published(&mut bench);
        bench.refuse(ticket, reason);
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), answer.uint(OptionNumber::MAX_AGE)), (code, seconds), "{reason:?}");
        bench.receive(&con(Code::PUT, id, b"t", "ps/a"));
    }
}

#[test]
fn no_link_of_discovery_has_an_attribute_twice_and_none_has_href() {
    let mut bench = bench();
    bench.receive(&con(Code::GET, 1, b"t", ".well-known/core"));
    let answer = sent(&mut bench);
    let links: Vec<&str> = text(&answer).split(",<").collect();
    assert!(links[0].starts_with("</"), "{links:?}");
    for link in links {
        let mut names = BTreeSet::new();
        for attribute in link.split(';').skip(1) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            assert!(names.insert(name), "{name} is there twice: {link}"); // [RFC6690 3]
            assert_ne!(name, "href", "{link}"); // [RFC6690 2]
            assert!(name != "obs" || value.is_empty(), "{link}"); // [RFC7641 6]
            assert!(name != "ct" || value.trim_matches('"').split(' ').all(|ct| ct.parse::<u16>().is_ok()));
        }
    }
}

#[test]
fn a_no_response_that_is_too_long_is_ignored() {
    let mut bench = bench();
    for (id, value, is_sent) in [(1, &[26][..], false), (2, &[26, 26], true), (3, &[], true)] {
        let get = request(Kind::NonConfirmable, Code::GET, id, b"t", ".well-known/core");
        bench.receive(&get.with_option(OptionNumber::NO_RESPONSE, value).encode());
        assert_eq!(std::mem::take(&mut bench.sent).len() == 1, is_sent, "{value:?}"); // [RFC7967 2]
    }
}

/// What a peer must repeat tells nothing of anybody and is no peer's but its own.
#[test]
fn an_echo_is_64_bits_of_chance_and_each_connections_own() {
    let mut values = BTreeSet::new();
    for seed in 0..50 {
        let config = Config::default();
        let link = Link { carrier: Carrier::Udp, secured: None };
        let address = Address::Socket(([203, 0, 113, 7], 5_683).into());
        let peer = Peer { address, listener: "coap".into(), transport: Transport::Datagram, seed, link };
        let mut connection = Coap::new(config, Limits::default()).accept(peer);
        let now = common::bench().now;
        let mut out = Outbox::new(Transport::Datagram);
        // Long enough for the Echo, and much shorter than the list of links.
        let get = con(Code::GET, 1, b"tokentok", ".well-known/core");
        connection.receive(&get, now, &mut out).unwrap();
        let answer = Message::decode(out.chunks().next().unwrap().bytes).unwrap();
        let value = answer.option(OptionNumber::ECHO).expect("an Echo").to_vec();
        assert_eq!(value.len(), 8);
        assert!(values.insert(value), "two connections have the same");
    }
}
