//! What CoAP is on a reliable stream, without state: messages behind their lengths, and the signals by which the
//! two ends speak of the connection itself [RFC8323].

mod config;
mod frame;
mod signal;

pub use config::StreamConfig;
pub use frame::{Frame, FrameError, Framing};
pub use signal::{Abort, Capabilities, Csm, Release, Signal};
