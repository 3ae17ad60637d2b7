use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bus::{Address, ClientId, Connect, Connected, EnhancedAuthentication, Peer, Reason};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use tracing::debug;

use crate::access::{Attempt, Authentication, Client, Exchange, Hooks, Identity, Permission};
use crate::announce::server;
use crate::delayed::{Delayed, bare};
use crate::exclusive::Exclusive;
use crate::mount::check_mountpoint;
use crate::priority::Priorities;
use crate::publish::publish_access;
use crate::record::{Named, OwnedWill, Record, State};
use crate::retained::Retained;
use crate::rights::{Judged, Rights};
use crate::router::Router;
use crate::session::Session;
use crate::share::Strategies;
use crate::stats::{Counters, Stats};
use crate::timers::{Due, Timers};
use crate::{Answer, BrokerEvent, Config, Later, Observer};

/// The one place where clients are let in and messages change hands. Cloning it is cheap and shares it.
#[derive(Clone)]
pub struct Broker(pub(crate) Arc<Shared>);

/// What [`Broker::connect`] came to.
pub enum Opened {
    /// The session is open.
    Session(Box<Session>, Box<Connected>),
    /// The client must take another step first.
    Challenge(EnhancedAuthentication, Box<Underway>),
}

/// An enhanced authentication of a client that is not let in yet.
pub struct Underway {
    shared: Arc<Shared>,
    exchange: Box<dyn Exchange>,
    connect: Connect,
    attempt: Attempt,
    /// The number of the rights under which it began.
    rights: u64,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) hooks: Hooks,
    pub(crate) router: Router,
    pub(crate) exclusive: Exclusive,
    pub(crate) delayed: Delayed,
    pub(crate) priorities: Priorities,
    pub(crate) retained: Retained,
    pub(crate) counters: Counters,
    /// Whose messages [`Broker::announce`] publishes.
    pub(crate) server: Arc<Client>,
    pub(crate) sessions: DashMap<Named, ()>,
    pub(crate) rights: Rights,
    pub(crate) timers: Timers,
    observers: Vec<Arc<dyn Observer>>,
    /// Work that has to wait for a hook's answer and that nobody else waits for.
    deferred: Mutex<Vec<Later<()>>>,
    assigned: AtomicU64,
    draining: AtomicBool,
    /// The time, as far as it is known where nobody says it.
    pub(crate) last_tick: Mutex<Option<Instant>>,
    last_sweep: Mutex<Option<Instant>>,
}

/// What a client is given of its record.
struct Attached {
    record: Arc<Record>,
    epoch: u64,
    /// The will that an earlier connection left.
    old_will: Option<Box<OwnedWill>>,
    /// The session that ended for this one.
    replaced: Option<Arc<Record>>,
    /// Whether an earlier session goes on.
    resumed: bool,
}

/// How often expired retained messages are looked for; a reader never sees one all the same.
const SWEEP: Duration = Duration::from_secs(60);

impl Broker {
    /// An empty broker.
    pub fn new(config: Config, hooks: Hooks, observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(Arc::new(Shared {
            hooks,
            observers,
            router: Router::new(Strategies::new(&config)),
            exclusive: Exclusive::default(),
            delayed: Delayed::default(),
            priorities: Priorities::new(&config.priorities),
            retained: Retained::default(),
            counters: Counters::default(),
            server: server(),
            sessions: DashMap::new(),
            rights: Rights::default(),
            timers: Timers::default(),
            deferred: Mutex::default(),
            assigned: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            last_tick: Mutex::new(None),
            last_sweep: Mutex::new(None),
            config,
        }))
    }

    /// Authenticates a client and opens or resumes its session.
    pub fn connect(
        &self,
        connect: Connect,
        peer: impl Into<Arc<Peer>>,
        now: Instant,
    ) -> Answer<Result<Opened, Reason>> {
        let mut peer: Arc<Peer> = peer.into();
        if let Some(proved) = &connect.credentials.proved {
            Arc::make_mut(&mut peer).link.secured = Some(proved.clone());
        }
        let attempt = Attempt {
            client_id: connect.client_id.clone(),
            credentials: connect.credentials.clone(),
            user_properties: connect.user_properties.as_slice().into(),
            peer,
            protocol: connect.protocol,
        };
        if self.0.draining.load(Ordering::Relaxed) {
            return Answer::Now(Err(self.0.refuse(&attempt, Reason::ShuttingDown, now)));
        }
        let (shared, rights) = (self.0.clone(), self.0.rights.number());
        let judgement = self.0.hooks.authenticator.authenticate(&attempt);
        judgement.then(move |judgement| shared.judge(judgement, connect, attempt, rights, now))
    }

