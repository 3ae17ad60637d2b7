use std::time::Duration;

use bus::{ClientId, Qos, Reason, SessionExpiry};

use crate::*;

#[test]
fn a_registered_id_names_the_topic() {
    let mut bench = registered("a/b");
    bench.receive(&[9, 0x0C, 0x10, 0, 43, 0, 0, b'h', b'i']);
    let (ticket, publish) = published(&mut bench);
    assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("a/b", &b"hi"[..]));
    assert!(publish.retain && publish.qos == Qos::AtMostOnce && publish.once.is_none());
    assert_eq!(ticket, Ticket::NONE, "QoS 0 has no answer");
}

#[test]
fn registering_again_is_answered_with_the_same_id() {
    let mut bench = registered("a/b");
    bench.receive(&register(2, "a/b"));
    assert_eq!(bench.take_sent(), [7, 0x0B, 0, 43, 0, 2, 0]);
    bench.receive(&register(3, "a/c"));
    assert_eq!(bench.take_sent(), [7, 0x0B, 0, 44, 0, 3, 0]);
}

#[test]
fn a_topic_with_wildcards_is_not_registered() {
    let mut bench = connected();
    for topic in ["a/+", "#", "a#", ""] {
        bench.receive(&register(1, topic));
        assert_eq!(bench.take_sent(), [7, 0x0B, 0, 0, 0, 1, 3], "{topic:?}");
    }
}

#[test]
fn a_client_holds_only_so_many_topic_ids() {
    let mut bench = bench_with(config(), Limits { topic_aliases: 2, ..Limits::default() });
    open(&mut bench, CLEAN);
    for (topic, expected) in [("a", [0, 43, 0, 1, 0]), ("b", [0, 44, 0, 1, 0]), ("c", [0, 0, 0, 1, 1])] {
        bench.receive(&register(1, topic));
        assert_eq!(bench.take_sent()[2..], expected, "{topic}");
    }
}

#[test]
fn an_unknown_id_is_refused_at_every_qos_so_that_the_device_registers_again() {
    let mut bench = connected();
    for (flags, msg_id) in [(0x00, 0), (0x20, 9), (0x40, 9), (0x01, 0), (0x21, 9)] {
        bench.receive(&[8, 0x0C, flags, 0, 99, 0, msg_id, b'x']);
        assert_eq!(bench.take_sent(), [7, 0x0D, 0, 99, 0, msg_id, 2], "flags {flags:#x}");
    }
    assert!(bench.requests.is_empty());
}

#[test]
fn predefined_ids_and_short_names_need_no_registration() {
    let mut bench = connected();
    for (flags, id, topic) in
        [(0x01, [0, 7], "pre/seven"), (0x01, [0, 8], "pre/eight"), (0x02, [b'a', b'b'], "ab")]
    {
        bench.receive(&[8, 0x0C, flags, id[0], id[1], 0, 0, b'x']);
        assert_eq!(published(&mut bench).1.topic.as_str(), topic);
    }
    bench.receive(&[8, 0x0C, 0x02, b'a', b'#', 0, 0, b'x']);
    assert_eq!(bench.take_sent(), [7, 0x0D, b'a', b'#', 0, 0, 2], "no wildcards");
}

#[test]
fn a_predefined_id_of_one_client_is_unknown_to_another() {
    let mut bench = bench();
    bench.receive(&[8, 0x04, CLEAN, 1, 0, 60, b'c', b'2']);
    bench.accept_connect(false);
    bench.take_sent();
    bench.receive(&[8, 0x0C, 0x01, 0, 8, 0, 0, b'x']);
    assert_eq!(bench.take_sent(), [7, 0x0D, 0, 8, 0, 0, 2]);
}

#[test]
fn the_reserved_topic_type_is_not_supported() {
    let mut bench = connected();
    bench.receive(&[8, 0x0C, 0x23, 0, 7, 0, 1, b'x']);
    assert_eq!(bench.take_sent(), [7, 0x0D, 0, 7, 0, 1, 3]);
}

#[test]
fn qos_1_is_acknowledged_when_the_broker_has_the_message() {
    let mut bench = registered("a/b");
    bench.receive(&[8, 0x0C, 0x20, 0, 43, 0, 5, b'x']);
    let (ticket, publish) = published(&mut bench);
    assert_eq!((publish.qos, publish.once), (Qos::AtLeastOnce, None));
    assert!(bench.sent.is_empty());
    bench.receive(&[8, 0x0C, 0xA0, 0, 43, 0, 5, b'x']);
    assert!(bench.requests.is_empty(), "the answer to the first is on the way");
    take_published(&mut bench, ticket);
    assert_eq!(bench.take_sent(), [7, 0x0D, 0, 43, 0, 5, 0]);
}

