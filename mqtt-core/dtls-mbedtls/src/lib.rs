//! DTLS 1.2, and TLS 1.2 with pre-shared keys, by Mbed TLS.
//!
//! [`MbedTls`] makes the engines that the crate `dtls` describes. An engine is a server with pre-shared keys, X.509
//! certificates or both; it has connection ids (RFC 9146), and resumption by tickets (RFC 5077) and session ids. Raw
//! public keys (RFC 7250) are not offered, since Mbed TLS has none; neither are DTLS 1.0 and 1.3, renegotiation and
//! compression.
//!
//! Streams are kept to TLS 1.2: in version 1.3 Mbed TLS keeps its keys in one table of the whole process, without locks.
//!
//! All that is unsafe is in `ffi`. What a peer sends meets Rust code first: records are taken apart, hellos without a
//! cookie are answered, and records are given to their session here. Contexts are never shared: each engine and each
//! stream has a configuration of its own.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

#[cfg(feature = "client")]
mod client;
mod cookie;
mod dates;
mod engine;
mod factory;
mod ffi;
mod handshake;
mod kept;
mod live;
mod outcome;
mod random;
mod record;
mod resumption;
mod session;
mod settings;
mod shares;
mod stream;
mod suites;
mod taking;
#[cfg(test)]
mod tests;
mod waiting;

#[cfg(feature = "client")]
pub use client::Client;
pub use factory::MbedTls;
