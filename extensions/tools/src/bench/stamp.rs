use std::time::Duration;

/// What each payload begins with: who sent it, as which of its messages, and when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) publisher: u32,
    pub(super) sequence: u64,
    pub(super) due: Duration,
}

impl Stamp {
    /// The bytes that it takes.
    pub(super) const LENGTH: usize = 20;

    pub(super) fn write(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let due = self.due.as_nanos() as u64;
        let parts = [&self.publisher.to_be_bytes()[..], &self.sequence.to_be_bytes(), &due.to_be_bytes()];
        for (byte, value) in bytes.iter_mut().zip(parts.concat()) {
            *byte = value;
        }
        bytes
    }

    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (due, _) = rest.split_first_chunk()?;
        Some(Self {
            publisher: u32::from_be_bytes(*publisher),
            sequence: u64::from_be_bytes(*sequence),
            due: Duration::from_nanos(u64::from_be_bytes(*due)),
        })
    }
}

/// Which messages of one publisher came to one subscriber.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Track {
    next: u64,
    missing: u64,
}

/// What went wrong on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) disordered: u64,
    /// Messages that nobody here sent.
    pub(super) strange: u64,
}

impl Track {
    pub(super) fn take(&mut self, sequence: u64, duplicate: bool, faults: &mut Faults) {
        if sequence >= self.next {
            self.missing += sequence - self.next;
            self.next = sequence + 1;
        } else if self.missing > 0 && !duplicate {
            self.missing -= 1;
            faults.disordered += 1;
        } else {
            faults.duplicates += 1;
        }
    }

    /// How many of the messages sent did not come.
    pub(super) fn lost(&self, sent: u64) -> u64 {
        self.missing + sent.saturating_sub(self.next)
    }
}

impl Faults {
    pub(super) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.disordered += other.disordered;
        self.strange += other.strange;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { publisher: 7, sequence: 1 << 40, due: Duration::from_nanos(123_456_789_012) };
        assert_eq!(Stamp::read(&stamp.write()), Some(stamp));
        assert_eq!(Stamp::read(&[0; 19]), None);
    }

    #[test]
    fn loss_duplicates_and_disorder_are_told_apart() {
        let (mut track, mut faults) = (Track::default(), Faults::default());
        for sequence in [0, 1, 4, 3, 5, 5] {
            track.take(sequence, sequence == 5 && track.next == 6, &mut faults);
        }
        assert_eq!(faults, Faults { duplicates: 1, disordered: 1, ..Faults::default() });
        assert_eq!(track.lost(8), 3, "2, 6 and 7");
    }
}
