//! From SUBSCRIBE to MESSAGE, ACK and NACK.

use std::sync::Arc;
use std::time::Duration;

use crate::story::*;
use bus::{
    Ack, ClientId, Delivery, DeliveryId, Keyed, Limits, Matched, Message, Metadata, Qos, Reason, Reply,
    Request, RetainHandling, SubscriptionId, Topic, Unsubscribe,
};

#[test]
fn a_subscription_gets_messages_and_auto_acknowledges_them_at_once() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut bench = connected(version);
        bench.receive(b"SUBSCRIBE\nid:0\ndestination:room/+\nreceipt:s\n\n\0");
        let (ticket, wanted) = subscription(&mut bench);
        assert_eq!(wanted.filter.as_str(), "room/+");
        assert_eq!(wanted.keyed, Keyed::ById);
        assert_eq!(wanted.options.qos, Qos::AtLeastOnce);
        assert!(!wanted.options.no_local);
        assert_eq!(wanted.options.retain_handling, RetainHandling::Always);
        assert!(bench.take_sent().is_empty());
        bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
        assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:s\n\n\0");

        deliver(&mut bench, 7, wanted.id.0, "room/1", "warm");
        assert_eq!(
            sent(&mut bench),
            "MESSAGE\nsubscription:0\nmessage-id:2a-1\ndestination:room/1\ncontent-length:4\n\nwarm\0"
        );
        assert_eq!(acks(&mut bench), [(7, Ack::Complete)]);
        assert_eq!(bench.connection.room(), 100);
    }
}

#[test]
fn subscribe_options_reach_the_bus() {
    let mut bench = connected("1.2");
    bench.receive(b"SUBSCRIBE\nid:a\ndestination:t\nqos:0\nno-local:true\n\n\0");
    let (_, wanted) = subscription(&mut bench);
    assert_eq!((wanted.options.qos, wanted.options.no_local), (Qos::AtMostOnce, true));
    bench.receive(b"SUBSCRIBE\nid:b\ndestination:$share/g/t/#\nack:client\n\n\0");
    let (_, wanted) = subscription(&mut bench);
    assert_eq!((wanted.filter.share(), wanted.filter.pattern()), (Some("g"), "t/#"));
}

#[test]
fn subscriptions_that_cannot_be_made_are_errors() {
    for (version, headers, reason) in [
        ("1.2", "id:0", Reason::ProtocolViolation),
        ("1.2", "destination:t", Reason::ProtocolViolation),
        ("1.1", "destination:t", Reason::ProtocolViolation),
        ("1.2", "id:0\ndestination:a/#/b", Reason::FilterInvalid),
        ("1.2", "id:0\ndestination:$share/g", Reason::FilterInvalid),
        ("1.2", "id:0\ndestination:t\nack:sometimes", Reason::ProtocolViolation),
        ("1.0", "id:0\ndestination:t\nack:client-individual", Reason::ProtocolViolation),
        ("1.2", "id:0\ndestination:t\nqos:2", Reason::QosNotSupported),
        ("1.2", "id:0\ndestination:t\nselector:a > 1", Reason::UnsupportedFeature),
        ("1.2", "id:0\ndestination:$share/g/t\nno-local:true", Reason::ProtocolViolation),
        ("1.2", "id:0\ndestination:t\nno-local:perhaps", Reason::Malformed),
    ] {
        let mut bench = connected(version);
        bench.receive(format!("SUBSCRIBE\n{headers}\nreceipt:5\n\n\0").as_bytes());
        assert!(bench.requests.is_empty(), "{headers}");
        assert_error(&mut bench, reason, "\nreceipt-id:5\n");
    }
}

#[test]
fn an_id_in_use_is_refused() {
    let mut bench = connected("1.2");
    subscribe(&mut bench, "SUBSCRIBE\nid:0\ndestination:a\n\n\0");
    bench.receive(b"SUBSCRIBE\nid:0\ndestination:b\nreceipt:2\n\n\0");
    assert_error(&mut bench, Reason::PacketIdInUse, "message:id in use\nreceipt-id:2\n");
}

