use std::time::Duration;

use bus::{ClientId, Connect, Credentials, Limits, ProtocolError, Reason, SessionExpiry};
use bytes::Bytes;

use crate::error::error;
use crate::heartbeat::Wish;
use crate::{Config, Frame, Version};

/// What a CONNECT or STOMP frame asks for.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) version: Version,
    pub(crate) wish: Wish,
    pub(crate) connect: Connect,
}

impl Opening {
    pub(crate) fn parse(mut frame: Frame, config: &Config, limits: &Limits) -> Result<Self, ProtocolError> {
        let version = Version::negotiate(frame.header("accept-version"))
            .ok_or(error(Reason::UnsupportedVersion, "accept-version names no version that is offered"))?;
        if version == Version::V1_0 {
            frame.trim();
        }
        let wish = match version {
            Version::V1_0 => Wish::default(),
            Version::V1_1 | Version::V1_2 => Wish::parse(frame.header("heart-beat"))?,
        };
        let client_id = frame.header("client-id").map(parse_client_id).transpose()?;
        let session_expiry = parse_session_expiry(&frame)?;
        if client_id.is_none() && session_expiry != SessionExpiry::AtOnce {
            return Err(error(Reason::ClientIdInvalid, "session-expiry needs a client-id to come back with"));
        }
        let connect = Connect {
            client_id,
            credentials: Credentials {
                username: frame.header("login").map(Into::into),
                password: frame.header("passcode").map(|text| Bytes::copy_from_slice(text.as_bytes())),
                ..Credentials::default()
            },
            clean_start: session_expiry == SessionExpiry::AtOnce,
            session_expiry,
            will: None,
            receive_maximum: limits.send_window.max(1),
            keep_alive: wish.incoming(config),
            takes_unasked: false,
            user_properties: Vec::new(),
            protocol: version.protocol(),
        };
        Ok(Self { version, wish, connect })
    }
}

fn parse_client_id(text: &str) -> Result<ClientId, ProtocolError> {
    ClientId::parse(text).ok_or(error(Reason::ClientIdInvalid, "client-id is empty or too long"))
}

fn parse_session_expiry(frame: &Frame) -> Result<SessionExpiry, ProtocolError> {
    match frame.header("session-expiry").map(str::parse) {
        None => Ok(SessionExpiry::AtOnce),
        Some(Ok(seconds)) => Ok(SessionExpiry::from_seconds(seconds)),
        Some(Err(_)) => Err(ProtocolError::malformed("session-expiry is not a number of seconds")),
    }
}

/// What other protocol the first bytes belong to, if that can be told.
pub(crate) fn foreign(input: &[u8]) -> Option<ProtocolError> {
    const HTTP: [&[u8]; 9] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE ", b"PRI "];
    match input.first()? {
        0x16 => Some(error(Reason::TlsOnPlainPort, "the first byte is that of a TLS handshake")),
        0x10 => Some(error(Reason::WrongProtocol, "the first byte is that of an MQTT CONNECT")),
        _ if HTTP.iter().any(|method| input.starts_with(method)) => {
            Some(error(Reason::WrongProtocol, "the first line is that of an HTTP request"))
        }
        _ => None,
    }
}

/// Seconds, as headers write a span; what is left of one counts whole.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
