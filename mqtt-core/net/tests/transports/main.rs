//! What carries connections, on real sockets of this machine.

mod draining;
mod server;
mod unix;
