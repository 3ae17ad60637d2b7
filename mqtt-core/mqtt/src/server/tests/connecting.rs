use bus::SessionExpiry;

use super::*;

#[test]
fn a_client_of_each_version_connects() {
    let connack_5: &[u8] = b"\x20\x0E\x00\x00\x0B\x21\x03\xE8\x27\x00\x10\x00\x00\x22\x03\xE8";
    let cases = [
        (CONNECT_31, "MQTT 3.1", &b"\x20\x02\x00\x00"[..]),
        (CONNECT_311, "MQTT 3.1.1", b"\x20\x02\x00\x00"),
        (CONNECT_5, "MQTT 5", connack_5),
    ];
    for (connect, protocol, connack) in cases {
        let mut bench = bench();
        assert_eq!(bench.connection.room(), 0);
        bench.receive(connect);
        let asked = bench.accept_connect(false);
        assert_eq!(asked.client_id.unwrap().as_str(), "c");
        assert_eq!(asked.keep_alive, Some(Duration::from_secs(10)));
        assert_eq!((asked.clean_start, asked.session_expiry), (true, SessionExpiry::AtOnce));
        assert_eq!((asked.protocol, bench.take_sent()), (protocol, connack.to_vec()));
        assert!(bench.connection.room() > 1_000);
    }
}

#[test]
fn a_session_that_is_present_is_told_except_in_mqtt_31() {
    for (connect, byte) in [(CONNECT_31, 0), (CONNECT_311, 1), (CONNECT_5, 1)] {
        let mut bench = bench();
        bench.receive(connect);
        bench.accept_connect(true);
        assert_eq!(bench.take_sent()[2], byte);
    }
}

#[test]
fn credentials_and_will_of_mqtt_311_reach_the_broker() {
    let mut bench = bench();
    bench.receive(&connect(4, 0b1111_0110, b"\x00\x01c\x00\x01w\x00\x02by\x00\x01u\x00\x02pw"));
    let asked = bench.accept_connect(false);
    assert_eq!(asked.credentials.username.as_deref(), Some("u"));
    assert_eq!(asked.credentials.password.as_deref(), Some(&b"pw"[..]));
    let will = asked.will.unwrap();
    assert_eq!((will.publish.topic.as_str(), &will.publish.payload[..]), ("w", &b"by"[..]));
    assert_eq!((will.publish.qos, will.publish.retain, will.delay), (Qos::ExactlyOnce, true, Duration::ZERO));
}

#[test]
fn the_properties_of_an_mqtt_5_connect_and_its_will_reach_the_broker() {
    let properties = b"\x11\x00\x00\x00\x3C\x21\x00\x05";
    let will = b"\x13\x18\x00\x00\x00\x07\x01\x01\x02\x00\x00\x00\x09\x03\x00\x04text\x00\x01w\x00\x02by";
    let rest = [&[properties.len() as u8][..], properties, b"\x00\x01c", will].concat();
    let mut bench = bench();
    bench.receive(&connect(5, 0b0000_1100, &rest));
    let asked = bench.accept_connect(false);
    assert_eq!(asked.session_expiry, SessionExpiry::After(Duration::from_secs(60)));
    assert_eq!((asked.receive_maximum, asked.clean_start), (5, false));
    let will = asked.will.unwrap();
    assert_eq!(will.delay, Duration::from_secs(7));
    assert_eq!(will.publish.expiry, Some(Duration::from_secs(9)));
    let metadata = will.publish.metadata.unwrap();
    assert!(metadata.utf8);
    assert_eq!(metadata.content_type.as_deref(), Some("text"));
}

#[test]
fn a_session_of_mqtt_3_stays_unless_clean_and_at_most_as_long_as_configured() {
    for (maximum, expected) in [
        (None, SessionExpiry::Never),
        (Some(Duration::from_secs(60)), SessionExpiry::After(Duration::from_secs(60))),
        (Some(Duration::ZERO), SessionExpiry::AtOnce),
    ] {
        let config = Config { session_expiry_maximum: maximum, ..Config::default() };
        let mut bench = bench_with(config, Limits::default());
        bench.receive(&connect(4, 0, b"\x00\x01c"));
        assert_eq!(bench.accept_connect(false).session_expiry, expected);
    }
}

