use std::sync::Arc;

use bus::{
    Ack, Burst, Deliveries, Delivery, DeliveryId, Event, Matched, Message, Metadata, SubscriptionId, Topic,
};

use super::*;

fn id(id: u16) -> DeliveryId {
    DeliveryId::new(id).unwrap()
}

/// The delivery with its message changed.
fn with(delivery: Delivery, change: impl FnOnce(&mut Message)) -> Delivery {
    let mut message = Arc::into_inner(delivery.message).unwrap();
    change(&mut message);
    Delivery { message: Arc::new(message), ..delivery }
}

#[test]
fn a_delivery_is_a_publish_of_the_clients_version() {
    for (connect, publish) in [
        (CONNECT_31, &b"\x30\x05\x00\x01ahi"[..]),
        (CONNECT_311, b"\x30\x05\x00\x01ahi"),
        (CONNECT_5, b"\x30\x06\x00\x01a\x00hi"),
    ] {
        let mut bench = connected(connect);
        bench.deliver(delivery(0, 0, "a", "hi", Qos::AtMostOnce, bench.now));
        assert_eq!(bench.take_sent(), publish);
    }
}

#[test]
fn puback_completes_a_delivery() {
    let mut bench = connected(CONNECT_311);
    let first = delivery(5, 0, "a", "hi", Qos::AtLeastOnce, bench.now);
    bench.deliver(Delivery { retain: true, duplicate: true, ..first });
    assert_eq!(bench.take_sent(), b"\x3B\x07\x00\x01a\x00\x05hi");
    bench.receive(b"\x40\x02\x00\x05");
    assert_eq!(bench.acks, [(id(5), Ack::Complete)]);
}

#[test]
fn a_delivery_of_qos_2_takes_four_packets() {
    let mut bench = connected(CONNECT_5);
    bench.deliver(delivery(5, 0, "a", "hi", Qos::ExactlyOnce, bench.now));
    assert_eq!(bench.take_sent(), b"\x34\x08\x00\x01a\x00\x05\x00hi");
    bench.receive(b"\x50\x02\x00\x05");
    assert_eq!(bench.take_sent(), b"\x62\x02\x00\x05");
    bench.receive(b"\x70\x02\x00\x05");
    assert_eq!(bench.acks, [(id(5), Ack::Received), (id(5), Ack::Complete)]);
}

#[test]
fn a_resumed_delivery_of_qos_2_goes_on_with_pubrel() {
    let mut bench = connected(CONNECT_311);
    bench.handle(Event::Release(id(5)));
    assert_eq!(bench.take_sent(), b"\x62\x02\x00\x05");
    bench.receive(b"\x70\x02\x00\x05");
    assert_eq!(bench.acks, [(id(5), Ack::Complete)]);
}

#[test]
fn an_mqtt_5_client_may_fail_a_delivery() {
    let mut bench = connected(CONNECT_5);
    bench.receive(b"\x40\x03\x00\x05\x87\x50\x03\x00\x06\x99");
    let expected =
        [(id(5), Ack::Reject(Reason::NotAuthorized)), (id(6), Ack::Reject(Reason::PayloadInvalid))];
    assert_eq!(bench.acks, expected);
    assert!(bench.take_sent().is_empty(), "no PUBREL for a PUBREC that failed");
}

#[test]
fn what_a_client_cannot_take_is_dropped_counted_and_complete() {
    let mqtt = Mqtt::new(Config::default(), Limits::default());
    let mut bench = connected_on(Bench::new(&mqtt, Transport::Stream), &connect_5(b"\x27\x00\x00\x00\x14"));
    bench.deliver(delivery(5, 0, "a", "123456789012", Qos::AtLeastOnce, bench.now)); // 20 bytes
    assert_eq!(bench.take_sent().len(), 20);
    bench.deliver(delivery(6, 0, "a", "1234567890123", Qos::AtLeastOnce, bench.now));
    bench.deliver(delivery(0, 0, "a", "123456789012345", Qos::AtMostOnce, bench.now));
    assert!(bench.take_sent().is_empty());
    assert_eq!(bench.acks, [(id(6), Ack::Reject(Reason::PacketTooLarge))]);
    assert_eq!(bench.lost, [Reason::PacketTooLarge]);
}

#[test]
fn the_seconds_left_are_told_and_an_expired_message_is_dropped() {
    let mqtt = Mqtt::new(Config::default(), Limits::default());
    let mut bench = connected_on(Bench::new(&mqtt, Transport::Stream), &connect_5(b""));
    let now = bench.now;
    let fresh = || {
        with(delivery(5, 0, "a", "", Qos::AtLeastOnce, now), |message| {
            message.expires = Some(now + Duration::from_secs(30));
        })
    };
    bench.advance(Duration::from_millis(10_500));
    bench.deliver(fresh());
    assert_eq!(bench.take_sent(), b"\x32\x0B\x00\x01a\x00\x05\x05\x02\x00\x00\x00\x14");
    bench.advance(Duration::from_secs(20));
    bench.deliver(fresh());
    assert!(bench.take_sent().is_empty());
    assert_eq!(bench.acks, [(id(5), Ack::Reject(Reason::MessageExpired))]);
    bench.deliver(Delivery { duplicate: true, ..fresh() });
    assert!(bench.take_sent().starts_with(b"\x3A"), "the client may have it half received");
}

