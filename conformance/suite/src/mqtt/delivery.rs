use super::{Packet, Properties, Version};

/// A PUBLISH the server sent, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether it says it was sent before.
    pub dup: bool,
    /// The QoS.
    pub qos: u8,
    /// Whether it says it is retained.
    pub retain: bool,
    /// The topic name.
    pub topic: String,
    /// The packet id; 0 at QoS 0.
    pub id: u16,
    /// The properties; none in MQTT 3.1.1.
    pub properties: Properties,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Delivery {
    pub(super) fn of(packet: &Packet) -> Self {
        assert_eq!(packet.kind(), 3, "a PUBLISH was awaited, {packet:?} came");
        let first = packet.first();
        let qos = first >> 1 & 3;
        let body = packet.body();
        let (topic, mut rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let (properties, payload) = match packet.version() {
            Version::V3 => (Properties::default(), rest),
            Version::V5 => Properties::split(rest),
        };
        Self {
            dup: first & 8 != 0,
            qos,
            retain: first & 1 != 0,
            topic: String::from_utf8(topic.to_vec()).expect("the topic name is UTF-8"),
            id,
            properties,
            payload: payload.to_vec(),
        }
    }

    /// The payload as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.payload).expect("the payload is text")
    }
}
