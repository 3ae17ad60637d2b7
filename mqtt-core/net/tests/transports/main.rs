//! What carries connections, on real sockets of this machine.

mod clogged;
mod draining;
mod keyed;
mod messages;
mod moved;
mod proxy;
mod secured;
mod server;
mod session;
mod unix;
mod web_socket;
