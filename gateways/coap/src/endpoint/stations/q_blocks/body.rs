use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;

use super::super::blocks::unit;
use crate::{Block, ExchangeId, Message, OptionNumber, ReplyTo, Token};

/// So many blocks may come before one that they follow; more of them count as lost.
const MOST_AHEAD: usize = 1_024;

/// What it takes to keep a block behind a gap, beside its bytes.
const PER_BLOCK: usize = 128;

/// What the options of a usual message take; more of them count as bytes of the body.
const USUAL_HEAD: usize = 1_152;

/// The body of a request as far as it has come [RFC9177 4.3].
#[derive(Debug)]
pub(super) struct Body {
    pub(super) key: u64,
    /// Its first block without the payload; another's until that has come.
    pub(super) head: Message,
    pub(super) size: usize,
    pub(super) exponent: u8,
    /// All that has come without a gap.
    bytes: Vec<u8>,
    /// What has come behind a gap.
    ahead: BTreeMap<u32, Bytes>,
    ahead_bytes: usize,
    pub(super) highest: u32,
    /// Where the answer to the latest block goes.
    pub(super) last: ReplyTo,
    if_none_match: bool,
    /// How often in a row missing blocks were asked for, and when that is due again.
    pub(super) asked: u32,
    pub(super) ask_at: Option<Instant>,
    /// The latest such question, which the peer may reject.
    pub(super) question: Option<ExchangeId>,
    /// What the peer is to be told at once.
    pub(super) owes: Option<Owed>,
    pub(super) until: Instant,
}

/// What the peer of a body is told before that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owed {
    /// All blocks up to this one are there.
    Continue(u32),
    /// Of the blocks before this one some are missing.
    Missing(u32),
}

/// What a block did to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    New,
    Again,
    /// It is too far ahead to be kept.
    Lost,
}

impl Body {
    pub(super) fn new(
        key: u64,
        head: Message,
        size: usize,
        block: Block,
        last: ReplyTo,
        now: Instant,
    ) -> Self {
        Self {
            key,
            head,
            size,
            exponent: block.exponent,
            bytes: Vec::new(),
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
            highest: 0,
            last,
            if_none_match: false,
            asked: 0,
            ask_at: None,
            question: None,
            owes: None,
            until: now,
        }
    }

    /// Takes a block; so many bytes may be kept.
    pub(super) fn add(&mut self, head: Message, number: u32, payload: Bytes, most: usize) -> Added {
        self.if_none_match |= head.option(OptionNumber::IF_NONE_MATCH).is_some();
        if number < self.next() || self.ahead.contains_key(&number) {
            return Added::Again;
        }
        if number == 0 {
            self.head = head.with_token(Token::default());
        }
        if number > self.next() {
            if self.ahead.len() >= MOST_AHEAD || self.kept() + payload.len() + PER_BLOCK > most {
                return Added::Lost;
            }
            self.ahead_bytes += payload.len();
            self.ahead.insert(number, payload);
        } else {
            self.bytes.extend_from_slice(&payload);
            while let Some(payload) = self.ahead.remove(&self.next()) {
                self.ahead_bytes -= payload.len();
                self.bytes.extend_from_slice(&payload);
            }
        }
        self.highest = self.highest.max(number);
        Added::New
    }

    /// The first block that is missing.
    pub(super) fn next(&self) -> u32 {
        // A last block that is not full makes the body whole, so that nobody asks for the next.
        u32::try_from(self.bytes.len() / unit(self.exponent)).unwrap_or(u32::MAX)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.bytes.len() >= self.size
    }

    /// How many blocks it has.
    pub(super) fn total(&self) -> u32 {
        total(self.size, self.exponent)
    }

    /// The missing blocks before `end`, the first ones if they are many.
    pub(super) fn missing(&self, end: u32, most: usize) -> Vec<u32> {
        let numbers = self.next()..end.min(self.total());
        numbers.filter(|number| !self.ahead.contains_key(number)).take(most).collect()
    }

    /// How many bytes of it have come, and how many its options have beyond the usual.
    pub(super) fn length(&self) -> usize {
        self.bytes.len() + self.ahead_bytes + self.head.size().saturating_sub(USUAL_HEAD)
    }

    /// About how many bytes it takes to keep it.
    pub(super) fn kept(&self) -> usize {
        self.length() + self.ahead.len() * PER_BLOCK
    }

    /// The blocks that have come without a gap.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(unit(self.exponent))
    }

    /// The request, whole.
    pub(super) fn into_message(self, token: Token) -> Message {
        let mut message = self.head.without(OptionNumber::Q_BLOCK1).with_token(token);
        if self.if_none_match && message.option(OptionNumber::IF_NONE_MATCH).is_none() {
            message = message.with_option(OptionNumber::IF_NONE_MATCH, "");
        }
        message.with_shared_payload(self.bytes.into())
    }
}

/// How many blocks a body of this size has; an empty one has one.
pub(super) fn total(size: usize, exponent: u8) -> u32 {
    u32::try_from(size.div_ceil(unit(exponent)).max(1)).unwrap_or(u32::MAX)
}
