use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bus::{Filter, Message, Precondition, Publish, Reason, Will};

use crate::access::{Access, Client, Interceptor, Permission};
use crate::announce::is_system;
use crate::broker::Shared;
use crate::delayed::When;
use crate::priority::Priority;
use crate::queue::Queued;
use crate::record::Record;
use crate::retained::Found;
use crate::router::{Last, Routes};
use crate::share::{Choice, Fit};
use crate::target::Hit;
use crate::{Answer, BrokerEvent};

/// How many members of a share group may turn out not to be allowed a message.
const TRIES: u8 = 8;

impl Shared {
    /// Whether the client may publish this, and what the interceptors make of it. `allowed`: an earlier
    /// decision of the authorizer still holds.
    pub(crate) fn review(
        self: &Arc<Self>,
        client: &Arc<Client>,
        publish: Publish,
        allowed: bool,
    ) -> Answer<Result<Publish, Reason>> {
        if allowed && self.hooks.interceptors.is_empty() {
            return Answer::Now(Ok(publish));
        }
        let permission = match allowed {
            true => Answer::Now(Ok(Permission::Allow)),
            false => self.permit(client, publish_access(&publish)),
        };
        if self.hooks.interceptors.is_empty() {
            return permission.map(|permission| permission.map(|_| publish));
        }
        let (shared, client) = (self.clone(), client.clone());
        permission.then(move |permission| match permission {
            Ok(_) => shared.intercept(0, client, publish, Interceptor::publish),
            Err(reason) => Answer::Now(Err(reason)),
        })
    }

    /// Retains and routes a reviewed publish. Returns how many sessions and groups matched.
    ///
    /// `routes` holds what the publisher's last topic matched, and is renewed when stale.
    pub(crate) fn route(
        &self,
        client: &Arc<Client>,
        origin: Option<&Arc<Record>>,
        publish: Publish,
        routes: &mut Last,
        now: Instant,
    ) -> Result<usize, Reason> {
        self.check(&publish)?;
        let message = self.take(client, publish, now);
        if message.retain {
            self.retained.set(&message, client, &self.config)?;
        }
        Ok(self.distribute(&message, origin, routes))
    }

    /// Retains and routes a reviewed publish if its precondition is true of what is retained; `None` if it is not.
    pub(crate) fn route_if(
        self: &Arc<Self>,
        client: &Arc<Client>,
        origin: &Arc<Record>,
        publish: Publish,
        precondition: &dyn Precondition,
        now: Instant,
    ) -> Result<Option<usize>, Reason> {
        self.check(&publish)?;
        // As for who reads: what its publisher may not publish any more is not there.
        let wrong = self.retained.read(&publish.topic, now).filter(|found| !self.is_rightful(found));
        let is_wrong =
            |found: &Found| wrong.as_ref().is_some_and(|it| Arc::ptr_eq(&it.message, &found.message));
        let message = Arc::new(self.message(client, publish, now));
        let holds = |found: Option<&Found>| {
            precondition.holds(found.filter(|found| !is_wrong(found)).map(|found| &*found.message))
        };
        if !self.retained.set_if(&message, client, &self.config, holds)? {
            return Ok(None);
        }
        self.counters.wire.publish(message.qos, 1, message.payload.len());
        Ok(Some(self.distribute(&message, Some(origin), &mut Last::default())))
    }

    /// Retains and routes several reviewed publishes, or keeps them until they are due, or none of all that. Returns
    /// how many sessions and groups matched; what is due later counts as one.
    pub(crate) fn route_all(
        &self,
        client: &Arc<Client>,
        origin: Option<&Arc<Record>>,
        publishes: Vec<(When, Publish)>,
        now: Instant,
    ) -> Result<usize, Reason> {
        publishes.iter().try_for_each(|(_, publish)| self.check(publish))?;
        let (mut messages, mut later) = (Vec::new(), Vec::new());
        for (when, publish) in publishes {
            match when {
                When::Now => messages.push(self.take(client, publish, now)),
                When::At(at) => later.push((at, self.waiting(client, origin, publish, now))),
            }
        }
        let retain = || {
            let retained = messages.iter().filter(|message| message.retain);
            self.retained.set_all(retained, client, &self.config)
        };
        let kept = later.len();
        match later.is_empty() {
            true => retain()?,
            false => self.delayed.keep(client, later, &self.config.delayed, retain)?,
        }
        let mut routes = Last::default();
        let matched: usize =
            messages.iter().map(|message| self.distribute(message, origin, &mut routes)).sum();
        Ok(matched + kept)
    }