#[test]
fn a_subscription_that_the_broker_refuses_is_an_error() {
    let mut bench = connected("1.2");
    bench.receive(b"SUBSCRIBE\nid:0\ndestination:secret/#\nreceipt:2\n\n\0");
    let (ticket, _) = subscription(&mut bench);
    bench.reply(ticket, Reply::Subscribed(vec![Err(Reason::NotAuthorized)]));
    assert_error(&mut bench, Reason::NotAuthorized, "message:not authorized\nreceipt-id:2\n");
}

#[test]
fn no_more_subscriptions_than_the_limit() {
    let limits = Limits { subscriptions: 2, ..Limits::default() };
    let mut bench = connected_within("1.2", limits);
    subscribe(&mut bench, "SUBSCRIBE\nid:0\ndestination:a\n\n\0");
    subscribe(&mut bench, "SUBSCRIBE\nid:1\ndestination:a\n\n\0");
    bench.receive(b"SUBSCRIBE\nid:2\ndestination:a\n\n\0");
    assert_error(&mut bench, Reason::QuotaExceeded, "limits.subscriptions");
}

#[test]
fn in_1_0_a_subscription_may_go_without_an_id() {
    let mut bench = connected("1.0");
    let id = subscribe(&mut bench, "SUBSCRIBE\ndestination: a/b \nack: client\n\n\0");
    deliver(&mut bench, 3, id, "a/b", "x");
    assert_eq!(sent(&mut bench), "MESSAGE\nmessage-id:2a-1\ndestination:a/b\ncontent-length:1\n\nx\0");
    bench.receive(b"ACK\nmessage-id: 2a-1\n\n\0");
    assert_eq!(acks(&mut bench), [(3, Ack::Complete)]);
    bench.receive(b"UNSUBSCRIBE\ndestination:a/b\n\n\0");
    let (_, request) = bench.request();
    assert!(matches!(request, Request::Unsubscribe(ended) if ended == [Unsubscribe::Id(SubscriptionId(id))]));
}

#[test]
fn names_of_subscriptions_are_bounded() {
    let long = "x".repeat(1_025);
    let frames = [("1.2", format!("id:{long}\ndestination:a")), ("1.0", format!("destination:{long}"))];
    for (version, headers) in frames {
        let mut bench = connected(version);
        bench.receive(format!("SUBSCRIBE\n{headers}\n\n\0").as_bytes());
        assert_error(&mut bench, Reason::PacketTooLarge, "stomp.name");
    }
    let mut bench = connected("1.2");
    bench.receive(format!("SUBSCRIBE\nid:0\ndestination:{long}\n\n\0").as_bytes());
    assert_eq!(bench.closed, None, "an id stands for a long destination");
}

#[test]
fn names_of_subscriptions_are_bounded_together() {
    let mut bench = connected_within("1.2", Limits { packet: 1_000, ..Limits::default() });
    let name = |letter: char| letter.to_string().repeat(400);
    for letter in ['a', 'b', 'b', 'c'] {
        subscribe(&mut bench, &format!("SUBSCRIBE\nid:{}\ndestination:t\n\n\0", name(letter)));
        if letter != 'a' {
            bench.receive(format!("UNSUBSCRIBE\nid:{}\n\n\0", name(letter)).as_bytes());
            let (ticket, _) = bench.request();
            bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())]));
        }
    }
    assert_eq!(bench.closed, None, "what has ended takes no room");
    subscribe(&mut bench, &format!("SUBSCRIBE\nid:{}\ndestination:t\n\n\0", name('d')));
    bench.take_sent();
    bench.receive(format!("SUBSCRIBE\nid:{}\ndestination:t\n\n\0", name('e')).as_bytes());
    assert_error(&mut bench, Reason::QuotaExceeded, "limits.packet");
}

