use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bus::{Filter, Matched, Message, Qos};

use crate::config::{Config, WhenFull};

/// What one session is owed and has not been handed yet, bounded by count and bytes.
#[derive(Default)]
pub(crate) struct Queue {
    /// Retained messages of new subscriptions; they are many at once, and shared with the store.
    replay: VecDeque<Queued>,
    live: VecDeque<Queued>,
    bytes: usize,
}

/// One message owed to one session.
#[derive(Clone)]
pub(crate) struct Queued {
    pub(crate) message: Arc<Message>,
    pub(crate) matched: Matched,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// Whether the client may have seen it already.
    pub(crate) duplicate: bool,
    /// The share group it came through.
    pub(crate) group: Option<Filter>,
}

impl Queue {
    /// Adds a message; returns what had to go for it, or itself. Expired messages go first, as far as they are
    /// the oldest.
    pub(crate) fn push(&mut self, queued: Queued, config: &Config) -> Vec<Queued> {
        let (mut lost, size) = (Vec::new(), queued.message.size());
        while !self.has_room(size, config) {
            let makes_way = |oldest: &mut Queued| {
                oldest.message.is_expired(queued.message.published)
                    || (config.when_full == WhenFull::DropOldest && size <= config.queue_bytes)
            };
            let Some(oldest) = self.live.pop_front_if(makes_way) else {
                lost.push(queued);
                return lost;
            };
            self.bytes -= oldest.message.size();
            lost.push(oldest);
        }
        self.bytes += size;
        self.live.push_back(queued);
        lost
    }

    /// Puts a message back where it came from: it is the next to go. It was counted when it first came in.
    pub(crate) fn push_front(&mut self, queued: Queued) {
        self.bytes += queued.message.size();
        self.live.push_front(queued);
    }

    /// Adds the retained messages of a new subscription.
    pub(crate) fn replay(&mut self, retained: impl Iterator<Item = Queued>) {
        self.replay.extend(retained);
    }

    /// The next message that has not expired, if `wanted` says so of it; the expired ones before it go to
    /// `expired`.
    pub(crate) fn pop_if(
        &mut self,
        now: Instant,
        wanted: impl Fn(&Queued) -> bool,
        expired: &mut Vec<Queued>,
    ) -> Option<Queued> {
        loop {
            let front = self.replay.front().or_else(|| self.live.front())?;
            let over = front.message.is_expired(now);
            if !over && !wanted(front) {
                return None;
            }
            let queued = match self.replay.pop_front() {
                Some(queued) => queued,
                None => {
                    let queued = self.live.pop_front()?;
                    self.bytes -= queued.message.size();
                    queued
                }
            };
            if !over {
                return Some(queued);
            }
            expired.push(queued);
        }
    }

    /// Whether a message of this size can be added without loss.
    pub(crate) fn has_room(&self, size: usize, config: &Config) -> bool {
        self.live.len() < config.queue_messages && self.bytes + size <= config.queue_bytes
    }

    /// What waits and came through share groups.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Queued> {
        self.live.iter().filter(|queued| queued.group.is_some())
    }

    /// Takes out what waits and `gone` says so of.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Queued) -> bool) {
        self.live.retain(|queued| !gone(queued));
        self.bytes = self.live.iter().map(|queued| queued.message.size()).sum();
    }

    /// Takes out what `keep` does not want, which may change the rest.
    pub(crate) fn retain(&mut self, keep: &mut impl FnMut(&mut Queued) -> bool) {
        self.replay.retain_mut(&mut *keep);
        self.live.retain_mut(keep);
        self.bytes = self.live.iter().map(|queued| queued.message.size()).sum();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.replay.is_empty() && self.live.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.replay.len() + self.live.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn replay_len(&self) -> usize {
        self.replay.len()
    }

    /// Gives back the memory of a burst once it is over.
    pub(crate) fn relax(&mut self) {
        if self.live.is_empty() && self.live.capacity() > 64 {
            self.live = VecDeque::new();
        }
        if self.replay.is_empty() && self.replay.capacity() > 0 {
            self.replay = VecDeque::new();
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Queued> {
        self.bytes = 0;
        std::mem::take(&mut self.replay).into_iter().chain(std::mem::take(&mut self.live))
    }

    /// Forgets waiting at-most-once messages, which are not kept for a client that is away.
    pub(crate) fn forget_at_most_once(&mut self) {
        self.replay.retain(|queued| queued.qos > Qos::AtMostOnce);
        self.live.retain(|queued| queued.qos > Qos::AtMostOnce);
        self.bytes = self.live.iter().map(|queued| queued.message.size()).sum();
    }
}
