use std::time::Duration;

use bus::units;
use serde::{Deserialize, Serialize};

/// What a STOMP listener grants beside the common limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often the server can send a heart-beat; `0s` is never. The longer of this and the client's wish holds.
    #[serde(with = "units::duration")]
    pub heartbeat_send: Duration,
    /// How often the server wants to hear of a client that offers heart-beats; `0s` is never.
    #[serde(with = "units::duration")]
    pub heartbeat_receive: Duration,
    /// How long a resumed client has to subscribe again before what waits for its old subscriptions is dropped.
    #[serde(with = "units::duration")]
    pub resubscribe: Duration,
    /// How many subscriptions of one connection may match one message: each gets its own copy.
    pub overlap: usize,
    /// The largest command and headers of one frame.
    #[serde(with = "units::size")]
    pub head: usize,
    /// The longest subscription id, receipt or transaction name, and the longest destination of a subscription
    /// without an id.
    #[serde(with = "units::size")]
    pub name: usize,
    /// What the open transactions of one connection may hold together.
    #[serde(with = "units::size")]
    pub transactions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_send: Duration::from_secs(10),
            heartbeat_receive: Duration::from_secs(10),
            resubscribe: Duration::from_secs(60),
            overlap: 32,
            head: 64 << 10,
            name: 1 << 10,
            transactions: 4 << 20,
        }
    }
}
