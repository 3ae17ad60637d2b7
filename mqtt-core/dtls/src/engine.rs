use std::net::SocketAddr;
use std::time::Instant;

use thiserror::Error;

use crate::{Effects, SavedSession, Settings, StreamAcceptor};

/// A session of one engine. Ids are not used again, and a restored session keeps its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// All DTLS sessions of one socket.
///
/// Effects are appended; what was there stays. A session that a call names and that is not there any more is no
/// error: its end has been told, or is in the effects not looked at yet.
pub trait Engine: Send {
    /// Takes one datagram, which may hold several records.
    fn receive(&mut self, datagram: &[u8], from: SocketAddr, now: Instant, effects: &mut Effects);

    /// Goes on with a handshake for which something has come; `false` if there is none. A step may take a millisecond, which
    /// nothing else does, so that [`Engine::receive`] leaves it to whoever knows what else is to be done.
    fn work(&mut self, now: Instant, effects: &mut Effects) -> bool;

    /// Encrypts one record and sends it to where the session was last heard from. What is longer than
    /// [`Engine::room`] is lost, as on any network.
    fn send(&mut self, session: SessionId, plaintext: &[u8], now: Instant, effects: &mut Effects);

    /// Says good-bye and forgets the session; no [`SessionEvent::Closed`] follows.
    fn close(&mut self, session: SessionId, now: Instant, effects: &mut Effects);

    /// Does what is due: flights are sent again, handshakes end, idle sessions are parked.
    fn expire(&mut self, now: Instant, effects: &mut Effects);

    /// When [`Engine::expire`] wants to be called.
    fn deadline(&self) -> Option<Instant>;

    /// The longest plaintext that one record of a session holds; its peer may have asked for less than others.
    /// [RFC6066 4]
    fn room(&self, session: SessionId) -> usize;

    /// How many sessions are open, parked ones too.
    fn sessions(&self) -> usize;

    /// What operators may want to know.
    fn counts(&self) -> Counts;

    /// Uses other certificates, keys and limits for handshakes that begin from now on. What was in force stays so if
    /// these cannot be used.
    fn reconfigure(&mut self, settings: &Settings) -> Result<(), EngineError>;

    /// The certificates of the settings in force that are not shown since the engine does not know their kind: what each is
    /// called, and why.
    fn left_out(&self) -> Vec<(String, EngineError)> {
        Vec::new()
    }

    /// Takes every session out that can live on in another engine, for a restart. Those that cannot (CBC suites, and
    /// handshakes) end silently. The engine is empty afterwards.
    fn save(&mut self) -> Vec<SavedSession>;

    /// Puts saved sessions back. Each must be restored once at most, ever: a second time would use nonces again. Those
    /// that cannot be read are left out; the others are told as [`SessionEvent::Opened`].
    fn restore(&mut self, saved: Vec<SavedSession>, now: Instant, effects: &mut Effects);
}

/// What an engine counts. All but the first three only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open sessions, parked ones too.
    pub sessions: usize,
    /// Those of them that are parked.
    pub parked: usize,
    /// Handshakes that have begun, with the cookie proved, and are not done.
    pub half_open: usize,
    /// Handshakes that were done, resumed ones too.
    pub handshakes: u64,
    /// Handshakes that resumed an earlier session.
    pub resumed: u64,
    /// Handshakes that failed.
    pub refused: u64,
    /// First hellos that were answered with a cookie.
    pub cookies: u64,
    /// Hellos, and handshakes that were done, that found no room among the half-open handshakes or the sessions, and records of handshakes that found none
    /// among those that wait.
    pub turned_away: u64,
    /// Records that belong to no session, are malformed, or do not decrypt.
    pub bad_records: u64,
    /// Sessions that moved to another address.
    pub moved: u64,
    /// Datagrams that were not sent, since little is before a peer that has moved has shown that it hears it; the engine knows of
    /// none, who sends counts them.
    pub withheld: u64,
}

/// Makes engines: what the server hands to those who run sockets.
pub trait EngineFactory: Send + Sync {
    /// An engine for one datagram socket.
    fn engine(&self, settings: &Settings) -> Result<Box<dyn Engine>, EngineError>;

    /// TLS with pre-shared keys for the connections of a stream listener.
    fn stream(&self, settings: &Settings) -> Result<Box<dyn StreamAcceptor>, EngineError>;
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// Neither a certificate nor pre-shared keys are there, so that no handshake could succeed.
    #[error("there is neither a certificate nor pre-shared keys")]
    NothingToShow,
    /// A suite is not known, or not offered.
    #[error("the cipher suite {0:?} is not offered; offered are {1}")]
    UnknownSuite(String, String),
    /// No suite that is left can be used with what there is to show.
    #[error("none of the cipher suites can be used: they want {0}")]
    NoSuite(&'static str),
    /// The server's certificate chain cannot be read.
    #[error("the certificate chain cannot be read: {0}")]
    Certificate(String),
    /// The private key cannot be read, or is another certificate's.
    #[error("the private key cannot be used: {0}")]
    PrivateKey(String),
    /// The server's certificate is of a kind that the engine does not know.
    #[error("the engine does not know this kind of certificate: {0}")]
    UnknownKind(String),
    /// A CA's certificate cannot be read.
    #[error("the certificates of the client CAs cannot be read: {0}")]
    ClientCa(String),
    /// A revocation list cannot be read.
    #[error("a revocation list cannot be read: {0}")]
    Crl(String),
    /// Clients must show certificates, and no CA is trusted.
    #[error("client certificates are asked for, but no CA is trusted")]
    NoClientCa,
    /// A number is out of its range.
    #[error("{0} must be {1}")]
    Range(&'static str, &'static str),
    /// The machine gives no memory or no random numbers.
    #[error("the engine cannot be set up: {0}")]
    Machine(String),
}
