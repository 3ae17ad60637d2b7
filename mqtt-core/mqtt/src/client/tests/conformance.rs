//! What the standard asks of clients, as far as a client can break it.

use bus::{Metadata, Will};

use super::*;
use crate::codec::decode;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

const LATER: [Version; 2] = [Version::V311, Version::V5];

/// The packets that were sent, as a server reads them: what is malformed or too long for MQTT is found.
fn packets(mut bytes: &[u8], version: Version) -> Vec<String> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (packet, length) =
            decode(bytes, version, usize::MAX).expect("a good packet").expect("a whole one");
        packets.push(format!("{packet:?}"));
        bytes = &bytes[length..];
    }
    packets
}

fn sent(desk: &mut Desk) -> Vec<String> {
    let version = desk.client.options.version;
    packets(&desk.take_sent(), version)
}

fn message(topic: &str, qos: Qos) -> Publish {
    Publish::new(Topic::parse(topic).unwrap(), "x", qos)
}

fn misuse(result: Result<impl std::fmt::Debug, ClientError>) -> bool {
    matches!(result, Err(ClientError::Misuse(_)))
}

#[test]
fn the_first_packet_is_connect_and_nothing_follows_before_the_connack() {
    for version in VERSIONS {
        let mut desk = Desk::new(options(version));
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
            let _ = desk.publish("a", "", qos);
        }
        assert!(desk.client.subscribe(&[filter("a")], None, &[], desk.now, &mut desk.sent).is_err());
        assert!(desk.sent.is_empty());
        assert!(packets(&desk.connect(), version)[0].starts_with("Connect("));
        let _ = desk.publish("a", "", Qos::AtMostOnce);
        assert!(desk.client.unsubscribe(&[filter("a").0], &[], desk.now, &mut desk.sent).is_err());
        assert!(desk.client.disconnect(false, None, &[], &mut desk.sent).is_err());
        assert!(desk.sent.is_empty());
    }
}

#[test]
fn flags_and_fields_of_a_connect_agree_and_stand_in_order() {
    for version in VERSIONS {
        for bits in 0..8 {
            let has = |bit: u8| bits >> bit & 1 == 1;
            let publish = Publish { retain: true, ..message("w", Qos::ExactlyOnce) };
            let options = ClientOptions {
                will: has(0).then_some(Will { publish, delay: Duration::ZERO }),
                username: has(1).then(|| "u".to_owned()),
                password: (has(1) && has(2)).then(|| "p".into()),
                ..options(version)
            };
            let bytes = Desk::new(options).connect();
            let Ok(Some((Packet::Connect(connect), _))) = decode(&bytes, version, 1_000) else {
                panic!("{bytes:02X?}")
            };
            assert_eq!(connect.client_id, "c");
            assert_eq!(
                connect.will.as_ref().map(|will| (will.topic, will.payload)),
                has(0).then_some(("w", &b"x"[..]))
            );
            assert_eq!(
                connect.will.map(|will| (will.qos, will.retain)),
                has(0).then_some((Qos::ExactlyOnce, true))
            );
            assert_eq!(connect.username, has(1).then_some("u"));
            assert_eq!(connect.password, (has(1) && has(2)).then_some(&b"p"[..]));
        }
    }
}

#[test]
fn a_connect_that_no_server_may_be_sent_is_not_written() {
    let lonely_password = |version| ClientOptions { password: Some("p".into()), ..options(version) };
    let nameless =
        |version| ClientOptions { client_id: String::new(), clean_start: false, ..options(version) };
    let nul = |version| ClientOptions { username: Some("a\0".to_owned()), ..options(version) };
    for (refused, options) in [
        (true, lonely_password(Version::V311)),
        (false, lonely_password(Version::V5)),
        (true, nameless(Version::V311)),
        (false, nameless(Version::V5)),
        (true, nul(Version::V311)),
        (true, nul(Version::V5)),
        (true, ClientOptions { client_id: "\0".to_owned(), ..self::options(Version::V5) }),
        (true, ClientOptions { said: vec![("a".into(), "\0".into())], ..self::options(Version::V5) }),
    ] {
        let mut desk = Desk::new(options);
        let written = desk.client.connect(desk.now, &mut desk.sent);
        assert_eq!(misuse(written), refused);
        assert_eq!(desk.sent.is_empty(), refused);
    }
    let long = ClientOptions { client_id: "x".repeat(65_536), ..options(Version::V5) };
    let mut desk = Desk::new(long);
    assert!(desk.client.connect(desk.now, &mut desk.sent).is_err() && desk.sent.is_empty());
}

