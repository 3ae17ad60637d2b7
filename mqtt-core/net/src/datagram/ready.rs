use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

/// The connections that were woken since the task last ran.
#[derive(Default)]
pub(crate) struct Ready {
    state: Mutex<(Vec<usize>, Option<Waker>)>,
}

struct WakePeer {
    ready: Arc<Ready>,
    key: usize,
}

impl Ready {
    /// What wakes the connection with this key.
    pub(crate) fn waker(self: &Arc<Self>, key: usize) -> Waker {
        Waker::from(Arc::new(WakePeer { ready: self.clone(), key }))
    }

    /// Takes them; whoever is woken from now on wakes this task.
    pub(crate) fn take(&self, waker: &Waker) -> Vec<usize> {
        let (keys, own) = &mut *self.state.lock();
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
        std::mem::take(keys)
    }
}

impl Wake for WakePeer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let (keys, waker) = &mut *self.ready.state.lock();
        keys.push(self.key);
        if let Some(waker) = waker.as_ref().filter(|_| keys.len() == 1) {
            waker.wake_by_ref();
        }
    }
}
