//! GET with Observe: registration, notifications, and how an observation ends.

mod common;

use std::time::Duration;

use bus::{
    Ack, ContentFormat, DeliveryId, Keyed, Matched, Qos, Reason, Reply, Request, RetainHandling,
    SubscriptionId,
};
use coap::{Code, Config, DefaultQos, Kind, Notify, OptionNumber, Token};
use common::*;
use harness::delivery;

#[test]
fn an_observer_gets_the_retained_value_first_and_then_every_message() {
    let mut bench = bench();
    // CON GET, id 0x0001, token 0xBB, Observe 0 (empty), Uri-Path "ps" "a"
    bench.receive(b"\x41\x01\x00\x01\xBB\x60\x52ps\x01a");
    let connect = bench.accept_connect(false);
    assert_eq!((connect.receive_maximum, connect.clean_start), (1, true));
    let (ticket, asked) = bench.request();
    let Request::Subscribe(wishes) = asked else { panic!("{asked:?}") };
    let wish = &wishes[0];
    assert_eq!((wish.filter.as_str(), wish.options.qos, wish.keyed), ("a", Qos::AtLeastOnce, Keyed::ById));
    assert_eq!(wish.options.retain_handling, RetainHandling::Never, "the first answer brings it");
    let id = wish.id.0;
    bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
    assert_eq!(bench.connection.room(), 0, "no notification may overtake the first answer");
    found_text(&mut bench, "old");
    let first = sent(&mut bench);
    assert_eq!((first.kind(), first.observe(), text(&first)), (Kind::Acknowledgement, Some(1), "old"));

    bench.deliver(delivery(0, id, "a", "new", Qos::AtMostOnce, bench.now));
    let next = sent(&mut bench);
    assert_eq!((next.kind(), next.token()), (Kind::NonConfirmable, Token::new(b"\xBB")));
    assert_eq!((next.code(), next.observe(), text(&next)), (Code::CONTENT, Some(2), "new"));
    assert!(next.option(OptionNumber::LOCATION_PATH).is_none());
}

#[test]
fn nothing_retained_is_an_empty_first_answer() {
    let mut bench = bench();
    bench.receive(&observe(1, b"t", "ps/a"));
    accept(&mut bench);
    granted(&mut bench);
    found_nothing(&mut bench);
    // ACK 2.05, id 1, token, Observe 1
    assert_eq!(bench.take_sent(), b"\x61\x45\x00\x01t\x61\x01");
}

#[test]
fn a_confirmable_notification_holds_the_next_back_until_it_is_acknowledged() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(7, id, "a", "one", Qos::AtLeastOnce, bench.now));
    let one = sent(&mut bench);
    assert_eq!((one.kind(), bench.connection.room()), (Kind::Confirmable, 0));
    assert!(bench.acks.is_empty());
    bench.receive(&acknowledgement(one.id()));
    assert_eq!(bench.acks, [(DeliveryId::new(7).unwrap(), Ack::Complete)]);
    assert!(bench.connection.room() > 0);
}

#[test]
fn a_lost_notification_is_sent_again_and_a_lost_acknowledgement_does_no_harm() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(7, id, "a", "one", Qos::AtLeastOnce, bench.now));
    let (_, one) = bench.sent.pop_front().unwrap();
    bench.advance(4 * SECOND);
    let (_, again) = bench.sent.pop_front().unwrap();
    assert_eq!(again, one);
    let id = u16::from_be_bytes([one[2], one[3]]);
    bench.receive(&acknowledgement(id));
    bench.receive(&acknowledgement(id));
    assert_eq!(bench.acks.len(), 1);
    bench.advance(100 * SECOND);
    assert!(bench.sent.is_empty() && bench.closed.is_none());
}

