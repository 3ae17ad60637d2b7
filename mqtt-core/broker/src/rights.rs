//! What a changed right does to sessions that are there already.
//!
//! Rights have a number. Whoever has changed them says so with [`Broker::reconsider`], which gives them the next one.
//! From then on nothing is handed to a session and nothing taken from it before it has been judged under that number:
//! by its own connection when it pulls, or by [`Broker::tick`], some sessions at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bus::{Filter, Matched, Qos, Reason, SessionExpiry, Subscription, Topic};
use parking_lot::Mutex;

use crate::access::{Access, Client, Permission};
use crate::broker::{Broker, Shared};
use crate::entries::Entry;
use crate::publish::passed_on;
use crate::queue::Queued;
use crate::record::Record;
use crate::retained::Found;
use crate::router::{Router, Routes};
use crate::subscriptions::Key;
use crate::{Answer, BrokerEvent};

/// Which rights are in force, and who has yet to be judged by them.
pub(crate) struct Rights {
    number: AtomicU64,
    waiting: Mutex<VecDeque<Weak<Record>>>,
}

/// What a session's subscriptions were found to be.
pub(crate) struct Judged {
    /// The number of the rights that were asked.
    pub(crate) rights: u64,
    /// Whose subscriptions.
    record: Weak<Record>,
    /// Which there were; [`crate::record::State::version`].
    version: u32,
    /// Whether one is allowed on the condition that each message is judged.
    filtered: bool,
    revoked: Vec<Key>,
}

/// The number of no rights.
pub(crate) const UNJUDGED: u64 = 0;

/// How many subscriptions are judged in one tick; a session that has none costs as much as one.
const SLICE: usize = 2_000;

impl Broker {
    /// Judges all clients and their subscriptions again, those that are away too. To be called after rights, users or
    /// bans have changed and are in force.
    ///
    /// A client that would not be let in any more is closed, and its session ends. A subscription that is denied now is
    /// taken away, and with it the messages that wait for the client only because of it. Many sessions are judged one
    /// part after the other by [`Broker::tick`]; nothing passes to or from one that is not yet judged.
    pub fn reconsider(&self, now: Instant) {
        let shared = &self.0;
        shared.rights.number.fetch_add(1, Ordering::SeqCst);
        let records = shared.sessions.iter().map(|entry| Arc::downgrade(&entry.key().0)).collect();
        *shared.rights.waiting.lock() = records;
        shared.reconsider_some(now);
    }
}

impl Default for Rights {
    fn default() -> Self {
        Self { number: AtomicU64::new(UNJUDGED + 1), waiting: Mutex::default() }
    }
}

impl Rights {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    fn next(&self) -> Option<Weak<Record>> {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            *waiting = VecDeque::new();
        }
        waiting.pop_front()
    }
}

impl Shared {
    /// Judges the next sessions that wait for it; returns whether others still do.
    pub(crate) fn reconsider_some(self: &Arc<Self>, now: Instant) -> bool {
        let mut judged = 0;
        while judged < SLICE {
            let Some(next) = self.rights.next() else { return false };
            judged += 1;
            if let Some(record) = next.upgrade() {
                judged += record.lock().subscriptions.len();
                self.is_judged(&record, now);
            }
        }
        true
    }

    /// Whether the session has been judged by the rights in force; it is now if that can be done at once.
    #[inline]
    pub(crate) fn is_judged(self: &Arc<Self>, record: &Arc<Record>, now: Instant) -> bool {
        record.rights() == self.rights.number() || self.is_judged_now(record, now)
    }

    #[cold]
    fn is_judged_now(self: &Arc<Self>, record: &Arc<Record>, now: Instant) -> bool {
        self.reconsider(record, now);
        record.rights() == self.rights.number()
    }

    /// Whether the client would still be let in; if not, it is closed and its session ends. One that would have to prove
    /// itself in another way is only closed.
    pub(crate) fn is_valid(
        self: &Arc<Self>,
        record: &Arc<Record>,
        client: &Arc<Client>,
        now: Instant,
    ) -> bool {
        let authenticator = &self.hooks.authenticator;
        if !authenticator.still_valid(client) {
            self.dismiss(record, client, now);
            return false;
        }
        authenticator.still_proved(client) || !record.evict_client(client, Reason::NotAuthorized)
    }

    /// The same for a client that was let in under `rights`, after a hook took its time.
    pub(crate) fn is_welcome(
        self: &Arc<Self>,
        record: &Arc<Record>,
        client: &Arc<Client>,
        rights: u64,
        now: Instant,
    ) -> Result<(), Reason> {
        let welcome = rights == self.rights.number() || self.is_valid(record, client, now);
        if welcome { Ok(()) } else { Err(Reason::NotAuthorized) }
    }

