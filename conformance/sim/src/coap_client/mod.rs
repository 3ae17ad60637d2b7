//! CoAP clients whose message layer, observation and block-wise transfer are written apart from the server's.

mod caller;
mod download;
mod observer;
mod q_link;
mod q_read;
mod q_upload;
mod sensor;
mod upload;

pub use download::CoapDownloader;
pub use observer::CoapObserver;
pub use q_read::CoapQReader;
pub use q_upload::CoapQUploader;
pub use sensor::CoapSensor;
pub use upload::{CoapUploader, Outcome};

use caller::{Caller, Heard};
use coap::{Code, Message};

/// A request to the resource of a topic.
fn request(method: Code, topic: &str) -> Message {
    Message::request(method).with_path(std::iter::once("ps").chain(topic.split('/')))
}
