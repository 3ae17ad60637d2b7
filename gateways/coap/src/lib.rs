//! CoAP messages, exchanges, observe and pub/sub resources on the bus.
//!
//! [`Message`] is what is on the wire, [`Endpoint`] is one peer's exchanges, [`PubSub`] answers requests on
//! topics, and [`Coap`] puts them together. A protocol on top of CoAP uses the first three.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod check;
mod code;
mod collection;
mod config;
mod connection;
mod content;
mod endpoint;
mod etag;
mod exchange;
mod group;
mod message;
mod option;
mod pubsub;
mod reason;
mod shared;
mod silence;
mod stream;
mod token;
mod transmission;

pub use check::DecodeError;
pub use code::Code;
pub use collection::{Topics, TopicsConfig};
pub use config::{Config, ConfigFault, DefaultQos, DirectoryConfig, Notify, Oscore, RequestsConfig};
pub use connection::{Coap, is_request};
pub use endpoint::Endpoint;
pub use etag::ETag;
pub use exchange::{ExchangeId, Incoming, ReplyTo, Request, SendError};
pub use group::answer_group;
pub use message::{Kind, Message};
pub use option::{Block, OptionNumber};
pub use pubsub::{Link, PubSub, Turn, json_publication, peer_name};
pub use reason::{code, refusal};
pub use shared::Shared;
pub use silence::Silence;
pub use stream::{Abort, Capabilities, Csm, Frame, FrameError, Framing, Release, Signal, StreamConfig};
pub use token::Token;
pub use transmission::Transmission;
