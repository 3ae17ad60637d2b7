use std::net::SocketAddr;
use std::sync::Arc;

use bus::Reason;

use crate::{Identity, SessionId};

/// What came of a call of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Datagrams to send, in order.
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// What happened, in order.
    pub events: Vec<SessionEvent>,
}

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A handshake is done, or a saved session is back.
    Opened {
        /// The session.
        session: SessionId,
        /// Where its peer is.
        address: SocketAddr,
        /// Who it is.
        identity: Arc<Identity>,
    },
    /// A record was decrypted.
    Received {
        /// The session.
        session: SessionId,
        /// What was in the record.
        plaintext: Vec<u8>,
    },
    /// The peer has another address now; what is sent goes there. Its newest record came from there, which does not show
    /// that it can be reached there: who sends much has to see to that. [RFC9146 6]
    Moved {
        /// The session.
        session: SessionId,
        /// Where its peer is.
        address: SocketAddr,
    },
    /// The session is over and forgotten.
    Closed {
        /// The session.
        session: SessionId,
        /// Why.
        ending: Ending,
    },
    /// A handshake failed, before there was a session.
    Refused {
        /// Where the peer is.
        address: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer said good-bye (close_notify).
    Closed,
    /// The peer sent a fatal alert, by its number.
    Alert(u8),
    /// The peer at this address has finished another handshake.
    Replaced,
    /// Nothing was heard for as long as a session may be silent.
    Idle,
    /// It was silent for longest when there were more sessions than there may be, among those of whoever had most; or more live
    /// ones, among those that cannot be parked.
    Crowded,
    /// The session could not go on, such as when its record numbers are used up.
    Failed,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer offers no suite, group or version that is offered here.
    NothingInCommon,
    /// No key is known for this identity, or it is no UTF-8.
    UnknownIdentity(String),
    /// The peer has another key for this identity.
    WrongKey(String),
    /// The peer's certificate is missing, not trusted, expired or revoked: why, in plain words.
    Certificate(String),
    /// The peer sent a fatal alert, by its number.
    Alert(u8),
    /// The peer fell silent.
    Timeout,
    /// The peer sent what is no handshake, or breaks its rules: the library's word for it.
    Malformed(String),
}

impl Effects {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.events.is_empty()
    }

    /// Forgets what came; the room stays.
    pub fn clear(&mut self) {
        self.datagrams.clear();
        self.events.clear();
    }
}

impl Ending {
    /// The word for it that all protocols share.
    pub fn reason(self) -> Reason {
        match self {
            Self::Closed => Reason::PeerClosed,
            Self::Alert(_) => Reason::ConnectionReset,
            Self::Replaced => Reason::TakenOver,
            Self::Idle => Reason::IdleTimeout,
            Self::Crowded => Reason::ServerBusy,
            Self::Failed => Reason::TlsFailed,
        }
    }
}

impl Refusal {
    /// The word for it that all protocols share.
    pub fn reason(&self) -> Reason {
        match self {
            Self::UnknownIdentity(_) | Self::WrongKey(_) => Reason::BadCredentials,
            Self::Certificate(_) => Reason::CertificateRefused,
            Self::Timeout => Reason::HandshakeTimeout,
            Self::NothingInCommon | Self::Alert(_) | Self::Malformed(_) => Reason::TlsFailed,
        }
    }

    /// What went wrong in plain words, for the log.
    pub fn detail(&self) -> String {
        match self {
            Self::NothingInCommon => {
                "the client offers no version, cipher suite or group that is offered here".to_owned()
            }
            Self::UnknownIdentity(identity) => format!("no key is known for the PSK identity {identity:?}"),
            Self::WrongKey(identity) => {
                format!("the client has another key for the PSK identity {identity:?}, or bytes were changed")
            }
            Self::Certificate(why) => format!("the client's certificate is refused: {why}"),
            Self::Alert(number) => format!("the client broke off with alert {number}: {}", alert(*number)),
            Self::Timeout => "the client fell silent during the handshake".to_owned(),
            Self::Malformed(why) => format!("the client's handshake breaks the rules: {why}"),
        }
    }
}

/// An alert's name. [RFC5246 7.2, RFC4279 6]
fn alert(number: u8) -> &'static str {
    match number {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        40 => "handshake_failure, it wants other suites or certificates",
        42 => "bad_certificate, it does not accept the server's certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired, it holds the server's certificate for expired",
        46 => "certificate_unknown, it does not accept the server's certificate",
        47 => "illegal_parameter",
        48 => "unknown_ca, it does not trust the server's certificate",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        90 => "user_canceled",
        115 => "unknown_psk_identity",
        _ => "unknown",
    }
}
