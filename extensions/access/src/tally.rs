use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many names are counted at once. Beyond that, new ones are not, until others were silent for their time.
const MOST_NAMES: usize = 100_000;

/// Counts by name how often something happens in a span of time. It keeps no name, only a number made of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    numbers: RandomState,
    counts: Mutex<HashMap<u64, (Instant, u32)>>,
    sweeps: Sweeps,
}

/// When a full table was last gone through. A flood of new names would have it done for each of them.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(Mutex<Option<Instant>>);

impl Tally {
    /// How often it happened to this name since its time began, this time included. A time begins with what happens
    /// first after the last one.
    pub(crate) fn count(&self, name: impl Hash, span: Duration, now: Instant) -> u32 {
        let number = self.numbers.hash_one(name);
        let mut counts = self.counts.lock();
        if counts.len() >= MOST_NAMES && !counts.contains_key(&number) {
            if self.sweeps.is_due(span, now) {
                counts.retain(|_, (began, _)| now.saturating_duration_since(*began) < span);
            }
            if counts.len() >= MOST_NAMES {
                return 1;
            }
        }
        let (began, count) = counts.entry(number).or_insert((now, 0));
        if now.saturating_duration_since(*began) >= span {
            (*began, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count
    }

    /// Begins anew for this name.
    pub(crate) fn forget(&self, name: impl Hash) {
        self.counts.lock().remove(&self.numbers.hash_one(name));
    }
}

impl Sweeps {
    /// Whether it may be done now, for entries that last so long.
    pub(crate) fn is_due(&self, span: Duration, now: Instant) -> bool {
        let mut last = self.0.lock();
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= span / 8);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    #[test]
    fn each_name_is_counted_in_its_own_time() {
        let (tally, start) = (Tally::default(), Instant::now());
        assert_eq!(tally.count("a", SPAN, start), 1);
        assert_eq!(tally.count("a", SPAN, start + SPAN / 2), 2);
        assert_eq!(tally.count("b", SPAN, start + SPAN / 2), 1);
        assert_eq!(tally.count("a", SPAN, start + SPAN), 1);
        assert_eq!(tally.count("b", SPAN, start + SPAN), 2);
        tally.forget("b");
        assert_eq!(tally.count("b", SPAN, start + SPAN), 1);
    }

    #[test]
    fn what_is_counted_is_bounded_and_frees_itself() {
        let (tally, start) = (Tally::default(), Instant::now());
        for name in 0..MOST_NAMES + 10 {
            tally.count(name, SPAN, start);
        }
        assert_eq!(tally.counts.lock().len(), MOST_NAMES);
        assert_eq!(tally.count("late", SPAN, start), 1);
        assert_eq!(tally.count("late", SPAN, start), 1, "there is no room for it");
        tally.count("later", SPAN, start + SPAN);
        assert_eq!(tally.counts.lock().len(), 1);
    }

    #[test]
    fn a_flood_of_names_does_not_have_them_all_looked_at_for_each() {
        let (tally, start) = (Tally::default(), Instant::now());
        for name in 0..MOST_NAMES {
            tally.count(name, SPAN, start);
        }
        tally.count("early", SPAN, start + SPAN - SPAN / 100);
        tally.count("soon after", SPAN, start + SPAN);
        assert_eq!(tally.counts.lock().len(), MOST_NAMES, "it was looked for room a moment ago");
        tally.count("later", SPAN, start + SPAN + SPAN / 8);
        assert_eq!(tally.counts.lock().len(), 1);
    }
}
