use std::fmt;

/// Why something was refused, or why a connection ended: one list for all protocols.
///
/// Each protocol maps it to its own codes in one exhaustive `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The client said good-bye.
    Disconnected,
    /// The client said good-bye and asked for its will to be published.
    DisconnectedWithWill,
    /// The client closed the transport without a good-bye.
    PeerClosed,
    /// The network reset the connection.
    ConnectionReset,
    /// The client sent bytes that are no frame of the protocol.
    Malformed,
    /// The client sent a frame that may not come here.
    ProtocolViolation,
    /// The client asked for a protocol version that is not offered.
    UnsupportedVersion,
    /// The client asked for something that is not offered.
    UnsupportedFeature,
    /// The packet is larger than the limit.
    PacketTooLarge,
    /// The topic name is not valid here.
    TopicInvalid,
    /// The topic filter is not valid.
    FilterInvalid,
    /// The payload is not what the client says it is.
    PayloadInvalid,
    /// The packet id is already in use.
    PacketIdInUse,
    /// The packet id is not known.
    PacketIdUnknown,
    /// The client has more unfinished publishes than it was granted.
    ReceiveMaximumExceeded,
    /// The topic alias is 0, unknown, or above what was granted.
    TopicAliasInvalid,
    /// The client speaks TLS to a port without TLS.
    TlsOnPlainPort,
    /// The client does not speak TLS to a port with TLS.
    PlainOnTlsPort,
    /// The TLS handshake failed.
    TlsFailed,
    /// The client's certificate is missing, not trusted, expired or revoked.
    CertificateRefused,
    /// The header of the PROXY protocol is missing or is none.
    ProxyHeaderInvalid,
    /// The HTTP request is no WebSocket handshake for this port.
    UpgradeRefused,
    /// The client speaks another protocol than this port's.
    WrongProtocol,
    /// Nothing was heard for longer than the keep-alive allows.
    KeepAliveTimeout,
    /// The session was not opened in time.
    HandshakeTimeout,
    /// Nothing was heard for the protocol's idle time.
    IdleTimeout,
    /// The client did not acknowledge, however often it was asked.
    NotAcknowledged,
    /// The client does not read what it is sent.
    SlowConsumer,
    /// The user name or password is wrong.
    BadCredentials,
    /// The authentication method is not offered.
    BadAuthenticationMethod,
    /// The client may not do this.
    NotAuthorized,
    /// The client id is not valid here.
    ClientIdInvalid,
    /// The client is banned.
    Banned,
    /// The client has no session.
    NotConnected,
    /// Another connection with the same client id took the session over.
    TakenOver,
    /// An operator closed the connection.
    Kicked,
    /// The server is shutting down.
    ShuttingDown,
    /// The server has too much to do.
    ServerBusy,
    /// The listener has as many connections as it may.
    TooManyConnections,
    /// Too many connections were made in too short a time.
    ConnectionRateExceeded,
    /// The client publishes more than it may.
    MessageRateTooHigh,
    /// A limit of the client is reached.
    QuotaExceeded,
    /// Another client has the exclusive subscription.
    ExclusiveTaken,
    /// The receiver's queue is full.
    QueueFull,
    /// The connection has lasted as long as it may.
    MaximumConnectTime,
    /// The client shall use another server for now.
    UseAnotherServer,
    /// The client shall use another server from now on.
    ServerMoved,
    /// There is no such subscription.
    NoSubscription,
    /// The guarantee is not offered.
    QosNotSupported,
    /// Retained messages are not offered.
    RetainNotSupported,
    /// Shared subscriptions are not offered here.
    SharedSubscriptionsNotSupported,
    /// Wildcards are not offered here.
    WildcardsNotSupported,
    /// Subscription identifiers are not offered.
    SubscriptionIdsNotSupported,
    /// The session expired.
    SessionExpired,
    /// The message was not delivered while it was worth it.
    MessageExpired,
    /// The server failed.
    Internal,
}

