use std::time::Duration;

use bus::Chance;

/// How soon a lost connection is made again: after a time by chance between the first and three times the last one,
/// so that clients that a server lost together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The shortest wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl Reconnect {
    /// The wait that follows on `last`.
    pub(crate) fn next(&self, last: Option<Duration>, chance: &mut Chance) -> Duration {
        let last = last.unwrap_or(self.first);
        let span = (last * 3).saturating_sub(self.first);
        (self.first + span.mul_f64(chance.fraction())).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_chance_up_to_the_longest() {
        let (reconnect, mut chance) = (Reconnect::default(), Chance::new(1));
        let mut last = None;
        for _ in 0..1_000 {
            let wait = reconnect.next(last, &mut chance);
            assert!(wait >= reconnect.first && wait <= reconnect.longest);
            assert!(wait <= last.unwrap_or(reconnect.first) * 3);
            last = Some(wait);
        }
        let mut waits = (0..100).map(|_| reconnect.next(Some(reconnect.longest), &mut chance));
        assert!(waits.any(|wait| wait == reconnect.longest));
    }
}
