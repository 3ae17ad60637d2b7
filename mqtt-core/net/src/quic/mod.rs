//! MQTT over QUIC: a connection's streams are the lanes of one protocol connection.
//!
//! The first bidirectional stream that a client opens is the control stream, the main lane; others carry publishes and
//! subscriptions. Early data (0-RTT) may be sent again by whoever saw it, so it is kept, within the flow control's bounds,
//! until the handshake is complete: nobody but the client can complete it.

mod accept;
mod config;
mod connection;
mod lane;

pub use config::QuicConfig;

pub(crate) use accept::{ALPN, Quic, serve};
