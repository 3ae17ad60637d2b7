use bus::{Qos, RetainHandling, SubscribeOptions};

use super::connect::connect;
use super::packet::Kind;
use super::property::Place;
use super::read::{Reader, Variable, text, variable};
use super::{
    Ack, Auth, ConnAck, DecodeError, Disconnect, Packet, PacketId, Properties, Property, Publish, ReasonCode,
    SubAck, Subscribe, Unsubscribe, Version,
};

/// Reads the first packet of `input` and tells how many bytes it takes; `None` if it is not complete.
///
/// A CONNECT says its own version, whatever `version` is. A packet of more than `max` bytes is refused as soon
/// as its length is known.
pub fn decode(
    input: &[u8],
    version: Version,
    max: usize,
) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some(frame) = Frame::find(input, version, max)? else { return Ok(None) };
    Ok(Some((frame.packet(version)?, frame.length)))
}

/// A whole packet, of which only the fixed header was read.
pub(crate) struct Frame<'a> {
    kind: Kind,
    flags: u8,
    /// Whether the remaining length has no more bytes than it needs.
    minimal: bool,
    /// All bytes of the packet.
    pub(crate) length: usize,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first packet of `input`; `None` if it is not complete.
    pub(crate) fn find(input: &'a [u8], version: Version, max: usize) -> Result<Option<Self>, DecodeError> {
        let Some((first, rest)) = input.split_first() else { return Ok(None) };
        let kind = Kind::of(*first, version).ok_or(DecodeError::ReservedType)?;
        let Some(Variable { value, length, minimal }) = variable(rest)? else { return Ok(None) };
        let end = 1 + length + value as usize;
        if end > max {
            return Err(DecodeError::PacketTooLarge);
        }
        let Some(body) = input.get(1 + length..end) else { return Ok(None) };
        Ok(Some(Self { kind, flags: first & 0x0F, minimal, length: end, body }))
    }

    pub(crate) fn is_publish(&self) -> bool {
        self.kind == Kind::Publish
    }

    /// The PUBLISH that it is; most packets are, and go without the detour of a [`Packet`]. A topic name that is
    /// `known` is not checked again.
    pub(crate) fn publish(
        &self,
        version: Version,
        known: Option<&'a str>,
    ) -> Result<Publish<'a>, DecodeError> {
        self.check_length(version)?;
        publish(self.flags, &mut Reader::new(self.body), version, known)
    }

    /// What a PUBACK, PUBREC, PUBREL or PUBCOMP acknowledges that says no more than that; most do.
    pub(crate) fn bare_ack(&self, version: Version) -> Option<(Kind, PacketId)> {
        let is_ack = matches!(self.kind, Kind::PubAck | Kind::PubRec | Kind::PubRel | Kind::PubComp);
        let [high, low] = self.body else { return None };
        let is_right = is_ack && self.minimal && fixed_flags_are_right(self.kind, self.flags, version);
        let id = PacketId::new(u16::from_be_bytes([*high, *low]))?;
        is_right.then_some((self.kind, id))
    }

    pub(crate) fn packet(&self, version: Version) -> Result<Packet<'a>, DecodeError> {
        if self.is_publish() {
            return self.publish(version, None).map(Packet::Publish);
        }
        let mut body = Reader::new(self.body);
        let packet = other(self.kind, &mut body, version)?;
        body.end()?;
        let version = if let Packet::Connect(connect) = &packet { connect.version } else { version };
        if !fixed_flags_are_right(self.kind, self.flags, version) {
            return Err(DecodeError::FixedFlags); // [MQTT-2.1.3-1]
        }
        self.check_length(version)?;
        Ok(packet)
    }

    /// MQTT 3 has no such rule.
    fn check_length(&self, version: Version) -> Result<(), DecodeError> {
        if !self.minimal && version == Version::V5 {
            return Err(DecodeError::VariableInteger); // [MQTT-1.5.5-1]
        }
        Ok(())
    }
}

