use bus::Reason;

use crate::codec::{Kind, ReasonCode};

/// The code of MQTT 5 for a reason, as far as a packet of `kind` can say it.
pub(super) fn code(reason: Reason, kind: Kind) -> ReasonCode {
    let code = general_code(reason);
    // A refusal must not look like success. The list of DISCONNECT [MQTT5 3.14.2.1] lacks the bad method.
    let misleads = match kind {
        Kind::Disconnect => code == ReasonCode::BAD_AUTHENTICATION_METHOD,
        Kind::UnsubAck => code == ReasonCode::SUCCESS,
        _ => !code.is_error(),
    };
    if code.belongs(kind) && !misleads {
        return code;
    }
    let near = match code {
        ReasonCode::BAD_USER_NAME_OR_PASSWORD
        | ReasonCode::BANNED
        | ReasonCode::BAD_AUTHENTICATION_METHOD => ReasonCode::NOT_AUTHORIZED,
        ReasonCode::SERVER_SHUTTING_DOWN | ReasonCode::SERVER_UNAVAILABLE if kind == Kind::ConnAck => {
            ReasonCode::SERVER_UNAVAILABLE
        }
        ReasonCode::PACKET_TOO_LARGE | ReasonCode::MESSAGE_RATE_TOO_HIGH | ReasonCode::SERVER_BUSY => {
            ReasonCode::QUOTA_EXCEEDED
        }
        _ => ReasonCode::UNSPECIFIED_ERROR,
    };
    if near.belongs(kind) { near } else { ReasonCode::UNSPECIFIED_ERROR }
}

fn general_code(reason: Reason) -> ReasonCode {
    match reason {
        Reason::Disconnected => ReasonCode::SUCCESS,
        Reason::DisconnectedWithWill => ReasonCode::DISCONNECT_WITH_WILL,
        Reason::Malformed => ReasonCode::MALFORMED_PACKET,
        Reason::ProtocolViolation => ReasonCode::PROTOCOL_ERROR,
        Reason::UnsupportedVersion => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
        Reason::PeerClosed
        | Reason::ConnectionReset
        | Reason::TlsOnPlainPort
        | Reason::PlainOnTlsPort
        | Reason::TlsFailed
        | Reason::CertificateRefused
        | Reason::ProxyHeaderInvalid
        | Reason::UpgradeRefused
        | Reason::WrongProtocol
        | Reason::HandshakeTimeout
        | Reason::NotAcknowledged
        | Reason::NotConnected
        | Reason::SessionExpired
        | Reason::MessageExpired
        | Reason::Internal => ReasonCode::UNSPECIFIED_ERROR,
        Reason::UnsupportedFeature => ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
        Reason::PacketTooLarge => ReasonCode::PACKET_TOO_LARGE,
        Reason::TopicInvalid => ReasonCode::TOPIC_NAME_INVALID,
        Reason::FilterInvalid => ReasonCode::TOPIC_FILTER_INVALID,
        Reason::PayloadInvalid => ReasonCode::PAYLOAD_FORMAT_INVALID,
        Reason::PacketIdInUse => ReasonCode::PACKET_IDENTIFIER_IN_USE,
        Reason::PacketIdUnknown => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        Reason::ReceiveMaximumExceeded => ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
        Reason::TopicAliasInvalid => ReasonCode::TOPIC_ALIAS_INVALID,
        Reason::KeepAliveTimeout | Reason::IdleTimeout => ReasonCode::KEEP_ALIVE_TIMEOUT,
        Reason::SlowConsumer | Reason::QuotaExceeded | Reason::ExclusiveTaken | Reason::QueueFull => {
            ReasonCode::QUOTA_EXCEEDED
        }
        Reason::BadCredentials => ReasonCode::BAD_USER_NAME_OR_PASSWORD,
        Reason::BadAuthenticationMethod => ReasonCode::BAD_AUTHENTICATION_METHOD,
        Reason::NotAuthorized => ReasonCode::NOT_AUTHORIZED,
        Reason::ClientIdInvalid => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
        Reason::Banned => ReasonCode::BANNED,
        Reason::TakenOver => ReasonCode::SESSION_TAKEN_OVER,
        Reason::Kicked => ReasonCode::ADMINISTRATIVE_ACTION,
        Reason::ShuttingDown => ReasonCode::SERVER_SHUTTING_DOWN,
        Reason::ServerBusy | Reason::TooManyConnections => ReasonCode::SERVER_BUSY,
        Reason::ConnectionRateExceeded => ReasonCode::CONNECTION_RATE_EXCEEDED,
        Reason::MessageRateTooHigh => ReasonCode::MESSAGE_RATE_TOO_HIGH,
        Reason::MaximumConnectTime => ReasonCode::MAXIMUM_CONNECT_TIME,
        Reason::UseAnotherServer => ReasonCode::USE_ANOTHER_SERVER,
        Reason::ServerMoved => ReasonCode::SERVER_MOVED,
        Reason::NoSubscription => ReasonCode::NO_SUBSCRIPTION_EXISTED,
        Reason::QosNotSupported => ReasonCode::QOS_NOT_SUPPORTED,
        Reason::RetainNotSupported => ReasonCode::RETAIN_NOT_SUPPORTED,
        Reason::SharedSubscriptionsNotSupported => ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
        Reason::WildcardsNotSupported => ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
        Reason::SubscriptionIdsNotSupported => ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
    }
}

