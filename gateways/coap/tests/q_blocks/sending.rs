//! Answers in Q-Block2 [RFC9177 4.4].

use std::sync::Arc;

use bus::{Metadata, Request};
use coap::{Code, Config, Kind, Message, OptionNumber, Transmission};

use crate::common::{SECOND, acknowledgement, bench_with, request, reset, serve, unasked};
use crate::peer::*;

const SET: [(u32, bool); 10] = [
    (0, true),
    (1, true),
    (2, true),
    (3, true),
    (4, true),
    (5, true),
    (6, true),
    (7, true),
    (8, true),
    (9, true),
];

#[test]
fn a_body_is_sent_whole_with_etag_and_size_in_every_block() {
    let (mut bench, body) = (bench(), body(60));
    let blocks = ask(&mut bench, &get(1, &[(0, true)]), &body);
    assert_eq!(numbers(&blocks), [(0, true), (1, true), (2, true), (3, false)]);
    assert_eq!((joined(&blocks), blocks[3].token()), (body, token_of(1)));
    assert_eq!(blocks[3].uint(OptionNumber::SIZE2), Some(60));
    assert_eq!(blocks[0].kind(), Kind::NonConfirmable);
}

#[test]
fn a_body_of_one_block_says_that_it_is_one() {
    let mut bench = bench();
    let blocks = ask(&mut bench, &get(1, &[(0, true)]), b"21.5");
    assert_eq!(numbers(&blocks), [(0, false)]);
    assert_eq!(blocks[0].payload(), b"21.5");
}

#[test]
fn a_client_that_did_not_ask_for_q_blocks_gets_others() {
    let (mut bench, body) = (bench(), body(2_000));
    let blocks = ask(&mut bench, &get(1, &[]), &body);
    assert_eq!((blocks.len(), blocks[0].option(OptionNumber::Q_BLOCK2)), (1, None));
    assert_eq!(blocks[0].block2().map(|block| block.more), Some(true));
}

/// A request whose body came in Q-Block1 shows as well that its client knows them.
#[test]
fn a_client_that_sends_q_blocks_gets_them() {
    let (mut bench, body) = (bench(), body(2_000));
    let fetch = get(1, &[]).with_uint(OptionNumber::Q_BLOCK1, 6).with_uint(OptionNumber::SIZE1, 0);
    let fetch = fetch.with_option(OptionNumber::REQUEST_TAG, "1").encode();
    let now = bench.now;
    let mut out = bus::Outbox::new(bus::Transport::Datagram);
    let mut endpoint = coap::Endpoint::new(7, Transmission::default(), &bus::Limits::default(), 1_152);
    let fetch = [&fetch[..1], &[Code::FETCH.0], &fetch[2..]].concat();
    let Some(coap::Incoming::Request(request)) = endpoint.receive(&fetch, now, &mut out) else { panic!() };
    let content = coap::Message::response(Code::CONTENT).with_payload(body);
    endpoint.respond(&request.reply_to, content, now, &mut out);
    let said: Vec<coap::Message> =
        out.chunks().map(|chunk| coap::Message::decode(chunk.bytes).unwrap()).collect();
    assert!(said.len() == 2 && said[1].option(OptionNumber::Q_BLOCK2).is_some(), "{said:?}");
    drop(ask(&mut bench, &get(2, &[]), b""));
}

/// Figure 8.
#[test]
fn after_a_set_the_server_waits_unless_it_is_told_to_go_on() {
    let (mut bench, body) = (bench(), body(25 * 16));
    assert_eq!(numbers(&ask(&mut bench, &get(1, &[(0, true)]), &body)), SET);
    bench.receive(&get(2, &[(10, true)]).encode());
    let blocks = heard(&mut bench);
    assert_eq!(numbers(&blocks), with_more(10..20));
    assert_eq!(blocks[0].token(), token_of(1), "it is no request of its own");
    bench.advance(2 * SECOND - SECOND / 100);
    assert_eq!(heard(&mut bench), [], "NON_TIMEOUT_RANDOM is at least 2 s");
    bench.advance(SECOND + SECOND / 50);
    let blocks = heard(&mut bench);
    assert_eq!(numbers(&blocks), [(20, true), (21, true), (22, true), (23, true), (24, false)]);
    bench.advance(60 * SECOND);
    assert_eq!(heard(&mut bench), []);
    assert!(bench.requests.is_empty());
}

