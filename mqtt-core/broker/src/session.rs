mod delivering;
mod run;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bus::{
    ConditionalPublish, Credentials, Disconnect, EnhancedAuthentication, Filter, Publish, Qos, Reason, Reply,
    RetainHandling, Right, Subscription, Topic, Unsubscribe, Will,
};

use crate::access::{Access, Attempt, Authentication, Client, Exchange, Identity, Interceptor, Permission};
use crate::broker::Shared;
use crate::condition::Condition;
use crate::config::Config;
use crate::delayed::{bare, is_delayed};
use crate::entries::Entry;
use crate::mount::unmounted;
use crate::publish::publish_access;
use crate::record::Record;
use crate::replay::Run;
use crate::rights::UNJUDGED;
use crate::router::Last;
use crate::screen::Seen;
use crate::subscriptions::Key;
use crate::{Answer, BrokerEvent, Course};

pub use run::Settled;

/// An open session, as the connection that holds it sees it: the only way to publish, subscribe and receive.
pub struct Session {
    shared: Arc<Shared>,
    record: Arc<Record>,
    client: Arc<Client>,
    epoch: u64,
    /// The number of the rights under which the client was last found to be let in.
    rights: u64,
    /// Whoever never published has none.
    memory: Option<Box<Memory>>,
    /// What it was found that the client may receive.
    seen: Option<Box<Seen>>,
    open: bool,
}

/// What few sessions remember: the last publish, since the next is likely to be like it, and at the end how the
/// connection went.
#[derive(Default)]
struct Memory {
    /// What its topic matched.
    routes: Last,
    /// What the authorizer allowed, and when that was: its epoch, and the number of the rights.
    allowed: Option<(Topic, Qos, bool, (u64, u64))>,
    course: Option<Box<Course>>,
    /// The waker that the last pull gave the record.
    waker: usize,
}

/// What becomes of a subscription that the session has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Replace,
    Keep,
}

/// A subscription that is allowed.
struct Reviewed {
    subscription: Subscription,
    /// On the condition that each message is judged.
    filtered: bool,
}

