use bus::Qos;

use super::*;

const PUBLISH: Publish<'_> = Publish {
    dup: true,
    qos: PublishQos::Session(Qos::ExactlyOnce),
    retain: true,
    topic: TopicId::Normal(0x0102),
    msg_id: 0x0304,
    data: b"hi",
};

/// Every message with its bytes.
const MESSAGES: [(Packet<'_>, &[u8]); 46] = [
    (Packet::Advertise { gateway: 9, duration: 900 }, &[5, 0x00, 9, 3, 0x84]),
    (Packet::SearchGw { radius: 2 }, &[3, 0x01, 2]),
    (Packet::GwInfo { gateway: 9, address: &[] }, &[3, 0x02, 9]),
    (Packet::GwInfo { gateway: 9, address: &[1, 2] }, &[5, 0x02, 9, 1, 2]),
    (
        Packet::Connect(Connect {
            will: true,
            clean_session: true,
            protocol_id: 1,
            duration: 60,
            client_id: "c1",
        }),
        &[8, 0x04, 0x0C, 1, 0, 60, b'c', b'1'],
    ),
    (Packet::ConnAck(ReturnCode::Accepted), &[3, 0x05, 0]),
    (Packet::ConnAck(ReturnCode::Congestion), &[3, 0x05, 1]),
    (Packet::WillTopicReq, &[2, 0x06]),
    (Packet::WillTopic(None), &[2, 0x07]),
    (
        Packet::WillTopic(Some(WillTopic { qos: Qos::AtLeastOnce, retain: true, topic: "w" })),
        &[4, 0x07, 0x30, b'w'],
    ),
    (Packet::WillMsgReq, &[2, 0x08]),
    (Packet::WillMsg(b"bye"), &[5, 0x09, b'b', b'y', b'e']),
    (Packet::WillMsg(b""), &[2, 0x09]),
    (Packet::Register { topic_id: 1, msg_id: 2, topic: "a" }, &[7, 0x0A, 0, 1, 0, 2, b'a']),
    (Packet::RegAck { topic_id: 1, msg_id: 2, code: ReturnCode::InvalidTopicId }, &[7, 0x0B, 0, 1, 0, 2, 2]),
    (Packet::Publish(PUBLISH), &[9, 0x0C, 0xD0, 1, 2, 3, 4, b'h', b'i']),
    (
        Packet::Publish(Publish { topic: TopicId::Predefined(0x0102), ..PUBLISH }),
        &[9, 0x0C, 0xD1, 1, 2, 3, 4, b'h', b'i'],
    ),
    (
        Packet::Publish(Publish { topic: TopicId::Short(*b"ab"), ..PUBLISH }),
        &[9, 0x0C, 0xD2, b'a', b'b', 3, 4, b'h', b'i'],
    ),
    (
        Packet::Publish(Publish { topic: TopicId::Reserved(0x0102), ..PUBLISH }),
        &[9, 0x0C, 0xD3, 1, 2, 3, 4, b'h', b'i'],
    ),
    (
        Packet::Publish(Publish {
            dup: false,
            qos: PublishQos::MinusOne,
            retain: false,
            data: b"",
            ..PUBLISH
        }),
        &[7, 0x0C, 0x60, 1, 2, 3, 4],
    ),
    (Packet::PubAck { topic_id: 1, msg_id: 2, code: ReturnCode::NotSupported }, &[7, 0x0D, 0, 1, 0, 2, 3]),
    (Packet::PubAck { topic_id: 1, msg_id: 2, code: ReturnCode::Reserved(9) }, &[7, 0x0D, 0, 1, 0, 2, 9]),
    (Packet::PubComp { msg_id: 0x0102 }, &[4, 0x0E, 1, 2]),
    (Packet::PubRec { msg_id: 0x0102 }, &[4, 0x0F, 1, 2]),
    (Packet::PubRel { msg_id: 0x0102 }, &[4, 0x10, 1, 2]),
    (
        Packet::Subscribe(Subscribe {
            dup: true,
            qos: Some(Qos::AtLeastOnce),
            msg_id: 5,
            topic: TopicFilter::Name("a/#"),
        }),
        &[8, 0x12, 0xA0, 0, 5, b'a', b'/', b'#'],
    ),
    (
        Packet::Subscribe(Subscribe {
            dup: false,
            qos: Some(Qos::AtMostOnce),
            msg_id: 5,
            topic: TopicFilter::Predefined(7),
        }),
        &[7, 0x12, 0x01, 0, 5, 0, 7],
    ),
    (
        Packet::Subscribe(Subscribe { dup: false, qos: None, msg_id: 5, topic: TopicFilter::Short(*b"ab") }),
        &[7, 0x12, 0x62, 0, 5, b'a', b'b'],
    ),
    (
        Packet::Subscribe(Subscribe { dup: false, qos: None, msg_id: 5, topic: TopicFilter::Reserved(b"?") }),
        &[6, 0x12, 0x63, 0, 5, b'?'],
    ),
    (
        Packet::SubAck { qos: Qos::ExactlyOnce, topic_id: 1, msg_id: 2, code: ReturnCode::Accepted },
        &[8, 0x13, 0x40, 0, 1, 0, 2, 0],
    ),
    (
        Packet::Unsubscribe(Unsubscribe { msg_id: 5, topic: TopicFilter::Name("a") }),
        &[6, 0x14, 0, 0, 5, b'a'],
    ),
    (
        Packet::Unsubscribe(Unsubscribe { msg_id: 5, topic: TopicFilter::Predefined(7) }),
        &[7, 0x14, 1, 0, 5, 0, 7],
    ),
    (
        Packet::Unsubscribe(Unsubscribe { msg_id: 5, topic: TopicFilter::Short(*b"ab") }),
        &[7, 0x14, 2, 0, 5, b'a', b'b'],
    ),
    (Packet::UnsubAck { msg_id: 0x0102 }, &[4, 0x15, 1, 2]),
    (Packet::PingReq { client_id: None }, &[2, 0x16]),
    (Packet::PingReq { client_id: Some("c1") }, &[4, 0x16, b'c', b'1']),
    (Packet::PingResp, &[2, 0x17]),
    (Packet::Disconnect { duration: None }, &[2, 0x18]),
    (Packet::Disconnect { duration: Some(300) }, &[4, 0x18, 1, 44]),
    (Packet::WillTopicUpd(None), &[2, 0x1A]),
    (
        Packet::WillTopicUpd(Some(WillTopic { qos: Qos::ExactlyOnce, retain: false, topic: "w" })),
        &[4, 0x1A, 0x40, b'w'],
    ),
    (Packet::WillTopicResp(ReturnCode::Accepted), &[3, 0x1B, 0]),
    (Packet::WillMsgUpd(b"bye"), &[5, 0x1C, b'b', b'y', b'e']),
    (Packet::WillMsgResp(ReturnCode::NotSupported), &[3, 0x1D, 3]),
    (
        Packet::Encapsulated { ctrl: 1, node: &[0xAA, 0xBB], message: &[2, 0x16] },
        &[5, 0xFE, 1, 0xAA, 0xBB, 2, 0x16],
    ),
    (Packet::Encapsulated { ctrl: 0, node: &[], message: &[] }, &[3, 0xFE, 0]),
];

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = Vec::new();
    packet.encode(&mut buffer).unwrap();
    buffer
}

