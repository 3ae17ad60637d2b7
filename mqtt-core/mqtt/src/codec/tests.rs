use super::*;
use crate::samples::{Chance, VERSIONS};

const MAX: usize = 1 << 20;

fn error(bytes: &[u8], version: Version) -> DecodeError {
    decode(bytes, version, MAX).unwrap_err()
}

#[test]
fn every_packet_is_read_as_it_was_written() {
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        for (version, last) in VERSIONS {
            for kind in 1..=last {
                chance.packet(kind, version, |packet| {
                    let mut bytes = b"before".to_vec();
                    encode(packet, version, &mut bytes).unwrap();
                    let bytes = bytes.strip_prefix(b"before").unwrap();
                    let read = decode(bytes, version, MAX);
                    assert_eq!(read, Ok(Some((packet.clone(), bytes.len()))), "seed {seed}, {bytes:02X?}");
                });
            }
        }
    }
}

#[test]
fn a_packet_is_awaited_until_it_is_whole_and_read_whatever_follows() {
    let mut chance = Chance::new(7);
    for (version, last) in VERSIONS {
        for kind in 1..=last {
            let mut bytes = chance.encoded(kind, version);
            let length = bytes.len();
            for end in 0..length {
                assert_eq!(decode(&bytes[..end], version, MAX), Ok(None), "kind {kind}, {end} of {length}");
            }
            bytes.extend_from_slice(b"\xFF\xFF");
            assert_eq!(decode(&bytes, version, MAX).unwrap().unwrap().1, length);
        }
    }
}

#[test]
fn no_changed_byte_makes_the_decoder_panic_or_read_what_it_cannot_write() {
    let mut chance = Chance::new(99);
    for (version, last) in VERSIONS {
        for kind in 1..=last {
            let original = chance.encoded(kind, version);
            for index in 0..original.len() {
                for value in
                    [0, 1, 2, 0x7F, 0x80, 0xC3, 0xED, 0xFF, original[index] ^ 1, original[index] ^ 0x10]
                {
                    let mut bytes = original.clone();
                    bytes[index] = value;
                    if let Ok(Some((packet, _))) = decode(&bytes, version, MAX) {
                        let version =
                            if let Packet::Connect(connect) = &packet { connect.version } else { version };
                        let mut again = Vec::new();
                        encode(&packet, version, &mut again).unwrap();
                        assert_eq!(decode(&again, version, MAX).unwrap().unwrap().0, packet);
                    }
                }
            }
        }
    }
}

#[test]
fn a_remaining_length_has_at_most_four_bytes_and_in_mqtt_5_no_more_than_it_needs() {
    assert_eq!(error(b"\x30\xFF\xFF\xFF\xFF\x01", Version::V311), DecodeError::VariableInteger);
    assert_eq!(error(b"\xC0\x80\x00", Version::V5), DecodeError::VariableInteger);
    assert_eq!(decode(b"\xC0\x80\x00", Version::V311, MAX), Ok(Some((Packet::PingReq, 3))));
}

#[test]
fn a_packet_above_the_limit_is_refused_before_it_is_there() {
    assert_eq!(decode(b"\x30\x80\x80\x40", Version::V311, MAX), Err(DecodeError::PacketTooLarge));
    assert_eq!(decode(b"\xC0\x00", Version::V311, 2), Ok(Some((Packet::PingReq, 2))));
    assert_eq!(decode(b"\x30\x01", Version::V311, 2), Err(DecodeError::PacketTooLarge));
}

