//! Requests in Q-Block1 [RFC9177 4.3].

use bus::{Reply, Request};
use coap::{Code, Config, Endpoint, Incoming, Kind, Message, OptionNumber, Transmission};
use harness::Bench;

use crate::common::{SECOND, accept, bench_with, published, request, reset, sent, unasked};
use crate::peer::*;

/// Does what was asked to publish; what the peer hears.
fn publish(bench: &mut Bench, body: &[u8]) -> Message {
    let (ticket, publish) = published(bench);
    assert_eq!(publish.payload, body);
    bench.reply(ticket, Reply::Published { matched: 0 });
    sent(bench)
}

/// The missing blocks of a 4.08, and its token.
fn missing(answer: &Message) -> (&[u8], coap::Token) {
    assert_eq!(answer.code(), Code::REQUEST_ENTITY_INCOMPLETE, "{answer:?}");
    assert_eq!((answer.kind(), answer.content_format()), (Kind::NonConfirmable, Some(MISSING_BLOCKS)));
    (answer.payload(), answer.token())
}

/// Figure 2, with the blocks in another order.
#[test]
fn blocks_in_any_order_make_a_body_that_is_worked_once() {
    let (mut bench, body) = (bench(), body(60));
    assert_eq!(send(&mut bench, 0x81, &[2, 0, 3, 1], &body), []);
    let answer = publish(&mut bench, &body);
    assert_eq!((answer.code(), answer.kind()), (Code::CHANGED, Kind::NonConfirmable));
    assert_eq!(answer.token(), token_of(0x84), "that of the request which made it whole");
    assert!(bench.requests.is_empty());
}

#[test]
fn a_body_of_one_block_and_an_empty_one_need_no_others() {
    let mut bench = bench();
    for (id, length) in [(1, 5), (2, 16), (3, 0)] {
        let (body, tag) = (body(length), id.to_string());
        let message = put(id, 0, &body).with_option(OptionNumber::REQUEST_TAG, tag);
        bench.receive(&message.encode());
        if id == 1 {
            accept(&mut bench);
        }
        assert_eq!(publish(&mut bench, &body).token(), token_of(id));
    }
}

/// Figure 3.
#[test]
fn a_set_is_answered_by_one_continue_that_tells_its_last_block() {
    let (mut bench, body) = (bench(), body(11 * 16));
    let said = send(&mut bench, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &body);
    let [go_on] = &said[..] else { panic!("{said:?}") };
    assert_eq!(
        (go_on.code(), go_on.kind(), go_on.payload()),
        (Code::CONTINUE, Kind::NonConfirmable, &b""[..])
    );
    assert_eq!(go_on.uint(OptionNumber::Q_BLOCK1), Some(block(9, true, 0)));
    assert_eq!(go_on.token(), token_of(10));
    assert_eq!(send(&mut bench, 11, &[10], &body), []);
    assert_eq!(publish(&mut bench, &body).token(), token_of(11));
}

/// Figures 4 and 5.
#[test]
fn a_block_of_the_next_set_makes_the_server_ask_for_those_before_it() {
    let (mut bench, body) = (bench(), body(13 * 16));
    assert_eq!(send(&mut bench, 0x11, &[0, 2, 3, 4, 5, 6, 7, 8], &body), []);
    bench.advance(2 * SECOND);
    let asked = send(&mut bench, 0x1C, &[11], &body);
    assert_eq!(missing(&asked[0]), (&b"\x01\x09"[..], token_of(0x1C)));
    assert_eq!(asked.len(), 1);
    let said = send(&mut bench, 0x1D, &[1, 9, 12], &body);
    let codes: Vec<Code> = said.iter().map(Message::code).collect();
    assert_eq!(codes, [Code::CONTINUE], "the set is whole now");
    bench.advance(4 * SECOND - SECOND / 100);
    assert_eq!(heard(&mut bench), []);
    bench.advance(SECOND / 100);
    let asked = heard(&mut bench);
    assert_eq!(
        missing(&asked[0]),
        (&b"\x0A"[..], token_of(0x1F)),
        "NON_RECEIVE_TIMEOUT after the latest block"
    );
    assert_eq!(send(&mut bench, 0x20, &[10], &body), []);
    assert_eq!(publish(&mut bench, &body).token(), token_of(0x20));
}

