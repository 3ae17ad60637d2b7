use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Address, Carrier, ClientId, Filter, Peer, Qos, Reason, SessionExpiry, Topic};

use crate::{Client, Course};

/// Something that happened, for those who only watch.
#[derive(Clone, Debug)]
pub enum BrokerEvent {
    /// A client opened or resumed its session.
    Connected {
        /// The client.
        client: Arc<Client>,
        /// Whether an earlier session goes on.
        session_present: bool,
        /// Whether what an earlier session left was to be thrown away.
        clean_start: bool,
        /// How long the session outlives the connection.
        session_expiry: SessionExpiry,
        /// The longest silence that the client announced.
        keep_alive: Option<Duration>,
        /// When.
        at: Instant,
    },
    /// An attempt to connect was refused.
    Refused {
        /// The id it asked for.
        client_id: Option<ClientId>,
        /// The user name it showed.
        username: Option<Arc<str>>,
        /// Where it came from.
        address: Address,
        /// Through which listener.
        listener: Arc<str>,
        /// What carried its bytes.
        carrier: Carrier,
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
        /// How the connection went.
        course: Box<Course>,
        /// When.
        at: Instant,
    },
    /// A connection ended that never asked for a session, or never could.
    Lost {
        /// Who was at the other end.
        peer: Peer,
        /// The protocol of the listener.
        protocol: &'static str,
        /// Why.
        reason: Reason,
        /// How the connection went.
        course: Box<Course>,
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
        /// What it wanted: `publish`, `subscribe`, `read`, or to leave a `will`.
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

/// Watches what happens. It is called on the threads that carry messages: it must return at once. Sessions may be
/// locked meanwhile, so it must not call the broker, but leave that to somebody else.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &BrokerEvent);
}
