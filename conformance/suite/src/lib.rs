//! Black-box tests of a running server.
//!
//! The tests are in `tests/blackbox`; here is what they stand on: the subject they talk to, and for each protocol
//! a peer that sends bytes and takes packets apart. Nothing here is shared with the server, so that an error in
//! its codec cannot hide itself.

pub mod mqtt;
pub mod subject;
