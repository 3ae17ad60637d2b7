use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use bus::{Filter, Topic};
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::entries::Entry;
use crate::epochs::{Epochs, Stamp};
use crate::here::{Group, Here};
use crate::label::Label;
use crate::share::{GroupRoute, Strategies};
use crate::target::{Targets, merge};
use crate::tree::{SLACK, Tree, Vacant};

/// Who is owed a message on a topic.
#[derive(Default)]
pub(crate) struct Router {
    tables: RwLock<Tables>,
    /// Change with every subscription, so that routes found earlier are known to be stale.
    epochs: Epochs,
    /// The last routes with many targets: too large to be remembered by each publisher.
    wide: Mutex<VecDeque<(Topic, Arc<Known>)>>,
    strategies: Strategies,
}

/// What a topic matches at some epoch.
pub(crate) struct Routes {
    pub(crate) epoch: u64,
    known: Arc<Known>,
}

/// What a topic matched, to be remembered.
pub(crate) struct Known {
    stamp: Stamp,
    pub(crate) targets: Targets,
    pub(crate) groups: Vec<GroupRoute>,
    /// Whether every message of the topic goes to the same sessions.
    pub(crate) is_plain: bool,
}

/// What the last topic of a publisher matched: routes with few targets, or where those with many are remembered, so
/// that it neither costs much nor keeps many records of others alive.
#[derive(Default)]
pub(crate) enum Last {
    #[default]
    Nothing,
    /// A topic that did not come twice is not worth more.
    Once(Topic),
    Few(Topic, Arc<Known>),
    Many(Topic, Weak<Known>),
}

#[derive(Default)]
struct Tables {
    /// Filters without wildcards, found in one step.
    exact: HashTable<Exact>,
    wild: Tree<Here>,
}

struct Exact {
    topic: Label<SHORT>,
    here: Here,
}

/// How many targets a publisher remembers.
const FEW: usize = 32;

/// How many routes with more targets are remembered for all publishers together.
const WIDE_KEPT: usize = 16;

/// How long a topic is that is kept in place.
const SHORT: usize = 38;

impl Router {
    pub(crate) fn new(strategies: Strategies) -> Self {
        Self { strategies, ..Self::default() }
    }

    /// Adds a subscription; `old` is the one it replaces on the same filter.
    pub(crate) fn insert(&self, filter: &Filter, entry: Entry, old: Option<&Entry>) {
        let mut tables = self.tables.write();
        tables.place(filter).insert(filter, entry, old, &self.strategies);
        self.epochs.change(filter);
    }

    /// Removes a subscription.
    pub(crate) fn remove(&self, filter: &Filter, entry: &Entry) {
        let mut tables = self.tables.write();
        tables.change(filter, |here| here.remove(filter, entry));
        self.epochs.change(filter);
    }

    /// The number of the last change.
    pub(crate) fn epoch(&self) -> u64 {
        self.epochs.now()
    }

    /// What the topic matches.
    pub(crate) fn find(&self, topic: &Topic, last: &mut Last) -> Routes {
        let epoch = self.epochs.now();
        if let Some(known) = last.known(topic).filter(|known| self.epochs.is_current(&known.stamp)) {
            return Routes { epoch, known };
        }
        let is_next = last.is_of(topic);
        *last = Last::Nothing;
        if let Some(known) = self.find_few(topic, is_next) {
            *last = match is_next {
                true => Last::Few(topic.clone(), known.clone()),
                false => Last::Once(topic.clone()),
            };
            return Routes { epoch, known };
        }
        let known = self.known_wide(topic).unwrap_or_else(|| self.find_many(topic));
        *last = Last::Many(topic.clone(), Arc::downgrade(&known));
        Routes { epoch, known }
    }

    /// Routes with few targets; `is_kept`: the stamp of these will be asked for.
    fn find_few(&self, topic: &Topic, is_kept: bool) -> Option<Arc<Known>> {
        let tables = self.tables.read();
        let found = tables.find(topic);
        let is_few = found.iter().map(|here| here.len()).sum::<usize>() <= FEW;
        let stamp = || if is_kept { self.epochs.stamp(topic) } else { Stamp::default() };
        is_few.then(|| Arc::new(Known::new(stamp(), found.iter().copied())))
    }

