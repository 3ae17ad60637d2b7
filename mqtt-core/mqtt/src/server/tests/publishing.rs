use super::*;

const QOS_1: &[u8] = b"\x32\x06\x00\x01a\x00\x07x";
const QOS_1_V5: &[u8] = b"\x32\x07\x00\x01a\x00\x07\x00x";
const QOS_2_V5: &[u8] = b"\x34\x07\x00\x01a\x00\x07\x00x";

#[test]
fn a_publish_of_qos_0_wants_no_reply() {
    let mut bench = connected(CONNECT_311);
    bench.receive(b"\x31\x06\x00\x03a/bx");
    let (ticket, publish) = next_publish(&mut bench);
    assert_eq!(ticket, Ticket::NONE);
    assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("a/b", &b"x"[..]));
    assert_eq!((publish.qos, publish.retain, publish.once), (Qos::AtMostOnce, true, None));
}

#[test]
fn puback_comes_only_when_the_broker_has_the_message() {
    let mut bench = connected(CONNECT_311);
    bench.receive(QOS_1);
    assert!(bench.take_sent().is_empty());
    let (ticket, publish) = next_publish(&mut bench);
    assert_eq!((publish.qos, publish.once), (Qos::AtLeastOnce, None));
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(bench.take_sent(), b"\x40\x02\x00\x07");
}

#[test]
fn an_mqtt_5_client_learns_that_nobody_subscribed() {
    let mut bench = connected(CONNECT_5);
    bench.receive(&[QOS_1_V5, QOS_1_V5].concat());
    for (matched, puback) in [(0, &b"\x40\x03\x00\x07\x10"[..]), (1, b"\x40\x02\x00\x07")] {
        let (ticket, _) = next_publish(&mut bench);
        bench.reply(ticket, Reply::Published { matched });
        assert_eq!(bench.take_sent(), puback);
    }
}

#[test]
fn a_publish_of_qos_2_takes_four_packets() {
    for (connect, publish) in [(CONNECT_311, &b"\x34\x06\x00\x01a\x00\x07x"[..]), (CONNECT_5, QOS_2_V5)] {
        let mut bench = connected(connect);
        bench.receive(publish);
        let (ticket, publish) = next_publish(&mut bench);
        assert_eq!(publish.once, Some(7));
        bench.reply(ticket, Reply::Published { matched: 1 });
        assert_eq!(bench.take_sent(), b"\x50\x02\x00\x07");
        bench.receive(b"\x62\x02\x00\x07");
        let (ticket, request) = bench.request();
        assert!(matches!(request, Request::Release(7)));
        bench.reply(ticket, Reply::Released { known: true });
        assert_eq!(bench.take_sent(), b"\x70\x02\x00\x07");
    }
}

#[test]
fn the_release_of_an_unknown_id_is_completed_and_mqtt_5_tells() {
    for (connect, pubcomp) in [(CONNECT_311, &b"\x70\x02\x00\x09"[..]), (CONNECT_5, b"\x70\x03\x00\x09\x92")]
    {
        let mut bench = connected(connect);
        bench.receive(b"\x62\x02\x00\x09");
        let (ticket, _) = bench.request();
        bench.reply(ticket, Reply::Released { known: false });
        assert_eq!(bench.take_sent(), pubcomp);
    }
}

#[test]
fn a_refused_publish_of_mqtt_5_gets_a_code_and_words() {
    for (publish, first) in [(QOS_1_V5, 0x40), (QOS_2_V5, 0x50)] {
        for (reason, code) in [
            (Reason::NotAuthorized, 0x87),
            (Reason::QuotaExceeded, 0x97),
            (Reason::TopicInvalid, 0x90),
            (Reason::PacketIdInUse, 0x91),
            (Reason::Internal, 0x80),
        ] {
            let mut bench = connected(CONNECT_5);
            bench.receive(publish);
            let (ticket, _) = bench.request();
            bench.refuse(ticket, reason);
            let sent = bench.take_sent();
            assert_eq!((sent[0], sent[4], sent[6]), (first, code, 0x1F));
            assert!(sent.ends_with(reason.explain().as_bytes()));
            assert_eq!(bench.closed, None);
        }
    }
}