#[test]
fn to_go_on_with_what_is_on_its_way_already_sends_it_once() {
    let (mut bench, body) = (bench(), body(15 * 16));
    ask(&mut bench, &get(1, &[(0, true)]), &body);
    bench.advance(3 * SECOND);
    assert_eq!(heard(&mut bench).len(), 5);
    bench.receive(&get(2, &[(10, true)]).encode());
    assert_eq!(heard(&mut bench), [], "both have met");
}

/// Figure 9.
#[test]
fn missing_blocks_come_with_the_token_of_their_request_and_without_observe() {
    let (mut bench, body) = (bench(), body(11 * 16));
    let (_, blocks) = observe(&mut bench, 1, &body);
    let tag = blocks[0].option(OptionNumber::ETAG).map(<[u8]>::to_vec);
    bench.advance(3 * SECOND);
    assert_eq!(numbers(&heard(&mut bench)), [(10, false)]);
    bench.receive(&get(4, &[(1, false), (9, false)]).encode());
    let missing = heard(&mut bench);
    assert_eq!(numbers(&missing), [(1, true), (9, true)]);
    assert_eq!((missing[0].token(), missing[0].observe()), (token_of(4), None));
    assert_eq!(missing[0].option(OptionNumber::ETAG).map(<[u8]>::to_vec), tag);
    assert_eq!(missing[0].payload(), &body[16..32]);
    bench.receive(&get(5, &[(1, false)]).encode());
    assert_eq!(numbers(&heard(&mut bench)), [(1, true)]);
    assert!(bench.requests.is_empty(), "the broker is not asked");
}

/// Figure 10.
#[test]
fn the_rest_of_a_set_is_had_by_the_m_bit_and_the_next_one_as_if_it_had_not_been_sent() {
    let (mut bench, body) = (bench(), body(11 * 16));
    let (_, blocks) = observe(&mut bench, 1, &body);
    let sequence = blocks[0].observe();
    bench.advance(7 * SECOND);
    assert_eq!(numbers(&heard(&mut bench)), [(10, false)]);
    bench.receive(&get(6, &[(2, true)]).encode());
    let rest = heard(&mut bench);
    assert_eq!(numbers(&rest), with_more(2..10));
    assert_eq!(rest[0].token(), token_of(6));
    bench.receive(&get(7, &[(10, true)]).encode());
    let last = heard(&mut bench);
    assert_eq!(numbers(&last), [(10, false)]);
    assert_eq!((last[0].token(), last[0].observe()), (token_of(1), sequence));
}

#[test]
fn a_block_that_is_asked_for_twice_in_one_request_is_sent_once() {
    let (mut bench, body) = (bench(), body(25 * 16));
    ask(&mut bench, &get(1, &[(0, true)]), &body);
    bench.receive(&get(2, &[(6, true), (7, false), (8, true)]).encode());
    assert_eq!(numbers(&heard(&mut bench)), with_more(6..10));
}

#[test]
fn missing_blocks_of_several_sets_are_sent_a_set_at_a_time() {
    let (mut bench, body) = (bench(), body(30 * 16));
    ask(&mut bench, &get(1, &[(0, true)]), &body);
    bench.advance(7 * SECOND);
    heard(&mut bench);
    bench.receive(&get(2, &[(1, false), (3, false), (12, false), (25, false)]).encode());
    assert_eq!(numbers(&heard(&mut bench)), [(1, true), (3, true)]);
    bench.advance(2 * SECOND - SECOND / 100);
    assert_eq!(heard(&mut bench), []);
    bench.advance(SECOND + SECOND / 50);
    assert_eq!(numbers(&heard(&mut bench)), [(12, true)]);
    bench.advance(3 * SECOND);
    assert_eq!(numbers(&heard(&mut bench)), [(25, true)]);
}

/// [RFC9177 7.2]: what is missing goes first, and the next set waits.
#[test]
fn missing_blocks_go_before_the_next_set() {
    let (mut bench, body) = (bench(), body(30 * 16));
    ask(&mut bench, &get(1, &[(0, true)]), &body);
    bench.advance(SECOND);
    bench.receive(&get(2, &[(4, false)]).encode());
    assert_eq!(numbers(&heard(&mut bench)), [(4, true)]);
    bench.advance(2 * SECOND - SECOND / 100);
    assert_eq!(heard(&mut bench), []);
    bench.advance(SECOND + SECOND / 50);
    assert_eq!(numbers(&heard(&mut bench)), with_more(10..20));
}