/// The CONNACK return code of MQTT 3 for a reason [MQTT311 3.2.2.3].
///
/// `None` is for what it has no code for: the transport just closes.
pub(super) fn return_code(reason: Reason) -> Option<u8> {
    match reason {
        Reason::UnsupportedVersion => Some(1),
        Reason::ClientIdInvalid => Some(2),
        Reason::ShuttingDown
        | Reason::ServerBusy
        | Reason::TooManyConnections
        | Reason::ConnectionRateExceeded
        | Reason::QuotaExceeded
        | Reason::ExclusiveTaken
        | Reason::QueueFull
        | Reason::MessageRateTooHigh
        | Reason::UseAnotherServer
        | Reason::ServerMoved
        | Reason::Internal => Some(3),
        Reason::BadCredentials | Reason::BadAuthenticationMethod => Some(4),
        Reason::NotAuthorized
        | Reason::Banned
        | Reason::UnsupportedFeature
        | Reason::TopicInvalid
        | Reason::PayloadInvalid
        | Reason::QosNotSupported
        | Reason::RetainNotSupported => Some(5),
        Reason::Disconnected
        | Reason::DisconnectedWithWill
        | Reason::PeerClosed
        | Reason::ConnectionReset
        | Reason::Malformed
        | Reason::ProtocolViolation
        | Reason::PacketTooLarge
        | Reason::FilterInvalid
        | Reason::PacketIdInUse
        | Reason::PacketIdUnknown
        | Reason::ReceiveMaximumExceeded
        | Reason::TopicAliasInvalid
        | Reason::TlsOnPlainPort
        | Reason::PlainOnTlsPort
        | Reason::TlsFailed
        | Reason::CertificateRefused
        | Reason::ProxyHeaderInvalid
        | Reason::UpgradeRefused
        | Reason::WrongProtocol
        | Reason::KeepAliveTimeout
        | Reason::HandshakeTimeout
        | Reason::IdleTimeout
        | Reason::NotAcknowledged
        | Reason::SlowConsumer
        | Reason::NotConnected
        | Reason::TakenOver
        | Reason::Kicked
        | Reason::MaximumConnectTime
        | Reason::NoSubscription
        | Reason::SharedSubscriptionsNotSupported
        | Reason::WildcardsNotSupported
        | Reason::SubscriptionIdsNotSupported
        | Reason::SessionExpired
        | Reason::MessageExpired => None,
    }
}

/// Whether a refused PUBLISH of an MQTT 3 client, which cannot be told, is acknowledged all the same: if it
/// would be refused whenever it came again [MQTT-3.3.5-2]. Else the connection closes and nothing is lost.
pub(super) fn is_final(reason: Reason) -> bool {
    return_code(reason) == Some(5)
}

/// What a client means by failing a delivery.
pub(super) fn rejection(code: ReasonCode) -> Reason {
    match code {
        ReasonCode::NOT_AUTHORIZED => Reason::NotAuthorized,
        ReasonCode::TOPIC_NAME_INVALID => Reason::TopicInvalid,
        ReasonCode::PACKET_IDENTIFIER_IN_USE => Reason::PacketIdInUse,
        ReasonCode::PACKET_IDENTIFIER_NOT_FOUND => Reason::PacketIdUnknown,
        ReasonCode::QUOTA_EXCEEDED => Reason::QuotaExceeded,
        ReasonCode::PAYLOAD_FORMAT_INVALID => Reason::PayloadInvalid,
        ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR => Reason::UnsupportedFeature,
        _ => Reason::NotAcknowledged,
    }
}
