use std::fmt;

use crate::PartialIv;

/// How many Sender Sequence Numbers are reserved at once: what a crash throws away at most, and how often it is stored
/// (K of RFC 8613 B.1.1).
pub const RESERVED_AHEAD: u64 = 1_024;

/// Remembers, for longer than the process lives, which Sender Sequence Numbers may have been used.
pub trait SequenceStore: Send + Sync {
    /// Makes durable that all numbers below `bound` may be used from now on; `false` if that cannot be.
    fn reserve(&self, context: SequenceKey, bound: u64) -> bool;
}

/// What Sender Sequence Numbers are stored under. It tells nothing of the key they are used with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceKey([u8; 16]);

/// The Sender Sequence Number of a context [RFC8613 3.1].
#[derive(Debug)]
pub(crate) struct Sequence {
    next: u64,
    /// Numbers below this one are reserved.
    reserved: u64,
}

impl Sequence {
    pub(crate) fn new(next: u64, reserved: u64) -> Self {
        Self { next, reserved }
    }

    /// Whether all numbers are used up.
    pub(crate) fn is_exhausted(&self) -> bool {
        PartialIv::new(self.next).is_none()
    }

    /// The next number, which is never given again; `None` if there is none left, or it cannot be stored that it is
    /// used [RFC8613 7.2].
    pub(crate) fn take(&mut self, key: SequenceKey, store: &dyn SequenceStore) -> Option<PartialIv> {
        let number = PartialIv::new(self.next)?; // [RFC8613 7.2.1]
        if self.next >= self.reserved {
            let bound = self.next + RESERVED_AHEAD;
            if !store.reserve(key, bound) {
                return None; // [RFC8613 B.1.1]: used only once it is stored
            }
            self.reserved = bound;
        }
        self.next += 1;
        Some(number)
    }
}

impl SequenceKey {
    pub(crate) fn new(digest: [u8; 32]) -> Self {
        let [front @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
        Self(front)
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for SequenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SequenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Stored(Mutex<Vec<u64>>, bool);

    impl SequenceStore for Stored {
        fn reserve(&self, _: SequenceKey, bound: u64) -> bool {
            self.0.lock().unwrap().push(bound);
            !self.1
        }
    }

    #[test]
    fn numbers_are_stored_before_they_are_used() {
        let (store, key) = (Stored::default(), SequenceKey::new([7; 32]));
        let mut sequence = Sequence::new(5, 7);
        let mut take = || sequence.take(key, &store).map(PartialIv::number);
        assert_eq!([take(), take()], [Some(5), Some(6)]);
        assert_eq!(store.0.lock().unwrap().as_slice(), []);
        assert_eq!(take(), Some(7));
        assert_eq!(store.0.lock().unwrap().as_slice(), [7 + RESERVED_AHEAD]);
    }

    #[test]
    fn a_number_that_cannot_be_stored_is_not_used() {
        let store = Stored(Mutex::default(), true);
        let mut sequence = Sequence::new(5, 5);
        assert_eq!(sequence.take(SequenceKey::new([7; 32]), &store), None);
        assert!(!sequence.is_exhausted());
    }

    #[test]
    fn there_is_no_number_above_the_largest() {
        let store = Stored::default();
        let mut sequence = Sequence::new((1 << 40) - 1, 1 << 41);
        assert_eq!(sequence.take(SequenceKey::new([7; 32]), &store), Some(PartialIv::MAX));
        assert_eq!(sequence.take(SequenceKey::new([7; 32]), &store), None);
        assert!(sequence.is_exhausted());
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = SequenceKey::new([0xA5; 32]);
        assert_eq!(SequenceKey::parse(&key.to_string()), Some(key));
        assert_eq!(SequenceKey::parse("a5"), None);
    }
}
