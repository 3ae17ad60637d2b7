//! Notifications in Q-Block2 [RFC9177 4.4, 4.5].

use bus::{Ack, Qos};
use coap::{Code, Config, Kind, OptionNumber};

use crate::common::{SECOND, acknowledgement, bench_with, request, reset, unasked};
use crate::peer::*;

/// Answers the ping that was sent last.
fn pong(bench: &mut harness::Bench, said: &[coap::Message]) {
    let ping = said.last().expect("a ping");
    assert_eq!((ping.kind(), ping.code()), (Kind::Confirmable, Code::EMPTY), "{ping:?}");
    bench.receive(&reset(ping.id()));
}

/// Figure 7.
#[test]
fn every_block_of_a_notification_has_its_observe_and_the_token_of_the_request() {
    let mut bench = bench();
    let (subscription, first) = observe(&mut bench, 1, &body(60));
    assert_eq!(numbers(&first), [(0, true), (1, true), (2, true), (3, false)]);
    let new: Vec<u8> = body(50).iter().map(|byte| byte ^ 0x11).collect();
    let mut said = notify(&mut bench, subscription, &new, Qos::AtMostOnce);
    let ping = said.pop();
    assert_eq!(numbers(&said), [(0, true), (1, true), (2, true), (3, false)]);
    assert_eq!((joined(&said), said[0].token()), (new, token_of(1)));
    assert!(said[0].observe() > first[0].observe());
    assert_ne!(said[0].option(OptionNumber::ETAG), first[0].option(OptionNumber::ETAG));
    pong(&mut bench, &[ping.unwrap()]);
}

/// Figure 8, below.
#[test]
fn a_notification_goes_on_with_its_observe_when_the_client_says_so() {
    let mut bench = bench();
    let (subscription, _) = observe(&mut bench, 1, b"");
    let body = body(15 * 16);
    let set = notify(&mut bench, subscription, &body, Qos::AtMostOnce);
    assert_eq!(numbers(&set).len(), 10);
    assert_eq!(bench.connection.room(), 0, "nothing newer comes before it is over");
    bench.receive(&get(3, &[(10, true)]).encode());
    let rest = heard(&mut bench);
    assert_eq!(
        (numbers(&rest).len(), rest[0].observe(), rest[0].token()),
        (5, set[0].observe(), token_of(1))
    );
    assert!(bench.connection.room() > 0, "the client was heard, so that nobody needs to ask for it");
}

/// [RFC9177 7.2], [RFC7252 4.7]: PROBING_RATE is for bodies.
#[test]
fn a_client_that_says_nothing_to_a_body_is_asked_for_and_left_alone_meanwhile() {
    let mut bench = bench_with(unasked(Config::default()));
    let (subscription, _) = observe(&mut bench, 1, b"");
    let body = body(60);
    let said = notify(&mut bench, subscription, &body, Qos::AtMostOnce);
    assert_eq!(bench.connection.room(), 0);
    pong(&mut bench, &said);
    assert!(bench.connection.room() > 0, "it is there");
    notify(&mut bench, subscription, &body, Qos::AtMostOnce);
    bench.advance(59 * SECOND);
    assert_eq!(bench.connection.room(), 0, "60 bytes are worth a minute");
    bench.advance(60 * SECOND);
    assert!(bench.connection.room() > 0);
}

/// Figure 9: a block is missing of what nobody retains.
#[test]
fn the_first_block_of_a_notification_is_had_again() {
    let mut bench = bench();
    let (subscription, _) = observe(&mut bench, 1, b"");
    let said = notify(&mut bench, subscription, &body(60), Qos::AtMostOnce);
    pong(&mut bench, &said);
    bench.receive(&get(2, &[(0, false)]).encode());
    let missing = heard(&mut bench);
    assert_eq!((numbers(&missing), missing[0].observe()), (vec![(0, true)], None));
    assert_eq!(missing[0].payload(), said[0].payload());
    assert!(bench.requests.is_empty());
}

/// Figure 18, below.
#[test]
fn a_notification_that_must_arrive_is_done_when_its_last_block_is_acknowledged() {
    let mut bench = bench();
    let (subscription, _) = observe(&mut bench, 1, b"");
    let body = body(40);
    let mut said = notify(&mut bench, subscription, &body, Qos::AtLeastOnce);
    let mut all = Vec::new();
    for left in [2, 1, 0] {
        let block = said.pop().expect("a block");
        assert!(said.is_empty() && bench.acks.is_empty(), "{said:?}");
        assert_eq!(block.kind(), Kind::Confirmable);
        bench.receive(&acknowledgement(block.id()));
        all.push(block);
        said = heard(&mut bench);
        assert_eq!(said.len(), usize::from(left > 0));
    }
    assert_eq!((numbers(&all), joined(&all)), (vec![(0, true), (1, true), (2, false)], body));
    assert!(matches!(bench.acks[..], [(_, Ack::Complete)]), "{:?}", bench.acks);
}

#[test]
fn an_observer_that_acknowledges_only_some_blocks_is_gone() {
    let mut bench = bench();
    let (subscription, _) = observe(&mut bench, 1, b"");
    let said = notify(&mut bench, subscription, &body(40), Qos::AtLeastOnce);
    bench.receive(&acknowledgement(said[0].id()));
    bench.advance(120 * SECOND);
    assert!(matches!(bench.acks[..], [(_, Ack::Reject(_))]), "{:?}", bench.acks);
    assert!(bench.closed.is_some());
}

