//! Block-wise transfer, block by block [RFC7959].

mod common;

use std::sync::Arc;

use bus::{Limits, Qos, Reply, Transport};
use coap::{Block, Coap, Code, Config, Kind, Message, OptionNumber};
use common::*;
use harness::{Bench, delivery, message};

fn block(number: u32, more: bool, exponent: u8) -> u32 {
    Block { number, more, exponent }.to_uint()
}

/// A part of a PUT on `ps/a`.
fn put(id: u16, number: u32, more: bool, exponent: u8, payload: &[u8]) -> Message {
    let message = request(Kind::Confirmable, Code::PUT, id, &id.to_be_bytes(), "ps/a");
    message.with_uint(OptionNumber::BLOCK1, block(number, more, exponent)).with_payload(payload)
}

/// The request for a block of `ps/a`.
fn get(id: u16, number: u32, exponent: u8) -> Message {
    let message = request(Kind::Confirmable, Code::GET, id, &id.to_be_bytes(), "ps/a");
    message.with_uint(OptionNumber::BLOCK2, block(number, false, exponent))
}

/// Sends a request that is answered without the broker.
fn ask(bench: &mut Bench, message: &Message) -> Message {
    bench.receive(&message.encode());
    sent(bench)
}

fn code_and_block1(answer: &Message) -> (Code, Option<u32>) {
    (answer.code(), answer.uint(OptionNumber::BLOCK1))
}

/// Answers the GET that the broker was asked for.
fn read(bench: &mut Bench, payload: &[u8]) -> Message {
    let_in(bench);
    let message = Arc::into_inner(message("a", "", Qos::AtMostOnce, bench.now)).unwrap();
    found(bench, Arc::new(bus::Message { payload: payload.to_vec().into(), ..message }));
    sent(bench)
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 16) as u8).collect()
}

/// Takes the answer apart: block, and payload.
fn block2(answer: &Message) -> (Option<u32>, &[u8]) {
    assert_eq!(answer.code(), Code::CONTENT);
    (answer.uint(OptionNumber::BLOCK2), answer.payload())
}

#[test]
fn the_blocks_of_a_request_are_put_together_and_worked_once() {
    let mut bench = bench();
    let answer = ask(&mut bench, &put(1, 0, true, 0, &[1; 16]));
    assert_eq!(code_and_block1(&answer), (Code::CONTINUE, Some(block(0, true, 0))));
    assert!(answer.payload().is_empty(), "[RFC7959 2.9.1]");
    accept(&mut bench);
    let again = put(1, 0, true, 0, &[1; 16]);
    assert_eq!(ask(&mut bench, &again).code(), Code::CONTINUE, "the duplicate is known by its id");
    assert_eq!(ask(&mut bench, &put(2, 1, true, 0, &[2; 16])).code(), Code::CONTINUE);
    bench.receive(&put(3, 2, false, 0, &[3; 3]).encode());
    let (ticket, publish) = published(&mut bench);
    assert_eq!(publish.payload, [&[1; 16][..], &[2; 16], &[3; 3]].concat());
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(code_and_block1(&sent(&mut bench)), (Code::CHANGED, Some(block(2, false, 0))));
}

#[test]
fn a_block_that_is_missing_and_one_of_another_operation_leave_the_body_incomplete() {
    let other: [fn(Message) -> Message; 4] = [
        |message| message.with_option(OptionNumber::REQUEST_TAG, "x"), // [RFC9175 3.3]
        |message| message.with_content_format(bus::ContentFormat::CBOR), // [RFC7959 2.3]
        |message| message.with_query("qos=1"),
        |message| message.with_path(["b"]),
    ];
    let mut bench = bench();
    ask(&mut bench, &put(1, 0, true, 0, &[1; 16]));
    accept(&mut bench);
    for (id, change) in (2..).zip(other) {
        let answer = ask(&mut bench, &change(put(id, 1, false, 0, &[2; 16])));
        assert_eq!(answer.code(), Code::REQUEST_ENTITY_INCOMPLETE);
    }
    for (id, number) in [(100, 0x000F_FFFF), (101, 2)] {
        let answer = ask(&mut bench, &put(id, number, false, 0, &[2; 16]));
        assert_eq!(answer.code(), Code::REQUEST_ENTITY_INCOMPLETE);
    }
    bench.receive(&put(7, 1, false, 0, &[2; 16]).encode());
    assert_eq!(published(&mut bench).1.payload.len(), 32, "the operation itself goes on");
}

