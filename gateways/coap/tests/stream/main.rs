//! CoAP over TCP, TLS and WebSocket, bytes in and bytes out.

mod blocks;
#[path = "../common/mod.rs"]
mod common;
mod exchanges;
mod observing;
mod peer;
mod robust;
mod signals;
mod web_socket;