#[test]
fn metadata_and_subscription_identifiers_become_properties() {
    let mut bench = connected(CONNECT_5);
    let metadata = Metadata {
        content_type: None,
        content_format: Some(bus::ContentFormat::JSON),
        response_topic: Topic::parse("re").ok(),
        correlation: Some(vec![1, 2].into()),
        utf8: true,
        user_properties: vec![("k".into(), "v".into()), ("nul".into(), "\0".into())],
    };
    let mut message = with(delivery(0, 0, "a", "", Qos::AtMostOnce, bench.now), |message| {
        message.metadata = metadata.boxed();
    });
    message.matched = Matched::from(vec![SubscriptionId(1), SubscriptionId(0), SubscriptionId(200)]);
    bench.deliver(message);
    let expected = [
        &b"\x30\x33\x00\x01a\x2F"[..],
        b"\x0B\x01\x0B\xC8\x01",
        b"\x01\x01",
        b"\x03\x00\x10application/json",
        b"\x08\x00\x02re",
        b"\x09\x00\x02\x01\x02",
        b"\x26\x00\x01k\x00\x01v",
    ];
    let sent = bench.take_sent();
    assert_eq!(sent[6..], expected[1..].concat());
    assert_eq!((usize::from(sent[1]), usize::from(sent[5])), (sent.len() - 2, sent.len() - 6));
}

#[test]
fn a_large_payload_is_delivered_whole() {
    let mut bench = connected(CONNECT_311);
    let payload = "x".repeat(70_000);
    bench.deliver(delivery(0, 0, "a", &payload, Qos::AtMostOnce, bench.now));
    let sent = bench.take_sent();
    assert!(sent.starts_with(b"\x30\xF3\xA2\x04\x00\x01a"));
    assert!(sent.ends_with(payload.as_bytes()) && sent.len() == 70_007);
}

/// What a client that connected so is sent of a burst, and of the same messages one by one.
fn together_and_alone(connect: &[u8], subscription: u32, messages: &[Arc<Message>]) -> [Vec<u8>; 2] {
    let burst = Arc::new(Burst::new(messages.to_vec(), 2));
    let deliveries = Deliveries { burst, matched: Matched::One(SubscriptionId(subscription)) };
    // Who comes after another finds what was written for that one.
    connected(connect).take_burst(&deliveries);
    let (mut together, mut alone) = (connected(connect), connected(connect));
    together.take_burst(&deliveries);
    deliveries.iter().for_each(|delivery| alone.deliver(delivery));
    assert_eq!(together.lost, alone.lost);
    [together.take_sent(), alone.take_sent()]
}

#[test]
fn messages_that_come_together_are_sent_as_if_each_came_alone() {
    let now = bench().now;
    let told = |message: Arc<Message>| {
        let mut message = Arc::into_inner(message).unwrap();
        message.metadata =
            Metadata { content_type: Some("text/plain".into()), ..Metadata::default() }.boxed();
        Arc::new(message)
    };
    let messages = [
        harness::message("a/b", "one", Qos::AtMostOnce, now),
        told(harness::message("a/b", "", Qos::AtMostOnce, now)),
        harness::message("a/b", &"long".repeat(100), Qos::AtMostOnce, now),
    ];
    let small_5 = connect_5(b"\x27\x00\x00\x00\x20"); // at most 32 bytes
    let aliased_5 = connect_5(b"\x22\x00\x05");
    for connect in [CONNECT_31, CONNECT_311, CONNECT_5, &small_5, &aliased_5] {
        for subscription in [0, 7] {
            let [together, alone] = together_and_alone(connect, subscription, &messages);
            assert_eq!(together, alone, "{connect:?}");
            assert!(!together.is_empty());
        }
    }
}

#[test]
fn a_burst_is_written_once_for_all_clients_of_a_version() {
    let messages = vec![harness::message("a", "1", Qos::AtMostOnce, bench().now)];
    let burst = Burst::new(messages, 3);
    let mut times = 0;
    let mut written = |form| {
        burst.encoded(form, |buffer| {
            times += 1;
            buffer.extend_from_slice(form.as_bytes());
        })
    };
    let all = ["mqtt 3", "mqtt 5", "mqtt 3", "another"].map(|form| written(form).map(<[u8]>::to_vec));
    assert_eq!(all, [Some(b"mqtt 3".to_vec()), Some(b"mqtt 5".to_vec()), Some(b"mqtt 3".to_vec()), None]);
    assert_eq!(times, 2);
}
