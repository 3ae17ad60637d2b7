//! What the stations between the carrier and the resources make of single options.

mod common;

use coap::{Code, Config, Kind, Message, OptionNumber};
use common::*;

fn get(id: u16) -> Message {
    request(Kind::Confirmable, Code::GET, id, b"t", ".well-known/core")
}

#[test]
fn a_hop_limit_from_1_to_255_is_taken_and_any_other_is_a_bad_request() {
    let mut bench = bench();
    let cases: [(&[u8], Code); 5] = [
        (&[1], Code::CONTENT),
        (&[255], Code::CONTENT),
        (&[0], Code::BAD_REQUEST),
        (&[], Code::BAD_REQUEST),
        (&[1, 0], Code::BAD_REQUEST),
    ];
    for (id, (value, code)) in (1..).zip(cases) {
        bench.receive(&get(id).with_option(OptionNumber::HOP_LIMIT, value).encode());
        assert_eq!(sent(&mut bench).code(), code, "{value:?}");
    }
}

#[test]
fn an_extended_token_comes_back_and_one_above_the_limit_is_a_bad_request() {
    let mut bench = bench_with(Config { longest_token: 300, ..Config::default() });
    for (id, length) in (1..).zip([9, 12, 13, 268, 269, 300]) {
        let token = vec![0xAB; length];
        bench.receive(&con(Code::GET, id, &token, ".well-known/core"));
        let answer = sent(&mut bench);
        assert_eq!((answer.code(), answer.token().as_slice()), (Code::CONTENT, &token[..]));
    }
    bench.receive(&con(Code::GET, 7, &[0xAB; 301], ".well-known/core"));
    let answer = sent(&mut bench);
    assert_eq!((answer.kind(), answer.id(), answer.code()), (Kind::Acknowledgement, 7, Code::BAD_REQUEST));
    assert_eq!(answer.token().as_slice(), [0xAB; 301]); // [RFC8974 2.2.2]
    bench.receive(&non(Code::GET, 8, &[0xAB; 301], ".well-known/core"));
    let answer = sent(&mut bench);
    assert_eq!((answer.kind(), answer.code()), (Kind::NonConfirmable, Code::BAD_REQUEST));
    assert_eq!(answer.token().as_slice(), [0xAB; 301]);
}

/// Who takes no extended tokens is taken for a server that knows nothing of them, which clients try out.
#[test]
fn an_extended_token_is_a_format_error_where_none_are_taken() {
    let mut bench = bench_with(Config { longest_token: 8, ..Config::default() });
    bench.receive(&con(Code::GET, 7, &[0xAB; 9], ".well-known/core"));
    assert_eq!(bench.take_sent(), reset(7)); // [RFC8974 2.2.2]
    bench.receive(&non(Code::GET, 8, &[0xAB; 9], ".well-known/core"));
    assert!(bench.sent.is_empty());
}

#[test]
fn an_answer_of_a_class_that_is_not_wanted_is_not_sent_and_others_are() {
    let unwanted = |kind, id, uri: &str, classes| {
        request(kind, Code::GET, id, b"t", uri).with_uint(OptionNumber::NO_RESPONSE, classes).encode()
    };
    let mut bench = bench();
    let cases = [
        (2, "x", true),
        (8, "x", false),
        (16, "x", true),
        (26, "x", false),
        (0, "x", true),
        (24, "x", false),
    ];
    for (id, (classes, uri, is_sent)) in (1..).zip(cases) {
        bench.receive(&unwanted(Kind::NonConfirmable, id, uri, classes));
        assert_eq!(!std::mem::take(&mut bench.sent).is_empty(), is_sent, "{classes}");
    }
    bench.receive(&unwanted(Kind::NonConfirmable, 10, ".well-known/core", 2));
    assert!(bench.sent.is_empty());
    bench.receive(&unwanted(Kind::NonConfirmable, 11, ".well-known/core", 24));
    assert_eq!(sent(&mut bench).code(), Code::CONTENT);
    let confirmable = unwanted(Kind::Confirmable, 12, ".well-known/core", 2);
    for _ in 0..2 {
        bench.receive(&confirmable);
        assert_eq!(bench.take_sent(), acknowledgement(12), "the message is acknowledged all the same");
    }
}

#[test]
fn a_publish_that_wants_no_answer_is_published() {
    let mut bench = bench();
    let put =
        request(Kind::NonConfirmable, Code::PUT, 1, b"t", "ps/a").with_uint(OptionNumber::NO_RESPONSE, 26);
    bench.receive(&put.encode());
    bench.accept_connect(false);
    done(&mut bench);
    assert!(bench.sent.is_empty());
}

#[test]
fn too_many_requests_says_when_to_try_again() {
    let mut bench = bench();
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    bench.accept_connect(false);
    let (ticket, _) = published(&mut bench);
    bench.refuse(ticket, bus::Reason::MessageRateTooHigh);
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.uint(OptionNumber::MAX_AGE)), (Code::TOO_MANY_REQUESTS, Some(1)));
}
