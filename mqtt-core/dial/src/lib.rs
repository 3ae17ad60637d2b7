//! Connects out.
//!
//! A [`Target`] says where, a [`Dial`] how; [`Dial::open`] makes a [`Wire`] of it, a stream of bytes whatever carries
//! them. A [`Line`] drives one [`MqttClient`](mqtt::MqttClient) on it: requests in, events out, and a new connection
//! after a lost one where that is wanted. It starts no task and keeps no buffer without a bound; to drop it is to
//! stop.

mod dial;
mod error;
mod line;
mod quic;
mod reconnect;
mod target;
mod websocket;
mod wire;

pub use dial::Dial;
pub use error::DialError;
pub use line::{Event, Farewell, Line, Lost};
pub use reconnect::Reconnect;
pub use target::{Target, TargetError, Url};
pub use wire::Wire;
