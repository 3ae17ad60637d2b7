//! MQTT 3.1, 3.1.1 and 5 on the bus.
//!
//! [`decode`] and [`encode`] turn bytes into [`Packet`]s and back, for every version and both directions.
//! [`Mqtt`] is the protocol a listener offers; [`MqttClient`] is the other end, for bridges, tools and tests.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod aliases;
mod client;
mod codec;
mod config;
mod metadata;
#[cfg(test)]
mod samples;
mod server;

pub use client::{ClientError, ClientEvent, ClientOptions, Granted, MqttClient, Received, Refusal};
pub use codec::{
    Ack, Auth, ConnAck, Connect, DecodeError, Disconnect, EncodeError, Packet, PacketId, Properties,
    Property, PropertyBuffer, Publish, ReasonCode, SubAck, Subscribe, Unsubscribe, Version, Will, decode,
    encode,
};
pub use config::Config;
pub use server::{Mqtt, MqttConnection};
