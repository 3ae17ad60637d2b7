use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bus::Topic;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::property::Properties;

/// What the topic collection may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicsConfig {
    /// How many topics may have a configuration; 0 for none.
    pub most: usize,
    /// The largest configuration taken, and kept.
    #[serde(with = "bus::units::size")]
    pub largest: usize,
    /// How many publications a second one client may make on topics with a configuration, before it is told to
    /// wait; 0 is without limit.
    pub publish_rate: u32,
}

impl Default for TopicsConfig {
    fn default() -> Self {
        Self { most: 1_000, largest: 4 << 10, publish_rate: 0 }
    }
}

/// The topics that have a configuration, the same for all connections: a topic collection, as the draft calls it
/// (draft-ietf-core-coap-pubsub). It is kept in memory.
#[derive(Debug, Default)]
pub struct Topics {
    inner: Mutex<Inner>,
    /// How many there are, for those who ask often.
    count: AtomicUsize,
    most: usize,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: BTreeMap<TopicId, Entry>,
    by_name: HashMap<Topic, TopicId>,
    by_data: HashMap<Topic, TopicId>,
    /// Before this none expires; `None` if none will.
    soonest: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    configuration: Configuration,
    /// Not yet there for anybody but its creator.
    reserved: bool,
    /// Whether data was there when last looked.
    has_data: bool,
    subscribers: BTreeSet<u64>,
    next_subscriber: u64,
}

/// The last segment of a topic's path in the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TopicId(u32);

/// A topic as it is configured. Topics are those of the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) id: TopicId,
    /// The topic that its name names.
    pub(crate) name: Topic,
    /// The topic of its data; `None` where the data is on another server.
    pub(crate) data: Option<Topic>,
    pub(crate) properties: Arc<Properties>,
    /// When it expires.
    pub(crate) ends: Option<Instant>,
}

/// Why a topic is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotMade {
    NameTaken,
    DataTaken,
    Full,
}

/// A topic that is being made. It is gone again unless it is confirmed.
#[derive(Debug)]
pub(crate) struct Reservation {
    topics: Arc<Topics>,
    id: TopicId,
    confirmed: bool,
}

/// A subscriber's place at a topic, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Seat {
    topics: Arc<Topics>,
    pub(crate) topic: TopicId,
    number: u64,
}

/// What a subscriber has to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long it may get nothing that it must acknowledge.
    pub(crate) observer_check: Option<Duration>,
    /// When the topic expires.
    pub(crate) ends: Option<Instant>,
}

impl Topics {
    /// No topic yet.
    pub fn new(config: &TopicsConfig) -> Arc<Self> {
        Arc::new(Self { most: config.most, ..Self::default() })
    }

    /// Whether no topic has a configuration.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Reserves name and data for a topic; `chance` chooses its id.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        chance: u64,
        name: Topic,
        data: Option<Topic>,
        properties: Properties,
        ends: Option<Instant>,
        now: Instant,
    ) -> Result<Reservation, NotMade> {
        self.with(now, |inner| {
            if inner.by_name.contains_key(&name) {
                return Err(NotMade::NameTaken);
            }
            if data.as_ref().is_some_and(|data| inner.by_data.contains_key(data)) {
                return Err(NotMade::DataTaken);
            }
            if inner.by_id.len() >= self.most {
                return Err(NotMade::Full);
            }
            let mut id = TopicId(chance as u32);
            while inner.by_id.contains_key(&id) {
                id = TopicId(id.0.wrapping_add(1));
            }
            inner.by_name.insert(name.clone(), id);
            if let Some(data) = data.clone() {
                inner.by_data.insert(data, id);
            }
            inner.expect_end(ends);
            let configuration = Configuration { id, name, data, properties: Arc::new(properties), ends };
            let (subscribers, next_subscriber) = (BTreeSet::new(), 0);
            let entry =
                Entry { configuration, reserved: true, has_data: false, subscribers, next_subscriber };
            inner.by_id.insert(id, entry);
            Ok(Reservation { topics: self.clone(), id, confirmed: false })
        })
    }

    /// A topic by its id.
    pub(crate) fn find(&self, id: TopicId, now: Instant) -> Option<Configuration> {
        self.with(now, |inner| inner.there(id).map(|entry| entry.configuration.clone()))
    }

    /// The topic whose data is that of a topic of the bus.
    pub(crate) fn of_data(&self, data: &Topic, now: Instant) -> Option<Configuration> {
        self.with(now, |inner| {
            let id = *inner.by_data.get(data)?;
            inner.there(id).map(|entry| entry.configuration.clone())
        })
    }

    /// All topics, in order of their ids.
    pub(crate) fn all(&self, now: Instant) -> Vec<Configuration> {
        self.with(now, |inner| {
            let there = inner.by_id.values().filter(|entry| !entry.reserved);
            there.map(|entry| entry.configuration.clone()).collect()
        })
    }

    /// Replaces what a topic is configured with, as long as it is what it was when it was read. The latest
    /// subscribers are dismissed if there are too many of them.
    pub(crate) fn replace(
        &self,
        old: &Configuration,
        properties: Properties,
        ends: Option<Instant>,
        now: Instant,
    ) -> bool {
        self.with(now, |inner| {
            let entry = inner.by_id.get_mut(&old.id);
            let same = |entry: &&mut Entry| Arc::ptr_eq(&entry.configuration.properties, &old.properties);
            let Some(entry) = entry.filter(same) else { return false };
            let most = properties.max_subscribers.and_then(|most| usize::try_from(most).ok());
            while most.is_some_and(|most| entry.subscribers.len() > most) {
                entry.subscribers.pop_last();
            }
            (entry.configuration.properties, entry.configuration.ends) = (Arc::new(properties), ends);
            inner.expect_end(ends);
            true
        })
    }

    /// Removes a topic.
    pub(crate) fn remove(&self, id: TopicId, now: Instant) -> bool {
        self.with(now, |inner| inner.remove(id))
    }

    /// Notes whether a topic has data now, and returns whether it had when this was last noted.
    pub(crate) fn note_data(&self, id: TopicId, has_data: bool, now: Instant) -> bool {
        self.with(now, |inner| {
            inner.by_id.get_mut(&id).is_some_and(|entry| std::mem::replace(&mut entry.has_data, has_data))
        })
    }

    /// A place for one more subscriber; `None` if there is none, or no such topic.
    pub(crate) fn seat(self: &Arc<Self>, id: TopicId, now: Instant) -> Option<Seat> {
        self.with(now, |inner| {
            let entry = inner.by_id.get_mut(&id)?;
            let most = entry.configuration.properties.max_subscribers;
            if most.is_some_and(|most| entry.subscribers.len() as u64 >= most) {
                return None;
            }
            let number = entry.next_subscriber;
            entry.next_subscriber += 1;
            entry.subscribers.insert(number);
            Some(Seat { topics: self.clone(), topic: id, number })
        })
    }

    fn with<R>(&self, now: Instant, act: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.inner.lock();
        inner.sweep(now);
        let result = act(&mut inner);
        self.count.store(inner.by_id.len(), Ordering::Release);
        result
    }
}

