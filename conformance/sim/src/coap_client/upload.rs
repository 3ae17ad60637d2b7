use std::collections::VecDeque;
use std::time::Instant;

use coap::{Block, Code, Message, OptionNumber};

use super::{Caller, Heard, request};
use crate::Device;

/// The number of the Request-Tag option [RFC9175 3.2].
const REQUEST_TAG: OptionNumber = OptionNumber(292);

/// How often a body is begun anew that the server could not put together.
const MOST_STARTS: u32 = 4;

/// A CoAP client that puts a list of bodies in blocks (RFC 7959), one body after the other.
pub struct CoapUploader {
    caller: Caller,
    topic: String,
    to_upload: VecDeque<Vec<u8>>,
    /// The size of a block as a power of two, as it is now.
    exponent: u8,
    tagged: bool,
    /// How much of the body has arrived.
    offset: usize,
    starts: u32,
    /// The bodies and what became of them.
    pub outcomes: Vec<(Vec<u8>, Outcome)>,
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has it.
    Done,
    /// The server refused it with this code.
    Refused(Code),
    /// The server said nothing any more.
    GivenUp,
}

impl CoapUploader {
    /// A client that puts to `ps/{topic}` in blocks of `16 << exponent` bytes, with Request-Tag if `tagged`.
    pub fn new(seed: u64, topic: &str, exponent: u8, tagged: bool, bodies: Vec<Vec<u8>>) -> Self {
        Self {
            caller: Caller::new(seed),
            topic: topic.to_owned(),
            to_upload: bodies.into(),
            exponent,
            tagged,
            offset: 0,
            starts: 0,
            outcomes: Vec::new(),
        }
    }

    /// Whether every body has found its outcome.
    pub fn is_done(&self) -> bool {
        self.to_upload.is_empty()
    }

    fn size(&self) -> usize {
        16 << self.exponent
    }

    fn put(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        let Some(body) = self.to_upload.front() else { return };
        let end = (self.offset + self.size()).min(body.len());
        let (number, more) = ((self.offset / self.size()) as u32, end < body.len());
        let block = Block { number, more, exponent: self.exponent };
        let mut put = request(Code::PUT, &self.topic).with_query("retain=true").with_query("qos=1");
        if number > 0 || more {
            put = put.with_uint(OptionNumber::BLOCK1, block.to_uint());
        }
        if self.tagged {
            let tag = (self.outcomes.len() as u32) << 8 | self.starts;
            put = put.with_option(REQUEST_TAG, tag.to_be_bytes().to_vec());
        }
        self.caller.ask(put.with_payload(&body[self.offset..end]), now, send);
    }

    fn answered(&mut self, message: &Message) {
        let length = self.to_upload.front().map_or(0, Vec::len);
        let is_last = self.offset + self.size() >= length;
        match message.code() {
            Code::CONTINUE => {
                assert!(!is_last, "the last block is not asked to go on");
                let block = message.block1().expect("a 2.31 has Block1");
                let asked = self.offset / self.size();
                assert_eq!(block.number as usize, asked, "a 2.31 tells which block it is for");
                self.offset += self.size();
                self.exponent = self.exponent.min(block.exponent);
            }
            Code::CHANGED => {
                assert!(is_last, "an upload is not done before its last block");
                self.finish(Outcome::Done);
            }
            Code::REQUEST_ENTITY_INCOMPLETE if self.starts < MOST_STARTS => {
                (self.offset, self.starts) = (0, self.starts + 1);
            }
            code => self.finish(Outcome::Refused(code)),
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        (self.offset, self.starts) = (0, 0);
        self.outcomes.extend(self.to_upload.pop_front().map(|body| (body, outcome)));
    }
}

impl Device for CoapUploader {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.put(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        match self.caller.hear(bytes, now, send) {
            Heard::Answer(message) => {
                self.answered(&message);
                self.put(now, send);
            }
            Heard::Nothing => {}
            Heard::Reset => panic!("a block was reset"),
            Heard::Notification(message) => panic!("nobody observes: {message:?}"),
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        if self.caller.wake(now, send) {
            self.finish(Outcome::GivenUp);
            self.put(now, send);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.caller.deadline()
    }
}