/// What a step of a re-authentication came to.
pub enum Reauthentication {
    /// The client must take another step.
    Challenge(EnhancedAuthentication, Box<dyn Exchange>),
    /// The client is still who it was.
    Done(Option<EnhancedAuthentication>),
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        record: Arc<Record>,
        client: Arc<Client>,
        epoch: u64,
        rights: u64,
    ) -> Self {
        Self { shared, record, client, epoch, rights, memory: None, seen: None, open: true }
    }

    /// Publishes: authorizes, intercepts, retains, routes.
    pub fn publish(&mut self, mut publish: Publish, now: Instant) -> Answer<Result<Reply, Reason>> {
        if let Err(reason) = self.check(now) {
            return Answer::Now(Err(reason));
        }
        if let Err(reason) = self.shared.interpret(&self.client, &mut publish) {
            return Answer::Now(Err(reason));
        }
        if is_delayed(&publish.topic) {
            return self.publish_later(publish, now);
        }
        let rights = (self.shared.hooks.authorizer.epoch(), self.rights);
        let memory = self.memory.get_or_insert_default();
        let allowed = memory.allowed.as_ref().is_some_and(|(topic, qos, retain, then)| {
            *then == rights && *qos == publish.qos && *retain == publish.retain && *topic == publish.topic
        });
        let asked = (!allowed).then(|| (publish.topic.clone(), publish.qos, publish.retain, rights));
        match self.shared.review(&self.client, publish, allowed) {
            Answer::Now(Ok(publish)) => {
                if asked.is_some() {
                    memory.allowed = asked;
                }
                let (shared, record, routes) = (&self.shared, &self.record, &mut memory.routes);
                Answer::Now(commit(shared, record, self.epoch, publish.once, || {
                    shared.route(&self.client, Some(record), publish, routes, now)
                }))
            }
            Answer::Now(Err(reason)) => Answer::Now(Err(reason)),
            Answer::Later(review) => {
                let (shared, client, record) =
                    (self.shared.clone(), self.client.clone(), self.record.clone());
                let (epoch, rights) = (self.epoch, self.rights);
                Answer::later(async move {
                    let publish = review.await?;
                    shared.is_welcome(&record, &client, rights, now)?;
                    commit(&shared, &record, epoch, publish.once, || {
                        shared.route(&client, Some(&record), publish, &mut Last::default(), now)
                    })
                })
            }
        }
    }

    /// Publishes if something is true of what is retained on the topic, which the client must be allowed to read.
    pub fn publish_if(&mut self, wish: ConditionalPublish, now: Instant) -> Answer<Result<Reply, Reason>> {
        let ConditionalPublish { mut publish, precondition } = wish;
        let checked = self.check(now).and_then(|()| self.shared.interpret(&self.client, &mut publish));
        let checked = checked.and_then(|()| match is_delayed(&publish.topic) {
            true => Err(Reason::UnsupportedFeature), // what is retained when it is due is not known yet
            false => Ok(()),
        });
        if let Err(reason) = checked {
            return Answer::Now(Err(reason));
        }
        let (shared, client, record) = (self.shared.clone(), self.client.clone(), self.record.clone());
        let (epoch, rights) = (self.epoch, self.rights);
        self.shared.review(&self.client, publish, false).then(move |reviewed| {
            let publish = match reviewed {
                Ok(publish) => publish,
                Err(reason) => return Answer::Now(Err(reason)),
            };
            // The answer tells of what is retained on the topic that the interceptors have chosen.
            let may_read = shared.permit(&client, Access::Read { topic: &publish.topic });
            may_read.map(move |permission| {
                permission?;
                shared.is_welcome(&record, &client, rights, now)?;
                let mut is_true = true;
                let done = commit(&shared, &record, epoch, publish.once, || {
                    let matched = shared.route_if(&client, &record, publish, &*precondition, now)?;
                    is_true = matched.is_some();
                    Ok(matched.unwrap_or(0))
                })?;
                Ok(if is_true { done } else { Reply::Unfulfilled })
            })
        })
    }

    /// Keeps a message until it is due. Its rights are those of the topic behind the delay.
    fn publish_later(&self, publish: Publish, now: Instant) -> Answer<Result<Reply, Reason>> {
        let (when, publish) = match self.shared.aim(publish, now) {
            Ok(aimed) => aimed,
            Err(reason) => return Answer::Now(Err(reason)),
        };
        let (shared, client, record) = (self.shared.clone(), self.client.clone(), self.record.clone());
        let (epoch, rights) = (self.epoch, self.rights);
        self.shared.review(&self.client, publish, false).map(move |reviewed| {
            let publish = reviewed?;
            shared.is_welcome(&record, &client, rights, now)?;
            let once = publish.once;
            commit(&shared, &record, epoch, once, || {
                shared.route_all(&client, Some(&record), vec![(when, publish)], now)
            })
        })
    }

    /// Publishes several messages, or none of them if one is refused: all are authorized, intercepted and
    /// retained before the first is routed.
    pub fn publish_all(&mut self, publishes: Vec<Publish>, now: Instant) -> Answer<Result<Reply, Reason>> {
        if let Err(reason) = self.check(now) {
            return Answer::Now(Err(reason));
        }
        let aim = |mut publish| {
            self.shared.interpret(&self.client, &mut publish)?;
            self.shared.aim(publish, now)
        };
        let aimed = match publishes.into_iter().map(aim).collect::<Result<Vec<_>, _>>() {
            Ok(aimed) => aimed,
            Err(reason) => return Answer::Now(Err(reason)),
        };
        let (whens, publishes): (Vec<_>, Vec<_>) = aimed.into_iter().unzip();
        let reviews = publishes.into_iter().map(|publish| self.shared.review(&self.client, publish, false));
        let reviews = Answer::all(reviews.collect());
        let (shared, client, record) = (self.shared.clone(), self.client.clone(), self.record.clone());
        let (epoch, rights) = (self.epoch, self.rights);
        reviews.map(move |reviewed| {
            let publishes = reviewed.into_iter().collect::<Result<Vec<_>, Reason>>()?;
            shared.is_welcome(&record, &client, rights, now)?;
            let _turn = record.hold(epoch)?;
            let publishes = whens.into_iter().zip(publishes).collect();
            let matched = shared.route_all(&client, Some(&record), publishes, now)?;
            Ok(Reply::Published { matched })
        })
    }

    /// Ends the exactly-once handling of a publish.
    pub fn release(&mut self, id: u16) -> Result<Reply, Reason> {
        let known = self.record.lock_for(self.epoch)?.received.remove(id);
        Ok(Reply::Released { known })
    }

    /// Makes subscriptions; each has its own result.
    pub fn subscribe(
        &mut self,
        subscriptions: Vec<Subscription>,
        now: Instant,
    ) -> Answer<Result<Reply, Reason>> {
        self.make(subscriptions, Known::Replace, now)
    }

    /// Makes subscriptions that the session does not have.
    pub(crate) fn subscribe_unless_there(
        &mut self,
        subscriptions: Vec<Subscription>,
        now: Instant,
    ) -> Answer<Result<Reply, Reason>> {
        self.make(subscriptions, Known::Keep, now)
    }

    /// The client that has it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn make(
        &mut self,
        subscriptions: Vec<Subscription>,
        known: Known,
        now: Instant,
    ) -> Answer<Result<Reply, Reason>> {
        if let Err(reason) = self.check(now) {
            return Answer::Now(Err(reason));
        }
        let reviews = subscriptions.into_iter().map(|subscription| self.review(subscription)).collect();
        let (shared, client, record) = (self.shared.clone(), self.client.clone(), self.record.clone());
        let (epoch, rights) = (self.epoch, self.rights);
        Answer::all(reviews).map(move |reviewed| {
            let grant = |result: Result<Reviewed, Reason>| {
                let reviewed = result?;
                let _turn = record.hold(epoch)?;
                register(&shared, &client, &record, rights, reviewed, known, now)
            };
            Ok(Reply::Subscribed(reviewed.into_iter().map(grant).collect()))
        })
    }

    /// Ends subscriptions; each has its own result.
    pub fn unsubscribe(&mut self, subscriptions: Vec<Unsubscribe>) -> Result<Reply, Reason> {
        let _turn = self.record.hold(self.epoch)?;
        let end = |subscription| {
            let which = self.shared.meant_end(&self.client, subscription)?;
            let gone = self.shared.unsubscribe(&self.record, &Key::from(which));
            let gone = gone.ok_or(Reason::NoSubscription)?;
            let client = self.client.clone();
            self.shared.emit(|| BrokerEvent::Unsubscribed { client, filter: gone.filter });
            Ok(())
        };
        Ok(Reply::Unsubscribed(subscriptions.into_iter().map(end).collect()))
    }

    /// The retained message of a topic.
    pub fn read(&mut self, topic: Topic, now: Instant) -> Answer<Result<Reply, Reason>> {
        if let Err(reason) = self.check(now) {
            return Answer::Now(Err(reason));
        }
        let topic = match self.shared.read_topic(&self.client, topic) {
            Ok(topic) => topic,
            Err(reason) => return Answer::Now(Err(reason)),
        };
        let (shared, client) = (self.shared.clone(), self.client.clone());
        self.shared.permit(&self.client, Access::Read { topic: &topic }).map(move |permission| {
            permission?;
            let found = shared.retained.read(&topic, now).filter(|found| shared.is_rightful(found));
            let found = found.map(|found| found.message);
            let prefix = client.identity.mountpoint.as_deref();
            Ok(Reply::Read(match prefix {
                Some(prefix) => found.map(|message| unmounted(prefix, &message)),
                None => found,
            }))
        })
    }

    /// What the client may do, without doing it.
    pub fn judge(&mut self, rights: Vec<Right>, now: Instant) -> Answer<Result<Reply, Reason>> {
        if let Err(reason) = self.check(now) {
            return Answer::Now(Err(reason));
        }
        let judgements =
            rights.into_iter().map(|right| self.shared.judge_right(&self.client, right, now)).collect();
        let time = self.shared.delayed.time_of_day(now);
        Answer::all(judgements).map(move |judgements| Ok(Reply::Judged { judgements, time }))
    }

    /// Sets or removes the will.
    pub fn set_will(&mut self, will: Option<Will>, now: Instant) -> Answer<Result<Reply, Reason>> {
        if let Err(reason) = self.check(now) {
            return Answer::Now(Err(reason));
        }
        let will = match will.map(|will| self.shared.meant_will(&self.client, will)).transpose() {
            Ok(will) => will,
            Err(reason) => return Answer::Now(Err(reason)),
        };
        let permit = |will: &Will| match bare(&will.publish) {
            Ok(publish) => match self.shared.check(&publish) {
                Ok(()) => self.shared.permit(&self.client, publish_access(&publish)),
                Err(reason) => Answer::Now(Err(reason)),
            },
            Err(reason) => Answer::Now(Err(reason)),
        };
        let permission = will.as_ref().map_or(Answer::Now(Ok(Permission::Allow)), permit);
        let (client, record, epoch) = (self.client.clone(), self.record.clone(), self.epoch);
        permission.map(move |permission| {
            permission?;
            record.lock_for(epoch)?.set_will(will.map(|will| Box::new((will, client))));
            Ok(Reply::WillSet)
        })
    }

    /// Begins a re-authentication [MQTT5 4.12.1].
    pub fn reauthenticate(&self, step: EnhancedAuthentication) -> Answer<Result<Reauthentication, Reason>> {
        let attempt = Attempt {
            client_id: Some(self.client.id.clone()),
            credentials: Credentials { enhanced: Some(step), ..Credentials::default() },
            user_properties: [].into(),
            peer: self.client.peer.clone(),
            protocol: self.client.protocol,
        };
        let client = self.client.clone();
        let judged = self.shared.hooks.authenticator.authenticate(&attempt);
        judged.map(move |judged| rejudge(judged, &client))
    }

    /// Goes on with a re-authentication.
    pub fn proceed(
        &self,
        exchange: Box<dyn Exchange>,
        step: EnhancedAuthentication,
    ) -> Answer<Result<Reauthentication, Reason>> {
        let client = self.client.clone();
        exchange.proceed(step).map(move |judged| rejudge(judged, &client))
    }

    /// The client says how it leaves; the connection then ends with [`Session::close`].
    pub fn leave(&mut self, disconnect: Disconnect, now: Instant) -> Result<Reply, Reason> {
        if let Some(expiry) = disconnect.session_expiry {
            let expiry = self.shared.config.session_expiry(expiry);
            self.record.lock_for(self.epoch)?.set_expiry(expiry);
        }
        let reason = match disconnect.publish_will {
            true => Reason::DisconnectedWithWill,
            false => Reason::Disconnected,
        };
        self.end(disconnect.publish_will, reason, now);
        Ok(Reply::Disconnected)
    }

    /// Says how the connection went so far, for those who watch it end.
    pub fn tell(&mut self, course: Course) {
        self.memory.get_or_insert_default().course = Some(Box::new(course));
    }

    /// The connection is over, without a good-bye: the will is due.
    pub fn close(mut self, reason: Reason, now: Instant) {
        self.end(true, reason, now);
    }

    fn end(&mut self, publish_will: bool, reason: Reason, now: Instant) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let told = self.memory.as_mut().and_then(|memory| memory.course.take());
        let course = told.unwrap_or_else(|| Box::new(Course::new(self.since().unwrap_or(now))));
        self.shared.detach(&self.record, self.epoch, publish_will, now);
        let client = self.client.clone();
        self.shared.emit(|| BrokerEvent::Disconnected { client, reason, course, at: now });
    }

    fn since(&self) -> Option<Instant> {
        self.record.lock().since
    }

    /// Whether the client may still ask for something.
    fn check(&mut self, now: Instant) -> Result<(), Reason> {
        if !self.open || self.record.epoch() != self.epoch {
            return Err(Reason::TakenOver);
        }
        let rights = self.shared.rights.number();
        if self.rights != rights {
            if !self.shared.is_valid(&self.record, &self.client, now) {
                return Err(Reason::NotAuthorized);
            }
            self.rights = rights;
        }
        Ok(())
    }

    fn review(&self, mut subscription: Subscription) -> Answer<Result<Reviewed, Reason>> {
        let meant = check_filter(subscription.filter, &self.shared.config)
            .and_then(|filter| self.shared.meant_filter(&self.client, filter));
        match meant {
            Ok(filter) => subscription.filter = filter,
            Err(reason) => return Answer::Now(Err(reason)),
        }
        let access = Access::Subscribe { filter: &subscription.filter, qos: subscription.options.qos };
        let permission = self.shared.permit(&self.client, access);
        let (shared, client) = (self.shared.clone(), self.client.clone());
        permission.then(move |permission| match permission {
            Ok(permission) => {
                let filtered = permission == Permission::AllowFiltered;
                let subscription = shared.intercept(0, client, subscription, Interceptor::subscribe);
                subscription.map(move |result| result.map(|subscription| Reviewed { subscription, filtered }))
            }
            Err(reason) => Answer::Now(Err(reason)),
        })
    }
}

