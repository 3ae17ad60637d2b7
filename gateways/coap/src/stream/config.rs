use std::time::Duration;

use bus::units;
use serde::{Deserialize, Serialize};

/// How CoAP is offered over TCP, TLS and WebSocket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// How long the peer may take to answer a Ping, and to close the connection that it has released.
    #[serde(with = "units::duration")]
    pub ping_timeout: Duration,
    /// Where peers shall go when this server shuts down, as `HOST` or `HOST:PORT`.
    pub alternative_addresses: Vec<String>,
    /// For how long peers shall not come back then; zero says nothing of it.
    #[serde(with = "units::duration")]
    pub hold_off: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            ping_timeout: Duration::from_secs(30),
            alternative_addresses: Vec::new(),
            hold_off: Duration::ZERO,
        }
    }
}
