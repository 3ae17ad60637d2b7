use std::sync::Arc;

use bus::{Connection, Limits, Peer, Protocol};

use crate::{Config, StompConnection};

/// STOMP as a listener offers it.
#[derive(Debug)]
pub struct Stomp(Arc<Grants>);

/// What every connection of a listener is granted.
#[derive(Debug)]
pub(crate) struct Grants {
    pub(crate) config: Config,
    pub(crate) limits: Limits,
}

impl Stomp {
    /// STOMP with these grants.
    pub fn new(config: Config, limits: Limits) -> Self {
        Self(Arc::new(Grants { config, limits }))
    }
}

impl Protocol for Stomp {
    fn label(&self) -> &'static str {
        "stomp"
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        Box::new(StompConnection::new(self.0.clone(), &peer))
    }
}
