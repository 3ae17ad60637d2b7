use bus::{Filter, Qos, Reason, RetainHandling, Subscription};

use crate::*;

fn subscribed(bench: &mut Bench) -> (Ticket, Subscription) {
    match bench.request() {
        (ticket, Request::Subscribe(mut subscriptions)) => (ticket, subscriptions.pop().unwrap()),
        (_, request) => panic!("expected a subscribe, found {request:?}"),
    }
}

fn grant(bench: &mut Bench, ticket: Ticket, qos: Qos) {
    bench.reply(ticket, Reply::Subscribed(vec![Ok(qos)]));
}

#[test]
fn a_name_gets_a_topic_id_and_the_granted_qos() {
    let mut bench = connected();
    bench.receive(&[8, 0x12, 0x40, 0, 5, b'a', b'/', b'b']);
    let (ticket, subscription) = subscribed(&mut bench);
    assert_eq!(subscription.filter.as_str(), "a/b");
    assert_eq!(subscription.options.qos, Qos::ExactlyOnce);
    assert_eq!(subscription.options.retain_handling, RetainHandling::Always);
    grant(&mut bench, ticket, Qos::AtLeastOnce);
    assert_eq!(bench.take_sent(), [8, 0x13, 0x20, 0, 43, 0, 5, 0]);
    bench.receive(&[8, 0x0C, 0x00, 0, 43, 0, 0, b'x']);
    assert_eq!(published(&mut bench).1.topic.as_str(), "a/b", "the id serves to publish, too");
}

#[test]
fn wildcards_and_shares_have_the_topic_id_0() {
    for filter in ["a/#", "+", "$share/g/a"] {
        let mut bench = connected();
        bench.receive(&[&[filter.len() as u8 + 5, 0x12, 0, 0, 5], filter.as_bytes()].concat());
        let (ticket, subscription) = subscribed(&mut bench);
        assert_eq!(subscription.filter.as_str(), filter);
        grant(&mut bench, ticket, Qos::AtMostOnce);
        assert_eq!(bench.take_sent(), [8, 0x13, 0, 0, 0, 0, 5, 0]);
    }
}

#[test]
fn short_names_and_predefined_ids_name_their_topic() {
    let cases = [
        ([7, 0x12, 0x02, 0, 5, b'a', b'b'], "ab", [0, 0]),
        ([7, 0x12, 0x01, 0, 5, 0, 7], "pre/seven", [0, 7]),
    ];
    for (packet, filter, id) in cases {
        let mut bench = connected();
        bench.receive(&packet);
        let (ticket, subscription) = subscribed(&mut bench);
        assert_eq!(subscription.filter.as_str(), filter);
        grant(&mut bench, ticket, Qos::AtMostOnce);
        assert_eq!(bench.take_sent(), [8, 0x13, 0, id[0], id[1], 0, 5, 0]);
    }
}

#[test]
fn what_cannot_be_subscribed_is_refused() {
    let cases: [(&[u8], u8); 6] = [
        (&[7, 0x12, 0x01, 0, 5, 0, 99], 2),
        (&[7, 0x12, 0x02, 0, 5, b'a', b'#'], 2),
        (&[7, 0x12, 0x03, 0, 5, 0, 7], 3),
        (&[7, 0x12, 0x60, 0, 5, b'a', b'b'], 3),
        (&[7, 0x12, 0x00, 0, 5, b'a', b'#'], 3),
        (&[5, 0x12, 0x00, 0, 5], 3),
    ];
    for (packet, code) in cases {
        let mut bench = connected();
        bench.receive(packet);
        assert_eq!(bench.take_sent(), [8, 0x13, 0, 0, 0, 0, 5, code], "{packet:?}");
        assert!(bench.requests.is_empty());
    }
}

