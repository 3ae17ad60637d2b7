mod pull;
mod state;

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

use bus::{Ack, Burst, ClientId, DeliveryId, Qos, Reason, Will};
use parking_lot::{Mutex, MutexGuard};

use crate::Client;
use crate::config::Config;
use crate::inflight::Inflight;
use crate::priority::Priority;
use crate::queue::{Queue, Queued};
use crate::received::Received;
use crate::rights::UNJUDGED;
use crate::subscriptions::Subscriptions;
use crate::target::Hit;
use crate::timers::TimerKey;

pub use pull::Handed;

/// What the broker keeps of a client: it outlives connections, and one connection at most holds it.
pub(crate) struct Record {
    pub(crate) id: ClientId,
    /// Which connection holds it, or held it last. A connection with another number has lost it.
    epoch: AtomicU64,
    /// Held over each publish and subscribe of the connection, and over a take-over: what the connection that
    /// is taken over had begun is wholly done before, or refused. Locked before `state`, never after.
    turn: Mutex<()>,
    state: Mutex<State>,
    /// The number of the rights under which its subscriptions were last judged.
    rights: AtomicU64,
    /// Nothing waits for the connection, which is known to whoever feeds it, and nobody has locked the state since.
    at_rest: AtomicBool,
}

/// A record where it is found by its id.
pub(crate) struct Named(pub(crate) Arc<Record>);

#[derive(Default)]
pub(crate) struct State {
    /// There is one once something was owed.
    pub(crate) queue: Option<Box<Queue>>,
    /// There is one once something was handed over that is acknowledged.
    pub(crate) inflight: Option<Box<Inflight>>,
    /// Ids of exactly-once publishes that were routed and not yet released.
    pub(crate) received: Received,
    pub(crate) subscriptions: Subscriptions,
    /// What their filters hold.
    pub(crate) subscription_bytes: u32,
    /// Whether a subscription was allowed on the condition that each message is judged.
    pub(crate) filtered: bool,
    /// Changes with every subscription that is made.
    pub(crate) version: u32,
    /// When subscriptions were last taken away: routes that were found earlier may lead here wrongly.
    pub(crate) revoked_at: u64,
    /// The client is not to come back to the session: it ends with the connection.
    pub(crate) dismissed: bool,
    expiry: Span,
    pub(crate) holder: Option<Holder>,
    /// Who holds it, or held it last.
    pub(crate) client: Option<Arc<Client>>,
    /// Since when it is held, or when it was left.
    pub(crate) since: Option<Instant>,
    /// What was agreed on with its last connection, for operators: milliseconds, or 0.
    keep_alive: u32,
    aside: Option<Box<Aside>>,
    /// The session is over; a connection that found the record a moment ago makes a new one.
    pub(crate) ended: bool,
}

/// What most sessions have no need of while a connection holds them.
#[derive(Default)]
struct Aside {
    will: Option<Box<OwnedWill>>,
    /// The number of the rights under which its subscriptions are being judged, if that takes time.
    judging: u64,
    /// What is due while no connection holds the session.
    timers: Box<[TimerKey]>,
}

/// How long a session outlives its connection, in nanoseconds; the greatest number is for ever.
#[derive(Clone, Copy, Default)]
struct Span(u64);

/// A will, and the client whose rights it is published with.
pub(crate) type OwnedWill = (Will, Arc<Client>);

/// The connection that holds the session now.
pub(crate) struct Holder {
    window: u16,
    waker: Option<Waker>,
    /// Whether it waits for deliveries, and was not woken since.
    hungry: bool,
    evicted: Option<Reason>,
}

/// The route to a session may not be valid any more.
pub(crate) struct Stale;

impl Borrow<ClientId> for Named {
    fn borrow(&self) -> &ClientId {
        &self.0.id
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Named {}

impl Record {
    pub(crate) fn new(id: ClientId) -> Self {
        Self {
            id,
            epoch: AtomicU64::new(0),
            turn: Mutex::default(),
            state: Mutex::default(),
            rights: AtomicU64::new(UNJUDGED),
            at_rest: AtomicBool::new(false),
        }
    }

    /// The state, of which the connection then looks whether it concerns it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        self.at_rest.store(false, Ordering::Release);
        state
    }

    /// Whether a pull would find what the last one found: nothing, with the waker in place.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.at_rest.load(Ordering::Acquire)
    }

