use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::Waker;

use tokio::time::Instant;

/// Wakes publishers when their next message is due, more exactly than the runtime's clock, which counts whole
/// milliseconds.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Mutex<Due>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Due {
    times: BinaryHeap<Reverse<(Instant, usize)>>,
    wakers: Vec<Waker>,
    free: Vec<usize>,
    over: bool,
}

impl Pace {
    pub(super) fn wake_at(&self, time: Instant, waker: &Waker) {
        let mut due = self.lock();
        let place = match due.free.pop() {
            Some(place) => place,
            None => due.wakers.len(),
        };
        match due.wakers.get_mut(place) {
            Some(slot) => slot.clone_from(waker),
            None => due.wakers.push(waker.clone()),
        }
        let first = due.times.peek().is_none_or(|Reverse((earliest, _))| time < *earliest);
        due.times.push(Reverse((time, place)));
        if first {
            self.changed.notify_one();
        }
    }

    /// Keeps the time until [`Pace::end`], and wakes everybody then; a thread of its own does this.
    pub(super) fn keep(&self) {
        let mut due = self.lock();
        while !due.over {
            let now = Instant::now();
            let Some(Reverse((time, place))) = due.times.peek().copied() else {
                due = self.changed.wait(due).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if time > now {
                let waited = self.changed.wait_timeout(due, time - now);
                due = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            due.times.pop();
            due.free.push(place);
            if let Some(waker) = due.wakers.get(place) {
                waker.wake_by_ref();
            }
        }
        due.wakers.drain(..).for_each(Waker::wake);
    }

    pub(super) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
