use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bus::SessionExpiry;

use crate::BrokerEvent;
use crate::broker::Shared;
use crate::entries::Entry;
use crate::queue::Queued;
use crate::record::Record;
use crate::subscriptions::Key;
use crate::timers::{Due, Timer};

/// The least time between two looks for members that are back.
const SHARE_PAUSE: Duration = Duration::from_secs(1);

impl Shared {
    /// The connection `epoch` leaves the session, which ends or waits as its expiry says.
    pub(crate) fn detach(
        self: &Arc<Self>,
        record: &Arc<Record>,
        epoch: u64,
        publish_will: bool,
        now: Instant,
    ) {
        let mut state = record.lock();
        if record.epoch() != epoch || state.holder.take().is_none() {
            return;
        }
        self.counters.connections.fetch_sub(1, Ordering::Relaxed);
        state.since = Some(now);
        if !publish_will {
            state.set_will(None);
        }
        let expiry = match state.expiry() {
            _ if state.dismissed => Duration::ZERO,
            SessionExpiry::AtOnce => Duration::ZERO,
            SessionExpiry::After(span) => span,
            SessionExpiry::Never => Duration::MAX,
        };
        if let Some(queue) = state.queue.as_mut().filter(|_| !self.config.queue_qos0_offline) {
            queue.forget_at_most_once();
        }
        let delay = state.will().map(|(will, _)| will.delay.min(expiry));
        let (mut due, mut timers) = (Vec::new(), Vec::new());
        // A session that ends before then passes on what it has when it does.
        let grace =
            Some(self.config.share_grace).filter(|grace| *grace < expiry && state.is_in_share_group());
        for (what, delay) in [(Due::Share, grace), (Due::Will, delay), (Due::End, Some(expiry))] {
            let Some(at) = delay.and_then(|delay| now.checked_add(delay)) else { continue };
            let timer = Timer { what, record: Arc::downgrade(record), epoch };
            match at <= now {
                true => due.push(timer),
                false => timers.push(self.timers.set(at, timer)),
            }
        }
        state.set_timers(timers.into());
        drop(state);
        for timer in due {
            self.due(timer, now);
        }
    }

    pub(crate) fn due(self: &Arc<Self>, timer: Timer, now: Instant) {
        let Some(record) = timer.record.upgrade() else { return };
        let turn = record.interrupt();
        let mut state = record.lock();
        if record.epoch() != timer.epoch || state.is_held() || state.ended {
            return;
        }
        if timer.what == Due::Share {
            // Once more in a while: other members may have come back by then.
            let again = now.checked_add(self.config.share_grace.max(SHARE_PAUSE));
            let left = state.take_timers().into_iter().filter(|(at, _)| *at > now);
            state.set_timers(left.chain(again.map(|at| self.timers.set(at, timer))).collect());
            drop(state);
            return self.pass_on(&record);
        }
        let will = state.set_will(None);
        if timer.what == Due::End {
            self.timers.cancel(&state.take_timers());
            record.end(&mut state);
        }
        drop((state, turn));
        if let Some((will, owner)) = will.map(|owned| *owned) {
            self.publish_will(will, owner, now);
        }
        if timer.what == Due::End {
            self.remove(&record, now);
        }
    }

    /// Takes a session that has ended from the sessions there are.
    pub(crate) fn remove(&self, record: &Arc<Record>, now: Instant) {
        self.sessions.remove_if(&record.id, |kept, ()| Arc::ptr_eq(&kept.0, record));
        self.counters.sessions.fetch_sub(1, Ordering::Relaxed);
        self.forget(record, now);
    }

    /// Takes an ended session out of the router, and passes on what it owed through share groups.
    pub(crate) fn forget(&self, record: &Arc<Record>, now: Instant) {
        let mut state = record.lock();
        let subscriptions = std::mem::take(&mut state.subscriptions);
        state.subscription_bytes = 0;
        state.received = Default::default();
        // Exactly-once messages that this client may have seen go to nobody else [MQTT-4.8.2-5].
        let mut owed: Vec<_> =
            state.inflight.take().map(|mut begun| begun.drain().collect()).unwrap_or_default();
        owed.retain(|queued: &Queued| queued.qos < bus::Qos::ExactlyOnce);
        if let Some(queue) = &mut state.queue {
            owed.extend(queue.drain());
        }
        drop(state);
        for subscription in subscriptions {
            self.counters.remove_subscription(&subscription.filter);
            self.router.remove(&subscription.filter, &Entry::of(record, &subscription));
            self.exclusive.free(&subscription.filter, record);
        }
        for queued in owed.into_iter().filter(|queued| queued.group.is_some()) {
            self.redispatch(queued, record);
        }
        self.emit(|| BrokerEvent::SessionEnded { client_id: record.id.clone(), at: now });
    }

    pub(crate) fn unsubscribe(&self, record: &Arc<Record>, key: &Key) -> Option<bus::Subscription> {
        let mut state = record.lock();
        let subscription = state.subscriptions.remove(key)?;
        state.subscription_bytes -= subscription.filter.as_str().len() as u32;
        drop(state);
        self.router.remove(&subscription.filter, &Entry::of(record, &subscription));
        self.counters.remove_subscription(&subscription.filter);
        self.exclusive.free(&subscription.filter, record);
        Some(subscription)
    }
}