#[test]
fn a_refusal_of_the_broker_reaches_the_client() {
    for (reason, code) in
        [(Reason::NotAuthorized, 3), (Reason::QuotaExceeded, 1), (Reason::SharedSubscriptionsNotSupported, 3)]
    {
        let mut bench = connected();
        bench.receive(&[8, 0x12, 0, 0, 5, b'a', b'/', b'b']);
        let (ticket, _) = subscribed(&mut bench);
        bench.reply(ticket, Reply::Subscribed(vec![Err(reason)]));
        assert_eq!(bench.take_sent(), [8, 0x13, 0, 0, 0, 0, 5, code], "{reason:?}");
    }
}

#[test]
fn a_subscribe_that_was_sent_again_is_answered_the_same() {
    let mut bench = connected();
    bench.receive(&[8, 0x12, 0, 0, 5, b'a', b'/', b'b']);
    bench.receive(&[8, 0x12, 0x80, 0, 5, b'a', b'/', b'b']);
    let (ticket, _) = subscribed(&mut bench);
    assert!(bench.requests.is_empty(), "the answer to the first is on the way");
    grant(&mut bench, ticket, Qos::AtMostOnce);
    assert_eq!(bench.take_sent(), [8, 0x13, 0, 0, 43, 0, 5, 0]);
    bench.receive(&[8, 0x12, 0x80, 0, 5, b'a', b'/', b'b']);
    let (ticket, again) = subscribed(&mut bench);
    assert_eq!(again.options.retain_handling, RetainHandling::IfNew, "retained messages come once");
    grant(&mut bench, ticket, Qos::AtMostOnce);
    assert_eq!(bench.take_sent(), [8, 0x13, 0, 0, 43, 0, 5, 0]);
}

#[test]
fn unsubscribe_is_acknowledged_for_every_kind_of_topic() {
    let cases: [(&[u8], &str); 3] = [
        (&[8, 0x14, 0, 0, 5, b'a', b'/', b'#'], "a/#"),
        (&[7, 0x14, 1, 0, 5, 0, 7], "pre/seven"),
        (&[7, 0x14, 2, 0, 5, b'a', b'b'], "ab"),
    ];
    for (packet, filter) in cases {
        for result in [Ok(()), Err(Reason::NoSubscription)] {
            let mut bench = connected();
            bench.receive(packet);
            let (ticket, request) = bench.request();
            let expected = bus::Unsubscribe::Filter(Filter::parse(filter).unwrap());
            assert!(matches!(request, Request::Unsubscribe(ended) if ended == [expected]));
            bench.reply(ticket, Reply::Unsubscribed(vec![result]));
            assert_eq!(bench.take_sent(), [4, 0x15, 0, 5]);
        }
    }
}

#[test]
fn there_is_nothing_to_unsubscribe_where_nothing_can_be_subscribed() {
    for packet in [[7, 0x14, 1, 0, 5, 0, 99], [7, 0x14, 0, 0, 5, b'a', b'#']] {
        let mut bench = connected();
        bench.receive(&packet);
        assert_eq!(bench.take_sent(), [4, 0x15, 0, 5]);
    }
}

#[test]
fn an_unsubscribe_that_failed_is_not_acknowledged_so_that_it_comes_again() {
    let mut bench = connected();
    bench.receive(&[6, 0x14, 0, 0, 5, b'a']);
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::ServerBusy);
    assert!(bench.sent.is_empty());
}

#[test]
fn a_name_for_which_there_is_no_topic_id_left_is_not_subscribed() {
    let limits = Limits { topic_aliases: 1, ..Limits::default() };
    let mut bench = bench_with(config(), limits);
    open(&mut bench, CLEAN);
    bench.receive(&register(1, "a/b"));
    bench.take_sent();
    bench.receive(&[8, 0x12, 0, 0, 2, b'c', b'/', b'd']);
    assert_eq!(bench.take_sent(), [8, 0x13, 0, 0, 0, 0, 2, 1], "congestion");
    assert!(bench.requests.is_empty());
    bench.receive(&[8, 0x12, 0, 0, 3, b'a', b'/', b'b']);
    assert!(matches!(bench.request().1, bus::Request::Subscribe(_)), "this one has an id");
}
