use bus::{Lane, Outbox, ProtocolError, Qos, Reason, Request, Ticket, Topic};
use bytes::Bytes;

use super::Shared;
use super::connected::Connected;
use super::opening::topic;
use super::reason::is_final;
use super::ticket::Asked;
use crate::codec::{Ack, Kind, Packet, PacketId, Publish, ReasonCode, Repeat, Version};
use crate::metadata::Said;

/// A topic of more bytes is not kept for the next PUBLISH, since it would make an idle connection large.
const KEPT_TOPIC: usize = 256;

impl Connected {
    /// Hands a PUBLISH to the broker; `false` if it cannot be answered before earlier ones are. `last` is the topic of
    /// the one before.
    pub(super) fn publish(
        &mut self,
        packet: &Publish<'_>,
        last: Option<&Topic>,
        shared: &Shared,
        out: &mut Outbox,
    ) -> Result<bool, ProtocolError> {
        self.check(packet, shared)?;
        let (lane, once) = (out.lane(), packet.id.filter(|_| packet.qos == Qos::ExactlyOnce));
        if let (Some(lanes), Some(id)) = (self.lanes(), once)
            && lanes.must_wait(id, packet.duplicate, lane)
        {
            return Ok(false);
        }
        let said = Said::read(packet.properties, shared.limits.user_properties);
        if !said.subscriptions.is_empty() {
            return Err(ProtocolError::violation("only servers send subscription identifiers")); // [MQTT-3.3.4-6]
        }
        let topic = match self.topic(packet.topic, last, said.alias, lane, shared) {
            Ok(topic) => topic,
            // The client would go on to use the alias.
            Err(error) if said.alias.is_some() => return Err(error),
            Err(error) => return self.refuse(packet, error, out),
        };
        self.keep_alias(packet, said.alias, &topic, lane, shared)?;
        if let Some(reason) = said.fault {
            let detail = "the PUBLISH has properties that are not taken";
            return self.refuse(packet, ProtocolError { reason, detail }, out);
        }
        if !said.fits(packet.payload) {
            let detail = "the payload is not UTF-8, as its indicator says";
            return self.refuse(packet, ProtocolError { reason: Reason::PayloadInvalid, detail }, out);
        }
        let publish = bus::Publish {
            topic,
            payload: Bytes::copy_from_slice(packet.payload),
            qos: packet.qos,
            retain: packet.retain,
            expiry: said.expiry,
            metadata: said.metadata,
            once: once.map(PacketId::get),
        };
        if let (Some(lanes), Some(id)) = (self.lanes(), once) {
            lanes.begun(id, lane);
        }
        out.request(self.expect_reply(packet, out.lane()), Request::Publish(publish));
        Ok(true)
    }

    /// Hands over what follows a PUBLISH, as far as it says the same but for the payload; returns how many bytes that
    /// was. Nothing in such a packet is left to be checked but its length.
    pub(super) fn publish_repeats(&mut self, input: &[u8], shared: &Shared, out: &mut Outbox) -> usize {
        let has_lanes = self.lanes().is_some();
        let Some(topic) = self.last_topic.as_ref().filter(|_| !has_lanes) else { return 0 };
        let (mut rest, mut taken) = (input, 0);
        while !out.is_full()
            && let Some(repeat) = Repeat::find(rest, self.version, topic.as_str())
            && repeat.length <= shared.limits.packet
        {
            let payload = Bytes::copy_from_slice(repeat.payload);
            let publish = bus::Publish::new(topic.clone(), payload, Qos::AtMostOnce);
            out.count_received();
            out.request(Ticket::NONE, Request::Publish(publish));
            taken += repeat.length;
            rest = repeat.rest;
        }
        taken
    }