#[test]
fn a_server_is_heard_of_within_the_keep_alive_that_holds() {
    for (version, connack, keep_alive) in [
        (Version::V311, &b"\x20\x02\x00\x00"[..], 60),
        (Version::V5, b"\x20\x03\x00\x00\x00", 60),
        (Version::V5, b"\x20\x06\x00\x00\x03\x13\x00\x05", 5),
    ] {
        let mut desk = Desk::new(options(version));
        desk.connect();
        desk.receive(connack).unwrap();
        for _ in 0..3 {
            desk.advance(Duration::from_secs(keep_alive) - Duration::from_millis(1)).unwrap();
            assert_eq!(sent(&mut desk), ["PingReq"]);
            desk.receive(b"\xD0\x00").unwrap();
        }
    }
}

#[test]
fn packet_ids_are_not_0_and_free() {
    for version in LATER {
        let mut desk = Desk::connected(ClientOptions { unacknowledged: 70_000, ..options(version) });
        let mut used = std::collections::HashSet::new();
        for number in 0..66_000_u32 {
            let asked = match number % 3 {
                0 => desk.publish("a", "", Qos::AtLeastOnce).map(Option::unwrap),
                1 => desk.client.subscribe(&[filter("a")], None, &[], desk.now, &mut desk.sent),
                _ => desk.client.unsubscribe(&[filter("a").0], &[], desk.now, &mut desk.sent),
            };
            desk.sent.clear();
            match asked {
                Ok(id) => assert!(used.insert(id), "{id} is in use"),
                Err(error) => {
                    assert_eq!((error, used.len()), (ClientError::Full, 65_535));
                    break;
                }
            }
        }
    }
}

#[test]
fn requests_without_a_filter_are_not_written() {
    for version in LATER {
        let mut desk = Desk::connected(options(version));
        assert!(misuse(desk.client.subscribe(&[], None, &[], desk.now, &mut desk.sent)));
        assert!(misuse(desk.client.unsubscribe(&[], &[], desk.now, &mut desk.sent)));
        assert!(desk.sent.is_empty());
    }
}

#[test]
fn no_local_is_not_asked_of_a_shared_subscription() {
    let mut desk = Desk::connected(options(Version::V5));
    let (shared, mut how) = filter("$share/g/a");
    how.no_local = true;
    assert!(misuse(desk.client.subscribe(&[(shared, how)], None, &[], desk.now, &mut desk.sent)));
    assert!(desk.sent.is_empty());
}

#[test]
fn what_is_sent_is_well_formed_in_every_version() {
    for version in VERSIONS {
        let mut desk = Desk::connected(options(version));
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let metadata = Metadata {
                content_type: Some("text/plain".into()),
                response_topic: Some(Topic::parse("r").unwrap()),
                user_properties: vec![("k".into(), "v\0".into())],
                ..Metadata::default()
            };
            let publish = Publish { metadata: metadata.boxed(), ..message("\u{FEFF}a", qos) };
            desk.client.publish(publish, desk.now, &mut desk.sent).unwrap();
        }
        desk.client.subscribe(&[filter("+/#"), filter("b")], Some(1), &[], desk.now, &mut desk.sent).unwrap();
        desk.client.unsubscribe(&[filter("b").0], &[], desk.now, &mut desk.sent).unwrap();
        desk.receive(
            b"\x50\x02\x00\x02\x34\x05\x00\x01a\x00\x05\x62\x02\x00\x05"
                .get(..if version == Version::V5 { 4 } else { 15 })
                .unwrap(),
        )
        .unwrap();
        desk.client.disconnect(false, None, &[], &mut desk.sent).unwrap();
        let sent = sent(&mut desk);
        assert!(sent[0].contains("\u{FEFF}") || sent[0].contains("feff"), "{}", sent[0]);
        assert!(sent.last().unwrap().starts_with("Disconnect("), "{sent:?}");
    }
}

