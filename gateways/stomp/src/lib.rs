//! STOMP 1.0 to 1.2 on the bus.
//!
//! [`Frame`] and [`Decoder`] are the codec; [`Stomp`] is the protocol that a listener offers. What becomes of
//! each frame and header is told in `protocol-specs/stomp/mapping.md`.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod config;
mod connect;
mod connection;
mod decoder;
mod deliver;
mod error;
mod escape;
mod frame;
mod frames;
mod heartbeat;
mod message;
mod publish;
mod replies;
mod stomp;
mod subscription;
mod transaction;
mod version;
mod window;

pub use config::Config;
pub use decoder::{DecodeError, Decoder, FrameLimits, newlines};
pub use frame::{Command, Frame};
pub use stomp::Stomp;
pub use version::Version;

pub(crate) use connection::StompConnection;