#[test]
fn two_bodies_with_two_request_tags_come_at_the_same_time() {
    let mut bench = bench();
    let tagged = |id, number, more, tag: &str, payload: &[u8]| {
        put(id, number, more, 0, payload).with_option(OptionNumber::REQUEST_TAG, tag)
    };
    ask(&mut bench, &tagged(1, 0, true, "a", &[1; 16]));
    accept(&mut bench);
    ask(&mut bench, &tagged(2, 0, true, "b", &[2; 16]));
    bench.receive(&tagged(3, 1, false, "a", b"A").encode());
    assert_eq!(published(&mut bench).1.payload, [&[1; 16][..], b"A"].concat());
    bench.receive(&tagged(4, 1, false, "b", b"B").encode());
    assert_eq!(published(&mut bench).1.payload, [&[2; 16][..], b"B"].concat());
}

#[test]
fn a_new_beginning_takes_the_place_of_what_has_come() {
    let mut bench = bench();
    ask(&mut bench, &put(1, 0, true, 0, &[1; 16]));
    accept(&mut bench);
    ask(&mut bench, &put(2, 0, true, 0, &[2; 16]));
    bench.receive(&put(3, 1, false, 0, b"x").encode());
    assert_eq!(published(&mut bench).1.payload, [&[2; 16][..], b"x"].concat());
}

#[test]
fn a_body_above_the_limit_is_too_large_and_the_limit_is_told() {
    let limits = || Limits { packet: 40, packet_before_connect: 40, ..Limits::default() };
    let bench = || Bench::new(&Coap::new(Config::default(), limits()), Transport::Datagram);
    let told = |answer: &Message| (answer.code(), answer.uint(OptionNumber::SIZE1));
    let mut grown = bench();
    ask(&mut grown, &put(1, 0, true, 0, &[1; 16]));
    accept(&mut grown);
    ask(&mut grown, &put(2, 1, true, 0, &[1; 16]));
    let answer = ask(&mut grown, &put(3, 2, true, 0, &[1; 16]));
    assert_eq!(told(&answer), (Code::REQUEST_ENTITY_TOO_LARGE, Some(40)));
    let announced = put(1, 0, true, 0, &[1; 16]).with_uint(OptionNumber::SIZE1, 41);
    assert_eq!(told(&ask(&mut bench(), &announced)), (Code::REQUEST_ENTITY_TOO_LARGE, Some(40)));
}

#[test]
fn what_is_larger_than_may_come_before_the_session_waits_for_it() {
    let limits = Limits { packet_before_connect: 16, ..Limits::default() };
    let mut bench = Bench::new(&Coap::new(Config::default(), limits.clone()), Transport::Datagram);
    ask(&mut bench, &put(1, 0, true, 0, &[1; 16]));
    bench.receive(&put(2, 1, true, 0, &[2; 16]).encode());
    assert!(bench.sent.is_empty());
    accept(&mut bench);
    assert_eq!(sent(&mut bench).code(), Code::CONTINUE);
    bench.receive(&put(3, 2, false, 0, b"x").encode());
    assert_eq!(published(&mut bench).1.payload.len(), 33);

    let mut refused = Bench::new(&Coap::new(Config::default(), limits), Transport::Datagram);
    ask(&mut refused, &put(1, 0, true, 0, &[1; 16]));
    refused.receive(&put(2, 1, false, 0, &[2; 16]).encode());
    let (ticket, _) = refused.request();
    refused.refuse(ticket, bus::Reason::BadCredentials);
    assert_eq!(sent(&mut refused).code(), Code::REQUEST_ENTITY_TOO_LARGE);
}

#[test]
fn the_bodies_under_way_are_as_many_as_are_configured_and_the_oldest_goes_first() {
    let mut bench = bench_with(Config { transfers: 2, ..Config::default() });
    for (id, tag) in [(1, "a"), (2, "b"), (3, "c")] {
        let part = put(id, 0, true, 0, &[1; 16]).with_option(OptionNumber::REQUEST_TAG, tag);
        bench.receive(&part.encode());
    }
    accept(&mut bench);
    bench.sent.clear();
    let last = |id, tag: &str| put(id, 1, false, 0, b"x").with_option(OptionNumber::REQUEST_TAG, tag);
    assert_eq!(ask(&mut bench, &last(4, "a")).code(), Code::REQUEST_ENTITY_INCOMPLETE);
    bench.receive(&last(5, "b").encode());
    assert_eq!(published(&mut bench).1.payload.len(), 17);
}

