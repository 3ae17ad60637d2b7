use std::collections::VecDeque;

/// The last rows of something, bounded by count and bytes.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    rows: VecDeque<(T, usize)>,
    bytes: usize,
    most_rows: usize,
    most_bytes: usize,
}

impl<T> Ring<T> {
    pub(crate) fn new(most_rows: usize, most_bytes: usize) -> Self {
        Self { rows: VecDeque::new(), bytes: 0, most_rows, most_bytes }
    }

    /// Adds a row that holds so many bytes beside itself; the oldest rows make way.
    pub(crate) fn push(&mut self, row: T, bytes: usize) {
        let bytes = bytes + size_of::<(T, usize)>();
        while self.rows.len() >= self.most_rows || self.bytes + bytes > self.most_bytes {
            let Some((_, freed)) = self.rows.pop_front() else { return };
            self.bytes -= freed;
        }
        self.bytes += bytes;
        self.rows.push_back((row, bytes));
    }

    /// The rows, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().rev().map(|(row, _)| row)
    }

    /// The newest rows, to be changed; what they hold may not grow.
    pub(crate) fn newest_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().rev().map(|(row, _)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_rows_make_way_for_count_and_for_bytes() {
        let all = |ring: &Ring<u8>| ring.newest().copied().collect::<Vec<_>>();
        let mut ring = Ring::new(3, 1_000);
        (1..=5).for_each(|row| ring.push(row, 100));
        assert_eq!(all(&ring), [5, 4, 3]);
        ring.push(6, 900);
        assert_eq!(all(&ring), [6]);
        ring.push(7, 2_000);
        assert_eq!(all(&ring), [0_u8; 0], "larger than the ring");
        ring.push(8, 100);
        assert_eq!(all(&ring), [8]);
        let mut none = Ring::new(0, 1_000);
        none.push(1, 1);
        assert_eq!(all(&none), [0_u8; 0]);
    }
}
