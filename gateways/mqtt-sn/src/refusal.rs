use bus::Reason;

use crate::ReturnCode;

/// How MQTT-SN says why something was refused [5.3.10]. It has three words for it.
pub(crate) fn return_code(reason: Reason) -> ReturnCode {
    match reason {
        Reason::TopicAliasInvalid => ReturnCode::InvalidTopicId,
        Reason::ShuttingDown
        | Reason::ServerBusy
        | Reason::TooManyConnections
        | Reason::ConnectionRateExceeded
        | Reason::MessageRateTooHigh
        | Reason::QuotaExceeded
        | Reason::ExclusiveTaken
        | Reason::QueueFull
        | Reason::ReceiveMaximumExceeded
        | Reason::UseAnotherServer
        | Reason::Internal => ReturnCode::Congestion,
        Reason::Disconnected
        | Reason::DisconnectedWithWill
        | Reason::PeerClosed
        | Reason::ConnectionReset
        | Reason::Malformed
        | Reason::ProtocolViolation
        | Reason::UnsupportedVersion
        | Reason::UnsupportedFeature
        | Reason::PacketTooLarge
        | Reason::TopicInvalid
        | Reason::FilterInvalid
        | Reason::PayloadInvalid
        | Reason::PacketIdInUse
        | Reason::PacketIdUnknown
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
        | Reason::BadCredentials
        | Reason::BadAuthenticationMethod
        | Reason::NotAuthorized
        | Reason::ClientIdInvalid
        | Reason::Banned
        | Reason::NotConnected
        | Reason::TakenOver
        | Reason::Kicked
        | Reason::MaximumConnectTime
        | Reason::ServerMoved
        | Reason::NoSubscription
        | Reason::QosNotSupported
        | Reason::RetainNotSupported
        | Reason::SharedSubscriptionsNotSupported
        | Reason::WildcardsNotSupported
        | Reason::SubscriptionIdsNotSupported
        | Reason::SessionExpired
        | Reason::MessageExpired => ReturnCode::NotSupported,
    }
}