#[test]
fn every_message_is_acknowledged_as_its_qos_asks_and_in_order() {
    for (version, end) in [(Version::V311, &b""[..]), (Version::V5, b"\x00")] {
        let publish = |first: u8, id: Option<u8>| {
            let id: &[u8] = match &id {
                Some(id) => &[0, *id],
                None => &[],
            };
            let mut packet = vec![first, (3 + id.len() + end.len()) as u8, 0, 1, b'a'];
            packet.extend([id, end].concat());
            packet
        };
        let came = [
            publish(0x32, Some(9)),
            publish(0x34, Some(3)),
            publish(0x30, None),
            publish(0x32, Some(7)),
            publish(0x34, Some(1)),
        ];
        let answers = b"\x40\x02\x00\x09\x50\x02\x00\x03\x40\x02\x00\x07\x50\x02\x00\x01";
        let mut desk = Desk::connected(options(version));
        desk.receive(&came.concat()).unwrap();
        assert_eq!(desk.take_sent(), answers);

        let by_hand = ClientOptions { acknowledge_by_hand: true, ..options(version) };
        let mut desk = Desk::connected(by_hand);
        desk.receive(&came.concat()).unwrap();
        let messages: Vec<_> = (0..5).map(|_| desk.message()).collect();
        for message in messages.iter().rev() {
            assert!(desk.sent.is_empty(), "an older message is not acknowledged yet");
            desk.client.acknowledge(message, desk.now, &mut desk.sent).unwrap();
        }
        assert_eq!(desk.take_sent(), answers);
    }
}

#[test]
fn an_acknowledgement_frees_the_packet_id_of_a_message() {
    for (version, end) in [(Version::V311, &b""[..]), (Version::V5, b"\x00")] {
        let mut desk = Desk::connected(options(version));
        let first = [&[0x32, 5 + end.len() as u8, 0, 1, b'a', 0, 5][..], end].concat();
        let again = [&[0x3A, 5 + end.len() as u8, 0, 1, b'a', 0, 5][..], end].concat();
        desk.receive(&[&first[..], &again].concat()).unwrap();
        desk.message();
        desk.message();
        assert_eq!(desk.take_sent(), b"\x40\x02\x00\x05\x40\x02\x00\x05");
        let exactly = [&[0x34, 5 + end.len() as u8, 0, 1, b'a', 0, 6][..], end].concat();
        desk.receive(&[&exactly[..], &exactly, b"\x62\x02\x00\x06", &exactly].concat()).unwrap();
        desk.message();
        desk.message();
        assert!(desk.client.next_event().is_none());
        assert_eq!(desk.take_sent(), b"\x50\x02\x00\x06\x50\x02\x00\x06\x70\x02\x00\x06\x50\x02\x00\x06");
    }
}

#[test]
fn releases_go_in_the_order_of_the_receipts() {
    for version in LATER {
        let mut desk = Desk::connected(options(version));
        for _ in 0..3 {
            desk.publish("a", "", Qos::ExactlyOnce).unwrap();
        }
        desk.take_sent();
        desk.receive(b"\x50\x02\x00\x02\x50\x02\x00\x01\x50\x02\x00\x03").unwrap();
        assert_eq!(desk.take_sent(), b"\x62\x02\x00\x02\x62\x02\x00\x01\x62\x02\x00\x03");
    }
}

#[test]
fn what_is_sent_again_keeps_order_and_id_and_is_marked() {
    for version in LATER {
        let kept =
            ClientOptions { clean_start: false, session_expiry: SessionExpiry::Never, ..options(version) };
        let connack: &[u8] =
            if version == Version::V5 { b"\x20\x03\x01\x00\x00" } else { b"\x20\x02\x01\x00" };
        let mut desk = Desk::connected(kept);
        for (topic, qos) in [("a", Qos::AtLeastOnce), ("b", Qos::ExactlyOnce), ("c", Qos::AtLeastOnce)] {
            desk.publish(topic, "", qos).unwrap();
        }
        assert!(sent(&mut desk).iter().all(|packet| packet.contains("duplicate: false")));
        desk.advance(Duration::from_secs(50)).unwrap();
        assert!(sent(&mut desk).is_empty(), "nothing is sent again while the connection lasts");
        desk.client.disconnected();
        desk.connect();
        desk.receive(connack).unwrap();
        let again = sent(&mut desk);
        for (packet, (topic, id)) in again.iter().zip([("a", 1), ("b", 2), ("c", 3)]) {
            assert!(packet.contains("duplicate: true") && packet.contains(&format!("topic: {topic:?}")));
            assert!(packet.contains(&format!("id: Some({id})")), "{packet}");
        }
        desk.receive(b"\x50\x02\x00\x02").unwrap();
        sent(&mut desk);
        desk.client.disconnected();
        desk.connect();
        desk.receive(connack).unwrap();
        let again = sent(&mut desk);
        assert_eq!(again.len(), 3);
        assert!(again.iter().all(|packet| !packet.contains("topic: \"b\"")), "it was received already");
        assert!(again[0].starts_with("PubRel"), "{again:?}");
    }
}

