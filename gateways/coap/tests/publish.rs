//! Topics as resources: PUT, POST, DELETE and GET without Observe.

mod common;

use std::sync::Arc;
use std::time::Duration;

use bus::{ContentFormat, Metadata, Qos, Reason, Reply, Request};
use coap::{Code, Config, DefaultQos, DirectoryConfig, Kind, Message, OptionNumber};
use common::*;

#[test]
fn a_put_is_published_and_acknowledged_once_the_broker_has_it() {
    let mut bench = bench();
    // CON PUT, id 0x0001, token 0xAA, Uri-Path "ps" "room" "temp", Content-Format 50, payload "21"
    bench.receive(b"\x41\x03\x00\x01\xAA\xB2ps\x04room\x04temp\x11\x32\xFF21");
    assert_eq!(bench.accept_connect(false).protocol, "CoAP");
    let (ticket, publish) = published(&mut bench);
    assert_eq!(
        (publish.topic.as_str(), &publish.payload[..], publish.qos),
        ("room/temp", &b"21"[..], Qos::AtLeastOnce)
    );
    let metadata = publish.metadata.unwrap();
    assert_eq!(metadata.content_format, Some(ContentFormat::JSON));
    assert_eq!(metadata.content_type.as_deref(), Some("application/json"));
    assert!(bench.sent.is_empty(), "nothing is acknowledged before the broker has it");
    bench.reply(ticket, Reply::Published { matched: 1 });
    assert_eq!(bench.take_sent(), b"\x61\x44\x00\x01\xAA"); // ACK 2.04
}

#[test]
fn the_query_says_qos_retain_and_expiry() {
    let mut bench = bench();
    bench.receive(&non(Code::POST, 1, b"t", "ps/a?qos=2&retain=true&expiry=60"));
    accept(&mut bench);
    let (ticket, publish) = published(&mut bench);
    assert_eq!((publish.qos, publish.once, publish.retain), (Qos::ExactlyOnce, Some(1), true));
    assert_eq!(publish.expiry, Some(Duration::from_secs(60)));
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert!(matches!(bench.request(), (bus::Ticket::NONE, Request::Release(1))));
    let answer = sent(&mut bench);
    assert_eq!((answer.kind(), answer.code()), (Kind::NonConfirmable, Code::CHANGED));
}

#[test]
fn without_a_qos_the_kind_of_message_or_the_configuration_says_it() {
    let mut bench = bench();
    bench.receive(&non(Code::PUT, 1, b"t", "ps/a"));
    accept(&mut bench);
    assert_eq!(published(&mut bench).1.qos, Qos::AtMostOnce);
    let mut bench = bench_with(Config { publish_qos: DefaultQos::Qos1, ..Config::default() });
    bench.receive(&non(Code::PUT, 1, b"t", "ps/a"));
    accept(&mut bench);
    assert_eq!(published(&mut bench).1.qos, Qos::AtLeastOnce);
}

#[test]
fn a_delete_publishes_an_empty_retained_message() {
    let mut bench = bench();
    bench.receive(&con(Code::DELETE, 1, b"t", "ps/a"));
    accept(&mut bench);
    let (ticket, publish) = published(&mut bench);
    assert!(publish.retain && publish.payload.is_empty());
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(sent(&mut bench).code(), Code::DELETED);
}

#[test]
fn a_get_reads_the_retained_message_with_format_age_and_tag() {
    let mut bench = bench();
    let metadata = Metadata { content_type: Some("application/json".into()), ..Metadata::default() };
    let message = Arc::new(bus::Message {
        metadata: metadata.boxed(),
        expires: Some(bench.now + 90 * SECOND),
        ..Arc::into_inner(harness::message("a", "{}", Qos::AtLeastOnce, bench.now)).unwrap()
    });
    bench.receive(&con(Code::GET, 1, b"t", "ps/a"));
    accept(&mut bench);
    let (ticket, _) = bench.request();
    bench.advance(SECOND / 2);
    bench.reply(ticket, Reply::Read(Some(message.clone())));
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.payload()), (Code::CONTENT, &b"{}"[..]));
    assert_eq!(answer.content_format(), Some(ContentFormat::JSON));
    assert_eq!(answer.uint(OptionNumber::MAX_AGE), Some(89));
    let tag = answer.option(OptionNumber::ETAG).unwrap().to_vec();

    let again =
        request(Kind::Confirmable, Code::GET, 2, b"t", "ps/a").with_option(OptionNumber::ETAG, tag.clone());
    bench.receive(&again.encode());
    found(&mut bench, message.clone());
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.payload().len()), (Code::VALID, 0));
    assert_eq!(answer.option(OptionNumber::ETAG), Some(&tag[..]));

    let cbor = request(Kind::Confirmable, Code::GET, 3, b"t", "ps/a").with_accept(ContentFormat::CBOR);
    bench.receive(&cbor.encode());
    found(&mut bench, message);
    assert_eq!(sent(&mut bench).code(), Code::NOT_ACCEPTABLE);
}

