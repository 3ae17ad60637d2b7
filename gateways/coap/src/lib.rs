//! CoAP messages, exchanges, observe and pub/sub resources on the bus.
//!
//! [`Message`] is what is on the wire, [`Endpoint`] is one peer's message layer.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod check;
mod code;
mod endpoint;
mod message;
mod option;
mod received;
mod token;
mod transmission;

pub use check::DecodeError;
pub use code::Code;
pub use endpoint::{Endpoint, ExchangeId, Incoming, ReplyTo, Request, SendError};
pub use message::{Kind, Message};
pub use option::{Block, OptionNumber};
pub use token::Token;
pub use transmission::Transmission;
