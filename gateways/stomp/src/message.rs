use std::fmt;
use std::time::Instant;

use bus::{Delivery, Metadata};

use crate::connect::whole_seconds;
use crate::escape::Escaping;
use crate::frame::Head;
use crate::publish::STANDARD;
use crate::{Command, Version};

/// The headers of a MESSAGE frame, ready to be written.
pub(crate) struct MessageHead<'a> {
    pub(crate) version: Version,
    /// The client's name of the subscription, if it gave one.
    pub(crate) subscription: Option<&'a str>,
    pub(crate) message_id: MessageId,
    /// Whether the client will be asked to acknowledge.
    pub(crate) acknowledged: bool,
    pub(crate) delivery: &'a Delivery,
}

/// What a MESSAGE is called: a number of its connection, behind what sets the connection apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageId {
    pub(crate) salt: u32,
    pub(crate) number: u64,
}

impl MessageId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (salt, number) = text.split_once('-')?;
        Some(Self { salt: u32::from_str_radix(salt, 16).ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.salt, self.number)
    }
}

impl MessageHead<'_> {
    /// Whether the version can write the destination.
    pub(crate) fn carries_destination(version: Version, delivery: &Delivery) -> bool {
        Escaping::of(version, Command::Message).carries("destination", delivery.message.topic.as_str())
    }

    /// Writes command and headers, up to the body.
    pub(crate) fn write(&self, now: Instant, buffer: &mut Vec<u8>) {
        let message = &self.delivery.message;
        let mut head = Head::new(self.version, Command::Message, buffer);
        if let Some(subscription) = self.subscription {
            head.header("subscription", subscription);
        }
        head.plain("message-id", self.message_id);
        head.header("destination", message.topic.as_str());
        if self.acknowledged && self.version == Version::V1_2 {
            head.plain("ack", self.message_id); // [STOMP1.2 MESSAGE]
        }
        if self.delivery.retain {
            head.header("retained", "true");
        }
        if self.delivery.duplicate {
            head.header("redelivered", "true");
        }
        if let Some(remaining) = message.remaining(now) {
            head.plain("message-expiry", whole_seconds(remaining));
        }
        if let Some(metadata) = &message.metadata {
            self.write_metadata(metadata, &mut head);
        }
        head.plain("content-length", message.payload.len());
        head.end();
    }

    /// Writes what the publisher said, as far as this version's headers can carry it.
    fn write_metadata(&self, metadata: &Metadata, head: &mut Head<'_>) {
        let escaping = Escaping::of(self.version, Command::Message);
        let correlation = metadata.correlation.as_ref().and_then(|data| std::str::from_utf8(data).ok());
        let named = [
            ("content-type", metadata.media_type()),
            ("reply-to", metadata.response_topic.as_ref().map(|topic| topic.as_str())),
            ("correlation-id", correlation),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let user = metadata.user_properties.iter().map(|(name, value)| (&**name, &**value));
        let user = user.filter(|(name, _)| !STANDARD.contains(name));
        for (name, value) in named.chain(user).filter(|(name, value)| escaping.carries(name, value)) {
            head.header(name, value);
        }
    }
}