#[test]
fn message_carries_what_the_publisher_said_and_nothing_that_collides() {
    let now_message = |now| Message {
        topic: Topic::parse("a:b").expect("a topic"),
        payload: "{}".into(),
        qos: Qos::AtLeastOnce,
        retain: true,
        published: now,
        expires: Some(now + Duration::from_millis(59_200)),
        metadata: Metadata {
            content_type: Some("application/json".into()),
            response_topic: Topic::parse("answers").ok(),
            correlation: Some("c\n1".into()),
            user_properties: vec![
                ("unit".into(), "°C: \\".into()),
                ("message-id".into(), "forged".into()),
                ("line\nend".into(), "a\r\nb".into()),
                ("".into(), "no name".into()),
            ],
            ..Metadata::default()
        }
        .boxed(),
        origin: ClientId::parse("p").expect("an id"),
    };
    let expected = [
        (
            "1.0",
            "destination:a:b\nretained:true\nredelivered:true\nmessage-expiry:60\ncontent-type:application/json\n\
             reply-to:answers\nunit:°C: \\\ncontent-length:2\n\n{}\0",
        ),
        (
            "1.1",
            "destination:a\\cb\nretained:true\nredelivered:true\nmessage-expiry:60\n\
             content-type:application/json\nreply-to:answers\ncorrelation-id:c\\n1\nunit:°C\\c \\\\\n\
             line\\nend:a\r\\nb\ncontent-length:2\n\n{}\0",
        ),
        (
            "1.2",
            "destination:a\\cb\nack:2a-1\nretained:true\nredelivered:true\nmessage-expiry:60\n\
             content-type:application/json\nreply-to:answers\ncorrelation-id:c\\n1\nunit:°C\\c \\\\\n\
             line\\nend:a\\r\\nb\ncontent-length:2\n\n{}\0",
        ),
    ];
    for (version, expected) in expected {
        let mut bench = connected(version);
        let id = subscribe(&mut bench, "SUBSCRIBE\nid:s\ndestination:#\nack:client\n\n\0");
        let now = bench.now;
        bench.deliver(Delivery {
            id: DeliveryId::new(1),
            message: Arc::new(now_message(now)),
            matched: Matched::One(SubscriptionId(id)),
            qos: Qos::AtLeastOnce,
            retain: true,
            duplicate: true,
        });
        assert_eq!(sent(&mut bench), format!("MESSAGE\nsubscription:s\nmessage-id:2a-1\n{expected}"));
    }
}

#[test]
fn a_topic_that_1_0_cannot_write_is_rejected_for_the_client() {
    let mut bench = connected("1.0");
    let id = subscribe(&mut bench, "SUBSCRIBE\nid:s\ndestination:#\nack:client\n\n\0");
    deliver(&mut bench, 1, id, "two\nlines", "x");
    assert!(bench.take_sent().is_empty());
    assert_eq!(acks(&mut bench), [(1, Ack::Reject(Reason::TopicInvalid))]);
}

#[test]
fn a_large_payload_is_followed_by_its_nul() {
    let mut bench = connected("1.2");
    let id = subscribe(&mut bench, "SUBSCRIBE\nid:s\ndestination:#\n\n\0");
    let payload = "x".repeat(100_000);
    deliver(&mut bench, 1, id, "t", &payload);
    let answer = sent(&mut bench);
    assert!(answer.ends_with("x\0") && answer.contains("content-length:100000\n\nx"));
    assert_eq!(answer.matches('x').count(), 100_000);
}

#[test]
fn client_mode_acknowledges_all_before_in_the_same_subscription() {
    for (version, frame) in [
        ("1.0", "ACK\nmessage-id:2a-4\nreceipt:k\n\n\0"),
        ("1.1", "ACK\nmessage-id:2a-4\nsubscription:c\nreceipt:k\n\n\0"),
        ("1.2", "ACK\nid:2a-4\nreceipt:k\n\n\0"),
    ] {
        let mut bench = connected(version);
        let client = subscribe(&mut bench, "SUBSCRIBE\nid:c\ndestination:a\nack:client\n\n\0");
        let other = subscribe(&mut bench, "SUBSCRIBE\nid:o\ndestination:b\nack:client\n\n\0");
        for (delivery, subscription) in [(11, client), (12, client), (13, other), (14, client), (15, client)]
        {
            deliver(&mut bench, delivery, subscription, "t", "x");
        }
        assert_eq!(bench.connection.room(), 95);
        bench.take_sent();
        bench.receive(frame.as_bytes());
        assert_eq!(acks(&mut bench), [(11, Ack::Complete), (12, Ack::Complete), (14, Ack::Complete)]);
        assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:k\n\n\0");
        assert_eq!(bench.connection.room(), 98);
    }
}

