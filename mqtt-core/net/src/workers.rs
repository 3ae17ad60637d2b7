//! Threads that run connections, each with a runtime of its own.
//!
//! A connection stays with its thread. There, whoever is woken waits until those that were ready before have had their
//! turn: what many publishers have for one subscriber goes out in one write. A runtime with one queue for all threads
//! would run the subscriber next, and make a write of each message.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::watch;

/// Threads for connections; they end when this is dropped, and the connections with them.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    _alive: watch::Sender<()>,
}

impl Workers {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    ///
    /// The system grants no further thread, or no file for its runtime.
    pub fn start(count: usize) -> io::Result<Self> {
        let (alive, over) = watch::channel(());
        let start = |number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, mut over) = (runtime.handle().clone(), over.clone());
            let thread = thread::Builder::new().name(format!("connections-{number}"));
            // Nothing is ever sent: it ends when the sender is gone.
            thread.spawn(move || runtime.block_on(async move { while over.changed().await.is_ok() {} }))?;
            Ok(handle)
        };
        let handles = (0..count.max(1)).map(start).collect::<io::Result<_>>()?;
        Ok(Self { handles, next: AtomicUsize::new(0), _alive: alive })
    }

    /// What is spawned, and what sockets are made, while the guard lives belong to the next thread.
    pub(crate) fn enter_next(&self) -> Option<EnterGuard<'_>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles.get(turn % self.handles.len()).map(Handle::enter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
