use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units;

/// What one connection may cost. Every buffer and table in a connection has its bound here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest packet, frame or datagram taken from a peer, headers included.
    #[serde(with = "units::size")]
    pub packet: usize,
    /// The largest packet taken before the session is open.
    #[serde(with = "units::size")]
    pub packet_before_connect: usize,
    /// How many requests of one connection may await their reply.
    pub outstanding: usize,
    /// How many exactly-once or at-least-once publishes a peer may have unfinished (receive maximum).
    pub receive_maximum: u16,
    /// How many deliveries a peer may leave unacknowledged, where it does not say.
    pub send_window: u16,
    /// How many levels a topic or filter may have.
    pub topic_levels: usize,
    /// How many topic aliases (MQTT 5) or registered topic ids (MQTT-SN) a peer may hold.
    pub topic_aliases: u16,
    /// How many user properties or headers one message may carry.
    pub user_properties: usize,
    /// How many subscriptions, observations or transactions a connection may hold.
    pub subscriptions: usize,
    /// How long a peer may take to open its session.
    #[serde(with = "units::duration")]
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet: 1 << 20,
            packet_before_connect: 64 << 10,
            outstanding: 1_000,
            receive_maximum: 1_000,
            send_window: 100,
            topic_levels: 128,
            topic_aliases: 1_000,
            user_properties: 100,
            subscriptions: 10_000,
            handshake: Duration::from_secs(15),
        }
    }
}