    /// Keeps the session with the connection `epoch` for as long as the guard lives.
    pub(crate) fn hold(&self, epoch: u64) -> Result<MutexGuard<'_, ()>, Reason> {
        let turn = self.turn.lock();
        self.check(epoch).map(|()| turn)
    }

    /// The state, for the connection `epoch`.
    pub(crate) fn lock_for(&self, epoch: u64) -> Result<MutexGuard<'_, State>, Reason> {
        let state = self.lock();
        self.check(epoch).map(|()| state)
    }

    /// Waits until nothing of the connection is half done, so that the session may change hands or end.
    pub(crate) fn interrupt(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    fn check(&self, epoch: u64) -> Result<(), Reason> {
        if self.epoch() == epoch { Ok(()) } else { Err(Reason::TakenOver) }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The number of the rights under which its subscriptions were last judged.
    pub(crate) fn rights(&self) -> u64 {
        self.rights.load(Ordering::Acquire)
    }

    pub(crate) fn set_rights(&self, rights: u64) {
        self.rights.store(rights, Ordering::Release);
    }

    /// Gives the session to a new connection, which gets the returned epoch. A connection that held it is told.
    pub(crate) fn attach(&self, state: &mut State, window: u16) -> u64 {
        let epoch = self.dislodge(state);
        let window = window.max(1);
        state.holder = Some(Holder { window, waker: None, hungry: false, evicted: None });
        if let Some(inflight) = &mut state.inflight {
            inflight.rewind();
        }
        state.set_judging(UNJUDGED);
        self.set_rights(UNJUDGED);
        epoch
    }

    /// Ends the session; a connection that held it is told.
    pub(crate) fn end(&self, state: &mut State) {
        self.dislodge(state);
        state.ended = true;
    }

    fn dislodge(&self, state: &mut State) -> u64 {
        if let Some(waker) = state.holder.take().and_then(|old| old.waker) {
            waker.wake();
        }
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Owes the client a message that was routed at `epoch`. Returns what had to be thrown away for it, perhaps
    /// itself; an error gives back a message whose route may not be valid any more.
    pub(crate) fn push(
        &self,
        queued: Queued,
        epoch: u64,
        config: &Config,
    ) -> Result<Vec<Queued>, Box<Queued>> {
        let mut state = self.lock();
        if epoch < state.revoked_at {
            return Err(Box::new(queued));
        }
        let mut lost = Vec::new();
        if state.keeps(queued.qos, config) {
            let queue = state.queue.get_or_insert_default();
            let is_urgent = queued.qos == Qos::AtMostOnce && queue.is_overtaken_by(queued.priority);
            queue.push(queued, config, &mut lost);
            feed(state, is_urgent);
        }
        Ok(lost)
    }

    /// The same for messages that are alike.
    pub(crate) fn push_burst(
        &self,
        burst: &Arc<Burst>,
        hit: &Hit,
        priority: Priority,
        epoch: u64,
        config: &Config,
    ) -> Result<Vec<Queued>, Stale> {
        let mut state = self.lock();
        if epoch < state.revoked_at {
            return Err(Stale);
        }
        let mut lost = Vec::new();
        let qos = hit.qos.min(burst.qos());
        if state.keeps(qos, config) {
            let queue = state.queue.get_or_insert_default();
            let is_urgent = qos == Qos::AtMostOnce && queue.is_overtaken_by(priority);
            queue.push_burst(burst, hit, priority, config, &mut lost);
            feed(state, is_urgent);
        }
        Ok(lost)
    }

    /// Tells the connection that holds the session to close.
    pub(crate) fn evict(&self, reason: Reason) -> bool {
        self.evict_from(self.lock(), reason)
    }

    /// The same, if it is this client's.
    pub(crate) fn evict_client(&self, client: &Arc<Client>, reason: Reason) -> bool {
        let state = self.lock();
        let same = state.client.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, client));
        same && self.evict_from(state, reason)
    }

    fn evict_from(&self, mut state: MutexGuard<'_, State>, reason: Reason) -> bool {
        let Some(holder) = &mut state.holder else { return false };
        holder.evicted.get_or_insert(reason);
        let waker = holder.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Notes what the client said of deliveries. Returns messages that came through a share group and were given
    /// back, for other members.
    pub(crate) fn ack(&self, epoch: u64, acks: &[(DeliveryId, Ack)]) -> Vec<Queued> {
        let Ok(mut state) = self.lock_for(epoch) else { return Vec::new() };
        acks.iter().filter_map(|(id, ack)| state.ack(*id, *ack)).collect()
    }
}

impl State {
    fn ack(&mut self, id: DeliveryId, ack: Ack) -> Option<Queued> {
        let inflight = self.inflight.as_mut()?;
        match ack {
            Ack::Received => {
                if let Some(entry) = inflight.entry(id) {
                    entry.received = true;
                    entry.queued = None;
                }
                None
            }
            Ack::Complete | Ack::Reject(_) => {
                inflight.complete(id);
                None
            }
            Ack::Resend => {
                inflight.resend(id);
                None
            }
            Ack::Return => {
                let mut queued = inflight.complete(id)?.queued?;
                queued.duplicate = true;
                if queued.group.is_some() {
                    return Some(queued);
                }
                self.queue.get_or_insert_default().push_front(queued);
                None
            }
        }
    }
}

/// Wakes the connection that waits for what was queued; `is_urgent`: it goes before what waits for the window, and
/// needs no room there.
fn feed(mut state: MutexGuard<'_, State>, is_urgent: bool) {
    let waker = state.holder.as_mut().and_then(|holder| holder.feed(is_urgent));
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Holder {
    /// Something was queued: whom to wake, unless it was woken already or cannot take anything.
    fn feed(&mut self, is_urgent: bool) -> Option<Waker> {
        if !std::mem::take(&mut self.hungry) && !is_urgent {
            return None;
        }
        self.waker.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_rests_in_stays_small() {
        let sizes =
            [(size_of::<Record>(), 176), (size_of::<crate::Session>(), 64), (size_of::<Client>(), 112)];
        assert!(sizes.iter().all(|(size, most)| size <= most), "{sizes:?}");
    }
}