#[test]
fn an_mqtt_5_client_is_told_what_it_did_not_get() {
    let config = Config {
        session_expiry_maximum: Some(Duration::from_secs(60)),
        keep_alive_maximum: Some(Duration::from_secs(30)),
        response_information: "answers/%c".into(),
        ..Config::default()
    };
    let limits = Limits { topic_aliases: 0, packet: 1000, receive_maximum: 65_535, ..Limits::default() };
    let mut bench = bench_with(config, limits);
    let properties = b"\x11\x00\x00\x00\xFF\x19\x01";
    bench.receive(&connect(5, 2, &[&[properties.len() as u8][..], properties, b"\x00\x00"].concat()));
    let asked = bench.accept_connect(false);
    assert_eq!((asked.client_id, asked.keep_alive), (None, Some(Duration::from_secs(30))));
    let expected = [
        &b"\x20\x2E\x00\x00\x2B"[..],
        b"\x11\x00\x00\x00\x3C",         // session expiry 60 s
        b"\x27\x00\x00\x03\xE8",         // packets of at most 1,000 bytes
        b"\x12\x00\x08assigned",         // the client id
        b"\x13\x00\x1E",                 // keep alive 30 s
        b"\x1A\x00\x10answers/assigned", // response information
    ];
    assert_eq!(bench.take_sent(), expected.concat());
}

#[test]
fn a_client_without_an_id_is_taken_where_its_version_allows_it() {
    let cases: [(Vec<u8>, Option<&[u8]>); 4] = [
        (connect(4, 2, b"\x00\x00"), None),
        (connect(4, 0, b"\x00\x00"), Some(b"\x20\x02\x00\x02")),
        (connect(5, 0, b"\x00\x00\x00"), None),
        (b"\x10\x0E\x00\x06MQIsdp\x03\x02\x00\x0A\x00\x00".to_vec(), Some(b"\x20\x02\x00\x02")),
    ];
    for (connect, refusal) in cases {
        let mut bench = bench();
        bench.receive(&connect);
        match refusal {
            None => assert_eq!(bench.accept_connect(false).client_id, None),
            Some(connack) => {
                assert_eq!(bench.take_sent(), connack);
                assert_eq!(bench.closed, Some(Reason::ClientIdInvalid));
            }
        }
    }
}

#[test]
fn a_long_mqtt_31_client_id_is_refused_only_if_so_configured() {
    let connect = b"\x10\x26\x00\x06MQIsdp\x03\x02\x00\x0A\x00\x18abcdefghijklmnopqrstuvwx";
    for (long_client_ids, closed) in [(true, None), (false, Some(Reason::ClientIdInvalid))] {
        let mut bench = bench_with(Config { long_client_ids, ..Config::default() }, Limits::default());
        bench.receive(connect);
        assert_eq!(bench.closed, closed);
    }
}

#[test]
fn a_refused_client_is_told_in_the_words_of_its_version() {
    let cases = [
        (Reason::BadCredentials, Some(4), 0x86),
        (Reason::NotAuthorized, Some(5), 0x87),
        (Reason::Banned, Some(5), 0x8A),
        (Reason::ServerBusy, Some(3), 0x89),
        (Reason::ShuttingDown, Some(3), 0x88),
        (Reason::BadAuthenticationMethod, Some(4), 0x8C),
        (Reason::ConnectionRateExceeded, Some(3), 0x9F),
        (Reason::RetainNotSupported, Some(5), 0x9A),
        (Reason::TakenOver, None, 0x80),
    ];
    for (reason, return_code, code) in cases {
        let mut bench = connecting(CONNECT_311);
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        let expected = return_code.map_or(Vec::new(), |code| vec![0x20, 2, 0, code]);
        assert_eq!((bench.take_sent(), bench.closed), (expected, Some(reason)));

        let mut bench = connecting(CONNECT_5);
        let (ticket, _) = bench.request();
        bench.refuse(ticket, reason);
        let sent = bench.take_sent();
        assert_eq!((sent[0], sent[2], sent[3], sent[5]), (0x20, 0, code, 0x1F), "{reason:?}");
        assert!(sent.ends_with(reason.explain().as_bytes()));
    }
}

fn connecting(connect: &[u8]) -> Bench {
    let mut bench = bench();
    bench.receive(connect);
    bench
}

#[test]
fn an_unknown_version_is_told_in_the_nearest_known_one() {
    for (connect, connack) in [
        (connect(6, 2, b"\x00\x01c"), &b"\x20"[..]),
        (connect(2, 2, b"\x00\x01c"), b"\x20\x02\x00\x01"),
        (connect(3, 2, b"\x00\x01c"), b"\x20\x02\x00\x01"),
        (b"\x10\x0F\x00\x06MQTTSN\x03\x02\x00\x0A\x00\x01c".to_vec(), b""),
    ] {
        let mut bench = connecting(&connect);
        let sent = bench.take_sent();
        assert!(sent.starts_with(connack), "{sent:02X?}");
        assert!(connack.len() != 1 || sent[3] == 0x84);
        assert_eq!(bench.closed, Some(Reason::UnsupportedVersion));
    }
}