#[test]
fn a_refused_publish_is_told_with_its_return_code() {
    for (reason, code) in [(Reason::NotAuthorized, 3), (Reason::QueueFull, 1), (Reason::TopicInvalid, 3)] {
        for flags in [0x20, 0x40] {
            let mut bench = registered("a/b");
            bench.receive(&[8, 0x0C, flags, 0, 43, 0, 5, b'x']);
            let (ticket, _) = published(&mut bench);
            bench.refuse(ticket, reason);
            assert_eq!(bench.take_sent(), [7, 0x0D, 0, 43, 0, 5, code], "{reason:?}");
        }
    }
}

#[test]
fn qos_2_passes_pubrec_pubrel_and_pubcomp() {
    let mut bench = registered("a/b");
    bench.receive(&[8, 0x0C, 0x40, 0, 43, 0, 5, b'x']);
    let (ticket, publish) = published(&mut bench);
    assert_eq!((publish.qos, publish.once), (Qos::ExactlyOnce, Some(5)));
    take_published(&mut bench, ticket);
    assert_eq!(bench.take_sent(), [4, 0x0F, 0, 5]);
    for known in [true, false] {
        bench.receive(&[4, 0x10, 0, 5]);
        let (ticket, request) = bench.request();
        assert!(matches!(request, Request::Release(5)));
        bench.reply(ticket, Reply::Released { known });
        assert_eq!(bench.take_sent(), [4, 0x0E, 0, 5], "a lost PUBCOMP is sent again");
    }
}

#[test]
fn a_copy_that_the_network_held_back_is_not_published_after_its_release() {
    let mut bench = registered("a/b");
    let message = |payload| [8, 0x0C, 0x40, 0, 43, 0, 5, payload];
    bench.receive(&message(b'x'));
    let (ticket, _) = published(&mut bench);
    take_published(&mut bench, ticket);
    bench.receive(&[4, 0x10, 0, 5]);
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Released { known: true });
    bench.take_sent();
    bench.receive(&message(b'x'));
    assert_eq!(bench.take_sent(), [4, 0x0F, 0, 5]);
    assert!(bench.requests.is_empty());
    bench.receive(&message(b'y'));
    published(&mut bench);

    bench.receive(&[4, 0x10, 0, 5]);
    bench.requests.clear();
    bench.advance(Duration::from_secs(10));
    bench.receive(&message(b'y'));
    published(&mut bench);
}

#[test]
fn a_message_that_wants_an_answer_has_a_message_id() {
    let mut bench = registered("a/b");
    for flags in [0x20, 0x40] {
        bench.receive(&[8, 0x0C, flags, 0, 43, 0, 0, b'x']);
        assert_eq!(bench.take_sent(), [7, 0x0D, 0, 43, 0, 0, 3]);
    }
}

#[test]
fn past_the_outstanding_requests_a_client_is_told_of_congestion() {
    let mut bench = bench_with(config(), Limits { outstanding: 2, ..Limits::default() });
    open(&mut bench, CLEAN);
    for msg_id in 1..=2 {
        bench.receive(&[8, 0x0C, 0x22, b'a', b'b', 0, msg_id, b'x']);
    }
    assert!(bench.sent.is_empty());
    bench.receive(&[8, 0x0C, 0x22, b'a', b'b', 0, 3, b'x']);
    assert_eq!(bench.take_sent(), [7, 0x0D, b'a', b'b', 0, 3, 1]);
    bench.receive(&[8, 0x12, 0, 0, 4, b'a', b'/', b'b']);
    assert_eq!(bench.take_sent(), [8, 0x13, 0, 0, 0, 0, 4, 1]);
}