#[test]
fn a_reset_ends_the_observation() {
    for (qos, delivery_id) in [(Qos::AtMostOnce, 0), (Qos::AtLeastOnce, 7)] {
        let mut bench = bench();
        let id = observing(&mut bench, 1, b"t", "ps/a");
        bench.deliver(delivery(delivery_id, id, "a", "one", qos, bench.now));
        let one = sent(&mut bench);
        bench.receive(&reset(one.id()));
        assert_eq!(unsubscribed(&mut bench), [id]);
        let expected = DeliveryId::new(delivery_id).map(|id| (id, Ack::Reject(Reason::NoSubscription)));
        assert_eq!(bench.acks, Vec::from_iter(expected));
        assert!(bench.closed.is_none());
    }
}

#[test]
fn an_observer_that_never_acknowledges_is_gone() {
    let mut bench = bench();
    let ids = [observing(&mut bench, 1, b"1", "ps/a"), observing(&mut bench, 2, b"2", "ps/b")];
    bench.deliver(delivery(7, ids[0], "a", "one", Qos::AtLeastOnce, bench.now));
    bench.advance(93 * SECOND);
    assert_eq!(bench.sent.len(), 5, "once, and four times again");
    assert_eq!(unsubscribed(&mut bench), ids);
    assert_eq!(bench.acks, [(DeliveryId::new(7).unwrap(), Ack::Reject(Reason::NotAcknowledged))]);
    assert_eq!(bench.closed, Some(Reason::NotAcknowledged));
}

#[test]
fn observe_1_ends_the_observation() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    let cancel = request(Kind::Confirmable, Code::GET, 2, b"t", "ps/a").with_observe(1);
    bench.receive(&cancel.encode());
    let (ticket, asked) = bench.request();
    assert!(
        matches!(asked, Request::Unsubscribe(wishes) if wishes == [bus::Unsubscribe::Id(SubscriptionId(id))])
    );
    bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())]));
    found_nothing(&mut bench);
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.observe()), (Code::CONTENT, None));
    bench.deliver(delivery(7, id, "a", "late", Qos::AtLeastOnce, bench.now));
    assert_eq!(bench.acks, [(DeliveryId::new(7).unwrap(), Ack::Reject(Reason::NoSubscription))]);
    assert!(bench.sent.is_empty());
}

#[test]
fn the_same_token_replaces_and_another_token_adds() {
    let mut bench = bench();
    let first = observing(&mut bench, 1, b"1", "ps/a");
    assert_eq!(observing(&mut bench, 2, b"1", "ps/a"), first);
    let second = observing(&mut bench, 3, b"2", "ps/a");
    assert_ne!(second, first);
    let mut both = delivery(7, first, "a", "x", Qos::AtLeastOnce, bench.now);
    both.matched = Matched::from(vec![SubscriptionId(first), SubscriptionId(second)]);
    bench.deliver(both);
    let one = sent(&mut bench);
    bench.receive(&acknowledgement(one.id()));
    assert!(bench.acks.is_empty(), "the other observer has not answered");
    let two = sent(&mut bench);
    assert_ne!(one.token(), two.token());
    assert!(two.observe() > one.observe());
    bench.receive(&acknowledgement(two.id()));
    assert_eq!(bench.acks, [(DeliveryId::new(7).unwrap(), Ack::Complete)]);
}

#[test]
fn a_filter_is_observed_and_each_notification_names_its_topic() {
    for uri in ["ps/+/temp?rh=1&nl=true&qos=0", "ps/%2B/temp?rh=1&nl=1&q=0"] {
        let mut bench = bench();
        bench.receive(&observe(1, b"t", uri));
        accept(&mut bench);
        let Some((_, Request::Subscribe(wishes))) = bench.requests.front() else { panic!() };
        assert_eq!((wishes[0].filter.as_str(), wishes[0].options.qos), ("+/temp", Qos::AtMostOnce));
        assert!(wishes[0].options.no_local);
        assert_eq!(wishes[0].options.retain_handling, RetainHandling::IfNew, "what is retained is delivered");
        let id = granted(&mut bench);
        assert_eq!(sent(&mut bench).payload(), b"");
        bench.deliver(delivery(0, id, "room/temp", "21", Qos::AtMostOnce, bench.now));
        assert_eq!(sent(&mut bench).location_path(), ["ps", "room", "temp"]);
    }
}