/// Figure 6.
#[test]
fn who_never_sends_what_is_missing_is_asked_ever_more_seldom_and_then_forgotten() {
    let (mut bench, body) = (bench(), body(40));
    send(&mut bench, 0x91, &[0, 2], &body);
    for wait in [4, 8, 16, 32] {
        bench.advance(wait * SECOND - SECOND / 100);
        assert_eq!(heard(&mut bench), [], "too early");
        bench.advance(SECOND / 100);
        let asked = heard(&mut bench);
        assert_eq!(missing(&asked[0]), (&b"\x01"[..], token_of(0x92)));
    }
    bench.advance(64 * SECOND);
    assert_eq!(heard(&mut bench), []);
    send(&mut bench, 0x95, &[1], &body);
    assert!(bench.requests.is_empty(), "the other blocks are forgotten");
}

#[test]
fn a_peer_that_says_nothing_is_asked_no_oftener_than_the_probing_rate_allows() {
    let mut bench = bench_with(unasked(Config::default()));
    let body = body(40);
    send(&mut bench, 1, &[0, 2], &body);
    bench.advance(4 * SECOND);
    let list = heard(&mut bench)[0].encode().len() as u32;
    assert!(list > 8);
    bench.advance(8 * SECOND);
    assert_eq!(heard(&mut bench), [], "PROBING_RATE is a byte a second [RFC7252 4.7]");
    bench.advance(100 * SECOND);
    assert!(!heard(&mut bench).is_empty());
}

