//! One STOMP client and this crate, byte by byte; the tests play the broker.

mod connect;
mod resume;
mod robust;
mod send;
mod story;
mod subscribe;
mod transaction;
