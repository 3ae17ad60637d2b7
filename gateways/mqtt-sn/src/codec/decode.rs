use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::combinator::rest;
use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{be_u8, be_u16};

use super::flags::{Flags, NAME, PREDEFINED, SHORT};
use crate::codec::{
    Connect, Packet, Publish, ReturnCode, Subscribe, TopicFilter, TopicId, Unsubscribe, WillTopic,
};

/// Why bytes are no message of MQTT-SN 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before its last field does.
    #[error("is cut short")]
    Truncated,
    /// Its length field is not its length.
    #[error("has a length field that does not fit")]
    Length,
    /// There are octets behind its last field.
    #[error("has octets behind its last field")]
    Trailing,
    /// There is no such message type.
    #[error("has the unknown message type {0:#04x}")]
    Type(u8),
    /// A name in it is not UTF-8.
    #[error("has a name that is not UTF-8")]
    NotUtf8,
    /// The will has QoS -1.
    #[error("has a will with QoS -1")]
    WillQos,
}

/// Decodes one datagram, which must hold exactly one message.
pub fn decode(datagram: &[u8]) -> Result<Packet<'_>, DecodeError> {
    match message(datagram) {
        Ok((_, packet)) => Ok(packet),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error),
        Err(nom::Err::Incomplete(_)) => Err(DecodeError::Truncated),
    }
}

fn message(datagram: &[u8]) -> Parsed<'_, Packet<'_>> {
    let (behind_length, length) = length(datagram)?;
    let (body, kind) = be_u8(behind_length)?;
    if kind == 0xFE {
        return encapsulated(datagram, length, body);
    }
    if length != datagram.len() {
        return fail(if length > datagram.len() { DecodeError::Truncated } else { DecodeError::Length });
    }
    let (left, packet) = fields(kind, body)?;
    if left.is_empty() { Ok((left, packet)) } else { fail(DecodeError::Trailing) }
}

/// One octet, or 0x01 and two octets; it counts itself [5.2.1].
fn length(input: &[u8]) -> Parsed<'_, usize> {
    let (input, first) = be_u8(input)?;
    match first {
        0 => fail(DecodeError::Length),
        1 => be_u16.map(usize::from).parse(input),
        length => Ok((input, length.into())),
    }
}

/// Its length is one octet and counts up to the end of the node id [5.5].
fn encapsulated<'a>(datagram: &[u8], length: usize, body: &'a [u8]) -> Parsed<'a, Packet<'a>> {
    let header = datagram.len() - body.len();
    let node_length = length.checked_sub(header + 1).filter(|_| header == 2);
    let node_length = node_length.ok_or(nom::Err::Failure(DecodeError::Length))?;
    (be_u8, take(node_length), rest)
        .map(|(ctrl, node, message)| Packet::Encapsulated { ctrl, node, message })
        .parse(body)
}

fn fields(kind: u8, body: &[u8]) -> Parsed<'_, Packet<'_>> {
    match kind {
        0x00 => {
            (be_u8, be_u16).map(|(gateway, duration)| Packet::Advertise { gateway, duration }).parse(body)
        }
        0x01 => be_u8.map(|radius| Packet::SearchGw { radius }).parse(body),
        0x02 => (be_u8, rest).map(|(gateway, address)| Packet::GwInfo { gateway, address }).parse(body),
        0x04 => connect(body),
        0x05 => code.map(Packet::ConnAck).parse(body),
        0x06 => Ok((body, Packet::WillTopicReq)),
        0x07 => will_topic.map(Packet::WillTopic).parse(body),
        0x08 => Ok((body, Packet::WillMsgReq)),
        0x09 => rest.map(Packet::WillMsg).parse(body),
        0x0A => (be_u16, be_u16, name)
            .map(|(topic_id, msg_id, topic)| Packet::Register { topic_id, msg_id, topic })
            .parse(body),
        0x0B => (be_u16, be_u16, code)
            .map(|(topic_id, msg_id, code)| Packet::RegAck { topic_id, msg_id, code })
            .parse(body),
        0x0C => publish(body),
        0x0D => (be_u16, be_u16, code)
            .map(|(topic_id, msg_id, code)| Packet::PubAck { topic_id, msg_id, code })
            .parse(body),
        0x0E => be_u16.map(|msg_id| Packet::PubComp { msg_id }).parse(body),
        0x0F => be_u16.map(|msg_id| Packet::PubRec { msg_id }).parse(body),
        0x10 => be_u16.map(|msg_id| Packet::PubRel { msg_id }).parse(body),
        0x12 => subscribe(body),
        0x13 => (flags, be_u16, be_u16, code)
            .map(|(flags, topic_id, msg_id, code)| Packet::SubAck {
                qos: flags.qos().unwrap_or_default(),
                topic_id,
                msg_id,
                code,
            })
            .parse(body),
        0x14 => unsubscribe(body),
        0x15 => be_u16.map(|msg_id| Packet::UnsubAck { msg_id }).parse(body),
        0x16 => {
            let (left, client_id) = name(body)?;
            Ok((left, Packet::PingReq { client_id: (!client_id.is_empty()).then_some(client_id) }))
        }
        0x17 => Ok((body, Packet::PingResp)),
        0x18 if body.is_empty() => Ok((body, Packet::Disconnect { duration: None })),
        0x18 => be_u16.map(|duration| Packet::Disconnect { duration: Some(duration) }).parse(body),
        0x1A => will_topic.map(Packet::WillTopicUpd).parse(body),
        0x1B => code.map(Packet::WillTopicResp).parse(body),
        0x1C => rest.map(Packet::WillMsgUpd).parse(body),
        0x1D => code.map(Packet::WillMsgResp).parse(body),
        kind => fail(DecodeError::Type(kind)),
    }
}