    fn reconsider(self: &Arc<Self>, record: &Arc<Record>, now: Instant) {
        let rights = self.rights.number();
        let state = record.lock();
        let Some(client) = state.client.clone() else { return };
        if state.ended || state.is_judging(rights) {
            return;
        }
        drop(state);
        if !self.is_valid(record, &client, now) {
            return;
        }
        match self.judge_subscriptions(&client, Some(record), rights) {
            Answer::Now(judged) => self.settle(record, &client, judged),
            Answer::Later(judged) => {
                let mut state = record.lock();
                if state.client.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, &client)) {
                    state.set_judging(rights);
                }
                drop(state);
                let (shared, record) = (self.clone(), record.clone());
                self.defer(Answer::later(async move {
                    let judged = judged.await;
                    shared.settle(&record, &client, judged);
                }));
            }
        }
    }

    /// Asks which of the session's subscriptions the client may have.
    pub(crate) fn judge_subscriptions(
        self: &Arc<Self>,
        client: &Arc<Client>,
        record: Option<&Arc<Record>>,
        rights: u64,
    ) -> Answer<Judged> {
        let (mut old, mut version) = (Vec::new(), 0);
        if let Some(record) = record {
            let state = record.lock();
            let row = |subscription: &Subscription| {
                (Key::of(subscription), subscription.filter.clone(), subscription.options.qos)
            };
            old = state.subscriptions.iter().map(row).collect();
            version = state.version;
        }
        let record = record.map(Arc::downgrade).unwrap_or_default();
        let ask = |(_, filter, qos): &(Key, Filter, Qos)| {
            self.authorize(client, Access::Subscribe { filter, qos: *qos })
        };
        let permissions = Answer::all(old.iter().map(ask).collect());
        permissions.map(move |permissions| {
            let filtered = permissions.contains(&Permission::AllowFiltered);
            let rows = old.into_iter().zip(permissions);
            let revoked = rows.filter(|(_, permission)| *permission == Permission::Deny);
            let revoked = revoked.map(|((key, ..), _)| key).collect();
            Judged { rights, record, version, filtered, revoked }
        })
    }

    /// Puts a judgement in force, unless it is out of date: then the session is judged again when it is next pulled.
    pub(crate) fn settle(self: &Arc<Self>, record: &Arc<Record>, client: &Arc<Client>, judged: Judged) {
        let turn = record.interrupt();
        let mut state = record.lock();
        let same = state.client.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, client));
        if state.ended || !same || judged.rights < record.rights() {
            return;
        }
        state.set_judging(UNJUDGED);
        // Another session may have come in the place of the one that was looked at.
        let looked_at = std::ptr::eq(judged.record.as_ptr(), Arc::as_ptr(record)) || state.version == 0;
        let complete = looked_at && state.version == judged.version;
        state.filtered = judged.filtered || (state.filtered && !complete);
        drop(state);
        let lost =
            if judged.revoked.is_empty() { Vec::new() } else { self.revoke(record, client, judged.revoked) };
        if complete {
            record.set_rights(judged.rights);
        }
        drop(turn);
        for queued in lost {
            match queued.group {
                Some(_) => self.owe_anew(record, queued),
                None => self.lost(record, &queued, Reason::NotAuthorized),
            }
        }
        record.lock().nudge();
    }

    /// Ends subscriptions, and takes out what waits because of them alone; returns it.
    fn revoke(self: &Arc<Self>, record: &Arc<Record>, client: &Arc<Client>, keys: Vec<Key>) -> Vec<Queued> {
        for key in keys {
            if let Some(gone) = self.unsubscribe(record, &key) {
                let client = client.clone();
                self.emit(|| BrokerEvent::Unsubscribed { client, filter: gone.filter });
            }
        }
        let mut lost = Vec::new();
        let mut state = record.lock();
        // Whatever was routed before this moment, and is not queued yet, is routed again.
        state.revoked_at = self.router.epoch();
        let mut left = Left::of(record, state.subscriptions.iter());
        if let Some(inflight) = &mut state.inflight {
            inflight.retain(&mut |queued| {
                let keep = left.keep(queued);
                // An exactly-once message that this client may have seen goes to nobody else [MQTT-4.8.2-5].
                let group = queued.group.clone().filter(|_| queued.qos < Qos::ExactlyOnce);
                lost.extend((!keep).then(|| Queued { group, ..queued.clone() }));
                keep
            });
        }
        if let Some(queue) = &mut state.queue {
            queue.retain(&mut |queued| {
                let keep = left.keep(queued);
                lost.extend((!keep).then(|| queued.clone()));
                keep
            });
        }
        lost
    }

    /// Owes a message to a session from which a subscription was taken away since it was routed. What came through a
    /// share group goes to any of its members.
    pub(crate) fn owe_anew(&self, record: &Arc<Record>, queued: Queued) {
        let routes = self.router.routes(&queued.message.topic);
        if let Some(filter) = &queued.group {
            let group = routes.groups.iter().find(|group| group.filter == *filter);
            return match group.and_then(|group| group.choose(&queued.message, None, &self.config)) {
                Some(member) => {
                    self.owe(member.record, passed_on(queued.clone(), &member), routes.epoch);
                }
                None => self.lost(record, &queued, Reason::NotAuthorized),
            };
        }
        let own = queued.message.origin == record.id;
        let target = routes.targets.iter().find(|target| Arc::ptr_eq(&target.record, record));
        if let Some(hit) = target.and_then(|target| target.hit(&queued.message, own)) {
            let (matched, qos) = (hit.matched.clone(), hit.qos.min(queued.message.qos));
            self.owe(record, Queued { matched, qos, ..queued.clone() }, routes.epoch);
        }
    }

    /// Whether the publisher of a retained message may still publish it, as far as that is to be known. An answer that
    /// takes time cannot be waited for here.
    pub(crate) fn is_rightful(self: &Arc<Self>, found: &Found) -> bool {
        let Found { message, publisher } = found;
        let Some(publisher) = publisher else { return true };
        let access = Access::Publish { topic: &message.topic, qos: message.qos, retain: true };
        let allowed = |answer| matches!(answer, Answer::Now(Permission::Allow | Permission::AllowFiltered));
        self.hooks.authenticator.still_valid(publisher) && allowed(self.authorize(publisher, access))
    }

    /// Closes a client that would not be let in any more, and ends its session; its will is not published.
    fn dismiss(self: &Arc<Self>, record: &Arc<Record>, client: &Arc<Client>, now: Instant) {
        let turn = record.interrupt();
        let mut state = record.lock();
        let same = state.client.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, client));
        if state.ended || !same {
            return;
        }
        state.set_will(None);
        state.set_expiry(SessionExpiry::AtOnce);
        state.dismissed = true;
        if state.is_held() {
            drop((state, turn));
            record.evict(Reason::NotAuthorized);
            return;
        }
        self.timers.cancel(&state.take_timers());
        record.end(&mut state);
        drop((state, turn));
        self.remove(record, now);
    }
}

