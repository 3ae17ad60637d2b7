//! What an application asks of a client, as it writes it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::{ContentFormat, units};
use serde_json::{Map, Value as Json};

use crate::{Code, Message};

/// A request to the client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) method: Code,
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<String>,
    content_format: Option<ContentFormat>,
    accept: Option<ContentFormat>,
    payload: Vec<u8>,
    confirmable: bool,
    pub(crate) timeout: Option<Duration>,
    /// Whether an observation begins, or ends.
    pub(crate) observe: Option<bool>,
}

/// Why a request is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAsk {
    #[error("the request is not a JSON object")]
    Json,
    #[error("the key {0:?} is unknown")]
    Key(String),
    #[error("id is longer than 256 characters, or neither text nor a number")]
    Id,
    #[error("method is none of GET, POST, PUT, DELETE, FETCH, PATCH and iPATCH")]
    Method,
    #[error("path is neither text nor an array of text, or a segment is . or .. or longer than 255 bytes")]
    Path,
    #[error("query is neither text nor an array of text, or an argument is longer than 255 bytes")]
    Query,
    #[error("{0} is neither a number from 0 to 65535 nor a media type with a number")]
    Format(&'static str),
    #[error("payload is not text, or payload_encoding is neither text nor base64, or it is not valid base64")]
    Payload,
    #[error("{0} is neither true nor false")]
    Flag(&'static str),
    #[error("timeout is not a duration such as \"10s\", or 0")]
    Timeout,
    #[error("observe takes the method GET or FETCH")]
    Observe,
}

/// The longest Uri-Path and Uri-Query [RFC7252 5.10].
const LONGEST_OPTION: usize = 255;
/// How many segments a path may have, and arguments a query.
const MOST_PARTS: usize = 64;
/// The longest id.
const LONGEST_ID: usize = 256;

/// Reads a request. Its id is there even if the rest is not.
pub(crate) fn parse(payload: &[u8]) -> (Json, Result<Ask, BadAsk>) {
    let Ok(mut keys) = serde_json::from_slice::<Map<String, Json>>(payload) else {
        return (Json::Null, Err(BadAsk::Json));
    };
    let id = keys.remove("id").unwrap_or(Json::Null);
    let is_id = match &id {
        Json::Null | Json::Number(_) => true,
        Json::String(text) => text.len() <= LONGEST_ID,
        Json::Bool(_) | Json::Array(_) | Json::Object(_) => false,
    };
    if is_id { (id, Ask::from_keys(&keys)) } else { (Json::Null, Err(BadAsk::Id)) }
}

impl Ask {
    fn from_keys(keys: &Map<String, Json>) -> Result<Self, BadAsk> {
        const KNOWN: [&str; 10] = [
            "method",
            "path",
            "query",
            "content_format",
            "accept",
            "payload",
            "payload_encoding",
            "confirmable",
            "timeout",
            "observe",
        ];
        if let Some(unknown) = keys.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(BadAsk::Key(unknown.chars().take(LONGEST_ID).collect()));
        }
        let method = method(keys.get("method"))?;
        let observe = flag(keys, "observe")?;
        if observe.is_some() && method != Code::GET && method != Code::FETCH {
            return Err(BadAsk::Observe);
        }
        let path =
            parts(keys.get("path"), '/').filter(|path| !path.iter().any(|one| one == "." || one == ".."));
        Ok(Self {
            method,
            path: path.ok_or(BadAsk::Path)?,
            query: parts(keys.get("query"), '&').ok_or(BadAsk::Query)?,
            content_format: format(keys, "content_format")?,
            accept: format(keys, "accept")?,
            payload: payload(keys).ok_or(BadAsk::Payload)?,
            confirmable: flag(keys, "confirmable")?.unwrap_or(true),
            timeout: timeout(keys.get("timeout"))?,
            observe,
        })
    }

    /// The request as CoAP has it.
    pub(crate) fn to_message(&self) -> Message {
        let mut message = Message::request(self.method).with_path(self.path.iter().map(String::as_str));
        for argument in &self.query {
            message = message.with_query(argument);
        }
        if let Some(begins) = self.observe {
            message = message.with_observe(u32::from(!begins));
        }
        if let Some(format) = self.accept {
            message = message.with_accept(format);
        }
        if let Some(format) = self.content_format {
            message = message.with_content_format(format);
        }
        let message = message.with_payload(self.payload.clone());
        if self.confirmable { message } else { message.non_confirmable() }
    }

    /// About how many bytes it takes to keep it.
    pub(crate) fn size(&self) -> usize {
        let parts = self.path.iter().chain(&self.query).map(|part| part.len() + 32);
        self.payload.len() + parts.sum::<usize>() + 128
    }
}

fn method(value: Option<&Json>) -> Result<Code, BadAsk> {
    match value.map(Json::as_str) {
        None => Ok(Code::GET),
        Some(Some("GET")) => Ok(Code::GET),
        Some(Some("POST")) => Ok(Code::POST),
        Some(Some("PUT")) => Ok(Code::PUT),
        Some(Some("DELETE")) => Ok(Code::DELETE),
        Some(Some("FETCH")) => Ok(Code::FETCH),
        Some(Some("PATCH")) => Ok(Code::PATCH),
        Some(Some("iPATCH")) => Ok(Code::IPATCH),
        Some(_) => Err(BadAsk::Method),
    }
}