    /// Retains and routes what was taken and counted before.
    pub(crate) fn route_uncounted(
        &self,
        client: &Arc<Client>,
        origin: Option<&Arc<Record>>,
        publish: Publish,
        now: Instant,
    ) -> Result<(), Reason> {
        let message = Arc::new(self.message(client, publish, now));
        if message.retain {
            self.retained.set(&message, client, &self.config)?;
        }
        self.distribute(&message, origin, &mut Last::default());
        Ok(())
    }

    /// Whether the configuration allows it, as a message or as a will.
    pub(crate) fn check(&self, publish: &Publish) -> Result<(), Reason> {
        if is_system(&publish.topic) {
            return Err(Reason::NotAuthorized); // whatever a hook has made of the topic
        }
        if publish.qos > self.config.max_qos() {
            return Err(Reason::QosNotSupported); // [MQTT-3.2.2-12]
        }
        if publish.retain && !self.config.retain {
            return Err(Reason::RetainNotSupported); // [MQTT-3.2.2-13]
        }
        Ok(())
    }

    /// Counts a publish and makes it a message.
    fn take(&self, client: &Client, publish: Publish, now: Instant) -> Arc<Message> {
        self.counters.wire.publish(publish.qos, 1, publish.payload.len());
        Arc::new(self.message(client, publish, now))
    }

    fn distribute(&self, message: &Arc<Message>, origin: Option<&Arc<Record>>, routes: &mut Last) -> usize {
        let found = self.router.find(&message.topic, routes);
        self.hand_out_counted(message, &found, origin)
    }

    /// The same as [`Shared::hand_out`], for a message of which it is to be known if it matched nothing.
    pub(crate) fn hand_out_counted(
        &self,
        message: &Arc<Message>,
        routes: &Routes,
        origin: Option<&Arc<Record>>,
    ) -> usize {
        let matched = self.hand_out(message, routes, origin);
        if matched == 0 {
            self.counters.unrouted.fetch_add(1, Ordering::Relaxed);
        }
        matched
    }

    pub(crate) fn hand_out(
        &self,
        message: &Arc<Message>,
        routes: &Routes,
        origin: Option<&Arc<Record>>,
    ) -> usize {
        let mut matched = 0;
        let priority = self.priorities.of(&message.topic);
        for target in &routes.targets {
            let own = origin.is_some_and(|origin| Arc::ptr_eq(origin, &target.record));
            match target.hit(message, own) {
                Some(hit) => {
                    matched += 1;
                    self.owe(&target.record, queued(message, &hit, priority), routes.epoch);
                }
                None if target.is_judged() => self.counters.filter(),
                None => {}
            }
        }
        for group in &routes.groups {
            match group.choose(message, None, &self.config) {
                Some(member) => {
                    matched += 1;
                    let queued = Queued {
                        group: Some(group.filter.clone()),
                        ..queued(message, &member.hit, priority)
                    };
                    self.owe(member.record, queued, routes.epoch);
                }
                // A group has a member, so it is their conditions.
                None => self.counters.filter(),
            }
        }
        matched
    }

    /// Passes a message that came through a share group on to another member; if there is none, it waits for
    /// the one that gave it back.
    pub(crate) fn redispatch(&self, queued: Queued, from: &Arc<Record>) {
        let routes = self.router.routes(&queued.message.topic);
        let group = routes.groups.iter().find(|group| Some(&group.filter) == queued.group.as_ref());
        match group.and_then(|group| group.choose(&queued.message, Some(from), &self.config)) {
            Some(member) if member.fit > Fit::Full || from.lock().ended => {
                self.owe(member.record, passed_on(queued.clone(), &member), routes.epoch);
            }
            _ => self.owe(from, queued, routes.epoch),
        }
    }

    /// Passes a message that a member of a share group may not receive on to another one, or gives it back: nobody
    /// else can take it, or too many may not receive it either.
    pub(crate) fn pass_over(&self, mut queued: Queued, from: &Arc<Record>) -> Option<Queued> {
        if queued.group.is_none() || queued.passed_over >= TRIES {
            return Some(queued);
        }
        queued.passed_over += 1;
        let routes = self.router.routes(&queued.message.topic);
        let group = routes.groups.iter().find(|group| Some(&group.filter) == queued.group.as_ref());
        match group.and_then(|group| group.choose(&queued.message, Some(from), &self.config)) {
            Some(member) if member.fit > Fit::Full => {
                self.owe(member.record, passed_on(queued, &member), routes.epoch);
                None
            }
            _ => Some(queued),
        }
    }