impl Drop for Session {
    /// A connection that vanished without closing its session is a lost client all the same.
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let last_tick = *self.shared.last_tick.lock();
        if let Some(now) = self.since().max(last_tick) {
            self.end(true, Reason::Internal, now);
        }
    }
}

/// Routes a reviewed publish, and remembers it if it is to be routed once.
fn commit(
    shared: &Shared,
    record: &Record,
    epoch: u64,
    once: Option<u16>,
    route: impl FnOnce() -> Result<usize, Reason>,
) -> Result<Reply, Reason> {
    let _turn = record.hold(epoch)?;
    if let Some(id) = once
        && record.lock().is_repeated(id, &shared.config)?
    {
        return Ok(Reply::Published { matched: 1 });
    }
    let matched = route()?;
    if let Some(id) = once {
        record.lock().received.insert(id);
    }
    Ok(Reply::Published { matched })
}

/// Whether the configuration allows what goes with a filter's pattern. Makes out the condition, if there is one.
pub(crate) fn check_filter(filter: Filter, config: &Config) -> Result<Filter, Reason> {
    if filter.share().is_some() && !config.shared_subscriptions {
        return Err(Reason::SharedSubscriptionsNotSupported);
    }
    if filter.is_exclusive() && !config.exclusive_subscriptions {
        return Err(Reason::UnsupportedFeature);
    }
    if !config.property_filters {
        return if filter.condition().is_none() { Ok(filter) } else { Err(Reason::FilterInvalid) };
    }
    let filter = filter.split_condition().map_err(|_| Reason::FilterInvalid)?;
    Condition::of(&filter).map(|_| filter)
}

