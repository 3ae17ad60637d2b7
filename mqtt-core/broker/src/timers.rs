use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Instant;

use parking_lot::Mutex;

use crate::record::Record;

/// What is due at some time for a session that no connection holds.
pub(crate) struct Timer {
    pub(crate) what: Due,
    pub(crate) record: Weak<Record>,
    /// The connection after which it was set: a later connection makes it void.
    pub(crate) epoch: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The will is published.
    Will,
    /// The session ends.
    End,
}

#[derive(Default)]
pub(crate) struct Timers(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// By time, then by number.
    timers: BTreeMap<(Instant, u64), Timer>,
    number: u64,
}

impl Timers {
    pub(crate) fn set(&self, at: Instant, timer: Timer) {
        let queue = &mut *self.0.lock();
        queue.number += 1;
        queue.timers.insert((at, queue.number), timer);
    }

    /// The timers that are due, in order.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<Timer> {
        let timers = &mut self.0.lock().timers;
        let later = timers.split_off(&(now, u64::MAX));
        std::mem::replace(timers, later).into_values().collect()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.lock().timers.first_key_value().map(|((at, _), _)| *at)
    }
}
