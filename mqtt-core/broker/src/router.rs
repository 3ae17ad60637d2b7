use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::{Filter, Matched, Message, Qos, Topic};
use parking_lot::{Mutex, RwLock};

use crate::entries::{Entries, Entry};
use crate::record::Record;
use crate::share::{GroupRoute, Strategies, Turn};

/// Who is owed a message on a topic.
#[derive(Default)]
pub(crate) struct Router {
    tables: RwLock<Tables>,
    /// Changes with every subscription, so that routes found earlier are known to be stale.
    epoch: AtomicU64,
    /// The last routes with many targets: too large to be remembered by each publisher.
    wide: Mutex<VecDeque<(Topic, Arc<Routes>)>>,
    strategies: Strategies,
}

/// What a topic matched.
#[derive(Default)]
pub(crate) struct Routes {
    pub(crate) epoch: u64,
    pub(crate) targets: Vec<Target>,
    pub(crate) groups: Vec<GroupRoute>,
}

/// One session, with all its subscriptions that matched.
pub(crate) struct Target {
    pub(crate) record: Arc<Record>,
    /// For what others publish.
    hit: Hit,
    /// For what the session itself publishes; `None` if every subscription is no-local.
    own: Option<Hit>,
    /// All its subscriptions if one has a condition: each is judged by itself, for each message.
    judged: Option<Box<[Entry]>>,
}

/// How a message is handed to a session.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) matched: Matched,
    pub(crate) qos: Qos,
    pub(crate) retain_as_published: bool,
}

#[derive(Default)]
struct Tables {
    /// Filters without wildcards, found in one step.
    exact: HashMap<Box<str>, Here>,
    wild: Node,
}

#[derive(Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    plus: Option<Box<Node>>,
    /// Filters that end here.
    here: Here,
    /// Filters that end here with `#`.
    rest: Here,
}

/// The subscriptions of one filter.
#[derive(Default)]
struct Here {
    entries: Entries,
    groups: Vec<Group>,
}

struct Group {
    filter: Filter,
    members: Entries,
    turn: Arc<Turn>,
}

/// How many targets a publisher remembers.
const FEW: usize = 32;

/// How many routes with more targets are remembered for all publishers together.
const WIDE_KEPT: usize = 16;

impl Router {
    pub(crate) fn new(strategies: Strategies) -> Self {
        Self { strategies, ..Self::default() }
    }

