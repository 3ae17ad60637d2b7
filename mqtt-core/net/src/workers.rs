//! Threads that run connections, each with a runtime of its own.
//!
//! A connection stays with its thread. There, whoever is woken waits until those that were ready before have had their
//! turn: what many publishers have for one subscriber goes out in one write. A runtime with one queue for all threads
//! would run the subscriber next, and make a write of each message.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::watch;

use crate::overload::PERIOD;

/// Threads for connections; they end when this is dropped, and the connections with them.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    beats: Arc<Beats>,
    _alive: watch::Sender<()>,
}

/// When each thread was last seen to run what is due: one that is stuck falls silent.
#[derive(Debug)]
pub(crate) struct Beats {
    began: Instant,
    /// In milliseconds since then.
    last: Vec<AtomicU64>,
}

impl Workers {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    ///
    /// The system grants no further thread, or no file for its runtime.
    pub fn start(count: usize) -> io::Result<Self> {
        let (alive, over) = watch::channel(());
        let beats = Arc::new(Beats::new(count.max(1), Instant::now()));
        let start = |number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, mut over) = (runtime.handle().clone(), over.clone());
            let beats = beats.clone();
            let run = async move {
                tokio::select! {
                    () = beats.keep(number) => {}
                    // Nothing is ever sent: it ends when the sender is gone.
                    _ = over.changed() => {}
                }
            };
            thread::Builder::new()
                .name(format!("connections-{number}"))
                .spawn(move || runtime.block_on(run))?;
            Ok(handle)
        };
        let handles = (0..count.max(1)).map(start).collect::<io::Result<_>>()?;
        Ok(Self { handles, next: AtomicUsize::new(0), beats, _alive: alive })
    }

    pub(crate) fn beats(&self) -> &Arc<Beats> {
        &self.beats
    }

    /// What is spawned, and what sockets are made, while the guard lives belong to the next thread.
    pub(crate) fn enter_next(&self) -> Option<EnterGuard<'_>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles.get(turn % self.handles.len()).map(Handle::enter)
    }
}

impl Beats {
    fn new(count: usize, now: Instant) -> Self {
        Self { began: now, last: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    async fn keep(&self, number: usize) {
        loop {
            self.beat(number, Instant::now());
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn beat(&self, number: usize, now: Instant) {
        if let Some(last) = self.last.get(number) {
            last.store(self.age(now).as_millis() as u64, Ordering::Relaxed);
        }
    }

    /// How late the latest thread is.
    pub(crate) fn lag(&self, now: Instant) -> Duration {
        let oldest = self.last.iter().map(|last| last.load(Ordering::Relaxed)).min();
        let silent = oldest.map(|last| self.age(now).saturating_sub(Duration::from_millis(last)));
        silent.unwrap_or_default().saturating_sub(PERIOD)
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_has_been_silent_longest_tells_the_lag() {
        let now = Instant::now();
        let beats = Beats::new(2, now);
        let later = now + Duration::from_secs(10);
        beats.beat(0, later);
        beats.beat(1, later - Duration::from_secs(4));
        assert_eq!(beats.lag(later), Duration::from_secs(4) - PERIOD);
        beats.beat(1, later);
        assert_eq!(beats.lag(later), Duration::ZERO);
        assert_eq!(beats.lag(later + PERIOD), Duration::ZERO);
    }

    #[test]
    fn every_thread_beats() {
        let workers = Workers::start(2).unwrap();
        let seen = || workers.beats.last.iter().all(|last| last.load(Ordering::Relaxed) > 0);
        while !seen() {
            thread::yield_now();
        }
    }

    #[test]
    fn what_is_spawned_takes_turns_among_the_threads() {
        let workers = Workers::start(2).unwrap();
        let (sender, names) = std::sync::mpsc::channel();
        for _ in 0..4 {
            let _in = workers.enter_next();
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(thread::current().name().map(str::to_owned)) });
        }
        let mut names: Vec<_> = (0..4).map(|_| names.recv().unwrap().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["connections-0", "connections-0", "connections-1", "connections-1"]);
    }
}