#[test]
fn reason_strings_are_left_out_where_they_are_unwelcome_or_too_long() {
    for properties in [&b"\x17\x00"[..], b"\x27\x00\x00\x00\x14"] {
        let mut bench = connected(&connect_5(properties));
        bench.receive(QOS_1_V5);
        let (ticket, _) = bench.request();
        bench.refuse(ticket, Reason::NotAuthorized);
        assert_eq!(bench.take_sent(), b"\x40\x03\x00\x07\x87");
    }
}

#[test]
fn a_refused_publish_of_mqtt_3_is_acknowledged_if_it_is_refused_for_good_else_the_client_keeps_it() {
    for (reason, sent, closed) in [
        (Reason::NotAuthorized, &b"\x40\x02\x00\x07"[..], None),
        (Reason::Internal, b"", Some(Reason::Internal)),
        (Reason::ServerBusy, b"", Some(Reason::ServerBusy)),
    ] {
        let mut bench = connected(CONNECT_311);
        bench.receive(QOS_1);
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        assert_eq!((bench.take_sent(), bench.closed), (sent.to_vec(), closed));
    }
}

#[test]
fn what_the_server_does_not_offer_ends_the_connection_with_its_code() {
    for (reason, code) in [(Reason::RetainNotSupported, 0x9A), (Reason::QosNotSupported, 0x9B)] {
        let mut bench = connected(CONNECT_5);
        bench.receive(QOS_1_V5);
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        assert_eq!((sent_code(&mut bench), bench.closed), (code, Some(reason)));
    }
}

#[test]
fn the_properties_of_a_publish_become_metadata() {
    let properties = b"\x01\x01\x02\x00\x00\x00\x1E\x03\x00\x04text\x08\x00\x02re\x09\x00\x02\x01\x02\x26\x00\x01k\x00\x01v";
    let body = [b"\x00\x01a", &[properties.len() as u8][..], properties, b"hi"].concat();
    let mut bench = connected(CONNECT_5);
    bench.receive(&[&[0x30, body.len() as u8][..], &body].concat());
    let (_, publish) = next_publish(&mut bench);
    assert_eq!(publish.expiry, Some(Duration::from_secs(30)));
    let metadata = publish.metadata.unwrap();
    assert!(metadata.utf8);
    assert_eq!(metadata.content_type.as_deref(), Some("text"));
    assert_eq!(metadata.response_topic.unwrap().as_str(), "re");
    assert_eq!(metadata.correlation.as_deref(), Some(&[1, 2][..]));
    assert_eq!(metadata.user_properties, [("k".into(), "v".into())]);
}

#[test]
fn a_payload_that_is_not_the_text_it_says_is_refused_in_its_turn() {
    let invalid = b"\x32\x09\x00\x01a\x00\x08\x02\x01\x01\xFF";
    let mut bench = connected(CONNECT_5);
    bench.receive(&[QOS_1_V5, &invalid[..]].concat());
    let (ticket, _) = bench.request();
    assert!(bench.take_sent().is_empty(), "PUBACKs keep the order of their PUBLISHes");
    bench.reply(ticket, Reply::Published { matched: 1 });
    bench.receive(b"");
    let sent = bench.take_sent();
    assert!(sent.starts_with(b"\x40\x02\x00\x07\x40"));
    assert_eq!(sent[6..9], [0, 8, 0x99]);
    bench.receive(b"\x30\x07\x00\x01a\x02\x01\x01\xFF");
    assert_eq!((sent_code(&mut bench), bench.closed), (0x99, Some(Reason::PayloadInvalid)));
}

#[test]
fn a_topic_with_too_many_levels_or_a_publish_with_too_many_properties_is_refused() {
    let limits = Limits { topic_levels: 2, user_properties: 0, ..Limits::default() };
    let mut bench = connected_on(bench_with(Config::default(), limits), CONNECT_5);
    bench.receive(b"\x32\x0A\x00\x05a/b/c\x00\x07\x00");
    assert_eq!(bench.take_sent()[4], 0x90);
    bench.receive(b"\x32\x0D\x00\x01a\x00\x07\x07\x26\x00\x01k\x00\x01v");
    assert_eq!(bench.take_sent()[4], 0x97);
    assert!(bench.requests.is_empty() && bench.closed.is_none());
    bench.receive(b"\x32\x08\x00\x03a/+\x00\x07\x00");
    assert_eq!((sent_code(&mut bench), bench.closed), (0x90, Some(Reason::TopicInvalid)));
}

