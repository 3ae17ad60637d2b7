use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often each duration was seen, to about 3 %.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: Box<[AtomicU64]>,
    largest: AtomicU64,
}

/// A look at a histogram.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    counts: Vec<u64>,
    largest: u64,
}

/// Each power of two is divided so often.
const STEPS: u64 = 32;

/// Up to 2^40 microseconds.
const BUCKETS: usize = 40 * STEPS as usize;

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), largest: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, span: Duration) {
        let micros = span.as_micros().min(u64::MAX.into()) as u64;
        if let Some(count) = self.counts.get(bucket(micros)) {
            count.fetch_add(1, Relaxed);
        }
        if micros > self.largest.load(Relaxed) {
            self.largest.fetch_max(micros, Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let counts = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        Snapshot { counts, largest: self.largest.load(Relaxed) }
    }
}

impl Snapshot {
    /// What came since an earlier look.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().chain(std::iter::repeat(&0));
        let counts = self.counts.iter().zip(before).map(|(now, before)| now - before).collect();
        Self { counts, largest: self.largest }
    }

    /// The duration that this part of all is not longer than; `None` when nothing was seen.
    pub(super) fn quantile(&self, part: f64) -> Option<Duration> {
        let all: u64 = self.counts.iter().sum();
        let wanted = ((all as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map(|index| Duration::from_micros(upper(index).min(self.largest)))
    }

    pub(super) fn largest(&self) -> Duration {
        Duration::from_micros(self.largest)
    }
}

fn bucket(micros: u64) -> usize {
    if micros < 2 * STEPS {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEPS.ilog2();
    let index = u64::from(shift) * STEPS + (micros >> shift);
    (index as usize).min(BUCKETS - 1)
}

/// The longest duration of a bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_to_three_percent() {
        let histogram = Histogram::new();
        for micros in 1..=100_000 {
            histogram.record(Duration::from_micros(micros));
        }
        let all = histogram.snapshot();
        for (part, micros) in [(0.5, 50_000_f64), (0.99, 99_000.0), (0.999, 99_900.0), (0.0, 1.0)] {
            let found = all.quantile(part).unwrap().as_micros() as f64;
            assert!((found / micros - 1.0).abs() < 0.032, "{part}: {found}");
        }
        assert_eq!(all.quantile(1.0), Some(Duration::from_millis(100)));
        histogram.record(Duration::from_secs(7));
        assert_eq!(histogram.snapshot().since(&all).quantile(0.5).unwrap().as_secs(), 7);
        assert_eq!(Snapshot::default().quantile(0.5), None);
    }

    #[test]
    fn every_duration_has_a_bucket_that_holds_it() {
        for micros in (0..64).map(|bit| 1_u64 << bit).flat_map(|power| [power - 1, power, power + 1]) {
            let index = bucket(micros);
            assert!(upper(index) >= micros || index == BUCKETS - 1, "{micros}");
            assert!(index == 0 || upper(index - 1) < micros, "{micros}");
        }
    }
}
