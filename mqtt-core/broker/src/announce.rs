use std::sync::Arc;
use std::time::Instant;

use bus::{Address, ClientId, Peer, Publish, Reason, Topic, Transport};

use crate::access::{Client, Identity};
use crate::broker::Broker;
use crate::router::Last;

impl Broker {
    /// Publishes what the server itself has to say: `$SYS`, presence. It is retained and routed like any message,
    /// with [`ClientId::server`] as its origin, and neither judged nor intercepted nor counted as received. Returns
    /// how many sessions and groups matched.
    ///
    /// No protocol reaches this: a connection knows the words of the bus, and not the broker.
    pub fn announce(&self, publish: Publish, now: Instant) -> Result<usize, Reason> {
        let shared = &self.0;
        let retain = publish.retain && shared.config.retain;
        let message = Arc::new(shared.message(&shared.server, Publish { retain, ..publish }, now));
        if message.retain {
            shared.retained.set(&message, &shared.server, &shared.config)?;
        }
        let routes = shared.router.find(&message.topic, &mut Last::default());
        Ok(shared.hand_out(&message, &routes, None))
    }
}

/// The server, where a client would stand.
pub(crate) fn server() -> Arc<Client> {
    let peer = Peer {
        address: Address::Internal,
        listener: "".into(),
        transport: Transport::Stream,
        seed: 0,
        link: Default::default(),
    };
    Arc::new(Client {
        id: ClientId::server(),
        identity: Identity::default(),
        peer: Arc::new(peer),
        protocol: "server",
    })
}

/// Whether only the server itself publishes there.
pub(crate) fn is_system(topic: &Topic) -> bool {
    is_below_system(topic.as_str())
}

/// The same for the text of a topic or a filter.
pub(crate) fn is_below_system(text: &str) -> bool {
    text.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
