//! What the bus is told: the JSON of answers, notifications and events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::ContentFormat;
use bytes::Bytes;
use coap::{Code, Message};
use directory::{Link, LinkBounds};
use serde_json::{Map, Value as Json};

use crate::command::{BadCommand, DownlinkRequest, Envelope, Operation};
use crate::{Lwm2mPath, ObjectModel, decode};

/// The longest diagnostic text of a device that is passed on.
const LONGEST_REASON: usize = 1_024;

impl Envelope {
    /// The answer to the command: what the device said.
    pub(crate) fn answer(&self, request: &DownlinkRequest, message: &Message, model: &ObjectModel) -> Bytes {
        let mut data = self.data(message.code());
        if !message.code().is_success() {
            insert_reason(&mut data, diagnostic(message));
        } else if request.operation == Operation::Discover {
            insert_links(&mut data, message);
        } else if request.operation.returns_values() {
            insert_values(&mut data, request.path, message, model);
        }
        if request.operation == Operation::Observe
            && message.code().is_success()
            && message.observe().is_none()
        {
            insert_reason(&mut data, Some("the device answered but does not observe".to_owned()));
        }
        if request.operation == Operation::Create && !message.location_path().is_empty() {
            data.insert("location".to_owned(), format!("/{}", message.location_path().join("/")).into());
        }
        self.seal(self.message_type.as_deref(), data)
    }

    /// A notification; the envelope is that of the command to observe.
    pub(crate) fn notification(&self, path: Lwm2mPath, message: &Message, model: &ObjectModel) -> Bytes {
        let mut data = self.data(message.code());
        if message.code().is_success() {
            insert_values(&mut data, path, message, model);
        } else {
            insert_reason(&mut data, diagnostic(message));
        }
        let mut notification = self.clone();
        if let Some(number) = message.observe() {
            notification.echo.insert("seqNum".to_owned(), number.into());
        }
        notification.seal(Some("notify"), data)
    }

    /// The answer to a command that cannot be carried out.
    pub(crate) fn bad_command(&self, error: &BadCommand) -> Bytes {
        self.refusal(Code::BAD_REQUEST, &error.to_string())
    }

    /// The answer to a command that was not sent to the device.
    pub(crate) fn refusal(&self, code: Code, reason: &str) -> Bytes {
        let mut data = self.data(code);
        insert_reason(&mut data, Some(reason.to_owned()));
        self.seal(self.message_type.as_deref(), data)
    }

    /// The device did not answer: EMQX calls that `coap_timeout` in place of the operation.
    pub(crate) fn timeout(&self) -> Bytes {
        self.seal(Some("coap_timeout"), self.data(Code::GATEWAY_TIMEOUT))
    }

    /// The device rejected the request with a Reset: EMQX calls that `coap_reset` in place of the operation.
    pub(crate) fn reset(&self) -> Bytes {
        self.seal(Some("coap_reset"), self.data(Code::BAD_GATEWAY))
    }

    fn data(&self, code: Code) -> Map<String, Json> {
        let mut data = Map::new();
        if let Some(path) = &self.path {
            data.insert("reqPath".to_owned(), path.as_str().into());
        }
        data.insert("code".to_owned(), code.to_string().into());
        data.insert("codeMsg".to_owned(), code_message(code).into());
        data
    }

    fn seal(&self, message_type: Option<&str>, data: Map<String, Json>) -> Bytes {
        event(self.echo.clone(), message_type, data)
    }
}

/// Anything that the bus is told: `{"msgType":…,"data":{…}}` and what else is in `keys`.
pub(crate) fn event(
    mut keys: Map<String, Json>,
    message_type: Option<&str>,
    data: Map<String, Json>,
) -> Bytes {
    if let Some(message_type) = message_type {
        keys.insert("msgType".to_owned(), message_type.into());
    }
    keys.insert("data".to_owned(), Json::Object(data));
    Json::Object(keys).to_string().into()
}