#[test]
fn a_get_of_nothing_is_not_found() {
    let mut bench = bench();
    bench.receive(&con(Code::GET, 1, b"t", "ps/a"));
    accept(&mut bench);
    let (ticket, request) = bench.request();
    assert!(matches!(request, Request::Read(topic) if topic.as_str() == "a"));
    bench.reply(ticket, Reply::Read(None));
    assert_eq!(sent(&mut bench).code(), Code::NOT_FOUND);
}

#[test]
fn what_the_broker_refuses_is_told_with_code_and_words() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    accept(&mut bench);
    let cases = [
        (Reason::NotAuthorized, Code::FORBIDDEN),
        (Reason::TopicInvalid, Code::BAD_REQUEST),
        (Reason::RetainNotSupported, Code::NOT_IMPLEMENTED),
        (Reason::QuotaExceeded, Code::TOO_MANY_REQUESTS),
        (Reason::ServerBusy, Code::SERVICE_UNAVAILABLE),
    ];
    for (id, (reason, code)) in (2..).zip(cases) {
        let (ticket, _) = published(&mut bench);
        bench.refuse(ticket, reason);
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), text(&answer)), (code, reason.explain()));
        bench.receive(&con(Code::PUT, id, b"t", "ps/a"));
    }
}

#[test]
fn a_request_that_means_nothing_is_refused_before_a_session_is_opened() {
    let cases: [(Code, &str, Code); 19] = [
        (Code::GET, "nowhere", Code::NOT_FOUND),
        (Code::GET, "ps", Code::BAD_REQUEST),
        (Code::PUT, "ps/", Code::BAD_REQUEST),
        (Code::PUT, "ps/a/+", Code::BAD_REQUEST),
        (Code::GET, "ps/a/#", Code::BAD_REQUEST),
        (Code::GET, "ps/a+", Code::BAD_REQUEST),
        (Code::PUT, "ps/a?qos=3", Code::BAD_REQUEST),
        (Code::PUT, "ps/a?retain=maybe", Code::BAD_REQUEST),
        (Code::PUT, "ps/a?expiry=0", Code::BAD_REQUEST),
        (Code::PUT, "ps/a?retian=true", Code::BAD_REQUEST),
        (Code::PUT, "ps/a?nl=true", Code::BAD_REQUEST),
        (Code::GET, "ps/a?retain=true", Code::BAD_REQUEST),
        (Code::GET, "ps/a?rh=3", Code::BAD_REQUEST),
        (Code::DELETE, "ps/a?retain=false", Code::BAD_REQUEST),
        (Code::PUT, "ps/a?c=", Code::BAD_REQUEST),
        (Code::FETCH, "ps/a", Code::METHOD_NOT_ALLOWED),
        (Code::IPATCH, "nowhere", Code::NOT_FOUND),
        (Code(0x1F), "ps/a", Code::METHOD_NOT_ALLOWED),
        (Code::PUT, ".well-known/core", Code::METHOD_NOT_ALLOWED),
    ];
    let mut bench = bench();
    for (id, (method, uri, code)) in (1..).zip(cases) {
        bench.receive(&con(method, id, b"t", uri));
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), answer.id()), (code, id), "{method} {uri}");
        assert!(!answer.payload().is_empty(), "{method} {uri} is refused without a word");
    }
    let deep = format!("ps/{}", "a/".repeat(128));
    bench.receive(&con(Code::PUT, 100, b"t", &deep));
    assert_eq!(sent(&mut bench).code(), Code::BAD_REQUEST);
    assert!(bench.requests.is_empty());
}

#[test]
fn an_option_that_cannot_be_honoured_is_refused() {
    let plain = || request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a");
    let cases: [(Message, Code); 6] = [
        (plain().with_option(OptionNumber(65_003), ""), Code::BAD_OPTION),
        (plain().with_option(OptionNumber(65_001), "x"), Code::BAD_OPTION),
        (plain().with_accept(ContentFormat::JSON).with_accept(ContentFormat::CBOR), Code::BAD_OPTION),
        (plain().with_option(OptionNumber::URI_PATH, b"\xFF".to_vec()), Code::BAD_OPTION),
        (
            request(Kind::Confirmable, Code::GET, 1, b"t", "ps/a")
                .with_observe(0)
                .with_option(OptionNumber::IF_MATCH, ""),
            Code::BAD_OPTION,
        ),
        (plain().with_option(OptionNumber::PROXY_URI, "coap://elsewhere/"), Code::PROXYING_NOT_SUPPORTED),
    ];
    for (message, code) in cases {
        let mut bench = bench();
        bench.receive(&message.encode());
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), answer.kind()), (code, Kind::Acknowledgement), "{message:?}");
    }
    let mut bench = bench();
    let unknown =
        request(Kind::NonConfirmable, Code::PUT, 7, b"t", "ps/a").with_option(OptionNumber(65_001), "");
    bench.receive(&unknown.encode());
    assert_eq!(bench.take_sent(), reset(7)); // [RFC7252 5.4.1]
}

