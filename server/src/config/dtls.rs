use std::time::Duration;

use bus::units;
use serde::{Deserialize, Serialize};

/// What DTLS offers on a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dtls {
    /// How many bytes the connection ids of the server have, by which a client is known wherever it sends from; 0
    /// offers none.
    pub(crate) connection_id: usize,
    /// The cipher suites that are offered, by their IANA names, the best first; all that are good if empty.
    pub(crate) cipher_suites: Vec<String>,
    /// After what silence the most part of a session's memory is given back; zero for never.
    #[serde(with = "units::duration")]
    pub(crate) park_after: Duration,
    /// After what silence a session is forgotten; zero for never.
    #[serde(with = "units::duration")]
    pub(crate) idle_timeout: Duration,
    /// For how long a client that comes back need not prove again who it is; zero for never.
    #[serde(with = "units::duration")]
    pub(crate) resumption: Duration,
    /// How long the server waits for an answer in a handshake before it sends again, at first.
    #[serde(with = "units::duration")]
    pub(crate) retransmit: Duration,
    /// The longest datagram of a handshake.
    #[serde(with = "units::size")]
    pub(crate) datagram: usize,
    /// Whether sessions go on when the server is started again.
    pub(crate) keep_sessions: bool,
}

impl Dtls {
    /// What cannot be meant, by its key in the listener.
    pub(crate) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let faults = [
            (self.connection_id > 32, "dtls.connection_id", "it has 0 to 32 bytes"),
            (
                self.connection_id > 0 && self.connection_id < 4,
                "dtls.connection_id",
                "one of fewer than 4 bytes is guessed; write 0, or 4 to 32",
            ),
            (self.datagram < 256 || self.datagram > 16_384, "dtls.datagram", "write \"256B\" to \"16KB\""),
            (self.retransmit.is_zero(), "dtls.retransmit", "write more than 0"),
        ];
        faults.into_iter().find(|(is_one, ..)| *is_one).map(|(_, key, fault)| (key, fault))
    }
}

impl Default for Dtls {
    fn default() -> Self {
        Self {
            connection_id: 8,
            cipher_suites: Vec::new(),
            park_after: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(24 * 60 * 60),
            resumption: Duration::from_secs(24 * 60 * 60),
            retransmit: Duration::from_secs(1),
            datagram: 1_280,
            keep_sessions: true,
        }
    }
}
