use bus::Qos;

use crate::codec::PublishQos;

/// The Flags octet: DUP, two bits of QoS, Retain, Will, CleanSession, two bits of TopicIdType [5.3.4].
#[derive(Clone, Copy, Default)]
pub(super) struct Flags(pub(super) u8);

const DUP: u8 = 0x80;
const RETAIN: u8 = 0x10;
const WILL: u8 = 0x08;
const CLEAN_SESSION: u8 = 0x04;

pub(super) const NAME: u8 = 0;
pub(super) const PREDEFINED: u8 = 1;
pub(super) const SHORT: u8 = 2;
pub(super) const RESERVED: u8 = 3;

impl Flags {
    pub(super) fn dup(self) -> bool {
        self.0 & DUP != 0
    }

    /// `None` for the bits that mean QoS -1.
    pub(super) fn qos(self) -> Option<Qos> {
        Qos::from_level(self.0 >> 5 & 3)
    }

    pub(super) fn publish_qos(self) -> PublishQos {
        self.qos().map_or(PublishQos::MinusOne, PublishQos::Session)
    }

    pub(super) fn retain(self) -> bool {
        self.0 & RETAIN != 0
    }

    pub(super) fn will(self) -> bool {
        self.0 & WILL != 0
    }

    pub(super) fn clean_session(self) -> bool {
        self.0 & CLEAN_SESSION != 0
    }

    pub(super) fn topic_id_type(self) -> u8 {
        self.0 & 3
    }

    pub(super) fn with_dup(self, dup: bool) -> Self {
        self.with(DUP, dup)
    }

    pub(super) fn with_qos(self, qos: Option<Qos>) -> Self {
        Self(self.0 | qos.map_or(3, Qos::level) << 5)
    }

    pub(super) fn with_retain(self, retain: bool) -> Self {
        self.with(RETAIN, retain)
    }

    pub(super) fn with_will(self, will: bool) -> Self {
        self.with(WILL, will)
    }

    pub(super) fn with_clean_session(self, clean: bool) -> Self {
        self.with(CLEAN_SESSION, clean)
    }

    pub(super) fn with_topic_id_type(self, kind: u8) -> Self {
        Self(self.0 | kind)
    }

    fn with(self, bit: u8, set: bool) -> Self {
        Self(if set { self.0 | bit } else { self.0 })
    }
}
