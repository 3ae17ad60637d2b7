//! The data formats of payloads, and what they say: values by path.

mod cbor;
mod json;
mod senml;
pub(crate) mod tlv;

use bus::ContentFormat;
use serde_json::Value as Json;

use crate::{Lwm2mPath, ObjectModel, Value};

/// One value of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it is.
    pub path: Lwm2mPath,
    /// What it is.
    pub value: Value,
    /// When it was so, in seconds since 1970 (or before now, if small), where the format tells.
    pub time: Option<f64>,
}

/// Why a payload could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no TLV.
    #[error("the payload is not valid TLV")]
    Tlv,
    /// The text is no OMA LwM2M JSON.
    #[error("the payload is not valid LwM2M JSON")]
    Json,
    /// The bytes are no single value in CBOR.
    #[error("the payload is not a single CBOR value")]
    Cbor,
    /// The text or bytes are no SenML.
    #[error("the payload is not valid SenML")]
    SenMl,
    /// The text is no list of links.
    #[error("the payload is not valid link format")]
    Links,
    /// The text is not UTF-8.
    #[error("the payload is not UTF-8 text")]
    Text,
    /// A name is no path, or one outside of what was asked for.
    #[error("the payload names something that was not asked for")]
    Path,
    /// There are more values than are taken at once.
    #[error("the payload has too many values")]
    TooMany,
    /// The format is not offered.
    #[error("the content format {0} is not read here")]
    Format(u16),
}

/// Why values could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    /// A format for one value got none or several.
    #[error("the format takes exactly one value")]
    NotOne,
    /// One value would be written over another.
    #[error("content names something twice, or both as a whole and in part")]
    Twice,
    /// The name of a new instance's resource begins with the instance, in all formats but TLV.
    #[error("the format needs the id of the new instance")]
    NoInstance,
    /// A value is longer than the format can say.
    #[error("a value is too long for the format")]
    TooLong,
}

/// How many values a payload may have.
const MAX_NODES: usize = 10_000;

/// Reads what a device says of `path`.
///
/// A value of a resource that `model` does not know, or that is not of the type it knows, is taken as what
/// the format says; TLV says nothing, so that it becomes [`Value::Opaque`].
pub fn decode(
    format: Option<ContentFormat>,
    path: Lwm2mPath,
    payload: &[u8],
    model: &ObjectModel,
) -> Result<Vec<Node>, DecodeError> {
    match format.unwrap_or(ContentFormat::TEXT) {
        ContentFormat::TEXT => {
            let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Text)?;
            let value = model.data_type(path).and_then(|data_type| Value::from_text(text, data_type));
            Ok(vec![Node::new(path, value.unwrap_or_else(|| Value::String(text.to_owned())))])
        }
        ContentFormat::OCTET_STREAM => Ok(vec![Node::new(path, Value::Opaque(payload.to_vec().into()))]),
        // 1542 and 1543 were the numbers of TLV and JSON before their registration.
        ContentFormat::LWM2M_TLV | ContentFormat(1_542) => tlv::decode(path, payload, model),
        ContentFormat::LWM2M_JSON | ContentFormat(1_543) => json::decode(path, payload, model),
        ContentFormat::CBOR => Ok(vec![Node::new(path, cbor::decode(payload, model.data_type(path))?)]),
        ContentFormat::SENML_CBOR => senml::decode_cbor(path, payload, model),
        ContentFormat::SENML_JSON => senml::decode(path, payload, model),
        ContentFormat(other) => Err(DecodeError::Format(other)),
    }
}

/// Writes values below `base`.
pub(crate) fn encode(format: WriteFormat, base: Lwm2mPath, items: &[Item]) -> Result<Vec<u8>, EncodeError> {
    check(format, base, items)?;
    match (format, items) {
        (WriteFormat::Tlv, items) => tlv::encode(base, items),
        (WriteFormat::Json, items) => Ok(json::encode(base, items)),
        (WriteFormat::SenMlJson, items) => Ok(senml::encode(base, items)),
        (WriteFormat::Text, [item]) => Ok(item.value.to_text().into_bytes()),
        (WriteFormat::Opaque, [Item { value: Value::Opaque(bytes), .. }]) => Ok(bytes.to_vec()),
        (WriteFormat::Opaque, [item]) => Ok(item.value.to_text().into_bytes()),
        (WriteFormat::Text | WriteFormat::Opaque, _) => Err(EncodeError::NotOne),
    }
}

