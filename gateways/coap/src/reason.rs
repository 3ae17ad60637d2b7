use bus::Reason;

use crate::{Code, Message, OptionNumber};

/// The answer that says why something was refused.
pub fn refusal(reason: Reason) -> Message {
    let refusal = Message::diagnostic(code(reason), reason.explain());
    match retry_after(reason) {
        Some(seconds) => refusal.with_uint(OptionNumber::MAX_AGE, seconds),
        None => refusal,
    }
}

/// After how many seconds it may be tried again, where that is less than the minute which a client takes for meant if
/// nothing is said [RFC8516 3], [RFC7252 5.9.3.4].
fn retry_after(reason: Reason) -> Option<u32> {
    match reason {
        // Rates are counted in seconds.
        Reason::MessageRateTooHigh | Reason::ConnectionRateExceeded | Reason::ReceiveMaximumExceeded => {
            Some(1)
        }
        Reason::ServerBusy | Reason::QueueFull => Some(5),
        _ => None,
    }
}

/// The code that says why something was refused, or why an observation ends.
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::Malformed
        | Reason::ProtocolViolation
        | Reason::TopicInvalid
        | Reason::FilterInvalid
        | Reason::PayloadInvalid
        | Reason::ClientIdInvalid
        | Reason::PacketIdInUse
        | Reason::PacketIdUnknown
        | Reason::TopicAliasInvalid
        | Reason::TlsOnPlainPort
        | Reason::PlainOnTlsPort
        | Reason::TlsFailed
        | Reason::CertificateRefused
        | Reason::ProxyHeaderInvalid
        | Reason::UpgradeRefused
        | Reason::WrongProtocol => Code::BAD_REQUEST,
        Reason::BadCredentials
        | Reason::BadAuthenticationMethod
        | Reason::NotConnected
        | Reason::SessionExpired
        | Reason::TakenOver => Code::UNAUTHORIZED,
        Reason::NotAuthorized | Reason::Banned | Reason::Kicked => Code::FORBIDDEN,
        Reason::NoSubscription => Code::NOT_FOUND,
        Reason::PacketTooLarge => Code::REQUEST_ENTITY_TOO_LARGE,
        Reason::ReceiveMaximumExceeded
        | Reason::ConnectionRateExceeded
        | Reason::MessageRateTooHigh
        | Reason::QuotaExceeded
        | Reason::ExclusiveTaken => Code::TOO_MANY_REQUESTS,
        Reason::UnsupportedVersion
        | Reason::UnsupportedFeature
        | Reason::QosNotSupported
        | Reason::RetainNotSupported
        | Reason::SharedSubscriptionsNotSupported
        | Reason::WildcardsNotSupported
        | Reason::SubscriptionIdsNotSupported => Code::NOT_IMPLEMENTED,
        Reason::Disconnected
        | Reason::DisconnectedWithWill
        | Reason::PeerClosed
        | Reason::ConnectionReset
        | Reason::KeepAliveTimeout
        | Reason::HandshakeTimeout
        | Reason::IdleTimeout
        | Reason::NotAcknowledged
        | Reason::SlowConsumer
        | Reason::MessageExpired
        | Reason::ShuttingDown
        | Reason::ServerBusy
        | Reason::TooManyConnections
        | Reason::QueueFull
        | Reason::MaximumConnectTime
        | Reason::UseAnotherServer
        | Reason::ServerMoved => Code::SERVICE_UNAVAILABLE,
        Reason::Internal => Code::INTERNAL_SERVER_ERROR,
    }
}