#[test]
fn a_refused_subscription_is_no_observation() {
    let mut bench = bench();
    bench.receive(&observe(1, b"t", "ps/a"));
    accept(&mut bench);
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Subscribed(vec![Err(Reason::NotAuthorized)]));
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.observe()), (Code::FORBIDDEN, None));
    assert!(bench.connection.room() > 0);
}

#[test]
fn too_many_observations_are_answered_without_observe() {
    let limits = bus::Limits { subscriptions: 1, ..bus::Limits::default() };
    let coap = coap::Coap::new(Config::default(), limits);
    let mut bench = harness::Bench::new(&coap, bus::Transport::Datagram);
    observing(&mut bench, 1, b"1", "ps/a");
    bench.receive(&observe(2, b"2", "ps/a"));
    found_text(&mut bench, "x");
    let answer = sent(&mut bench);
    assert_eq!((answer.code(), answer.observe(), text(&answer)), (Code::CONTENT, None, "x"));
    bench.receive(&observe(3, b"3", "ps/#"));
    assert_eq!(sent(&mut bench).code(), Code::TOO_MANY_REQUESTS);
}

#[test]
fn the_configuration_says_which_notifications_are_confirmable() {
    let cases = [
        (Notify::Con, Qos::AtMostOnce, Kind::Confirmable),
        (Notify::Non, Qos::AtLeastOnce, Kind::NonConfirmable),
    ];
    for (notify, qos, kind) in cases {
        let mut bench = bench_with(Config { notify, ..Config::default() });
        let id = observing(&mut bench, 1, b"t", "ps/a");
        let number = if qos == Qos::AtMostOnce { 0 } else { 7 };
        bench.deliver(delivery(number, id, "a", "x", qos, bench.now));
        assert_eq!(sent(&mut bench).kind(), kind);
        let complete = DeliveryId::new(number).map(|id| (id, Ack::Complete));
        assert_eq!(bench.acks, Vec::from_iter(complete));
    }
}

#[test]
fn once_a_day_a_notification_is_confirmable_all_the_same() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    let hour = Duration::from_secs(3_600);
    let mut kinds = Vec::new();
    for _ in 0..26 {
        bench.advance(hour);
        bench.receive(b"\x40\x00\x77\x77"); // a ping, so that it is not asked whether it is there
        assert_eq!(bench.take_sent(), b"\x70\x00\x77\x77");
        bench.deliver(delivery(0, id, "a", "x", Qos::AtMostOnce, bench.now));
        let message = sent(&mut bench);
        if message.kind() == Kind::Confirmable {
            bench.receive(&acknowledgement(message.id()));
        }
        kinds.push(message.kind());
    }
    let confirmable: Vec<usize> = (0..kinds.len()).filter(|at| kinds[*at] == Kind::Confirmable).collect();
    assert_eq!(confirmable, [23]); // [RFC7641 4.5]
}

