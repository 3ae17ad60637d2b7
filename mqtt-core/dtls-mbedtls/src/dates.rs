use std::time::{SystemTime, UNIX_EPOCH};

/// A moment as certificates write it, in UTC. The order of the fields is the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl Date {
    /// The present, by the clock of the machine.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of(i64::try_from(since.as_secs()).unwrap_or(i64::MAX / 2))
    }

    /// A number of seconds since 1970.
    pub(crate) fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Years begin in March here, so that a leap day is the last of its year; 400 of them are 146,097 days.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_the_date_that_a_calendar_says() {
        let date = |year, month, day, hour, minute, second| Date { year, month, day, hour, minute, second };
        assert_eq!(Date::of(0), date(1970, 1, 1, 0, 0, 0));
        assert_eq!(Date::of(951_782_399), date(2000, 2, 28, 23, 59, 59));
        assert_eq!(Date::of(951_782_400), date(2000, 2, 29, 0, 0, 0));
        assert_eq!(Date::of(951_868_800), date(2000, 3, 1, 0, 0, 0));
        assert_eq!(Date::of(1_798_761_599), date(2026, 12, 31, 23, 59, 59));
        assert_eq!(Date::of(4_107_542_400), date(2100, 3, 1, 0, 0, 0));
        assert!(Date::now() > date(2025, 1, 1, 0, 0, 0));
    }
}
