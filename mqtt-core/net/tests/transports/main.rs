//! What carries connections, on real sockets of this machine.

mod banned;
mod clogged;
mod draining;
mod keyed;
mod messages;
mod moved;
mod parked;
mod proxy;
mod secured;
mod server;
mod session;
mod unix;
mod web_socket;
