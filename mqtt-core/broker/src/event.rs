use std::sync::Arc;
use std::time::Instant;

use bus::{Address, ClientId, Filter, Qos, Reason, Topic};

use crate::Client;

/// Something that happened, for those who only watch.
#[derive(Clone, Debug)]
pub enum BrokerEvent {
    /// A client opened or resumed its session.
    Connected {
        /// The client.
        client: Arc<Client>,
        /// Whether an earlier session goes on.
        session_present: bool,
        /// When.
        at: Instant,
    },
    /// An attempt to connect was refused.
    Refused {
        /// The id it asked for.
        client_id: Option<ClientId>,
        /// Where it came from.
        address: Address,
        /// The protocol and version.
        protocol: &'static str,
        /// Why.
        reason: Reason,
        /// When.
        at: Instant,
    },
    /// A client's connection ended; its session may live on.
    Disconnected {
        /// The client.
        client: Arc<Client>,
        /// Why.
        reason: Reason,
        /// When.
        at: Instant,
    },
    /// A session is gone, with all that it held.
    SessionEnded {
        /// Whose it was.
        client_id: ClientId,
        /// When.
        at: Instant,
    },
    /// A client made a subscription.
    Subscribed {
        /// The client.
        client: Arc<Client>,
        /// To what.
        filter: Filter,
        /// The granted guarantee.
        qos: Qos,
    },
    /// A client ended a subscription.
    Unsubscribed {
        /// The client.
        client: Arc<Client>,
        /// From what.
        filter: Filter,
    },
    /// A client was not let do something.
    Denied {
        /// The client.
        client: Arc<Client>,
        /// What it wanted: `publish`, `subscribe` or `read`.
        action: &'static str,
        /// Of which topic or filter.
        on: Arc<str>,
    },
    /// A message for a session was thrown away.
    Dropped {
        /// Whose session.
        client_id: ClientId,
        /// The message's topic.
        topic: Topic,
        /// Why.
        reason: Reason,
    },
}

/// Watches what happens. It is called on the threads that carry messages: it must return at once.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &BrokerEvent);
}
