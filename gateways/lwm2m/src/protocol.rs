use std::sync::Arc;
use std::time::Instant;

use bus::{Connection, Limits, Peer, PeerName, Protocol};
use coap::{Code, Link, Message, PubSub};

use crate::connection::{Lwm2mConnection, name};
use crate::{Config, ObjectModel};

/// LwM2M and CoAP on one port: `/rd` is LwM2M's, everything else CoAP's.
pub struct Lwm2m {
    shared: Arc<Shared>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) coap: Arc<coap::Config>,
    pub(crate) limits: Limits,
    pub(crate) links: Arc<[Link]>,
    /// What the peers of all listeners share.
    pub(crate) common: Arc<coap::Shared>,
    pub(crate) model: ObjectModel,
}

impl Lwm2m {
    /// LwM2M and CoAP as configured, with topics and a resource directory of its own.
    pub fn new(config: Config, coap: coap::Config, limits: Limits) -> Self {
        let common = coap::Shared::new(&coap).into();
        Self::sharing(config, coap, limits, common)
    }

    /// The same for one of several listeners, whose peers share this.
    pub fn sharing(config: Config, coap: coap::Config, limits: Limits, common: Arc<coap::Shared>) -> Self {
        let mut model = ObjectModel::standard();
        config.objects.iter().for_each(|object| model.add(object));
        let mut links = PubSub::links(&coap);
        links.push(Link::new("/rd").with("rt", "oma.lwm2m").protected_as(&coap));
        let shared = Shared { config, coap: coap.into(), limits, links: links.into(), common, model };
        Self { shared: Arc::new(shared) }
    }
}

impl Protocol for Lwm2m {
    fn label(&self) -> &'static str {
        "lwm2m"
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        Box::new(Lwm2mConnection::new(&peer, self.shared.clone()))
    }

    /// A device is known by the location of its registration, wherever it sends from.
    fn name(&self, datagram: &[u8]) -> Option<PeerName> {
        registration_name(datagram).or_else(|| coap::peer_name(datagram))
    }

    fn admits(&self, datagram: &[u8]) -> bool {
        coap::is_request(datagram)
    }

    fn answer_group(&self, datagram: &[u8], chance: u64, now: Instant) -> Option<Vec<u8>> {
        let Shared { links, coap, limits, .. } = &*self.shared;
        coap::answer_group(links, coap, limits, datagram, chance, now)
    }
}

/// The name of the registration that a datagram updates or ends.
fn registration_name(datagram: &[u8]) -> Option<PeerName> {
    let code = Code(*datagram.get(1)?);
    // Publishes are POSTs too, and need not be decoded twice.
    let may_be =
        (code == Code::POST || code == Code::DELETE) && datagram.windows(2).any(|pair| pair == b"rd");
    if !may_be {
        return None;
    }
    match Message::decode(datagram).ok()?.uri_path().as_slice() {
        ["rd", location] => Some(name(location)),
        _ => None,
    }
}

impl Shared {
    /// How many observations a device may have.
    pub(crate) fn most_observations(&self) -> usize {
        self.config.observations.min(self.limits.subscriptions)
    }
}
