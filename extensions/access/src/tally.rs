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
}

impl Tally {
    /// How often it happened to this name since its time began, this time included. A time begins with what happens
    /// first after the last one.
    pub(crate) fn count(&self, name: impl Hash, span: Duration, now: Instant) -> u32 {
        let number = self.numbers.hash_one(name);
        let mut counts = self.counts.lock();
        if counts.len() >= MOST_NAMES && !counts.contains_key(&number) {
            counts.retain(|_, (began, _)| now.saturating_duration_since(*began) < span);
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
}