#[test]
fn a_publish_that_was_refused_is_not_sent_again() {
    let kept =
        ClientOptions { clean_start: false, session_expiry: SessionExpiry::Never, ..options(Version::V5) };
    let mut desk = Desk::connected(kept);
    desk.publish("a", "", Qos::AtLeastOnce).unwrap();
    desk.publish("b", "", Qos::ExactlyOnce).unwrap();
    desk.receive(b"\x40\x03\x00\x01\x87\x50\x03\x00\x02\x97").unwrap();
    desk.client.disconnected();
    desk.take_sent();
    desk.connect();
    desk.receive(b"\x20\x03\x01\x00\x00").unwrap();
    assert!(desk.sent.is_empty());
}

#[test]
fn what_the_server_does_not_offer_is_not_sent_from_the_queue_either() {
    let connack = b"\x20\x0C\x00\x00\x09\x24\x01\x25\x00\x27\x00\x00\x00\x14";
    let mut desk = Desk::new(options(Version::V5));
    let retained = Publish { retain: true, ..message("r", Qos::AtLeastOnce) };
    desk.publish("a", "", Qos::ExactlyOnce).unwrap();
    desk.client.publish(retained, desk.now, &mut desk.sent).unwrap();
    desk.publish("l", &"x".repeat(20), Qos::AtLeastOnce).unwrap();
    desk.publish("ok", "", Qos::AtLeastOnce).unwrap();
    desk.connect();
    desk.receive(connack).unwrap();
    assert!(matches!(desk.event(), ClientEvent::Connected(_)));
    for code in
        [ReasonCode::QOS_NOT_SUPPORTED, ReasonCode::RETAIN_NOT_SUPPORTED, ReasonCode::PACKET_TOO_LARGE]
    {
        assert!(matches!(desk.event(), ClientEvent::Published(_, why) if why == code));
    }
    let packets = sent(&mut desk);
    assert!(packets.len() == 1 && packets[0].contains("topic: \"ok\""), "{packets:?}");
}

#[test]
fn a_full_window_holds_up_publishes_only() {
    let mut desk = Desk::new(options(Version::V5));
    desk.connect();
    desk.receive(b"\x20\x06\x00\x00\x03\x21\x00\x01").unwrap();
    desk.publish("a", "", Qos::ExactlyOnce).unwrap();
    desk.publish("b", "", Qos::AtLeastOnce).unwrap();
    assert_eq!(sent(&mut desk).len(), 1);
    desk.client.subscribe(&[filter("a")], None, &[], desk.now, &mut desk.sent).unwrap();
    desk.receive(b"\x32\x06\x00\x01a\x00\x05\x00").unwrap();
    desk.advance(Duration::from_secs(59)).unwrap();
    let kinds: Vec<_> = sent(&mut desk).iter().map(|packet| packet[..6].to_owned()).collect();
    assert_eq!(kinds, ["Subscr", "PubAck", "PingRe"]);
    desk.receive(b"\x50\x02\x00\x01").unwrap();
    assert_eq!(desk.take_sent(), b"\x62\x02\x00\x01", "the first one is not complete");
    desk.receive(b"\x70\x02\x00\x01").unwrap();
    assert_eq!(sent(&mut desk).len(), 1);
}

#[test]
fn topic_aliases_end_with_their_connection() {
    let mut desk = Desk::connected(options(Version::V5));
    desk.receive(b"\x30\x07\x00\x01a\x03\x23\x00\x10").unwrap();
    desk.client.disconnected();
    desk.connect();
    desk.receive(b"\x20\x03\x00\x00\x00").unwrap();
    assert!(desk.receive(b"\x30\x06\x00\x00\x03\x23\x00\x10").is_err());
}