    /// Adds a subscription; `old` is the one it replaces on the same filter.
    pub(crate) fn insert(&self, filter: &Filter, entry: Entry, old: Option<&Entry>) {
        let mut tables = self.tables.write();
        let entries = tables.place(filter).entries_of(filter, &self.strategies);
        match old.and_then(|old| entries.find(old)) {
            Some(at) => entries.replace(at, entry),
            None => entries.push(entry),
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Removes a subscription.
    pub(crate) fn remove(&self, filter: &Filter, entry: &Entry) {
        let mut tables = self.tables.write();
        if filter.has_wildcard() {
            let levels: Vec<&str> = filter.levels().collect();
            tables.wild.remove(&levels, &mut |here| here.remove(filter, entry, &self.strategies));
        } else if let Some(here) = tables.exact.get_mut(filter.pattern()) {
            here.remove(filter, entry, &self.strategies);
            if here.is_empty() {
                tables.exact.remove(filter.pattern());
            }
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The number that routes found now would have.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether routes found earlier still hold.
    fn is_current(&self, routes: &Routes) -> bool {
        routes.epoch == self.epoch.load(Ordering::Acquire)
    }

    /// What the topic matches. `last` is what the publisher remembers: routes with few targets, so that it neither
    /// costs much nor keeps many records of others alive.
    pub(crate) fn find(&self, topic: &Topic, last: &mut Option<(Topic, Arc<Routes>)>) -> Arc<Routes> {
        if let Some((_, found)) =
            last.as_ref().filter(|(known, found)| known == topic && self.is_current(found))
        {
            return found.clone();
        }
        *last = None;
        if let Some(found) = self.find_wide(topic) {
            return found;
        }
        let found = Arc::new(self.routes(topic));
        if found.is_wide() {
            let mut wide = self.wide.lock();
            wide.retain(|(known, found)| known != topic && self.is_current(found));
            wide.truncate(WIDE_KEPT - 1);
            wide.push_front((topic.clone(), found.clone()));
        } else {
            *last = Some((topic.clone(), found.clone()));
        }
        found
    }

    fn find_wide(&self, topic: &Topic) -> Option<Arc<Routes>> {
        let wide = self.wide.lock();
        let known = wide.iter().find(|(known, _)| known == topic);
        known.filter(|(_, found)| self.is_current(found)).map(|(_, found)| found.clone())
    }

    /// Everybody who is owed a message on this topic, each once.
    pub(crate) fn routes(&self, topic: &Topic) -> Routes {
        let tables = self.tables.read();
        let mut routes = Routes { epoch: self.epoch.load(Ordering::Acquire), ..Routes::default() };
        let mut found = Vec::new();
        if let Some(here) = tables.exact.get(topic.as_str()) {
            here.collect(&mut found, &mut routes.groups);
        }
        let levels: Vec<&str> = topic.levels().collect();
        let hidden = topic.as_str().starts_with('$');
        tables.wild.collect(&levels, hidden, &mut found, &mut routes.groups);
        routes.targets = merge(&found);
        routes
    }
}

impl Routes {
    fn is_wide(&self) -> bool {
        let members = self.groups.iter().map(GroupRoute::len);
        self.targets.len() + members.sum::<usize>() > FEW
    }
}

impl Target {
    /// How the session is handed the message; `None` if not at all. `own`: the session itself published it.
    #[inline]
    pub(crate) fn hit(&self, message: &Message, own: bool) -> Option<Cow<'_, Hit>> {
        match &self.judged {
            None => if own { self.own.as_ref() } else { Some(&self.hit) }.map(Cow::Borrowed),
            Some(entries) => judge(entries, message, own).map(Cow::Owned),
        }
    }

    /// Whether a subscription has a condition.
    pub(crate) fn is_judged(&self) -> bool {
        self.judged.is_some()
    }
}

impl Tables {
    fn place(&mut self, filter: &Filter) -> &mut Here {
        if !filter.has_wildcard() {
            return self.exact.entry(filter.pattern().into()).or_default();
        }
        let mut node = &mut self.wild;
        for level in filter.levels() {
            node = match level {
                "#" => return &mut node.rest,
                "+" => node.plus.get_or_insert_default(),
                level => {
                    if !node.children.contains_key(level) {
                        node.children.insert(level.into(), Node::default());
                    }
                    node.children.get_mut(level).expect("it was just put there")
                }
            };
        }
        &mut node.here
    }
}

impl Node {
    /// Takes a filter away below this node, and nodes that are empty then.
    fn remove(&mut self, levels: &[&str], take: &mut impl FnMut(&mut Here)) {
        match levels {
            [] => take(&mut self.here),
            ["#", ..] => take(&mut self.rest),
            ["+", below @ ..] => {
                if let Some(plus) = &mut self.plus {
                    plus.remove(below, take);
                    if plus.is_empty() {
                        self.plus = None;
                    }
                }
            }
            [level, below @ ..] => {
                if let Some(child) = self.children.get_mut(*level) {
                    child.remove(below, take);
                    if child.is_empty() {
                        self.children.remove(*level);
                    }
                }
            }
        }
    }

    /// `hidden`: the topic begins with `$`, which wildcards of the first level do not match [MQTT-4.7.2-1].
    fn collect<'a>(
        &'a self,
        levels: &[&str],
        hidden: bool,
        found: &mut Vec<&'a Entry>,
        groups: &mut Vec<GroupRoute>,
    ) {
        if !hidden {
            self.rest.collect(found, groups);
        }
        let Some((level, below)) = levels.split_first() else {
            return self.here.collect(found, groups);
        };
        if let Some(child) = self.children.get(*level) {
            child.collect(below, false, found, groups);
        }
        if let Some(plus) = self.plus.as_ref().filter(|_| !hidden) {
            plus.collect(below, false, found, groups);
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.plus.is_none() && self.here.is_empty() && self.rest.is_empty()
    }
}

impl Here {
    fn entries_of(&mut self, filter: &Filter, strategies: &Strategies) -> &mut Entries {
        let Some(name) = filter.share() else { return &mut self.entries };
        let groups = &mut self.groups;
        // The pattern is the same for all that is here; conditions do not part a group.
        let at = groups.iter().position(|group| group.filter.share() == Some(name)).unwrap_or_else(|| {
            let (group, turn) = (filter.group().unwrap_or_else(|| filter.clone()), strategies.turn(name));
            groups.push(Group { filter: group, members: Entries::default(), turn });
            groups.len() - 1
        });
        &mut groups.get_mut(at).expect("it was found or just put there").members
    }

    fn remove(&mut self, filter: &Filter, entry: &Entry, strategies: &Strategies) {
        let entries = self.entries_of(filter, strategies);
        if let Some(at) = entries.find(entry) {
            entries.remove(at);
        }
        self.groups.retain(|group| !group.members.is_empty());
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Entry>, groups: &mut Vec<GroupRoute>) {
        found.extend(self.entries.iter());
        for group in &self.groups {
            let members: Vec<&Entry> = group.members.iter().collect();
            groups.push(GroupRoute::new(group.filter.clone(), merge(&members), group.turn.clone()));
        }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.groups.is_empty()
    }
}

/// One target per session: it gets the message once, at the best guarantee, with every id that matched.
fn merge(found: &[&Entry]) -> Vec<Target> {
    let mut order: HashMap<*const Record, usize> = HashMap::with_capacity(found.len());
    let mut sessions: Vec<Vec<&Entry>> = Vec::with_capacity(found.len());
    for entry in found {
        let at = *order.entry(Arc::as_ptr(&entry.record)).or_insert_with(|| {
            sessions.push(Vec::with_capacity(1));
            sessions.len() - 1
        });
        if let Some(entries) = sessions.get_mut(at) {
            entries.push(entry);
        }
    }
    sessions.iter().filter_map(|entries| target(entries)).collect()
}

fn target(entries: &[&Entry]) -> Option<Target> {
    let record = entries.first()?.record.clone();
    let hit = hit(entries.iter().copied())?;
    let own = match entries.iter().any(|entry| entry.options.no_local) {
        true => self::hit(entries.iter().copied().filter(|entry| !entry.options.no_local)),
        false => Some(hit.clone()),
    };
    let has_condition = entries.iter().any(|entry| entry.condition.is_some());
    let judged = has_condition.then(|| entries.iter().map(|entry| (*entry).clone()).collect());
    Some(Target { record, hit, own, judged })
}

/// What is left of a hit where each subscription is judged.
#[inline(never)]
fn judge(entries: &[Entry], message: &Message, own: bool) -> Option<Hit> {
    let entries = entries.iter().filter(|entry| !(own && entry.options.no_local));
    hit(entries.filter(|entry| entry.accepts(message)))
}

fn hit<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<Hit> {
    let (mut ids, mut qos, mut retain_as_published) = (Vec::with_capacity(1), Qos::AtMostOnce, false);
    for entry in entries {
        ids.push(entry.id);
        qos = qos.max(entry.options.qos);
        retain_as_published |= entry.options.retain_as_published;
    }
    (!ids.is_empty()).then(|| Hit { matched: ids.into(), qos, retain_as_published })
}

#[cfg(test)]
mod tests {
    use bus::SubscriptionId;

    use super::*;

    fn entry(record: &Arc<Record>, id: SubscriptionId) -> Entry {
        Entry { record: record.clone(), id, options: Default::default(), condition: None }
    }

    /// What went wrong: every publisher kept the routes of its last topic, with the sessions in it, however many
    /// there were, and whether or not these had ended.
    #[test]
    fn a_publisher_remembers_few_targets_and_many_are_remembered_once() {
        let (router, topic) = (Router::default(), Topic::parse("t").unwrap());
        let filter = Filter::exactly(&topic);
        let record = |n: usize| Arc::new(Record::new(bus::ClientId::parse(&n.to_string()).unwrap()));
        let records: Vec<_> = (0..=FEW).map(record).collect();
        let insert = |record| router.insert(&filter, entry(record, SubscriptionId(0)), None);
        records.iter().skip(1).for_each(insert);
        let (mut one, mut other) = (None, None);
        assert_eq!(router.find(&topic, &mut one).targets.len(), FEW);
        assert!(one.is_some());
        insert(&records[0]);
        let found = router.find(&topic, &mut one);
        assert_eq!((found.targets.len(), one.is_none()), (FEW + 1, true));
        assert!(Arc::ptr_eq(&found, &router.find(&topic, &mut other)) && other.is_none());
        router.remove(&filter, &entry(&records[0], SubscriptionId(0)));
        assert_eq!(router.find(&topic, &mut other).targets.len(), FEW);
    }

    #[test]
    fn each_of_many_subscriptions_of_one_filter_is_found_and_removed() {
        let (router, topic) = (Router::default(), Topic::parse("t").unwrap());
        let filter = Filter::exactly(&topic);
        let record = |n: usize| Arc::new(Record::new(bus::ClientId::parse(&n.to_string()).unwrap()));
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
                assert_eq!(mine.unwrap().hit.matched.as_slice(), vec![id(n); times]);
                router.remove(&filter, &entry(&records[n], id(n)));
            }
            assert_eq!(router.routes(&topic).targets.len(), left);
        }
        assert!(router.tables.read().exact.is_empty());
    }
}
