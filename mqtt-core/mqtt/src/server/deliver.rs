use std::time::Instant;

use bus::{Deliveries, Delivery, Lane, Message, Outbox, Qos, Reason, SubscriptionId};

use super::connected::Connected;
use crate::aliases::Written;
use crate::codec::{Property, Version, write};
use crate::metadata::{for_each_property, remaining_seconds};

/// A PUBLISH begins with this; the flags follow.
const PUBLISH: u8 = 0b0011_0000;

impl Connected {
    /// Sends a PUBLISH, straight into the outbox. What the client cannot take, or no longer wants, is dropped
    /// and counted; for the session it is complete [MQTT-3.1.2-25].
    pub(super) fn deliver(&mut self, delivery: &Delivery, now: Instant, out: &mut Outbox) {
        // A duplicate must come again: the client may have it half received.
        if !delivery.duplicate && delivery.message.is_expired(now) {
            return out.reject(delivery.id, Reason::MessageExpired);
        }
        let Some(lane) = self.lanes().map(|lanes| lanes.of(&delivery.message.topic)) else {
            if !self.write(delivery, now, out) {
                out.reject(delivery.id, Reason::PacketTooLarge);
            }
            return;
        };
        let before = out.lane();
        out.switch_lane(lane);
        if !self.write(delivery, now, out) {
            out.reject(delivery.id, Reason::PacketTooLarge);
        } else if let Some(lanes) = self.lanes() {
            lanes.sent(delivery.id, lane);
        }
        out.switch_lane(before);
    }

    /// Sends the PUBLISH packets of a burst: as they were written for another client, if they are the same for this one.
    pub(super) fn deliver_burst(&mut self, deliveries: &Deliveries, now: Instant, out: &mut Outbox) {
        let (burst, version) = (&*deliveries.burst, self.version);
        let is_numbered = version == Version::V5 && deliveries.matched.as_slice().iter().any(is_named);
        if !is_numbered && self.lanes().is_none() && self.outgoing_aliases().is_none() {
            let write = |buffer: &mut Vec<u8>| {
                burst.messages().iter().for_each(|message| write_plain(message, version, buffer));
            };
            let form = if version == Version::V5 { "mqtt 5" } else { "mqtt 3" };
            let longest = self.terms().packet_maximum as usize;
            match burst.encoded(form, write) {
                Some(written) if written.len() <= longest => {
                    return out.write_frames(deliveries.len(), |buffer| buffer.extend_from_slice(written));
                }
                None if longest >= write::LONGEST => return out.write_frames(deliveries.len(), write),
                _ => {}
            }
        }
        deliveries.iter().for_each(|delivery| self.deliver(&delivery, now, out));
    }

    /// Writes the packet if the client takes one so large.
    fn write(&mut self, delivery: &Delivery, now: Instant, out: &mut Outbox) -> bool {
        let message = &*delivery.message;
        let is_v5 = self.version == Version::V5;
        // A number must not come on one lane before its topic does on another.
        let aliases = self.outgoing_aliases().filter(|_| out.lane() == Lane::MAIN);
        let written = aliases.map_or(Written::Name, |table| table.choose(&message.topic));
        let topic = if matches!(written, Written::Alias(_)) { "" } else { message.topic.as_str() };
        let id = delivery.id.filter(|_| delivery.qos > Qos::AtMostOnce);

        let mut properties = 0;
        if is_v5 {
            for_each(delivery, written, now, |property| properties += property.length());
        }
        let prefix = if is_v5 { write::variable_length(properties) } else { 0 };
        let head = 2 + topic.len() + if id.is_some() { 2 } else { 0 } + prefix + properties;
        let remaining = head + message.payload.len();
        let total = 1 + write::variable_length(remaining) + remaining;
        if remaining > write::LONGEST || total > self.terms().packet_maximum as usize {
            return false;
        }
        let duplicate = delivery.duplicate && id.is_some(); // [MQTT-3.3.1-2]
        let qos = if id.is_some() { delivery.qos.level() } else { 0 };
        out.write_with_payload(&message.payload, |buffer| {
            let first = PUBLISH | u8::from(duplicate) << 3 | qos << 1 | u8::from(delivery.retain);
            write::publish_head(buffer, first, remaining, topic.len() as u16);
            buffer.extend_from_slice(topic.as_bytes());
            if let Some(id) = id {
                write::u16(buffer, id.get());
            }
            if is_v5 {
                write::variable(buffer, properties);
                for_each(delivery, written, now, |property| {
                    // Each of them fits, or it would not be here.
                    let _ = property.write(buffer);
                });
            }
        });
        if let Some(table) = self.outgoing_aliases().filter(|_| out.lane() == Lane::MAIN) {
            table.wrote(&message.topic, written);
        }
        true
    }
}

/// Writes a PUBLISH at most once, with nothing in it that is the receiver's own.
fn write_plain(message: &Message, version: Version, buffer: &mut Vec<u8>) {
    let is_v5 = version == Version::V5;
    let (topic, metadata) = (message.topic.as_str(), message.metadata.as_deref().filter(|_| is_v5));
    let mut properties = 0;
    if let Some(metadata) = metadata {
        for_each_property(metadata, |property| properties += property.length());
    }
    let prefix = if is_v5 { write::variable_length(properties) } else { 0 };
    let remaining = 2 + topic.len() + prefix + properties + message.payload.len();
    write::publish_head(buffer, PUBLISH, remaining, topic.len() as u16);
    buffer.extend_from_slice(topic.as_bytes());
    if is_v5 {
        write::variable(buffer, properties);
    }
    if let Some(metadata) = metadata {
        for_each_property(metadata, |property| {
            let _ = property.write(buffer);
        });
    }
    buffer.extend_from_slice(&message.payload);
}

/// Whether the client gave the subscription a number of its own.
fn is_named(id: &SubscriptionId) -> bool {
    (1..=write::LONGEST as u32).contains(&id.0)
}

/// Every property of the PUBLISH.
fn for_each(delivery: &Delivery, written: Written, now: Instant, mut each: impl FnMut(Property<'_>)) {
    if let Some(seconds) = remaining_seconds(&delivery.message, now) {
        each(Property::MessageExpiryInterval(seconds)); // [MQTT-3.3.2-6]
    }
    if let Written::Alias(alias) | Written::NameAndAlias(alias) = written {
        each(Property::TopicAlias(alias));
    }
    for id in delivery.matched.as_slice().iter().filter(|id| is_named(id)) {
        each(Property::SubscriptionIdentifier(id.0)); // [MQTT-3.3.4-3]
    }
    if let Some(metadata) = &delivery.message.metadata {
        for_each_property(metadata, each);
    }
}
