use std::time::{Duration, Instant};

/// The numbers of notifications [RFC7641 4.4].
///
/// A number means something for 256 s, and must not grow by more than 2^23 in that time. So no more than half of that are
/// given in each such time on its own; then they rest.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: u32,
    since: Option<Instant>,
    given: u32,
}

const SPAN: Duration = Duration::from_secs(256);

/// What is given besides, when they rest already: first answers, and what was under way.
const RESERVE: u32 = 1 << 16;

const MOST: u32 = (1 << 22) - RESERVE;

impl Sequence {
    /// The next number, one greater than the last.
    pub(super) fn next(&mut self, now: Instant) -> u32 {
        if self.since.is_none_or(|since| now >= since + SPAN) {
            (self.since, self.given) = (Some(now), 0);
        }
        self.given = self.given.saturating_add(1);
        self.last = (self.last + 1) & 0x00FF_FFFF;
        self.last
    }

    /// Until when no notification may be sent, if as many were sent as may be.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.since.filter(|_| self.given >= MOST).map(|since| since + SPAN)
    }

    /// It is time to go on.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.rests_until().is_some_and(|until| until <= now) {
            (self.since, self.given) = (None, 0);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs a time to begin with")]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_by_one_and_by_less_than_2_to_the_23rd_in_any_256_seconds() {
        let (begin, mut sequence) = (Instant::now(), Sequence::default());
        let (mut now, mut last) = (begin, 0);
        let mut given: Vec<(u64, u32)> = Vec::new(); // in each second
        while now < begin + 3 * SPAN {
            let mut count = 0;
            while sequence.rests_until().is_none() && count < 50_000 {
                assert_eq!(sequence.next(now), (last + 1) & 0x00FF_FFFF);
                (last, count) = ((last + 1) & 0x00FF_FFFF, count + 1);
            }
            given.push(((now - begin).as_secs(), count));
            now += Duration::from_secs(1);
            sequence.wake(now);
        }
        for from in 0..=2 * SPAN.as_secs() {
            let within = given.iter().filter(|(at, _)| (from..from + SPAN.as_secs()).contains(at));
            assert!(within.map(|(_, count)| count).sum::<u32>() < 1 << 23, "from {from} s on");
        }
        assert!(given.last().is_some_and(|(at, _)| *at == 767) && given[256].1 > 0, "it goes on");
    }
}
