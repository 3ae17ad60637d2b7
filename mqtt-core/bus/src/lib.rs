//! What every protocol shares, and the two traits a protocol implements.
//!
//! A wire protocol is a [`Protocol`] that makes one [`Connection`] per peer. A connection turns bytes into
//! [`Request`]s and [`Event`]s into bytes; the broker answers the requests. Nothing in this crate performs
//! I/O, reads a clock, or knows a broker.

mod burst;
mod chance;
mod content;
mod delivery;
mod limits;
mod message;
mod network;
mod outbox;
mod peer;
mod protocol;
mod reason;
mod request;
mod subscription;
mod topic;
pub mod units;

pub use burst::{Burst, Deliveries};
pub use chance::Chance;
pub use content::ContentFormat;
pub use delivery::{Ack, Delivery, DeliveryId, Matched};
pub use limits::Limits;
pub use message::{ConditionalPublish, Message, Metadata, Precondition, Publish, Qos, UserProperty, Will};
pub use network::{Network, NetworkError};
pub use outbox::{Action, Chunk, Frames, Outbox};
pub use peer::{
    Address, Carrier, Certificate, ClientId, KeyMark, Lane, Link, Peer, PeerName, Secured, Transport,
};
pub use protocol::{Connection, Event, Protocol, ProtocolError};
pub use reason::{Reason, Side};
pub use request::{
    Connect, Connected, Credentials, Disconnect, EnhancedAuthentication, Judgement, Reply, Request, Right,
    SessionExpiry, Ticket,
};
pub use subscription::{Keyed, RetainHandling, SubscribeOptions, Subscription, SubscriptionId, Unsubscribe};
pub use topic::{Filter, Topic, TopicError};