#[test]
fn more_unfinished_publishes_than_granted_end_an_mqtt_5_connection_only() {
    let limits = Limits { receive_maximum: 2, ..Limits::default() };
    let mut bench = connected_on(bench_with(Config::default(), limits.clone()), CONNECT_5);
    bench.receive(&[QOS_1_V5, QOS_2_V5].concat());
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Published { matched: 1 }); // room for one more
    bench.take_sent();
    bench.receive(QOS_1_V5);
    assert_eq!(bench.closed, None);
    bench.receive(QOS_1_V5);
    assert_eq!((sent_code(&mut bench), bench.closed), (0x93, Some(Reason::ReceiveMaximumExceeded)));

    let mut bench = connected_on(bench_with(Config::default(), limits), CONNECT_311);
    bench.receive(&[QOS_1, QOS_1, QOS_1].concat());
    assert_eq!((bench.closed, bench.requests.len()), (None, 3));
}

#[test]
fn a_failed_pubrec_and_a_pubcomp_make_room_again() {
    let limits = Limits { receive_maximum: 1, ..Limits::default() };
    let mut bench = connected_on(bench_with(Config::default(), limits), CONNECT_5);
    bench.receive(QOS_2_V5);
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::NotAuthorized);
    bench.receive(QOS_2_V5);
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Published { matched: 1 });
    bench.receive(b"\x62\x02\x00\x07");
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Released { known: true });
    bench.receive(QOS_2_V5);
    assert_eq!(bench.closed, None);
}

#[test]
fn a_subscription_identifier_from_a_client_is_an_error() {
    let mut bench = connected(CONNECT_5);
    bench.receive(b"\x30\x06\x00\x01a\x02\x0B\x01");
    assert_eq!((sent_code(&mut bench), bench.closed), (0x82, Some(Reason::ProtocolViolation)));
}

#[test]
fn a_broken_packet_ends_the_connection_and_mqtt_5_says_why() {
    for (connect, sent) in [(CONNECT_311, None), (CONNECT_5, Some(0x81))] {
        let mut bench = connected(connect);
        bench.receive(b"\xC1\x00");
        assert_eq!(bench.error.map(|error| error.reason), Some(Reason::Malformed));
        match sent {
            None => assert!(bench.take_sent().is_empty()),
            Some(code) => assert_eq!(sent_code(&mut bench), code),
        }
    }
}

#[test]
fn a_server_that_does_not_tell_says_no_more_than_that_it_failed() {
    let config = Config { tell_not_authorized: false, ..Config::default() };
    let mut bench = connected_on(bench_with(config, Limits::default()), CONNECT_5);
    bench.receive(QOS_1_V5);
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::NotAuthorized);
    assert_eq!(bench.take_sent(), b"\x40\x03\x00\x07\x80");
    bench.receive(b"\x82\x07\x00\x01\x00\x00\x01a\x00");
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Subscribed(vec![Err(Reason::NotAuthorized)]));
    assert_eq!(bench.take_sent(), b"\x90\x04\x00\x01\x00\x80");
}

#[test]
fn publishes_that_come_in_one_read_are_asked_for_as_if_each_came_alone() {
    let packets: [&[u8]; 9] = [
        b"\x30\x05\x00\x01ahi",
        b"\x30\x04\x00\x01ax",
        b"\x30\x03\x00\x01a",
        b"\x31\x04\x00\x01ax",
        b"\x30\x05\x00\x02aax",
        b"\x30\x05\x00\x02aay",
        b"\x32\x07\x00\x02aa\x00\x01z",
        b"\x30\x05\x00\x02aaz",
        b"\x30\x05\x00\x01bby",
    ];
    let asked = |bench: &mut Bench| {
        let publishes = bench.requests.drain(..).map(|(ticket, request)| match request {
            Request::Publish(publish) => (ticket, format!("{publish:?}")),
            other => panic!("{other:?}"),
        });
        publishes.collect::<Vec<_>>()
    };
    let mut alone = connected(CONNECT_311);
    packets.iter().for_each(|packet| alone.receive(packet));
    let expected = asked(&mut alone);
    assert_eq!(expected.len(), packets.len());
    let all = packets.concat();
    for cut in 0..all.len() {
        let mut together = connected(CONNECT_311);
        let (first, second) = all.split_at(cut);
        together.receive(first);
        together.receive(second);
        assert_eq!(asked(&mut together), expected, "cut at {cut}");
    }
}
