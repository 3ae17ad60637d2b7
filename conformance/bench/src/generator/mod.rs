//! The load: one thread, one poll, no allocation per message.

mod fleet;
mod inbox;
mod load;
mod pace;
mod wire;

pub(crate) use fleet::{Client, Filters, Fleet, open_files};
pub(crate) use load::Load;
pub(crate) use wire::Wire;
