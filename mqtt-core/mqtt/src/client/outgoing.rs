use std::collections::{HashSet, VecDeque};

use bus::{Publish, Qos};

use crate::codec::{
    Ack, EncodeError, Packet, PacketId, Property, PropertyBuffer, Publish as PublishPacket, ReasonCode,
    Version, encode,
};
use crate::metadata::{for_each_property, whole_seconds};

/// Publishes above QoS 0, in order, until they are acknowledged. They outlive connections.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    entries: VecDeque<Entry>,
    /// The ids of all entries.
    ids: HashSet<PacketId>,
    /// How many entries wait for the window.
    unsent: usize,
}

#[derive(Debug)]
struct Entry {
    id: PacketId,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The window had no room yet, in this connection.
    Unsent {
        publish: Publish,
        duplicate: bool,
    },
    ExpectAck(Publish),
    ExpectComplete,
}

/// What an acknowledgement led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Done,
    Release,
    Unknown,
}

impl Outgoing {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn has(&self, id: PacketId) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn push(&mut self, id: PacketId, publish: Publish) {
        self.entries.push_back(Entry { id, stage: Stage::Unsent { publish, duplicate: false } });
        self.ids.insert(id);
        self.unsent += 1;
    }

    /// Sends what the window has room for; returns the ids that the server would not take, and why.
    pub(super) fn send(
        &mut self,
        window: usize,
        line: &Line,
        out: &mut Vec<u8>,
    ) -> Vec<(PacketId, ReasonCode)> {
        let mut refused = Vec::new();
        let mut room = window.saturating_sub(self.in_flight());
        let start = self.first_unsent();
        for entry in self.entries.iter_mut().skip(start) {
            if room == 0 || self.unsent == 0 {
                break;
            }
            let Stage::Unsent { publish, duplicate } = &entry.stage else { continue };
            if publish.qos > line.maximum_qos {
                refused.push((entry.id, ReasonCode::QOS_NOT_SUPPORTED)); // [MQTT-3.2.2-11]
            } else if publish.retain && !line.retain_available {
                refused.push((entry.id, ReasonCode::RETAIN_NOT_SUPPORTED)); // [MQTT-3.2.2-14]
            } else if line.publish(publish, Some(entry.id), *duplicate, out).is_ok() {
                entry.stage = Stage::ExpectAck(publish.clone());
                self.unsent -= 1;
                room -= 1;
            } else {
                refused.push((entry.id, ReasonCode::PACKET_TOO_LARGE)); // [MQTT-3.2.2-15]
            }
        }
        for (refused, _) in &refused {
            self.remove(|entry| entry.id == *refused);
            self.unsent -= 1;
        }
        refused
    }

    /// Makes ready to send again what the server of the resumed session may not have, and asks it to release
    /// what it has [MQTT-4.4.0-1].
    pub(super) fn resume(&mut self, line: &Line, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        for entry in &mut self.entries {
            match &entry.stage {
                Stage::Unsent { .. } => {}
                Stage::ExpectAck(publish) => {
                    entry.stage = Stage::Unsent { publish: publish.clone(), duplicate: true };
                    self.unsent += 1;
                }
                Stage::ExpectComplete => line.release(entry.id, out)?,
            }
        }
        Ok(())
    }

    /// The server knows nothing of an earlier session: what was not taken is sent anew; returns the ids that
    /// it had taken.
    pub(super) fn restart(&mut self) -> Vec<PacketId> {
        let mut taken = Vec::new();
        self.unsent = 0;
        self.ids.clear();
        for entry in std::mem::take(&mut self.entries) {
            match entry.stage {
                Stage::Unsent { publish, .. } | Stage::ExpectAck(publish) => self.push(entry.id, publish),
                Stage::ExpectComplete => taken.push(entry.id),
            }
        }
        taken
    }

    /// PUBACK, or a PUBREC that fails.
    pub(super) fn acknowledged(&mut self, id: PacketId, qos: Qos) -> Settled {
        let awaited = |entry: &Entry| match &entry.stage {
            Stage::ExpectAck(publish) => entry.id == id && publish.qos == qos,
            Stage::Unsent { .. } | Stage::ExpectComplete => false,
        };
        self.remove(awaited)
    }

    /// PUBREC.
    pub(super) fn received(&mut self, id: PacketId) -> Settled {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else {
            return Settled::Unknown;
        };
        match &entry.stage {
            Stage::ExpectAck(publish) if publish.qos == Qos::ExactlyOnce => {
                entry.stage = Stage::ExpectComplete; // [MQTT-4.3.3-4]
                Settled::Release
            }
            Stage::ExpectComplete => Settled::Release,
            Stage::Unsent { .. } | Stage::ExpectAck(_) => Settled::Unknown,
        }
    }

    /// PUBCOMP.
    pub(super) fn completed(&mut self, id: PacketId) -> Settled {
        self.remove(|entry| entry.id == id && matches!(entry.stage, Stage::ExpectComplete))
    }

    fn remove(&mut self, is_it: impl Fn(&Entry) -> bool) -> Settled {
        match self.entries.iter().position(is_it).and_then(|index| self.entries.remove(index)) {
            Some(entry) => {
                self.ids.remove(&entry.id);
                Settled::Done
            }
            None => Settled::Unknown,
        }
    }

    /// Where to begin to look for what was not sent: the shorter way round.
    fn first_unsent(&self) -> usize {
        if self.unsent == 0 || self.in_flight() < self.unsent {
            return 0;
        }
        let mut left = self.unsent;
        let is_first = |entry: &Entry| {
            left -= usize::from(matches!(entry.stage, Stage::Unsent { .. }));
            left == 0
        };
        self.entries.iter().rposition(is_first).unwrap_or(0)
    }

    fn in_flight(&self) -> usize {
        self.entries.len() - self.unsent
    }
}

/// How packets go to the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) version: Version,
    pub(super) packet_maximum: u32,
    pub(super) maximum_qos: Qos,
    pub(super) retain_available: bool,
}

impl Line {
    pub(super) fn send(&self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        encode(packet, self.version, out)?;
        if out.len() - start > self.packet_maximum as usize {
            out.truncate(start);
            return Err(EncodeError::PacketTooLong);
        }
        Ok(())
    }

    pub(super) fn publish(
        &self,
        publish: &Publish,
        id: Option<PacketId>,
        duplicate: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut properties = PropertyBuffer::default();
        if self.version == Version::V5 {
            say(publish, &mut properties)?;
        }
        let packet = PublishPacket {
            duplicate,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic.as_str(),
            id,
            properties: properties.as_properties(),
            payload: &publish.payload,
        };
        self.send(&Packet::Publish(packet), out)
    }

    pub(super) fn release(&self, id: PacketId, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.send(&Packet::PubRel(Ack::success(id)), out)
    }
}

/// The properties of a publish or will.
pub(super) fn say(publish: &Publish, properties: &mut PropertyBuffer) -> Result<(), EncodeError> {
    if let Some(expiry) = publish.expiry {
        properties.push(Property::MessageExpiryInterval(whole_seconds(expiry)))?;
    }
    let mut pushed = Ok(());
    if let Some(metadata) = &publish.metadata {
        for_each_property(metadata, |property| pushed = pushed.and_then(|()| properties.push(property)));
    }
    pushed
}
