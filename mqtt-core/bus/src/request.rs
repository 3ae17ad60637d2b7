use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::{
    ClientId, ConditionalPublish, Message, Publish, Qos, Reason, Secured, Subscription, Topic, Unsubscribe,
    UserProperty, Will,
};

/// The number by which a connection recognizes the reply to its request; the connection chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The request wants no reply, whatever comes of it.
    pub const NONE: Self = Self(u64::MAX);
}

/// What a connection asks of the broker. This is the only door: each request is authenticated or authorized
/// behind it.
#[derive(Debug)]
pub enum Request {
    /// Opens the session; the first request of a connection, answered [`Reply::Connected`] or
    /// [`Reply::Challenge`]. Where there is one already, another is opened beside it and takes its place as soon as it
    /// is left; a refusal leaves it alone.
    Connect(Box<Connect>),
    /// The next step of an enhanced authentication, or the first step of a re-authentication; answered
    /// [`Reply::Challenge`], [`Reply::Connected`] or [`Reply::Authenticated`].
    Authenticate(EnhancedAuthentication),
    /// Publishes a message; answered [`Reply::Published`].
    Publish(Publish),
    /// Publishes several messages in order, or none of them if one is refused; answered [`Reply::Published`]. None is
    /// sent exactly once.
    PublishAll(Vec<Publish>),
    /// Publishes a message if its precondition is true of what is retained on the topic when the message takes its place;
    /// answered [`Reply::Published`] or [`Reply::Unfulfilled`]. It takes the right to read the topic too.
    PublishIf(Box<ConditionalPublish>),
    /// Ends the exactly-once handling of a publish; answered [`Reply::Released`].
    Release(u16),
    /// Makes subscriptions; answered [`Reply::Subscribed`] with as many results.
    Subscribe(Vec<Subscription>),
    /// Ends subscriptions; answered [`Reply::Unsubscribed`] with as many results.
    Unsubscribe(Vec<Unsubscribe>),
    /// Asks for the retained message of one topic; answered [`Reply::Read`].
    Read(Topic),
    /// Asks what the client may do, without doing it; answered [`Reply::Judged`] with as many judgements.
    Judge(Vec<Right>),
    /// Sets or removes the will; answered [`Reply::WillSet`].
    SetWill(Option<Box<Will>>),
    /// Leaves the session; answered [`Reply::Disconnected`]. The session itself ends or stays as its expiry says.
    Disconnect(Disconnect),
}

/// A wish to open or resume a session.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The client's name; `None` lets the broker choose one.
    pub client_id: Option<ClientId>,
    /// What the client shows to prove who it is.
    pub credentials: Credentials,
    /// Whether what an earlier session left is thrown away.
    pub clean_start: bool,
    /// How long the session outlives the connection.
    pub session_expiry: SessionExpiry,
    /// What to publish when the client is lost.
    pub will: Option<Will>,
    /// How many deliveries may be unacknowledged at once, at least 1; what ready-made window the protocol has.
    pub receive_maximum: u16,
    /// The longest silence the protocol allows; `None` where it has no such notion. For operators only: the
    /// connection itself watches it.
    pub keep_alive: Option<Duration>,
    /// The protocol and version, for operators: `MQTT 5`, `STOMP 1.2`.
    pub protocol: &'static str,
    /// Whether the protocol can hand the client messages that match no subscription of its own.
    pub takes_unasked: bool,
    /// What else the client says of itself: names and values in its order, MQTT 5's user properties.
    pub user_properties: Vec<UserProperty>,
}

/// What a client shows to prove who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: Option<Arc<str>>,
    /// The password.
    pub password: Option<Bytes>,
    /// The first step of an enhanced authentication.
    pub enhanced: Option<EnhancedAuthentication>,
    /// What the protocol itself has found proved of the client, where it secures its messages whatever carries them
    /// (OSCORE); it stands in place of what the transport knows.
    pub proved: Option<Arc<Secured>>,
}

/// One step of an enhanced authentication [MQTT5 4.12].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnhancedAuthentication {
    /// The method, the same in every step.
    pub method: Arc<str>,
    /// The data of this step.
    pub data: Bytes,
}

