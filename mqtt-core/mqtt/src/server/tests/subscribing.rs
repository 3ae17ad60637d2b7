use bus::{RetainHandling, SubscriptionId};

use super::*;

#[test]
fn a_subscribe_is_answered_filter_by_filter() {
    for (connect, subscribe, suback) in [
        (CONNECT_31, &b"\x82\x0A\x00\x05\x00\x01a\x01\x00\x01#\x02"[..], &b"\x90\x04\x00\x05\x01\x80"[..]),
        (CONNECT_311, b"\x82\x0A\x00\x05\x00\x01a\x01\x00\x01#\x02", b"\x90\x04\x00\x05\x01\x80"),
    ] {
        let mut bench = connected(connect);
        bench.receive(subscribe);
        let (ticket, request) = bench.request();
        let Request::Subscribe(subscriptions) = request else { panic!("no subscribe: {request:?}") };
        let wishes = subscriptions.iter().map(|wish| (wish.filter.as_str(), wish.options.qos));
        assert!(wishes.eq([("a", Qos::AtLeastOnce), ("#", Qos::ExactlyOnce)]));
        bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce), Err(Reason::NotAuthorized)]));
        assert_eq!(bench.take_sent(), suback);
    }
}

#[test]
fn a_subscribe_of_mqtt_5_has_options_an_identifier_and_codes() {
    let mut bench = connected(&connect_5(b"\x17\x00"));
    bench.receive(b"\x82\x09\x00\x05\x02\x0B\x2A\x00\x01a\x2D");
    let (ticket, request) = bench.request();
    let Request::Subscribe(subscriptions) = request else { panic!("no subscribe: {request:?}") };
    let [subscription] = &subscriptions[..] else { panic!("not one subscription") };
    assert_eq!(subscription.id, SubscriptionId(42));
    let options = subscription.options;
    assert_eq!((options.qos, options.no_local, options.retain_as_published), (Qos::AtLeastOnce, true, true));
    assert_eq!(options.retain_handling, RetainHandling::Never);
    let results = [
        (Reason::NotAuthorized, 0x87),
        (Reason::FilterInvalid, 0x8F),
        (Reason::QuotaExceeded, 0x97),
        (Reason::SharedSubscriptionsNotSupported, 0x9E),
        (Reason::SubscriptionIdsNotSupported, 0xA1),
        (Reason::WildcardsNotSupported, 0xA2),
        (Reason::Internal, 0x80),
    ];
    bench.reply(ticket, Reply::Subscribed(results.iter().map(|(reason, _)| Err(*reason)).collect()));
    let codes: Vec<u8> = results.iter().map(|(_, code)| *code).collect();
    assert_eq!(bench.take_sent(), [b"\x90\x0A\x00\x05\x00", &codes[..]].concat());
}

#[test]
fn a_shared_subscription_where_there_are_none_ends_the_connection_of_who_was_told() {
    let without = |connect: &[u8]| {
        let mut bench = bench();
        bench.receive(connect);
        let (ticket, _) = bench.request();
        let connected = bus::Connected {
            client_id: bus::ClientId::parse("c").unwrap(),
            assigned: false,
            session_present: false,
            session_expiry: bus::SessionExpiry::AtOnce,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            shared_subscriptions_available: false,
            authentication: None,
        };
        bench.reply(ticket, Reply::Connected(Box::new(connected)));
        let connack = bench.take_sent();
        (bench, connack)
    };
    let (mut told, connack) = without(CONNECT_5);
    assert!(connack.windows(2).any(|bytes| bytes == b"\x2A\x00"), "CONNACK tells it");
    told.receive(b"\x82\x10\x00\x05\x00\x00\x0A$share/g/a\x01");
    assert_eq!(sent_code(&mut told), 0x9E);
    assert_eq!(told.closed, Some(Reason::SharedSubscriptionsNotSupported));
    assert!(told.requests.is_empty());

    let (mut untold, _) = without(CONNECT_311);
    untold.receive(b"\x82\x0F\x00\x05\x00\x0A$share/g/a\x01");
    let (ticket, _) = untold.request();
    let refused = vec![Err(Reason::SharedSubscriptionsNotSupported)];
    untold.reply(ticket, Reply::Subscribed(refused));
    assert_eq!(untold.take_sent(), b"\x90\x03\x00\x05\x80");
}

#[test]
fn an_unsubscribe_is_answered() {
    let mut bench = connected(CONNECT_311);
    bench.receive(b"\xA2\x05\x00\x05\x00\x01a");
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Unsubscribed(vec![Err(Reason::NoSubscription)]));
    assert_eq!(bench.take_sent(), b"\xB0\x02\x00\x05");

    let mut bench = connected(CONNECT_5);
    bench.receive(b"\xA2\x09\x00\x05\x00\x00\x01a\x00\x01b");
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Unsubscribed(vec![Err(Reason::NoSubscription), Ok(())]));
    assert_eq!(bench.take_sent(), b"\xB0\x05\x00\x05\x00\x11\x00");
}