/// On whose side the cause lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The peer.
    Client,
    /// What lies between.
    Network,
    /// Watersmeet or its configuration.
    Server,
}

/// How one reason is shown: name in metrics, side, sentence, hint.
struct Text(&'static str, Side, &'static str, &'static str);

impl Reason {
    /// Every reason, in order.
    pub const ALL: [Self; 56] = [
        Self::Disconnected,
        Self::DisconnectedWithWill,
        Self::PeerClosed,
        Self::ConnectionReset,
        Self::Malformed,
        Self::ProtocolViolation,
        Self::UnsupportedVersion,
        Self::UnsupportedFeature,
        Self::PacketTooLarge,
        Self::TopicInvalid,
        Self::FilterInvalid,
        Self::PayloadInvalid,
        Self::PacketIdInUse,
        Self::PacketIdUnknown,
        Self::ReceiveMaximumExceeded,
        Self::TopicAliasInvalid,
        Self::TlsOnPlainPort,
        Self::PlainOnTlsPort,
        Self::TlsFailed,
        Self::CertificateRefused,
        Self::ProxyHeaderInvalid,
        Self::UpgradeRefused,
        Self::WrongProtocol,
        Self::KeepAliveTimeout,
        Self::HandshakeTimeout,
        Self::IdleTimeout,
        Self::NotAcknowledged,
        Self::SlowConsumer,
        Self::BadCredentials,
        Self::BadAuthenticationMethod,
        Self::NotAuthorized,
        Self::ClientIdInvalid,
        Self::Banned,
        Self::NotConnected,
        Self::TakenOver,
        Self::Kicked,
        Self::ShuttingDown,
        Self::ServerBusy,
        Self::TooManyConnections,
        Self::ConnectionRateExceeded,
        Self::MessageRateTooHigh,
        Self::QuotaExceeded,
        Self::ExclusiveTaken,
        Self::QueueFull,
        Self::MaximumConnectTime,
        Self::UseAnotherServer,
        Self::ServerMoved,
        Self::NoSubscription,
        Self::QosNotSupported,
        Self::RetainNotSupported,
        Self::SharedSubscriptionsNotSupported,
        Self::WildcardsNotSupported,
        Self::SubscriptionIdsNotSupported,
        Self::SessionExpired,
        Self::MessageExpired,
        Self::Internal,
    ];

    /// The name in metrics and logs: `keep_alive_timeout`.
    pub fn name(self) -> &'static str {
        self.text().0
    }

    /// On whose side the cause lies.
    pub fn side(self) -> Side {
        self.text().1
    }

    /// The cause in plain words.
    pub fn explain(self) -> &'static str {
        self.text().2
    }

    /// What can be done about it; empty where nothing need be.
    pub fn hint(self) -> &'static str {
        self.text().3
    }

    const fn text(self) -> Text {
        use Side::{Client, Network, Server};
        match self {
            Self::Disconnected => Text("disconnected", Client, "the client said good-bye", ""),
            Self::DisconnectedWithWill => Text(
                "disconnected_with_will",
                Client,
                "the client said good-bye and asked for its will to be published",
                "",
            ),
            Self::PeerClosed => Text(
                "peer_closed",
                Client,
                "the client closed the transport without a good-bye",
                "look at the client's log, or at a proxy whose idle time-out is shorter than the keep-alive",
            ),
            Self::ConnectionReset => Text(
                "connection_reset",
                Network,
                "the network reset the connection",
                "look for a crashed client, a proxy or a firewall on the way",
            ),
            Self::Malformed => Text(
                "malformed",
                Client,
                "the client sent bytes that are no frame of the protocol",
                "check that the client speaks this listener's protocol",
            ),
            Self::ProtocolViolation => Text(
                "protocol_violation",
                Client,
                "the client sent a frame that may not come here",
                "update the client's library",
            ),
            Self::UnsupportedVersion => Text(
                "unsupported_version",
                Client,
                "the client asked for a protocol version that is not offered",
                "choose another protocol version in the client",
            ),
            Self::UnsupportedFeature => Text(
                "unsupported_feature",
                Client,
                "the client asked for something that is not offered",
                "see the protocol's mapping page for what is",
            ),
            Self::PacketTooLarge => Text(
                "packet_too_large",
                Client,
                "the packet is larger than the limit",
                "raise limits.packet, or send less at once",
            ),
            Self::TopicInvalid => Text(
                "topic_invalid",
                Client,
                "the topic name is not valid here",
                "topic names have no wildcards, no U+0000, and at most limits.topic_levels levels; behind $delayed/ stands a \
                 number of seconds, then the topic",
            ),
            Self::FilterInvalid => Text(
                "filter_invalid",
                Client,
                "the topic filter is not valid",
                "+ and # stand only as whole levels, and # only last; with broker.property_filters, a condition may follow: \
                 {filter}?name=value&number>5",
            ),
            Self::PayloadInvalid => Text(
                "payload_invalid",
                Client,
                "the payload is not what the client says it is",
                "check the payload format indicator or the content type",
            ),
            Self::PacketIdInUse => Text(
                "packet_id_in_use",
                Client,
                "the packet id is already in use",
                "update the client's library",
            ),
            Self::PacketIdUnknown => Text(
                "packet_id_unknown",
                Client,
                "the packet id is not known",
                "the session was lost on one side; connect with a clean start",
            ),
            Self::ReceiveMaximumExceeded => Text(
                "receive_maximum_exceeded",
                Client,
                "the client has more unfinished publishes than it was granted",
                "raise limits.receive_maximum, or update the client's library",
            ),
            Self::TopicAliasInvalid => Text(
                "topic_alias_invalid",
                Client,
                "the topic alias is 0, unknown, or above what was granted",
                "update the client's library",
            ),
            Self::TlsOnPlainPort => Text(
                "tls_on_plain_port",
                Client,
                "the client speaks TLS to a port without TLS",
                "switch TLS off in the client, or put a TLS proxy before the port",
            ),
            Self::PlainOnTlsPort => Text(
                "plain_on_tls_port",
                Client,
                "the client does not speak TLS to a port with TLS",
                "switch TLS on in the client, or use the port without TLS",
            ),
            Self::TlsFailed => Text(
                "tls_failed",
                Client,
                "the TLS handshake failed",
                "the log names the alert: most often the client does not trust the server's certificate",
            ),
            Self::CertificateRefused => Text(
                "certificate_refused",
                Client,
                "the client's certificate is missing, not trusted, expired or revoked",
                "give the client a certificate of a CA that the listener trusts",
            ),
            Self::ProxyHeaderInvalid => Text(
                "proxy_header_invalid",
                Network,
                "the header of the PROXY protocol is missing or is none",
                "switch the PROXY protocol on in the proxy, or off for the listener",
            ),
            Self::UpgradeRefused => Text(
                "upgrade_refused",
                Client,
                "the HTTP request is no WebSocket handshake for this port",
                "use the path /mqtt, the sub-protocol mqtt, and an origin that the listener allows",
            ),
            Self::WrongProtocol => Text(
                "wrong_protocol",
                Client,
                "the client speaks another protocol than this port's",
                "check the port in the client",
            ),
            Self::KeepAliveTimeout => Text(
                "keep_alive_timeout",
                Client,
                "nothing was heard for longer than the keep-alive allows",
                "the client is gone, or its keep-alive is shorter than its network allows",
            ),
            Self::HandshakeTimeout => Text(
                "handshake_timeout",
                Client,
                "the session was not opened in time",
                "raise limits.handshake for slow networks",
            ),
            Self::IdleTimeout => Text(
                "idle_timeout",
                Client,
                "nothing was heard for the protocol's idle time",
                "the client is gone, or should send within the idle time",
            ),
            Self::NotAcknowledged => Text(
                "not_acknowledged",
                Client,
                "the client did not acknowledge, however often it was asked",
                "the client is gone or unreachable",
            ),
            Self::SlowConsumer => Text(
                "slow_consumer",
                Client,
                "the client does not read what it is sent",
                "read faster, subscribe to less, or share the subscription",
            ),
            Self::BadCredentials => {
                Text("bad_credentials", Client, "the user name or password is wrong", "check the credentials")
            }
            Self::BadAuthenticationMethod => Text(
                "bad_authentication_method",
                Client,
                "the authentication method is not offered",
                "choose another method",
            ),
            Self::NotAuthorized => Text(
                "not_authorized",
                Server,
                "the client may not do this",
                "add a rule under [access] that allows it",
            ),
            Self::ClientIdInvalid => Text(
                "client_id_invalid",
                Client,
                "the client id is not valid here",
                "choose another client id, or connect with a clean start",
            ),
            Self::Banned => Text("banned", Server, "the client is banned", "lift the ban"),
            Self::NotConnected => Text("not_connected", Client, "the client has no session", "connect first"),
            Self::TakenOver => Text(
                "taken_over",
                Client,
                "another connection with the same client id took the session over",
                "give every client an id of its own",
            ),
            Self::Kicked => Text("kicked", Server, "an operator closed the connection", ""),
            Self::ShuttingDown => {
                Text("shutting_down", Server, "the server is shutting down", "connect again in a while")
            }
            Self::ServerBusy => {
                Text("server_busy", Server, "the server has too much to do", "connect again in a while")
            }
            Self::TooManyConnections => Text(
                "too_many_connections",
                Server,
                "the listener has as many connections as it may",
                "raise max_connections of the listener",
            ),
            Self::ConnectionRateExceeded => Text(
                "connection_rate_exceeded",
                Server,
                "too many connections were made in too short a time",
                "raise connect_rate of the listener, or spread reconnects",
            ),
            Self::MessageRateTooHigh => {
                Text("message_rate_too_high", Client, "the client publishes more than it may", "publish less")
            }
            Self::QuotaExceeded => Text(
                "quota_exceeded",
                Server,
                "a limit of the client is reached",
                "see the limits in the configuration",
            ),
            Self::ExclusiveTaken => Text(
                "exclusive_taken",
                Server,
                "another client has the exclusive subscription",
                "wait until it unsubscribes or ends its session",
            ),
            Self::QueueFull => Text(
                "queue_full",
                Server,
                "the receiver's queue is full",
                "raise the queue's limits, or let the receiver read faster",
            ),
            Self::MaximumConnectTime => Text(
                "maximum_connect_time",
                Server,
                "the connection has lasted as long as it may",
                "connect again",
            ),
            Self::UseAnotherServer => Text(
                "use_another_server",
                Server,
                "the client shall use another server for now",
                "connect there",
            ),
            Self::ServerMoved => Text(
                "server_moved",
                Server,
                "the client shall use another server from now on",
                "connect there",
            ),
            Self::NoSubscription => Text("no_subscription", Client, "there is no such subscription", ""),
            Self::QosNotSupported => {
                Text("qos_not_supported", Server, "the guarantee is not offered", "ask for a lower QoS")
            }
            Self::RetainNotSupported => Text(
                "retain_not_supported",
                Server,
                "retained messages are not offered",
                "publish without retain",
            ),
            Self::SharedSubscriptionsNotSupported => Text(
                "shared_subscriptions_not_supported",
                Server,
                "shared subscriptions are not offered here",
                "subscribe without $share",
            ),
            Self::WildcardsNotSupported => Text(
                "wildcards_not_supported",
                Server,
                "wildcards are not offered here",
                "subscribe to topic names",
            ),
            Self::SubscriptionIdsNotSupported => Text(
                "subscription_ids_not_supported",
                Server,
                "subscription identifiers are not offered",
                "subscribe without them",
            ),
            Self::SessionExpired => Text("session_expired", Server, "the session expired", ""),
            Self::MessageExpired => {
                Text("message_expired", Server, "the message was not delivered while it was worth it", "")
            }
            Self::Internal => {
                Text("internal", Server, "the server failed", "look at the server's log and report it")
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explain())
    }
}
