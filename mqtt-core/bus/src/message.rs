use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{ClientId, ContentFormat, Topic};

/// The guarantee of one hop [MQTT5 4.3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// May be lost, never doubled.
    #[default]
    AtMostOnce,
    /// Never lost, may be doubled.
    AtLeastOnce,
    /// Neither lost nor doubled.
    ExactlyOnce,
}

/// A message as the bus carries it: immutable, shared by every session that is owed it.
#[derive(Debug)]
pub struct Message {
    /// The topic name.
    pub topic: Topic,
    /// The payload, of any form.
    pub payload: Bytes,
    /// The guarantee with which the publisher sent it.
    pub qos: Qos,
    /// Whether the publisher asked for it to be retained.
    pub retain: bool,
    /// When the broker took it.
    pub published: Instant,
    /// When it is no longer worth delivering; `None` is never.
    pub expires: Option<Instant>,
    /// What else the publisher said; `None` when it said nothing.
    pub metadata: Option<Box<Metadata>>,
    /// The client that published it.
    pub origin: ClientId,
}

/// What a protocol asks the broker to publish.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The topic name.
    pub topic: Topic,
    /// The payload.
    pub payload: Bytes,
    /// The guarantee of the hop from the publisher.
    pub qos: Qos,
    /// Whether it replaces the retained message of its topic; with an empty payload it removes that message.
    pub retain: bool,
    /// How long it is worth delivering; `None` is for ever.
    pub expiry: Option<Duration>,
    /// What else the publisher says.
    pub metadata: Option<Box<Metadata>>,
    /// The publisher's id for exactly-once handling: a second publish with this id is not routed again until
    /// [`Request::Release`](crate::Request::Release) names the id. Set if and only if `qos` is exactly once.
    pub once: Option<u16>,
}

/// A publish that is done if something is true of its topic at that moment.
#[derive(Debug)]
pub struct ConditionalPublish {
    /// What is published.
    pub publish: Publish,
    /// What must be true.
    pub precondition: Box<dyn Precondition>,
}

/// What must be true of the message that is retained on a topic.
pub trait Precondition: fmt::Debug + Send + Sync {
    /// Whether it is. To be answered from the message alone, and soon: nothing is retained meanwhile.
    fn holds(&self, retained: Option<&Message>) -> bool;
}

/// What crosses protocols beside topic and payload, as far as the receiving protocol can carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The media type of the payload (MQTT 5 content type, STOMP `content-type`).
    pub content_type: Option<Arc<str>>,
    /// The CoAP number of the media type; the same fact as `content_type` where both are known.
    pub content_format: Option<ContentFormat>,
    /// Where an answer is awaited (MQTT 5 response topic, STOMP `reply-to`).
    pub response_topic: Option<Topic>,
    /// What the answer shall repeat (MQTT 5 correlation data, STOMP `correlation-id`).
    pub correlation: Option<Bytes>,
    /// Whether the publisher vouches that the payload is UTF-8 text (MQTT 5 payload format indicator 1).
    pub utf8: bool,
    /// Name and value pairs in the publisher's order; names may repeat.
    pub user_properties: Vec<UserProperty>,
}

/// One user property: name, then value.
pub type UserProperty = (Box<str>, Box<str>);

/// The message that is published when a client is lost.
#[derive(Clone, Debug)]
pub struct Will {
    /// What is published.
    pub publish: Publish,
    /// How long after the loss; a client that comes back within that time cancels it.
    pub delay: Duration,
}

impl Qos {
    /// The level that MQTT writes as 0, 1 or 2.
    pub fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number MQTT writes: 0, 1 or 2.
    pub fn level(self) -> u8 {
        self as u8
    }
}

impl Message {
    /// Whether the message is no longer worth delivering.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// How long it is still worth delivering; `None` is for ever.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.expires.map(|expires| expires.saturating_duration_since(now))
    }

    /// Bytes that its topic, payload and metadata hold.
    pub fn size(&self) -> usize {
        let metadata = self.metadata.as_ref().map_or(0, |metadata| metadata.size());
        self.topic.as_str().len() + self.payload.len() + metadata
    }
}

impl Publish {
    /// A message without metadata, not retained; `once` must be set by the caller for exactly once.
    pub fn new(topic: Topic, payload: impl Into<Bytes>, qos: Qos) -> Self {
        Self { topic, payload: payload.into(), qos, retain: false, expiry: None, metadata: None, once: None }
    }

    /// The same, retained.
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
}

impl Metadata {
    /// Boxes the metadata unless it says nothing.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    /// The media type, by name or by CoAP number.
    pub fn media_type(&self) -> Option<&str> {
        self.content_type.as_deref().or_else(|| self.content_format.and_then(ContentFormat::media_type))
    }

    /// The CoAP number of the media type, given or found by name.
    pub fn format(&self) -> Option<ContentFormat> {
        self.content_format.or_else(|| ContentFormat::from_media_type(self.content_type.as_deref()?))
    }

    /// Bytes that it holds.
    pub fn size(&self) -> usize {
        let user: usize = self.user_properties.iter().map(|(name, value)| name.len() + value.len()).sum();
        let text = self.content_type.as_ref().map_or(0, |text| text.len());
        let response = self.response_topic.as_ref().map_or(0, |topic| topic.as_str().len());
        user + text + response + self.correlation.as_ref().map_or(0, Bytes::len)
    }
}