/// What a client may or may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// Publish retained messages on the topic.
    Publish(Topic),
    /// Read the retained message of the topic.
    Read(Topic),
    /// Nothing but to have a name for the topic, as a publisher has: nobody is asked whether it may.
    Name(Topic),
}

/// What is to be said of a right, and of its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The topic as the bus knows it, with the client's mountpoint: two clients may call one topic by different
    /// names, and two topics by the same.
    pub topic: Topic,
    /// Whether the client has the right, or why not.
    pub allowed: Result<(), Reason>,
    /// Whether the topic has a retained message.
    pub retained: bool,
}

/// How long a session outlives its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionExpiry {
    /// The session ends with the connection.
    #[default]
    AtOnce,
    /// The session ends so long after the connection.
    After(Duration),
    /// The session never ends by itself.
    Never,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Whether the will is published all the same.
    pub publish_will: bool,
    /// Replaces the session expiry of the connect, if set.
    pub session_expiry: Option<SessionExpiry>,
}

/// The broker's answer.
#[derive(Debug)]
pub enum Reply {
    /// The session is open.
    Connected(Box<Connected>),
    /// The authentication goes on.
    Challenge(Box<EnhancedAuthentication>),
    /// The re-authentication is done; the data, if any, completes it for the client.
    Authenticated(Box<EnhancedAuthentication>),
    /// The message is the broker's: routed, and stored where that was promised.
    Published {
        /// How many sessions or share groups matched; of several messages, the sum.
        matched: usize,
    },
    /// The precondition of a publish is not true: nothing was done.
    Unfulfilled,
    /// The exactly-once handling is over.
    Released {
        /// Whether the id was known.
        known: bool,
    },
    /// What became of each subscription: the granted guarantee, or why not.
    Subscribed(Vec<Result<Qos, Reason>>),
    /// What became of each wish.
    Unsubscribed(Vec<Result<(), Reason>>),
    /// The retained message, if there is one.
    Read(Option<Arc<Message>>),
    /// What the client may do.
    Judged {
        /// One judgement for each right.
        judgements: Vec<Judgement>,
        /// The time of day, for who lets rights depend on it; `None` where nobody has told it.
        time: Option<SystemTime>,
    },
    /// The will is set or removed.
    WillSet,
    /// The session is left.
    Disconnected,
}

/// What the broker grants a client.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The client's id: its own, the one that goes with its identity, or the one the broker chose.
    pub client_id: ClientId,
    /// Whether the client asked for none, and has to be told. One that asked for another than it got is not: clients of
    /// MQTT take an id that they did not ask to be given for a fault of the server.
    pub assigned: bool,
    /// Whether an earlier session goes on.
    pub session_present: bool,
    /// How long the session outlives the connection; at most what was asked.
    pub session_expiry: SessionExpiry,
    /// The largest guarantee a publish may ask.
    pub maximum_qos: Qos,
    /// Whether messages can be retained.
    pub retain_available: bool,
    /// Whether `$share/{group}/…` can be subscribed.
    pub shared_subscriptions_available: bool,
    /// Data that completes an enhanced authentication.
    pub authentication: Option<EnhancedAuthentication>,
}

impl SessionExpiry {
    /// From MQTT 5's seconds: 0 at once, 0xFFFF_FFFF never.
    pub fn from_seconds(seconds: u32) -> Self {
        match seconds {
            0 => Self::AtOnce,
            u32::MAX => Self::Never,
            seconds => Self::After(Duration::from_secs(seconds.into())),
        }
    }

    /// As MQTT 5 writes it.
    pub fn seconds(self) -> u32 {
        match self {
            Self::AtOnce => 0,
            Self::After(span) => u32::try_from(span.as_secs()).unwrap_or(u32::MAX).clamp(1, u32::MAX - 1),
            Self::Never => u32::MAX,
        }
    }
}

impl std::fmt::Debug for Credentials {
    /// Leaves out the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("method", &self.enhanced.as_ref().map(|step| &step.method))
            .field("proved", &self.proved)
            .finish()
    }
}
