use std::time::Duration;

/// A rate per minute, averaged over the last 1, 5 and 15 minutes as a system's load is: what is older counts
/// less and less.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    count: u64,
    averages: [f64; 3],
}

/// The names of the averages, and their minutes.
pub(crate) const SPANS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

impl Load {
    /// Takes the count as it is after `passed` more time; returns the averages.
    pub(crate) fn update(&mut self, count: u64, passed: Duration) -> [f64; 3] {
        let minutes = passed.as_secs_f64() / 60.0;
        if minutes > 0.0 {
            let rate = count.saturating_sub(self.count) as f64 / minutes;
            for (average, (_, span)) in self.averages.iter_mut().zip(SPANS) {
                let weight = (-minutes / span).exp();
                *average = rate + weight * (*average - rate);
            }
            self.count = count;
        }
        self.averages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_nears_a_steady_rate_and_forgets_a_burst() {
        let mut load = Load::default();
        let mut count = 0;
        for _ in 0..6 {
            count += 100;
            load.update(count, Duration::from_secs(10));
        }
        let [one, five, fifteen] = load.update(count, Duration::ZERO);
        // After one minute of 600 a minute: 600 × (1 − 1/e), and so on.
        assert!((one - 379.27).abs() < 0.01 && (five - 108.76).abs() < 0.01, "{one} {five}");
        assert!((fifteen - 38.70).abs() < 0.01, "{fifteen}");
        let [one, ..] = load.update(count, Duration::from_secs(600));
        assert!(one < 0.1, "{one}");
    }
}