    /// Acknowledges a publish as the broker's reply says. MQTT 3 clients cannot be told of a failure.
    pub(super) fn published(
        &mut self,
        asked: Asked,
        id: PacketId,
        result: Result<usize, Reason>,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        self.unanswered = self.unanswered.saturating_sub(1);
        let is_v5 = self.version == Version::V5;
        let twice = matches!(asked, Asked::PublishTwice(_));
        match result {
            Ok(matched) => {
                if is_v5 && matched == 0 {
                    let ack = Ack { code: ReasonCode::NO_MATCHING_SUBSCRIBERS, ..Ack::success(id) };
                    let packet = if twice { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
                    self.terms().answer(out, &packet);
                } else {
                    let kind = if twice { Kind::PubRec } else { Kind::PubAck };
                    self.terms().acknowledge(out, kind, id);
                }
                self.finish(!twice);
            }
            Err(reason @ (Reason::QosNotSupported | Reason::RetainNotSupported)) if is_v5 => {
                return Err(reason);
            }
            Err(reason) if is_v5 || is_final(reason) => {
                self.fail(id, twice, reason, out);
                self.finish(true);
            }
            Err(reason) => return Err(reason),
        }
        Ok(())
    }

    pub(super) fn released(&mut self, id: PacketId, known: bool, out: &mut Outbox) {
        if let Some(lanes) = self.lanes() {
            lanes.released(id);
        }
        // [MQTT-4.3.3-11]
        if self.version == Version::V5 && !known {
            let code = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
            self.terms().answer(out, &Packet::PubComp(Ack { code, ..Ack::success(id) }));
        } else {
            self.terms().acknowledge(out, Kind::PubComp, id);
        }
        self.finish(true);
    }

    /// What ends the connection whatever the QoS.
    fn check(&self, packet: &Publish<'_>, shared: &Shared) -> Result<(), ProtocolError> {
        let fault = |reason, detail| Err(ProtocolError { reason, detail });
        let manner = self.manner();
        if packet.qos > manner.maximum_qos {
            return fault(Reason::QosNotSupported, "the QoS is above the maximum that CONNACK told");
        }
        if packet.retain && !manner.retain_available {
            return fault(Reason::RetainNotSupported, "CONNACK told that nothing is retained");
        }
        let is_counted = self.version == Version::V5 && packet.qos > Qos::AtMostOnce;
        if is_counted && self.unfinished >= shared.receive_maximum() {
            return fault(Reason::ReceiveMaximumExceeded, "more unfinished publishes than CONNACK told"); // [MQTT-3.3.4-9]
        }
        Ok(())
    }

    fn topic(
        &mut self,
        name: &str,
        last: Option<&Topic>,
        alias: Option<u16>,
        lane: Lane,
        shared: &Shared,
    ) -> Result<Topic, ProtocolError> {
        if let (true, Some(alias)) = (name.is_empty(), alias) {
            if let Some(topic) = self.lanes().and_then(|lanes| lanes.alias(alias, lane)) {
                return Ok(topic);
            }
            return self.rare().incoming.find(alias).ok_or(alias_fault(Reason::TopicAliasInvalid));
        }
        if let Some(last) = last.filter(|last| std::ptr::eq(last.as_str(), name) || last.as_str() == name) {
            return Ok(last.clone());
        }
        let topic = topic(name, shared)?;
        self.last_topic = (name.len() <= KEPT_TOPIC).then(|| topic.clone());
        Ok(topic)
    }

    /// Gives a topic its number. What cannot be kept ends the connection at every QoS: the client would go on
    /// to use the number.
    fn keep_alias(
        &mut self,
        packet: &Publish<'_>,
        alias: Option<u16>,
        topic: &Topic,
        lane: Lane,
        shared: &Shared,
    ) -> Result<(), ProtocolError> {
        let Some(alias) = alias.filter(|_| !packet.topic.is_empty()) else { return Ok(()) };
        if let Some(lanes) = self.lanes().filter(|_| lane != Lane::MAIN) {
            return lanes.set_alias(alias, lane, topic.clone(), shared).map_err(alias_fault);
        }
        let (maximum, bytes) = (shared.limits.topic_aliases, shared.limits.packet);
        self.rare().incoming.set(alias, topic.clone(), maximum, bytes).map_err(alias_fault)
    }

    /// Answers a PUBLISH that the broker never sees, where there is an answer; else the connection ends.
    fn refuse(
        &mut self,
        packet: &Publish<'_>,
        error: ProtocolError,
        out: &mut Outbox,
    ) -> Result<bool, ProtocolError> {
        let id = packet.id.filter(|_| self.version == Version::V5);
        let is_answered = match error.reason {
            Reason::PayloadInvalid | Reason::QuotaExceeded => true,
            Reason::TopicInvalid => Topic::parse(packet.topic).is_ok(), // well formed, but too many levels
            _ => false,
        };
        match id {
            Some(_) if is_answered && self.unanswered > 0 => Ok(false), // [MQTT-4.6.0-2]
            Some(id) if is_answered => {
                self.fail(id, packet.qos == Qos::ExactlyOnce, error.reason, out);
                Ok(true)
            }
            _ => Err(error),
        }
    }

    fn fail(&self, id: PacketId, twice: bool, reason: Reason, out: &mut Outbox) {
        let (code, words) = match self.version {
            Version::V5 => self.refusal(reason, Kind::PubAck),
            Version::V31 | Version::V311 => (ReasonCode::SUCCESS, None),
        };
        self.acknowledge(words, out, |properties| {
            let ack = Ack { id, code, properties };
            if twice { Packet::PubRec(ack) } else { Packet::PubAck(ack) }
        });
    }

    fn expect_reply(&mut self, packet: &Publish<'_>, lane: Lane) -> Ticket {
        let Some(id) = packet.id else { return Ticket::NONE };
        self.unanswered = self.unanswered.saturating_add(1);
        if self.version == Version::V5 {
            self.unfinished = self.unfinished.saturating_add(1);
        }
        let asked =
            if packet.qos == Qos::ExactlyOnce { Asked::PublishTwice(id) } else { Asked::PublishOnce(id) };
        asked.ticket(lane)
    }

    fn finish(&mut self, finished: bool) {
        self.unfinished = self.unfinished.saturating_sub(u16::from(finished));
    }
}

fn alias_fault(reason: Reason) -> ProtocolError {
    ProtocolError { reason, detail: "the topic alias is not known or not taken" }
}
