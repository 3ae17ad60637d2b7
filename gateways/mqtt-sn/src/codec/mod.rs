//! The packets and their bytes.

mod decode;
mod encode;
mod flags;
mod packet;
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, decode};
pub use encode::TooLong;
pub use packet::{
    Connect, Packet, Publish, PublishQos, ReturnCode, Subscribe, TopicFilter, TopicId, Unsubscribe, WillTopic,
};
