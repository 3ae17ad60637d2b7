use bus::Qos;

/// One message of MQTT-SN 1.2, borrowing from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A gateway makes itself known [5.4.1].
    Advertise {
        /// The gateway.
        gateway: u8,
        /// Seconds until the next one.
        duration: u16,
    },
    /// A client looks for a gateway [5.4.2].
    SearchGw {
        /// How many hops far.
        radius: u8,
    },
    /// The answer to SEARCHGW [5.4.3].
    GwInfo {
        /// The gateway.
        gateway: u8,
        /// Its address, empty if it answers itself.
        address: &'a [u8],
    },
    /// A client opens a session [5.4.4].
    Connect(Connect<'a>),
    /// What became of CONNECT [5.4.5].
    ConnAck(ReturnCode),
    /// Asks for the will topic [5.4.6].
    WillTopicReq,
    /// The will topic; `None` removes the will [5.4.7].
    WillTopic(Option<WillTopic<'a>>),
    /// Asks for the will message [5.4.8].
    WillMsgReq,
    /// The will message [5.4.9].
    WillMsg(&'a [u8]),
    /// Ties a topic id to a topic name [5.4.10].
    Register {
        /// The id, 0 when a client asks for one.
        topic_id: u16,
        /// Matches REGACK.
        msg_id: u16,
        /// The name.
        topic: &'a str,
    },
    /// What became of REGISTER [5.4.11].
    RegAck {
        /// The id.
        topic_id: u16,
        /// As in REGISTER.
        msg_id: u16,
        /// Whether it holds.
        code: ReturnCode,
    },
    /// A message [5.4.12].
    Publish(Publish<'a>),
    /// Acknowledges or refuses PUBLISH [5.4.13].
    PubAck {
        /// As in PUBLISH.
        topic_id: u16,
        /// As in PUBLISH.
        msg_id: u16,
        /// Whether it was taken.
        code: ReturnCode,
    },
    /// First answer to a PUBLISH of QoS 2 [5.4.14].
    PubRec {
        /// As in PUBLISH.
        msg_id: u16,
    },
    /// Answer to PUBREC [5.4.14].
    PubRel {
        /// As in PUBLISH.
        msg_id: u16,
    },
    /// Answer to PUBREL [5.4.14].
    PubComp {
        /// As in PUBLISH.
        msg_id: u16,
    },
    /// A wish to receive [5.4.15].
    Subscribe(Subscribe<'a>),
    /// What became of SUBSCRIBE [5.4.16].
    SubAck {
        /// The granted guarantee.
        qos: Qos,
        /// The id under which messages will come, 0 if that is not known yet.
        topic_id: u16,
        /// As in SUBSCRIBE.
        msg_id: u16,
        /// Whether it holds.
        code: ReturnCode,
    },
    /// The end of a wish to receive [5.4.17].
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBSCRIBE is done [5.4.18].
    UnsubAck {
        /// As in UNSUBSCRIBE.
        msg_id: u16,
    },
    /// Asks for a sign of life, or for the messages kept during sleep [5.4.19].
    PingReq {
        /// Who wakes up.
        client_id: Option<&'a str>,
    },
    /// A sign of life, or the end of the kept messages [5.4.20].
    PingResp,
    /// Good-bye, or good night [5.4.21].
    Disconnect {
        /// Seconds of sleep.
        duration: Option<u16>,
    },
    /// Changes the will topic; `None` removes the will [5.4.22].
    WillTopicUpd(Option<WillTopic<'a>>),
    /// What became of WILLTOPICUPD [5.4.24].
    WillTopicResp(ReturnCode),
    /// Changes the will message [5.4.23].
    WillMsgUpd(&'a [u8]),
    /// What became of WILLMSGUPD [5.4.25].
    WillMsgResp(ReturnCode),
    /// A message that passed a forwarder [5.5].
    Encapsulated {
        /// The Ctrl octet, whose lowest two bits are the broadcast radius.
        ctrl: u8,
        /// The wireless node it comes from or goes to.
        node: &'a [u8],
        /// The message as the node sent it, still to be decoded.
        message: &'a [u8],
    },
}

/// What CONNECT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Whether the client wants to be asked for its will.
    pub will: bool,
    /// Whether what an earlier session left is thrown away.
    pub clean_session: bool,
    /// 1 for MQTT-SN 1.2.
    pub protocol_id: u8,
    /// The keep alive time in seconds.
    pub duration: u16,
    /// Who connects.
    pub client_id: &'a str,
}

/// What WILLTOPIC and WILLTOPICUPD say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillTopic<'a> {
    /// The guarantee of the will.
    pub qos: Qos,
    /// Whether the will is retained.
    pub retain: bool,
    /// Where the will is published.
    pub topic: &'a str,
}

/// What PUBLISH says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// The guarantee.
    pub qos: PublishQos,
    /// Whether it is, or shall be, retained.
    pub retain: bool,
    /// The topic.
    pub topic: TopicId,
    /// Matches the acknowledgement; 0 where there is none.
    pub msg_id: u16,
    /// The payload.
    pub data: &'a [u8],
}

/// The guarantee of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishQos {
    /// QoS -1: sent without a connection.
    MinusOne,
    /// QoS 0, 1 or 2.
    Session(Qos),
}

/// How PUBLISH names its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicId {
    /// A registered id.
    Normal(u16),
    /// An id that both sides were configured with.
    Predefined(u16),
    /// A name of two octets.
    Short([u8; 2]),
    /// The type that the standard keeps for later.
    Reserved(u16),
}

/// What SUBSCRIBE says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// The most that is wanted; `None` when the bits say 3.
    pub qos: Option<Qos>,
    /// Matches SUBACK.
    pub msg_id: u16,
    /// What to receive.
    pub topic: TopicFilter<'a>,
}

/// What UNSUBSCRIBE says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Matches UNSUBACK.
    pub msg_id: u16,
    /// What to receive no longer.
    pub topic: TopicFilter<'a>,
}

/// How SUBSCRIBE and UNSUBSCRIBE name their topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicFilter<'a> {
    /// A name, which may have wildcards.
    Name(&'a str),
    /// An id that both sides were configured with.
    Predefined(u16),
    /// A name of two octets.
    Short([u8; 2]),
    /// The type that the standard keeps for later, with what follows.
    Reserved(&'a [u8]),
}

/// Whether something was accepted, and if not, why [5.3.10].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnCode {
    /// 0x00
    Accepted,
    /// 0x01: try again later.
    Congestion,
    /// 0x02: register the topic again.
    InvalidTopicId,
    /// 0x03
    NotSupported,
    /// A value that the standard keeps for later.
    Reserved(u8),
}

impl TopicId {
    /// The two octets of the TopicId field.
    pub fn field(self) -> u16 {
        match self {
            Self::Normal(id) | Self::Predefined(id) | Self::Reserved(id) => id,
            Self::Short(name) => u16::from_be_bytes(name),
        }
    }
}

impl ReturnCode {
    /// The octet on the wire.
    pub fn octet(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Congestion => 1,
            Self::InvalidTopicId => 2,
            Self::NotSupported => 3,
            Self::Reserved(code) => code,
        }
    }

    /// What an octet stands for.
    pub fn from_octet(octet: u8) -> Self {
        match octet {
            0 => Self::Accepted,
            1 => Self::Congestion,
            2 => Self::InvalidTopicId,
            3 => Self::NotSupported,
            code => Self::Reserved(code),
        }
    }
}