#[test]
fn a_malformed_connect_of_mqtt_5_gets_its_code_and_one_of_mqtt_3_gets_none() {
    let mut bench = connecting(&connect(5, 3, b"\x00\x00\x01c"));
    assert_eq!((sent_code(&mut bench), bench.closed), (0x81, Some(Reason::Malformed)));
    let mut bench = connecting(&connect(4, 3, b"\x00\x01c"));
    assert_eq!((bench.take_sent(), bench.closed), (Vec::new(), Some(Reason::Malformed)));
    let mut bench = connecting(&connect(4, 6, b"\x00\x01c\x00\x00\x00\x00"));
    assert_eq!((bench.take_sent(), bench.closed), (Vec::new(), Some(Reason::TopicInvalid)));
    let mut bench = connecting(&connect(5, 6, b"\x00\x00\x01c\x00\x00\x01#\x00\x00"));
    assert_eq!((sent_code(&mut bench), bench.closed), (0x90, Some(Reason::TopicInvalid)));
    let mut bench = connecting(&connect(5, 6, b"\x00\x00\x01c\x02\x01\x01\x00\x01w\x00\x01\xFF"));
    assert_eq!((sent_code(&mut bench), bench.closed), (0x99, Some(Reason::PayloadInvalid)));
}

#[test]
fn what_comes_behind_connect_waits_for_the_reply() {
    let mut bench = bench();
    bench.receive(&[CONNECT_311, b"\xC0\x00\x30\x04\x00\x01ax"].concat());
    assert_eq!(bench.requests.len(), 1);
    bench.accept_connect(true);
    assert_eq!(bench.take_sent(), b"\x20\x02\x01\x00");
    bench.receive(b"");
    assert_eq!(bench.take_sent(), b"\xD0\x00");
    assert_eq!(next_publish(&mut bench).1.topic.as_str(), "a");
}

#[test]
fn nothing_but_connect_may_come_first() {
    for first in
        [&b"\xC0\x00"[..], b"\x30\x03\x00\x01a", b"\x40\x02\x00\x01", b"\xE0\x00", b"\x20\x02\x00\x00"]
    {
        let mut bench = bench();
        bench.receive(first);
        assert_eq!((bench.take_sent(), bench.closed), (Vec::new(), Some(Reason::ProtocolViolation)));
    }
}

#[test]
fn a_packet_before_the_session_is_bounded() {
    let limits = Limits { packet_before_connect: 14, ..Limits::default() };
    let mut bench = bench_with(Config::default(), limits);
    bench.receive(CONNECT_5);
    assert_eq!(bench.closed, Some(Reason::PacketTooLarge));
    assert_eq!(sent_code(&mut bench), 0x95);
}

#[test]
fn a_silent_peer_is_closed_when_the_handshake_takes_too_long() {
    for early in [&b""[..], b"\x10", CONNECT_311] {
        let mut bench = bench();
        bench.receive(early);
        bench.advance(Duration::from_millis(14_999));
        assert_eq!(bench.closed, None);
        bench.advance(Duration::from_millis(1));
        assert_eq!(bench.closed, Some(Reason::HandshakeTimeout));
    }
}

#[test]
fn a_mosquitto_bridge_hears_nothing_of_itself_and_sees_retained_flags() {
    let mut bench = connected(&connect(0x84, 2, b"\x00\x01c"));
    bench.receive(b"\x82\x06\x00\x01\x00\x01a\x01");
    let (_, Request::Subscribe(subscriptions)) = bench.request() else { panic!("no subscribe") };
    assert!(subscriptions[0].options.no_local && subscriptions[0].options.retain_as_published);
}

#[test]
fn a_connect_with_more_user_properties_than_are_taken_is_refused() {
    let limits = Limits { user_properties: 1, ..Limits::default() };
    let property = b"\x26\x00\x01k\x00\x01v";
    for (count, closed) in [(1, None), (2, Some(Reason::QuotaExceeded))] {
        let mut bench = bench_with(Config::default(), limits.clone());
        bench.receive(&connect_5(&property.repeat(count)));
        assert_eq!(bench.closed, closed);
        match closed {
            None => assert_eq!(bench.accept_connect(false).user_properties, [("k".into(), "v".into())]),
            Some(_) => assert_eq!(sent_code(&mut bench), 0x97),
        }
    }
}

/// What a peer may make the server keep before it is let in: one packet of `limits.packet_before_connect`, whose
/// length is refused as soon as it is known.
#[test]
fn a_giant_length_is_refused_before_the_packet_comes() {
    for (length, told) in
        [(&b"\xFF\xFF\xFF\x7F"[..], Reason::PacketTooLarge), (b"\xFF\xFF\xFF\xFF", Reason::Malformed)]
    {
        let mut bench = bench();
        bench.receive(&[b"\x10", length].concat());
        assert_eq!((bench.closed, bench.take_sent()), (Some(told), Vec::new()));
    }
    let limits = Limits { packet_before_connect: 1024, ..Limits::default() };
    let mut bench = bench_with(Config::default(), limits);
    bench.receive(b"\x10\xFD\x07"); // 1,021 bytes follow: as large as may be
    bench.receive(&[0; 1020]);
    assert_eq!((bench.closed, bench.requests.len()), (None, 0));
}