#[test]
fn a_message_of_another_format_than_accepted_ends_the_observation() {
    let mut bench = bench();
    let get = request(Kind::Confirmable, Code::GET, 1, b"t", "ps/a").with_observe(0);
    bench.receive(&get.with_accept(ContentFormat::JSON).encode());
    accept(&mut bench);
    let id = granted(&mut bench);
    found_nothing(&mut bench);
    assert_eq!(sent(&mut bench).code(), Code::CONTENT);
    bench.deliver(delivery(0, id, "a", "no format is known of this", Qos::AtMostOnce, bench.now));
    assert_eq!(sent(&mut bench).code(), Code::CONTENT);
    let mut cbor = delivery(7, id, "a", "x", Qos::AtLeastOnce, bench.now);
    let metadata = bus::Metadata { content_format: Some(ContentFormat::CBOR), ..bus::Metadata::default() };
    let message = std::sync::Arc::into_inner(cbor.message).unwrap();
    cbor.message = std::sync::Arc::new(bus::Message { metadata: metadata.boxed(), ..message });
    bench.deliver(cbor);
    let last = sent(&mut bench);
    assert_eq!((last.code(), last.observe()), (Code::NOT_ACCEPTABLE, None)); // [RFC7641 4.2]
    assert_eq!(unsubscribed(&mut bench), [id]);
    assert_eq!(bench.acks, [(DeliveryId::new(7).unwrap(), Ack::Reject(Reason::UnsupportedFeature))]);
}

/// A message of a topic in a format, or in none that is known.
fn in_format(id: u32, topic: &str, format: Option<ContentFormat>, now: std::time::Instant) -> bus::Delivery {
    let plain = delivery(0, id, topic, "x", Qos::AtMostOnce, now);
    let metadata = bus::Metadata { content_format: format, ..bus::Metadata::default() };
    let message = std::sync::Arc::into_inner(plain.message).unwrap();
    bus::Delivery { message: bus::Message { metadata: metadata.boxed(), ..message }.into(), ..plain }
}

#[test]
fn what_is_observed_without_accept_keeps_the_format_of_the_first_message() {
    let (json, cbor) = (Some(ContentFormat::JSON), Some(ContentFormat::CBOR));
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    for (format, told) in [(json, json), (None, None), (json, json)] {
        bench.deliver(in_format(id, "a", format, bench.now));
        let notification = sent(&mut bench);
        assert_eq!((notification.code(), notification.content_format()), (Code::CONTENT, told));
    }
    bench.deliver(in_format(id, "a", cbor, bench.now));
    let last = sent(&mut bench);
    assert_eq!((last.code(), last.observe()), (Code::NOT_ACCEPTABLE, None)); // [RFC7641 4.2]
    assert_eq!(unsubscribed(&mut bench), [id]);

    // Where the first message is of no known format, none is told.
    let id = observing(&mut bench, 2, b"u", "ps/a");
    for format in [None, json, cbor] {
        bench.deliver(in_format(id, "a", format, bench.now));
        let notification = sent(&mut bench);
        assert_eq!((notification.code(), notification.content_format()), (Code::CONTENT, None));
    }
}

#[test]
fn the_first_answer_fixes_the_format_if_it_has_a_message() {
    let mut bench = bench();
    bench.receive(&observe(1, b"t", "ps/a"));
    accept(&mut bench);
    let id = granted(&mut bench);
    let retained = in_format(id, "a", Some(ContentFormat::JSON), bench.now).message;
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Read(Some(retained)));
    assert_eq!(sent(&mut bench).content_format(), Some(ContentFormat::JSON));
    bench.deliver(in_format(id, "a", Some(ContentFormat::CBOR), bench.now));
    assert_eq!(sent(&mut bench).code(), Code::NOT_ACCEPTABLE); // [RFC7641 4.2]
}

#[test]
fn publishers_of_one_filter_may_differ_and_only_the_first_format_is_told() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/+");
    let (json, cbor) = (Some(ContentFormat::JSON), Some(ContentFormat::CBOR));
    for (topic, format, told) in [("a", json, json), ("b", cbor, None), ("a", json, json)] {
        bench.deliver(in_format(id, topic, format, bench.now));
        let notification = sent(&mut bench);
        assert_eq!((notification.code(), notification.content_format()), (Code::CONTENT, told));
    }
}

