use std::fmt;

use super::property::{Layout, layout};
use super::{Delivery, Version, check};

/// A packet the server sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    version: Version,
    bytes: Vec<u8>,
    body: usize,
}

/// A CONNACK taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connack {
    /// Whether a session was taken up.
    pub session_present: bool,
    /// The return or reason code.
    pub code: u8,
    /// The properties; none in MQTT 3.1.1.
    pub properties: Properties,
}

/// The properties of a packet: each identifier with the bytes of its value, text without its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(pub Vec<(u8, Vec<u8>)>);

impl Packet {
    /// The packet in `bytes`, of which all from `body` on follows the length. Panics if no server may send it.
    pub(super) fn new(version: Version, bytes: Vec<u8>, body: usize) -> Self {
        let packet = Self { version, bytes, body };
        check::check(&packet);
        packet
    }

    /// The version it was sent in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes after the length.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }

    /// The first byte: type and flags.
    pub fn first(&self) -> u8 {
        self.bytes[0]
    }

    /// The type: the upper half of the first byte.
    pub fn kind(&self) -> u8 {
        self.first() >> 4
    }

    /// The packet id of any packet that begins with one.
    pub fn id(&self) -> u16 {
        assert!(self.body().len() > 1, "a packet with a packet id was awaited, {self:?} came");
        u16::from_be_bytes([self.body()[0], self.body()[1]])
    }

    /// Takes a CONNACK apart.
    pub fn connack(&self) -> Connack {
        assert_eq!(self.kind(), 2, "a CONNACK was awaited, {self:?} came");
        let body = self.body();
        let properties = match self.version {
            Version::V3 => Properties::default(),
            Version::V5 => Properties::split(&body[2..]).0,
        };
        Connack { session_present: body[0] == 1, code: body[1], properties }
    }

    /// The packet id, properties and codes of a SUBACK or UNSUBACK.
    pub fn codes(&self) -> (u16, Properties, Vec<u8>) {
        assert!(matches!(self.kind(), 9 | 11), "a SUBACK or UNSUBACK was awaited, {self:?} came");
        let rest = &self.body()[2..];
        let (properties, codes) = match self.version {
            Version::V3 => (Properties::default(), rest),
            Version::V5 => Properties::split(rest),
        };
        (self.id(), properties, codes.to_vec())
    }

    /// The reason code of PUBACK, PUBREC, PUBREL, PUBCOMP or DISCONNECT; 0 where it is left out.
    pub fn code(&self) -> u8 {
        self.body().get(self.before_code()).copied().unwrap_or(0)
    }

    /// The properties of PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT or AUTH; none where they are left out.
    pub fn properties(&self) -> Properties {
        match self.body().get(self.before_code() + 1..) {
            Some(rest) if !rest.is_empty() => Properties::split(rest).0,
            _ => Properties::default(),
        }
    }

    /// Takes a PUBLISH apart.
    pub fn delivery(&self) -> Delivery {
        Delivery::of(self)
    }

    fn before_code(&self) -> usize {
        match self.kind() {
            4..=7 => 2,
            14 | 15 => 0,
            _ => panic!("a packet with a reason code was awaited, {self:?} came"),
        }
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 16] = [
            "packet 0",
            "CONNECT",
            "CONNACK",
            "PUBLISH",
            "PUBACK",
            "PUBREC",
            "PUBREL",
            "PUBCOMP",
            "SUBSCRIBE",
            "SUBACK",
            "UNSUBSCRIBE",
            "UNSUBACK",
            "PINGREQ",
            "PINGRESP",
            "DISCONNECT",
            "AUTH",
        ];
        write!(f, "{} {:02X?}", NAMES[usize::from(self.kind())], self.bytes)
    }
}

impl Properties {
    /// The properties at the front of `bytes`, and what follows them.
    pub(super) fn split(bytes: &[u8]) -> (Self, &[u8]) {
        let (length, rest) = variable(bytes);
        assert!(length <= rest.len(), "the properties end too early in {bytes:02X?}");
        let (mut bytes, rest) = rest.split_at(length);
        let mut properties = Vec::new();
        while let Some((&id, after)) = bytes.split_first() {
            let layout = layout(id).unwrap_or_else(|| panic!("there is no property {id:#04X}"));
            let (value, after) = value(layout, after);
            properties.push((id, value));
            bytes = after;
        }
        (Self(properties), rest)
    }

    /// The value of the property that stands once, if it is there.
    pub fn one(&self, id: u8) -> Option<&[u8]> {
        let all = self.all(id);
        assert!(all.len() < 2, "property {id:#04X} is there more than once: {self:?}");
        all.first().copied()
    }

    /// The values of a property that may stand several times.
    pub fn all(&self, id: u8) -> Vec<&[u8]> {
        self.0.iter().filter(|(name, _)| *name == id).map(|(_, value)| value.as_slice()).collect()
    }

    /// The value of a property that is a number.
    pub fn number(&self, id: u8) -> Option<u32> {
        self.one(id).map(|value| value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}

/// A property's value at the front of `bytes`, and what follows it.
fn value(layout: Layout, bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let fixed = |length| (bytes[..length].to_vec(), &bytes[length..]);
    match layout {
        Layout::Byte => fixed(1),
        Layout::TwoBytes => fixed(2),
        Layout::FourBytes => fixed(4),
        Layout::VariableByte => {
            let (value, rest) = variable(bytes);
            ((value as u32).to_be_bytes().to_vec(), rest)
        }
        Layout::Text | Layout::Binary => {
            let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
            let value = bytes[2..2 + length].to_vec();
            if layout == Layout::Text {
                assert!(str::from_utf8(&value).is_ok(), "{value:02X?} is not UTF-8");
            }
            (value, &bytes[2 + length..])
        }
        Layout::Pair => {
            let (name, rest) = value(Layout::Text, bytes);
            let (value, rest) = value(Layout::Text, rest);
            ([name, vec![b'='], value].concat(), rest)
        }
    }
}

/// A variable byte integer at the front of `bytes`, and what follows it.
pub(super) fn variable(bytes: &[u8]) -> (usize, &[u8]) {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            assert!(index == 0 || *byte != 0, "{bytes:02X?} begins with a longer number than needed");
            return (value, &bytes[index + 1..]);
        }
    }
    panic!("{bytes:02X?} begins with no variable byte integer");
}