    /// Does what is due: delayed wills and messages, ends of sessions, expired retained messages, and part of what
    /// [`Broker::reconsider`] began. To be called at the returned time, and at least once a second. The work that is
    /// returned waits for hooks; run it.
    pub fn tick(&self, now: Instant) -> (Option<Instant>, Vec<Later<()>>) {
        *self.0.last_tick.lock() = Some(now);
        for timer in self.0.timers.take_due(now) {
            if timer.what == Due::End {
                self.0.counters.expired.fetch_add(1, Ordering::Relaxed);
            }
            self.0.due(timer, now);
        }
        let busy = self.0.reconsider_some(now);
        let mut last = self.0.last_sweep.lock();
        if now.saturating_duration_since(*last.get_or_insert(now)) >= SWEEP {
            *last = Some(now);
            self.0.retained.sweep(now);
        }
        drop(last);
        let delayed = self.0.publish_due(now);
        let next = if busy { Some(now) } else { self.0.timers.next().into_iter().chain(delayed).min() };
        (next, std::mem::take(&mut *self.0.deferred.lock()))
    }

    /// Counts a connection that ended, session or not.
    pub fn count_close(&self, protocol: &'static str, reason: Reason) {
        self.0.counters.close(protocol, reason);
    }

    /// Counts a connection that was refused, before it began or when it wanted a session.
    pub fn count_refusal(&self, protocol: &'static str, reason: Reason) {
        self.0.counters.refuse(protocol, reason);
    }

    /// Counts a publisher that was not listened to for a while, because it sent more than it may.
    pub fn count_pause(&self) {
        self.0.counters.paused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that its protocol could not carry.
    pub fn count_drop(&self, reason: Reason) {
        self.0.counters.drop_message(reason);
    }

    /// Whether a peer at this address may say anything at all.
    pub fn admits(&self, address: Address) -> bool {
        self.0.hooks.authenticator.admits(address)
    }

    /// Closes the connection of one client; false if it has none.
    pub fn kick(&self, client_id: &ClientId, reason: Reason) -> bool {
        let record = self.0.record(client_id);
        record.is_some_and(|record| record.evict(reason))
    }

    /// Lets nobody in any more, and closes every connection.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
        let records: Vec<_> = self.0.sessions.iter().map(|entry| entry.key().0.clone()).collect();
        for record in records {
            record.evict(Reason::ShuttingDown);
        }
    }

    /// What the broker has done and holds.
    pub fn stats(&self) -> Stats {
        self.0.counters.snapshot(self.0.retained.usage(), self.0.delayed.usage())
    }
}

impl Underway {
    /// Goes on with the client's next step.
    pub fn proceed(self, step: EnhancedAuthentication, now: Instant) -> Answer<Result<Opened, Reason>> {
        let Self { shared, exchange, connect, attempt, rights } = self;
        exchange.proceed(step).then(move |judgement| shared.judge(judgement, connect, attempt, rights, now))
    }
}

impl Shared {
    fn judge(
        self: Arc<Self>,
        judgement: Authentication,
        connect: Connect,
        attempt: Attempt,
        rights: u64,
        now: Instant,
    ) -> Answer<Result<Opened, Reason>> {
        match judgement {
            Authentication::Accept(identity) => self.admit(identity, connect, attempt, rights, now),
            Authentication::Challenge(step, exchange) => {
                let underway = Underway { shared: self, exchange, connect, attempt, rights };
                Answer::Now(Ok(Opened::Challenge(step, Box::new(underway))))
            }
            Authentication::Refuse(reason) => Answer::Now(Err(self.refuse(&attempt, reason, now))),
        }
    }