#[test]
fn a_message_that_fits_no_datagram_is_rejected_and_the_observation_goes_on() {
    let mut bench = bench_with(Config { largest_message: 36, ..Config::default() });
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(7, id, "a", &"x".repeat(100), Qos::AtLeastOnce, bench.now));
    assert_eq!(bench.acks, [(DeliveryId::new(7).unwrap(), Ack::Reject(Reason::PacketTooLarge))]);
    bench.deliver(delivery(0, id, "a", "x", Qos::AtMostOnce, bench.now));
    assert_eq!(sent(&mut bench).payload(), b"x");
}

#[test]
fn observers_are_told_when_the_session_ends() {
    let mut bench = bench();
    observing(&mut bench, 1, b"t", "ps/a");
    bench.handle(bus::Event::Close(Reason::ShuttingDown));
    let last = sent(&mut bench);
    assert_eq!((last.code(), last.observe()), (Code::SERVICE_UNAVAILABLE, None)); // [RFC7641 4.2]
    assert_eq!(bench.closed, Some(Reason::ShuttingDown));
}

#[test]
fn a_silent_observer_is_asked_whether_it_is_there() {
    let mut bench = bench();
    observing(&mut bench, 1, b"t", "ps/a");
    let day = Duration::from_secs(86_400);
    bench.advance(day);
    let (_, ping) = bench.sent.pop_front().unwrap();
    assert_eq!((ping[0], ping[1], ping.len()), (0x40, 0, 4));
    bench.receive(&[0x70, 0, ping[2], ping[3]]);
    bench.advance(day - SECOND);
    assert!(bench.sent.is_empty() && bench.closed.is_none());
    bench.advance(100 * SECOND);
    assert_eq!((bench.sent.len(), bench.closed), (5, Some(Reason::NotAcknowledged)));
}

/// What went wrong: after an acknowledgement in place of a Reset nobody was ever asked again.
#[test]
fn a_silent_observer_that_acknowledges_the_question_is_asked_again() {
    let mut bench = bench();
    observing(&mut bench, 1, b"t", "ps/a");
    let day = Duration::from_secs(86_400);
    bench.advance(day);
    let (_, ping) = bench.sent.pop_front().unwrap();
    bench.receive(&[0x60, 0, ping[2], ping[3]]);
    bench.advance(day + 100 * SECOND);
    assert_eq!((bench.sent.len(), bench.closed), (5, Some(Reason::NotAcknowledged)));
}

#[test]
fn what_a_member_of_a_share_group_does_not_take_goes_to_another() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/$share/g/a");
    bench.deliver(delivery(7, id, "a", "x", Qos::AtLeastOnce, bench.now));
    let notification = sent(&mut bench);
    assert_eq!(notification.location_path(), ["ps", "a"]);
    bench.receive(&reset(notification.id()));
    assert_eq!(bench.acks, [(DeliveryId::new(7).unwrap(), Ack::Return)]);
}

#[test]
fn a_reset_to_the_first_answer_ends_the_observation_too() {
    let mut bench = bench();
    let get = request(Kind::NonConfirmable, Code::GET, 1, b"t", "ps/#").with_observe(0);
    bench.receive(&get.encode());
    accept(&mut bench);
    let id = granted(&mut bench);
    let answer = sent(&mut bench);
    assert_eq!((answer.kind(), answer.observe()), (Kind::NonConfirmable, Some(1)));
    bench.receive(&reset(answer.id()));
    assert_eq!(unsubscribed(&mut bench), [id]);
}

/// Whoever forged the address of another could let it have notifications of QoS 0 for a day.
#[test]
fn non_confirmable_notifications_stop_until_the_observer_acknowledges_one() {
    let mut bench = bench_with(Config { confirm_after: 3, ..Config::default() });
    let ids = [observing(&mut bench, 1, b"1", "ps/a"), observing(&mut bench, 2, b"2", "ps/b")];
    let mut kinds = Vec::new();
    for _ in 0..2 {
        while bench.connection.room() > 0 {
            bench.deliver(delivery(0, ids[kinds.len() % 2], "a", "x", Qos::AtMostOnce, bench.now));
            kinds.push(bench.sent.back().map(|(_, datagram)| datagram[0] >> 4));
        }
        let (_, last) = bench.sent.pop_back().unwrap();
        bench.receive(&acknowledgement(u16::from_be_bytes([last[2], last[3]])));
    }
    assert_eq!(kinds, [5, 5, 5, 4, 5, 5, 5, 4].map(Some), "NON three times, then CON [RFC7641 7]");
    assert!(bench.connection.room() > 0);
}