    /// Many sessions take their time, in which subscriptions may change.
    fn find_many(&self, topic: &Topic) -> Arc<Known> {
        let tables = self.tables.read();
        let stamp = self.epochs.stamp(topic);
        let found: Vec<Here> = tables.find(topic).into_iter().cloned().collect();
        drop(tables);
        let known = Arc::new(Known::new(stamp, found.iter()));
        let mut wide = self.wide.lock();
        let holds =
            |(other, known): &(Topic, Arc<Known>)| other != topic && self.epochs.is_current(&known.stamp);
        let (mut kept, gone): (VecDeque<_>, VecDeque<_>) = wide.drain(..).partition(holds);
        let older = kept.split_off(kept.len().min(WIDE_KEPT - 1));
        kept.push_front((topic.clone(), known.clone()));
        *wide = kept;
        drop(wide);
        drop((gone, older)); // that takes its time too
        known
    }

    fn known_wide(&self, topic: &Topic) -> Option<Arc<Known>> {
        let wide = self.wide.lock();
        let (_, known) = wide.iter().find(|(other, _)| other == topic)?;
        self.epochs.is_current(&known.stamp).then(|| known.clone())
    }

    #[cfg(test)]
    pub(crate) fn is_vacant(&self) -> bool {
        let tables = self.tables.read();
        tables.exact.is_empty() && tables.wild.is_vacant()
    }

    /// The same without anything remembered.
    pub(crate) fn routes(&self, topic: &Topic) -> Routes {
        let tables = self.tables.read();
        let known = Arc::new(Known::new(self.epochs.stamp(topic), tables.find(topic).iter().copied()));
        Routes { epoch: self.epochs.now(), known }
    }
}

impl Deref for Routes {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known
    }
}

impl Known {
    /// Everybody who is owed a message because of these subscriptions, each once.
    fn new<'a>(stamp: Stamp, found: impl Iterator<Item = &'a Here> + Clone) -> Self {
        let entries: SmallVec<[&Entry; 8]> = found.clone().flat_map(Here::entries).collect();
        let groups: Vec<_> = found.flat_map(Here::groups).map(Group::route).collect();
        let is_plain = groups.is_empty() && entries.iter().all(|entry| entry.condition.is_none());
        Self { stamp, targets: merge(&entries), groups, is_plain }
    }
}

impl Last {
    fn is_of(&self, topic: &Topic) -> bool {
        match self {
            Self::Nothing => false,
            Self::Once(last) | Self::Few(last, _) | Self::Many(last, _) => last == topic,
        }
    }

    fn known(&self, topic: &Topic) -> Option<Arc<Known>> {
        match self {
            Self::Few(last, known) if last == topic => Some(known.clone()),
            Self::Many(last, known) if last == topic => known.upgrade(),
            _ => None,
        }
    }
}

impl Tables {
    fn place(&mut self, filter: &Filter) -> &mut Here {
        let pattern = filter.pattern();
        if filter.has_wildcard() {
            return self.wild.place(pattern);
        }
        let (hashing, topic) = (&self.wild.hashing, pattern.as_bytes());
        let is = |exact: &Exact| exact.topic.as_bytes() == topic;
        let fresh = || Exact { topic: Label::new(topic), here: Here::default() };
        let exact = self.exact.entry(hashing.of(topic), is, |exact| hashing.of(exact.topic.as_bytes()));
        &mut exact.or_insert_with(fresh).into_mut().here
    }

    fn change(&mut self, filter: &Filter, change: impl FnOnce(&mut Here)) {
        let pattern = filter.pattern();
        if filter.has_wildcard() {
            self.wild.change(pattern, change);
            return;
        }
        let (hashing, topic) = (&self.wild.hashing, pattern.as_bytes());
        let found = self.exact.find_entry(hashing.of(topic), |exact| exact.topic.as_bytes() == topic);
        let Ok(mut found) = found else { return };
        change(&mut found.get_mut().here);
        if found.get().here.is_vacant() {
            found.remove();
        }
        if self.exact.len() * SLACK < self.exact.capacity() {
            self.exact.shrink_to(self.exact.len() * 2, |exact| hashing.of(exact.topic.as_bytes()));
        }
    }