#[test]
fn a_block_that_there_is_not_and_one_of_another_size_are_bad_requests() {
    let (mut bench, body) = (bench(), body(60));
    ask(&mut bench, &get(1, &[(0, true)]), &body);
    bench.receive(&get(2, &[(4, false)]).encode());
    bench.receive(&get(3, &[]).with_uint(OptionNumber::Q_BLOCK2, block(1, false, 1)).encode());
    let codes: Vec<Code> = heard(&mut bench).iter().map(coap::Message::code).collect();
    assert_eq!(codes, [Code::BAD_REQUEST; 2]);
}

#[test]
fn missing_blocks_are_of_the_body_as_it_was() {
    let (mut bench, old) = (bench(), body(60));
    let blocks = ask(&mut bench, &get(1, &[(0, true)]), &old);
    bench.advance(240 * SECOND);
    bench.receive(&get(2, &[(3, false)]).encode());
    let missing = heard(&mut bench);
    assert_eq!(missing[0].payload(), blocks[3].payload());
    assert!(bench.requests.is_empty(), "the broker is not asked whether there is another");
}

#[test]
fn when_the_body_is_no_longer_kept_blocks_have_the_tag_and_the_size_of_what_there_is() {
    let config = Config { idle: 10_000 * SECOND, ..Config::default() };
    let mut bench = bench_with(talkative(config));
    let old = ask(&mut bench, &get(1, &[(0, true)]), &body(60));
    bench.advance(250 * SECOND);
    let new: Vec<u8> = body(70).iter().map(|byte| byte ^ 0x77).collect();
    let missing = ask(&mut bench, &get(2, &[(1, false), (3, false)]), &new);
    assert_eq!(numbers(&missing), [(1, true), (3, true)]);
    assert_eq!((missing[0].uint(OptionNumber::SIZE2), missing[0].payload()), (Some(70), &new[16..32]));
    assert_ne!(missing[0].option(OptionNumber::ETAG), old[0].option(OptionNumber::ETAG));
    bench.advance(250 * SECOND);
    let shorter = ask(&mut bench, &get(3, &[(3, false)]), b"short");
    assert_eq!(numbers(&shorter), [(0, false)], "the block is not there any more, and this tells");
}

/// The first block alone asks what there is now.
#[test]
fn a_get_of_the_first_block_alone_is_answered_with_what_there_is_now() {
    let (mut bench, old, new) = (bench(), body(60), body(80));
    let old = ask(&mut bench, &get(1, &[(0, false)]), &old);
    assert_eq!(numbers(&old), [(0, true)], "not the others");
    let new = ask(&mut bench, &get(2, &[(0, false)]), &new);
    assert_eq!((numbers(&new), new[0].uint(OptionNumber::SIZE2)), (vec![(0, true)], Some(80)));
    bench.receive(&get(3, &[(1, false), (4, false)]).encode());
    let rest = heard(&mut bench);
    assert_eq!((numbers(&rest), rest[0].uint(OptionNumber::SIZE2)), (vec![(1, true), (4, false)], Some(80)));
    bench.advance(30 * SECOND);
    assert_eq!(heard(&mut bench), [], "nothing goes of itself");
}

#[test]
fn two_bodies_have_two_tags() {
    let mut bench = bench();
    let mut tags = std::collections::HashSet::new();
    for id in 0..50 {
        let body = [&body(40)[..], &[id]].concat();
        let blocks = ask(&mut bench, &get(u16::from(id) + 1, &[(0, true)]), &body);
        assert!(tags.insert(blocks[0].option(OptionNumber::ETAG).unwrap().to_vec()));
    }
}

/// Figure 18: one is on its way at a time, since NSTART is 1.
#[test]
fn a_confirmable_request_is_answered_by_blocks_that_are_all_acknowledged() {
    let (mut bench, body) = (bench(), body(12 * 16));
    let first = ask(&mut bench, &confirmable(get(1, &[(0, true)])), &body);
    assert_eq!((first[0].kind(), first[0].id()), (Kind::Acknowledgement, 1));
    assert_eq!(first.len(), 2, "the first in the acknowledgement, the next to be acknowledged");
    let (mut all, mut last) = (first.clone(), first[1].clone());
    while number(&last).1 {
        assert_eq!((last.kind(), last.token()), (Kind::Confirmable, token_of(1)));
        bench.receive(&acknowledgement(last.id()));
        let next = heard(&mut bench);
        assert_eq!(next.len(), 1, "without a wait after a set");
        last = next[0].clone();
        all.extend(next);
    }
    assert_eq!(joined(&all), body);
    bench.receive(&acknowledgement(last.id()));
    assert_eq!(heard(&mut bench), []);
}

