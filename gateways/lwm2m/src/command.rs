//! Commands as the bus writes them, and the requests to the device that they become.

use bus::ContentFormat;
use bytes::Bytes;
use coap::{Code, Message};
use serde_json::{Map, Value as Json};

use crate::format::{EncodeError, Item, encode};
use crate::value::from_base64;
use crate::{DataType, Lwm2mPath, ObjectModel, Value, WriteFormat};

/// What every answer to a command repeats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    /// The command's own keys, `reqID` among them, without `msgType` and `data`.
    pub(crate) echo: Map<String, Json>,
    /// The name of the operation, as the command has it.
    pub(crate) message_type: Option<String>,
    /// The path as the command has it.
    pub(crate) path: Option<String>,
}

/// A request to the device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DownlinkRequest {
    pub(crate) operation: Operation,
    pub(crate) path: Lwm2mPath,
    queries: Vec<String>,
    accept: Option<ContentFormat>,
    body: Option<(ContentFormat, Vec<u8>)>,
}

/// What a device can be asked to do [LwM2M 1.1 Core 6.3, 6.4].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Discover,
    /// Replaces.
    Write,
    /// Changes only what is named.
    WritePartially,
    WriteAttributes,
    Execute,
    Create,
    Delete,
    Observe,
    CancelObserve,
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCommand {
    #[error("the command is not a JSON object")]
    Json,
    #[error("msgType is missing or unknown")]
    MessageType,
    #[error("data is missing or not an object")]
    Data,
    #[error("{0} is missing or not a path")]
    Path(&'static str),
    #[error("the path has the wrong depth for this operation")]
    Depth,
    #[error("type {0:?} is unknown")]
    Type(String),
    #[error("the value for {0} is missing or not of its type")]
    Value(String),
    #[error("format is unknown")]
    Format,
    #[error("content is missing or not an array of objects with path and value")]
    Content,
    #[error("args is not text")]
    Arguments,
    #[error("attribute {0:?} is unknown or its value is not valid")]
    Attribute(String),
    #[error("no attribute is named")]
    NoAttribute,
    #[error("a path or query is longer than CoAP allows")]
    TooLong,
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The longest Uri-Query [RFC7252 5.10].
const LONGEST_OPTION: usize = 255;
/// How many arguments a query may have.
const MOST_QUERIES: usize = 32;

/// Reads a command. The envelope is there even if the rest is not.
pub(crate) fn parse(
    payload: &[u8],
    model: &ObjectModel,
    default: WriteFormat,
) -> (Envelope, Result<DownlinkRequest, BadCommand>) {
    let Ok(mut echo) = serde_json::from_slice::<Map<String, Json>>(payload) else {
        return (Envelope::default(), Err(BadCommand::Json));
    };
    let message_type = echo.remove("msgType").and_then(|name| name.as_str().map(str::to_owned));
    let data = echo.remove("data");
    let path =
        ["path", "basePath"].iter().find_map(|key| data.as_ref()?.get(key)?.as_str()).map(str::to_owned);
    let hex = [Some(&echo), data.as_ref().and_then(Json::as_object)]
        .into_iter()
        .flatten()
        .any(|keys| keys.get("encoding").and_then(Json::as_str) == Some("hex"));
    let request = match (&message_type, &data) {
        (None, _) => Err(BadCommand::MessageType),
        (Some(_), None) => Err(BadCommand::Data),
        (Some(name), Some(Json::Object(data))) => Parser { data, model, hex, default }.request(name),
        (Some(_), Some(_)) => Err(BadCommand::Data),
    };
    (Envelope { echo, message_type, path }, request)
}

struct Parser<'a> {
    data: &'a Map<String, Json>,
    model: &'a ObjectModel,
    /// Whether bytes are written in hexadecimal.
    hex: bool,
    default: WriteFormat,
}

impl Parser<'_> {
    fn request(&self, name: &str) -> Result<DownlinkRequest, BadCommand> {
        match name {
            "read" => self.read(Operation::Read),
            "observe" => self.read(Operation::Observe),
            "cancel-observe" => self.plain(Operation::CancelObserve, 1..=4),
            "discover" => Ok(self.plain(Operation::Discover, 1..=3)?.accepting(ContentFormat::LINK_FORMAT)),
            "delete" => {
                let request = self.plain(Operation::Delete, 2..=4)?;
                let levels = request.path.levels();
                if levels == 3 { Err(BadCommand::Depth) } else { Ok(request) }
            }
            "execute" => self.execute(),
            "write-attr" => self.write_attributes(),
            "write" if self.data.contains_key("content") => self.write_content(),
            "write" => self.write_value(),
            "create" => self.create(),
            _ => Err(BadCommand::MessageType),
        }
    }

    /// A request that is nothing but a path with as many ids as `levels` allows.
    fn plain(
        &self,
        operation: Operation,
        levels: std::ops::RangeInclusive<usize>,
    ) -> Result<DownlinkRequest, BadCommand> {
        let (path, queries) = self.path("path")?;
        if !levels.contains(&path.levels()) {
            return Err(BadCommand::Depth);
        }
        Ok(DownlinkRequest { operation, path, queries, accept: None, body: None })
    }

    fn read(&self, operation: Operation) -> Result<DownlinkRequest, BadCommand> {
        let request = self.plain(operation, 1..=4)?;
        Ok(DownlinkRequest { accept: self.format()?.map(WriteFormat::content_format), ..request })
    }

    fn execute(&self) -> Result<DownlinkRequest, BadCommand> {
        let request = self.plain(Operation::Execute, 3..=3)?;
        let body = match self.data.get("args") {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) if text.is_empty() => None,
            Some(Json::String(text)) => Some((ContentFormat::TEXT, text.clone().into_bytes())),
            Some(_) => return Err(BadCommand::Arguments),
        };
        Ok(DownlinkRequest { body, ..request })
    }

    /// `{"path":"/3/0/13","type":"Time","value":"1"}`
    fn write_value(&self) -> Result<DownlinkRequest, BadCommand> {
        let request = self.plain(Operation::Write, 3..=4)?;
        let value = self.value(self.data, request.path)?;
        self.with_items(request, vec![Item { ids: Vec::new(), value }])
    }

    /// `{"basePath":"/3/0/","content":[{"path":"13","type":"Time","value":"1"}]}`
    fn write_content(&self) -> Result<DownlinkRequest, BadCommand> {
        let (path, queries) = self.path("basePath")?;
        let operation = match path.levels() {
            2 => Operation::WritePartially,
            3 | 4 => Operation::Write,
            _ => return Err(BadCommand::Depth),
        };
        let items = self.content(path)?;
        if items.is_empty() {
            return Err(BadCommand::Content);
        }
        self.with_items(DownlinkRequest { operation, path, queries, accept: None, body: None }, items)
    }

    /// `{"basePath":"/31024","content":[{"path":"0/1","value":"x"}]}`; without the instance's id the device
    /// chooses it.
    fn create(&self) -> Result<DownlinkRequest, BadCommand> {
        let (path, queries) = self.path("basePath").or_else(|error| self.path("path").map_err(|_| error))?;
        if path.levels() != 1 {
            return Err(BadCommand::Depth);
        }
        let items = if self.data.contains_key("content") { self.content(path)? } else { Vec::new() };
        let request =
            DownlinkRequest { operation: Operation::Create, path, queries, accept: None, body: None };
        self.with_items(request, items)
    }

    /// `{"path":"/3/0/9","pmin":1,"pmax":"60"}`; `null` takes an attribute away.
    fn write_attributes(&self) -> Result<DownlinkRequest, BadCommand> {
        let mut request = self.plain(Operation::WriteAttributes, 1..=4)?;
        for (name, value) in self.data.iter().filter(|(name, _)| *name != "path") {
            let bad = || BadCommand::Attribute(name.clone());
            let valid = match name.as_str() {
                "pmin" | "pmax" | "epmin" | "epmax" | "hqmax" => |text: &str| text.parse::<u64>().is_ok(),
                "gt" | "lt" | "st" => |text: &str| text.parse().is_ok_and(f64::is_finite),
                "con" | "edge" => |text: &str| matches!(text, "0" | "1"),
                _ => return Err(bad()),
            };
            let text = match value {
                Json::Null => {
                    request.queries.push(name.clone());
                    continue;
                }
                Json::String(text) => text.clone(),
                Json::Number(number) => number.to_string(),
                Json::Bool(truth) => u8::from(*truth).to_string(),
                Json::Array(_) | Json::Object(_) => return Err(bad()),
            };
            request.queries.push(
                Some(&text).filter(|text| valid(text)).map(|_| format!("{name}={text}")).ok_or_else(bad)?,
            );
        }
        if request.queries.is_empty() {
            return Err(BadCommand::NoAttribute);
        }
        Ok(request)
    }

    /// The path under a key, and the arguments behind its `?`.
    fn path(&self, key: &'static str) -> Result<(Lwm2mPath, Vec<String>), BadCommand> {
        let text = self.data.get(key).and_then(Json::as_str).ok_or(BadCommand::Path(key))?;
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let queries: Vec<String> =
            query.split('&').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        if queries.len() > MOST_QUERIES || queries.iter().any(|query| query.len() > LONGEST_OPTION) {
            return Err(BadCommand::TooLong);
        }
        Ok((Lwm2mPath::parse(path).ok_or(BadCommand::Path(key))?, queries))
    }

    fn format(&self) -> Result<Option<WriteFormat>, BadCommand> {
        let Some(format) = self.data.get("format") else { return Ok(None) };
        format.as_str().and_then(WriteFormat::from_name).map(Some).ok_or(BadCommand::Format)
    }

    fn content(&self, base: Lwm2mPath) -> Result<Vec<Item>, BadCommand> {
        let content = self.data.get("content").and_then(Json::as_array).ok_or(BadCommand::Content)?;
        let item = |entry: &Json| {
            let entry = entry.as_object().ok_or(BadCommand::Content)?;
            let path = match entry.get("path") {
                Some(Json::String(path)) => path.clone(),
                Some(Json::Number(id)) => id.to_string(),
                Some(_) => return Err(BadCommand::Content),
                None => String::new(),
            };
            let segments = path.split('/').filter(|segment| !segment.is_empty());
            let ids: Option<Vec<u16>> = segments.map(crate::path::id).collect();
            let ids = ids.ok_or(BadCommand::Path("content.path"))?;
            let whole = ids.iter().try_fold(base, |path, id| path.child(*id)).ok_or(BadCommand::Depth)?;
            // A new instance whose id the device chooses has resources directly below the object.
            let typed = match (base.levels(), ids.as_slice()) {
                (1, []) => return Err(BadCommand::Depth),
                (1, [resource]) => {
                    base.child(0).and_then(|instance| instance.child(*resource)).unwrap_or(whole)
                }
                _ if whole.levels() < 3 => return Err(BadCommand::Depth),
                _ => whole,
            };
            Ok(Item { value: self.value(entry, typed)?, ids })
        };
        content.iter().map(item).collect()
    }

    /// The value of an entry: of the type it names, or of the resource's type, or as JSON has it.
    fn value(&self, entry: &Map<String, Json>, path: Lwm2mPath) -> Result<Value, BadCommand> {
        let bad = || BadCommand::Value(path.to_string());
        let value = entry.get("value").ok_or_else(bad)?;
        let data_type = match entry.get("type") {
            None => self.model.data_type(path),
            Some(Json::String(name)) => {
                Some(DataType::from_name(name).ok_or_else(|| BadCommand::Type(name.clone()))?)
            }
            Some(other) => return Err(BadCommand::Type(other.to_string())),
        };
        match (data_type, value) {
            (None, value) => Value::untyped(value),
            (Some(DataType::Opaque), Json::String(text)) if self.hex => from_hex(text).map(Value::Opaque),
            (Some(DataType::Opaque), Json::String(text)) => from_base64(text).map(Value::Opaque),
            (Some(data_type), value) => Value::from_json(value, data_type),
        }
        .ok_or_else(bad)
    }

    fn with_items(&self, request: DownlinkRequest, items: Vec<Item>) -> Result<DownlinkRequest, BadCommand> {
        let format = self.format()?.unwrap_or(match (self.default, items.as_slice()) {
            // The formats for one value cannot say more.
            (WriteFormat::Text | WriteFormat::Opaque, [] | [_, _, ..]) => WriteFormat::Tlv,
            (format, _) => format,
        });
        let body = Some((format.content_format(), encode(format, request.path, &items)?));
        Ok(DownlinkRequest { body, ..request })
    }
}