#[test]
fn a_body_that_rests_for_an_exchange_lifetime_is_forgotten() {
    let mut bench = bench();
    ask(&mut bench, &put(1, 0, true, 0, &[1; 16]));
    accept(&mut bench);
    bench.advance(247 * SECOND);
    let answer = ask(&mut bench, &put(2, 1, false, 0, b"x"));
    assert_eq!(answer.code(), Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn a_reserved_size_and_a_block_that_has_not_its_size_are_bad_requests() {
    let mut bench = bench();
    let cases = [
        put(1, 0, true, 7, &[0; 1_024]),
        put(2, 0, false, 7, b""),
        get(3, 0, 7),
        put(4, 0, true, 0, &[0; 15]),
        put(5, 0, true, 0, &[0; 17]),
        put(6, 0, true, 1, &[0; 16]),
    ];
    for message in cases {
        assert_eq!(ask(&mut bench, &message).code(), Code::BAD_REQUEST, "{message:?}");
    }
    assert!(bench.requests.is_empty());
}

#[test]
fn a_smaller_block_is_asked_for_where_it_is_configured_and_a_client_may_change_to_it() {
    let mut bench = bench_with(Config { block: 16, ..Config::default() });
    let answer = ask(&mut bench, &put(1, 0, true, 1, &[1; 32]));
    assert_eq!(code_and_block1(&answer), (Code::CONTINUE, Some(block(0, true, 0)))); // [RFC7959 2.3]
    accept(&mut bench);
    ask(&mut bench, &put(2, 2, true, 0, &[2; 16]));
    bench.receive(&put(3, 3, false, 0, b"x").encode());
    assert_eq!(published(&mut bench).1.payload.len(), 49);
}

#[test]
fn a_large_answer_comes_in_blocks_of_the_size_that_is_asked_for() {
    let mut bench = bench();
    let whole = body(100);
    bench.receive(&get(1, 0, 1).encode());
    let first = read(&mut bench, &whole);
    assert_eq!(block2(&first), (Some(block(0, true, 1)), &whole[..32]));
    let tag = first.option(OptionNumber::ETAG).unwrap().to_vec();
    let mut assembled = first.payload().to_vec();
    for number in 1..4 {
        let next = ask(&mut bench, &get(10 + number as u16, number, 1));
        assert_eq!(next.option(OptionNumber::ETAG), Some(&tag[..])); // [RFC7959 2.4]
        assert_eq!(next.uint(OptionNumber::BLOCK2), Some(block(number, number < 3, 1)));
        assembled.extend_from_slice(next.payload());
    }
    assert_eq!(assembled, whole);
}

#[test]
fn without_a_wish_blocks_have_1024_bytes_and_a_body_that_fits_one_has_none() {
    let mut bench = bench();
    bench.receive(&con(Code::GET, 1, b"t", "ps/a"));
    let first = read(&mut bench, &body(1_025));
    assert_eq!((block2(&first).0, first.payload().len()), (Some(block(0, true, 6)), 1_024));
    assert_eq!(first.option(OptionNumber::SIZE2), None);
    bench.receive(&con(Code::GET, 2, b"t", "ps/a"));
    let whole = read(&mut bench, &body(1_024));
    assert_eq!((block2(&whole).0, whole.payload().len()), (None, 1_024));
}

#[test]
fn the_size_of_the_body_is_told_who_asks_for_it() {
    let mut bench = bench();
    bench.receive(&get(1, 0, 0).with_uint(OptionNumber::SIZE2, 0).encode());
    assert_eq!(read(&mut bench, &body(100)).uint(OptionNumber::SIZE2), Some(100));
}

#[test]
fn a_client_may_change_to_a_smaller_size_in_the_middle() {
    let mut bench = bench();
    let whole = body(100);
    bench.receive(&get(1, 0, 1).encode());
    read(&mut bench, &whole);
    let next = ask(&mut bench, &get(2, 2, 0));
    assert_eq!(block2(&next), (Some(block(2, true, 0)), &whole[32..48]));
    let last = ask(&mut bench, &get(3, 6, 0));
    assert_eq!(block2(&last), (Some(block(6, false, 0)), &whole[96..]));
}

#[test]
fn a_block_behind_the_end_is_a_bad_request() {
    let mut bench = bench();
    bench.receive(&get(1, 0, 0).encode());
    read(&mut bench, &body(100));
    assert_eq!(ask(&mut bench, &get(2, 7, 0)).code(), Code::BAD_REQUEST);
    assert_eq!(ask(&mut bench, &get(3, 0x000F_FFFF, 6)).code(), Code::BAD_REQUEST);
}

/// What was at hand is forgotten: the block is cut from what the topic has now, and the ETag tells them apart.
#[test]
fn a_body_that_changed_meanwhile_has_another_etag() {
    let mut bench = bench();
    bench.receive(&get(1, 0, 0).encode());
    let first = read(&mut bench, &body(100));
    bench.advance(247 * SECOND);
    bench.receive(&get(2, 1, 0).encode());
    let other = read(&mut bench, &[9; 100]);
    assert_eq!(block2(&other), (Some(block(1, true, 0)), &[9; 16][..]));
    assert_ne!(first.option(OptionNumber::ETAG), other.option(OptionNumber::ETAG));
}

#[test]
fn a_large_notification_brings_its_first_block_and_the_rest_is_fetched() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    let text: String = "0123456789abcdef".repeat(100);
    bench.deliver(delivery(7, id, "a", &text, Qos::AtLeastOnce, bench.now));
    let first = sent(&mut bench);
    assert_eq!((block2(&first).0, first.payload().len()), (Some(block(0, true, 6)), 1_024));
    assert_eq!((first.observe(), first.token().as_slice()), (Some(2), &b"t"[..]));
    bench.receive(&acknowledgement(first.id()));
    assert_eq!(bench.connection.room(), 0, "it fetches what was pushed");
    let rest = ask(&mut bench, &get(2, 1, 6));
    assert_eq!((block2(&rest).0, rest.payload().len()), (Some(block(1, false, 6)), 576));
    assert_eq!((rest.observe(), rest.option(OptionNumber::ETAG)), (None, first.option(OptionNumber::ETAG)));
    assert_eq!(bench.connection.room(), 1);
    assert!(bench.requests.is_empty());
}

#[test]
fn an_observer_that_does_not_fetch_is_waited_for_a_moment() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(0, id, "a", &"x".repeat(2_000), Qos::AtMostOnce, bench.now));
    sent(&mut bench);
    assert_eq!(bench.connection.room(), 0);
    bench.advance(4 * SECOND);
    assert_eq!(bench.connection.room(), 1);
}

