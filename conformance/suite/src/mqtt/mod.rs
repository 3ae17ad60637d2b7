//! MQTT 3.1.1 and 5, spoken by hand.

mod check;
mod connect;
mod delivery;
mod packet;
mod peer;
pub mod property;
mod publish;
pub mod wire;

pub use connect::{Connect, Will};
pub use delivery::Delivery;
pub use packet::{Connack, Packet, Properties};
pub use peer::{Peer, unique};
pub use publish::Publish;

/// A version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.
    V5,
}

/// Makes two tests of each function: `v3_1_1::name` calls it with MQTT 3.1.1 and `v5::name` with MQTT 5.
#[macro_export]
macro_rules! for_both {
    ($($name:ident),+ $(,)?) => {
        mod v3_1_1 {
            $(#[test] fn $name() { super::$name($crate::mqtt::Version::V3) })+
        }
        mod v5 {
            $(#[test] fn $name() { super::$name($crate::mqtt::Version::V5) })+
        }
    };
}