#[test]
fn client_individual_mode_acknowledges_one_and_nack_gives_one_back() {
    for version in ["1.1", "1.2"] {
        let mut bench = connected(version);
        let id =
            subscribe(&mut bench, "SUBSCRIBE\nid:c\ndestination:$share/g/a\nack:client-individual\n\n\0");
        for delivery in [11, 12, 13] {
            deliver(&mut bench, delivery, id, "a", "x");
        }
        let name = |number| match version {
            "1.1" => format!("subscription:c\nmessage-id:2a-{number}"),
            _ => format!("id:2a-{number}"),
        };
        bench.receive(format!("ACK\n{}\n\n\0NACK\n{}\n\n\0", name(2), name(3)).as_bytes());
        assert_eq!(acks(&mut bench), [(12, Ack::Complete), (13, Ack::Return)]);
    }
}

#[test]
fn nack_in_client_mode_gives_back_all_up_to_the_message_it_names() {
    let mut bench = connected("1.2");
    let id = subscribe(&mut bench, "SUBSCRIBE\nid:c\ndestination:a\nack:client\n\n\0");
    for delivery in [11, 12, 13] {
        deliver(&mut bench, delivery, id, "a", "x");
    }
    bench.receive(b"NACK\nid:2a-2\n\n\0ACK\nid:2a-3\n\n\0");
    // the oldest goes back last, so that it is first in the queue again
    assert_eq!(acks(&mut bench), [(12, Ack::Return), (11, Ack::Return), (13, Ack::Complete)]);
    assert_eq!(bench.connection.room(), 100);
}

#[test]
fn a_delivery_for_two_subscriptions_is_two_messages_and_complete_when_both_are_acknowledged() {
    let mut bench = connected("1.2");
    let one = subscribe(&mut bench, "SUBSCRIBE\nid:1\ndestination:a\nack:client-individual\n\n\0");
    let two = subscribe(&mut bench, "SUBSCRIBE\nid:2\ndestination:#\nack:client-individual\n\n\0");
    let auto = subscribe(&mut bench, "SUBSCRIBE\nid:3\ndestination:+\n\n\0");
    let mut both = |id| {
        let mut delivery = harness::delivery(id, one, "a", "x", Qos::AtLeastOnce, bench.now);
        delivery.matched = [one, two, auto].map(SubscriptionId).to_vec().into();
        bench.deliver(delivery);
    };
    both(9);
    both(10);
    assert_eq!(sent(&mut bench).matches("MESSAGE\n").count(), 6);
    bench.receive(b"ACK\nid:2a-2\n\n\0");
    assert_eq!(acks(&mut bench), []);
    bench.receive(b"ACK\nid:2a-1\n\n\0");
    assert_eq!(acks(&mut bench), [(9, Ack::Complete)]);
    bench.receive(b"NACK\nid:2a-4\n\n\0ACK\nid:2a-5\n\n\0");
    assert_eq!(acks(&mut bench), [(10, Ack::Return)], "one NACK returns the whole");
}

#[test]
fn one_message_does_not_become_any_number_of_copies() {
    let config = stomp::Config { overlap: 2, ..Default::default() };
    let mut bench = stranger_within(config, Limits::default());
    bench.receive(b"CONNECT\naccept-version:1.2\n\n\0");
    bench.accept_connect(false);
    let ids = ["1", "2", "3"]
        .map(|id| SubscriptionId(subscribe(&mut bench, &format!("SUBSCRIBE\nid:{id}\ndestination:#\n\n\0"))));
    let mut delivery = harness::delivery(1, ids[0].0, "a", "x", Qos::AtLeastOnce, bench.now);
    delivery.matched = ids[..2].to_vec().into();
    bench.deliver(delivery.clone());
    assert_eq!(sent(&mut bench).matches("MESSAGE\n").count(), 2);
    delivery.matched = ids.to_vec().into();
    bench.deliver(delivery);
    assert_error(&mut bench, Reason::QuotaExceeded, "stomp.overlap");
}

#[test]
fn a_message_that_may_be_lost_still_wants_its_ack_and_takes_room() {
    let limits = Limits { send_window: 2, ..Limits::default() };
    let mut bench = connected_within("1.2", limits);
    let id = subscribe(&mut bench, "SUBSCRIBE\nid:1\ndestination:a\nack:client\n\n\0");
    for _ in 0..2 {
        let delivery = harness::delivery(0, id, "a", "x", Qos::AtMostOnce, bench.now);
        bench.deliver(delivery);
    }
    assert_eq!(bench.connection.room(), 0, "memory for what the client ignores is bounded");
    bench.receive(b"NACK\nid:2a-1\n\n\0ACK\nid:2a-2\n\n\0");
    assert_eq!(acks(&mut bench), []);
    assert_eq!(bench.connection.room(), 2);
}