    /// Passes on what waits in share groups for a client that is away, as far as another member is there for it. The
    /// caller holds the session's turn.
    pub(crate) fn pass_on(&self, from: &Arc<Record>) {
        let state = from.lock();
        let begun = state.inflight.iter().flat_map(|inflight| inflight.shared());
        let waiting: Vec<_> = begun.chain(state.queue().shared()).cloned().collect();
        drop(state);
        // The messages themselves are kept for as long as their addresses tell them apart.
        let mut gone = HashMap::new();
        // Groups whose members are all away or full: they are not asked for each message.
        let mut busy = HashSet::new();
        let mut last = Last::default();
        for queued in waiting {
            if queued.group.as_ref().is_some_and(|group| busy.contains(group)) {
                continue;
            }
            let routes = self.router.find(&queued.message.topic, &mut last);
            let group = routes.groups.iter().find(|group| Some(&group.filter) == queued.group.as_ref());
            let member = group.and_then(|group| group.choose(&queued.message, Some(from), &self.config));
            match member {
                Some(member) if member.fit == Fit::Ready => {
                    gone.insert(identity(&queued), queued.message.clone());
                    self.owe(member.record, passed_on(queued, &member), routes.epoch);
                }
                Some(_) => busy.extend(queued.group),
                None => {}
            }
        }
        if !gone.is_empty() {
            let mut state = from.lock();
            if let Some(inflight) = &mut state.inflight {
                inflight.remove(|queued| gone.contains_key(&identity(queued)));
            }
            if let Some(queue) = &mut state.queue {
                queue.remove(|queued| gone.contains_key(&identity(queued)));
            }
        }
    }

    pub(crate) fn publish_will(self: &Arc<Self>, will: Will, client: Arc<Client>, now: Instant) {
        if !self.hooks.authenticator.still_valid(&client) {
            return self.counters.drop_message(Reason::NotAuthorized);
        }
        let (when, publish) = match self.aim(will.publish, now) {
            Ok(aimed) => aimed,
            Err(reason) => return self.counters.drop_message(reason),
        };
        let shared = self.clone();
        let work = self.permit(&client, publish_access(&publish)).then(move |permission| {
            if permission.is_err() {
                return Answer::Now(());
            }
            shared.review(&client, publish, true).map(move |reviewed| {
                let published =
                    reviewed.and_then(|publish| shared.route_all(&client, None, vec![(when, publish)], now));
                if let Err(reason) = published {
                    shared.counters.drop_message(reason);
                }
            })
        });
        self.defer(work);
    }

    pub(crate) fn lost(&self, record: &Record, queued: &Queued, reason: Reason) {
        self.counters.drop_message(reason);
        self.emit(|| BrokerEvent::Dropped {
            client_id: record.id.clone(),
            topic: queued.message.topic.clone(),
            reason,
        });
    }

    pub(crate) fn owe(&self, record: &Arc<Record>, queued: Queued, epoch: u64) {
        let now = queued.message.published;
        match record.push(queued, epoch, &self.config) {
            Ok(lost) => self.lose(record, lost, now),
            Err(queued) => self.owe_anew(record, *queued),
        }
    }

    /// Tells of what had to go at `now` because a queue was full.
    pub(crate) fn lose(&self, record: &Record, lost: Vec<Queued>, now: Instant) {
        for lost in lost {
            let expired = lost.message.is_expired(now);
            self.lost(record, &lost, if expired { Reason::MessageExpired } else { Reason::QueueFull });
        }
    }

    pub(crate) fn message(&self, client: &Client, publish: Publish, now: Instant) -> Message {
        let Publish { topic, payload, qos, retain, expiry, metadata, once: _ } = publish;
        let expiry = self.config.message_expiry(expiry);
        Message {
            topic,
            payload,
            qos,
            retain,
            published: now,
            expires: expiry.and_then(|expiry| now.checked_add(expiry)),
            metadata,
            origin: client.id.clone(),
        }
    }
}

/// The right that a publish needs.
pub(crate) fn publish_access(publish: &Publish) -> Access<'_> {
    Access::Publish { topic: &publish.topic, qos: publish.qos, retain: publish.retain }
}

/// The same message for another member of its group.
pub(crate) fn passed_on(queued: Queued, member: &Choice<'_>) -> Queued {
    let matched = member.hit.matched.clone();
    let retain = queued.message.retain && member.hit.retain_as_published;
    Queued { matched, retain, qos: member.hit.qos.min(queued.message.qos), ..queued }
}

/// Which message through which group.
fn identity(queued: &Queued) -> (usize, Option<Filter>) {
    (Arc::as_ptr(&queued.message).addr(), queued.group.clone())
}

/// What a session is owed that was hit so.
pub(crate) fn queued(message: &Arc<Message>, hit: &Hit, priority: Priority) -> Queued {
    Queued {
        message: message.clone(),
        matched: hit.matched.clone(),
        qos: hit.qos.min(message.qos),
        retain: message.retain && hit.retain_as_published,
        duplicate: false,
        priority,
        passed_over: 0,
        group: None,
    }
}
