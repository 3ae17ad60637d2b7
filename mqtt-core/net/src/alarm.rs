use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Wakes a task at its next deadline; there is a timer only where there is a deadline.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

/// How far ahead the timer is put once it has fired: whoever was woken sets it anew.
const REST: Duration = Duration::from_secs(3);

impl Alarm {
    /// Sees to it that the task runs at `deadline`. The timer is not moved when a deadline moves away: it fires, and
    /// is set again.
    pub(crate) fn set(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) {
        let Some(deadline) = deadline.map(tokio::time::Instant::from_std) else {
            self.0 = None;
            return;
        };
        let timer = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = tokio::time::Instant::now();
            if deadline <= now {
                cx.waker().wake_by_ref();
                timer.as_mut().reset(now + REST);
            } else {
                timer.as_mut().reset(deadline);
            }
        }
    }
}
