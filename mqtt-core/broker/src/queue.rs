use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use bus::{Burst, Deliveries, Filter, Matched, Message, Qos, Reason};

use crate::config::{Config, WhenFull};
use crate::priority::Priority;
use crate::publish::queued;
use crate::replay::{Replay, Run};
use crate::target::Hit;

/// What one session is owed and has not been handed yet, bounded by count and bytes.
#[derive(Default)]
pub(crate) struct Queue {
    /// Retained messages of new subscriptions.
    replay: Option<Box<Replay>>,
    /// What came before all that is `live`, and is no less urgent.
    bursts: VecDeque<Whole>,
    /// By priority, then by age.
    live: VecDeque<Queued>,
    bytes: usize,
}

/// Messages owed to one session at most once, as they were published: together.
struct Whole {
    burst: Arc<Burst>,
    hit: Hit,
    priority: Priority,
}

/// How many bursts wait as such, and of what size at most: the next are taken apart.
const BURSTS: usize = 16;
const BURST_BYTES: usize = 16 * 1024;

/// Of a session to which nothing was ever owed.
pub(crate) static NOTHING: Queue =
    Queue { replay: None, bursts: VecDeque::new(), live: VecDeque::new(), bytes: 0 };

/// One message owed to one session.
#[derive(Clone)]
pub(crate) struct Queued {
    pub(crate) message: Arc<Message>,
    pub(crate) matched: Matched,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// Whether the client may have seen it already.
    pub(crate) duplicate: bool,
    /// Higher goes first.
    pub(crate) priority: Priority,
    /// How many members of the share group were not allowed it.
    pub(crate) passed_over: u8,
    /// The share group it came through.
    pub(crate) group: Option<Filter>,
}

impl Queue {
    /// Adds a message; what had to go for it goes to `lost`, or itself. Expired messages go first, as far as they are
    /// the oldest, and then those of the lowest priority.
    pub(crate) fn push(&mut self, queued: Queued, config: &Config, lost: &mut Vec<Queued>) {
        let size = queued.message.size();
        if self.bursts.back().is_some_and(|whole| whole.priority < queued.priority) {
            self.take_apart();
        }
        if !self.has_room(1, size, config) && !self.make_room(&queued, size, config, lost) {
            return lost.push(queued);
        }
        self.bytes += size;
        match self.is_overtaken_by(queued.priority) {
            true => self.insert_after(queued),
            false => self.live.push_back(queued),
        }
    }

    /// Whether a message of this priority goes before some that wait.
    pub(crate) fn is_overtaken_by(&self, priority: Priority) -> bool {
        let last = self.live.back().map(|last| last.priority);
        last.or_else(|| Some(self.bursts.back()?.priority)).is_some_and(|last| last < priority)
    }

    /// Adds messages that are alike, in order.
    pub(crate) fn push_burst(
        &mut self,
        burst: &Arc<Burst>,
        hit: &Hit,
        priority: Priority,
        config: &Config,
        lost: &mut Vec<Queued>,
    ) {
        let queued = burst.messages().iter().map(|message| queued(message, hit, priority));
        if !self.has_room(queued.len(), burst.size(), config) || self.is_overtaken_by(priority) {
            return queued.for_each(|queued| self.push(queued, config, lost));
        }
        self.bytes += burst.size();
        if hit.qos.min(burst.qos()) == Qos::AtMostOnce && burst.lasts() && self.takes_whole(burst.size()) {
            return self.bursts.push_back(Whole { burst: burst.clone(), hit: hit.clone(), priority });
        }
        self.live.extend(queued);
    }

    /// Whether a burst may stay together: it goes behind all that waits, which has none but bursts.
    fn takes_whole(&self, size: usize) -> bool {
        size <= BURST_BYTES && self.bursts.len() < BURSTS && self.live.is_empty() && self.replay.is_none()
    }

