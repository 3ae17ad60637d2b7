//! What an application is told of its request.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::{ContentFormat, units};
use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::ask::BadAsk;
use crate::{ETag, Message, OptionNumber};

/// Why there is no answer of the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    BadRequest(#[from] BadAsk),
    #[error("the client did not answer within {}", units::write_duration(*.0))]
    Timeout(Duration),
    #[error("the client does not acknowledge the request")]
    NotAcknowledged,
    #[error("the client rejected the request")]
    Reset,
    #[error("as many requests wait for the client as may")]
    Busy,
    #[error("the request is larger than the client can be sent")]
    TooLarge,
    #[error("{0}")]
    BadAnswer(&'static str),
    #[error("the resource is not observed")]
    NotObserved,
    #[error("as many resources of the client are observed as may be")]
    TooManyObservations,
    #[error("the request cannot be protected as the client wants it")]
    Unprotected,
    #[error("the client left")]
    Gone,
}

impl Failure {
    /// The word for programs.
    fn word(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Timeout(_) | Self::NotAcknowledged => "timeout",
            Self::Reset => "reset",
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::BadAnswer(_) => "bad_answer",
            Self::NotObserved => "not_observed",
            Self::TooManyObservations => "too_many_observations",
            Self::Unprotected => "unprotected",
            Self::Gone => "gone",
        }
    }

    /// The answer that says so.
    pub(crate) fn to_json(&self, id: &Json) -> Bytes {
        let mut keys = Map::new();
        keys.insert("id".to_owned(), id.clone());
        keys.insert("error".to_owned(), self.word().into());
        keys.insert("reason".to_owned(), self.to_string().into());
        Json::Object(keys).to_string().into()
    }
}

/// What the client answered, or notified of.
pub(crate) fn to_json(id: &Json, message: &Message) -> Bytes {
    let mut keys = Map::new();
    let mut insert = |name: &str, value: Json| drop(keys.insert(name.to_owned(), value));
    insert("id", id.clone());
    insert("code", message.code().to_string().into());
    if let Some(number) = message.observe() {
        insert("observe", number.into());
    }
    let format = message.content_format();
    if let Some(ContentFormat(number)) = format {
        insert("content_format", number.into());
    }
    if let Some(tag) = message.option(OptionNumber::ETAG).and_then(ETag::new) {
        insert("etag", tag.to_string().into());
    }
    if let Some(seconds) = message.uint(OptionNumber::MAX_AGE) {
        insert("max_age", seconds.into());
    }
    let location = message.location_path();
    if !location.is_empty() {
        insert("location", format!("/{}", location.join("/")).into());
    }
    // A format without a name may be anything; bytes that happen to be UTF-8 are not text for that.
    let is_text = format.is_none_or(|format| format.media_type().is_some_and(is_textual));
    match std::str::from_utf8(message.payload()) {
        Ok(text) if is_text => insert("payload", text.into()),
        _ => {
            insert("payload", STANDARD.encode(message.payload()).into());
            insert("payload_encoding", "base64".into());
        }
    }
    Json::Object(keys).to_string().into()
}

/// Whether payloads of a media type are text.
fn is_textual(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || ["+json", "+xml"].iter().any(|end| media_type.ends_with(end))
        || matches!(
            media_type,
            "application/json" | "application/xml" | "application/link-format" | "application/javascript"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_answer_is_text_where_its_format_is_and_else_base64() {
        let id = Json::from("1");
        let answer = Message::response(Code::CONTENT).with_payload("21");
        assert_eq!(text(&to_json(&id, &answer)), r#"{"code":"2.05","id":"1","payload":"21"}"#);
        let senml = answer.clone().with_content_format(ContentFormat::SENML_JSON);
        assert!(text(&to_json(&id, &senml)).contains(r#""content_format":110,"id":"1","payload":"21""#));
        let cbor = answer.clone().with_content_format(ContentFormat::CBOR);
        assert!(text(&to_json(&id, &cbor)).contains(r#""payload":"MjE=","payload_encoding":"base64""#));
        let bytes = Message::response(Code::CONTENT).with_payload(b"\xFF".to_vec());
        assert!(text(&to_json(&id, &bytes)).contains(r#""payload":"/w==","payload_encoding":"base64""#));
        let created = Message::response(Code::CREATED)
            .with_option(OptionNumber::LOCATION_PATH, "a")
            .with_option(OptionNumber::LOCATION_PATH, "7")
            .with_option(OptionNumber::ETAG, b"\x01\xA0")
            .with_uint(OptionNumber::MAX_AGE, 5);
        let json = r#"{"code":"2.01","etag":"01a0","id":"1","location":"/a/7","max_age":5,"payload":""}"#;
        assert_eq!(text(&to_json(&id, &created)), json);
    }

    #[test]
    fn a_failure_has_a_word_and_a_reason() {
        let json = Failure::Timeout(Duration::from_secs(10)).to_json(&Json::Null);
        assert_eq!(
            text(&json),
            r#"{"error":"timeout","id":null,"reason":"the client did not answer within 10s"}"#
        );
    }
}