/// The subscriptions that a session has left, to be searched by topic.
struct Left {
    router: Router,
    groups: Vec<Filter>,
    /// What a topic matches.
    known: HashMap<Topic, Routes>,
}

/// How many topics are remembered while a queue is gone through.
const TOPICS: usize = 1_000;

impl Left {
    fn of<'a>(record: &Arc<Record>, subscriptions: impl Iterator<Item = &'a Subscription>) -> Self {
        let (router, mut groups) = (Router::default(), Vec::new());
        for subscription in subscriptions {
            match subscription.filter.group() {
                Some(group) => groups.push(group),
                None => router.insert(&subscription.filter, Entry::of(record, subscription), None),
            }
        }
        Self { router, groups, known: HashMap::new() }
    }

    /// Whether the message still belongs to the session; it does through fewer subscriptions, perhaps.
    fn keep(&mut self, queued: &mut Queued) -> bool {
        if let Some(group) = &queued.group {
            return self.groups.contains(group);
        }
        let topic = &queued.message.topic;
        if self.known.len() >= TOPICS && !self.known.contains_key(topic) {
            self.known.clear();
        }
        let routes = self.known.entry(topic.clone()).or_insert_with(|| self.router.routes(topic));
        let hit = routes.targets.first().and_then(|target| target.hit(&queued.message, false));
        let mut left = hit.map(|hit| hit.matched.as_slice().to_vec()).unwrap_or_default();
        let before = queued.matched.as_slice();
        let matched = before.iter().copied().filter(|id| {
            let at = left.iter().position(|left| left == id);
            at.map(|at| left.swap_remove(at)).is_some()
        });
        let matched: Vec<_> = matched.collect();
        if matched.is_empty() {
            return false;
        }
        if matched.len() < before.len() {
            queued.matched = Matched::from(matched);
        }
        true
    }
}