/// Nothing may get lost: each value has a place of its own, and all are of one depth's making.
fn check(format: WriteFormat, base: Lwm2mPath, items: &[Item]) -> Result<(), EncodeError> {
    let mut places: Vec<&[u16]> = items.iter().map(|item| item.ids.as_slice()).collect();
    places.sort_unstable();
    if places.windows(2).any(|pair| matches!(pair, [one, next] if next.starts_with(one))) {
        return Err(EncodeError::Twice);
    }
    let nameless = items.iter().filter(|item| base.levels() == 1 && item.ids.len() == 1).count();
    match (format, nameless) {
        (_, 0) => Ok(()),
        (WriteFormat::Tlv, nameless) if nameless == items.len() => Ok(()),
        (_, _) => Err(EncodeError::NoInstance),
    }
}

/// A format that commands are written to devices in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum WriteFormat {
    /// OMA TLV, which every LwM2M 1.0 device reads.
    #[default]
    #[serde(rename = "tlv")]
    Tlv,
    /// OMA LwM2M JSON.
    #[serde(rename = "json")]
    Json,
    /// SenML in JSON, since LwM2M 1.1.
    #[serde(rename = "senml-json")]
    SenMlJson,
    /// Plain text, for a single resource.
    #[serde(rename = "text")]
    Text,
    /// Bytes, for a single resource.
    #[serde(rename = "opaque")]
    Opaque,
}

/// One value to write, by where it lies below the base of the write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    /// The ids below the base; none if the base itself is written.
    pub(crate) ids: Vec<u16>,
    pub(crate) value: Value,
}

impl WriteFormat {
    /// The format with the name it has in commands and in the configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Tlv, Self::Json, Self::SenMlJson, Self::Text, Self::Opaque]
            .into_iter()
            .find(|format| format.name() == name)
    }

    /// Its number on the wire.
    pub(crate) fn content_format(self) -> ContentFormat {
        match self {
            Self::Tlv => ContentFormat::LWM2M_TLV,
            Self::Json => ContentFormat::LWM2M_JSON,
            Self::SenMlJson => ContentFormat::SENML_JSON,
            Self::Text => ContentFormat::TEXT,
            Self::Opaque => ContentFormat::OCTET_STREAM,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tlv => "tlv",
            Self::Json => "json",
            Self::SenMlJson => "senml-json",
            Self::Text => "text",
            Self::Opaque => "opaque",
        }
    }
}

impl Node {
    pub(crate) fn new(path: Lwm2mPath, value: Value) -> Self {
        Self { path, value, time: None }
    }

    /// The node as the bus sees it: `{"path":"/3/0/9","value":95}`.
    pub fn to_json(&self) -> Json {
        let mut node = serde_json::Map::new();
        node.insert("path".to_owned(), self.path.to_string().into());
        if matches!(self.value, Value::Opaque(_)) {
            node.insert("type".to_owned(), "Opaque".into());
        }
        node.insert("value".to_owned(), self.value.to_json());
        if let Some(time) = self.time {
            node.insert("time".to_owned(), time.into());
        }
        Json::Object(node)
    }
}

/// The name of an item below its base: `13`, `7/0`.
fn relative_name(item: &Item) -> String {
    let ids: Vec<String> = item.ids.iter().map(u16::to_string).collect();
    ids.join("/")
}

/// What a text format's number is in the model's eyes.
fn number(number: &serde_json::Number, data_type: Option<crate::DataType>) -> Option<Value> {
    let json = Json::Number(number.clone());
    data_type.and_then(|data_type| Value::from_json(&json, data_type)).or_else(|| Value::untyped(&json))
}