#[test]
fn missing_blocks_do_not_wait_for_an_acknowledgement_that_is_due() {
    let (mut bench, body) = (bench(), body(60));
    let first = ask(&mut bench, &confirmable(get(1, &[(0, true)])), &body);
    bench.receive(&get(2, &[(2, false), (3, false)]).encode());
    let missing = heard(&mut bench);
    assert_eq!((number(&missing[0]), missing[0].token()), ((2, true), token_of(2)));
    bench.receive(&acknowledgement(first[1].id()));
    bench.advance(3 * SECOND);
    let rest: Vec<u32> = heard(&mut bench).iter().map(|message| number(message).0).collect();
    assert!(rest.contains(&2) && rest.contains(&3), "it goes on: {rest:?}");
}

/// [RFC9177 4.4]: then the client may ask for what is missing.
#[test]
fn a_confirmable_block_that_is_never_acknowledged_ends_the_body() {
    let (mut bench, body) = (bench(), body(60));
    let first = ask(&mut bench, &confirmable(get(1, &[(0, true)])), &body);
    bench.advance(120 * SECOND);
    assert!(heard(&mut bench).iter().all(|again| again == &first[1]), "it alone is repeated");
    assert_eq!(bench.closed, None);
}

#[test]
fn a_reset_to_a_block_ends_the_body() {
    let (mut bench, body) = (bench(), body(25 * 16));
    let blocks = ask(&mut bench, &get(1, &[(0, true)]), &body);
    bench.receive(&reset(blocks[4].id()));
    bench.advance(10 * SECOND);
    assert_eq!(heard(&mut bench), []);
}

#[test]
fn a_get_of_the_whole_anew_ends_the_one_before() {
    let (mut bench, body) = (bench(), body(25 * 16));
    ask(&mut bench, &get(1, &[(0, true)]), &body);
    let again = ask(&mut bench, &get(2, &[(0, true)]), &body);
    assert_eq!((numbers(&again), again[0].token()), (SET.to_vec(), token_of(2)));
    bench.advance(3 * SECOND);
    let more = heard(&mut bench);
    assert_eq!((numbers(&more), more[0].token()), (with_more(10..20), token_of(2)));
}

#[test]
fn what_must_not_be_done_twice_is_not_done_for_a_missing_block() {
    let mut bench = bench();
    let post = get(1, &[(1, false)]).encode();
    bench.receive(&[&post[..1], &[Code::POST.0], &post[2..]].concat());
    assert_eq!(heard(&mut bench)[0].code(), Code::REQUEST_ENTITY_INCOMPLETE);
    assert!(bench.requests.is_empty());
}

