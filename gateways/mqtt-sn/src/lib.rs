//! MQTT-SN 1.2 on the bus: the gateway's side.
//!
//! [`decode`] and [`Packet::encode`] are the codec; [`MqttSn`] is the protocol a listener offers.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod codec;
mod config;
mod connection;
mod connectionless;
mod finished;
mod opening;
mod outbound;
mod protocol;
mod reach;
mod refusal;
mod session;
mod state;
mod subscribing;
mod topics;
mod turn;

pub use codec::{
    Connect, DecodeError, Packet, Publish, PublishQos, ReturnCode, Subscribe, TooLong, TopicFilter, TopicId,
    Unsubscribe, WillTopic, decode,
};
pub use config::{Config, Predefined};
pub use protocol::MqttSn;
