use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment on both clocks: it tells when something was by the calendar.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// On the clock that never jumps.
    pub instant: Instant,
    /// By the calendar.
    pub system: SystemTime,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self { instant: Instant::now(), system: SystemTime::now() }
    }

    /// Unix time in milliseconds.
    pub(crate) fn millis(&self, at: Instant) -> u64 {
        u64::try_from(self.unix(at).as_millis()).unwrap_or(u64::MAX)
    }

    /// The date and time in UTC [RFC3339].
    pub(crate) fn date(&self, at: Instant) -> String {
        let seconds = self.unix(at).as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    fn unix(&self, at: Instant) -> Duration {
        let now = self.system.duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = self.instant.saturating_duration_since(at);
        now.saturating_sub(ago) + at.saturating_duration_since(self.instant)
    }
}

/// Year, month and day of a day since 1970-01-01, by counting 400-year cycles that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097;
    let days = days + 719_468;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let (month, january) = if march < 10 { (march + 3, 0) } else { (march - 9, 1) };
    (cycle * 400 + year + january, month, day - (153 * march + 2) / 5 + 1)
}

/// A span as people say it: `42 s`, `3 min 5 s`, `2 h 10 min`, `3 days`.
pub(crate) fn say(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", span.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min {} s", seconds / 60, seconds % 60),
        7_200..=172_799 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_found_on_the_calendar() {
        let instant = Instant::now();
        let moment = Moment { instant, system: UNIX_EPOCH + Duration::from_secs(1_709_251_199) };
        assert_eq!(moment.date(instant), "2024-02-29T23:59:59Z");
        assert_eq!(moment.date(instant + Duration::from_secs(1)), "2024-03-01T00:00:00Z");
        assert_eq!(moment.millis(instant + Duration::from_millis(5)), 1_709_251_199_005);
        let epoch = Moment { instant, system: UNIX_EPOCH };
        assert_eq!(epoch.date(instant), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn spans_are_said_in_two_units_at_most() {
        let said =
            [0.5, 42.0, 185.0, 7_800.0, 300_000.0].map(|seconds| say(Duration::from_secs_f64(seconds)));
        assert_eq!(said, ["0.5 s", "42 s", "3 min 5 s", "2 h 10 min", "3 days"]);
    }
}
