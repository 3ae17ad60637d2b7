//! Packets and their bytes, for all three versions in both directions.

mod connect;
mod decode;
mod encode;
mod error;
mod packet;
mod properties;
mod property;
mod read;
mod reason_code;
mod repeat;
#[cfg(test)]
mod tests;
pub(crate) mod write;

pub use decode::decode;
pub use encode::encode;
pub use error::{DecodeError, EncodeError};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Publish, SubAck, Subscribe, Unsubscribe,
    Version, Will,
};
pub use properties::{Properties, PropertyBuffer};
pub use property::Property;
pub use reason_code::ReasonCode;

pub(crate) use connect::Level;
pub(crate) use decode::Frame;
pub(crate) use packet::Kind;
pub(crate) use repeat::Repeat;
