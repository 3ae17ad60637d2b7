//! The server's end of a connection.

mod connected;
mod connection;
mod deliver;
mod foreign;
mod opening;
mod publish;
mod reason;
mod subscribe;
mod terms;
#[cfg(test)]
mod tests;
mod ticket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::{Connection, Limits, Peer, Protocol};

use crate::Config;

pub use connection::MqttConnection;

/// MQTT on a listener.
#[derive(Debug)]
pub struct Mqtt {
    shared: Arc<Shared>,
}

/// What a listener's MQTT connections counted together.
#[derive(Debug, Default)]
pub struct Counters {
    too_large: AtomicU64,
    expired: AtomicU64,
}

/// What every connection of a listener has in common.
#[derive(Debug)]
struct Shared {
    config: Config,
    limits: Limits,
    counters: Arc<Counters>,
}

impl Mqtt {
    /// MQTT with these choices and limits.
    pub fn new(config: Config, limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { config, limits, counters: Arc::default() }) }
    }

    /// The counters, which go on counting.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }
}

impl Protocol for Mqtt {
    fn label(&self) -> &'static str {
        "mqtt"
    }

    fn accept(&self, _peer: Peer) -> Box<dyn Connection> {
        Box::new(MqttConnection::new(Arc::clone(&self.shared)))
    }
}

impl Counters {
    /// Deliveries dropped since they are larger than the client takes.
    pub fn too_large(&self) -> u64 {
        self.too_large.load(Ordering::Relaxed)
    }

    /// Deliveries dropped since they expired on the last step.
    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    fn count_too_large(&self) {
        self.too_large.fetch_add(1, Ordering::Relaxed);
    }

    fn count_expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// How many unfinished publishes a client of MQTT 5 is granted.
    fn receive_maximum(&self) -> u16 {
        self.limits.receive_maximum.max(1)
    }
}