#[test]
fn a_server_that_sends_more_than_it_may_is_left() {
    for by_hand in [true, false] {
        let options =
            ClientOptions { receive_maximum: 1, acknowledge_by_hand: by_hand, ..options(Version::V5) };
        let mut desk = Desk::connected(options);
        desk.receive(b"\x34\x06\x00\x01a\x00\x05\x00").unwrap();
        assert!(desk.receive(b"\x34\x06\x00\x01a\x00\x06\x00").is_err());
        assert!(!desk.client.is_connected());
    }
    let mut desk = Desk::connected(ClientOptions { packet_maximum: 10, ..options(Version::V5) });
    assert!(desk.receive(b"\x30\x0B\x00\x01a").is_err());
    assert_eq!(desk.take_sent(), b"\xE0\x01\x95");
}

#[test]
fn a_server_of_mqtt_5_is_told_what_it_did_wrong() {
    for (packet, code) in [(&b"\xC1\x00"[..], 0x81), (b"\xC0\x00", 0x82), (b"\x30\x04\x00\x01#\x00", 0x81)] {
        let mut desk = Desk::connected(options(Version::V5));
        desk.receive(packet).unwrap_err();
        let said = desk.take_sent();
        assert!(said == [0xE0, 1, code] || said == [0xE0, 1, 0x82], "{said:02X?}");
        assert!(!desk.client.is_connected());
    }
}

#[test]
fn nothing_is_sent_after_a_disconnect() {
    for version in VERSIONS {
        let mut desk = Desk::connected(options(version));
        desk.client.disconnect(false, None, &[], &mut desk.sent).unwrap();
        assert_eq!(desk.take_sent(), b"\xE0\x00");
        let _ = desk.publish("a", "", Qos::AtMostOnce);
        let _ = desk.publish("a", "", Qos::AtLeastOnce);
        let _ = desk.client.subscribe(&[filter("a")], None, &[], desk.now, &mut desk.sent);
        let _ = desk.client.disconnect(false, None, &[], &mut desk.sent);
        desk.receive(b"\x32\x05\x00\x01a\x00\x05").unwrap_err();
        desk.advance(Duration::from_secs(100)).unwrap();
        assert!(desk.sent.is_empty());
    }
}

#[test]
fn a_session_that_was_to_end_is_not_kept_at_the_end() {
    let mut desk = Desk::connected(options(Version::V5));
    assert!(misuse(desk.client.disconnect(false, Some(SessionExpiry::Never), &[], &mut desk.sent)));
    assert!(desk.sent.is_empty() && desk.client.is_connected());
}

#[test]
fn authentication_keeps_to_the_method_of_the_connect() {
    let step = |method: &str| EnhancedAuthentication { method: method.into(), data: "1".into() };
    let mut desk = Desk::connected(options(Version::V5));
    assert!(misuse(desk.client.authenticate(&step("M"), desk.now, &mut desk.sent)));
    assert!(misuse(desk.client.reauthenticate(&step("M"), desk.now, &mut desk.sent)));
    let with_method = ClientOptions { authentication: Some(step("M")), ..options(Version::V5) };
    let mut desk = Desk::new(with_method);
    assert!(
        desk.client.authenticate(&step("M"), desk.now, &mut desk.sent).is_err(),
        "there is no connection"
    );
    desk.connect();
    assert!(misuse(desk.client.authenticate(&step("N"), desk.now, &mut desk.sent)));
    assert!(desk.client.reauthenticate(&step("M"), desk.now, &mut desk.sent).is_err(), "not connected yet");
    assert!(desk.sent.is_empty());
    desk.client.authenticate(&step("M"), desk.now, &mut desk.sent).unwrap();
    assert_eq!(desk.take_sent(), b"\xF0\x0A\x18\x08\x15\x00\x01M\x16\x00\x011");
    desk.receive(b"\x20\x07\x00\x00\x04\x15\x00\x01M").unwrap();
    assert!(misuse(desk.client.reauthenticate(&step("N"), desk.now, &mut desk.sent)));
    desk.client.reauthenticate(&step("M"), desk.now, &mut desk.sent).unwrap();
    assert_eq!(desk.take_sent(), b"\xF0\x0A\x19\x08\x15\x00\x01M\x16\x00\x011");
}