/// The parts of a path or a query: an array, or one text in which they are separated.
fn parts(value: Option<&Json>, separator: char) -> Option<Vec<String>> {
    let parts: Vec<String> = match value {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::String(text)) => {
            let text = if separator == '/' { text.strip_prefix('/').unwrap_or(text) } else { text };
            let parts = text.split(separator).map(str::to_owned);
            if text.is_empty() { Vec::new() } else { parts.collect() }
        }
        Some(Json::Array(parts)) => {
            parts.iter().map(|part| part.as_str().map(str::to_owned)).collect::<Option<_>>()?
        }
        Some(_) => return None,
    };
    let fits = parts.len() <= MOST_PARTS && parts.iter().all(|part| part.len() <= LONGEST_OPTION);
    fits.then_some(parts)
}

fn format(keys: &Map<String, Json>, name: &'static str) -> Result<Option<ContentFormat>, BadAsk> {
    let format = match keys.get(name) {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(name)) => ContentFormat::from_media_type(name),
        Some(number) => {
            let number = number.as_u64().and_then(|number| u16::try_from(number).ok());
            number.map(ContentFormat)
        }
    };
    format.map(Some).ok_or(BadAsk::Format(name))
}

fn flag(keys: &Map<String, Json>, name: &'static str) -> Result<Option<bool>, BadAsk> {
    match keys.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(BadAsk::Flag(name)),
    }
}

fn payload(keys: &Map<String, Json>) -> Option<Vec<u8>> {
    let text = match keys.get("payload") {
        None | Some(Json::Null) => "",
        Some(payload) => payload.as_str()?,
    };
    match keys.get("payload_encoding").map(Json::as_str) {
        None | Some(Some("text")) => Some(text.as_bytes().to_vec()),
        Some(Some("base64")) => STANDARD.decode(text).ok(),
        Some(_) => None,
    }
}

fn timeout(value: Option<&Json>) -> Result<Option<Duration>, BadAsk> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => {
            let timeout = units::parse_duration(text).ok().filter(|timeout| !timeout.is_zero());
            timeout.map(Some).ok_or(BadAsk::Timeout)
        }
        Some(_) => Err(BadAsk::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Message, BadAsk> {
        parse(json.as_bytes()).1.map(|ask| ask.to_message())
    }

    #[test]
    fn a_request_is_what_the_application_wrote() {
        let json = r#"{"id": "1", "method": "PUT", "path": "sensors/temp", "query": ["a=b", "c"], "content_format": 50,
                       "accept": "application/cbor", "payload": "MjE=", "payload_encoding": "base64",
                       "confirmable": false, "timeout": "10s"}"#;
        let (id, ask) = parse(json.as_bytes());
        let ask = ask.unwrap();
        assert_eq!((id, ask.timeout), (Json::from("1"), Some(Duration::from_secs(10))));
        let message = ask.to_message();
        assert_eq!((message.code(), message.kind()), (Code::PUT, crate::Kind::NonConfirmable));
        assert_eq!(message.uri_path(), ["sensors", "temp"]);
        assert_eq!(message.queries().collect::<Vec<_>>(), [("a", "b"), ("c", "")]);
        assert_eq!(
            (message.content_format(), message.accept()),
            (Some(ContentFormat::JSON), Some(ContentFormat::CBOR))
        );
        assert_eq!(message.payload(), b"21");
    }

    #[test]
    fn what_is_left_out_is_a_confirmable_get_of_the_root() {
        let message = parsed("{}").unwrap();
        assert_eq!((message.code(), message.kind()), (Code::GET, crate::Kind::Confirmable));
        assert!(message.uri_path().is_empty() && message.payload().is_empty());
        assert_eq!(parsed(r#"{"path": "/a//b/"}"#).unwrap().uri_path(), ["a", "", "b", ""]);
        assert_eq!(parsed(r#"{"path": ["a/b"]}"#).unwrap().uri_path(), ["a/b"]);
        assert_eq!(parsed(r#"{"observe": true}"#).unwrap().observe(), Some(0));
        assert_eq!(parsed(r#"{"observe": false, "method": "FETCH"}"#).unwrap().observe(), Some(1));
    }

    #[test]
    fn each_mistake_is_named() {
        let long = format!(r#"{{"path": "{}"}}"#, "x".repeat(256));
        let deep = format!(r#"{{"path": "{}"}}"#, "a/".repeat(65));
        let cases = [
            ("no json", BadAsk::Json),
            ("[]", BadAsk::Json),
            (r#"{"speed": 1}"#, BadAsk::Key("speed".to_owned())),
            (r#"{"id": {}}"#, BadAsk::Id),
            (r#"{"method": "get"}"#, BadAsk::Method),
            (r#"{"method": 1}"#, BadAsk::Method),
            (r#"{"path": 1}"#, BadAsk::Path),
            (r#"{"path": "a/../b"}"#, BadAsk::Path),
            (&long, BadAsk::Path),
            (&deep, BadAsk::Path),
            (r#"{"query": [1]}"#, BadAsk::Query),
            (r#"{"content_format": 65536}"#, BadAsk::Format("content_format")),
            (r#"{"accept": "x/y"}"#, BadAsk::Format("accept")),
            (r#"{"payload": 1}"#, BadAsk::Payload),
            (r#"{"payload": "!", "payload_encoding": "base64"}"#, BadAsk::Payload),
            (r#"{"payload_encoding": "hex"}"#, BadAsk::Payload),
            (r#"{"confirmable": 1}"#, BadAsk::Flag("confirmable")),
            (r#"{"timeout": 10}"#, BadAsk::Timeout),
            (r#"{"timeout": "0s"}"#, BadAsk::Timeout),
            (r#"{"observe": true, "method": "POST"}"#, BadAsk::Observe),
        ];
        for (json, expected) in cases {
            assert_eq!(parsed(json), Err(expected), "{json}");
        }
        assert_eq!(parse(br#"{"id": 7, "method": 1}"#).0, Json::from(7));
    }
}
