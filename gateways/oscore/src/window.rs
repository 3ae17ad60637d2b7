/// How many numbers below the highest are told apart; 32 is the default of the standard [RFC8613 3.2.2].
const SIZE: u64 = 64;

/// Which Partial IVs were received [RFC8613 7.4]: a window that slides up, as that of DTLS does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// The number above the highest that was received.
    next: u64,
    /// What was received below it; bit 0 stands for the highest.
    seen: u64,
}

impl Window {
    /// A window in which everything up to this number counts as received [RFC8613 B.1.2].
    pub(crate) fn from(number: u64) -> Self {
        Self { next: number + 1, seen: u64::MAX }
    }

    /// Whether a number may be new.
    pub(crate) fn admits(&self, number: u64) -> bool {
        match self.next.checked_sub(number + 1) {
            None => true,
            Some(below) => below < SIZE && self.seen >> below & 1 == 0,
        }
    }

    /// Notes a number; `false` if it was received before, or is too old to tell.
    pub(crate) fn accept(&mut self, number: u64) -> bool {
        if !self.admits(number) {
            return false;
        }
        match self.next.checked_sub(number + 1) {
            None => {
                let ahead = number + 1 - self.next;
                self.seen = if ahead < SIZE { self.seen << ahead | 1 } else { 1 };
                self.next = number + 1;
            }
            Some(below) => self.seen |= 1 << below,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_accepted_once_in_whatever_order() {
        let mut window = Window::default();
        for number in [0, 3, 1, 2, 70, 40, 1_000] {
            assert!(window.accept(number), "{number}");
            assert!(!window.accept(number), "{number}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_counts_as_received() {
        let mut window = Window::default();
        assert!(window.accept(100));
        assert!(window.admits(37) && !window.admits(36));
        assert!(window.accept(37) && window.accept(101));
        assert!(!window.admits(37));
    }

    #[test]
    fn a_window_begins_above_a_lower_limit() {
        let mut window = Window::from(20);
        assert!(!window.accept(20) && !window.accept(0));
        assert!(window.accept(21) && window.accept(22) && !window.accept(21));
        assert!(!window.accept(19));
    }
}
