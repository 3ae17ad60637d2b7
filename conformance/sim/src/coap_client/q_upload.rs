use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use coap::{Block, Code, Message, OptionNumber, Token};

use super::q_link::{QLink, SET};
use super::{Outcome, request};
use crate::Device;

/// How long it goes without an answer before it sends its last block once more, and how often.
const DOUBT: Duration = Duration::from_secs(30);
const MOST_DOUBTS: u32 = 6;

/// A CoAP client that puts a list of bodies in Q-Blocks (RFC 9177), one body after the other.
pub struct CoapQUploader {
    link: QLink,
    topic: String,
    to_upload: VecDeque<Vec<u8>>,
    exponent: u8,
    /// The next block to be sent for the first time, and when its set is due if nobody says go on.
    next: u32,
    due: Option<Instant>,
    doubts: u32,
    tokens: HashSet<Token>,
    /// The bodies and what became of them.
    pub outcomes: Vec<(Vec<u8>, Outcome)>,
    /// How many blocks the server asked for again.
    pub missing: usize,
}

impl CoapQUploader {
    /// A client that puts to `ps/{topic}` in blocks of `16 << exponent` bytes.
    pub fn new(seed: u64, topic: &str, exponent: u8, bodies: Vec<Vec<u8>>) -> Self {
        Self {
            link: QLink::new(seed),
            topic: topic.to_owned(),
            to_upload: bodies.into(),
            exponent,
            next: 0,
            due: None,
            doubts: 0,
            tokens: HashSet::new(),
            outcomes: Vec::new(),
            missing: 0,
        }
    }

    /// Whether every body has found its outcome.
    pub fn is_done(&self) -> bool {
        self.to_upload.is_empty()
    }

    fn total(&self) -> u32 {
        self.to_upload.front().map_or(0, |body| body.len().div_ceil(16 << self.exponent) as u32)
    }

    fn put(&mut self, number: u32, send: &mut Vec<Vec<u8>>) {
        let Some(body) = self.to_upload.front() else { return };
        let size = 16 << self.exponent;
        let start = number as usize * size;
        let end = body.len().min(start + size);
        let block = Block { number, more: end < body.len(), exponent: self.exponent };
        let put = request(Code::PUT, &self.topic).with_query("retain=true").with_query("qos=1");
        let put = put.with_uint(OptionNumber::Q_BLOCK1, block.to_uint());
        let put = put.with_uint(OptionNumber::SIZE1, body.len() as u32);
        let tag = self.outcomes.len() as u32;
        let put = put.with_option(OptionNumber::REQUEST_TAG, tag.to_be_bytes().to_vec());
        let token = self.link.ask(put.with_payload(&body[start..end]), send);
        self.tokens.insert(token);
    }

    /// Sends the next set, and waits before the one behind it.
    fn send_set(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        let end = self.total().min((self.next / SET + 1) * SET);
        (self.next..end).for_each(|number| self.put(number, send));
        self.next = end;
        self.wait(now);
    }

    fn wait(&mut self, now: Instant) {
        let all_sent = self.next >= self.total();
        self.due = (!self.is_done()).then(|| now + if all_sent { DOUBT } else { self.link.pause() });
    }

    fn answered(&mut self, message: &Message, now: Instant, send: &mut Vec<Vec<u8>>) {
        match message.code() {
            Code::CONTINUE => {
                let value = message.uint(OptionNumber::Q_BLOCK1).expect("a 2.31 has Q-Block1");
                let block = Block::from_uint(value);
                assert!(block.more && (block.number + 1).is_multiple_of(SET), "{block:?} ends no set");
                assert!(block.number < self.next, "{block:?} was not sent");
                if block.number + 1 == self.next && self.next < self.total() {
                    self.send_set(now, send);
                }
            }
            Code::REQUEST_ENTITY_INCOMPLETE => {
                assert_eq!(message.content_format().map(|format| format.0), Some(272));
                let numbers = numbers(message.payload());
                assert!(
                    !numbers.is_empty() && numbers.windows(2).all(|pair| pair[0] < pair[1]),
                    "{numbers:?}"
                );
                assert!(numbers.iter().all(|number| *number < self.total()), "{numbers:?}");
                let sent = self.next;
                for number in numbers.into_iter().filter(|number| *number < sent) {
                    self.missing += 1;
                    self.put(number, send);
                }
                self.wait(now);
            }
            Code::CHANGED => self.finish(Outcome::Done, now, send),
            code => self.finish(Outcome::Refused(code), now, send),
        }
    }

    fn finish(&mut self, outcome: Outcome, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.outcomes.extend(self.to_upload.pop_front().map(|body| (body, outcome)));
        (self.next, self.doubts, self.due) = (0, 0, None);
        self.tokens.clear(); // [RFC9177 4.3]
        if !self.is_done() {
            self.send_set(now, send);
        }
    }
}

/// The numbers of a CBOR sequence of unsigned integers.
fn numbers(mut sequence: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let [head, rest @ ..] = sequence {
        let length = match head {
            0..=23 => 0,
            24 => 1,
            25 => 2,
            26 => 4,
            _ => panic!("{head:02x} begins no unsigned integer"),
        };
        let bytes = rest[..length].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        numbers.push(if length == 0 { u32::from(*head) } else { bytes });
        sequence = &rest[length..];
    }
    numbers
}

impl Device for CoapQUploader {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.send_set(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        let tokens = &self.tokens;
        if let Some(message) = self.link.hear(bytes, |token| tokens.contains(token), send) {
            self.answered(&message, now, send);
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        if self.due.take_if(|due| *due <= now).is_none() {
            return;
        }
        if self.next < self.total() {
            self.send_set(now, send);
        } else if self.doubts < MOST_DOUBTS {
            // The answer may be lost: a block that comes again is answered as if it were the first.
            self.doubts += 1;
            self.put(self.total() - 1, send);
            self.wait(now);
        } else {
            self.finish(Outcome::GivenUp, now, send);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }
}
