use std::time::{Duration, Instant};

use super::{LARGEST_EXPONENT, offset, unit};
use crate::{Block, Code, Message, OptionNumber, Request};

/// The bodies of requests that have not come whole [RFC7959 2.5]; the one that was added to last stands last.
#[derive(Debug)]
pub(super) struct Receiving {
    bodies: Vec<Body>,
    most: usize,
    exponent: u8,
    lifetime: Duration,
}

#[derive(Debug)]
struct Body {
    key: u64,
    bytes: Vec<u8>,
    if_none_match: bool,
    until: Instant,
    /// The block that waits for the session.
    stalled: Option<Box<Request>>,
}

/// What a block of a request comes to.
pub(super) enum Received {
    /// More are to come.
    Continue,
    /// It was the first, and more are to come.
    Begin,
    Whole {
        body: Vec<u8>,
        /// Whether the first block had If-None-Match, which others must not have [RFC7959 2.10].
        if_none_match: bool,
    },
    TooLarge,
    Refused(Code, &'static str),
}

impl Receiving {
    pub(super) fn new(most: usize, exponent: u8, lifetime: Duration) -> Self {
        Self { bodies: Vec::new(), most: most.max(1), exponent, lifetime }
    }

    /// How many bodies may be under way.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The size of the blocks that are wanted.
    pub(super) fn exponent(&self) -> u8 {
        self.exponent
    }

    /// Takes a block; all bodies together have at most `largest` bytes now, and at most `ever` once there is a
    /// session.
    pub(super) fn receive(
        &mut self,
        key: u64,
        message: &Message,
        block: Block,
        (largest, ever): (usize, usize),
        now: Instant,
    ) -> Received {
        self.expire(now);
        let payload = message.payload();
        if block.more && !is_of_its_size(payload.len(), block.exponent) {
            return Received::Refused(Code::BAD_REQUEST, "The block does not have its size."); // [RFC7959 2.3]
        }
        if block.number > 0 && message.option(OptionNumber::IF_NONE_MATCH).is_some() {
            let text = "If-None-Match goes with the first block alone."; // [RFC7959 2.10]
            return Received::Refused(Code::BAD_REQUEST, text);
        }
        let begun = self.bodies.iter().position(|body| body.key == key).map(|at| self.bodies.remove(at));
        let mut body = match (block.number, begun) {
            // A new beginning takes the place of an old one [RFC7959 2.5].
            (0, _) => Body {
                key,
                bytes: Vec::new(),
                if_none_match: message.option(OptionNumber::IF_NONE_MATCH).is_some(),
                until: now,
                stalled: None,
            },
            (_, Some(body)) if body.bytes.len() == offset(block) => body,
            (_, begun) => {
                self.bodies.extend(begun);
                let text = "A block before this one is missing; begin with the first."; // [RFC7959 2.9.2]
                return Received::Refused(Code::REQUEST_ENTITY_INCOMPLETE, text);
            }
        };
        let announced = message.uint(OptionNumber::SIZE1).map_or(0, |size| size as usize);
        if announced > ever || body.bytes.len() + payload.len() > largest {
            if block.number > 0 && announced <= ever {
                self.bodies.push(body); // it may go on when there is a session
            }
            return Received::TooLarge;
        }
        body.bytes.extend_from_slice(payload);
        body.until = now + self.lifetime;
        if !block.more {
            return Received::Whole { body: body.bytes, if_none_match: body.if_none_match };
        }
        self.bodies.push(body);
        if self.bodies.len() > self.most {
            self.bodies.remove(0);
        }
        self.make_room(1, largest);
        if block.number == 0 { Received::Begin } else { Received::Continue }
    }

    /// Keeps a block until there is a session; `false` if there is no body that it continues.
    pub(super) fn stall(&mut self, key: u64, request: &Request) -> bool {
        let Some(body) = self.bodies.iter_mut().find(|body| body.key == key) else { return false };
        body.stalled =
            Some(Box::new(Request { message: request.message.clone(), reply_to: request.reply_to.clone() }));
        true
    }

    /// Takes out the blocks that waited.
    pub(super) fn stalled(&mut self) -> Vec<Request> {
        self.bodies.iter_mut().filter_map(|body| body.stalled.take()).map(|request| *request).collect()
    }

    pub(super) fn forget(&mut self, key: u64) {
        self.bodies.retain(|body| body.key != key);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.bodies.iter().map(|body| body.until).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.bodies.retain(|body| body.until > now);
        if self.bodies.is_empty() {
            self.bodies = Vec::new(); // an idle peer costs nothing
        }
    }

    /// How many bytes all bodies have.
    pub(super) fn kept(&self) -> usize {
        self.bodies.iter().map(|body| body.bytes.len()).sum()
    }

    /// The oldest make room until all have at most so many bytes, or so few are left.
    pub(super) fn make_room(&mut self, few: usize, most: usize) {
        while self.bodies.len() > few && self.kept() > most {
            self.bodies.remove(0);
        }
    }
}

/// Whether a block that is not the last has as many bytes as its size says; of BERT it is a multiple.
fn is_of_its_size(length: usize, exponent: u8) -> bool {
    match exponent {
        0..=LARGEST_EXPONENT => length == unit(exponent),
        _ => length > 0 && length.is_multiple_of(unit(exponent)),
    }
}
