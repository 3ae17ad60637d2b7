use std::time::Duration;

/// When messages of a fixed rate are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    gap: u64,
    sent: u64,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { gap: 1_000_000_000 / u64::from(per_second), sent: 0 }
    }

    /// Takes the next message that is due so long after the start: when it was, in nanoseconds. What is late stays due.
    pub(super) fn next(&mut self, elapsed: Duration) -> Option<u64> {
        let due = self.sent * self.gap;
        (due <= elapsed.as_nanos() as u64).then(|| {
            self.sent += 1;
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_turn_sends_all_that_was_due_with_the_times_it_was_due() {
        let mut pace = Pace::new(1_000);
        let at = Duration::from_micros(2_500);
        let due: Vec<u64> = std::iter::from_fn(|| pace.next(at)).collect();
        assert_eq!(due, [0, 1_000_000, 2_000_000]);
        assert_eq!(pace.next(at), None);
    }
}