fn connect(body: &[u8]) -> Parsed<'_, Packet<'_>> {
    (flags, be_u8, be_u16, name)
        .map(|(flags, protocol_id, duration, client_id)| {
            Packet::Connect(Connect {
                will: flags.will(),
                clean_session: flags.clean_session(),
                protocol_id,
                duration,
                client_id,
            })
        })
        .parse(body)
}

/// Empty, or flags without a topic, removes the will [5.4.7].
fn will_topic(body: &[u8]) -> Parsed<'_, Option<WillTopic<'_>>> {
    if body.is_empty() {
        return Ok((body, None));
    }
    let (left, (flags, topic)) = (flags, name).parse(body)?;
    if topic.is_empty() {
        return Ok((left, None));
    }
    let qos = flags.qos().ok_or(nom::Err::Failure(DecodeError::WillQos))?;
    Ok((left, Some(WillTopic { qos, retain: flags.retain(), topic })))
}

fn publish(body: &[u8]) -> Parsed<'_, Packet<'_>> {
    (flags, be_u16, be_u16, rest)
        .map(|(flags, topic, msg_id, data)| {
            Packet::Publish(Publish {
                dup: flags.dup(),
                qos: flags.publish_qos(),
                retain: flags.retain(),
                topic: match flags.topic_id_type() {
                    NAME => TopicId::Normal(topic),
                    PREDEFINED => TopicId::Predefined(topic),
                    SHORT => TopicId::Short(topic.to_be_bytes()),
                    _ => TopicId::Reserved(topic),
                },
                msg_id,
                data,
            })
        })
        .parse(body)
}

fn subscribe(body: &[u8]) -> Parsed<'_, Packet<'_>> {
    let (body, (flags, msg_id)) = (flags, be_u16).parse(body)?;
    let (left, topic) = topic_filter(flags, body)?;
    Ok((left, Packet::Subscribe(Subscribe { dup: flags.dup(), qos: flags.qos(), msg_id, topic })))
}

fn unsubscribe(body: &[u8]) -> Parsed<'_, Packet<'_>> {
    let (body, (flags, msg_id)) = (flags, be_u16).parse(body)?;
    let (left, topic) = topic_filter(flags, body)?;
    Ok((left, Packet::Unsubscribe(Unsubscribe { msg_id, topic })))
}

fn topic_filter(flags: Flags, body: &[u8]) -> Parsed<'_, TopicFilter<'_>> {
    match flags.topic_id_type() {
        NAME => name.map(TopicFilter::Name).parse(body),
        PREDEFINED => be_u16.map(TopicFilter::Predefined).parse(body),
        SHORT => be_u16.map(|name| TopicFilter::Short(name.to_be_bytes())).parse(body),
        _ => rest.map(TopicFilter::Reserved).parse(body),
    }
}

fn flags(input: &[u8]) -> Parsed<'_, Flags> {
    be_u8.map(Flags).parse(input)
}

fn code(input: &[u8]) -> Parsed<'_, ReturnCode> {
    be_u8.map(ReturnCode::from_octet).parse(input)
}

fn name(input: &[u8]) -> Parsed<'_, &str> {
    let (left, name) = rest(input)?;
    match std::str::from_utf8(name) {
        Ok(name) => Ok((left, name)),
        Err(_) => fail(DecodeError::NotUtf8),
    }
}

fn fail<T>(error: DecodeError) -> Result<T, nom::Err<DecodeError>> {
    Err(nom::Err::Failure(error))
}

type Parsed<'a, T> = IResult<&'a [u8], T, DecodeError>;

impl ParseError<&[u8]> for DecodeError {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self::Truncated
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}