/// MQTT 3.1 gives these bits no meaning, and its clients set the duplicate flag in some packets.
fn fixed_flags_are_right(kind: Kind, flags: u8, version: Version) -> bool {
    version == Version::V31 || flags == kind.flags()
}

fn publish<'a>(
    flags: u8,
    body: &mut Reader<'a>,
    version: Version,
    known: Option<&'a str>,
) -> Result<Publish<'a>, DecodeError> {
    let qos = Qos::from_level(flags >> 1 & 0b11).ok_or(DecodeError::Qos)?; // [MQTT-3.3.1-4]
    let duplicate = flags & 0b1000 != 0;
    if duplicate && qos == Qos::AtMostOnce && version != Version::V31 {
        return Err(DecodeError::DuplicateAtMostOnce); // [MQTT-3.3.1-2]
    }
    let name = body.binary()?;
    let topic = known.filter(|known| known.as_bytes() == name).map_or_else(|| text(name), Ok)?;
    let id = if qos == Qos::AtMostOnce { None } else { Some(body.packet_id()?) };
    let properties = Properties::read_in(version, body, Place::PUBLISH)?;
    if topic.is_empty() && properties.find(alias).is_none() {
        return Err(DecodeError::NoTopic); // [MQTT-4.7.3-1]
    }
    Ok(Publish { duplicate, qos, retain: flags & 1 != 0, topic, id, properties, payload: body.rest() })
}

fn alias(property: Property<'_>) -> Option<u16> {
    if let Property::TopicAlias(alias) = property { Some(alias) } else { None }
}

fn other<'a>(kind: Kind, body: &mut Reader<'a>, version: Version) -> Result<Packet<'a>, DecodeError> {
    Ok(match kind {
        Kind::Connect => Packet::Connect(connect(body)?),
        Kind::ConnAck => Packet::ConnAck(connack(body, version)?),
        Kind::Publish => Packet::Publish(publish(0, body, version, None)?),
        Kind::PubAck => Packet::PubAck(ack(kind, body, version)?),
        Kind::PubRec => Packet::PubRec(ack(kind, body, version)?),
        Kind::PubRel => Packet::PubRel(ack(kind, body, version)?),
        Kind::PubComp => Packet::PubComp(ack(kind, body, version)?),
        Kind::Subscribe => Packet::Subscribe(subscribe(body, version)?),
        Kind::SubAck => Packet::SubAck(suback(kind, body, version)?),
        Kind::Unsubscribe => Packet::Unsubscribe(unsubscribe(body, version)?),
        Kind::UnsubAck => Packet::UnsubAck(suback(kind, body, version)?),
        Kind::PingReq => Packet::PingReq,
        Kind::PingResp => Packet::PingResp,
        Kind::Disconnect => {
            let (code, properties) = code_and_properties(kind, body, version, Place::DISCONNECT)?;
            Packet::Disconnect(Disconnect { code, properties })
        }
        Kind::Auth => {
            let (code, properties) = code_and_properties(kind, body, version, Place::AUTH)?;
            Packet::Auth(Auth { code, properties })
        }
    })
}

fn connack<'a>(body: &mut Reader<'a>, version: Version) -> Result<ConnAck<'a>, DecodeError> {
    let flags = body.u8()?;
    let code = ReasonCode(body.u8()?);
    let known = if version == Version::V5 { code.belongs(Kind::ConnAck) } else { code.0 <= 5 };
    if !known {
        return Err(DecodeError::ReasonCode);
    }
    let session_present = flags & 1 != 0 && version != Version::V31;
    if (flags > 1 && version != Version::V31) || (session_present && code != ReasonCode::SUCCESS) {
        return Err(DecodeError::ConnectFlags); // [MQTT-3.2.2-1], [MQTT-3.2.2-6]
    }
    Ok(ConnAck { session_present, code, properties: Properties::read_in(version, body, Place::CONNACK)? })
}

