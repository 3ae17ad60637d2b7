//! Bodies in Q-Blocks [RFC9177], datagram by datagram.

#[path = "../common/mod.rs"]
mod common;
mod notifying;
mod peer;
#[path = "../common/protected.rs"]
mod protected;
mod receiving;
mod refusing;
mod securing;
mod sending;