    /// The client is who it says: asks whether its will and its old subscriptions are still allowed.
    fn admit(
        self: Arc<Self>,
        mut identity: Identity,
        mut connect: Connect,
        attempt: Attempt,
        rights: u64,
        now: Instant,
    ) -> Answer<Result<Opened, Reason>> {
        identity.mountpoint = match check_mountpoint(identity.mountpoint) {
            Ok(mountpoint) => mountpoint,
            Err(reason) => return Answer::Now(Err(self.refuse(&attempt, reason, now))),
        };
        let id = identity.client_id.as_deref().cloned().or_else(|| connect.client_id.clone());
        let id = id.unwrap_or_else(|| self.assign(attempt.peer.seed));
        let client =
            Arc::new(Client { id, identity, peer: attempt.peer.clone(), protocol: attempt.protocol });
        let meant = connect.will.take().map(|will| self.meant_will(&client, will)).transpose();
        connect.will = match meant {
            Ok(will) => will,
            Err(reason) => return Answer::Now(Err(self.refuse(&attempt, reason, now))),
        };
        let bare = connect.will.as_ref().map(|will| bare(&will.publish)).transpose();
        let fit = bare.and_then(|will| will.map(|will| self.check(&will).map(|()| will)).transpose());
        let will = match fit {
            Ok(will) => will.map(|will| self.authorize(&client, publish_access(&will))),
            Err(reason) => return Answer::Now(Err(self.refuse(&attempt, reason, now))),
        };
        let will = will.unwrap_or(Answer::Now(Permission::Allow));
        let old = match connect.clean_start {
            true => None,
            false => self.record(&client.id),
        };
        let judged = self.judge_subscriptions(&client, old.as_ref(), rights);
        will.then(move |will| {
            if will == Permission::Deny {
                if let Some(will) = &connect.will {
                    let (client, on) = (client.clone(), will.publish.topic.as_str().into());
                    self.emit(|| BrokerEvent::Denied { client, action: "will", on });
                }
                return Answer::Now(Err(self.refuse(&attempt, Reason::NotAuthorized, now)));
            }
            let (takes_unasked, shared) = (connect.takes_unasked, self.clone());
            let opened = judged.map(move |judged| self.open(connect, &attempt, client, judged, now));
            opened.then(move |opened| shared.auto_subscribe(opened, takes_unasked, now))
        })
    }

    fn open(
        self: Arc<Self>,
        connect: Connect,
        attempt: &Attempt,
        client: Arc<Client>,
        judged: Judged,
        now: Instant,
    ) -> Result<Opened, Reason> {
        let expiry = self.config.session_expiry(connect.session_expiry);
        let window = connect.receive_maximum.min(self.config.max_inflight);
        let assigned = connect.client_id.is_none();
        let rights = judged.rights;
        let attached = self.attach(&client, connect.clean_start, window, |state| {
            state.set_expiry(expiry);
            state.set_keep_alive(connect.keep_alive);
            (state.client, state.since) = (Some(client.clone()), Some(now));
            state.set_will(connect.will.map(|will| Box::new((will, client.clone()))))
        });
        let attached = attached.map_err(|reason| self.refuse(attempt, reason, now))?;
        let Attached { record, epoch, old_will, replaced, resumed: session_present } = attached;
        self.settle(&record, &client, judged);
        if let Some(replaced) = replaced {
            self.forget(&replaced, now);
        }
        // The connection that was taken over ends with its session or without a delay: its will is due
        // [MQTT-3.1.4-3], [MQTT-3.1.2-8].
        if let Some((will, owner)) =
            old_will.map(|owned| *owned).filter(|(will, _)| will.delay.is_zero() || !session_present)
        {
            self.publish_will(will, owner, now);
        }
        if self.draining.load(Ordering::SeqCst) {
            record.evict(Reason::ShuttingDown);
        }
        self.counters.opened.fetch_add(1, Ordering::Relaxed);
        self.emit(|| BrokerEvent::Connected {
            client: client.clone(),
            session_present,
            clean_start: connect.clean_start,
            session_expiry: expiry,
            keep_alive: connect.keep_alive,
            at: now,
        });
        let connected = Connected {
            client_id: client.id.clone(),
            assigned,
            session_present,
            session_expiry: expiry,
            maximum_qos: self.config.max_qos(),
            retain_available: self.config.retain,
            shared_subscriptions_available: self.config.shared_subscriptions,
            authentication: client.identity.completion.as_deref().cloned(),
        };
        let session = Session::new(self, record, client, epoch, rights);
        Ok(Opened::Session(Box::new(session), Box::new(connected)))
    }