#[test]
fn an_unknown_elective_option_is_ignored() {
    let mut bench = bench();
    let message =
        request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a").with_option(OptionNumber(65_000), "x");
    bench.receive(&message.encode());
    accept(&mut bench);
    assert_eq!(published(&mut bench).1.topic.as_str(), "a");
}

#[test]
fn a_body_in_one_block_is_taken_and_a_small_answer_serves_who_asks_for_a_block() {
    let mut bench = bench();
    let message = request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a").with_uint(OptionNumber::BLOCK1, 6);
    bench.receive(&message.with_payload("x").encode());
    accept(&mut bench);
    done(&mut bench);
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.uint(OptionNumber::BLOCK1)), (Code::CHANGED, Some(6)));
    let get = request(Kind::Confirmable, Code::GET, 2, b"t", "ps/a").with_uint(OptionNumber::BLOCK2, 0);
    bench.receive(&get.encode());
    found_text(&mut bench, "16 bytes of body");
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.uint(OptionNumber::BLOCK2)), (Code::CONTENT, Some(0)));
    assert_eq!(answer.payload(), b"16 bytes of body");
}

#[test]
fn an_answer_that_fits_no_datagram_says_so() {
    let mut bench = bench_with(Config { largest_message: 36, ..Config::default() });
    bench.receive(&con(Code::GET, 1, b"t", "ps/a"));
    accept(&mut bench);
    found_text(&mut bench, &"x".repeat(100));
    assert_eq!(sent(&mut bench).code(), Code::INTERNAL_SERVER_ERROR);
}

#[test]
fn discovery_tells_the_links_that_the_query_selects() {
    let directory = DirectoryConfig { enabled: false, ..DirectoryConfig::default() };
    let mut bench = bench_with(Config { directory, ..Config::default() });
    for (id, query, expected) in [
        (1, "", "</pubsub>;rt=\"core.ps core.ps.coll\";ct=40"),
        (2, "?rt=core.*", "</pubsub>;rt=\"core.ps core.ps.coll\";ct=40"),
        (3, "?href=/pubsub", "</pubsub>;rt=\"core.ps core.ps.coll\";ct=40"),
        (4, "?rt=core.rd", ""),
    ] {
        bench.receive(&con(Code::GET, id, b"t", &format!(".well-known/core{query}")));
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), text(&answer)), (Code::CONTENT, expected), "{query}");
        assert_eq!(answer.content_format(), Some(ContentFormat::LINK_FORMAT));
    }
    assert!(bench.requests.is_empty(), "discovery needs no session");
}

/// A path is made of segments; what is in them stands for itself, undecoded.
#[test]
fn the_segments_of_the_path_are_the_levels_of_the_topic() {
    let put = |segments: &[&str]| {
        let message = Message::request(Code::PUT).with_path(segments.iter().copied());
        numbered(message, Kind::Confirmable, segments.len() as u16).encode()
    };
    let long = "x".repeat(255);
    let topics: [(&[&str], &str); 7] = [
        (&["ps", "a", "", "b"], "a//b"),
        (&["ps", "a", ""], "a/"),
        (&["ps", "", "a"], "/a"),
        (&["ps", "a/b"], "a/b"),
        (&["ps", "a%2Fb%20"], "a%2Fb%20"),
        (&["ps", "\u{FC}", ".."], "\u{FC}/.."),
        (&["ps", &long], &long),
    ];
    for (segments, topic) in topics {
        let mut bench = bench();
        bench.receive(&put(segments));
        accept(&mut bench);
        assert_eq!(published(&mut bench).1.topic.as_str(), topic);
    }
    let refused: [&[&str]; 8] = [
        &["ps"],
        &["ps", ""],
        &["ps", "+"],
        &["ps", "a", "#"],
        &["ps", "a+"],
        &["ps", "a\0"],
        &["ps", "$share", "g", "#"],
        &["ps", "a/+"],
    ];
    for segments in refused {
        let mut bench = bench();
        bench.receive(&put(segments));
        assert_eq!(sent(&mut bench).code(), Code::BAD_REQUEST, "{segments:?}");
        assert!(bench.requests.is_empty());
    }
}

