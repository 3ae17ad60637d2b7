use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::commit::Completion;
use crate::{Batch, Commit, StoreError};

/// The one thread that writes. It takes all batches that wait, writes them with one sync, and resolves them.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    batches: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<(Batch, Arc<Completion>)>,
    bytes: usize,
    closing: bool,
    failed: Option<StoreError>,
}

impl Writer {
    /// Starts the thread; `write` puts batches on the disk, in order, and may block.
    pub(crate) fn start<W>(batches: usize, bytes: usize, write: W) -> std::io::Result<Self>
    where
        W: FnMut(Vec<Batch>) -> Result<(), StoreError> + Send + 'static,
    {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            filled: Condvar::new(),
            batches: batches.max(1),
            bytes,
        });
        let thread = thread::Builder::new().name("store".to_owned()).spawn({
            let queue = queue.clone();
            move || queue.drain(write)
        })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    pub(crate) fn commit(&self, batch: Batch) -> Commit {
        match self.queue.push(batch) {
            Ok(commit) => commit,
            Err(error) => Commit::refused(error),
        }
    }

    /// Writes what waits, ends the thread, and says whether every write went well.
    pub(crate) fn close(&mut self) -> Result<(), StoreError> {
        self.queue.state.lock().closing = true;
        self.queue.filled.notify_one();
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        match &self.queue.state.lock().failed {
            Some(error) => Err(error.clone()),
            None if panicked => Err(StoreError::Failed("the writer panicked".into())),
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A failure was told to every commit it concerned.
        let _ = self.close();
    }
}

impl Queue {
    fn push(&self, batch: Batch) -> Result<Commit, StoreError> {
        if batch.size() > self.bytes {
            return Err(StoreError::BatchSize { size: batch.size(), limit: self.bytes });
        }
        let mut state = self.state.lock();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        if state.waiting.len() >= self.batches || state.bytes + batch.size() > self.bytes {
            return Err(StoreError::Busy);
        }
        let (commit, completion) = Commit::pending();
        state.bytes += batch.size();
        state.waiting.push((batch, completion));
        drop(state);
        self.filled.notify_one();
        Ok(commit)
    }

    fn drain(&self, mut write: impl FnMut(Vec<Batch>) -> Result<(), StoreError>) {
        while let Some(group) = self.take() {
            let (batches, completions): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            // The engine's bugs must not leave a commit waiting for ever.
            let result = catch_unwind(AssertUnwindSafe(|| write(batches)))
                .unwrap_or_else(|_| Err(StoreError::Failed("the writer panicked".into())));
            let refused = match &result {
                Ok(()) => Vec::new(),
                Err(error) => self.fail(error),
            };
            let refused = refused.into_iter().map(|(_, completion)| completion);
            completions.into_iter().chain(refused).for_each(|completion| completion.resolve(result.clone()));
        }
    }

    /// Everything that waits, once something does; `None` once the store closes and nothing is left.
    fn take(&self) -> Option<Vec<(Batch, Arc<Completion>)>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closing {
                return None;
            }
            self.filled.wait(&mut state);
        }
        state.bytes = 0;
        Some(std::mem::take(&mut state.waiting))
    }

    /// After a failed sync nobody knows which pages the kernel has dropped: a second try that succeeds proves
    /// nothing. So the first failure is the answer to everything that follows.
    fn fail(&self, error: &StoreError) -> Vec<(Batch, Arc<Completion>)> {
        let mut state = self.state.lock();
        state.failed = Some(error.clone());
        std::mem::take(&mut state.waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::Space;

    /// A writer whose disk tells how many batches it was given, and waits for the word how that ends.
    fn paced(batches: usize, bytes: usize) -> (Writer, Receiver<usize>, Sender<Result<(), StoreError>>) {
        let (given, told) = channel();
        let (word, words) = channel();
        let write = move |group: Vec<Batch>| {
            given.send(group.len()).unwrap();
            words.recv().unwrap()
        };
        (Writer::start(batches, bytes, write).unwrap(), told, word)
    }

    fn batch(bytes: usize) -> Batch {
        let mut batch = Batch::new();
        batch.put(&Space::lone("a"), &b"k"[..], vec![0; bytes]);
        batch
    }

    #[test]
    fn what_waits_during_a_sync_shares_the_next_one() {
        let (writer, told, word) = paced(10, 10_000);
        let first = writer.commit(batch(1));
        assert_eq!(told.recv(), Ok(1));
        let later: Vec<_> = (0..3).map(|_| writer.commit(batch(1))).collect();
        word.send(Ok(())).unwrap();
        first.wait().unwrap();
        assert_eq!(told.recv(), Ok(3));
        word.send(Ok(())).unwrap();
        later.into_iter().for_each(|commit| commit.wait().unwrap());
    }

    #[test]
    fn a_full_queue_is_busy_by_count_and_by_bytes_and_takes_again_later() {
        let (writer, told, word) = paced(2, 5_000);
        let writing = writer.commit(batch(1));
        assert_eq!(told.recv(), Ok(1));
        let waiting = writer.commit(batch(3_000));
        assert!(matches!(writer.commit(batch(3_000)).wait(), Err(StoreError::Busy)));
        let small = writer.commit(batch(1));
        assert!(matches!(writer.commit(batch(1)).wait(), Err(StoreError::Busy)));
        assert!(matches!(
            writer.commit(batch(6_000)).wait(),
            Err(StoreError::BatchSize { limit: 5_000, .. })
        ));
        word.send(Ok(())).unwrap();
        assert_eq!(told.recv(), Ok(2));
        let again = writer.commit(batch(3_000));
        word.send(Ok(())).unwrap();
        word.send(Ok(())).unwrap();
        [writing, waiting, small, again].into_iter().for_each(|commit| commit.wait().unwrap());
    }

    #[test]
    fn a_failed_sync_is_the_answer_to_everything_that_follows() {
        let (mut writer, told, word) = paced(10, 10_000);
        let failing = writer.commit(batch(1));
        assert_eq!(told.recv(), Ok(1));
        let waiting = writer.commit(batch(1));
        word.send(Err(StoreError::Failed("no such device".into()))).unwrap();
        for commit in [failing, waiting] {
            assert!(matches!(commit.wait(), Err(StoreError::Failed(why)) if &*why == "no such device"));
        }
        assert!(matches!(writer.commit(batch(1)).wait(), Err(StoreError::Failed(_))));
        assert!(matches!(writer.close(), Err(StoreError::Failed(_))));
        assert!(told.recv().is_err(), "nothing more reached the disk");
    }

    #[test]
    fn a_panic_of_the_engine_leaves_no_commit_waiting() {
        let writer = Writer::start(10, 1_000, |_| panic!("a bug")).unwrap();
        assert!(matches!(writer.commit(batch(1)).wait(), Err(StoreError::Failed(_))));
        assert!(matches!(writer.commit(batch(1)).wait(), Err(StoreError::Failed(_))));
    }

    #[test]
    fn closing_writes_what_waits() {
        let (mut writer, told, word) = paced(10, 10_000);
        let commits = [writer.commit(batch(1)), writer.commit(batch(1))];
        word.send(Ok(())).unwrap();
        word.send(Ok(())).unwrap();
        writer.close().unwrap();
        assert_eq!(told.iter().sum::<usize>(), 2);
        commits.into_iter().for_each(|commit| commit.wait().unwrap());
    }
}
