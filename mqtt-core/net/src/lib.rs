//! Runs connections: one driver for every protocol and transport, and the listeners that feed it.
//!
//! [`Driver`] performs no I/O and reads no clock either; [`stream`] and [`datagram`] give it bytes, time and
//! a way out. A simulation drives the very same code.

mod accept;
mod alarm;
mod clock;
mod driver;
mod fault;
mod group;
mod house;
mod listener;
mod meter;
mod offer;
mod overload;
mod park;
mod prepare;
mod proxy;
mod psk_stream;
mod quota;
mod rate;
mod unix;
mod workers;

pub mod datagram;
mod quic;
pub mod stream;
pub mod web_socket;

pub use bus::{Network, NetworkError};
pub use clock::keep_time;
pub use driver::{Driver, Flow, Names};
pub use fault::Fault;
pub use group::is_group;
pub use house::{House, Place};
pub use listener::{Bound, ListenerConfig, Running, Stop, bind, bind_path};
pub use offer::{KeyedOffer, MarkedKeys, Offer, Offers};
pub use overload::{Overload, OverloadConfig, Pressure};
pub use park::Parked;
pub use proxy::{Progress, ProxyConfig, Told};
pub use quic::QuicConfig;
pub use quota::Rates;
pub use workers::Workers;
