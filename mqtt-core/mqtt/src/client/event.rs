use std::fmt;

use bus::{EnhancedAuthentication, Publish, Qos};

use crate::codec::{DecodeError, EncodeError, PacketId, Properties, Property, ReasonCode};

/// What happened to a client.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// The session is open.
    Connected(Granted),
    /// The server did not open the session; before MQTT 5 the code is a return code from 1 to 5.
    Refused(Refusal),
    /// A message came.
    Message(Box<Received>),
    /// A publish above QoS 0 is done, or failed with the code.
    Published(PacketId, ReasonCode),
    /// What became of each filter of a subscribe.
    Subscribed(PacketId, Vec<ReasonCode>),
    /// What became of each filter of an unsubscribe; empty before MQTT 5.
    Unsubscribed(PacketId, Vec<ReasonCode>),
    /// The server asks for the next step of the authentication.
    Challenged(EnhancedAuthentication),
    /// A re-authentication is done.
    Authenticated(EnhancedAuthentication),
    /// The server says why it closes the connection.
    Disconnected(Refusal),
}

/// Why a server will not have a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code; before MQTT 5 a return code from 1 to 5.
    pub code: ReasonCode,
    /// The server's own words, if it found any.
    pub words: Option<String>,
    /// Which server to use instead, if the server says.
    pub reference: Option<String>,
}

/// What a server grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Whether an earlier session goes on.
    pub session_present: bool,
    /// The id the server chose, if it did.
    pub client_id: Option<String>,
    /// Seconds of keep alive that hold.
    pub keep_alive: u16,
    /// How many publishes above QoS 0 may be unfinished.
    pub receive_maximum: u16,
    /// The largest packet the server takes.
    pub packet_maximum: u32,
    /// The largest guarantee of a publish.
    pub maximum_qos: Qos,
    /// Whether messages can be retained.
    pub retain_available: bool,
    /// What response topics may be made of, if the server says.
    pub response_information: Option<String>,
}

/// A message that came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message; its `expiry` is what was left of it.
    pub publish: Publish,
    /// Whether it may have come before.
    pub duplicate: bool,
    /// The identifiers of the subscriptions it matched.
    pub subscriptions: Vec<u32>,
    /// The topic alias that the server used.
    pub alias: Option<u16>,
    pub(super) id: Option<PacketId>,
    /// The session it came in.
    pub(super) session: u64,
}

impl Received {
    /// The packet id; `None` at QoS 0.
    pub fn id(&self) -> Option<PacketId> {
        self.id
    }
}

impl Refusal {
    pub(super) fn read(code: ReasonCode, properties: Properties<'_>) -> Self {
        let mut refusal = Self { code, words: None, reference: None };
        for property in properties.iter() {
            match property {
                Property::ReasonString(text) => refusal.words = Some(text.to_owned()),
                Property::ServerReference(text) => refusal.reference = Some(text.to_owned()),
                _ => {}
            }
        }
        refusal
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.0, self.code.name()) {
            (1, _) => f.write_str("the protocol version is not accepted")?,
            (2, _) => f.write_str("the client id is not accepted")?,
            (3, _) => f.write_str("the server is not available")?,
            (4, _) => f.write_str("bad user name or password")?,
            (5, _) => f.write_str("not authorized")?,
            (_, Some(name)) => f.write_str(name)?,
            (code, None) => write!(f, "reason code {code}")?,
        }
        if let Some(words) = &self.words {
            write!(f, " ({words})")?;
        }
        if let Some(reference) = &self.reference {
            write!(f, "; it names another server: {reference}")?;
        }
        Ok(())
    }
}

/// Why a client cannot do what was asked, or must close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server sent no MQTT packet.
    #[error("the server sent a malformed packet: {0}")]
    Malformed(#[from] DecodeError),
    /// The server sent a packet that may not come here.
    #[error("the server broke the protocol: {0}")]
    Violation(&'static str),
    /// The server did not answer in time.
    #[error("the server did not answer")]
    NoAnswer,
    /// The connection is not open.
    #[error("the client is not connected")]
    NotConnected,
    /// So many publishes or requests are unacknowledged already.
    #[error("too much is unacknowledged")]
    Full,
    /// The server does not offer what was asked.
    #[error("the server does not offer this")]
    NotOffered,
    /// The server takes no packet so large.
    #[error("the server takes no packet so large")]
    PacketTooLarge,
    /// What was asked is against the protocol's rules for clients.
    #[error("{0}")]
    Misuse(&'static str),
    /// The packet cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
