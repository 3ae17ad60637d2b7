//! What MQTT clients say, made once, and what they answer, without an allocation.

use bus::{Qos, SubscribeOptions};
use mqtt::{Connect, Packet, PacketId, Properties, PropertyBuffer, Publish, Subscribe, Unsubscribe, Version};

/// How many packets of each type were seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts([u64; 16]);

/// A PUBLISH to be sent again and again, with another packet id each time.
pub(crate) struct Message {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    id: u16,
}

pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const SUBACK: u8 = 9;

const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;

/// What each message carries.
pub(crate) const PAYLOAD: [u8; 64] = [b'x'; 64];

impl Counts {
    /// How many packets of this type came since it was last asked.
    pub(crate) fn take(&mut self, kind: u8) -> u64 {
        std::mem::take(&mut self.0[usize::from(kind & 15)])
    }
}

impl Message {
    /// A message, so many times in one write; a write of several has QoS 0.
    pub(crate) fn new(version: Version, topic: &str, qos: Qos, times: u64) -> Self {
        let mut properties = PropertyBuffer::default();
        if version == Version::V5 {
            let pushed = [
                mqtt::Property::PayloadFormatIndicator(true),
                mqtt::Property::ContentType("text/plain"),
                mqtt::Property::ResponseTopic("answers/here"),
                mqtt::Property::CorrelationData(b"12345678"),
                mqtt::Property::UserProperty("device", "thermometer"),
            ]
            .map(|property| properties.push(property));
            assert!(pushed.iter().all(Result::is_ok));
        }
        let bytes = publish(version, topic, qos, false, properties.as_properties());
        let header = 1 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
        let id_at = (qos > Qos::AtMostOnce).then_some(header + 2 + topic.len());
        Self { bytes: bytes.repeat(times as usize), id_at, id: 0 }
    }

    /// The bytes with the next packet id.
    pub(crate) fn next(&mut self) -> &[u8] {
        if let Some(at) = self.id_at {
            self.id = self.id.checked_add(1).unwrap_or(1);
            self.bytes[at..at + 2].copy_from_slice(&self.id.to_be_bytes());
        }
        &self.bytes
    }
}

/// Answers a run of packets as a client does, and counts them. The last one may go on for `beyond` bytes.
pub(crate) fn answer(mut bytes: &[u8], beyond: usize, counts: &mut Counts, answers: &mut Vec<u8>) {
    while let [first, rest @ ..] = bytes {
        let (length, body) = remaining(rest);
        counts.0[usize::from(first >> 4)] += 1;
        let id = |at: usize| [body[at], body[at + 1]];
        let reply = match first >> 4 {
            PUBLISH => {
                let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                match first & 6 {
                    0 => None,
                    2 => Some((PUBACK << 4, id(at))),
                    _ => Some((PUBREC << 4, id(at))),
                }
            }
            PUBREC => Some((PUBREL << 4 | 2, id(0))),
            PUBREL => Some((PUBCOMP << 4, id(0))),
            _ => None,
        };
        if let Some((first, id)) = reply {
            answers.extend_from_slice(&[first, 2, id[0], id[1]]);
        }
        assert!(length <= body.len() + beyond, "the server writes whole packets");
        bytes = body.get(length..).unwrap_or_default();
    }
}

/// The remaining length, and what stands behind it.
fn remaining(mut bytes: &[u8]) -> (usize, &[u8]) {
    let (mut length, mut shift) = (0, 0);
    while let [byte, rest @ ..] = bytes {
        bytes = rest;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (length, bytes)
}

/// For how many seconds a client may be silent, for most.
const KEEP_ALIVE: u16 = 60;

/// A client whose session ends with the connection.
pub(crate) fn connect(version: Version, client_id: &str) -> Vec<u8> {
    connect_with(version, client_id, KEEP_ALIVE)
}

/// The same with another keep alive.
pub(crate) fn connect_with(version: Version, client_id: &str, keep_alive: u16) -> Vec<u8> {
    opening(version, client_id, true, keep_alive)
}

/// A client whose session stays.
pub(crate) fn connect_to_stay(version: Version, client_id: &str) -> Vec<u8> {
    opening(version, client_id, false, KEEP_ALIVE)
}

fn opening(version: Version, client_id: &str, clean_start: bool, keep_alive: u16) -> Vec<u8> {
    encoded(
        version,
        &Packet::Connect(Connect {
            version,
            bridge: false,
            clean_start,
            keep_alive,
            client_id,
            username: None,
            password: None,
            will: None,
            properties: Properties::NONE,
        }),
    )
}

pub(crate) fn disconnect() -> [u8; 2] {
    [0xE0, 0]
}

pub(crate) fn subscribe<'a>(
    version: Version,
    filters: impl IntoIterator<Item = &'a str>,
    qos: Qos,
) -> Vec<u8> {
    let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
    let filters = filters.into_iter().map(|filter| (filter, options)).collect();
    let properties = Properties::NONE;
    encoded(version, &Packet::Subscribe(Subscribe { id: PacketId::MIN, properties, filters }))
}

pub(crate) fn unsubscribe(version: Version, filter: &str) -> Vec<u8> {
    let (properties, filters) = (Properties::NONE, vec![filter]);
    encoded(version, &Packet::Unsubscribe(Unsubscribe { id: PacketId::MIN, properties, filters }))
}

/// A message of QoS 0 and MQTT 3.1.1.
pub(crate) fn message(topic: &str, retain: bool) -> Vec<u8> {
    publish(Version::V311, topic, Qos::AtMostOnce, retain, Properties::NONE)
}

fn publish(version: Version, topic: &str, qos: Qos, retain: bool, properties: Properties<'_>) -> Vec<u8> {
    let id = (qos > Qos::AtMostOnce).then_some(PacketId::MIN);
    let publish = Publish { duplicate: false, qos, retain, topic, id, properties, payload: &PAYLOAD };
    encoded(version, &Packet::Publish(publish))
}

fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    mqtt::encode(packet, version, &mut bytes).expect("a valid packet");
    bytes
}