#[test]
fn a_malformed_packet_of_any_version_is_named() {
    let cases: [(&[u8], DecodeError); 22] = [
        (b"\x00\x00", DecodeError::ReservedType),
        (b"\xC1\x00", DecodeError::FixedFlags),
        (b"\x60\x02\x00\x01", DecodeError::FixedFlags),
        (b"\x80\x06\x00\x01\x00\x01a\x00", DecodeError::FixedFlags),
        (b"\xC0\x01\x00", DecodeError::TrailingBytes),
        (b"\x36\x05\x00\x01a\x00\x01", DecodeError::Qos),
        (b"\x38\x03\x00\x01a", DecodeError::DuplicateAtMostOnce),
        (b"\x32\x05\x00\x01a\x00\x00", DecodeError::ZeroPacketId),
        (b"\x40\x02\x00\x00", DecodeError::ZeroPacketId),
        (b"\x40\x01\x00", DecodeError::Truncated),
        (b"\x40\x03\x00\x01\x00", DecodeError::TrailingBytes),
        (b"\x30\x02\x00\x00", DecodeError::NoTopic),
        (b"\x30\x03\x00\x02a", DecodeError::Truncated),
        (b"\x30\x03\x00\x01\x00", DecodeError::Nul),
        (b"\x30\x03\x00\x01\xFF", DecodeError::Utf8),
        (b"\x30\x05\x00\x03\xED\xA0\x80", DecodeError::Utf8), // the surrogate U+D800
        (b"\x30\x04\x00\x02\xC0\x80", DecodeError::Utf8),     // U+0000, longer than it may be
        (b"\x82\x02\x00\x01", DecodeError::NoEntries),
        (b"\xA2\x02\x00\x01", DecodeError::NoEntries),
        (b"\x82\x06\x00\x01\x00\x01a\x03", DecodeError::Qos),
        (b"\x82\x06\x00\x01\x00\x01a\x04", DecodeError::SubscribeOptions),
        (b"\xF0\x00", DecodeError::ReservedType),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error(bytes, Version::V311), expected, "{bytes:02X?}");
    }
}

#[test]
fn mqtt_31_lets_pass_what_its_clients_do() {
    for bytes in [
        &b"\x8A\x06\x00\x01\x00\x01a\x00"[..], // a duplicate SUBSCRIBE
        b"\x6A\x02\x00\x01",                   // a duplicate PUBREL
        b"\x38\x03\x00\x01a",                  // a duplicate of QoS 0
        b"\x10\x0F\x00\x06MQIsdp\x03\x82\x00\x00\x00\x01c", // a user name that is announced and not there
    ] {
        assert!(decode(bytes, Version::V31, MAX).unwrap().is_some(), "{bytes:02X?}");
    }
}

#[test]
fn a_malformed_connect_is_named() {
    let connect = |level: u8, flags: u8, rest: &[u8]| {
        let body = [b"\x00\x04MQTT", &[level, flags, 0, 0][..], rest].concat();
        error(&[&[0x10, body.len() as u8][..], &body].concat(), Version::V311)
    };
    assert_eq!(connect(4, 0b0000_0011, b"\x00\x01c"), DecodeError::ConnectFlags);
    assert_eq!(connect(4, 0b0100_0010, b"\x00\x01c\x00\x01p"), DecodeError::ConnectFlags);
    assert_eq!(connect(4, 0b0010_0010, b"\x00\x01c"), DecodeError::WillFlags);
    assert_eq!(connect(4, 0b0000_1010, b"\x00\x01c"), DecodeError::WillFlags);
    assert_eq!(connect(4, 0b0001_1110, b"\x00\x01c\x00\x01w\x00\x00"), DecodeError::Qos);
    assert_eq!(connect(4, 2, b"\x00\x01cX"), DecodeError::TrailingBytes);
    assert_eq!(connect(4, 2, b"\x00\x02c"), DecodeError::Truncated);
    assert_eq!(connect(6, 2, b"\x00\x01c"), DecodeError::ProtocolLevel);
    assert_eq!(connect(3, 2, b"\x00\x01c"), DecodeError::ProtocolLevel);
    assert_eq!(
        error(b"\x10\x0D\x00\x04mqtt\x04\x02\x00\x0A\x00\x01c", Version::V311),
        DecodeError::ProtocolName
    );
    assert_eq!(
        error(b"\x11\x0D\x00\x04MQTT\x04\x02\x00\x0A\x00\x01c", Version::V311),
        DecodeError::FixedFlags
    );
}

