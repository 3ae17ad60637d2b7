//! OSCORE (RFC 8613): requests and answers of CoAP, protected end to end.
//!
//! [`SecurityContext`] is what two endpoints share, [`Contexts`] are those of a server, found by what a request says, and
//! [`Message`] is what OSCORE works on: a code, options and a payload. What carries them is somebody else's.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod algorithm;
mod cbor;
mod class;
mod context;
mod contexts;
mod file;
mod header;
mod keys;
mod message;
mod pending;
mod refusal;
mod sequence;
mod shared;
mod window;

pub use algorithm::Algorithm;
pub use context::{Binding, Opened, Owner, ProtectError, SecurityContext, Start};
pub use contexts::{Contexts, ContextsError};
pub use file::{Entry, FileError, parse};
pub use header::{Header, HeaderError, PartialIv};
pub use keys::{ParameterError, Parameters};
pub use message::{Message, MessageError};
pub use pending::{Pending, ResponseError};
pub use refusal::RequestError;
pub use sequence::{RESERVED_AHEAD, SequenceKey, SequenceStore};
pub use shared::Shared;

/// The number of the OSCORE option [RFC8613 2].
pub const OSCORE: u16 = 9;