#[test]
fn the_token_comes_back_as_it_was_whatever_its_length() {
    let mut bench = bench();
    let bytes = b"\0\xFF\0abcd\x01";
    for length in 0..=8 {
        for (kind, id) in [(Kind::Confirmable, 100), (Kind::NonConfirmable, 200)] {
            let get = request(kind, Code::GET, id + length as u16, &bytes[..length], ".well-known/core");
            bench.receive(&get.encode());
            assert_eq!(sent(&mut bench).token().as_slice(), &bytes[..length]);
        }
    }
}

#[test]
fn a_payload_that_means_nothing_is_ignored() {
    let mut bench = bench();
    let get = request(Kind::Confirmable, Code::GET, 1, b"t", "ps/a").with_payload("x");
    bench.receive(&get.encode());
    accept(&mut bench);
    let (ticket, asked) = bench.request();
    assert!(matches!(asked, Request::Read(topic) if topic.as_str() == "a"), "a GET does nothing but read");
    bench.reply(ticket, Reply::Read(None));
    sent(&mut bench);
    let delete = request(Kind::Confirmable, Code::DELETE, 2, b"t", "ps/a").with_payload("x");
    bench.receive(&delete.encode());
    let (_, publish) = published(&mut bench);
    assert!(publish.payload.is_empty() && publish.retain);
}

/// A PUT with conditions, of a topic on which this is retained: whether it is published.
fn is_published(retained: Option<&str>, with: impl FnOnce(Message) -> Message) -> bool {
    let mut bench = bench();
    let put = with(request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a")).with_payload("new");
    bench.receive(&put.encode());
    accept(&mut bench);
    let (ticket, asked) = bench.request();
    let Request::PublishIf(wish) = asked else { panic!("expected a publish on condition, found {asked:?}") };
    assert_eq!((wish.publish.topic.as_str(), &wish.publish.payload[..]), ("a", &b"new"[..]));
    let found = retained.map(|payload| harness::message("a", payload, Qos::AtMostOnce, bench.now));
    let is_true = wish.precondition.holds(found.as_deref());
    bench.reply(ticket, if is_true { Reply::Published { matched: 0 } } else { Reply::Unfulfilled });
    let code = if is_true { Code::CHANGED } else { Code::PRECONDITION_FAILED };
    assert_eq!(sent(&mut bench).code(), code);
    assert!(bench.requests.is_empty());
    is_true
}

#[test]
fn a_publish_on_condition_is_done_if_what_is_retained_fulfils_it() {
    let tag = |payload| {
        let message = harness::message("a", payload, Qos::AtMostOnce, bench().now);
        coap::ETag::of(&message).as_slice().to_vec()
    };
    let matches = |value: Vec<u8>| move |put: Message| put.with_option(OptionNumber::IF_MATCH, value);
    let absent = |put: Message| put.with_option(OptionNumber::IF_NONE_MATCH, "");
    assert!(is_published(Some("old"), matches(tag("old"))));
    assert!(!is_published(Some("old"), matches(tag("other"))));
    assert!(is_published(Some("old"), |put| matches(tag("old"))(matches(tag("other"))(put))), "any of them");
    assert!(is_published(Some("old"), matches(Vec::new())), "an empty one stands for any message");
    assert!(!is_published(None, matches(Vec::new())));
    assert!(!is_published(None, matches(tag("old"))));
    assert!(is_published(None, absent));
    assert!(!is_published(Some("old"), absent));
    assert!(!is_published(Some("old"), |put| absent(matches(tag("old"))(put))));
}

#[test]
fn an_exactly_once_publish_whose_condition_is_not_true_is_released_all_the_same() {
    let mut bench = bench();
    let put = request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a?qos=2");
    bench.receive(&put.with_option(OptionNumber::IF_NONE_MATCH, "").encode());
    accept(&mut bench);
    let (ticket, asked) = bench.request();
    let Request::PublishIf(wish) = asked else { panic!("expected a publish on condition, found {asked:?}") };
    bench.reply(ticket, Reply::Unfulfilled);
    assert_eq!(sent(&mut bench).code(), Code::PRECONDITION_FAILED);
    let (_, asked) = bench.request();
    assert!(matches!(asked, Request::Release(id) if Some(id) == wish.publish.once), "{asked:?}");
}

#[test]
fn a_get_on_condition_is_refused_if_something_else_is_retained() {
    let mut bench = bench();
    for (id, value, code) in [(1, &b"other"[..], Code::PRECONDITION_FAILED), (2, b"", Code::CONTENT)] {
        let get = request(Kind::Confirmable, Code::GET, id, b"t", "ps/a");
        bench.receive(&get.with_option(OptionNumber::IF_MATCH, value).encode());
        if id == 1 {
            accept(&mut bench);
        }
        found_text(&mut bench, "x");
        assert_eq!(sent(&mut bench).code(), code);
    }
}