#[test]
fn every_message_has_its_bytes_and_the_bytes_their_message() {
    for (packet, bytes) in MESSAGES {
        assert_eq!(encode(&packet), bytes, "{packet:?}");
        assert_eq!(decode(bytes), Ok(packet));
        assert_eq!(packet.encoded_length(), bytes.len(), "{packet:?}");
    }
}

#[test]
fn the_length_field_grows_to_three_octets_with_256_octets() {
    for (data, total, start) in
        [(248, 255, [255, 0x0C, 0xD0, 1]), (249, 258, [1, 1, 2, 0x0C]), (65_527, 65_535 + 1, [0; 4])]
    {
        let data = vec![b'x'; data];
        let packet = Packet::Publish(Publish { data: &data, ..PUBLISH });
        let mut buffer = vec![];
        assert_eq!(packet.encoded_length(), total);
        if total > 65_535 {
            assert_eq!(packet.encode(&mut buffer), Err(TooLong));
            assert!(buffer.is_empty());
        } else {
            packet.encode(&mut buffer).unwrap();
            assert_eq!((buffer.len(), &buffer[..4]), (total, &start[..]));
            assert_eq!(decode(&buffer), Ok(packet));
        }
    }
}

#[test]
fn the_long_length_field_may_say_a_short_length() {
    assert_eq!(decode(&[1, 0, 4, 0x17]), Ok(Packet::PingResp));
}

#[test]
fn a_will_topic_of_flags_alone_removes_the_will() {
    assert_eq!(decode(&[3, 0x07, 0]), Ok(Packet::WillTopic(None)));
}

#[test]
fn what_is_wrong_is_told() {
    let cases: [(&[u8], DecodeError); 18] = [
        (&[], DecodeError::Truncated),
        (&[0], DecodeError::Length),
        (&[2], DecodeError::Truncated),
        (&[1, 0], DecodeError::Truncated),
        (&[1, 0, 4], DecodeError::Truncated),
        (&[3, 0x17], DecodeError::Truncated),
        (&[2, 0x17, 0], DecodeError::Length),
        (&[3, 0x17, 0], DecodeError::Trailing),
        (&[3, 0x18, 0], DecodeError::Truncated),
        (&[5, 0x18, 0, 0, 0], DecodeError::Trailing),
        (&[2, 0x03], DecodeError::Type(0x03)),
        (&[2, 0xFD], DecodeError::Type(0xFD)),
        (&[5, 0x0C, 0, 0, 1], DecodeError::Truncated),
        (&[4, 0x16, 0xC3, 0x28], DecodeError::NotUtf8),
        (&[4, 0x07, 0x60, b'w'], DecodeError::WillQos),
        (&[2, 0xFE, 0], DecodeError::Length),
        (&[9, 0xFE, 0, 1], DecodeError::Truncated),
        (&[1, 0, 5, 0xFE, 0], DecodeError::Length),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn no_prefix_and_no_changed_octet_panics_and_what_decodes_encodes_to_as_much() {
    for (_, bytes) in MESSAGES {
        for end in 0..bytes.len() {
            let _ = decode(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for octet in 0..=255 {
                let mut changed = bytes.to_vec();
                changed[at] = octet;
                if let Ok(packet) = decode(&changed) {
                    assert_eq!(decode(&encode(&packet)), Ok(packet), "{changed:?}");
                }
            }
        }
    }
}