/// A PUBLISH of MQTT 5 to `a` with these properties.
fn publish_with(properties: &[u8]) -> Result<(), DecodeError> {
    let body = [b"\x00\x01a", &[properties.len() as u8][..], properties].concat();
    decode(&[&[0x30, body.len() as u8][..], &body].concat(), Version::V5, MAX)
        .map(|read| assert!(read.is_some()))
}

#[test]
fn a_property_is_checked_wherever_it_stands() {
    assert_eq!(publish_with(b"\x01\x01"), Ok(()));
    assert_eq!(publish_with(b"\x0B\x01\x0B\x01\x26\x00\x01a\x00\x00\x26\x00\x01a\x00\x00"), Ok(()));
    let cases: [(&[u8], DecodeError); 14] = [
        (b"\x01\x02", DecodeError::PropertyValue),
        (b"\x01\x01\x01\x01", DecodeError::PropertyRepeated),
        (b"\x0B\x00", DecodeError::PropertyValue),
        (b"\x0B\x80\x00", DecodeError::VariableInteger),
        (b"\x0B\xFF\xFF\xFF\xFF\x7F", DecodeError::VariableInteger),
        (b"\x23\x00\x00", DecodeError::TopicAlias),
        (b"\x08\x00\x01#", DecodeError::PropertyValue),
        (b"\x08\x00\x00", DecodeError::PropertyValue),
        (b"\x11\x00\x00\x00\x01", DecodeError::PropertyNotAllowed),
        (b"\x1F\x00\x00", DecodeError::PropertyNotAllowed),
        (b"\x04", DecodeError::PropertyUnknown),
        (b"\x81\x00", DecodeError::PropertyUnknown),
        (b"\x02\x00\x00", DecodeError::Truncated),
        (b"\x26\x00\x01a", DecodeError::Truncated),
    ];
    for (properties, expected) in cases {
        assert_eq!(publish_with(properties), Err(expected), "{properties:02X?}");
    }
    assert_eq!(error(b"\x30\x04\x00\x01a\x7F", Version::V5), DecodeError::Truncated);
}

#[test]
fn what_only_mqtt_5_has_is_checked_there() {
    let cases: [(&[u8], DecodeError); 9] = [
        (b"\x40\x03\x00\x01\x42", DecodeError::ReasonCode),
        (b"\x62\x03\x00\x01\x87", DecodeError::ReasonCode),
        (b"\x40\x05\x00\x01\x00\x00\x00", DecodeError::TrailingBytes),
        (b"\xE0\x01\x05", DecodeError::ReasonCode),
        (b"\xF0\x01\x01", DecodeError::ReasonCode),
        (b"\xF0\x06\x18\x04\x16\x00\x01d", DecodeError::NoMethod),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x40", DecodeError::SubscribeOptions),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x30", DecodeError::RetainHandling),
        (b"\x30\x03\x00\x00\x00", DecodeError::NoTopic),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error(bytes, Version::V5), expected, "{bytes:02X?}");
    }
    let zeroes: [&[u8]; 2] = [b"\x21\x00\x00", b"\x27\x00\x00\x00\x00"];
    for property in zeroes {
        let body =
            [b"\x00\x04MQTT\x05\x02\x00\x00", &[property.len() as u8][..], property, b"\x00\x01c"].concat();
        let bytes = [&[0x10, body.len() as u8][..], &body].concat();
        assert_eq!(error(&bytes, Version::V5), DecodeError::PropertyValue, "{property:02X?}");
    }
}

#[test]
fn what_cannot_be_written_leaves_the_buffer_as_it_was() {
    let mut out = b"x".to_vec();
    let long = "a".repeat(65_536);
    let publish = Publish {
        duplicate: false,
        qos: bus::Qos::AtMostOnce,
        retain: false,
        topic: &long,
        id: None,
        properties: Properties::NONE,
        payload: b"",
    };
    assert_eq!(encode(&Packet::Publish(publish), Version::V5, &mut out), Err(EncodeError::FieldTooLong));
    let auth = Auth { code: ReasonCode::SUCCESS, properties: Properties::NONE };
    assert_eq!(encode(&Packet::Auth(auth), Version::V311, &mut out), Err(EncodeError::NotInVersion));
    assert_eq!(out, b"x");
}
