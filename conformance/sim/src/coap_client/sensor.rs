use std::collections::VecDeque;
use std::time::Instant;

use coap::Code;

use super::{Caller, Heard, request};
use crate::Device;

/// A CoAP client that puts a list of values, confirmable and retained, one after the other.
pub struct CoapSensor {
    caller: Caller,
    topic: String,
    to_publish: VecDeque<String>,
    /// The values that were answered 2.04.
    pub confirmed: Vec<String>,
    /// The values that the server never acknowledged, however often they were sent.
    pub given_up: Vec<String>,
}

impl CoapSensor {
    /// A sensor that puts to `ps/{topic}`.
    pub fn new(seed: u64, topic: &str, payloads: Vec<String>) -> Self {
        Self {
            caller: Caller::new(seed),
            topic: topic.to_owned(),
            to_publish: payloads.into(),
            confirmed: Vec::new(),
            given_up: Vec::new(),
        }
    }

    /// Whether every value was confirmed or given up.
    pub fn is_done(&self) -> bool {
        self.to_publish.is_empty()
    }

    /// How often a datagram was sent again.
    pub fn retransmissions(&self) -> usize {
        self.caller.retransmissions
    }

    fn put(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        if let Some(payload) = self.to_publish.front() {
            let put = request(Code::PUT, &self.topic).with_query("retain=true").with_query("qos=1");
            self.caller.ask(put.with_payload(payload.as_bytes()), now, send);
        }
    }
}

impl Device for CoapSensor {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.put(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        match self.caller.hear(bytes, now, send) {
            Heard::Answer(message) => {
                assert_eq!(message.code(), Code::CHANGED, "{message:?}");
                self.confirmed.extend(self.to_publish.pop_front());
                self.put(now, send);
            }
            Heard::Nothing => {}
            Heard::Reset => panic!("a publish was reset"),
            Heard::Notification(message) => panic!("nobody observes: {message:?}"),
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        if self.caller.wake(now, send) {
            self.given_up.extend(self.to_publish.pop_front());
            self.put(now, send);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.caller.deadline()
    }
}