#[test]
fn an_answer_that_comes_twice_or_late_is_harmless_and_one_to_nothing_is_an_error() {
    let mut bench = connected("1.2");
    let id = subscribe(&mut bench, "SUBSCRIBE\nid:1\ndestination:a\nack:client\n\n\0");
    deliver(&mut bench, 5, id, "a", "x");
    bench.receive(b"ACK\nid:2a-1\n\n\0ACK\nid:2a-1\n\n\0NACK\nid:2a-1\n\n\0");
    assert_eq!(acks(&mut bench), [(5, Ack::Complete)]);
    assert_eq!(bench.closed, None);
    bench.receive(b"ACK\nid:2a-2\nreceipt:4\n\n\0");
    assert_error(&mut bench, Reason::PacketIdUnknown, "message:unknown message\nreceipt-id:4\n");
}

#[test]
fn answers_must_name_a_message_as_their_version_does() {
    for (version, frame, reason) in [
        ("1.2", "ACK\nmessage-id:2a-1", Reason::ProtocolViolation),
        ("1.2", "ACK\nid:5f-1", Reason::PacketIdUnknown),
        ("1.2", "NACK\nid:1", Reason::PacketIdUnknown),
        ("1.1", "ACK\nmessage-id:2a-1", Reason::ProtocolViolation),
        ("1.1", "ACK\nmessage-id:2a-1\nsubscription:2", Reason::PacketIdUnknown),
        ("1.0", "ACK\nid:2a-1", Reason::ProtocolViolation),
        ("1.0", "NACK\nmessage-id:2a-1", Reason::ProtocolViolation),
    ] {
        let mut bench = connected(version);
        let id = subscribe(&mut bench, "SUBSCRIBE\nid:1\ndestination:a\nack:client\n\n\0");
        deliver(&mut bench, 5, id, "a", "x");
        bench.take_sent();
        bench.receive(format!("{frame}\n\n\0").as_bytes());
        assert_error(&mut bench, reason, "ERROR");
        assert_eq!(acks(&mut bench), [], "{frame}");
    }
}

#[test]
fn unsubscribe_answers_for_what_was_left_open() {
    for (destination, expected) in [("a", Ack::Complete), ("$share/g/a", Ack::Return)] {
        let mut bench = connected("1.2");
        let frame = format!("SUBSCRIBE\nid:1\ndestination:{destination}\nack:client\n\n\0");
        let id = subscribe(&mut bench, &frame);
        deliver(&mut bench, 5, id, "a", "x");
        bench.take_sent();
        bench.receive(b"UNSUBSCRIBE\nid:1\nreceipt:u\n\n\0");
        let (ticket, _) = bench.request();
        assert_eq!(acks(&mut bench), [(5, expected)]);
        // what was under way when the client left goes the same way
        deliver(&mut bench, 6, id, "a", "y");
        assert_eq!(acks(&mut bench), [(6, expected)]);
        assert!(bench.take_sent().is_empty());
        bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())]));
        assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:u\n\n\0");
        bench.receive(b"ACK\nid:2a-1\n\n\0");
        assert_eq!(bench.closed, None, "a late ACK is harmless");
    }
}

#[test]
fn an_id_can_be_used_again_right_behind_unsubscribe() {
    let mut bench = connected("1.2");
    let id = subscribe(&mut bench, "SUBSCRIBE\nid:1\ndestination:a\n\n\0");
    bench.receive(b"UNSUBSCRIBE\nid:1\n\n\0SUBSCRIBE\nid:1\ndestination:b\n\n\0");
    let (ended, _) = bench.request();
    let (made, wanted) = subscription(&mut bench);
    assert_eq!(wanted.id.0, id);
    bench.reply(ended, Reply::Unsubscribed(vec![Ok(())]));
    bench.reply(made, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
    deliver(&mut bench, 1, id, "b", "x");
    assert!(sent(&mut bench).contains("destination:b\n"));
}

#[test]
fn unsubscribing_from_nothing_is_an_error() {
    let mut bench = connected("1.2");
    bench.receive(b"UNSUBSCRIBE\nid:1\nreceipt:u\n\n\0");
    assert_error(&mut bench, Reason::NoSubscription, "message:unknown subscription\nreceipt-id:u\n");
}
