use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::Arc;

use bus::{Filter, Message, Topic};
use serde::{Deserialize, Serialize};

/// Which waiting messages are handed over first: by priority, then by age. At a full queue those of the lowest
/// priority go first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriorityConfig {
    /// Where topics stand that none of the filters matches.
    pub default: DefaultPriority,
    /// From topic filter to priority, 1 to 255; a topic that several match has the highest.
    pub topics: BTreeMap<String, NonZeroU8>,
}

/// Where topics without a priority stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultPriority {
    /// Behind all others.
    #[default]
    Lowest,
    /// Before all others.
    Highest,
}

/// A message's place in queues: higher goes first.
pub(crate) type Priority = u16;

/// The priorities of all topics; nothing is looked up where there are none.
pub(crate) struct Priorities {
    filters: Vec<(Filter, Priority)>,
    default: Priority,
}

impl PriorityConfig {
    /// The first filter that cannot be used.
    pub fn invalid(&self) -> Option<&str> {
        let is_invalid =
            |text: &&String| Filter::parse(text).map_or(true, |filter| filter.pattern() != text.as_str());
        self.topics.keys().find(is_invalid).map(String::as_str)
    }
}

impl Priorities {
    pub(crate) fn new(config: &PriorityConfig) -> Self {
        let filters = config
            .topics
            .iter()
            .filter_map(|(text, priority)| Some((Filter::parse(text).ok()?, Priority::from(priority.get()))));
        let default = match config.default {
            DefaultPriority::Lowest => 0,
            DefaultPriority::Highest => Priority::from(u8::MAX) + 1,
        };
        Self { filters: filters.collect(), default }
    }

    #[inline]
    pub(crate) fn of(&self, topic: &Topic) -> Priority {
        if self.filters.is_empty() { 0 } else { self.highest(topic) }
    }

    /// The messages of each priority there is, in their order.
    pub(crate) fn sort(&self, messages: Vec<Arc<Message>>) -> BTreeMap<Priority, Vec<Arc<Message>>> {
        if self.filters.is_empty() {
            return BTreeMap::from([(0, messages)]);
        }
        let mut sorted = BTreeMap::<Priority, Vec<_>>::new();
        for message in messages {
            sorted.entry(self.of(&message.topic)).or_default().push(message);
        }
        sorted
    }

    #[cold]
    fn highest(&self, topic: &Topic) -> Priority {
        let matching = self.filters.iter().filter(|(filter, _)| filter.matches(topic.as_str()));
        matching.map(|(_, priority)| *priority).max().unwrap_or(self.default)
    }
}