/// Puts a subscription that was reviewed under `rights` into session and router, and queues the retained messages it
/// is owed.
fn register(
    shared: &Arc<Shared>,
    client: &Arc<Client>,
    record: &Arc<Record>,
    rights: u64,
    Reviewed { subscription, filtered }: Reviewed,
    known: Known,
    now: Instant,
) -> Result<Qos, Reason> {
    let Subscription { id, filter, mut options, .. } = subscription.clone();
    options.qos = options.qos.min(shared.config.max_qos());
    let key = Key::of(&subscription);
    let condition = Condition::of(&filter)?.map(Arc::new);
    let mut state = record.lock();
    let there = state.subscriptions.get(&key);
    if let Some(there) = there.filter(|_| known == Known::Keep) {
        return Ok(there.options.qos);
    }
    let replaced = there.map(|old| old.filter.as_str().len());
    let fresh = replaced.is_none();
    let bytes = state.subscription_bytes as usize - replaced.unwrap_or(0) + filter.as_str().len();
    if fresh && state.subscriptions.len() >= shared.config.max_subscriptions
        || bytes > shared.config.subscription_bytes
    {
        return Err(Reason::QuotaExceeded);
    }
    if state.queue().replay_len() >= shared.config.max_replay
        || shared.counters.replaying.load(Ordering::Relaxed) >= shared.config.max_replay_total as u64
    {
        return Err(Reason::QuotaExceeded);
    }
    let bytes = u32::try_from(bytes).map_err(|_| Reason::QuotaExceeded)?;
    shared.exclusive.take(&filter, record)?;
    state.subscription_bytes = bytes;
    let old = state.subscriptions.insert(Subscription { options, ..subscription });
    state.version = state.version.checked_add(1).unwrap_or(1);
    state.filtered |= filtered;
    if rights != shared.rights.number() {
        record.set_rights(UNJUDGED); // they were changed meanwhile
    }
    drop(state);
    shared.counters.add_subscription(&filter);
    if let Some(old) = &old {
        shared.counters.remove_subscription(&old.filter);
    }
    let same = old.as_ref().filter(|old| old.filter == filter).map(|old| Entry::of(record, old));
    if let Some(old) = &old {
        shared.exclusive.free(&old.filter, record);
    }
    if let Some(moved) = old.filter(|old| old.filter != filter) {
        shared.router.remove(&moved.filter, &Entry::of(record, &moved));
    }
    let entry = Entry { record: record.clone(), id, options, condition };
    shared.router.insert(&filter, entry.clone(), same.as_ref());
    let wanted = match options.retain_handling {
        RetainHandling::Always => true,
        RetainHandling::IfNew => fresh,
        RetainHandling::Never => false,
    };
    if wanted && filter.share().is_none() {
        let retained = shared.retained.matches(&filter, now).into_iter();
        let retained = retained.filter(|found| shared.is_rightful(found)).map(|found| found.message);
        let retained = retained.filter(|message| !(options.no_local && message.origin == record.id));
        let accept = |message: &Arc<bus::Message>| {
            let accepted = entry.accepts(message);
            if !accepted {
                shared.counters.filter();
            }
            accepted
        };
        // All is asked before the session is locked.
        let retained: Vec<_> = retained.filter(accept).collect();
        let is_any = !retained.is_empty();
        let retained = Run::all(retained, id, options.qos, &shared.priorities);
        let mut state = record.lock();
        if is_any && !state.ended {
            state.queue.get_or_insert_default().replay(retained, &shared.counters.replaying);
        }
    }
    let (client, qos) = (client.clone(), options.qos);
    shared.emit(|| BrokerEvent::Subscribed { client, filter, qos });
    Ok(qos)
}

/// A re-authentication may not turn one client into another.
fn rejudge(judged: Authentication, client: &Client) -> Result<Reauthentication, Reason> {
    let same = |identity: &Identity| {
        identity.username == client.identity.username
            && identity.client_id.as_ref().is_none_or(|id| **id == client.id)
    };
    match judged {
        Authentication::Accept(identity) if same(&identity) => {
            Ok(Reauthentication::Done(identity.completion.map(|completion| *completion)))
        }
        Authentication::Accept(_) => Err(Reason::NotAuthorized),
        Authentication::Challenge(step, exchange) => Ok(Reauthentication::Challenge(step, exchange)),
        Authentication::Refuse(reason) => Err(reason),
    }
}
