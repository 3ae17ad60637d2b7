//! LwM2M on CoAP, driven by JSON commands over the bus.
//!
//! A command is a delivery, its answer is a publish: [`Lwm2m`] registers devices and carries out one command
//! after the other; what is no registration is CoAP's.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod answer;
mod command;
mod config;
mod connection;
mod device;
mod format;
mod model;
mod path;
mod protocol;
mod registration;
mod value;

pub use config::{Config, Topics};
pub use format::{DecodeError, Node, WriteFormat, decode};
pub use model::{Object, ObjectModel, Resource};
pub use path::Lwm2mPath;
pub use protocol::Lwm2m;
pub use value::{DataType, Value};

pub(crate) use protocol::Shared;
