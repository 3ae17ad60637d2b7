//! What is refused of Q-Block [RFC9177 4.1, 4.3, 4.4].

use bus::{Limits, Transport};
use coap::{Coap, Code, Config, Message, OptionNumber};
use harness::Bench;

use crate::common::{bench_with, far_away, reset, sent, unasked};
use crate::peer::*;

/// The code of the one answer.
fn code(bench: &mut Bench, message: &Message) -> Code {
    bench.receive(&message.encode());
    sent(bench).code()
}

/// The message without the options of a number.
fn without(message: &Message, gone: OptionNumber) -> Message {
    let made = Message::request(message.code()).with_token(message.token());
    let kept = message.all_options().filter(|(number, _)| *number != gone);
    let made = kept.fold(made, |made, (number, value)| made.with_option(number, value));
    crate::common::numbered(made.with_payload(message.payload()), message.kind(), message.id())
}

#[test]
fn a_body_without_request_tag_or_without_its_size_is_a_bad_request() {
    let mut bench = bench();
    let put = put(1, 0, &body(40));
    for (id, gone) in [(1, OptionNumber::REQUEST_TAG), (2, OptionNumber::SIZE1)] {
        let message = crate::common::numbered(without(&put, gone), put.kind(), id);
        assert_eq!(code(&mut bench, &message), Code::BAD_REQUEST, "{gone:?}");
        let message = crate::common::numbered(without(&put, gone), coap::Kind::Confirmable, id + 2);
        assert_eq!(code(&mut bench, &message), Code::BAD_REQUEST, "{gone:?}");
    }
    assert!(bench.requests.is_empty());
}

#[test]
fn blocks_and_q_blocks_in_one_message_are_a_bad_option() {
    let mut bench = bench();
    for (id, (one, other)) in (1..).zip([
        (OptionNumber::Q_BLOCK1, OptionNumber::BLOCK1),
        (OptionNumber::Q_BLOCK1, OptionNumber::BLOCK2),
        (OptionNumber::Q_BLOCK2, OptionNumber::BLOCK1),
        (OptionNumber::Q_BLOCK2, OptionNumber::BLOCK2),
    ]) {
        let message = get(id, &[]).with_uint(one, 0).with_uint(other, 0);
        assert_eq!(code(&mut bench, &message), Code::BAD_OPTION, "{one:?} with {other:?}");
    }
}

#[test]
fn a_second_q_block1_and_a_second_q_block2_that_is_no_list_are_bad_options() {
    let body = body(40);
    let cases = [
        put(1, 0, &body).with_uint(OptionNumber::Q_BLOCK1, block(1, true, 0)),
        put(2, 0, &body).with_uint(OptionNumber::Q_BLOCK2, 8).with_uint(OptionNumber::Q_BLOCK2, 24),
        get(3, &[(1, false), (2, false)]).with_observe(0),
    ];
    let mut bench = bench();
    for message in cases {
        bench.receive(&message.encode());
        assert_eq!(bench.take_sent(), reset(message.id()), "{message:?}"); // [RFC7252 5.4.1]
        let id = message.id() + 10;
        let message = crate::common::numbered(message, coap::Kind::Confirmable, id);
        assert_eq!(code(&mut bench, &message), Code::BAD_OPTION);
    }
    assert!(bench.requests.is_empty());
}

#[test]
fn missing_blocks_that_are_not_asked_for_in_rising_order_are_a_bad_request() {
    let mut bench = bench();
    for (id, wrong) in (1..).zip([[(2, false), (1, false)], [(1, false), (1, false)]]) {
        assert_eq!(code(&mut bench, &get(id, &wrong)), Code::BAD_REQUEST);
    }
}

#[test]
fn a_block_that_does_not_fit_the_size_of_its_body_is_a_bad_request() {
    let body = body(40);
    let wrong = |number, more, exponent, payload: &[u8]| {
        let message = without(&put(1, 0, &body), OptionNumber::Q_BLOCK1);
        message.with_uint(OptionNumber::Q_BLOCK1, block(number, more, exponent)).with_payload(payload)
    };
    let cases = [
        wrong(0, true, 0, &[0; 15]),
        wrong(0, true, 0, &[0; 17]),
        wrong(0, false, 0, &[0; 16]),
        wrong(2, true, 0, &[0; 8]),
        wrong(2, false, 0, &[0; 16]),
        wrong(3, false, 0, &[0; 8]),
        wrong(0xF_FFFF, true, 0, &[0; 16]),
        wrong(0, true, 7, &[0; 16]),
    ];
    let mut bench = bench();
    for (id, message) in (1..).zip(cases) {
        let message = crate::common::numbered(message, coap::Kind::NonConfirmable, id);
        assert_eq!(code(&mut bench, &message), Code::BAD_REQUEST, "{message:?}");
    }
    assert!(bench.requests.is_empty());
}