    /// The subscriptions of all filters that match.
    fn find(&self, topic: &Topic) -> SmallVec<[&Here; 8]> {
        let mut found = SmallVec::new();
        let text = topic.as_str();
        let hash = self.wild.hashing.of(text.as_bytes());
        let exact = self.exact.find(hash, |exact| exact.topic.as_bytes() == text.as_bytes());
        found.extend(exact.map(|exact| &exact.here));
        self.wild.of_topic(text, &mut |here: &Here| {
            if !here.is_vacant() {
                found.push(here);
            }
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use bus::{ClientId, SubscribeOptions, SubscriptionId};

    use super::*;
    use crate::record::Record;

    fn record(n: usize) -> Arc<Record> {
        Arc::new(Record::new(ClientId::parse(&n.to_string()).unwrap()))
    }

    fn entry(record: &Arc<Record>, id: SubscriptionId) -> Entry {
        Entry { record: record.clone(), id, options: SubscribeOptions::default(), condition: None }
    }

    /// What went wrong: every publisher kept the routes of its last topic, with the sessions in it, however many
    /// there were, and whether or not these had ended.
    #[test]
    fn a_publisher_remembers_few_targets_and_many_are_remembered_once() {
        let (router, topic) = (Router::default(), Topic::parse("t").unwrap());
        let filter = Filter::exactly(&topic);
        let records: Vec<_> = (0..=FEW).map(record).collect();
        let insert = |record| router.insert(&filter, entry(record, SubscriptionId(0)), None);
        records.iter().skip(1).for_each(insert);
        let (mut one, mut other) = (Last::Nothing, Last::Nothing);
        assert_eq!(router.find(&topic, &mut one).targets.len(), FEW);
        assert!(matches!(one, Last::Once(..)));
        assert_eq!(router.find(&topic, &mut one).targets.len(), FEW);
        assert!(matches!(one, Last::Few(..)));
        insert(&records[0]);
        let found = router.find(&topic, &mut one);
        assert_eq!(found.targets.len(), FEW + 1);
        assert!(Arc::ptr_eq(&found.known, &router.find(&topic, &mut other).known));
        assert_eq!(Arc::strong_count(&found.known), 2, "by no publisher");
        router.remove(&filter, &entry(&records[0], SubscriptionId(0)));
        assert_eq!(router.find(&topic, &mut other).targets.len(), FEW);
    }

    #[test]
    fn each_of_many_subscriptions_of_one_filter_is_found_and_removed() {
        let (router, topic) = (Router::default(), Topic::parse("t").unwrap());
        let filter = Filter::exactly(&topic);
        let records: Vec<_> = (0..640).map(record).collect();
        let id = |n: usize| SubscriptionId(n as u32 % 3);
        for (n, record) in records.iter().enumerate() {
            router.insert(&filter, entry(record, SubscriptionId(7)), None);
            router.insert(&filter, entry(record, id(n)), Some(&entry(record, SubscriptionId(7))));
            router.insert(&filter, entry(record, id(n)), None); // by id as well
        }
        for left in (0..records.len()).rev() {
            let n = left * 7 % records.len();
            for times in [2, 1] {
                let routes = router.routes(&topic);
                let mine = routes.targets.iter().find(|target| Arc::ptr_eq(&target.record, &records[n]));
                assert_eq!(mine.unwrap().matched(), vec![id(n); times]);
                router.remove(&filter, &entry(&records[n], id(n)));
            }
            assert_eq!(router.routes(&topic).targets.len(), left);
        }
        assert!(router.tables.read().exact.is_empty());
    }

    #[test]
    fn a_filter_of_its_own_costs_little() {
        assert_eq!((size_of::<Here>(), size_of::<Exact>()), (32, 72));
        assert_eq!(size_of::<crate::tree::Stem<Here>>(), 56);
        assert_eq!(size_of::<crate::target::Target>(), 40);
    }
}
