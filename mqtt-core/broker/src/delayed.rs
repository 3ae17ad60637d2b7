use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use bus::{ClientId, Publish, Reason, Topic, units};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::access::Client;
use crate::broker::{Broker, Shared};
use crate::publish::publish_access;
use crate::record::Record;

/// What messages on `$delayed/{seconds}/{topic}`, which are published so many seconds later, may cost. One client may
/// have a quarter of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DelayedConfig {
    /// How many may wait; with 0 every one is refused.
    pub messages: usize,
    /// How many bytes they may hold.
    #[serde(with = "units::size")]
    pub bytes: usize,
}

/// The messages that are to be published later, by the time when they are due.
#[derive(Default)]
pub(crate) struct Delayed {
    table: Mutex<Table>,
    /// The time of day at some moment.
    clock: Mutex<Option<(Instant, SystemTime)>>,
}

#[derive(Default)]
struct Table {
    waiting: BTreeMap<(Instant, u64), Waiting>,
    number: u64,
    held: Held,
    /// What each client has of it.
    clients: HashMap<ClientId, Held>,
}

/// How much waits.
#[derive(Clone, Copy, Default)]
struct Held {
    messages: usize,
    bytes: usize,
}

/// A message that was reviewed when it came, and is judged again when it is due: it outlives its publisher's session.
pub(crate) struct Waiting {
    pub(crate) client: Arc<Client>,
    pub(crate) origin: Weak<Record>,
    pub(crate) publish: Publish,
    /// When it is no longer worth delivering; that counts from when it came.
    pub(crate) expires: Option<Instant>,
}

/// When a message is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    At(Instant),
}

/// How large a part of the bounds one client may have.
const SHARE: usize = 4;

const PREFIX: &str = "$delayed/";

/// From this number on it is a Unix time, and so far ahead a message may be.
const LIMIT: u64 = 42_949_670;

/// How many due messages are published at once; the next tick goes on.
const AT_ONCE: usize = 10_000;

impl Default for DelayedConfig {
    fn default() -> Self {
        Self { messages: 100_000, bytes: 256 << 20 }
    }
}

impl Broker {
    /// Tells the time of day, so that a message can be delayed until a Unix time; until it is told, such messages are
    /// refused. It may be told again whenever the clock was set.
    pub fn tell_time(&self, now: Instant, time: SystemTime) {
        *self.0.delayed.clock.lock() = Some((now, time));
    }
}

impl Delayed {
    /// How many messages wait, and their bytes.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let held = self.table.lock().held;
        (held.messages, held.bytes)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.table.lock().waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Keeps all of the client's messages if `then` succeeds, or none.
    pub(crate) fn keep(
        &self,
        client: &Client,
        messages: Vec<(Instant, Waiting)>,
        config: &DelayedConfig,
        then: impl FnOnce() -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let table = &mut *self.table.lock();
        let bytes = messages.iter().map(|(_, waiting)| waiting.size()).sum();
        let more = Held { messages: messages.len(), bytes };
        let all = table.held.plus(more);
        let own = table.clients.get(&client.id).copied().unwrap_or_default().plus(more);
        if !all.fits(config.messages, config.bytes)
            || !own.fits(config.messages.div_ceil(SHARE), config.bytes.div_ceil(SHARE))
        {
            return Err(Reason::QuotaExceeded);
        }
        then()?;
        table.held = all;
        table.clients.insert(client.id.clone(), own);
        for (at, waiting) in messages {
            table.number += 1;
            let key = (at, table.number);
            table.waiting.insert(key, waiting);
        }
        Ok(())
    }

    fn take_due(&self, now: Instant) -> Vec<Waiting> {
        let table = &mut *self.table.lock();
        let mut due = Vec::new();
        while due.len() < AT_ONCE
            && let Some(entry) = table.waiting.first_entry().filter(|entry| entry.key().0 <= now)
        {
            let waiting = entry.remove();
            table.give_back(&waiting);
            due.push(waiting);
        }
        due
    }

    /// What time it is, if anybody has told.
    pub(crate) fn time_of_day(&self, now: Instant) -> Option<SystemTime> {
        let (then, time) = (*self.clock.lock())?;
        time.checked_add(now.saturating_duration_since(then))
    }

    /// When a message with this number is due. A time that is over is due at once: clocks differ.
    fn due(&self, number: u64, now: Instant) -> Result<Instant, Reason> {
        let delay = if number < LIMIT {
            Duration::from_secs(number)
        } else {
            let time = self.time_of_day(now).ok_or(Reason::TopicInvalid)?;
            let at = SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_secs(number))
                .ok_or(Reason::TopicInvalid)?;
            at.duration_since(time).unwrap_or_default()
        };
        let at = (delay < Duration::from_secs(LIMIT)).then(|| now.checked_add(delay)).flatten();
        at.ok_or(Reason::TopicInvalid)
    }
}

impl Table {
    fn give_back(&mut self, waiting: &Waiting) {
        let size = waiting.size();
        self.held = self.held.less(size);
        if let Some(own) = self.clients.get_mut(&waiting.client.id) {
            *own = own.less(size);
            if own.messages == 0 {
                self.clients.remove(&waiting.client.id);
            }
        }
    }
}

impl Held {
    fn plus(self, more: Self) -> Self {
        Self { messages: self.messages + more.messages, bytes: self.bytes + more.bytes }
    }