#[test]
fn a_shared_subscription_is_for_every_version_and_never_no_local() {
    let mut bench = connected(CONNECT_311);
    bench.receive(b"\x82\x0F\x00\x05\x00\x0A$share/g/a\x01");
    let (_, Request::Subscribe(subscriptions)) = bench.request() else { panic!("no subscribe") };
    assert_eq!(subscriptions[0].filter.share(), Some("g"));

    let mut bench = connected(CONNECT_5);
    bench.receive(b"\x82\x10\x00\x05\x00\x00\x0A$share/g/a\x04");
    assert_eq!((sent_code(&mut bench), bench.closed), (0x82, Some(Reason::ProtocolViolation)));
}

#[test]
fn a_filter_that_is_none_ends_the_connection() {
    for filter in [&b"\x00\x04a/+b"[..], b"\x00\x02a#", b"\x00\x06$share", b"\x00\x00"] {
        for (first, options) in [(0x82, &b"\x00"[..]), (0xA2, b"")] {
            let mut bench = connected(CONNECT_5);
            let body = [b"\x00\x05\x00", filter, options].concat();
            bench.receive(&[&[first, body.len() as u8][..], &body].concat());
            assert_eq!((sent_code(&mut bench), bench.closed), (0x8F, Some(Reason::FilterInvalid)));
        }
    }
}

#[test]
fn a_packet_with_more_filters_than_a_connection_may_have_ends_it() {
    let limits = Limits { subscriptions: 1, ..Limits::default() };
    let mut bench = connected_on(bench_with(Config::default(), limits), CONNECT_5);
    bench.receive(b"\x82\x0B\x00\x05\x00\x00\x01a\x00\x00\x01b\x00");
    assert_eq!((sent_code(&mut bench), bench.closed), (0x97, Some(Reason::QuotaExceeded)));
}

#[test]
fn clients_of_mqtt_3_get_nothing_back_where_the_operator_says_so() {
    for (connect, packet, no_local) in [
        (CONNECT_31, &b"\x82\x06\x00\x01\x00\x01a\x01"[..], true),
        (CONNECT_311, b"\x82\x06\x00\x01\x00\x01a\x01", true),
        (CONNECT_311, b"\x82\x0F\x00\x01\x00\x0A$share/g/a\x01", false),
        (CONNECT_5, b"\x82\x07\x00\x01\x00\x00\x01a\x01", false),
    ] {
        let config = Config { v3_no_local: true, ..Config::default() };
        let mut bench = connected_on(bench_with(config, Limits::default()), connect);
        bench.receive(packet);
        let (_, Request::Subscribe(subscriptions)) = bench.request() else { panic!("no subscribe") };
        let options = subscriptions[0].options;
        assert_eq!((options.no_local, options.retain_as_published), (no_local, false));
    }
}

/// A SUBSCRIBE with a deep filter ended the connection, though the other filters had no fault.
#[test]
fn a_filter_with_too_many_levels_is_refused_in_its_place() {
    let cases = [
        (CONNECT_5, &b"\x82\x11\x00\x01\x00\x00\x01a\x01\x00\x03b/c\x01\x00\x01d\x02"[..], 0x8F),
        (CONNECT_311, b"\x82\x10\x00\x01\x00\x01a\x01\x00\x03b/c\x01\x00\x01d\x02", 0x80),
    ];
    for (connect, packet, code) in cases {
        let limits = Limits { topic_levels: 1, ..Limits::default() };
        let mut bench = connected_on(bench_with(Config::default(), limits), connect);
        bench.receive(packet);
        let (ticket, Request::Subscribe(asked)) = bench.request() else { panic!("no subscribe") };
        assert_eq!(asked.iter().map(|one| one.filter.as_str()).collect::<Vec<_>>(), ["a", "d"]);
        bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce), Ok(Qos::ExactlyOnce)]));
        assert!(bench.take_sent().ends_with(&[1, code, 2]));
        assert_eq!(bench.closed, None);
    }
}

#[test]
fn wildcards_and_identifiers_are_refused_where_the_operator_offers_none() {
    let config =
        Config { wildcard_subscriptions: false, subscription_identifiers: false, ..Config::default() };
    let modest = || bench_with(config.clone(), Limits::default());
    let mut bench = modest();
    bench.receive(CONNECT_5);
    bench.accept_connect(false);
    assert!(bench.take_sent().windows(4).any(|bytes| bytes == b"\x28\x00\x29\x00"));
    for (packet, code) in [
        (&b"\x82\x07\x00\x01\x00\x00\x01#\x01"[..], 0xA2),
        (b"\x82\x10\x00\x01\x00\x00\x0A$share/g/+\x01", 0xA2),
        (b"\x82\x09\x00\x01\x02\x0B\x05\x00\x01a\x01", 0xA1),
    ] {
        let mut bench = connected_on(modest(), CONNECT_5);
        bench.receive(packet);
        assert_eq!((sent_code(&mut bench), bench.requests.len()), (code, 0));
        assert!(bench.closed.is_some());
    }
    let mut bench = connected_on(modest(), CONNECT_311);
    bench.receive(b"\x82\x0A\x00\x01\x00\x01+\x01\x00\x01a\x01");
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
    assert_eq!(bench.take_sent(), b"\x90\x04\x00\x01\x80\x01");
}
