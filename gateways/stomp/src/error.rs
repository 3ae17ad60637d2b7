use bus::{ProtocolError, Reason};

use crate::{Command, DecodeError, Frame, Version};

/// The ERROR frame for a reason: `message` has the cause in short, the body in a sentence and what to do.
pub(crate) fn error_frame(reason: Reason, detail: &str, receipt: Option<&str>) -> Frame {
    let mut frame = Frame::new(Command::Error).with("message", cause(reason));
    if let Some(receipt) = receipt {
        frame = frame.with("receipt-id", receipt); // [STOMP1.2 ERROR]
    }
    let mut body = String::new();
    for sentence in [detail, reason.explain(), reason.hint()] {
        if !sentence.is_empty() && !body.contains(sentence) {
            body.push_str(sentence);
            body.push('\n');
        }
    }
    if reason == Reason::UnsupportedVersion {
        let versions = Version::ALL.map(Version::as_str).join(",");
        frame = frame.with("version", &versions); // [STOMP1.2 Protocol Negotiation]
        body.push_str("supported protocol versions are 1.0 1.1 1.2\n");
    }
    frame.with("content-type", "text/plain").with_body(body)
}

/// The reason in a few words, for the `message` header.
fn cause(reason: Reason) -> &'static str {
    match reason {
        Reason::Disconnected | Reason::DisconnectedWithWill => "good-bye",
        Reason::PeerClosed | Reason::ConnectionReset => "connection lost",
        Reason::Malformed => "malformed frame received",
        Reason::ProtocolViolation => "protocol violation",
        Reason::UnsupportedVersion => "supported protocol versions are 1.0 1.1 1.2",
        Reason::UnsupportedFeature => "not supported",
        Reason::PacketTooLarge => "frame too large",
        Reason::TopicInvalid | Reason::FilterInvalid => "invalid destination",
        Reason::PayloadInvalid => "invalid body",
        Reason::PacketIdInUse => "id in use",
        Reason::PacketIdUnknown => "unknown message",
        Reason::ReceiveMaximumExceeded | Reason::TopicAliasInvalid => "not possible in STOMP",
        Reason::TlsOnPlainPort => "TLS on a plain port",
        Reason::PlainOnTlsPort | Reason::TlsFailed => "TLS failed",
        Reason::CertificateRefused => "certificate refused",
        Reason::ProxyHeaderInvalid | Reason::UpgradeRefused => "transport refused",
        Reason::WrongProtocol => "not STOMP",
        Reason::KeepAliveTimeout => "heart-beat missing",
        Reason::HandshakeTimeout => "no CONNECT in time",
        Reason::IdleTimeout => "idle for too long",
        Reason::NotAcknowledged => "not acknowledged",
        Reason::SlowConsumer => "slow consumer",
        Reason::BadCredentials | Reason::BadAuthenticationMethod => "access refused",
        Reason::NotAuthorized => "not authorized",
        Reason::ClientIdInvalid => "invalid client-id",
        Reason::Banned => "banned",
        Reason::NotConnected => "not connected",
        Reason::TakenOver => "session taken over",
        Reason::Kicked => "disconnected by an operator",
        Reason::ShuttingDown => "server shutting down",
        Reason::ServerBusy => "server busy",
        Reason::TooManyConnections => "too many connections",
        Reason::ConnectionRateExceeded => "too many connections at once",
        Reason::MessageRateTooHigh => "too many messages",
        Reason::QuotaExceeded => "limit reached",
        Reason::ExclusiveTaken => "exclusive subscription taken",
        Reason::QueueFull => "queue full",
        Reason::MaximumConnectTime => "connected for too long",
        Reason::UseAnotherServer | Reason::ServerMoved => "use another server",
        Reason::NoSubscription => "unknown subscription",
        Reason::QosNotSupported => "qos not supported",
        Reason::RetainNotSupported => "retain not supported",
        Reason::SharedSubscriptionsNotSupported => "shared subscriptions not supported",
        Reason::WildcardsNotSupported => "wildcards not supported",
        Reason::SubscriptionIdsNotSupported => "subscription ids not supported",
        Reason::SessionExpired => "session expired",
        Reason::MessageExpired => "message expired",
        Reason::Internal => "server failure",
    }
}

impl From<DecodeError> for ProtocolError {
    fn from(error: DecodeError) -> Self {
        let (reason, detail) = match error {
            DecodeError::UnknownCommand => (Reason::Malformed, "the first line is no STOMP command"),
            DecodeError::NoColon => (Reason::Malformed, "a header line has no colon"),
            DecodeError::NoName => (Reason::Malformed, "a header has no name"),
            DecodeError::UndefinedEscape => {
                (Reason::Malformed, "a header has an escape that this STOMP version does not define")
            }
            DecodeError::NotUtf8 => (Reason::Malformed, "a header is not UTF-8"),
            DecodeError::NulInHead => {
                (Reason::Malformed, "a NUL stands before the blank line that ends the headers")
            }
            DecodeError::BadContentLength => (Reason::Malformed, "the content-length is not a number"),
            DecodeError::BodyNotEnded => {
                (Reason::Malformed, "the body does not end with NUL where content-length says it does")
            }
            DecodeError::TooManyHeaders => {
                (Reason::PacketTooLarge, "the frame has more headers than limits.user_properties allows")
            }
            DecodeError::HeadTooLarge => {
                (Reason::PacketTooLarge, "the frame's headers are larger than stomp.head allows")
            }
            DecodeError::FrameTooLarge => (Reason::PacketTooLarge, "the frame is larger than the limit"),
        };
        Self { reason, detail }
    }
}

/// An error with this reason and sentence.
pub(crate) const fn error(reason: Reason, detail: &'static str) -> ProtocolError {
    ProtocolError { reason, detail }
}