/// A durable session kept what an older connection had observed, and every message of it was rejected, for ever.
#[test]
fn what_nobody_observes_any_more_is_unsubscribed_when_it_is_delivered() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    let mut both = delivery(7, id, "a", "x", Qos::AtMostOnce, bench.now);
    both.matched = Matched::from(vec![SubscriptionId(id), SubscriptionId(0x8888_0000)]);
    bench.deliver(both);
    assert_eq!(unsubscribed(&mut bench), [0x8888_0000]);
    assert_eq!(sent(&mut bench).payload(), b"x", "the other observation has it");
    bench.deliver(delivery(8, 0x8888_0001, "a", "x", Qos::AtLeastOnce, bench.now));
    assert_eq!(unsubscribed(&mut bench), [0x8888_0001]);
    assert_eq!(bench.acks[1], (DeliveryId::new(8).unwrap(), Ack::Reject(Reason::NoSubscription)));
}

#[test]
fn a_topic_that_no_location_may_name_is_not_told() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/#");
    let long = "x".repeat(256);
    for (number, topic) in [(1, "a/../b"), (2, "./a"), (3, &*long)] {
        bench.deliver(delivery(number, id, topic, "x", Qos::AtLeastOnce, bench.now));
    }
    let rejected = |number| (DeliveryId::new(number).unwrap(), Ack::Reject(Reason::TopicInvalid));
    assert_eq!(bench.acks, [1, 2, 3].map(rejected)); // [RFC7252 5.10.7]
    assert!(bench.sent.is_empty());
}

#[test]
fn observing_again_with_the_same_token_goes_on_counting() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(0, id, "a", "x", Qos::AtMostOnce, bench.now));
    let before = sent(&mut bench).observe();
    bench.receive(&observe(2, b"t", "ps/a"));
    granted(&mut bench);
    found_nothing(&mut bench);
    assert!(sent(&mut bench).observe() > before, "[RFC7641 4.4]");
}

#[test]
fn a_late_first_answer_comes_by_itself_and_ends_the_observation_if_it_is_never_acknowledged() {
    let mut bench = bench();
    bench.receive(&observe(1, b"t", "ps/#"));
    accept(&mut bench);
    bench.advance(SECOND);
    assert_eq!(bench.take_sent(), acknowledgement(1));
    let id = granted(&mut bench);
    let answer = sent(&mut bench);
    assert_eq!(
        (answer.kind(), answer.token(), answer.observe()),
        (Kind::Confirmable, Token::new(b"t"), Some(1))
    );
    assert_eq!(bench.connection.room(), 0, "no notification overtakes it");
    bench.advance(93 * SECOND);
    assert_eq!(unsubscribed(&mut bench), [id]);
    assert_eq!(bench.closed, Some(Reason::NotAcknowledged));
}

#[test]
fn observe_means_nothing_but_in_a_get() {
    let mut bench = bench();
    for (id, method) in [(1, Code::PUT), (2, Code::POST), (3, Code::DELETE)] {
        bench.receive(&request(Kind::Confirmable, method, id, b"t", "ps/a").with_observe(0).encode());
        if id == 1 {
            accept(&mut bench);
        }
        done(&mut bench);
        assert_eq!(sent(&mut bench).observe(), None);
    }
    let get = request(Kind::Confirmable, Code::GET, 4, b"t", ".well-known/core").with_observe(0);
    bench.receive(&get.encode());
    assert_eq!(sent(&mut bench).observe(), None, "[RFC7641 4.1]: it is answered as any GET");
}

