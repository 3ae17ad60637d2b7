use std::sync::atomic::{AtomicU64, Ordering};

use bus::{Filter, Topic};

use crate::hashing::Hashing;
use crate::label::split;

/// Tells whether what a topic matched may have changed: each change of a filter counts on one counter of many, and a
/// topic is concerned by few of them.
pub(crate) struct Epochs {
    /// All changes.
    all: AtomicU64,
    /// The first is for filters that begin with a wildcard.
    counters: Box<[AtomicU64]>,
    hashing: Hashing,
}

/// Which counters concern a topic, and what they said.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stamp {
    counters: [u16; 4],
    sum: u64,
}

const COUNTERS: u16 = 1024;

impl Epochs {
    pub(crate) fn now(&self) -> u64 {
        self.all.load(Ordering::Acquire)
    }

    /// A filter was changed, and whoever looks now finds it so.
    pub(crate) fn change(&self, filter: &Filter) {
        let pattern = filter.pattern().as_bytes();
        let at = if filter.has_wildcard() { self.of_wildcards(pattern) } else { self.of(pattern) };
        self.counter(at).fetch_add(1, Ordering::AcqRel);
        self.all.fetch_add(1, Ordering::AcqRel);
    }

    /// What the counters that concern the topic say.
    pub(crate) fn stamp(&self, topic: &Topic) -> Stamp {
        let topic = topic.as_str().as_bytes();
        let (first, second) = heads(topic);
        let counters = [0, self.of(first), self.of(second), self.of(topic)];
        Stamp { counters, sum: self.sum(&counters) }
    }

    /// Whether they still say it. A change that [`Epochs::now`] counted before it was asked is seen.
    pub(crate) fn is_current(&self, stamp: &Stamp) -> bool {
        self.sum(&stamp.counters) == stamp.sum
    }

    /// None of them ever falls, so that the sum is the same only if all are.
    fn sum(&self, counters: &[u16; 4]) -> u64 {
        counters.iter().map(|at| self.counter(*at).load(Ordering::Acquire)).fold(0, u64::wrapping_add)
    }

    /// The counter of filters with wildcards that begin like this one.
    fn of_wildcards(&self, pattern: &[u8]) -> u16 {
        let (first, second) = heads(pattern);
        let is_plain = |levels: &[u8]| !levels.ends_with(b"+") && !levels.ends_with(b"#");
        match (is_plain(first), is_plain(second)) {
            (false, _) => 0,
            (true, false) => self.of(first),
            (true, true) => self.of(second),
        }
    }

    fn of(&self, levels: &[u8]) -> u16 {
        1 + (self.hashing.of(levels) % u64::from(COUNTERS - 1)) as u16
    }

    fn counter(&self, at: u16) -> &AtomicU64 {
        self.counters.get(usize::from(at)).unwrap_or(&self.all)
    }
}

impl Default for Epochs {
    fn default() -> Self {
        let counters = (0..COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Self { all: AtomicU64::new(0), counters, hashing: Hashing::default() }
    }
}

/// The first level, and the first two.
fn heads(levels: &[u8]) -> (&[u8], &[u8]) {
    let (first, below) = split(levels);
    let second = below.map_or(first.len(), |below| first.len() + 1 + split(below).0.len());
    (first, levels.get(..second).unwrap_or(levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_concerns_the_topics_that_it_matches_and_few_others() {
        let epochs = Epochs::default();
        let topics = ["a", "a/b", "a/b/c", "a/b/c/d", "$x/b", "/", "a/"].map(|t| Topic::parse(t).unwrap());
        let filters =
            ["#", "+", "a", "a/#", "a/+", "a/b", "a/b/#", "a/b/c", "a/b/+/d", "+/b/c", "$x/+", "/", "a/"];
        for filter in filters {
            let stamps: Vec<_> = topics.iter().map(|topic| epochs.stamp(topic)).collect();
            let filter = Filter::parse(filter).unwrap();
            epochs.change(&filter);
            for (topic, stamp) in topics.iter().zip(&stamps) {
                let stale = !epochs.is_current(stamp);
                assert!(stale || !filter.matches(topic.as_str()), "{filter} changed {topic}");
            }
        }
        let far: Vec<_> = (0..100).map(|n| Topic::parse(&format!("far/{n}/x")).unwrap()).collect();
        let stamps: Vec<_> = far.iter().map(|topic| epochs.stamp(topic)).collect();
        epochs.change(&Filter::parse("a/b/#").unwrap());
        let stale = stamps.iter().filter(|stamp| !epochs.is_current(stamp)).count();
        assert!(
            stale < 10 || stale == 100,
            "a hundred topics share the first level's counter alone: {stale}"
        );
    }
}