/// The 2.31 was heard, and then nothing more comes.
#[test]
fn the_next_set_is_asked_for_when_it_does_not_come() {
    let (mut bench, body) = (bench(), body(25 * 16));
    let said = send(&mut bench, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &body);
    assert_eq!(said[0].code(), Code::CONTINUE);
    bench.advance(4 * SECOND);
    let asked = heard(&mut bench);
    assert_eq!(missing(&asked[0]).0, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
}

/// [RFC9177 4.3]: the client has forgotten the transfer.
#[test]
fn a_reset_to_the_list_of_missing_blocks_ends_the_transfer() {
    let (mut bench, body) = (bench(), body(40));
    send(&mut bench, 1, &[0, 2], &body);
    bench.advance(4 * SECOND);
    let list = heard(&mut bench).remove(0);
    bench.receive(&reset(list.id()));
    bench.advance(60 * SECOND);
    assert_eq!(heard(&mut bench), []);
    send(&mut bench, 3, &[1], &body);
    assert!(bench.requests.is_empty());
}

#[test]
fn a_block_that_comes_again_changes_nothing_and_is_answered_as_if_it_were_the_first() {
    let (mut bench, body) = (bench(), body(11 * 16));
    let set = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(send(&mut bench, 1, &set, &body)[0].code(), Code::CONTINUE);
    let foreign = [0xEE; 11 * 16];
    assert_eq!(send(&mut bench, 20, &[3], &foreign), [], "nor was the first one answered");
    let again = send(&mut bench, 21, &[9], &foreign);
    assert_eq!((again[0].code(), again[0].token()), (Code::CONTINUE, token_of(21)));
    send(&mut bench, 22, &[10], &body);
    assert_eq!(publish(&mut bench, &body).code(), Code::CHANGED);
    let again = send(&mut bench, 23, &[10], &body);
    assert_eq!((again[0].code(), again[0].token()), (Code::CHANGED, token_of(23)));
    assert!(bench.requests.is_empty(), "it is not published twice");
}

#[test]
fn a_client_that_never_hears_the_answer_makes_nothing_be_done_twice_however_long_it_asks() {
    let (mut bench, body) = (bench(), body(32));
    send(&mut bench, 1, &[0, 1], &body);
    publish(&mut bench, &body);
    for id in 10..16 {
        bench.advance(200 * SECOND);
        let again = send(&mut bench, id, &[1], &body);
        assert_eq!((again[0].code(), again[0].token()), (Code::CHANGED, token_of(id)));
    }
    assert!(bench.requests.is_empty());
}

/// A late block of a body that is being worked must not begin it anew.
#[test]
fn a_block_of_a_body_that_is_being_worked_waits_for_nothing() {
    let (mut bench, body) = (bench(), body(40));
    send(&mut bench, 1, &[0, 1, 2], &body);
    assert_eq!(send(&mut bench, 4, &[1], &body), []);
    assert_eq!(publish(&mut bench, &body).token(), token_of(3));
    bench.advance(20 * SECOND);
    assert_eq!(heard(&mut bench), [], "nothing is missing");
}

/// What went wrong elsewhere: a device that begins anew with the Request-Tag of before.
#[test]
fn another_body_with_the_same_request_tag_is_another_body() {
    let (mut bench, first) = (bench(), body(40));
    send(&mut bench, 1, &[0, 1, 2], &first);
    publish(&mut bench, &first);
    let second: Vec<u8> = first.iter().map(|byte| byte ^ 0x55).collect();
    send(&mut bench, 4, &[0, 1, 2], &second);
    publish(&mut bench, &second);
    let longer = body(50);
    send(&mut bench, 7, &[3, 2, 1, 0], &longer);
    publish(&mut bench, &longer);
}

#[test]
fn two_bodies_with_two_request_tags_come_at_the_same_time() {
    let (mut bench, one, two) = (bench(), body(32), vec![0xAA; 32]);
    let tagged = |id, number, body: &[u8], tag: &str| {
        put(id, number, body).with_option(OptionNumber::REQUEST_TAG, tag).encode()
    };
    bench.receive(&tagged(1, 0, &one, "1"));
    accept(&mut bench);
    bench.receive(&tagged(2, 0, &two, "2"));
    bench.receive(&tagged(3, 1, &one, "1"));
    assert_eq!(publish(&mut bench, &one).token(), token_of(3));
    bench.receive(&tagged(4, 1, &two, "2"));
    assert_eq!(publish(&mut bench, &two).token(), token_of(4));
}

/// Figures 16 and 17.
#[test]
fn confirmable_blocks_are_acknowledged_and_neither_continued_nor_asked_for() {
    let (mut bench, body) = (bench(), body(12 * 16));
    for number in (0..12).filter(|number| *number != 4) {
        let id = number as u16 + 1;
        bench.receive(&confirmable(put(id, number, &body)).encode());
        if number == 0 {
            accept(&mut bench);
        }
        let said = sent(&mut bench);
        assert_eq!((said.kind(), said.code(), said.id()), (Kind::Acknowledgement, Code::EMPTY, id));
    }
    bench.advance(60 * SECOND);
    assert_eq!(heard(&mut bench), []);
    bench.receive(&confirmable(put(0x77, 4, &body)).encode());
    let answer = publish(&mut bench, &body);
    assert_eq!((answer.kind(), answer.code(), answer.id()), (Kind::Acknowledgement, Code::CHANGED, 0x77));
}

#[test]
fn what_has_come_is_kept_for_non_partial_timeout() {
    let (mut bench, body) = (bench(), body(40));
    let config = Config { idle: 10_000 * SECOND, ..Config::default() };
    let mut patient = bench_with(talkative(config));
    for (bench, wait, whole) in [(&mut bench, 246, true), (&mut patient, 248, false)] {
        for (id, number) in [(1, 0), (2, 2)] {
            bench.receive(&confirmable(put(id, number, &body)).encode());
            if id == 1 {
                accept(bench);
            }
        }
        bench.advance(wait * SECOND);
        bench.receive(&confirmable(put(3, 1, &body)).encode());
        assert_eq!(bench.requests.len(), usize::from(whole), "after {wait} s");
    }
}

/// [RFC9177 5]: the rest is asked for when some of it has come.
#[test]
fn a_list_of_missing_blocks_fits_into_one_packet() {
    let transmission = Transmission { max_payloads: 256, ..Transmission::default() };
    let mut bench = bench_with(unasked(Config { transmission, ..Config::default() }));
    let body = body(60_000);
    send(&mut bench, 1, &[3_583], &body);
    let asked = heard(&mut bench);
    assert_eq!(asked, []);
    bench.advance(SECOND);
    send(&mut bench, 2, &[3_584], &body);
    bench.advance(8 * SECOND);
    let lists = heard(&mut bench);
    assert!(!lists.is_empty());
    for list in &lists {
        assert!(list.encode().len() <= 1_152 && missing(list).0.len() <= 1_024);
        let numbers = decoded(missing(list).0);
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "rising, none twice");
        assert_eq!(numbers[0], 0);
    }
}