impl Operation {
    fn returns_values(self) -> bool {
        match self {
            Self::Read | Self::Observe | Self::CancelObserve => true,
            Self::Discover
            | Self::Write
            | Self::WritePartially
            | Self::WriteAttributes
            | Self::Execute
            | Self::Create
            | Self::Delete => false,
        }
    }
}

/// Adds the values that a payload has; one that cannot be read is passed on as it is, with the reason.
fn insert_values(data: &mut Map<String, Json>, path: Lwm2mPath, message: &Message, model: &ObjectModel) {
    // Without a Content-Format a single value is text, and more can only be TLV.
    let presumed = (path.levels() < 3 && !message.payload().is_empty()).then_some(ContentFormat::LWM2M_TLV);
    let format = message.content_format().or(presumed);
    match decode(format, path, message.payload(), model) {
        Ok(nodes) => {
            let content: Vec<Json> = nodes.iter().map(crate::Node::to_json).collect();
            data.insert("content".to_owned(), content.into());
        }
        Err(error) => insert_payload(data, message, &error.to_string()),
    }
}

fn insert_links(data: &mut Map<String, Json>, message: &Message) {
    let text = std::str::from_utf8(message.payload()).ok();
    let links = text.and_then(|text| Link::parse_list(text, LinkBounds::default()).ok());
    match links {
        Some(links) => {
            let content: Vec<Json> = links.iter().map(|link| link.to_string().into()).collect();
            data.insert("content".to_owned(), content.into());
        }
        None => insert_payload(data, message, &crate::DecodeError::Links.to_string()),
    }
}

fn insert_payload(data: &mut Map<String, Json>, message: &Message, reason: &str) {
    insert_reason(data, Some(reason.to_owned()));
    data.insert("payload".to_owned(), STANDARD.encode(message.payload()).into());
}

fn insert_reason(data: &mut Map<String, Json>, reason: Option<String>) {
    if let Some(reason) = reason {
        data.insert("reason".to_owned(), reason.into());
    }
}

/// The words with which the device explains an error [RFC7252 5.5.2].
fn diagnostic(message: &Message) -> Option<String> {
    let text = std::str::from_utf8(message.payload()).ok().filter(|text| !text.is_empty())?;
    Some(text.chars().take(LONGEST_REASON).collect())
}

/// The name that EMQX gives a code.
fn code_message(code: Code) -> &'static str {
    match code {
        Code::CREATED => "created",
        Code::DELETED => "deleted",
        Code::VALID => "valid",
        Code::CHANGED => "changed",
        Code::CONTENT => "content",
        Code::CONTINUE => "continue",
        Code::BAD_REQUEST => "bad_request",
        Code::UNAUTHORIZED => "unauthorized",
        Code::BAD_OPTION => "bad_option",
        Code::FORBIDDEN => "forbidden",
        Code::NOT_FOUND => "not_found",
        Code::METHOD_NOT_ALLOWED => "method_not_allowed",
        Code::NOT_ACCEPTABLE => "not_acceptable",
        Code::REQUEST_ENTITY_INCOMPLETE => "request_entity_incomplete",
        Code::CONFLICT => "conflict",
        Code::PRECONDITION_FAILED => "precondition_failed",
        Code::REQUEST_ENTITY_TOO_LARGE => "request_entity_too_large",
        Code::UNSUPPORTED_CONTENT_FORMAT => "unsupported_content_format",
        Code::UNPROCESSABLE_ENTITY => "unprocessable_entity",
        Code::TOO_MANY_REQUESTS => "too_many_requests",
        Code::INTERNAL_SERVER_ERROR => "internal_server_error",
        Code::NOT_IMPLEMENTED => "not_implemented",
        Code::BAD_GATEWAY => "bad_gateway",
        Code::SERVICE_UNAVAILABLE => "service_unavailable",
        Code::GATEWAY_TIMEOUT => "gateway_timeout",
        Code::PROXYING_NOT_SUPPORTED => "proxying_not_supported",
        _ => "unknown",
    }
}
