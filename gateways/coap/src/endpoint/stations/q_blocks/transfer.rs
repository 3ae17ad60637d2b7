use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::blocks::{aged, unit};
use super::body::total;
use crate::{Block, Code, ExchangeId, Message, OptionNumber, ReplyTo};

/// An answer or notification that goes in blocks [RFC9177 4.4].
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) key: u64,
    whole: Message,
    exponent: u8,
    to: ReplyTo,
    pub(super) notification: bool,
    pub(super) confirmable: bool,
    /// The next block to be sent of itself.
    stream: Option<u32>,
    /// The set that the peer wants once more as if it had not been sent.
    again: Range<u32>,
    /// The first block of the latest set, and when it began.
    latest: (u32, Instant),
    /// The blocks that somebody misses, and to which request they go.
    wanted: VecDeque<u32>,
    asker: Option<ReplyTo>,
    /// How many of those may go now.
    granted: usize,
    /// Until then nothing else goes.
    resume: Option<Instant>,
    pause: Duration,
    /// What must be acknowledged before anything else goes.
    waits_for: Option<ExchangeId>,
    first: Option<ExchangeId>,
    recent: VecDeque<ExchangeId>,
    /// Whether the peer said anything since it began.
    pub(super) heard: bool,
    made: Instant,
    /// Until then blocks may be asked for again, and how long that is after the latest one.
    until: Instant,
    lifetime: Duration,
}

/// A block on its way: to which request it goes, and how.
pub(super) struct Sent {
    pub(super) to: ReplyTo,
    pub(super) message: Message,
    pub(super) confirmable: bool,
}

/// So many messages of one transfer are known by their exchange, so that a Reset finds it.
const RECENT: usize = 64;

impl Transfer {
    pub(super) fn new(
        key: u64,
        whole: Message,
        exponent: u8,
        to: ReplyTo,
        (pause, lifetime): (Duration, Duration),
        now: Instant,
    ) -> Self {
        let confirmable = to.confirmable;
        Self {
            key,
            whole,
            exponent,
            to,
            notification: false,
            confirmable,
            stream: None,
            again: 0..0,
            latest: (0, now),
            wanted: VecDeque::new(),
            asker: None,
            granted: 0,
            resume: None,
            pause,
            waits_for: None,
            first: None,
            recent: VecDeque::new(),
            heard: false,
            made: now,
            until: now + lifetime,
            lifetime,
        }
    }

    /// Sends the whole body, from its first block on.
    pub(super) fn stream(&mut self) {
        self.stream = Some(0);
    }

    /// Sends these blocks in answer to a request [RFC9177 4.4]. They go before the rest of the body [RFC9177 7.2].
    pub(super) fn want(&mut self, numbers: Vec<u32>, asker: &ReplyTo, set: u32) {
        (self.wanted, self.asker) = (numbers.into(), Some(asker.clone()));
        self.grant(set);
    }

    /// The peer has all blocks before this one and wants the rest [RFC9177 4.4].
    pub(super) fn go_on(&mut self, number: u32, set: u32, now: Instant) {
        self.until = now + self.lifetime;
        let sent = self.stream.unwrap_or(self.total());
        if number >= self.total() || self.is_abandoned() {
        } else if number >= sent {
            (self.stream, self.resume) = (Some(number), None);
        } else if self.latest.0 != number || self.latest.1 + self.pause <= now {
            // Else it is on its way, and both have met there.
            (self.again, self.resume) = (number..self.total().min(number + set), None);
        }
    }

    /// What goes next, if anything may now.
    pub(super) fn next(&mut self, set: u32, now: Instant) -> Option<Sent> {
        if self.waits_for.is_some() {
            return None;
        }
        self.wake(now);
        if self.granted == 0 && self.resume.is_none() {
            self.grant(set);
        }
        if self.granted > 0 {
            return self.next_wanted(now);
        }
        if self.resume.is_some() {
            return None;
        }
        if let Some(number) = self.again.next() {
            if self.again.is_empty() {
                self.pause(self.confirmable, now);
            }
            return Some(self.own(number, now));
        }
        let number = self.stream?;
        if number.is_multiple_of(set) {
            self.latest = (number, now);
        }
        self.stream = Some(number + 1).filter(|next| *next < self.total());
        if (number + 1).is_multiple_of(set) {
            self.pause(self.confirmable, now); // [RFC9177 7.2]
        }
        Some(self.own(number, now))
    }

    /// The next of the blocks that somebody misses.
    pub(super) fn next_wanted(&mut self, now: Instant) -> Option<Sent> {
        let (number, to) = (self.wanted.pop_front()?, self.asker.clone()?);
        self.until = now + self.lifetime;
        self.granted = self.granted.saturating_sub(1);
        if self.granted == 0 {
            self.pause(to.confirmable, now);
        }
        let message = self.block(number, now).without(OptionNumber::OBSERVE); // [RFC9177 4.5]
        Some(Sent { confirmable: to.confirmable, to, message })
    }

    /// A block that was not asked for by number; all of them have the same Observe [RFC9177 4.5].
    fn own(&mut self, number: u32, now: Instant) -> Sent {
        self.until = now + self.lifetime;
        Sent { to: self.to.clone(), message: self.block(number, now), confirmable: self.confirmable }
    }