#[test]
fn qos_minus_1_opens_a_session_of_its_own_and_lets_it_idle_out() {
    let mut bench = bench();
    bench.receive(&[8, 0x0C, 0x72, b'a', b'b', 0, 0, b'1']);
    bench.receive(&[8, 0x0C, 0x61, 0, 7, 0, 0, b'2']);
    let asked = bench.accept_connect(false);
    assert_eq!(asked.client_id, ClientId::parse("mqtt-sn-qos-1-127.0.0.1:40000"));
    assert!(asked.clean_start && asked.session_expiry == SessionExpiry::AtOnce);
    let (_, first) = published(&mut bench);
    assert_eq!((first.topic.as_str(), &first.payload[..], first.retain), ("ab", &b"1"[..], true));
    let (_, second) = published(&mut bench);
    assert_eq!((second.topic.as_str(), second.retain), ("pre/seven", false));
    bench.receive(&[8, 0x0C, 0x62, b'a', b'b', 0, 0, b'3']);
    assert_eq!(published(&mut bench).1.topic.as_str(), "ab");
    assert!(bench.sent.is_empty(), "nobody listens");
    bench.advance(Duration::from_secs(60));
    assert!(matches!(bench.request().1, Request::Disconnect(_)));
    assert_eq!(bench.closed, Some(Reason::IdleTimeout));
}

#[test]
fn qos_minus_1_of_a_client_that_may_not_connect_goes_nowhere() {
    let mut bench = bench();
    bench.receive(&[8, 0x0C, 0x62, b'a', b'b', 0, 0, b'1']);
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::NotAuthorized);
    assert!(bench.requests.is_empty() && bench.sent.is_empty());
    assert_eq!(bench.closed, Some(Reason::NotAuthorized));
}

#[test]
fn qos_minus_1_can_be_switched_off_and_never_takes_registered_ids() {
    let off = MqttSn::new(Config { qos_minus_one: false, ..config() }, Limits::default());
    let packet = [8, 0x0C, 0x62, b'a', b'b', 0, 0, b'1'];
    assert!(!bus::Protocol::admits(&off, &packet));
    let mut bench = Bench::new(&off, Transport::Datagram);
    bench.receive(&packet);
    assert!(bench.requests.is_empty() && bench.closed.is_some());

    let mut bench = bench_with(config(), Limits::default());
    bench.receive(&[8, 0x0C, 0x60, 0, 43, 0, 0, b'1']);
    bench.accept_connect(false);
    assert!(bench.requests.is_empty() && bench.sent.is_empty());
}

#[test]
fn what_waits_for_the_session_of_qos_minus_1_is_bounded() {
    let mut bench = bench();
    for _ in 0..100 {
        bench.receive(&[8, 0x0C, 0x62, b'a', b'b', 0, 0, b'1']);
    }
    bench.accept_connect(false);
    assert_eq!(bench.requests.len(), 16);
}

#[test]
fn a_device_of_qos_minus_1_may_connect() {
    let mut bench = bench();
    bench.receive(&[8, 0x0C, 0x62, b'a', b'b', 0, 0, b'1']);
    bench.accept_connect(false);
    published(&mut bench);
    bench.receive(&connect(CLEAN));
    assert!(matches!(bench.request().1, Request::Disconnect(_)));
    assert_eq!(bench.accept_connect(false).client_id, ClientId::parse("c1"));
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
}

#[test]
fn a_connected_client_may_use_qos_minus_1() {
    let mut bench = connected();
    bench.receive(&[8, 0x0C, 0x62, b'a', b'b', 0, 0, b'1']);
    assert_eq!(published(&mut bench).1.topic.as_str(), "ab");
}

#[test]
fn from_256_octets_on_the_length_has_three() {
    let mut bench = connected();
    let data = [b'x'; 249];
    let message = [&[1, 1, 2, 0x0C, 0x02, b'a', b'b', 0, 0][..], &data].concat();
    bench.receive(&message);
    assert_eq!(&published(&mut bench).1.payload[..], data);
    let back = std::str::from_utf8(&data).unwrap();
    bench.deliver(harness::delivery(0, 0, "ab", back, Qos::AtMostOnce, bench.now));
    assert_eq!(bench.take_sent(), message);
}

#[test]
fn a_copy_that_comes_before_the_answer_is_published_once() {
    for (flags, copy) in [(0x22, 0xA2), (0x42, 0xC2)] {
        let mut bench = connected();
        bench.receive(&[8, 0x0C, flags, b'a', b'b', 0, 5, b'x']);
        bench.receive(&[8, 0x0C, copy, b'a', b'b', 0, 5, b'x']);
        let (ticket, _) = published(&mut bench);
        assert!(bench.requests.is_empty());
        take_published(&mut bench, ticket);
        assert_eq!(datagrams(&mut bench).len(), 1, "one answer");
    }
}
