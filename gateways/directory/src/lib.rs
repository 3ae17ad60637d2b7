//! The resource directory of RFC 9176 and the link format of RFC 6690, without a protocol.
//!
//! [`Directory`] is what endpoints register with and clients look up in; text and times go in, text comes out. A
//! [`Link`] is one description of a resource, wherever such lists are read or written.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod base;
mod directory;
mod link;
mod lookup;
mod parameters;
mod parse;
mod refusal;
mod registration;

pub use base::{Base, Scope};
pub use directory::{Bounds, Directory, Requester};
pub use link::{Attribute, Criterion, Link, Value};
pub use lookup::Lookup;
pub use parameters::Parameters;
pub use parse::{LinkBounds, LinkError};
pub use refusal::Refusal;