    /// The next burst, if it comes first and has at most so many messages. One that has more is taken apart.
    #[inline]
    pub(crate) fn pop_burst(&mut self, most: usize) -> Option<Deliveries> {
        if self.bursts.front()?.burst.messages().len() > most {
            self.take_apart();
            return None;
        }
        let Whole { burst, hit, .. } = self.bursts.pop_front()?;
        self.bytes -= burst.size();
        Some(Deliveries { burst, matched: hit.matched })
    }

    /// Makes each message of the bursts wait by itself.
    fn take_apart(&mut self) {
        if self.bursts.is_empty() {
            return;
        }
        for Whole { burst, hit, priority } in self.bursts.drain(..).rev() {
            for message in burst.messages().iter().rev() {
                self.live.push_front(queued(message, &hit, priority));
            }
        }
    }

    fn in_bursts(&self) -> usize {
        self.bursts.iter().map(|whole| whole.burst.messages().len()).sum()
    }

    #[cold]
    fn make_room(&mut self, queued: &Queued, size: usize, config: &Config, lost: &mut Vec<Queued>) -> bool {
        self.take_apart();
        if self.bytes + size > config.queue_bytes && !self.can_fit(queued, config) {
            return false;
        }
        while !self.has_room(1, size, config) {
            let Some(gone) = self.victim(queued, config).and_then(|at| self.live.remove(at)) else {
                return false;
            };
            self.bytes -= gone.message.size();
            lost.push(gone);
        }
        true
    }

    /// Behind all that is as urgent.
    fn insert_after(&mut self, queued: Queued) {
        let at = self.live.partition_point(|other| other.priority >= queued.priority);
        self.live.insert(at, queued);
    }

    /// Whether there would be bytes enough if all less urgent messages went.
    fn can_fit(&self, queued: &Queued, config: &Config) -> bool {
        if self.live.back().is_none_or(|last| last.priority >= queued.priority) {
            return true; // none is less urgent
        }
        let stays = |other: &&Queued| match config.when_full {
            WhenFull::DropNewest => other.priority >= queued.priority,
            WhenFull::DropOldest => other.priority > queued.priority,
        };
        let kept: usize = self.live.iter().take_while(stays).map(|other| other.message.size()).sum();
        kept + queued.message.size() <= config.queue_bytes
    }

    /// Which message makes way for a new one, if any does.
    fn victim(&self, queued: &Queued, config: &Config) -> Option<usize> {
        let lowest = self.live.back()?.priority;
        let is_over =
            |at: usize| self.live.get(at).is_some_and(|old| old.message.is_expired(queued.message.published));
        let oldest = match queued.priority == lowest && self.live.front()?.priority == lowest {
            true => 0,
            false => self.live.partition_point(|other| other.priority > lowest),
        };
        if let Some(over) = [0, oldest].into_iter().find(|at| is_over(*at)) {
            return Some(over);
        }
        let drops_oldest = config.when_full == WhenFull::DropOldest;
        let is_urgent = queued.priority > lowest;
        let makes_way = is_urgent || (drops_oldest && queued.priority == lowest);
        let at = if drops_oldest { oldest } else { self.live.len() - 1 };
        (makes_way && queued.message.size() <= config.queue_bytes).then_some(at)
    }

    /// Puts a message back where it came from: it is the next to go of its priority. It was counted when it first
    /// came in.
    pub(crate) fn push_front(&mut self, queued: Queued) {
        self.take_apart();
        self.bytes += queued.message.size();
        let at = self.live.partition_point(|other| other.priority > queued.priority);
        self.live.insert(at, queued);
    }

    /// Adds the retained messages of a new subscription; `total` counts those of all sessions.
    pub(crate) fn replay(&mut self, retained: impl Iterator<Item = Run>, total: &Arc<AtomicU64>) {
        self.take_apart();
        self.replay.get_or_insert_with(|| Box::new(Replay::new(total))).add(retained);
    }

