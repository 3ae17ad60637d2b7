//! Durable sessions: what waits for a client that comes back.

use std::time::Duration;

use crate::story::*;
use bus::{Ack, Qos, Reason, Reply, Request, SubscriptionId, Unsubscribe};

#[test]
fn connected_tells_a_durable_client_whether_its_session_goes_on() {
    for (present, word) in [(true, "true"), (false, "false")] {
        let mut bench = stranger();
        bench.receive(b"CONNECT\naccept-version:1.2\nclient-id:c\nsession-expiry:60\n\n\0");
        bench.accept_connect(present);
        let answer = sent(&mut bench);
        assert!(answer.contains(&format!("session-present:{word}\nsession-expiry:60\n")), "{answer}");
    }
}

#[test]
fn what_waited_comes_once_the_client_subscribes_with_its_old_id() {
    let mut first = connected("1.2");
    let id = subscribe(&mut first, "SUBSCRIBE\nid:sub-0\ndestination:a\nack:client\n\n\0");

    let mut bench = resumed();
    deliver(&mut bench, 1, id, "a", "old");
    deliver(&mut bench, 2, id, "a", "older subscriptions come first");
    assert!(bench.take_sent().is_empty(), "nobody knows yet what the client calls the subscription");
    assert_eq!(bench.connection.room(), 98, "what is held takes room");
    assert_eq!(acks(&mut bench), []);

    bench.receive(b"SUBSCRIBE\nid:sub-0\ndestination:a\nack:client\nreceipt:s\n\n\0");
    let (ticket, wanted) = subscription(&mut bench);
    assert_eq!(wanted.id.0, id, "the id is the same in every connection");
    deliver(&mut bench, 3, id, "a", "new");
    assert!(bench.take_sent().is_empty(), "order is kept");
    bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
    let answer = sent(&mut bench);
    let at = |text| answer.find(text).expect(text);
    assert!(at("\n\nold\0") < at("older") && at("older") < at("\n\nnew\0") && at("new") < at("RECEIPT"));
    bench.receive(b"ACK\nid:2a-3\n\n\0");
    assert_eq!(acks(&mut bench), [(1, Ack::Complete), (2, Ack::Complete), (3, Ack::Complete)]);
}

#[test]
fn held_messages_of_an_auto_subscription_are_acknowledged_as_they_are_sent() {
    let mut bench = resumed();
    let id = SubscriptionId(1 << 28); // what the id "0" stands for
    deliver(&mut bench, 1, id.0, "a", "old");
    assert_eq!(subscribe(&mut bench, "SUBSCRIBE\nid:0\ndestination:a\n\n\0"), id.0);
    assert!(sent(&mut bench).contains("\n\nold\0"));
    assert_eq!(acks(&mut bench), [(1, Ack::Complete)]);
    assert_eq!(bench.connection.room(), 100);
}

#[test]
fn a_delivery_for_a_known_and_an_unknown_subscription_waits_for_both() {
    let mut bench = resumed();
    let known = subscribe(&mut bench, "SUBSCRIBE\nid:0\ndestination:a\n\n\0");
    let mut delivery = harness::delivery(4, known, "a", "x", Qos::AtLeastOnce, bench.now);
    delivery.matched = vec![SubscriptionId(known), SubscriptionId(known + 1)].into();
    bench.deliver(delivery);
    assert!(sent(&mut bench).contains("subscription:0\n"));
    assert_eq!(acks(&mut bench), []);
    subscribe(&mut bench, "SUBSCRIBE\nid:1\ndestination:#\n\n\0");
    assert!(sent(&mut bench).contains("subscription:1\n"));
    assert_eq!(acks(&mut bench), [(4, Ack::Complete)]);
}

#[test]
fn old_subscriptions_that_are_not_made_again_in_time_end_and_block_nothing() {
    let mut bench = resumed();
    deliver(&mut bench, 1, 77, "a", "x");
    deliver(&mut bench, 2, 77, "a", "x");
    bench.advance(Duration::from_secs(60));
    assert_eq!(acks(&mut bench), [(1, Ack::Complete), (2, Ack::Complete)]);
    let (_, request) = bench.request();
    assert!(matches!(request, Request::Unsubscribe(ended) if ended == [Unsubscribe::Id(SubscriptionId(77))]));
    assert!(bench.requests.is_empty(), "it is ended once");
    // and what comes for another one later ends that
    deliver(&mut bench, 3, 78, "a", "x");
    assert_eq!(acks(&mut bench), [(3, Ack::Complete)]);
    let (_, request) = bench.request();
    assert!(matches!(request, Request::Unsubscribe(ended) if ended == [Unsubscribe::Id(SubscriptionId(78))]));
    assert!(bench.take_sent().is_empty());
}

#[test]
fn an_old_subscription_can_be_ended_without_being_made_again() {
    let mut bench = resumed();
    deliver(&mut bench, 1, 1 << 28, "a", "x");
    bench.receive(b"UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0");
    let (ticket, request) = bench.request();
    assert!(
        matches!(request, Request::Unsubscribe(ended) if ended == [Unsubscribe::Id(SubscriptionId(1 << 28))])
    );
    bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())]));
    assert_eq!(acks(&mut bench), [(1, Ack::Complete)]);
    assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:u\n\n\0");
}

#[test]
fn a_session_that_another_protocol_left_is_wound_up() {
    let mut bench = resumed();
    let id = bus::DeliveryId::new(3).expect("not 0");
    bench.handle(bus::Event::Release(id));
    assert_eq!(acks(&mut bench), [(3, Ack::Complete)]);
}

#[test]
fn without_a_session_from_before_an_unknown_subscription_is_ended_at_once() {
    let mut bench = connected("1.2");
    deliver(&mut bench, 1, 9, "a", "x");
    assert_eq!(acks(&mut bench), [(1, Ack::Complete)]);
    assert_eq!(bench.closed, None::<Reason>);
}
