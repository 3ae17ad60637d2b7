use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::{Chance, Filter, Message, Qos};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::record::Record;
use crate::target::{Hit, Target, Targets};

/// Which member of a share group gets a message. One node is all there is, so that all members are local to it and
/// no strategy prefers those.
///
/// Whatever the strategy says, a member whose client is there and whose queue has room goes before one that is away
/// and would keep the message, and that one before a member whose queue is full. Members whose condition the
/// message does not meet are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareStrategy {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// Any, by chance.
    Random,
    /// The same as before, for as long as it can take messages.
    Sticky,
    /// The same for all messages of one publisher's client id.
    HashClientId,
    /// The same for all messages of one topic.
    HashTopic,
}

/// The strategies of all groups.
#[derive(Default)]
pub(crate) struct Strategies {
    usual: ShareStrategy,
    groups: BTreeMap<String, ShareStrategy>,
}

/// What a group remembers of its last choice.
#[derive(Default)]
pub(crate) struct Turn {
    strategy: ShareStrategy,
    /// How many messages were given out; for a sticky group, the address of the member that has its turn.
    last: AtomicU64,
}

/// A share group that a topic matched: one of its members gets the message [MQTT5 4.8.2].
pub(crate) struct GroupRoute {
    pub(crate) filter: Filter,
    members: Targets,
    /// A number of each member's client id; only there for the strategies that hash.
    hashes: Vec<u64>,
    turn: Arc<Turn>,
}

/// The member that gets a message, and how it gets it.
pub(crate) struct Choice<'a> {
    pub(crate) record: &'a Arc<Record>,
    pub(crate) hit: Cow<'a, Hit>,
    pub(crate) fit: Fit,
}

/// How well a member can take a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Something will be lost.
    Full,
    /// It keeps the message until its client is back.
    Away,
    /// Its client is there.
    Ready,
}

impl Strategies {
    pub(crate) fn new(config: &Config) -> Self {
        Self { usual: config.share_strategy, groups: config.share_groups.clone() }
    }

    pub(crate) fn turn(&self, group: &str) -> Arc<Turn> {
        let strategy = self.groups.get(group).copied().unwrap_or(self.usual);
        Arc::new(Turn { strategy, last: AtomicU64::new(0) })
    }
}

impl GroupRoute {
    pub(crate) fn new(filter: Filter, members: Targets, turn: Arc<Turn>) -> Self {
        let is_hashed = matches!(turn.strategy, ShareStrategy::HashClientId | ShareStrategy::HashTopic);
        let hash_of = |member: &Target| hash(member.record.id.as_str());
        let hashes = if is_hashed { members.iter().map(hash_of).collect() } else { Vec::new() };
        Self { filter, members, hashes, turn }
    }

    #[cfg(test)]
    pub(crate) fn members(&self) -> &[Target] {
        &self.members
    }

    /// The member that gets the message; never `not`.
    pub(crate) fn choose<'a>(
        &'a self,
        message: &Message,
        not: Option<&Arc<Record>>,
        config: &Config,
    ) -> Option<Choice<'a>> {
        let choice = match self.turn.strategy {
            ShareStrategy::RoundRobin => {
                let turn = self.turn.last.fetch_add(1, Ordering::Relaxed);
                self.first_fit(self.from(turn), message, not, config)
            }
            ShareStrategy::Random => {
                let turn = self.turn.last.fetch_add(1, Ordering::Relaxed);
                self.first_fit(self.from(Chance::new(turn).next()), message, not, config)
            }
            ShareStrategy::Sticky => {
                let last = self.turn.last.load(Ordering::Relaxed);
                let at = self.members.iter().position(|member| address(&member.record) == last);
                self.first_fit(self.from(at.unwrap_or(0) as u64), message, not, config)
            }
            ShareStrategy::HashClientId => self.by_hash(message.origin.as_str(), message, not, config),
            ShareStrategy::HashTopic => self.by_hash(message.topic.as_str(), message, not, config),
        };
        if let Some(choice) = choice.as_ref().filter(|_| self.turn.strategy == ShareStrategy::Sticky) {
            self.turn.last.store(address(choice.record), Ordering::Relaxed);
        }
        choice
    }

    /// All members, beginning with one.
    fn from(&self, turn: u64) -> impl Iterator<Item = &Target> {
        let first = turn % (self.members.len() as u64).max(1);
        let (before, after) = self.members.split_at_checked(first as usize).unwrap_or_default();
        after.iter().chain(before)
    }

    /// The members in an order that depends on the key and on each member alone, so that a member who comes or goes
    /// changes no more than his own share.
    fn by_hash<'a>(
        &'a self,
        key: &str,
        message: &Message,
        not: Option<&Arc<Record>>,
        config: &Config,
    ) -> Option<Choice<'a>> {
        let key = hash(key);
        let weigh = |(member, hash): (&'a Target, &u64)| (Chance::new(key ^ hash).next(), member);
        let weighed = || self.members.iter().zip(&self.hashes).map(weigh);
        let heaviest = weighed().max_by_key(|(weight, _)| *weight)?.1;
        let choice = self.first_fit(std::iter::once(heaviest), message, not, config);
        if choice.as_ref().is_some_and(|choice| choice.fit == Fit::Ready) {
            return choice;
        }
        let mut order: Vec<_> = weighed().collect();
        order.sort_unstable_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        self.first_fit(order.into_iter().map(|(_, member)| member), message, not, config)
    }

    fn first_fit<'a>(
        &'a self,
        order: impl Iterator<Item = &'a Target>,
        message: &Message,
        not: Option<&Arc<Record>>,
        config: &Config,
    ) -> Option<Choice<'a>> {
        let mut best: Option<Choice<'a>> = None;
        for member in order.filter(|member| not.is_none_or(|not| !Arc::ptr_eq(&member.record, not))) {
            let Some(hit) = member.hit(message, false) else { continue };
            let fit = fit(&member.record, message, hit.qos, config);
            if best.as_ref().is_none_or(|best| best.fit < fit) {
                best = Some(Choice { record: &member.record, hit, fit });
            }
            if fit == Fit::Ready {
                break;
            }
        }
        best
    }
}

fn fit(record: &Record, message: &Message, qos: Qos, config: &Config) -> Fit {
    let size = message.size();
    let state = record.lock();
    if state.ended || !state.queue().has_room(1, size, config) {
        return Fit::Full;
    }
    let kept = qos.min(message.qos) > Qos::AtMostOnce || config.queue_qos0_offline;
    match state.is_held() {
        true => Fit::Ready,
        false if kept => Fit::Away,
        false => Fit::Full,
    }
}

fn address(record: &Arc<Record>) -> u64 {
    Arc::as_ptr(record).addr() as u64
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