    /// The next message, if it is an ordinary one: it is not retained, never expires, and needs no id unless there is
    /// `room` for it.
    #[inline]
    pub(crate) fn pop_ordinary(&mut self, room: bool) -> Option<Queued> {
        let front = self.live.front().filter(|_| self.replay.is_none() && self.bursts.is_empty())?;
        if front.message.expires.is_some() || !(room || front.qos == Qos::AtMostOnce) {
            return None;
        }
        let queued = self.live.pop_front()?;
        self.bytes -= queued.message.size();
        Some(queued)
    }

    /// The next message that has not expired, if `wanted` says so of it; the expired ones before it go to
    /// `left_out`.
    pub(crate) fn pop_if(
        &mut self,
        now: Instant,
        wanted: impl Fn(&Queued) -> bool,
        left_out: &mut Vec<(Queued, Reason)>,
    ) -> Option<Queued> {
        self.take_apart();
        loop {
            let (old, live) = (self.replay.as_ref().and_then(|replay| replay.front()), self.live.front());
            let is_old = old.is_some_and(|old| live.is_none_or(|live| live.priority <= old.priority));
            let front = if is_old { old } else { live }?;
            let over = front.message.is_expired(now);
            if !over && !wanted(front) {
                return None;
            }
            let queued = match is_old {
                true => self.replay.as_mut()?.pop_front()?,
                false => {
                    let queued = self.live.pop_front()?;
                    self.bytes -= queued.message.size();
                    queued
                }
            };
            if !over {
                return Some(queued);
            }
            left_out.push((queued, Reason::MessageExpired));
        }
    }

    /// Whether so many messages, of so many bytes together, can be added without loss.
    pub(crate) fn has_room(&self, messages: usize, bytes: usize, config: &Config) -> bool {
        self.live.len() + self.in_bursts() + messages <= config.queue_messages
            && self.bytes + bytes <= config.queue_bytes
    }

    /// What waits and came through share groups.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Queued> {
        self.live.iter().filter(|queued| queued.group.is_some())
    }

    /// Takes out what waits and `gone` says so of.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Queued) -> bool) {
        self.take_apart();
        self.live.retain(|queued| !gone(queued));
        self.bytes = self.live.iter().map(|queued| queued.message.size()).sum();
    }

    /// Takes out what `keep` does not want, which may change the rest.
    pub(crate) fn retain(&mut self, keep: &mut impl FnMut(&mut Queued) -> bool) {
        self.take_apart();
        if let Some(replay) = &mut self.replay {
            replay.retain(keep);
        }
        self.live.retain_mut(keep);
        self.bytes = self.live.iter().map(|queued| queued.message.size()).sum();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.replay_len() == 0 && self.bursts.is_empty() && self.live.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.replay_len() + self.in_bursts() + self.live.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn replay_len(&self) -> usize {
        self.replay.as_ref().map_or(0, |replay| replay.len())
    }

    /// Gives back the memory of a burst once it is over.
    pub(crate) fn relax(&mut self) {
        if self.live.is_empty() && self.live.capacity() > 64 {
            self.live = VecDeque::new();
        }
        if let Some(replay) = &mut self.replay {
            replay.settle();
            self.replay.take_if(|replay| replay.len() == 0);
        }
    }

    /// Empties it, and returns what was live.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Queued> {
        self.take_apart();
        (self.bytes, self.replay) = (0, None);
        std::mem::take(&mut self.live).into_iter()
    }

    /// Forgets waiting at-most-once messages, which are not kept for a client that is away.
    pub(crate) fn forget_at_most_once(&mut self) {
        if let Some(replay) = &mut self.replay {
            replay.retain(&mut |queued| queued.qos > Qos::AtMostOnce);
        }
        self.bursts.clear();
        self.relax();
        self.live.retain(|queued| queued.qos > Qos::AtMostOnce);
        self.bytes = self.live.iter().map(|queued| queued.message.size()).sum();
    }
}
