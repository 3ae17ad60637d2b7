use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads a moment as RFC 3339 writes it, such as `2027-01-31T12:00:00Z`, or as seconds since 1970.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(UNIX_EPOCH + Duration::from_secs(seconds.into()));
    }
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let offset_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, offset) = time.split_at_checked(offset_at)?;
    let [hour, minute, second] = numbers(clock.split('.').next()?, ':', [2, 2, 2])?;
    let offset = match offset.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, rest) => {
            let [hours, minutes] = numbers(rest, ':', [2, 2])?;
            let seconds = hours * 3600 + minutes * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = lengths.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let fits = (1..=*length).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let seconds = u64::try_from(seconds).ok().filter(|_| fits)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Writes a moment as RFC 3339 does, in whole seconds.
pub(crate) fn write(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, second) = (i64::try_from(seconds / 86_400).unwrap_or_default(), seconds % 86_400);
    let mut year = 1970 + day / 366;
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= day).unwrap_or(1);
    let day = day - days(year, month, 1) + 1;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The days since 1970 of a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let before: i64 = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        .get(usize::try_from(month - 1).unwrap_or_default())
        .copied()
        .unwrap_or_default();
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400 + i64::from(month > 2 && is_leap(year));
    past * 365 + leap_days + before + day - 1 - 719_162
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Numbers of so many digits each, with a mark between them.
fn numbers<const N: usize>(text: &str, mark: char, digits: [usize; N]) -> Option<[i64; N]> {
    let parts: Vec<_> = text.split(mark).collect();
    let mut found = [0; N];
    if parts.len() != N {
        return None;
    }
    for ((part, digits), number) in parts.iter().zip(digits).zip(&mut found) {
        let fits = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| fits)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        Some(parse(text)?.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn a_moment_is_read_and_written() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-22T17:20:00Z", 1_795_368_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
            assert_eq!(write(UNIX_EPOCH + Duration::from_secs(expected)), text);
        }
        assert_eq!(seconds("2026-11-22T18:20:00.123+01:00"), Some(1_795_368_000));
        assert_eq!(seconds("2026-11-22 15:20:00-02:00"), Some(1_795_368_000));
        assert_eq!(seconds("1795368000"), Some(1_795_368_000));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T00:00:00",
            "1969-12-31T23:59:59Z",
            "+026-11-22T00:00:00Z",
            "-1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
