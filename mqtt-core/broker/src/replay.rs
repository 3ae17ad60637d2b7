use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::queue::Queued;

/// Retained messages that new subscriptions of one session are owed; they are many at once, and shared with the store.
pub(crate) struct Replay {
    pub(crate) list: VecDeque<Queued>,
    /// How many of them `total` knows.
    counted: u64,
    /// How many there are for all sessions.
    total: Arc<AtomicU64>,
}

impl Replay {
    pub(crate) fn new(total: &Arc<AtomicU64>) -> Self {
        Self { list: VecDeque::new(), counted: 0, total: total.clone() }
    }

    pub(crate) fn add(&mut self, retained: impl Iterator<Item = Queued>) {
        self.list.extend(retained);
        if self.list.iter().any(|queued| queued.priority > 0) {
            self.list.make_contiguous().sort_by_key(|queued| Reverse(queued.priority));
        }
        self.settle();
    }

    /// Tells the total what came and went.
    pub(crate) fn settle(&mut self) {
        let now = self.list.len() as u64;
        self.total.fetch_add(now.saturating_sub(self.counted), Ordering::Relaxed);
        self.total.fetch_sub(self.counted.saturating_sub(now), Ordering::Relaxed);
        self.counted = now;
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.total.fetch_sub(self.counted, Ordering::Relaxed);
    }
}
