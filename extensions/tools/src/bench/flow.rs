use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::histogram::Histogram;

/// What all connections of a run share.
#[derive(Debug)]
pub(super) struct Run {
    /// Times are told from here.
    pub(super) origin: Instant,
    /// Whether publishers shall end.
    pub(super) stop: AtomicBool,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// Publishes that the server did not take.
    pub(super) refused: AtomicU64,
    /// From when a message was due until it came.
    pub(super) latency: Histogram,
    /// From when a message was due until it was sent: how late this generator is.
    pub(super) lag: Histogram,
}

/// The publishers and subscribers of one topic.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) run: Arc<Run>,
    pub(super) topic: String,
    pub(super) publishers: usize,
    pub(super) subscribers: u64,
    /// How many messages may be on their way to each subscriber; 0 for any number.
    pub(super) window: u64,
    sent: AtomicU64,
    /// Counted for each subscriber.
    received: AtomicU64,
    /// What seems to be lost and is waited for no longer, counted for each subscriber.
    forgiven: AtomicU64,
    anybody_waits: AtomicBool,
    /// One place for each publisher.
    waiting: Mutex<Vec<Option<Waker>>>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            latency: Histogram::new(),
            lag: Histogram::new(),
        }
    }

    pub(super) fn time(&self) -> Duration {
        self.origin.elapsed()
    }
}

impl Flow {
    pub(super) fn new(
        run: Arc<Run>,
        topic: String,
        publishers: usize,
        subscribers: u64,
        window: u64,
    ) -> Self {
        Self {
            run,
            topic,
            publishers,
            subscribers,
            window,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            forgiven: AtomicU64::new(0),
            anybody_waits: AtomicBool::new(false),
            waiting: Mutex::new(vec![None; publishers]),
        }
    }

    /// How many messages may be sent now.
    pub(super) fn room(&self) -> u64 {
        if self.window == 0 || self.subscribers == 0 {
            return u64::MAX;
        }
        let came = (self.received.load(SeqCst) + self.forgiven.load(SeqCst)) / self.subscribers;
        self.window.saturating_sub(self.sent.load(SeqCst).saturating_sub(came))
    }

    pub(super) fn sent(&self, count: u64) {
        self.sent.fetch_add(count, SeqCst);
        self.run.sent.fetch_add(count, Relaxed);
    }

    pub(super) fn received(&self, count: u64) {
        self.received.fetch_add(count, SeqCst);
        self.run.received.fetch_add(count, Relaxed);
        if self.anybody_waits.load(SeqCst) && self.room() >= self.window / 2 {
            self.wake();
        }
    }

    /// Wakes the publisher when there is room; look again after this call.
    pub(super) fn wait(&self, publisher: usize, waker: &Waker) {
        if let Some(place) = self.lock().get_mut(publisher) {
            *place = Some(waker.clone());
        }
        self.anybody_waits.store(true, SeqCst);
    }

    pub(super) fn wake(&self) {
        self.anybody_waits.store(false, SeqCst);
        let waiting: Vec<Waker> = self.lock().iter_mut().filter_map(Option::take).collect();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many messages came so far; what is still under way is waited for no longer if no more came since there
    /// were `before`.
    pub(super) fn forgive(&self, before: u64) -> u64 {
        let received = self.received.load(SeqCst);
        let due = self.due();
        if received == before && self.window > 0 && received + self.forgiven.load(SeqCst) < due {
            self.forgiven.store(due - received, SeqCst);
            self.wake();
        }
        received
    }

    /// How many messages are owed to all subscribers together.
    pub(super) fn due(&self) -> u64 {
        self.sent.load(SeqCst) * self.subscribers
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Waker>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