fn ack<'a>(kind: Kind, body: &mut Reader<'a>, version: Version) -> Result<Ack<'a>, DecodeError> {
    let id = body.packet_id()?;
    let (code, properties) = code_and_properties(kind, body, version, Place::ACK)?;
    Ok(Ack { id, code, properties })
}

/// A code and properties, which MQTT 3 lacks and MQTT 5 may leave out from the end.
fn code_and_properties<'a>(
    kind: Kind,
    body: &mut Reader<'a>,
    version: Version,
    place: Place,
) -> Result<(ReasonCode, Properties<'a>), DecodeError> {
    if version != Version::V5 || body.is_empty() {
        return Ok((ReasonCode::SUCCESS, Properties::NONE));
    }
    let code = reason_code(kind, body.u8()?)?;
    let properties =
        if body.is_empty() { Properties::NONE } else { Properties::read_in(version, body, place)? };
    Ok((code, properties))
}

fn reason_code(kind: Kind, byte: u8) -> Result<ReasonCode, DecodeError> {
    let code = ReasonCode(byte);
    if code.belongs(kind) { Ok(code) } else { Err(DecodeError::ReasonCode) }
}

fn subscribe<'a>(body: &mut Reader<'a>, version: Version) -> Result<Subscribe<'a>, DecodeError> {
    let id = body.packet_id()?;
    let properties = Properties::read_in(version, body, Place::SUBSCRIBE)?;
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push((body.string()?, subscribe_options(body.u8()?, version)?));
    }
    some(&filters)?; // [MQTT-3.8.3-2]
    Ok(Subscribe { id, properties, filters })
}

fn subscribe_options(byte: u8, version: Version) -> Result<SubscribeOptions, DecodeError> {
    let reserved = match version {
        Version::V31 => 0,
        Version::V311 => 0b1111_1100,
        Version::V5 => 0b1100_0000,
    };
    if byte & reserved != 0 {
        return Err(DecodeError::SubscribeOptions); // [MQTT-3.8.3-5]
    }
    let qos = Qos::from_level(byte & 0b11).ok_or(DecodeError::Qos)?;
    if version != Version::V5 {
        return Ok(SubscribeOptions { qos, ..SubscribeOptions::default() });
    }
    Ok(SubscribeOptions {
        qos,
        no_local: byte & 0b100 != 0,
        retain_as_published: byte & 0b1000 != 0,
        retain_handling: match byte >> 4 & 0b11 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return Err(DecodeError::RetainHandling),
        },
    })
}

fn suback<'a>(kind: Kind, body: &mut Reader<'a>, version: Version) -> Result<SubAck<'a>, DecodeError> {
    let id = body.packet_id()?;
    let properties = Properties::read_in(version, body, Place::ACK)?;
    let mut codes = Vec::new();
    if version == Version::V5 {
        for byte in body.rest() {
            codes.push(reason_code(kind, *byte)?);
        }
        some(&codes)?;
    } else if kind == Kind::SubAck {
        for byte in body.rest() {
            if !matches!(byte, 0..=2 | 0x80) {
                return Err(DecodeError::ReasonCode); // [MQTT-3.9.3-2]
            }
            codes.push(ReasonCode(*byte));
        }
        some(&codes)?;
    }
    Ok(SubAck { id, properties, codes })
}

fn unsubscribe<'a>(body: &mut Reader<'a>, version: Version) -> Result<Unsubscribe<'a>, DecodeError> {
    let id = body.packet_id()?;
    let properties = Properties::read_in(version, body, Place::UNSUBSCRIBE)?;
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(body.string()?);
    }
    some(&filters)?; // [MQTT-3.10.3-2]
    Ok(Unsubscribe { id, properties, filters })
}

fn some<T>(entries: &[T]) -> Result<(), DecodeError> {
    if entries.is_empty() { Err(DecodeError::NoEntries) } else { Ok(()) }
}