#[test]
fn blocks_of_one_body_have_one_size_one_size1_and_one_observe() {
    let (mut bench, body) = (bench(), body(64));
    send(&mut bench, 1, &[0], &body);
    let other_size = without(&put(2, 2, &body), OptionNumber::SIZE1).with_uint(OptionNumber::SIZE1, 96);
    assert_eq!(code(&mut bench, &other_size), Code::BAD_REQUEST);
    let other_block = without(&put(3, 2, &body), OptionNumber::Q_BLOCK1);
    let other_block = other_block.with_uint(OptionNumber::Q_BLOCK1, block(1, false, 1)).with_payload([0; 32]);
    assert_eq!(code(&mut bench, &other_block), Code::BAD_REQUEST);
    assert_eq!(code(&mut bench, &put(4, 2, &body).with_observe(0)), Code::BAD_REQUEST);
    send(&mut bench, 5, &[1, 2, 3], &body);
    assert_eq!(crate::common::published(&mut bench).1.payload, body, "the body itself goes on");
}

#[test]
fn a_body_above_the_limit_is_too_large_and_told_the_limit() {
    let mut bench = bench();
    let message = without(&put(1, 0, &body(40)), OptionNumber::SIZE1);
    bench.receive(&message.with_uint(OptionNumber::SIZE1, 4 << 20).encode());
    let answer = sent(&mut bench);
    assert_eq!(answer.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(answer.uint(OptionNumber::SIZE1), Some(1 << 20), "limits.packet");
}

#[test]
fn a_get_has_no_body_to_come_in_blocks() {
    let mut bench = bench();
    let message = get(1, &[]).with_uint(OptionNumber::Q_BLOCK1, 0).with_uint(OptionNumber::SIZE1, 0);
    assert_eq!(code(&mut bench, &message.with_option(OptionNumber::REQUEST_TAG, "1")), Code::BAD_OPTION);
}

/// Both or neither [RFC9177 4.1].
#[test]
fn where_q_blocks_are_not_offered_both_are_bad_options() {
    let mut bench = bench_with(unasked(Config { q_block: false, ..Config::default() }));
    for message in [put(1, 0, &body(40)), get(2, &[(0, true)])] {
        let id = message.id();
        bench.receive(&message.encode());
        assert_eq!(bench.take_sent(), reset(id));
        let message = crate::common::numbered(message, coap::Kind::Confirmable, id + 10);
        assert_eq!(code(&mut bench, &message), Code::BAD_OPTION);
    }
}

/// There they gain nothing [RFC9177 3].
#[test]
fn a_stream_takes_none() {
    let mut bench = Bench::new(&Coap::new(unasked(Config::default()), Limits::default()), Transport::Stream);
    bench.take_sent();
    bench.receive(b"\x00\xE1"); // CSM
    // Len 8, TKL 1, GET, Uri-Path "ps" "a", Q-Block2
    bench.receive(b"\x81\x01\x01\xB2ps\x01a\xD1\x07\x0E");
    let answer = bench.take_sent();
    assert!(answer.windows(2).any(|pair| pair == [Code::BAD_OPTION.0, 0x01]), "{answer:02x?}");
}

#[test]
fn whoever_forges_an_address_gets_one_block_for_each_request_and_an_echo() {
    let mut bench = far_away(unasked(Config::default()), None);
    // As libcoap asks whether they are there: GET /.well-known/core, the first 16 bytes.
    let get = crate::common::request(coap::Kind::Confirmable, Code::GET, 1, b"tokentok", ".well-known/core");
    let probe = get.with_uint(OptionNumber::Q_BLOCK2, 0);
    bench.receive(&probe.encode());
    let answer = sent(&mut bench);
    assert_eq!(number(&answer), (0, true));
    assert!(answer.encode().len() <= 3 * probe.encode().len());
    assert!(answer.option(OptionNumber::ECHO).is_some());
    bench.advance(30 * crate::common::SECOND);
    assert_eq!(heard(&mut bench), [], "nothing follows");
}