impl Inner {
    fn there(&self, id: TopicId) -> Option<&Entry> {
        self.by_id.get(&id).filter(|entry| !entry.reserved)
    }

    fn remove(&mut self, id: TopicId) -> bool {
        let Some(entry) = self.by_id.remove(&id) else { return false };
        self.by_name.remove(&entry.configuration.name);
        entry.configuration.data.map(|data| self.by_data.remove(&data));
        true
    }

    fn expect_end(&mut self, ends: Option<Instant>) {
        self.soonest = self.soonest.into_iter().chain(ends).min();
    }

    /// Removes what has expired [PUBSUB 2.2.1].
    fn sweep(&mut self, now: Instant) {
        if self.soonest.is_none_or(|soonest| soonest > now) {
            return;
        }
        let over = |entry: &Entry| entry.configuration.ends.is_some_and(|ends| ends <= now);
        let expired: Vec<TopicId> =
            self.by_id.iter().filter(|(_, entry)| over(entry)).map(|(id, _)| *id).collect();
        for id in expired {
            self.remove(id);
        }
        self.soonest = self.by_id.values().filter_map(|entry| entry.configuration.ends).min();
    }
}

impl Reservation {
    /// The topic is there for everybody.
    pub(crate) fn confirm(mut self, has_data: bool, now: Instant) -> Option<Configuration> {
        self.confirmed = true;
        self.topics.with(now, |inner| {
            let entry = inner.by_id.get_mut(&self.id)?;
            (entry.reserved, entry.has_data) = (false, has_data);
            Some(entry.configuration.clone())
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.confirmed {
            let mut inner = self.topics.inner.lock();
            inner.remove(self.id);
            self.topics.count.store(inner.by_id.len(), Ordering::Release);
        }
    }
}

impl Seat {
    /// What the subscriber has to keep to; `None` once the topic is gone or there are too many subscribers.
    pub(crate) fn terms(&self, now: Instant) -> Option<Terms> {
        self.topics.with(now, |inner| {
            let entry = inner.by_id.get(&self.topic)?;
            let Configuration { properties, ends, .. } = &entry.configuration;
            let observer_check = properties.observer_check.map(Duration::from_secs);
            entry.subscribers.contains(&self.number).then_some(Terms { observer_check, ends: *ends })
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(entry) = self.topics.inner.lock().by_id.get_mut(&self.topic) {
            entry.subscribers.remove(&self.number);
        }
    }
}

impl TopicId {
    /// Reads a path segment.
    pub(crate) fn parse(segment: &str) -> Option<Self> {
        let id = Self(u32::from_str_radix(segment, 16).ok()?);
        (id.to_string() == segment).then_some(id) // one resource has one path
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs a time to begin with")]
mod tests {
    use super::*;

    struct World {
        topics: Arc<Topics>,
        now: Instant,
    }

    impl World {
        fn new(most: usize) -> Self {
            Self {
                topics: Topics::new(&TopicsConfig { most, ..TopicsConfig::default() }),
                now: Instant::now(),
            }
        }

        fn reserve(
            &self,
            name: &str,
            properties: Properties,
            ends: Option<u64>,
        ) -> Result<Reservation, NotMade> {
            let topic = Topic::parse(name).unwrap();
            let ends = ends.map(|seconds| self.now + Duration::from_secs(seconds));
            self.topics.reserve(0xFFFF_FFFF, topic.clone(), Some(topic), properties, ends, self.now)
        }

        fn make(&self, name: &str, properties: Properties, ends: Option<u64>) -> Configuration {
            self.reserve(name, properties, ends).unwrap().confirm(false, self.now).unwrap()
        }
    }

    fn most_subscribers(most: u64) -> Properties {
        Properties { max_subscribers: Some(most), ..Properties::default() }
    }

    #[test]
    fn a_topic_is_there_once_it_is_confirmed_and_its_name_is_taken_before() {
        let world = World::new(2);
        let reserved = world.reserve("a", Properties::default(), None).unwrap();
        assert_eq!(world.reserve("a", Properties::default(), None).unwrap_err(), NotMade::NameTaken);
        assert!(world.topics.all(world.now).is_empty());
        assert_eq!(world.topics.of_data(&Topic::parse("a").unwrap(), world.now), None);
        drop(reserved);
        assert!(world.topics.is_empty(), "what is not confirmed is gone");
        let (a, b) =
            (world.make("a", Properties::default(), None), world.make("b", Properties::default(), None));
        assert_eq!((a.id, b.id), (TopicId(u32::MAX), TopicId(0)), "ids differ, whatever chance says");
        assert_eq!(world.reserve("c", Properties::default(), None).unwrap_err(), NotMade::Full);
        assert_eq!(world.topics.of_data(&a.name, world.now), Some(a.clone()));
        assert!(world.topics.remove(a.id, world.now) && !world.topics.remove(a.id, world.now));
        assert_eq!((world.topics.find(a.id, world.now), world.topics.all(world.now).len()), (None, 1));
    }

    #[test]
    fn two_names_do_not_share_their_data() {
        let world = World::new(9);
        world.make("a", Properties::default(), None);
        let (name, data) = (Topic::parse("b").unwrap(), Topic::parse("a").unwrap());
        let made = world.topics.reserve(1, name.clone(), Some(data), Properties::default(), None, world.now);
        assert_eq!(made.unwrap_err(), NotMade::DataTaken);
        let elsewhere = world.topics.reserve(1, name, None, Properties::default(), None, world.now);
        assert!(elsewhere.is_ok());
    }

    #[test]
    fn a_topic_ends_at_its_time_with_all_that_hangs_on_it() {
        let mut world = World::new(9);
        let (long, short) = (
            world.make("long", Properties::default(), Some(100)),
            world.make("short", Properties::default(), Some(10)),
        );
        let seat = world.topics.seat(short.id, world.now).unwrap();
        assert_eq!(seat.terms(world.now).unwrap().ends, short.ends);
        world.now += Duration::from_secs(10);
        assert_eq!((seat.terms(world.now), world.topics.find(short.id, world.now)), (None, None));
        assert_eq!(world.topics.all(world.now), std::slice::from_ref(&long));
        world.make("short", Properties::default(), None);
        assert!(world.topics.replace(&long, Properties::default(), None, world.now));
        world.now += Duration::from_secs(1_000);
        assert_eq!(world.topics.all(world.now).len(), 2, "what has no date any more stays");
    }

    #[test]
    fn no_more_subscribers_than_it_says_and_the_latest_go_when_it_says_less() {
        let world = World::new(9);
        let topic = world.make("a", most_subscribers(2), None);
        let seat = || world.topics.seat(topic.id, world.now);
        let (first, second) = (seat().unwrap(), seat().unwrap());
        assert!(seat().is_none());
        drop(first);
        let third = seat().unwrap();
        assert!(world.topics.replace(&topic, most_subscribers(1), None, world.now));
        assert!(second.terms(world.now).is_some() && third.terms(world.now).is_none());
        drop(third);
        assert!(seat().is_none(), "whoever was dismissed has no place to give up");
        drop(second);
        assert!(seat().is_some());
    }

    #[test]
    fn what_was_changed_meanwhile_is_not_replaced() {
        let world = World::new(9);
        let topic = world.make("a", Properties::default(), None);
        assert!(world.topics.replace(&topic, most_subscribers(1), None, world.now));
        assert!(!world.topics.replace(&topic, most_subscribers(2), None, world.now));
        let now = world.topics.find(topic.id, world.now).unwrap();
        assert_eq!(now.properties.max_subscribers, Some(1));
    }

    #[test]
    fn whether_there_was_data_is_told_to_one_only() {
        let world = World::new(9);
        let topic = world.make("a", Properties::default(), None);
        assert!(!world.topics.note_data(topic.id, true, world.now));
        assert!(world.topics.note_data(topic.id, true, world.now));
    }

    #[test]
    fn a_path_segment_is_read_as_it_is_written_only() {
        assert_eq!(TopicId::parse("1f"), Some(TopicId(0x1F)));
        for segment in ["", "1F", "01f", "+1", "x", "100000000"] {
            assert_eq!(TopicId::parse(segment), None, "{segment}");
        }
    }
}