#[test]
fn a_reset_to_any_block_of_a_notification_ends_the_observation() {
    let mut bench = bench();
    let (subscription, _) = observe(&mut bench, 1, b"");
    let said = notify(&mut bench, subscription, &body(25 * 16), Qos::AtMostOnce);
    bench.receive(&reset(said[7].id()));
    assert_eq!(crate::common::unsubscribed(&mut bench), [subscription]);
    bench.advance(10 * SECOND);
    assert_eq!(heard(&mut bench), []);
}

#[test]
fn who_observes_no_more_gets_no_more_of_a_notification() {
    let mut bench = bench();
    let (subscription, _) = observe(&mut bench, 1, b"");
    notify(&mut bench, subscription, &body(25 * 16), Qos::AtMostOnce);
    let cancel =
        crate::common::request(Kind::NonConfirmable, Code::GET, 9, &token(1), "ps/a").with_observe(1);
    ask(&mut bench, &cancel, b"");
    bench.advance(10 * SECOND);
    assert_eq!(heard(&mut bench), []);
}

/// Several at once, as they wait for an observer that has just come.
#[test]
fn a_fresher_body_takes_the_place_of_one_that_is_on_its_way() {
    let mut bench = bench();
    let (subscription, _) = observe(&mut bench, 1, b"");
    let old = harness::delivery(0, subscription, "a", "", Qos::AtMostOnce, bench.now);
    let delivery = |body: &[u8]| bus::Delivery { message: shared(body, &bench), ..old.clone() };
    let (first, second) = (delivery(&body(25 * 16)), delivery(&[0xAA; 60]));
    bench.handle(bus::Event::Deliver(first));
    heard(&mut bench);
    bench.handle(bus::Event::Deliver(second));
    let mut all = Vec::new();
    for _ in 0..6 {
        let said = heard(&mut bench);
        let waiting = said.iter().filter(|message| message.kind() == Kind::Confirmable);
        let waiting: Vec<u16> = waiting.map(coap::Message::id).collect();
        all.extend(said);
        waiting.iter().for_each(|id| bench.receive(&acknowledgement(*id)));
    }
    bench.advance(10 * SECOND);
    all.extend(heard(&mut bench));
    let all: Vec<coap::Message> = all.into_iter().filter(|message| message.code() == Code::CONTENT).collect();
    assert_eq!(numbers(&all), [(0, true), (1, true), (2, true), (3, false)]);
    assert_eq!(joined(&all), [0xAA; 60]);
}

#[test]
fn a_notification_takes_the_place_of_the_first_answer_that_is_on_its_way() {
    let mut bench = bench();
    let (subscription, first) = observe(&mut bench, 1, &body(25 * 16));
    assert_eq!(first.len(), 10);
    let mut said = notify(&mut bench, subscription, &[0xAA; 60], Qos::AtMostOnce);
    pong(&mut bench, &[said.pop().unwrap()]);
    assert_eq!(joined(&said), [0xAA; 60]);
    bench.advance(10 * SECOND);
    assert_eq!(heard(&mut bench), [], "nothing more of what is old");
}

/// A notification of two blocks of which the first is acknowledged, and an answer that waited for that is under way.
fn between_two_blocks(bench: &mut harness::Bench) {
    let (subscription, _) = observe(bench, 1, b"");
    bench.receive(&request(Kind::Confirmable, Code::GET, 20, b"late", "ps/slow").encode());
    let (ticket, _) = bench.request();
    bench.advance(2 * SECOND);
    heard(bench);
    let first = notify(bench, subscription, &body(60), Qos::AtLeastOnce).remove(0);
    let late = shared(b"late", bench);
    bench.reply(ticket, bus::Reply::Read(Some(late)));
    assert_eq!(heard(bench), []);
    bench.receive(&acknowledgement(first.id()));
}

/// Acknowledges all that comes within ten seconds.
fn acknowledge_all(bench: &mut harness::Bench) {
    for _ in 0..20 {
        for block in heard(bench).iter().filter(|message| message.kind() == Kind::Confirmable) {
            bench.receive(&acknowledgement(block.id()));
        }
        bench.advance(SECOND / 2);
    }
}

/// What went wrong: nobody was told what became of it, and the session delivered nothing more.
#[test]
fn a_notification_that_must_arrive_makes_room_for_no_other_body() {
    let mut bench = bench();
    between_two_blocks(&mut bench);
    let answer = heard(&mut bench);
    for topic in 0..4u16 {
        let get = get(30 + topic, &[(0, true)]).with_path([topic.to_string().as_str()]);
        ask(&mut bench, &get, &body(60));
    }
    bench.receive(&acknowledgement(answer[0].id()));
    acknowledge_all(&mut bench);
    assert!(matches!(bench.acks[..], [(_, Ack::Complete)]), "{:?}", bench.acks);
}

/// Nobody asks whether whoever sent that may: it must not stop the session.
#[test]
fn a_notification_that_must_arrive_and_is_unwanted_ends_with_its_next_block() {
    let mut bench = bench();
    between_two_blocks(&mut bench);
    let answer = heard(&mut bench);
    let unwanted = request(Kind::NonConfirmable, Code::GET, 40, &token(1), "ps/a?c=another").with_observe(1);
    bench.receive(&unwanted.encode());
    bench.receive(&acknowledgement(answer[0].id()));
    acknowledge_all(&mut bench);
    assert!(matches!(bench.acks[..], [(_, Ack::Complete)]), "{:?}", bench.acks);
}