/// The numbers of a sequence of CBOR unsigned integers of up to two bytes.
fn decoded(mut sequence: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let [head, rest @ ..] = sequence {
        let (number, length) = match head {
            0..=0x17 => (u32::from(*head), 0),
            0x18 => (u32::from(rest[0]), 1),
            0x19 => (u32::from(rest[0]) << 8 | u32::from(rest[1]), 2),
            _ => panic!("{head:02x} is no such number"),
        };
        numbers.push(number);
        sequence = &rest[length..];
    }
    numbers
}

/// The first blocks must not be more than a stranger may leave here, nor be lost to one who is let in.
#[test]
fn a_large_body_waits_for_the_session_that_its_first_block_opens() {
    let (mut bench, body) = (bench(), body(70_000));
    let large = |id: u16, number: u32| {
        let (start, end) = (number as usize * 1_024, body.len().min(number as usize * 1_024 + 1_024));
        let message = put(id, 0, &body).with_payload(&body[start..end]);
        let bytes = message.encode();
        let message = Message::decode(&bytes).unwrap();
        replaced(message, block(number, end < body.len(), 6))
    };
    for number in 0..66 {
        bench.receive(&large(number as u16 + 1, number).encode());
    }
    assert_eq!(bench.requests.len(), 1, "a session");
    assert!(heard(&mut bench).iter().all(|answer| answer.code() == Code::CONTINUE));
    accept(&mut bench);
    for number in 60..69 {
        bench.receive(&large(number as u16 + 100, number).encode());
    }
    assert_eq!(published(&mut bench).1.payload, body);
}

/// The message with another Q-Block1.
fn replaced(message: Message, value: u32) -> Message {
    let mut made = Message::request(message.code()).with_token(message.token());
    for (number, old) in message.all_options() {
        made = match number {
            OptionNumber::Q_BLOCK1 => made.with_uint(number, value),
            _ => made.with_option(number, old),
        };
    }
    let made = made.with_payload(message.payload());
    crate::common::numbered(made, message.kind(), message.id())
}

