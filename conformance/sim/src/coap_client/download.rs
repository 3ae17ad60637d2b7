use std::time::{Duration, Instant};

use coap::{Block, Code, Message, OptionNumber};

use super::{Caller, Heard, request};
use crate::Device;

/// How long it waits between two downloads.
const PAUSE: Duration = Duration::from_secs(3);

/// A CoAP client that gets a resource again and again, in blocks (RFC 7959).
pub struct CoapDownloader {
    caller: Caller,
    topic: String,
    exponent: u8,
    body: Body,
    next: Option<Instant>,
    /// The bodies that arrived whole.
    pub received: Vec<Vec<u8>>,
    /// How often a transfer was begun anew because the resource had changed meanwhile.
    pub changed: usize,
    /// How often a transfer ended with an error or in silence.
    pub failed: usize,
}

/// A body that is being put together.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    tag: Option<Vec<u8>>,
}

/// How a block fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It was the last one.
    Whole,
    /// Another is to be asked for.
    More(Block),
    /// It is of another body than those before it.
    Foreign,
}

impl Body {
    /// Appends a block, unless it is of another version [RFC7959 2.4].
    pub(super) fn append(&mut self, message: &Message) -> Fit {
        let tag = message.option(OptionNumber::ETAG).map(<[u8]>::to_vec);
        let Some(block) = message.block2() else {
            *self = Self { bytes: message.payload().to_vec(), tag };
            return Fit::Whole;
        };
        let size = block.size().expect("the server says no reserved size");
        assert!(!block.more || message.payload().len() == size, "a block with more to come is full");
        assert!(message.payload().len() <= size, "no block is larger than it says");
        if block.number == 0 {
            *self = Self { bytes: Vec::new(), tag };
        } else if self.tag != tag || tag.is_none() {
            return Fit::Foreign;
        }
        assert_eq!(self.bytes.len(), block.number as usize * size, "the block that was asked for");
        self.bytes.extend_from_slice(message.payload());
        let next = Block { number: block.number + 1, more: false, exponent: block.exponent };
        if block.more { Fit::More(next) } else { Fit::Whole }
    }
}

impl CoapDownloader {
    /// A client that gets `ps/{topic}` and asks for blocks of `16 << exponent` bytes.
    pub fn new(seed: u64, topic: &str, exponent: u8) -> Self {
        Self {
            caller: Caller::new(seed),
            topic: topic.to_owned(),
            exponent,
            body: Body::default(),
            next: None,
            received: Vec::new(),
            changed: 0,
            failed: 0,
        }
    }

    fn get(&mut self, block: Block, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.next = None;
        let get = request(Code::GET, &self.topic).with_uint(OptionNumber::BLOCK2, block.to_uint());
        self.caller.ask(get, now, send);
    }

    fn begin(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.get(Block { number: 0, more: false, exponent: self.exponent }, now, send);
    }

    fn answered(&mut self, message: &Message, now: Instant, send: &mut Vec<Vec<u8>>) {
        if message.code() != Code::CONTENT {
            self.failed += 1;
            self.next = Some(now + PAUSE);
            return;
        }
        match self.body.append(message) {
            Fit::Whole => {
                self.received.push(std::mem::take(&mut self.body.bytes));
                self.next = Some(now + PAUSE);
            }
            Fit::More(block) => self.get(block, now, send),
            Fit::Foreign => {
                self.changed += 1;
                self.begin(now, send);
            }
        }
    }
}

impl Device for CoapDownloader {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.begin(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        match self.caller.hear(bytes, now, send) {
            Heard::Answer(message) => self.answered(&message, now, send),
            Heard::Nothing => {}
            Heard::Reset => panic!("a GET was reset"),
            Heard::Notification(message) => panic!("nobody observes: {message:?}"),
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        let given_up = self.caller.wake(now, send);
        self.failed += usize::from(given_up);
        if given_up || self.next.is_some_and(|next| next <= now) {
            self.begin(now, send);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.caller.deadline().or(self.next)
    }
}
