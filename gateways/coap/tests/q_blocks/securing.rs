//! Q-Block with OSCORE, and with an address that may be forged [RFC9177 4.1, 11].

use bus::Qos;
use coap::{Code, Config, Kind, Message, OptionNumber};

use crate::common::{SECOND, accept, acknowledgement, bench_with, far_away, found, published, sent, unasked};
use crate::peer::*;
use crate::protected::{config, device, open, protect};

#[test]
fn inner_q_blocks_are_put_together_and_cut_behind_the_protection() {
    let mut bench = bench_with(config(true, None));
    let (context, whole) = (device(1), body(40));
    for (id, number) in [(1, 2), (2, 0), (3, 1)] {
        let (bytes, _) = protect(&context, put(id, number, &whole));
        bench.receive(&bytes);
        if id == 1 {
            accept(&mut bench);
        }
    }
    assert_eq!(published(&mut bench).1.payload, whole);
    let (bytes, mut pending) = protect(&context, get(4, &[(0, true)]).with_observe(0));
    bench.receive(&bytes);
    crate::common::granted(&mut bench);
    let retained = shared(&whole, &bench);
    found(&mut bench, retained);
    let outer = heard(&mut bench);
    assert!(
        outer.iter().all(|message| message.option(OptionNumber::Q_BLOCK2).is_none()),
        "nobody else sees it"
    );
    let blocks: Vec<Message> = outer.iter().map(|message| open(&mut pending, message)).collect();
    let numbers: Vec<(u32, bool)> = blocks.iter().map(number).collect();
    assert_eq!((numbers, joined(&blocks)), (vec![(0, true), (1, true), (2, false)], whole));
}

#[test]
fn a_list_of_missing_blocks_is_protected_too() {
    let mut bench = bench_with(talkative(config(true, None)));
    let (bytes, mut pending) = protect(&device(1), put(1, 1, &body(40)));
    bench.receive(&bytes);
    accept(&mut bench);
    bench.advance(4 * SECOND);
    let list = open(&mut pending, &sent(&mut bench));
    assert_eq!((list.code(), list.payload()), (Code::REQUEST_ENTITY_INCOMPLETE, &b"\x00\x02"[..]));
}

/// What a proxy has cut up would have to be kept before anything is known of it.
#[test]
fn outer_q_blocks_are_a_bad_option() {
    let mut bench = bench_with(config(true, None));
    for (id, number) in [(1, OptionNumber::Q_BLOCK1), (2, OptionNumber::Q_BLOCK2)] {
        let (bytes, _) = protect(&device(1), get(id, &[]));
        let message = Message::decode(&bytes).unwrap().with_uint(number, 0x0E);
        bench.receive(&message.encode());
        assert_eq!(sent(&mut bench).code(), Code::BAD_OPTION);
    }
}

/// A GET of ten bytes must not bring ten blocks.
#[test]
fn a_forged_address_is_never_sent_more_than_three_times_what_it_sent() {
    let mut bench = far_away(unasked(Config::default()), None);
    let (mut received, mut sent_bytes) = (0, 0);
    for id in 1..40 {
        let wish =
            [&[(0, true)][..], &[(1, true)], &[(1, false), (2, false)], &[(10, true)]][id as usize % 4];
        let get = if id % 2 == 0 { confirmable(get(id, wish)) } else { get(id, wish) }.encode();
        received += get.len();
        bench.receive(&get);
        let retained = shared(&body(3_000), &bench);
        crate::common::serve(&mut bench, Some(&retained));
        bench.advance(3 * SECOND);
        sent_bytes += bench.take_sent().len();
        assert!(sent_bytes <= 3 * received, "{sent_bytes} for {received}");
    }
    assert!(sent_bytes > received / 2, "it is answered");
}

#[test]
fn an_upload_from_a_forged_address_brings_no_more_lists_than_it_pays_for() {
    let mut bench = far_away(unasked(Config::default()), None);
    let put = put(1, 20, &body(30 * 16)).encode();
    bench.receive(&put);
    accept(&mut bench);
    bench.advance(240 * SECOND);
    assert!(bench.take_sent().len() <= 3 * put.len());
}

/// An Echo shows where the client is; then it gets what it asks for.
#[test]
fn a_client_that_repeats_the_echo_gets_the_whole_body() {
    let mut bench = far_away(unasked(Config::default()), None);
    let body = body(1_500);
    let challenge = ask(&mut bench, &get(1, &[(0, true)]), &body).remove(0);
    let echo = challenge.option(OptionNumber::ECHO).expect("an Echo").to_vec();
    let again = get(2, &[(0, true)]).with_option(OptionNumber::ECHO, echo);
    assert_eq!(numbers(&ask(&mut bench, &again, &body)).len(), 10);
}

/// Each block must be acknowledged, which shows where the observer is.
#[test]
fn an_observer_at_a_forged_address_is_sent_a_block_and_the_rest_when_it_acknowledges_that() {
    let mut bench = far_away(unasked(Config::default()), None);
    let (subscription, first) = observe(&mut bench, 1, b"");
    assert_eq!(first.len(), 1);
    let pays = crate::common::request(Kind::Confirmable, Code::PUT, 2, b"t", "ps/b").with_payload([0; 40]);
    bench.receive(&pays.encode());
    crate::common::done(&mut bench);
    heard(&mut bench);
    let delivery = harness::delivery(0, subscription, "a", "", Qos::AtMostOnce, bench.now);
    let body = body(500);
    bench.handle(bus::Event::Deliver(bus::Delivery { message: shared(&body, &bench), ..delivery }));
    let mut all = heard(&mut bench);
    assert_eq!((all.len(), all[0].kind()), (1, Kind::Confirmable), "{all:?}");
    while number(all.last().unwrap()).1 {
        bench.receive(&acknowledgement(all.last().unwrap().id()));
        all.extend(heard(&mut bench));
    }
    assert_eq!(joined(&all), body);
}

/// What went wrong: the body counted as worked when its sender was asked for an Echo, so that the same body with it was
/// taken for late blocks.
#[test]
fn a_body_whose_sender_must_show_where_it_is_comes_again_with_an_echo() {
    let mut bench = far_away(unasked(Config::default()), None);
    crate::common::observing(&mut bench, 0x70, b"t", "ps/b?c=one");
    let whole = body(32);
    let other = |id, number| put(id, number, &whole).with_query("c=two");
    bench.receive(&other(1, 0).encode());
    bench.receive(&other(2, 1).encode());
    let challenge = heard(&mut bench).pop().expect("a challenge");
    assert_eq!(challenge.code(), Code::UNAUTHORIZED);
    let echo = challenge.option(OptionNumber::ECHO).expect("an Echo").to_vec();
    for (id, number) in [(3, 0), (4, 1)] {
        bench.receive(&other(id, number).with_option(OptionNumber::ECHO, echo.clone()).encode());
    }
    let connects = bench.requests.iter().filter(|(_, asked)| matches!(asked, bus::Request::Connect(_)));
    assert_eq!(connects.count(), 1, "the other is let in: {:?}", bench.requests);
}