    /// Without one message.
    fn less(self, size: usize) -> Self {
        Self { messages: self.messages - 1, bytes: self.bytes - size }
    }

    fn fits(self, messages: usize, bytes: usize) -> bool {
        self.messages <= messages && self.bytes <= bytes
    }
}

impl Waiting {
    fn size(&self) -> usize {
        let metadata = self.publish.metadata.as_ref().map_or(0, |metadata| metadata.size());
        self.publish.topic.as_str().len() + self.publish.payload.len() + metadata
    }
}

impl Shared {
    /// When the publish is due, and what is published then.
    pub(crate) fn aim(&self, mut publish: Publish, now: Instant) -> Result<(When, Publish), Reason> {
        if !is_delayed(&publish.topic) {
            return Ok((When::Now, publish));
        }
        let (number, topic) = parse(&publish.topic)?;
        publish.topic = topic;
        Ok((When::At(self.delayed.due(number, now)?), publish))
    }

    /// The message as it waits: counted, and with the time when it expires.
    pub(crate) fn waiting(
        &self,
        client: &Arc<Client>,
        origin: Option<&Arc<Record>>,
        publish: Publish,
        now: Instant,
    ) -> Waiting {
        self.counters.wire.publish(publish.qos, 1, publish.payload.len());
        let expires = self.config.message_expiry(publish.expiry).and_then(|expiry| now.checked_add(expiry));
        let origin = origin.map(Arc::downgrade).unwrap_or_default();
        Waiting { client: client.clone(), origin, publish, expires }
    }

    /// Publishes what is due, as far as its publishers still may. Returns when there is more.
    pub(crate) fn publish_due(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        for waiting in self.delayed.take_due(now) {
            self.publish_waiting(waiting, now);
        }
        self.delayed.next()
    }

    fn publish_waiting(self: &Arc<Self>, waiting: Waiting, now: Instant) {
        let Waiting { client, origin, mut publish, expires } = waiting;
        if !self.hooks.authenticator.still_valid(&client) {
            return self.counters.drop_message(Reason::NotAuthorized);
        }
        if expires.is_some_and(|expires| expires <= now) {
            return self.counters.drop_message(Reason::MessageExpired);
        }
        publish.expiry = expires.map(|expires| expires.saturating_duration_since(now));
        let shared = self.clone();
        let work = self.permit(&client, publish_access(&publish)).map(move |permission| {
            let route = |_| shared.route_uncounted(&client, origin.upgrade().as_ref(), publish, now);
            if let Err(reason) = permission.and_then(route) {
                shared.counters.drop_message(reason);
            }
        });
        self.defer(work);
    }
}

/// Whether the topic asks for a delay.
pub(crate) fn is_delayed(topic: &Topic) -> bool {
    topic.as_str().starts_with(PREFIX)
}

/// The publish as its rights are judged: on the topic behind the delay.
pub(crate) fn bare(publish: &Publish) -> Result<Cow<'_, Publish>, Reason> {
    if !is_delayed(&publish.topic) {
        return Ok(Cow::Borrowed(publish));
    }
    let (_, topic) = parse(&publish.topic)?;
    Ok(Cow::Owned(Publish { topic, ..publish.clone() }))
}

fn parse(topic: &Topic) -> Result<(u64, Topic), Reason> {
    let rest = topic.as_str().strip_prefix(PREFIX).unwrap_or_default();
    let (number, topic) = rest.split_once('/').ok_or(Reason::TopicInvalid)?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_number).ok_or(Reason::TopicInvalid)?;
    let topic = Topic::parse(topic).map_err(|_| Reason::TopicInvalid)?;
    if is_delayed(&topic) { Err(Reason::TopicInvalid) } else { Ok((number, topic)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_delay_or_a_time_of_day() {
        let (delayed, now) = (Delayed::default(), Instant::now());
        let secs = Duration::from_secs;
        assert_eq!(delayed.due(0, now), Ok(now));
        assert_eq!(delayed.due(LIMIT - 1, now), Ok(now + secs(LIMIT - 1)));
        assert_eq!(delayed.due(1_700_000_000, now), Err(Reason::TopicInvalid), "nobody has told the time");
        *delayed.clock.lock() = Some((now, SystemTime::UNIX_EPOCH + secs(1_700_000_000)));
        assert_eq!(delayed.due(1_700_000_060, now + secs(10)), Ok(now + secs(60)));
        assert_eq!(delayed.due(1_600_000_000, now), Ok(now));
        assert_eq!(delayed.due(1_700_000_000 + LIMIT, now), Err(Reason::TopicInvalid));
        assert_eq!(delayed.due(u64::MAX, now), Err(Reason::TopicInvalid));
    }

    #[test]
    fn what_is_no_delay_is_refused() {
        let parse = |text: &str| parse(&Topic::parse(text).unwrap());
        assert_eq!(parse("$delayed/5/a/b"), Ok((5, Topic::parse("a/b").unwrap())));
        for wrong in
            ["$delayed/", "$delayed/5", "$delayed/5/", "$delayed//a", "$delayed/+5/a", "$delayed/x/a"]
        {
            if let Ok(topic) = Topic::parse(wrong) {
                assert_eq!(super::parse(&topic), Err(Reason::TopicInvalid), "{wrong}");
            }
        }
        assert_eq!(parse("$delayed/1/$delayed/1/a"), Err(Reason::TopicInvalid));
        assert_eq!(parse("$delayed/99999999999999999999/a"), Err(Reason::TopicInvalid));
    }
}
