//! Several connections over a seeded, faulty network on a virtual clock.
//!
//! The servers' side is the real thing: broker, driver and protocol state machines. The other side are
//! [`Device`]s, and between them lies a network that loses, doubles, delays and reorders datagrams, and cuts
//! and fragments streams. The same seed gives the same run.

mod coap_client;
mod device;
mod mqtt_device;
mod sn_device;
mod world;

pub use coap_client::{
    CoapDownloader, CoapObserver, CoapQReader, CoapQUploader, CoapSensor, CoapUploader, Outcome,
};
pub use device::{Device, Shared};
pub use mqtt_device::MqttDevice;
pub use sn_device::SnDevice;
pub use world::{Faults, World};
