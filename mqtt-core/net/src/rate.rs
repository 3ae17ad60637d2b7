use std::time::{Duration, Instant};

/// A bucket that fills with a number of tokens a second up to what it holds.
pub(crate) struct Rate {
    per_second: f64,
    most: f64,
    /// Below zero where more was charged than was there.
    tokens: f64,
    filled: Instant,
}

impl Rate {
    /// A bucket that holds one second's worth.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, most: per_second.max(1.0), tokens: per_second, filled: now }
    }

    /// A full bucket that holds what comes in during `burst`.
    pub(crate) fn with_burst(per_second: f64, burst: Duration, now: Instant) -> Self {
        let most = (per_second * burst.as_secs_f64()).max(1.0);
        Self { per_second, most, tokens: most, filled: now }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }

    /// Takes so many tokens, whether they are there or not; returns how long it takes until none is owed.
    pub(crate) fn charge(&mut self, tokens: usize, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= tokens as f64;
        Duration::try_from_secs_f64(-self.tokens / self.per_second).unwrap_or(Duration::ZERO)
    }

    fn fill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + gained).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_grants_as_many_as_the_rate_says() {
        let mut now = Instant::now();
        let mut rate = Rate::new(10, now);
        assert_eq!((0..100).filter(|_| rate.take(now)).count(), 10);
        now += Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rate.take(now)).count(), 5);
        now += Duration::from_secs(60);
        assert_eq!((0..100).filter(|_| rate.take(now)).count(), 10);
    }
}