#[test]
fn a_body_that_nobody_lets_in_grows_no_larger_than_a_stranger_may() {
    let (mut bench, body) = (bench(), body(70_000));
    for number in 0..69 {
        let (start, end) = (number as usize * 1_024, body.len().min(number as usize * 1_024 + 1_024));
        let message = put(number as u16 + 1, 0, &body).with_payload(&body[start..end]);
        let message = replaced(message, block(number, end < body.len(), 6));
        let elsewhere = Message::request(Code::POST).with_token(message.token());
        let elsewhere = message
            .all_options()
            .filter(|(number, _)| *number != OptionNumber::URI_PATH)
            .fold(elsewhere.with_path(["nowhere"]), |made, (number, value)| made.with_option(number, value));
        let elsewhere = elsewhere.with_payload(message.payload());
        bench.receive(&crate::common::numbered(elsewhere, Kind::NonConfirmable, message.id()).encode());
    }
    assert!(bench.requests.is_empty());
    let said = heard(&mut bench);
    let refusal = said.iter().find(|answer| answer.code() == Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(refusal.and_then(|refusal| refusal.uint(OptionNumber::SIZE1)), Some(64 << 10));
}

#[test]
fn the_oldest_of_too_many_bodies_makes_room() {
    let (mut bench, body) = (bench(), body(32));
    for tag in 0..5_u8 {
        bench.receive(&put(tag.into(), 0, &body).with_option(OptionNumber::REQUEST_TAG, [tag]).encode());
        if tag == 0 {
            accept(&mut bench);
        }
    }
    for tag in [0, 4_u8] {
        bench.receive(
            &put(10 + u16::from(tag), 1, &body).with_option(OptionNumber::REQUEST_TAG, [tag]).encode(),
        );
    }
    assert_eq!(published(&mut bench).1.payload, body);
    assert!(bench.requests.is_empty(), "of the first body half is gone");
}

/// Figure 11: a FETCH whose body goes in Q-Blocks, and whose notifications do.
#[test]
fn notifications_that_a_fetch_asked_for_have_the_token_of_its_answer() {
    let now = bench().now;
    let mut out = bus::Outbox::new(bus::Transport::Datagram);
    let mut endpoint = Endpoint::new(7, Transmission::default(), &bus::Limits::default(), 1_152);
    let body = body(40);
    let mut whole = None;
    for (id, number) in [(0x10, 0), (0x11, 1), (0x12, 2)] {
        let message = put(id, number, &body).with_observe(0).encode();
        let mut message = message;
        message[1] = Code::FETCH.0;
        match endpoint.receive(&message, now, &mut out) {
            Some(Incoming::Request(request)) => whole = Some(request),
            Some(Incoming::Begin { .. }) | None => {}
            other => panic!("{other:?}"),
        }
    }
    let request = whole.expect("the whole request");
    assert_eq!((request.message.payload(), request.message.observe()), (&body[..], Some(0)));
    let content = |observe| Message::response(Code::CONTENT).with_observe(observe).with_payload([7; 40]);
    endpoint.respond(&request.reply_to, content(1), now, &mut out);
    endpoint.notify(&request.reply_to, content(2), false, now, &mut out).unwrap();
    let said: Vec<Message> = out.chunks().map(|chunk| Message::decode(chunk.bytes).unwrap()).collect();
    assert_eq!(said.len(), 7, "two bodies of three blocks, and a ping");
    assert_eq!(numbers(&said[..3]), [(0, true), (1, true), (2, false)]);
    assert_eq!(numbers(&said[3..6]), [(0, true), (1, true), (2, false)]);
    assert!(said[..6].iter().all(|message| message.token() == token_of(0x12)));
}

#[test]
fn a_condition_holds_for_the_whole_body() {
    let (mut bench, body) = (bench(), body(32));
    for (id, number) in [(1, 1), (2, 0)] {
        let message = put(id, number, &body).with_option(OptionNumber::IF_NONE_MATCH, "");
        bench.receive(&message.encode());
        if id == 1 {
            accept(&mut bench);
        }
    }
    let (ticket, asked) = bench.request();
    let Request::PublishIf(wish) = asked else { panic!("expected a publish on condition, found {asked:?}") };
    assert_eq!(wish.publish.payload, body);
    assert!(!wish.precondition.holds(Some(&*shared(b"x", &bench))));
    bench.reply(ticket, Reply::Unfulfilled);
    assert_eq!(sent(&mut bench).code(), Code::PRECONDITION_FAILED);
}

/// What went wrong: payloads alone were counted, and 60 kB of options beside each cost nothing.
#[test]
fn what_a_body_has_beside_its_payload_counts_too() {
    let (mut bench, body) = (bench(), body(32));
    let tagged = |id: u16, number, tag: u8| {
        let message = put(id, number, &body).with_option(OptionNumber::REQUEST_TAG, [tag]);
        message.with_option(OptionNumber(65_000), vec![0; 60_000])
    };
    for tag in 0..4 {
        bench.receive(&tagged(tag.into(), 0, tag).encode());
    }
    accept(&mut bench);
    for tag in 0..4 {
        bench.receive(&tagged(10 + u16::from(tag), 1, tag).encode());
    }
    assert_eq!(published(&mut bench).1.payload, body);
    assert!(bench.requests.is_empty(), "the others made room");
}

#[test]
fn blocks_behind_a_gap_count_with_what_it_takes_to_keep_them() {
    let (mut bench, body) = (bench(), body(700 * 16));
    for number in 1..=600 {
        bench.receive(&put(number, number.into(), &body).encode());
    }
    accept(&mut bench);
    heard(&mut bench);
    let said = send(&mut bench, 1_000, &[0], &body).remove(0);
    assert_eq!(said.code(), Code::CONTINUE);
    let kept = said.uint(OptionNumber::Q_BLOCK1).expect("a number") >> 4;
    assert!((256..512).contains(&kept), "{kept} of 16 bytes in 64 kB");
}

#[test]
fn bodies_in_blocks_and_in_q_blocks_have_one_bound() {
    let (mut bench, body) = (bench(), body(40 << 10));
    let in_blocks = |number: u32| {
        let message = request(Kind::Confirmable, Code::PUT, 500 + number as u16, b"tok", "ps/b");
        let message = message.with_uint(OptionNumber::BLOCK1, block(number, true, 6));
        message.with_payload(&body[number as usize * 1_024..][..1_024])
    };
    for number in 0..39 {
        bench.receive(&in_blocks(number).encode());
        assert_eq!(sent(&mut bench).code(), Code::CONTINUE);
    }
    for number in 0..39_u16 {
        let part = &body[usize::from(number) * 1_024..][..1_024];
        let message = put(number, 0, &body).with_payload(part);
        bench.receive(&replaced(message, block(number.into(), true, 6)).encode());
    }
    heard(&mut bench);
    bench.receive(&in_blocks(39).encode());
    assert_eq!(sent(&mut bench).code(), Code::REQUEST_ENTITY_INCOMPLETE, "it made room");
}

/// What went wrong: a device that was restarted was told of success, and nothing was published.
#[test]
fn a_body_that_begins_like_the_one_before_is_another_body() {
    let (mut bench, first) = (bench(), body(40));
    send(&mut bench, 1, &[0, 1, 2], &first);
    publish(&mut bench, &first);
    let mut second = first.clone();
    second[20] = 0x77;
    bench.advance(100 * SECOND);
    assert_eq!(send(&mut bench, 4, &[0, 1, 2], &second), []);
    publish(&mut bench, &second);
    bench.advance(100 * SECOND);
    assert_eq!(send(&mut bench, 7, &[0, 1, 2], &second), [], "whole once more, it is meant");
    publish(&mut bench, &second);
}

/// What went wrong: a first block that was long on its way began the body anew, and it was published twice.
#[test]
fn a_first_block_that_comes_late_does_not_begin_its_body_anew() {
    let (mut bench, body) = (bench(), body(40));
    send(&mut bench, 1, &[0, 1, 2], &body);
    publish(&mut bench, &body);
    assert_eq!(send(&mut bench, 4, &[0], &body), []);
    bench.advance(60 * SECOND);
    assert_eq!(heard(&mut bench), [], "nothing is missing");
    assert_eq!(send(&mut bench, 5, &[2], &body)[0].code(), Code::CHANGED);
}

#[test]
fn a_block_that_differs_is_of_another_body_at_once() {
    let (mut bench, first) = (bench(), body(40));
    send(&mut bench, 1, &[0, 1, 2], &first);
    publish(&mut bench, &first);
    let mut second = first.clone();
    second[20] = 0x77;
    assert_eq!(send(&mut bench, 4, &[0, 1, 2], &second), [], "nor is success told");
    bench.advance(4 * SECOND);
    assert_eq!(missing(&heard(&mut bench)[0]).0, [0]);
    send(&mut bench, 7, &[0], &second);
    publish(&mut bench, &second);
}

/// [RFC9177 4.3]: a Reset to a list ends the transfer; one to 2.31 says that its client has no more to hear of a set.
#[test]
fn a_reset_to_a_continue_ends_nothing() {
    let (mut bench, body) = (bench(), body(15 * 16));
    let said = send(&mut bench, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &body);
    assert_eq!(said[0].code(), Code::CONTINUE);
    bench.receive(&reset(said[0].id()));
    send(&mut bench, 11, &[10, 11, 12, 13, 14], &body);
    assert_eq!(publish(&mut bench, &body).code(), Code::CHANGED);
}