    fn block(&self, number: u32, now: Instant) -> Message {
        let (unit, length) = (unit(self.exponent), self.whole.payload().len());
        let start = length.min(number as usize * unit);
        let end = length.min(start + unit);
        let block = Block { number, more: end < length, exponent: self.exponent };
        let part = self.whole.clone().into_payload().slice(start..end);
        let message = aged(self.whole.clone(), self.made, now);
        message.with_uint(OptionNumber::Q_BLOCK2, block.to_uint()).with_shared_payload(part)
    }

    /// Lets those wanted blocks go that belong to one set [RFC9177 7.2].
    fn grant(&mut self, set: u32) {
        let first = self.wanted.front().map(|number| number / set);
        self.granted = self.wanted.iter().take_while(|number| Some(*number / set) == first).count();
    }

    /// Waits before the next set, unless each block is acknowledged.
    fn pause(&mut self, confirmable: bool, now: Instant) {
        if !confirmable {
            self.resume = Some(now + self.pause);
        }
    }

    /// A pause that is over is none.
    pub(super) fn wake(&mut self, now: Instant) {
        self.resume.take_if(|resume| *resume <= now);
    }

    /// What [`Transfer::next`] gave went out as this.
    pub(super) fn sent(&mut self, exchange: Option<ExchangeId>, confirmable: bool) {
        let Some(exchange) = exchange else { return };
        self.first.get_or_insert(exchange);
        if confirmable {
            self.waits_for.get_or_insert(exchange);
        }
        self.recent.push_back(exchange);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// The peer has what was waited for.
    pub(super) fn go_ahead(&mut self) {
        self.waits_for = None;
    }

    /// What must be acknowledged before anything else goes.
    pub(super) fn in_flight(&self) -> Option<ExchangeId> {
        self.waits_for
    }

    /// Whether that must be acknowledged before anything else goes.
    pub(super) fn waits_for(&self, exchange: ExchangeId) -> bool {
        self.waits_for == Some(exchange)
    }

    /// Whether a message of it went out as this.
    pub(super) fn is(&self, exchange: ExchangeId) -> bool {
        self.first == Some(exchange) || self.recent.contains(&exchange)
    }

    /// What the whole goes by.
    pub(super) fn first(&self) -> Option<ExchangeId> {
        self.first
    }

    /// Another body took its place; nothing more of it goes, but what shows whether the peer is there to whoever awaits that.
    pub(super) fn abandon(&mut self, now: Instant) {
        if self.is_awaited() && self.waits_for.is_none() {
            let next = self.stream.or(self.again.clone().next()).or(self.wanted.front().copied());
            let next = next.unwrap_or_default();
            (self.stream, self.again, self.granted, self.resume) = (None, next..next + 1, 0, None);
            self.wanted.clear();
            self.asker = None;
            return;
        }
        (self.stream, self.again, self.granted, self.until) = (None, 0..0, 0, now);
        self.wanted.clear();
        self.asker = None;
        self.whole = self.whole.clone().with_payload("");
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.whole.payload().is_empty()
    }

    /// Whether all of it went out, and was acknowledged where that is asked for.
    pub(super) fn is_done(&self) -> bool {
        self.stream.is_none() && self.again.is_empty() && self.wanted.is_empty() && self.waits_for.is_none()
    }

    /// Whether somebody must be told what becomes of it.
    pub(super) fn is_awaited(&self) -> bool {
        let is_under_way = self.notification && self.confirmable && !self.is_done();
        self.first.is_some() && (self.waits_for.is_some() || is_under_way)
    }

    /// Sends nothing more of itself.
    pub(super) fn halt(&mut self) {
        self.stream = None;
    }

    pub(super) fn goes_to(&self, to: &ReplyTo) -> bool {
        self.notification && self.to.token == to.token
    }

    /// Whether what comes next awaits an acknowledgement.
    pub(super) fn is_confirmable_now(&self) -> bool {
        let asker = self.asker.as_ref().filter(|_| self.granted > 0);
        asker.map_or(self.confirmable, |asker| asker.confirmable)
    }

    /// Whether another is newer and of the same observation, or both are answers to the same.
    pub(super) fn is_replaced_by(&self, other: &Self) -> bool {
        let both_answer = !self.notification && !other.notification;
        self.key == other.key && (both_answer || self.to.token == other.to.token)
    }

    /// Whether another has the same blocks.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.key, self.exponent) == (other.key, other.exponent)
            && self.whole.option(OptionNumber::ETAG) == other.whole.option(OptionNumber::ETAG)
            && self.whole.payload() == other.whole.payload()
            && !self.is_abandoned()
    }

    pub(super) fn is_at(&self, number: u32) -> bool {
        self.stream == Some(number)
    }

    pub(super) fn code(&self) -> Code {
        self.whole.code()
    }

    pub(super) fn exponent(&self) -> u8 {
        self.exponent
    }

    pub(super) fn total(&self) -> u32 {
        total(self.length(), self.exponent)
    }

    pub(super) fn length(&self) -> usize {
        self.whole.payload().len()
    }

    /// Whether nobody asks for blocks of it any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until <= now && !self.is_awaited()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let resume = self.resume.filter(|_| !self.is_done() && self.waits_for.is_none());
        let until = Some(self.until).filter(|_| !self.is_awaited());
        [resume, until].into_iter().flatten().min()
    }
}
