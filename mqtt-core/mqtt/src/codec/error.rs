use bus::{ProtocolError, Reason};

/// What is wrong with bytes that claim to be an MQTT packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.detail())]
pub enum DecodeError {
    /// The packet is larger than allowed.
    PacketTooLarge,
    /// The packet type is 0, or 15 before MQTT 5.
    ReservedType,
    /// The flags of the fixed header are not those of the packet type.
    FixedFlags,
    /// A variable byte integer has more than four bytes, or more than it needs.
    VariableInteger,
    /// A field runs past the end of the packet.
    Truncated,
    /// The packet goes on behind its last field.
    TrailingBytes,
    /// A string is not UTF-8.
    Utf8,
    /// A string has U+0000.
    Nul,
    /// A packet id is 0.
    ZeroPacketId,
    /// A QoS is 3.
    Qos,
    /// A PUBLISH of QoS 0 says that it is a duplicate.
    DuplicateAtMostOnce,
    /// A PUBLISH has neither a topic nor an alias.
    NoTopic,
    /// The protocol name is not that of MQTT.
    ProtocolName,
    /// The protocol level is not 3, 4 or 5.
    ProtocolLevel,
    /// The flags of a CONNECT or CONNACK have a reserved bit, or a password without a user name.
    ConnectFlags,
    /// A CONNECT without a will has flags of a will.
    WillFlags,
    /// A SUBSCRIBE, SUBACK, UNSUBSCRIBE or UNSUBACK has no entry.
    NoEntries,
    /// The options of a subscription have a reserved bit.
    SubscribeOptions,
    /// The retain handling of a subscription is 3.
    RetainHandling,
    /// There is no property with this identifier.
    PropertyUnknown,
    /// The property does not belong in this packet.
    PropertyNotAllowed,
    /// The property may stand only once.
    PropertyRepeated,
    /// The property's value is not allowed.
    PropertyValue,
    /// A topic alias is 0.
    TopicAlias,
    /// There is authentication data but no method.
    NoMethod,
    /// The reason code does not belong in this packet.
    ReasonCode,
}

impl DecodeError {
    /// The cause as all protocols name it.
    pub fn reason(self) -> Reason {
        match self {
            Self::PacketTooLarge => Reason::PacketTooLarge,
            Self::ReservedType
            | Self::FixedFlags
            | Self::VariableInteger
            | Self::Truncated
            | Self::TrailingBytes
            | Self::Utf8
            | Self::Nul
            | Self::ZeroPacketId
            | Self::Qos
            | Self::DuplicateAtMostOnce
            | Self::ConnectFlags
            | Self::WillFlags
            | Self::SubscribeOptions
            | Self::PropertyUnknown
            | Self::PropertyNotAllowed
            | Self::ReasonCode => Reason::Malformed,
            Self::NoTopic
            | Self::NoEntries
            | Self::RetainHandling
            | Self::PropertyRepeated
            | Self::PropertyValue
            | Self::NoMethod => Reason::ProtocolViolation,
            Self::ProtocolName | Self::ProtocolLevel => Reason::UnsupportedVersion,
            Self::TopicAlias => Reason::TopicAliasInvalid,
        }
    }

    /// What exactly, for people.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::PacketTooLarge => "the packet is larger than allowed",
            Self::ReservedType => "the packet type is reserved",
            Self::FixedFlags => "the fixed header's flags are not those of the packet type",
            Self::VariableInteger => "a variable byte integer is longer than it may be",
            Self::Truncated => "a field runs past the end of the packet",
            Self::TrailingBytes => "the packet goes on behind its last field",
            Self::Utf8 => "a string is not UTF-8",
            Self::Nul => "a string has U+0000",
            Self::ZeroPacketId => "the packet id is 0",
            Self::Qos => "the QoS is 3",
            Self::DuplicateAtMostOnce => "a PUBLISH of QoS 0 says that it is a duplicate",
            Self::NoTopic => "a PUBLISH has neither a topic nor an alias",
            Self::ProtocolName => "the protocol name is not that of MQTT",
            Self::ProtocolLevel => "the protocol level is not 3, 4 or 5",
            Self::ConnectFlags => "the flags of the CONNECT or CONNACK are not allowed",
            Self::WillFlags => "a CONNECT without a will has flags of a will",
            Self::NoEntries => "the packet has no entry",
            Self::SubscribeOptions => "the subscription options have a reserved bit",
            Self::RetainHandling => "the retain handling is 3",
            Self::PropertyUnknown => "there is no such property",
            Self::PropertyNotAllowed => "the property does not belong in this packet",
            Self::PropertyRepeated => "the property may stand only once",
            Self::PropertyValue => "the property's value is not allowed",
            Self::TopicAlias => "the topic alias is 0",
            Self::NoMethod => "there is authentication data but no method",
            Self::ReasonCode => "the reason code does not belong in this packet",
        }
    }
}

impl From<DecodeError> for ProtocolError {
    fn from(error: DecodeError) -> Self {
        Self { reason: error.reason(), detail: error.detail() }
    }
}

/// Why a packet cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string or binary field has more than 65,535 bytes.
    #[error("a field has more than 65,535 bytes")]
    FieldTooLong,
    /// The packet has more than 268,435,455 bytes behind its fixed header.
    #[error("the packet is longer than a packet can be")]
    PacketTooLong,
    /// The packet does not exist in the protocol version.
    #[error("the packet does not exist in this protocol version")]
    NotInVersion,
}
