use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use super::{BERT, LARGEST_EXPONENT, Noted, Room, offset, unit};
use crate::{Block, Code, Message, OptionNumber};

/// The answers of which the peer has not asked for all blocks [RFC7959 2.4]; the one that was asked for last
/// stands last.
#[derive(Debug)]
pub(super) struct Serving {
    answers: Vec<Answer>,
    most: usize,
    exponent: u8,
    lifetime: Duration,
    /// How long further notifications wait for a peer that fetches one.
    patience: Duration,
}

#[derive(Debug)]
struct Answer {
    key: u64,
    whole: Message,
    made: Instant,
    until: Instant,
    /// It is a notification, whose observer is given so much time to ask for the next block.
    pushed: Option<Instant>,
}

impl Serving {
    pub(super) fn new(most: usize, exponent: u8, lifetime: Duration, patience: Duration) -> Self {
        Self { answers: Vec::new(), most: most.max(1), exponent, lifetime, patience }
    }

    /// The whole answer of which a later block is asked for.
    pub(super) fn again(&mut self, key: u64, now: Instant) -> Option<Message> {
        self.expire(now);
        let answer = self.answers.iter().find(|answer| answer.key == key)?;
        Some(aged(answer.whole.clone(), answer.made, now))
    }

    /// Makes the block that was asked for, or the first one if the body is too large for one message; what is left
    /// is kept for the requests that follow.
    pub(super) fn cut(&mut self, noted: &Noted, whole: Message, room: Room, now: Instant) -> Message {
        let asked = noted.block2.unwrap_or_else(|| self.preferred(room));
        let length = whole.payload().len();
        if !whole.code().is_success() || (asked.number == 0 && length == 0) {
            return whole;
        }
        let wanted = if asked.exponent == BERT { BERT } else { asked.exponent.min(self.exponent) };
        let small = !room.eager || length <= unit(wanted);
        if noted.block2.is_none() && small && room.fits(&whole) {
            return whole;
        }
        let start = offset(asked);
        if start >= length.max(1) {
            return Message::diagnostic(Code::BAD_REQUEST, "The body has no such block.");
        }
        let whole = with_tag(whole);
        let Some((exponent, most)) = fit(&whole, wanted, room) else { return whole };
        let end = length.min(start + most);
        let more = end < length;
        let number = u32::try_from(start / unit(exponent)).unwrap_or(u32::MAX);
        let part = whole.clone().into_payload().slice(start..end);
        let mut answer =
            whole.clone().with_uint(OptionNumber::BLOCK2, Block { number, more, exponent }.to_uint());
        if noted.wants_size && number == 0 {
            answer = answer.with_uint(OptionNumber::SIZE2, u32::try_from(length).unwrap_or(u32::MAX)); // [RFC7959 4]
        }
        match more || !noted.safe {
            true => self.keep(noted.key, whole, more, start == 0, now),
            false => self.answers.retain(|answer| answer.key != noted.key),
        }
        answer.with_shared_payload(part)
    }

    /// The first block of a peer that asks for none.
    fn preferred(&self, room: Room) -> Block {
        Block { number: 0, more: false, exponent: if room.bert { BERT } else { self.exponent } }
    }

    pub(super) fn is_pushing(&self) -> bool {
        self.answers.iter().any(|answer| answer.pushed.is_some())
    }

    pub(super) fn clear(&mut self) {
        self.answers = Vec::new();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.answers.iter().flat_map(|answer| [Some(answer.until), answer.pushed]).flatten().min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.answers.retain(|answer| answer.until > now);
        for answer in &mut self.answers {
            answer.pushed.take_if(|until| *until <= now);
        }
        if self.answers.is_empty() {
            self.answers = Vec::new(); // an idle peer costs nothing
        }
    }

    fn keep(&mut self, key: u64, whole: Message, more: bool, first: bool, now: Instant) {
        let before =
            self.answers.iter().position(|answer| answer.key == key).map(|at| self.answers.remove(at));
        let before = before.filter(|_| !first);
        let pushed = match &before {
            Some(answer) => answer.pushed.is_some(),
            None => whole.observe().is_some(),
        };
        let made = before.map_or(now, |answer| answer.made);
        let pushed = (pushed && more).then(|| now + self.patience);
        let whole = whole.without(OptionNumber::OBSERVE); // only the first block notifies [RFC7959 2.6]
        self.answers.push(Answer { key, whole, made, until: now + self.lifetime, pushed });
        while self.answers.len() > self.most {
            self.answers.remove(0);
        }
    }
}

/// The same with what is left of its Max-Age.
pub(crate) fn aged(whole: Message, made: Instant, now: Instant) -> Message {
    let age = u32::try_from(now.saturating_duration_since(made).as_secs()).unwrap_or(u32::MAX);
    match whole.uint(OptionNumber::MAX_AGE) {
        Some(left) if age > 0 => {
            let left = left.saturating_sub(age);
            whole.without(OptionNumber::MAX_AGE).with_uint(OptionNumber::MAX_AGE, left)
        }
        _ => whole,
    }
}

/// The longest Block2 and Size2.
const BLOCK_OPTIONS: usize = 5 + 6;

/// The size of block that fits, and how many bytes of body go into the message.
pub(crate) fn fit(whole: &Message, wanted: u8, room: Room) -> Option<(u8, usize)> {
    let left = room.left(whole).checked_sub(BLOCK_OPTIONS)?;
    if wanted == BERT && left >= unit(BERT) {
        return Some((BERT, left - left % unit(BERT)));
    }
    let mut exponents = (0..=wanted.min(LARGEST_EXPONENT)).rev();
    exponents.find(|exponent| unit(*exponent) <= left).map(|exponent| (exponent, unit(exponent)))
}

/// The same with an ETag, so that blocks of different bodies are told apart [RFC7959 2.4].
fn with_tag(whole: Message) -> Message {
    if whole.option(OptionNumber::ETAG).is_some() {
        return whole;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(whole.payload());
    hasher.write_u32(whole.uint(OptionNumber::CONTENT_FORMAT).unwrap_or(u32::MAX));
    let tag = hasher.finish().to_be_bytes();
    whole.with_option(OptionNumber::ETAG, tag)
}
