//! Certificates and keys for TLS: read from files, chosen by name, renewed while connections live.
//!
//! [`Certificates`] is what one `[tls.NAME]` table of the configuration says, in force: ask it for a
//! [`rustls::ServerConfig`] at each handshake, and let it look at its files now and then. Nothing here opens a
//! socket, and the cryptography is always *ring*'s.

mod certificates;
mod choice;
mod client;
mod config;
mod files;
mod local;
mod material;
mod names;
mod problem;
mod provider;
mod refusal;
mod secured;
#[cfg(test)]
mod tests;
mod trust;

pub use certificates::{Certificates, EarlyData, Expiry, Refreshed};
pub use client::ClientConfig;
pub use config::{CertificateFiles, ClientCertificate, Config, Version};
pub use local::Kept;
pub use material::{Material, Pair};
pub use problem::Problem;
pub use refusal::{detail, reason, refusal};
pub use secured::{certificate, secured, secured_by_quic};
