//! How configuration files write durations and sizes: `"30s"`, `"1MB"`.

use std::fmt;
use std::time::Duration;

/// Text that is no duration or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No duration.
    #[error("{0:?} is not a duration; write a number and ms, s, m, h or d, as in \"30s\"")]
    Duration(Box<str>),
    /// No size.
    #[error("{0:?} is not a size; write a number and B, KB, MB or GB, as in \"1MB\"")]
    Size(Box<str>),
}

/// Reads `"250ms"`, `"30s"`, `"5m"`, `"2h"` or `"7d"`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let error = || UnitError::Duration(text.into());
    let (number, unit) = split(text).ok_or_else(error)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(error()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(error)
}

/// Reads `"512B"`, `"64KB"`, `"1MB"` or `"2GB"`; a KB has 1,024 bytes.
pub fn parse_size(text: &str) -> Result<usize, UnitError> {
    let error = || UnitError::Size(text.into());
    let (number, unit) = split(text).ok_or_else(error)?;
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "KB" | "KIB" => 10,
        "MB" | "MIB" => 20,
        "GB" | "GIB" => 30,
        _ => return Err(error()),
    };
    let bytes = number.checked_mul(1 << shift).ok_or_else(error)?;
    usize::try_from(bytes).map_err(|_| error())
}

/// Writes a duration in its largest whole unit.
pub fn write_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// Writes a size in its largest whole unit.
pub fn write_size(bytes: usize) -> String {
    let units = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim()))
}

struct Text<T>(fn(&str) -> Result<T, UnitError>);

impl<T> serde::de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text with a number and its unit, as in \"30s\" or \"1MB\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// `#[serde(with = "bus::units::duration")]`
pub mod duration {
    use std::time::Duration;

    /// Reads `"30s"`.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_str(super::Text(super::parse_duration))
    }

    /// Writes `"30s"`.
    pub fn serialize<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::write_duration(*duration))
    }
}

/// `#[serde(with = "bus::units::size")]`
pub mod size {
    /// Reads `"1MB"`.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        from.deserialize_str(super::Text(super::parse_size))
    }

    /// Writes `"1MB"`.
    pub fn serialize<S: serde::Serializer>(bytes: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::write_size(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_written() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("7d").map(write_duration).as_deref(), Ok("7d"));
        assert_eq!(parse_duration("1500ms").map(write_duration).as_deref(), Ok("1500ms"));
        assert_eq!(parse_size("64KB"), Ok(65_536));
        assert_eq!(parse_size("1MB").map(write_size).as_deref(), Ok("1MB"));
        for bad in ["", "s", "5", "5x", "-1s", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
