use bus::Qos;

use super::property::Place;
use super::read::{Reader, variable};
use super::{Connect, DecodeError, Properties, Version, Will};

const USERNAME: u8 = 1 << 7;
const PASSWORD: u8 = 1 << 6;
const WILL_RETAIN: u8 = 1 << 5;
const WILL_QOS: u8 = 0b11 << 3;
const WILL: u8 = 1 << 2;
const CLEAN_START: u8 = 1 << 1;
const RESERVED: u8 = 1;

/// The bit by which bridges of MQTT 3 brokers mark themselves.
const BRIDGE: u8 = 1 << 7;

/// The version a CONNECT asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Known(Version, bool),
    /// A level of the protocol `MQTT` that nobody has defined yet, or never did.
    Unknown(u8),
}

impl Level {
    /// The level of a CONNECT, even if what follows is no CONNECT.
    pub(crate) fn peek(input: &[u8]) -> Option<Self> {
        let (_, rest) = input.split_first()?;
        let length = variable(rest).ok()??.length;
        Self::read(&mut Reader::new(rest.get(length..)?)).ok()
    }

    fn read(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = body.binary()?;
        let level = body.u8()?;
        let bridge = level & BRIDGE != 0 && level != BRIDGE | 5;
        match (name, if bridge { level ^ BRIDGE } else { level }) {
            (b"MQIsdp", 3) => Ok(Self::Known(Version::V31, bridge)),
            (b"MQTT", 4) => Ok(Self::Known(Version::V311, bridge)),
            (b"MQTT", 5) => Ok(Self::Known(Version::V5, false)),
            (b"MQTT" | b"MQIsdp", _) => Ok(Self::Unknown(level)),
            _ => Err(DecodeError::ProtocolName), // [MQTT-3.1.2-1]
        }
    }
}

pub(crate) fn connect<'a>(body: &mut Reader<'a>) -> Result<Connect<'a>, DecodeError> {
    let Level::Known(version, bridge) = Level::read(body)? else {
        return Err(DecodeError::ProtocolLevel); // [MQTT-3.1.2-2]
    };
    let flags = body.u8()?;
    check(flags, version)?;
    let keep_alive = body.u16()?;
    let properties = Properties::read_in(version, body, Place::CONNECT)?;
    let client_id = body.string()?;
    let will = if flags & WILL == 0 { None } else { Some(will(flags, body, version)?) };
    // In MQTT 3.1 the packet may end before a field that its flags announce [MQTT31 3.1].
    let there = |flag, body: &Reader<'_>| flags & flag != 0 && !(version == Version::V31 && body.is_empty());
    let username = if there(USERNAME, body) { Some(body.string()?) } else { None };
    let password = if there(PASSWORD, body) { Some(body.binary()?) } else { None };
    Ok(Connect {
        version,
        bridge,
        clean_start: flags & CLEAN_START != 0,
        keep_alive,
        client_id,
        username,
        password,
        will,
        properties,
    })
}

fn check(flags: u8, version: Version) -> Result<(), DecodeError> {
    if version == Version::V31 {
        return Ok(());
    }
    if flags & RESERVED != 0 {
        return Err(DecodeError::ConnectFlags); // [MQTT-3.1.2-3]
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(DecodeError::WillFlags); // [MQTT-3.1.2-11], [MQTT-3.1.2-13]
    }
    if version == Version::V311 && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(DecodeError::ConnectFlags); // [MQTT-3.1.2-22]
    }
    Ok(())
}

fn will<'a>(flags: u8, body: &mut Reader<'a>, version: Version) -> Result<Will<'a>, DecodeError> {
    let qos = Qos::from_level((flags & WILL_QOS) >> 3).ok_or(DecodeError::Qos)?; // [MQTT-3.1.2-12]
    let properties = Properties::read_in(version, body, Place::WILL)?;
    Ok(Will {
        qos,
        retain: flags & WILL_RETAIN != 0,
        properties,
        topic: body.string()?,
        payload: body.binary()?,
    })
}
