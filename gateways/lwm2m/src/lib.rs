//! LwM2M on CoAP, driven by JSON commands over the bus.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod format;
mod link;
mod model;
mod path;
mod value;

pub use format::{DecodeError, Node, WriteFormat, decode};
pub use link::Link;
pub use model::{Object, ObjectModel, Resource};
pub use path::Lwm2mPath;
pub use value::{DataType, Value};