    /// Finds or makes the client's record and gives it to the new connection.
    fn attach(
        &self,
        client: &Arc<Client>,
        clean_start: bool,
        window: u16,
        prepare: impl FnOnce(&mut State) -> Option<Box<OwnedWill>>,
    ) -> Result<Attached, Reason> {
        let full = self.sessions.len() >= self.config.max_sessions;
        let hold = |record: &Record, state: &mut State| {
            self.timers.cancel(&state.take_timers());
            self.counters.connections.fetch_add(1, Ordering::Relaxed);
            record.attach(state, window)
        };
        let record = Arc::new(Record::new(client.id.clone()));
        match self.sessions.entry(Named(record.clone())) {
            Entry::Vacant(_) if full => Err(Reason::QuotaExceeded),
            Entry::Vacant(entry) => {
                self.counters.sessions.fetch_add(1, Ordering::Relaxed);
                let mut state = record.lock();
                let old_will = prepare(&mut state);
                let epoch = hold(&record, &mut state);
                drop(state);
                entry.insert(());
                Ok(Attached { record, epoch, old_will, replaced: None, resumed: false })
            }
            Entry::Occupied(entry) => {
                let old = entry.key().0.clone();
                let turn = old.interrupt();
                let mut state = old.lock();
                if self.config.bind_sessions && !state.may_pass_to(client) {
                    debug!(client_id = %client.id, "The session is another user's; see broker.bind_sessions.");
                    return Err(Reason::NotAuthorized);
                }
                if state.is_held() {
                    self.counters.connections.fetch_sub(1, Ordering::Relaxed);
                }
                if !clean_start && state.goes_on_for(client) {
                    let old_will = prepare(&mut state);
                    let epoch = hold(&old, &mut state);
                    drop((state, turn));
                    return Ok(Attached { record: old, epoch, old_will, replaced: None, resumed: true });
                }
                let old_will = state.set_will(None);
                // A session that ended of itself is forgotten by whoever saw to that, and its place is free.
                let over = std::mem::replace(&mut state.ended, true);
                self.counters.sessions.fetch_add(u64::from(over), Ordering::Relaxed);
                self.timers.cancel(&state.take_timers());
                old.end(&mut state);
                drop((state, turn));
                let mut state = record.lock();
                prepare(&mut state);
                let epoch = hold(&record, &mut state);
                drop(state);
                entry.replace_entry(());
                Ok(Attached { record, epoch, old_will, replaced: (!over).then_some(old), resumed: false })
            }
        }
    }

    pub(crate) fn defer(&self, work: Answer<()>) {
        if let Answer::Later(work) = work {
            self.deferred.lock().push(work);
        }
    }

    pub(crate) fn emit(&self, event: impl FnOnce() -> BrokerEvent) {
        if self.observers.is_empty() {
            return;
        }
        let event = event();
        for observer in &self.observers {
            observer.observe(&event);
        }
    }

    pub(crate) fn record(&self, id: &ClientId) -> Option<Arc<Record>> {
        self.sessions.get(id).map(|entry| entry.key().0.clone())
    }

    pub(crate) fn each_record(&self, mut look: impl FnMut(&Record)) {
        self.sessions.iter().for_each(|entry| look(&entry.key().0));
    }

    fn refuse(&self, attempt: &Attempt, reason: Reason, now: Instant) -> Reason {
        self.emit(|| BrokerEvent::Refused {
            client_id: attempt.client_id.clone(),
            username: attempt.credentials.username.clone(),
            address: attempt.peer.address,
            listener: attempt.peer.listener.clone(),
            carrier: attempt.peer.link.carrier,
            protocol: attempt.protocol,
            reason,
            at: now,
        });
        reason
    }

    /// A client id nobody else has, and that nobody can guess.
    fn assign(&self, seed: u64) -> ClientId {
        let number = self.assigned.fetch_add(1, Ordering::Relaxed);
        ClientId::parse(&format!("auto-{seed:016x}-{number:x}")).expect("neither empty nor long")
    }
}
