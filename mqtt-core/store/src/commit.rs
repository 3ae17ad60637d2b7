use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};

use crate::StoreError;

/// A batch on its way to the disk: a future of any runtime, or [`Commit::wait`] without one.
///
/// Resolves once the batch and all that were committed before it are on the disk. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "the batch is on the disk only once this resolves"]
pub struct Commit(Arc<Completion>);

/// The end of a commit that the writer holds.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    state: Mutex<State>,
    resolved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), StoreError>>,
    waker: Option<Waker>,
}

impl Commit {
    /// Blocks until the batch is on the disk.
    pub fn wait(self) -> Result<(), StoreError> {
        let mut state = self.0.state.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone();
            }
            self.0.resolved.wait(&mut state);
        }
    }

    pub(crate) fn pending() -> (Self, Arc<Completion>) {
        let completion = Arc::<Completion>::default();
        (Self(completion.clone()), completion)
    }

    pub(crate) fn refused(error: StoreError) -> Self {
        let (commit, completion) = Self::pending();
        completion.resolve(Err(error));
        commit
    }
}

impl Future for Commit {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock();
        match &state.result {
            Some(result) => Poll::Ready(result.clone()),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Completion {
    pub(crate) fn resolve(&self, result: Result<(), StoreError>) {
        let mut state = self.state.lock();
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        self.resolved.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