/// [RFC9177 4.4]: without Size1.
#[test]
fn an_answer_whose_options_leave_no_room_for_a_block_is_too_large() {
    let mut bench = bench_with(unasked(Config { largest_message: 40, ..Config::default() }));
    let answer = ask(&mut bench, &get(1, &[(0, true)]), &body(100)).remove(0);
    assert_eq!(answer.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(answer.option(OptionNumber::SIZE1), None);
}

#[test]
fn what_is_kept_of_bodies_is_bounded() {
    let mut bench = bench();
    let of_topic = |id: u16, topic: u16, blocks| get(id, blocks).with_path([topic.to_string().as_str()]);
    for topic in 0..6 {
        let blocks = ask(&mut bench, &of_topic(topic, topic, &[(0, true)]), &body(60));
        assert_eq!(numbers(&blocks).len(), 4);
    }
    bench.receive(&of_topic(101, 5, &[(2, false)]).encode());
    assert_eq!(numbers(&heard(&mut bench)), [(2, true)]);
    bench.receive(&of_topic(102, 0, &[(2, false)]).encode());
    assert!(matches!(bench.requests.front(), Some((_, Request::Read(_)))), "it is read again");
}

/// What went wrong: the clock ran out for blocks that had to wait for an acknowledgement, and was never set again.
#[test]
fn missing_blocks_that_must_be_acknowledged_wait_for_their_turn_and_not_for_the_clock() {
    let mut bench = bench();
    ask(&mut bench, &get(1, &[(0, true)]), &body(25 * 16));
    let other = request(Kind::Confirmable, Code::GET, 2, b"oth", "ps/b");
    let in_flight = ask(&mut bench, &other.with_uint(OptionNumber::Q_BLOCK2, 8), &body(32)).remove(1);
    assert_eq!(in_flight.kind(), Kind::Confirmable);
    bench.receive(&confirmable(get(3, &[(1, false), (2, false)])).encode());
    let first = heard(&mut bench).remove(0);
    assert_eq!((first.kind(), number(&first)), (Kind::Acknowledgement, (1, true)));
    bench.advance(4 * SECOND);
    heard(&mut bench);
    bench.receive(&acknowledgement(in_flight.id()));
    let second = heard(&mut bench).remove(0);
    assert_eq!((second.kind(), number(&second)), (Kind::Confirmable, (2, true)));
}

/// What went wrong: the whole body came in one message without Q-Block2.
#[test]
fn missing_blocks_come_as_blocks_while_an_acknowledgement_is_due() {
    let (mut bench, body) = (bench(), body(60));
    ask(&mut bench, &confirmable(get(1, &[(0, true)])), &body);
    bench.advance(46 * SECOND);
    heard(&mut bench);
    let said = ask(&mut bench, &get(2, &[(1, false), (2, false)]), &body);
    assert_eq!(said.iter().map(number).collect::<Vec<_>>(), [(1, true)]);
}

/// [RFC7967 2]: neither of the answer nor of missing blocks.
#[test]
fn who_wants_no_answer_gets_no_block_of_it() {
    let mut bench = bench();
    let unwanted = |message: Message| message.with_uint(OptionNumber::NO_RESPONSE, 2);
    assert_eq!(ask(&mut bench, &unwanted(get(1, &[(0, true)])), &body(60)), []);
    assert_eq!(ask(&mut bench, &unwanted(get(2, &[(1, false), (2, false)])), &body(60)), []);
    assert_eq!(ask(&mut bench, &get(3, &[(0, true)]), &body(60)).len(), 4);
    bench.receive(&unwanted(get(4, &[(1, false), (2, false)])).encode());
    bench.advance(10 * SECOND);
    assert_eq!((heard(&mut bench), bench.requests.len()), (vec![], 0));
}

#[test]
fn two_bodies_to_which_their_publisher_gave_one_tag_have_two() {
    let mut bench = bench();
    let tagged = |payload: &[u8], bench: &harness::Bench| {
        let untagged = Arc::into_inner(shared(payload, bench)).unwrap();
        let user_properties = vec![("coap-etag".into(), "01".into())];
        let metadata = Metadata { user_properties, ..Metadata::default() };
        Arc::new(bus::Message { metadata: metadata.boxed(), ..untagged })
    };
    let tag = |bench: &mut harness::Bench, id, payload: &[u8]| {
        bench.receive(&get(id, &[(0, true)]).encode());
        let retained = tagged(payload, bench);
        serve(bench, Some(&retained));
        heard(bench)[0].option(OptionNumber::ETAG).expect("a tag").to_vec()
    };
    let (one, two) = (tag(&mut bench, 1, &body(60)), tag(&mut bench, 2, &[0xAA; 60]));
    assert_ne!(one, two);
    for (id, known, code) in [(3, &one, Code::CONTENT), (4, &two, Code::VALID)] {
        bench.receive(&get(id, &[(0, true)]).with_option(OptionNumber::ETAG, known.as_slice()).encode());
        let retained = tagged(&[0xAA; 60], &bench);
        serve(&mut bench, Some(&retained));
        assert_eq!(heard(&mut bench)[0].code(), code, "what is known by the tag of its blocks is known");
    }
}

/// [RFC7959 2.2]: a number has 20 bits.
#[test]
fn a_body_of_more_blocks_than_can_be_numbered_is_too_large() {
    let mut bench = bench();
    let answer = ask(&mut bench, &get(1, &[(0, true)]), &vec![0; (16 << 20) + 1]).remove(0);
    assert_eq!(answer.code(), Code::REQUEST_ENTITY_TOO_LARGE);
}
