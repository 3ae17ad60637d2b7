use std::sync::Arc;

use bus::KeyMark;
use dtls::{EngineError, EngineFactory, Keys, Settings, StreamAcceptor};
use tokio::sync::watch;

/// Pre-shared keys as they are at one moment, and what stands for each.
pub trait MarkedKeys: Keys {
    /// What stands for the key of an identity; `None` if there is none.
    fn mark(&self, identity: &str) -> Option<KeyMark>;
}

/// What a listener shows and asks of its clients, until the next offer.
#[derive(Clone)]
pub struct Offer {
    pub(crate) settings: Settings,
    pub(crate) keys: Option<Arc<dyn MarkedKeys>>,
}

/// The offers of a listener, the newest first to be had.
pub type Offers = watch::Receiver<Arc<Offer>>;

/// TLS with pre-shared keys for the connections of a stream listener, as it is offered now.
pub struct KeyedOffer {
    pub(crate) acceptor: Box<dyn StreamAcceptor>,
    pub(crate) offer: Offer,
}

impl Offer {
    /// These settings with these keys, if there are any.
    pub fn new(settings: Settings, keys: Option<Arc<dyn MarkedKeys>>) -> Self {
        let psk = keys.clone().map(|keys| keys as Arc<dyn Keys>);
        Self { settings: Settings { psk, ..settings }, keys }
    }

    pub(crate) fn mark(&self, identity: &str) -> Option<KeyMark> {
        self.keys.as_ref()?.mark(identity)
    }
}

impl KeyedOffer {
    /// Makes what takes handshakes, or tells why the offer cannot be used.
    pub fn new(factory: &dyn EngineFactory, offer: Offer) -> Result<Self, EngineError> {
        Ok(Self { acceptor: factory.stream(&offer.settings)?, offer })
    }
}
