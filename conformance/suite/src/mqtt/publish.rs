use super::Version;
use super::wire::{packet, properties, text};

/// A PUBLISH that keeps to the rules; one that does not is written by hand.
#[derive(Clone, Debug)]
pub struct Publish {
    version: Version,
    topic: String,
    payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) id: u16,
    dup: bool,
    retain: bool,
    properties: Vec<u8>,
}

impl Publish {
    /// A PUBLISH at QoS 0.
    pub fn new(version: Version, topic: &str, payload: impl AsRef<[u8]>) -> Self {
        Self {
            version,
            topic: topic.to_owned(),
            payload: payload.as_ref().to_owned(),
            qos: 0,
            id: 0,
            dup: false,
            retain: false,
            properties: Vec::new(),
        }
    }

    /// Sets the QoS, and the packet id for a QoS above 0.
    pub fn qos(mut self, qos: u8, id: u16) -> Self {
        (self.qos, self.id) = (qos, id);
        self
    }

    /// Sets DUP.
    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// Sets RETAIN.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Adds a property; MQTT 3.1.1 leaves it out.
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }

    /// The packet.
    pub fn bytes(&self) -> Vec<u8> {
        let first = 0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        let id = self.id.to_be_bytes();
        let id = if self.qos > 0 { &id[..] } else { &[] };
        packet(first, &[&text(&self.topic), id, &properties(self.version, &self.properties), &self.payload])
    }
}
