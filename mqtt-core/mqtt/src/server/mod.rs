//! The server's end of a connection.

mod connected;
mod connection;
mod deliver;
mod foreign;
mod lanes;
mod opening;
mod publish;
mod reason;
mod subscribe;
mod terms;
#[cfg(test)]
mod tests;
mod ticket;

use std::sync::Arc;

use bus::{Connection, Limits, Peer, Protocol};

use crate::Config;

pub use connection::MqttConnection;

/// MQTT on a listener.
#[derive(Debug)]
pub struct Mqtt {
    shared: Arc<Shared>,
}

/// What every connection of a listener has in common.
#[derive(Debug)]
struct Shared {
    config: Config,
    limits: Limits,
}

impl Mqtt {
    /// MQTT with these choices and limits.
    pub fn new(config: Config, limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { config, limits }) }
    }
}

impl Protocol for Mqtt {
    fn label(&self) -> &'static str {
        "mqtt"
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        Box::new(MqttConnection::new(Arc::clone(&self.shared), peer.link.carrier))
    }
}

impl Shared {
    /// How many unfinished publishes a client of MQTT 5 is granted.
    fn receive_maximum(&self) -> u16 {
        self.limits.receive_maximum.max(1)
    }
}
