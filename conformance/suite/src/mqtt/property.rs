//! The properties of MQTT 5 as bytes.

use super::wire::{length, text};

/// How a property's value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Byte,
    TwoBytes,
    FourBytes,
    VariableByte,
    Text,
    Binary,
    Pair,
}

/// The layout of a property's value, by its identifier.
pub(super) fn layout(id: u8) -> Option<Layout> {
    Some(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => Layout::Byte,
        0x13 | 0x21 | 0x22 | 0x23 => Layout::TwoBytes,
        0x02 | 0x11 | 0x18 | 0x27 => Layout::FourBytes,
        0x0B => Layout::VariableByte,
        0x03 | 0x08 | 0x12 | 0x15 | 0x1A | 0x1C | 0x1F => Layout::Text,
        0x09 | 0x16 => Layout::Binary,
        0x26 => Layout::Pair,
        _ => return None,
    })
}

/// Any property with a value of one byte.
pub fn byte(id: u8, value: u8) -> Vec<u8> {
    vec![id, value]
}

/// Any property with text or binary data.
pub fn text_in(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![id], text(value)].concat()
}

/// Payload Format Indicator: the payload is text.
pub fn payload_is_text() -> Vec<u8> {
    byte(0x01, 1)
}

/// Message Expiry Interval in seconds.
pub fn message_expiry(seconds: u32) -> Vec<u8> {
    [&[0x02][..], &seconds.to_be_bytes()].concat()
}

/// Content Type.
pub fn content_type(value: &str) -> Vec<u8> {
    text_in(0x03, value)
}

/// Response Topic.
pub fn response_topic(value: &str) -> Vec<u8> {
    text_in(0x08, value)
}

/// Correlation Data.
pub fn correlation_data(value: &[u8]) -> Vec<u8> {
    text_in(0x09, value)
}

/// Subscription Identifier.
pub fn subscription_identifier(value: usize) -> Vec<u8> {
    [vec![0x0B], length(value)].concat()
}

/// Session Expiry Interval in seconds.
pub fn session_expiry(seconds: u32) -> Vec<u8> {
    [&[0x11][..], &seconds.to_be_bytes()].concat()
}

/// Authentication Method.
pub fn authentication_method(value: &str) -> Vec<u8> {
    text_in(0x15, value)
}

/// Request Problem Information: 0.
pub fn no_problem_information() -> Vec<u8> {
    byte(0x17, 0)
}

/// Will Delay Interval in seconds.
pub fn will_delay(seconds: u32) -> Vec<u8> {
    [&[0x18][..], &seconds.to_be_bytes()].concat()
}

/// Receive Maximum.
pub fn receive_maximum(value: u16) -> Vec<u8> {
    [&[0x21][..], &value.to_be_bytes()].concat()
}

/// Topic Alias Maximum.
pub fn topic_alias_maximum(value: u16) -> Vec<u8> {
    [&[0x22][..], &value.to_be_bytes()].concat()
}

/// Topic Alias.
pub fn topic_alias(value: u16) -> Vec<u8> {
    [&[0x23][..], &value.to_be_bytes()].concat()
}

/// User Property.
pub fn user_property(name: &str, value: &str) -> Vec<u8> {
    [vec![0x26], text(name), text(value)].concat()
}

/// Maximum Packet Size.
pub fn maximum_packet_size(value: u32) -> Vec<u8> {
    [&[0x27][..], &value.to_be_bytes()].concat()
}