#[test]
fn the_size_in_the_request_to_observe_is_that_of_the_notifications() {
    let mut bench = bench();
    bench.receive(&get(1, 0, 0).with_observe(0).encode());
    accept(&mut bench);
    let id = granted(&mut bench);
    read(&mut bench, b"");
    bench.deliver(delivery(0, id, "a", &"x".repeat(20), Qos::AtMostOnce, bench.now));
    let first = sent(&mut bench);
    assert_eq!((block2(&first).0, first.payload().len()), (Some(block(0, true, 0)), 16)); // [RFC7959 2.6]
}

#[test]
fn nothing_of_a_session_is_served_when_it_has_ended() {
    let mut bench = bench();
    bench.receive(&con(Code::POST, 1, b"t", "mqtt/connection?c=a"));
    accept(&mut bench);
    let token = text(&sent(&mut bench)).to_owned();
    let uri = |path: &str| format!("{path}?c=a&t={token}");
    let part = |id, number| {
        let message = request(Kind::Confirmable, Code::GET, id, b"t", &uri("ps/a"));
        message.with_uint(OptionNumber::BLOCK2, block(number, false, 0)).encode()
    };
    bench.receive(&part(2, 0));
    read(&mut bench, &body(100));
    bench.receive(&con(Code::DELETE, 3, b"t", &uri("mqtt/connection")));
    assert_eq!(sent(&mut bench).code(), Code::DELETED);
    bench.receive(&part(4, 1));
    assert_eq!(sent(&mut bench).code(), Code::UNAUTHORIZED);
}

/// Above 4,095 a block's number takes three bytes.
#[test]
fn more_than_4096_blocks_go_both_ways() {
    let mut bench = bench();
    let whole = body(5_000 * 16);
    let blocks = (whole.len() / 16) as u32;
    for number in 0..blocks {
        let (start, more) = (number as usize * 16, number + 1 < blocks);
        bench.receive(&put(number as u16, number, more, 0, &whole[start..start + 16]).encode());
        if number == 0 {
            accept(&mut bench);
        }
        if more {
            assert_eq!(sent(&mut bench).code(), Code::CONTINUE, "{number}");
        }
    }
    let (ticket, publish) = published(&mut bench);
    assert!(publish.payload == whole);
    bench.reply(ticket, Reply::Published { matched: 0 });
    sent(&mut bench);
    bench.receive(&get(0, 0, 0).encode());
    let mut assembled = read(&mut bench, &whole).payload().to_vec();
    for number in 1..blocks {
        assembled.extend_from_slice(ask(&mut bench, &get(number as u16, number, 0)).payload());
    }
    assert!(assembled == whole);
}
