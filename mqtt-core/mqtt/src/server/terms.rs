use bus::{Outbox, ProtocolError, Reason};

use super::reason::{code, return_code};
use crate::codec::{
    ConnAck, Disconnect, Kind, Packet, PacketId, Properties, Property, PropertyBuffer, ReasonCode, Version,
    encode,
};

/// What the client takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) version: Version,
    /// Whether reason strings are welcome everywhere.
    pub(super) problem_information: bool,
    pub(super) packet_maximum: u32,
}

impl Terms {
    /// The terms of a client that has said no more than its version.
    pub(super) fn new(version: Version) -> Self {
        Self { version, problem_information: true, packet_maximum: u32::MAX }
    }

    pub(super) fn is_v5(self) -> bool {
        self.version == Version::V5
    }

    /// Sends a packet, unless the client takes none so large [MQTT-3.1.2-24]; tells whether it was sent.
    pub(super) fn send(self, out: &mut Outbox, packet: &Packet<'_>) -> bool {
        let mut sent = false;
        out.write(|buffer| {
            let start = buffer.len();
            sent = encode(packet, self.version, buffer).is_ok()
                && buffer.len() - start <= self.packet_maximum as usize;
            if !sent {
                buffer.truncate(start);
            }
        });
        sent
    }

    /// Acknowledges with success, of which nothing more is said.
    pub(super) fn acknowledge(self, out: &mut Outbox, kind: Kind, id: PacketId) {
        let [high, low] = id.get().to_be_bytes();
        if self.packet_maximum >= 4 {
            return out.send(&[(kind as u8) << 4 | kind.flags(), 2, high, low]);
        }
        out.close(Reason::PacketTooLarge);
    }

    /// Sends an answer; a client that cannot take even an answer is disconnected.
    pub(super) fn answer(self, out: &mut Outbox, packet: &Packet<'_>) {
        if !self.send(out, packet) {
            out.close(Reason::PacketTooLarge);
        }
    }

    /// Sends an answer made with a reason string, or without where it is unwelcome [MQTT-3.1.2-29] or makes
    /// the packet too large [MQTT-3.4.2-2].
    pub(super) fn explain(self, out: &mut Outbox, words: &str, make: impl Fn(Properties<'_>) -> Packet<'_>) {
        self.explain_beside(out, &PropertyBuffer::default(), words, make);
    }

    /// The same beside other properties, which go too where the packet would be too large with them.
    fn explain_beside(
        self,
        out: &mut Outbox,
        others: &PropertyBuffer,
        words: &str,
        make: impl Fn(Properties<'_>) -> Packet<'_>,
    ) {
        let mut text = others.clone();
        let is_welcome = self.is_v5() && self.problem_information;
        if is_welcome
            && text.push(Property::ReasonString(words)).is_ok()
            && self.send(out, &make(text.as_properties()))
        {
            return;
        }
        if !others.as_properties().is_empty() && self.send(out, &make(others.as_properties())) {
            return;
        }
        self.answer(out, &make(Properties::NONE));
    }

    /// Says why the session is not opened, and where else to go. Reason strings are always allowed here.
    pub(super) fn refuse(self, out: &mut Outbox, why: ProtocolError, reference: &str) {
        if !self.is_v5() {
            if let Some(code) = return_code(why.reason) {
                let code = ReasonCode(code);
                let properties = Properties::NONE;
                self.send(out, &Packet::ConnAck(ConnAck { session_present: false, code, properties }));
            }
            return;
        }
        let (code, elsewhere) = farewell(why.reason, Kind::ConnAck, reference);
        let plain = Self { problem_information: true, ..self };
        plain.explain_beside(out, &elsewhere, why.detail, |properties| {
            Packet::ConnAck(ConnAck { session_present: false, code, properties })
        });
    }

    /// Says why the connection ends, where MQTT can, and where else to go. Reason strings are always allowed here.
    pub(super) fn dismiss(self, out: &mut Outbox, why: ProtocolError, reference: &str) {
        if !self.is_v5() {
            return;
        }
        let (code, elsewhere) = farewell(why.reason, Kind::Disconnect, reference);
        let plain = Self { problem_information: true, ..self };
        plain.explain_beside(out, &elsewhere, why.detail, |properties| {
            Packet::Disconnect(Disconnect { code, properties })
        });
    }
}

/// The code for a reason, with the server reference where one is configured and the code may carry it [MQTT5 4.11].
fn farewell(reason: Reason, kind: Kind, reference: &str) -> (ReasonCode, PropertyBuffer) {
    let mut elsewhere = PropertyBuffer::default();
    let reason = match reason {
        Reason::ShuttingDown if !reference.is_empty() => Reason::UseAnotherServer,
        reason => reason,
    };
    if matches!(reason, Reason::UseAnotherServer | Reason::ServerMoved) && !reference.is_empty() {
        // A reference that the configuration made too long for MQTT is left out.
        let _ = elsewhere.push(Property::ServerReference(reference));
    }
    (code(reason, kind), elsewhere)
}
