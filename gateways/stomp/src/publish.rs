use std::time::Duration;

use bus::{Limits, Metadata, ProtocolError, Publish, Qos, Reason, Topic, UserProperty};
use bytes::Bytes;

use crate::Frame;
use crate::error::error;

/// The headers with a meaning of their own; all others of a SEND are user properties.
pub(crate) const STANDARD: [&str; 16] = [
    "destination",
    "content-type",
    "content-length",
    "receipt",
    "transaction",
    "reply-to",
    "correlation-id",
    "retain",
    "qos",
    "expires",
    "message-expiry",
    "subscription",
    "message-id",
    "ack",
    "redelivered",
    "retained",
];

/// The longest text that every protocol on the bus can carry.
const LONGEST_TEXT: usize = 65_535;

/// What a SEND frame asks to publish.
pub(crate) fn publish(frame: Frame, limits: &Limits) -> Result<Publish, ProtocolError> {
    let topic = frame.header("destination").ok_or(ProtocolError::violation("SEND has no destination"))?;
    let topic = parse_topic(topic, limits)?;
    let metadata = Metadata {
        content_type: frame.header("content-type").map(text).transpose()?.map(Into::into),
        content_format: None,
        response_topic: frame.header("reply-to").map(|topic| parse_topic(topic, limits)).transpose()?,
        correlation: frame
            .header("correlation-id")
            .map(text)
            .transpose()?
            .map(|text| Bytes::copy_from_slice(text.as_bytes())),
        utf8: false,
        user_properties: user_properties(&frame, limits)?,
    };
    Ok(Publish {
        topic,
        qos: qos(&frame)?,
        retain: flag(&frame, "retain", "retain is neither true nor false")?,
        expiry: expiry(&frame)?,
        metadata: metadata.boxed(),
        once: None,
        payload: frame.body,
    })
}

/// The `qos` header: 0 or 1. STOMP cannot keep a promise of exactly once.
pub(crate) fn qos(frame: &Frame) -> Result<Qos, ProtocolError> {
    match frame.header("qos") {
        None | Some("1") => Ok(Qos::AtLeastOnce),
        Some("0") => Ok(Qos::AtMostOnce),
        Some(_) => Err(error(Reason::QosNotSupported, "qos is neither 0 nor 1")),
    }
}

/// A header that is `true` or `false`; a missing one is false.
pub(crate) fn flag(frame: &Frame, name: &str, wrong: &'static str) -> Result<bool, ProtocolError> {
    match frame.header(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ProtocolError::malformed(wrong)),
    }
}

fn parse_topic(text: &str, limits: &Limits) -> Result<Topic, ProtocolError> {
    let topic = Topic::parse(text).map_err(|_| error(Reason::TopicInvalid, "no topic name"))?;
    if topic.levels().count() > limits.topic_levels {
        return Err(error(Reason::TopicInvalid, "the topic name has too many levels"));
    }
    Ok(topic)
}

/// Seconds from now; 0 is for ever. What is above the range is most likely a point in time, which the bus does
/// not know.
fn expiry(frame: &Frame) -> Result<Option<Duration>, ProtocolError> {
    match frame.header("message-expiry").or_else(|| frame.header("expires")).map(str::parse::<u32>) {
        None | Some(Ok(0)) => Ok(None),
        Some(Ok(seconds)) => Ok(Some(Duration::from_secs(seconds.into()))),
        Some(Err(_)) => Err(ProtocolError::malformed("the expiry is not a number of seconds from now")),
    }
}

fn user_properties(frame: &Frame, limits: &Limits) -> Result<Vec<UserProperty>, ProtocolError> {
    let mut properties: Vec<UserProperty> = Vec::new();
    for (name, value) in &frame.headers {
        // [STOMP1.2 Repeated Header Entries]: the first counts
        if STANDARD.contains(&name.as_str()) || properties.iter().any(|(known, _)| **known == **name) {
            continue;
        }
        if properties.len() == limits.user_properties {
            return Err(error(Reason::QuotaExceeded, "SEND has more headers than limits.user_properties"));
        }
        properties.push((text(name)?.into(), text(value)?.into()));
    }
    Ok(properties)
}

fn text(text: &str) -> Result<&str, ProtocolError> {
    let fits = text.len() <= LONGEST_TEXT;
    fits.then_some(text).ok_or(error(Reason::PacketTooLarge, "a header is longer than 65,535 bytes"))
}
