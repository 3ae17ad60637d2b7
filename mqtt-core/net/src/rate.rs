use std::time::Instant;

/// A bucket that fills with a number of tokens a second and holds one second's worth.
pub(crate) struct Rate {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, tokens: per_second, filled: now }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.filled = now;
        self.tokens = (self.tokens + gained).min(self.per_second.max(1.0));
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
