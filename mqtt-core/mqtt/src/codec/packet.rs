use std::num::NonZeroU16;

use bus::{Qos, SubscribeOptions};

use super::{Properties, ReasonCode};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1, protocol level 3.
    V31,
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5, protocol level 5.
    V5,
}

/// The number of a packet that will be acknowledged.
pub type PacketId = NonZeroU16;

/// An MQTT control packet; it borrows from the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// 1: the client asks for a session.
    Connect(Connect<'a>),
    /// 2: the server answers it.
    ConnAck(ConnAck<'a>),
    /// 3: a message, in either direction.
    Publish(Publish<'a>),
    /// 4: a message of QoS 1 is taken.
    PubAck(Ack<'a>),
    /// 5: a message of QoS 2 is received.
    PubRec(Ack<'a>),
    /// 6: its sender has forgotten it.
    PubRel(Ack<'a>),
    /// 7: its receiver has forgotten it.
    PubComp(Ack<'a>),
    /// 8: the client wants to receive.
    Subscribe(Subscribe<'a>),
    /// 9: the server answers it.
    SubAck(SubAck<'a>),
    /// 10: the client no longer wants to receive.
    Unsubscribe(Unsubscribe<'a>),
    /// 11: the server answers it.
    UnsubAck(SubAck<'a>),
    /// 12: the client asks whether the server is there.
    PingReq,
    /// 13: it is.
    PingResp,
    /// 14: the sender leaves.
    Disconnect(Disconnect<'a>),
    /// 15: a step of an enhanced authentication.
    Auth(Auth<'a>),
}

/// A CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version the client speaks.
    pub version: Version,
    /// Whether the client says that it is a bridge: the level's top bit, a convention of MQTT 3 brokers.
    pub bridge: bool,
    /// Whether an earlier session is thrown away; before MQTT 5 also whether this one ends with the connection.
    pub clean_start: bool,
    /// Seconds; 0 is no keep alive.
    pub keep_alive: u16,
    /// May be empty.
    pub client_id: &'a str,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
    /// What to publish when the client is lost.
    pub will: Option<Will<'a>>,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

/// The will in a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// The topic name as written.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The guarantee.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

/// A CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether an earlier session goes on.
    pub session_present: bool,
    /// Before MQTT 5 the return code, 0 to 5.
    pub code: ReasonCode,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

/// A PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before.
    pub duplicate: bool,
    /// The guarantee.
    pub qos: Qos,
    /// Whether it is, or shall be, a retained message.
    pub retain: bool,
    /// The topic name as written; empty if an alias stands for it.
    pub topic: &'a str,
    /// There if and only if the QoS is above 0.
    pub id: Option<PacketId>,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    /// The payload.
    pub payload: &'a [u8],
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The packet id of the PUBLISH.
    pub id: PacketId,
    /// Success before MQTT 5.
    pub code: ReasonCode,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

/// A SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet id.
    pub id: PacketId,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    /// At least one filter as written, each with its options.
    pub filters: Vec<(&'a str, SubscribeOptions)>,
}

/// A SUBACK or UNSUBACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The packet id of what is answered.
    pub id: PacketId,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    /// One code for each filter; none in an UNSUBACK before MQTT 5.
    pub codes: Vec<ReasonCode>,
}

/// An UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The packet id.
    pub id: PacketId,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    /// At least one filter as written.
    pub filters: Vec<&'a str>,
}

/// A DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Success before MQTT 5.
    pub code: ReasonCode,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

/// An AUTH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue or Re-authenticate.
    pub code: ReasonCode,
    /// The method and the data.
    pub properties: Properties<'a>,
}

/// The packet types, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect = 1,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    Auth,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type that the first byte of a packet names.
    pub(crate) fn of(first: u8, version: Version) -> Option<Self> {
        let kind = usize::from(first >> 4).checked_sub(1).and_then(|index| Self::ALL.get(index)).copied();
        kind.filter(|kind| *kind != Self::Auth || version == Version::V5)
    }

    /// The flags of the fixed header; a PUBLISH has its own.
    pub(crate) fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

impl Packet<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Connect(_) => Kind::Connect,
            Self::ConnAck(_) => Kind::ConnAck,
            Self::Publish(_) => Kind::Publish,
            Self::PubAck(_) => Kind::PubAck,
            Self::PubRec(_) => Kind::PubRec,
            Self::PubRel(_) => Kind::PubRel,
            Self::PubComp(_) => Kind::PubComp,
            Self::Subscribe(_) => Kind::Subscribe,
            Self::SubAck(_) => Kind::SubAck,
            Self::Unsubscribe(_) => Kind::Unsubscribe,
            Self::UnsubAck(_) => Kind::UnsubAck,
            Self::PingReq => Kind::PingReq,
            Self::PingResp => Kind::PingResp,
            Self::Disconnect(_) => Kind::Disconnect,
            Self::Auth(_) => Kind::Auth,
        }
    }
}

impl<'a> Ack<'a> {
    /// A plain acknowledgement.
    pub fn success(id: PacketId) -> Self {
        Self { id, code: ReasonCode::SUCCESS, properties: Properties::NONE }
    }
}

impl Version {
    /// The name and version, for operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::V31 => "MQTT 3.1",
            Self::V311 => "MQTT 3.1.1",
            Self::V5 => "MQTT 5",
        }
    }

    /// The protocol level that a CONNECT has.
    pub fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}
