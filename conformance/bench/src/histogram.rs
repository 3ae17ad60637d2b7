/// Times in nanoseconds, to within 1 part in 64.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

/// Parts that each power of two has.
const PARTS: u32 = 64;
const PART_BITS: u32 = PARTS.ilog2();

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; ((64 - PART_BITS + 1) * PARTS) as usize], total: 0 }
    }

    pub(crate) fn add(&mut self, nanoseconds: u64) {
        self.counts[slot(nanoseconds)] += 1;
        self.total += 1;
    }

    /// The time that so large a share of all took at most, in microseconds; `None` without any.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut sum = 0;
        let slot = self.counts.iter().position(|count| {
            sum += count;
            sum >= wanted
        })?;
        Some(middle(slot) / 1e3)
    }
}

fn slot(value: u64) -> usize {
    let bits = (u64::BITS - value.leading_zeros()).saturating_sub(PART_BITS + 1);
    (u64::from(bits * PARTS) + (value >> bits)) as usize
}

/// The middle of what a slot stands for.
fn middle(slot: usize) -> f64 {
    let (slot, parts) = (slot as u64, u64::from(PARTS));
    let bits = (slot / parts).saturating_sub(1);
    let low = (slot - bits * parts) << bits;
    low as f64 + ((1u64 << bits) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_64th() {
        let mut histogram = Histogram::new();
        (1..=1_000).for_each(|microseconds| histogram.add(microseconds * 1_000));
        for (share, wanted) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
            let found = histogram.quantile(share).unwrap();
            assert!((found - wanted).abs() <= wanted / 64.0, "{share}: {found}");
        }
    }

    #[test]
    fn small_and_huge_times_have_their_slots() {
        let mut histogram = Histogram::new();
        histogram.add(0);
        histogram.add(u64::MAX);
        assert_eq!(histogram.quantile(0.5), Some(0.0));
        let most = histogram.quantile(1.0).unwrap() * 1e3;
        assert!((most / u64::MAX as f64 - 1.0).abs() < 1.0 / 64.0);
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Histogram::new().quantile(0.5), None);
    }
}