/// A QoS 1 notification got lost, the QoS 0 one behind it did not; the observer acknowledged what was sent again and
/// dropped it, as a number lower than the newest is old.
#[test]
fn no_notification_overtakes_one_that_may_have_to_be_sent_again() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(7, id, "a", "first", Qos::AtLeastOnce, bench.now));
    bench.handle(bus::Event::Deliver(delivery(0, id, "a", "second", Qos::AtMostOnce, bench.now)));
    let first = sent(&mut bench);
    bench.advance(4 * SECOND);
    assert_eq!(sent(&mut bench), first, "lost, and sent again");
    bench.receive(&acknowledgement(first.id()));
    let second = sent(&mut bench);
    assert_eq!((text(&second), second.kind()), ("second", Kind::Confirmable));
    assert!(second.observe() > first.observe());
}

#[test]
fn the_configuration_says_the_qos_of_an_observation_that_names_none() {
    let cases = [
        (DefaultQos::Coap, Kind::Confirmable, Qos::AtLeastOnce),
        (DefaultQos::Coap, Kind::NonConfirmable, Qos::AtMostOnce),
        (DefaultQos::Qos0, Kind::Confirmable, Qos::AtMostOnce),
        (DefaultQos::Qos1, Kind::NonConfirmable, Qos::AtLeastOnce),
        (DefaultQos::Qos2, Kind::Confirmable, Qos::AtLeastOnce), // an observation has no more
    ];
    for (subscribe_qos, kind, qos) in cases {
        let mut bench = bench_with(Config { subscribe_qos, ..Config::default() });
        bench.receive(&request(kind, Code::GET, 1, b"t", "ps/a").with_observe(0).encode());
        accept(&mut bench);
        let Some((_, Request::Subscribe(wishes))) = bench.requests.front() else { panic!("a subscribe") };
        assert_eq!(wishes[0].options.qos, qos, "{subscribe_qos:?} {kind:?}");
    }
}

#[test]
fn what_waits_behind_a_notification_goes_on_after_a_reset() {
    let mut bench = bench();
    let ids = [observing(&mut bench, 1, b"1", "ps/a"), observing(&mut bench, 2, b"2", "ps/b")];
    bench.deliver(delivery(7, ids[0], "a", "first", Qos::AtLeastOnce, bench.now));
    bench.handle(bus::Event::Deliver(delivery(8, ids[1], "b", "second", Qos::AtLeastOnce, bench.now)));
    let first = sent(&mut bench);
    bench.receive(&reset(first.id()));
    let second = sent(&mut bench);
    assert_eq!((text(&second), second.token()), ("second", Token::new(b"2")));
    bench.receive(&acknowledgement(second.id()));
    assert_eq!(unsubscribed(&mut bench), [ids[0]]);
    assert!(bench.connection.room() > 0);
}

#[test]
fn who_cancels_is_sent_nothing_more_of_what_was_on_its_way() {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    bench.deliver(delivery(7, id, "a", "lost", Qos::AtLeastOnce, bench.now));
    bench.handle(bus::Event::Deliver(delivery(8, id, "a", "waits", Qos::AtLeastOnce, bench.now)));
    bench.take_sent();
    let cancel = request(Kind::Confirmable, Code::GET, 2, b"t", "ps/a").with_observe(1);
    bench.receive(&cancel.encode());
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())]));
    found_nothing(&mut bench);
    assert_eq!(sent(&mut bench).observe(), None);
    bench.advance(200 * SECOND);
    assert!(bench.sent.is_empty() && bench.closed.is_none());
    let rejected = |number| (DeliveryId::new(number).unwrap(), Ack::Reject(Reason::NoSubscription));
    assert_eq!(bench.acks, [7, 8].map(rejected));
}
