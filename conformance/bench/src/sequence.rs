use std::collections::BTreeSet;
use std::fmt;

/// Finds what was lost, came twice, or came behind a later message of its stream.
pub(crate) struct Sequence {
    /// The next message of each stream at each subscriber. In a share group: the one behind the last.
    next: Vec<u32>,
    /// What was passed over and has not come yet: place and number.
    missing: BTreeSet<(usize, u32)>,
    /// In a share group: which messages of each stream somebody has had.
    seen: Option<Vec<Vec<u64>>>,
    pub(crate) faults: Faults,
}

/// How often each thing happened that must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicated: u64,
    /// Stamps that nobody sent.
    pub(crate) foreign: u64,
}

/// How far ahead a message can be: more than any load has on its way.
const FURTHEST: u32 = 1 << 20;

impl Sequence {
    /// `places` is the number of pairs of a subscriber and a stream that it receives.
    pub(crate) fn new(places: usize) -> Self {
        Self { next: vec![0; places], missing: BTreeSet::new(), seen: None, faults: Faults::default() }
    }

    /// Each message comes to one of the members of a group.
    pub(crate) fn shared(places: usize, streams: usize) -> Self {
        Self { seen: Some(vec![Vec::new(); streams]), ..Self::new(places) }
    }

    pub(crate) fn take(&mut self, place: usize, stream: u32, sequence: u32) {
        let Some(next) = self.next.get_mut(place) else {
            self.faults.foreign += 1;
            return;
        };
        if let Some(seen) = &mut self.seen {
            let (word, bit) = (sequence as usize / 64, 1 << (sequence % 64));
            let Some(seen) = seen.get_mut(stream as usize) else {
                self.faults.foreign += 1;
                return;
            };
            if seen.len() <= word {
                seen.resize(word + 1, 0);
            }
            self.faults.duplicated += u64::from(seen[word] & bit != 0);
            self.faults.reordered += u64::from(seen[word] & bit == 0 && sequence < *next);
            seen[word] |= bit;
            *next = (*next).max(sequence.wrapping_add(1));
        } else if sequence == *next {
            *next = sequence.wrapping_add(1);
        } else if sequence.saturating_sub(*next) > FURTHEST {
            self.faults.foreign += 1;
        } else if sequence > *next {
            self.missing.extend((*next..sequence).map(|sequence| (place, sequence)));
            *next = sequence.wrapping_add(1);
        } else if self.missing.remove(&(place, sequence)) {
            self.faults.reordered += 1;
        } else {
            self.faults.duplicated += 1;
        }
    }

    /// What is known once nothing more comes: of so many deliveries, so many came.
    pub(crate) fn close(&self, due: u64, received: u64) -> Faults {
        let come = received.saturating_sub(self.faults.duplicated);
        Faults { lost: due.saturating_sub(come), ..self.faults }
    }
}

impl Faults {
    pub(crate) fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, reordered, duplicated, foreign } = self;
        write!(f, "{lost} lost, {reordered} out of order, {duplicated} twice, {foreign} not sent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(lost: u64, reordered: u64, duplicated: u64, foreign: u64) -> Faults {
        Faults { lost, reordered, duplicated, foreign }
    }

    fn taken(mut sequence: Sequence, numbers: &[u32], due: u64) -> Faults {
        numbers.iter().for_each(|&number| sequence.take(0, 0, number));
        sequence.close(due, numbers.len() as u64)
    }

    #[test]
    fn what_comes_in_order_has_no_fault() {
        assert!(!taken(Sequence::new(1), &[0, 1, 2, 3], 4).any());
    }

    #[test]
    fn a_gap_is_lost_unless_it_is_filled_later() {
        assert_eq!(taken(Sequence::new(1), &[0, 3], 4), faults(2, 0, 0, 0));
        assert_eq!(taken(Sequence::new(1), &[0, 2, 1, 3], 4), faults(0, 1, 0, 0));
    }

    #[test]
    fn what_comes_twice_is_no_substitute_for_what_is_lost() {
        assert_eq!(taken(Sequence::new(1), &[0, 1, 1], 3), faults(1, 0, 1, 0));
    }

    #[test]
    fn members_of_a_group_share_a_stream_and_each_gets_it_in_order() {
        let mut sequence = Sequence::shared(2, 1);
        for (member, number) in [(0, 0), (1, 1), (0, 3), (1, 2), (1, 3), (0, 4)] {
            sequence.take(member, 0, number);
        }
        assert_eq!(sequence.close(5, 6), faults(0, 0, 1, 0));
        sequence.take(0, 0, 6);
        sequence.take(0, 0, 5);
        assert_eq!(sequence.close(7, 8), faults(0, 1, 1, 0));
    }

    #[test]
    fn a_stamp_that_nobody_sent_is_counted() {
        let mut sequence = Sequence::new(1);
        sequence.take(1, 1, 0);
        assert_eq!(sequence.close(0, 1).foreign, 1);
    }
}
