use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many lines are written in one span of time; the rest are counted.
const MOST_LINES: u32 = 20;
const SPAN: Duration = Duration::from_secs(10);

/// Keeps clients from flooding the log: lets a few lines through in each span of time and counts the others.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Throttle {
    /// Whether a line may be written now, and how many were left out before it.
    pub fn turn(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().ok()?;
        if window.began.is_none_or(|began| now.saturating_duration_since(began) >= SPAN) {
            *window = Window { began: Some(now), lines: 0, left_out: window.left_out };
        }
        if window.lines == MOST_LINES {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }

    /// Counts a line that is left out for another cause.
    pub(crate) fn leave_out(&self) {
        if let Ok(mut window) = self.0.lock() {
            window.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_instead_of_written() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for _ in 0..MOST_LINES {
            assert_eq!(throttle.turn(start), Some(0));
        }
        assert_eq!(throttle.turn(start), None);
        assert_eq!(throttle.turn(start + SPAN / 2), None);
        assert_eq!(throttle.turn(start + SPAN), Some(2));
        assert_eq!(throttle.turn(start + SPAN), Some(0));
    }
}
