use std::time::Duration;

use bus::{Message, Metadata, Publish, Reason, Topic};
use bytes::Bytes;

use crate::codec::{Properties, Property};

/// What the properties of a PUBLISH or a will say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) expiry: Option<Duration>,
    pub(crate) metadata: Option<Box<Metadata>>,
    pub(crate) alias: Option<u16>,
    pub(crate) delay: Duration,
    pub(crate) subscriptions: Vec<u32>,
    /// Why the message is not taken, where it is not; what else is said holds all the same.
    pub(crate) fault: Option<Reason>,
}

impl Said {
    /// Takes the properties, of which at most `user_properties` may be user properties.
    #[inline]
    pub(crate) fn read(properties: Properties<'_>, user_properties: usize) -> Self {
        if properties.is_empty() { Self::default() } else { Self::read_some(properties, user_properties) }
    }

    fn read_some(properties: Properties<'_>, user_properties: usize) -> Self {
        let mut said = Self::default();
        let mut metadata = Metadata::default();
        for property in properties.iter() {
            match property {
                Property::PayloadFormatIndicator(utf8) => metadata.utf8 = utf8,
                Property::MessageExpiryInterval(seconds) => {
                    said.expiry = Some(Duration::from_secs(seconds.into()));
                }
                Property::ContentType(text) => metadata.content_type = Some(text.into()),
                Property::ResponseTopic(name) => match Topic::parse(name) {
                    Ok(topic) => metadata.response_topic = Some(topic),
                    Err(_) => said.fault = Some(Reason::TopicInvalid),
                },
                Property::CorrelationData(bytes) => {
                    metadata.correlation = Some(Bytes::copy_from_slice(bytes))
                }
                Property::UserProperty(..) if metadata.user_properties.len() >= user_properties => {
                    said.fault = Some(Reason::QuotaExceeded);
                }
                Property::UserProperty(name, value) => {
                    metadata.user_properties.push((name.into(), value.into()));
                }
                Property::TopicAlias(alias) => said.alias = Some(alias),
                Property::WillDelayInterval(seconds) => said.delay = Duration::from_secs(seconds.into()),
                Property::SubscriptionIdentifier(id) => said.subscriptions.push(id),
                _ => {} // the decoder lets no other property stand in these places
            }
        }
        said.metadata = metadata.boxed();
        said
    }

    /// Whether the payload is what its properties say.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        !self.metadata.as_ref().is_some_and(|metadata| metadata.utf8) || std::str::from_utf8(payload).is_ok()
    }

    /// Adds what was said to a publish.
    pub(crate) fn apply(self, publish: Publish) -> Publish {
        Publish { expiry: self.expiry, metadata: self.metadata, ..publish }
    }
}

/// The properties that carry a message's metadata.
///
/// What another protocol let through but MQTT cannot write, a field of more than 65,535 bytes or text with
/// U+0000, is left out.
pub(crate) fn for_each_property(metadata: &Metadata, mut each: impl FnMut(Property<'_>)) {
    if metadata.utf8 {
        each(Property::PayloadFormatIndicator(true));
    }
    if let Some(media_type) = metadata.media_type().filter(|text| is_writable(text)) {
        each(Property::ContentType(media_type));
    }
    if let Some(topic) = &metadata.response_topic {
        each(Property::ResponseTopic(topic.as_str()));
    }
    if let Some(correlation) = metadata.correlation.as_ref().filter(|bytes| bytes.len() <= 65_535) {
        each(Property::CorrelationData(correlation));
    }
    for (name, value) in &metadata.user_properties {
        if is_writable(name) && is_writable(value) {
            each(Property::UserProperty(name, value));
        }
    }
}

/// Seconds for which a message is still worth delivering, rounded up so that it never seems expired too early.
pub(crate) fn remaining_seconds(message: &Message, now: std::time::Instant) -> Option<u32> {
    message.remaining(now).map(whole_seconds)
}

pub(crate) fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn is_writable(text: &str) -> bool {
    text.len() <= 65_535 && !text.contains('\0')
}