impl DownlinkRequest {
    /// Observes without having been commanded to.
    pub(crate) fn observe(path: Lwm2mPath) -> Self {
        Self { operation: Operation::Observe, path, queries: Vec::new(), accept: None, body: None }
    }

    fn accepting(self, format: ContentFormat) -> Self {
        Self { accept: Some(format), ..self }
    }

    /// The request as CoAP has it; `alternate_path` stands before the object's id.
    pub(crate) fn to_message(&self, alternate_path: &[String]) -> Message {
        let method = match self.operation {
            Operation::Read | Operation::Discover | Operation::Observe | Operation::CancelObserve => {
                Code::GET
            }
            Operation::Write | Operation::WriteAttributes => Code::PUT,
            Operation::WritePartially | Operation::Execute | Operation::Create => Code::POST,
            Operation::Delete => Code::DELETE,
        };
        let mut message = Message::request(method).with_path(alternate_path.iter().map(String::as_str));
        for id in self.path.ids() {
            message = message.with_path([id.to_string().as_str()]);
        }
        for query in &self.queries {
            message = message.with_query(query);
        }
        match self.operation {
            Operation::Observe => message = message.with_observe(0),
            Operation::CancelObserve => message = message.with_observe(1),
            _ => {}
        }
        if let Some(format) = self.accept {
            message = message.with_accept(format);
        }
        match &self.body {
            Some((format, body)) => message.with_content_format(*format).with_payload(body.clone()),
            None => message,
        }
    }
}

fn from_hex(text: &str) -> Option<Bytes> {
    let text = text.trim();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .map(Bytes::from)
}

#[cfg(test)]
mod tests;
