//! Authenticates clients, keeps their sessions, routes messages and holds them until acknowledged.
//!
//! A [`Broker`] opens [`Session`]s; a session is the only way for a client to publish, subscribe or read. The
//! broker keeps no clock and starts no task: time is handed in, and [`Broker::tick`] says when it wants to be called
//! next. What the server itself has to say goes through [`Broker::announce`].

mod access;
mod announce;
mod answer;
mod auto_subscribe;
mod broker;
mod condition;
mod config;
mod course;
mod delayed;
mod ending;
mod entries;
mod epochs;
mod event;
mod exclusive;
mod hashing;
mod here;
mod inflight;
mod judge;
mod label;
mod mount;
mod permit;
mod priority;
mod publish;
mod queue;
mod received;
mod record;
mod replay;
mod retained;
mod rights;
mod router;
#[cfg(test)]
mod router_model;
mod screen;
mod search;
mod session;
mod share;
mod stats;
mod subscriptions;
mod target;
mod timers;
mod tree;
mod view;
mod wire;

pub use access::{
    Access, Attempt, Attributes, Authentication, Authenticator, Authorizer, Client, Exchange, Hooks,
    Identity, Interceptor, Open, Permission, Rewriter,
};
pub use answer::{Answer, Later};
pub use auto_subscribe::{AutoRetain, AutoSubscribe};
pub use broker::{Broker, Opened, Underway};
pub use config::{Config, WhenFull};
pub use course::{Course, Volume};
pub use delayed::DelayedConfig;
pub use event::{BrokerEvent, Observer};
pub use priority::{DefaultPriority, PriorityConfig};
pub use record::Handed;
pub use session::{Reauthentication, Session, Settled};
pub use share::ShareStrategy;
pub use stats::Stats;
pub use view::{Holdings, SessionView};
