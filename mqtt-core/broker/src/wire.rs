use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bus::Qos;

use crate::Volume;

/// What all connections and sessions carry. Each turn of each connection adds to it, so each thread has a row of its
/// own, as far as rows go: two cores that count in one place wait for each other.
#[derive(Default)]
pub(crate) struct Wire([Row; ROWS]);

/// Alone in its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Row {
    received_bytes: AtomicU64,
    received_frames: AtomicU64,
    sent_bytes: AtomicU64,
    sent_frames: AtomicU64,
    published: Messages,
    delivered: Messages,
}

/// Messages by guarantee, and the bytes of their payloads.
#[derive(Default)]
struct Messages {
    counts: [AtomicU64; 3],
    bytes: AtomicU64,
}

const ROWS: usize = 16;

thread_local! {
    /// Its address tells threads apart.
    static HERE: u8 = const { 0 };
}

impl Wire {
    /// Counts bytes and frames of one turn.
    pub(crate) fn count(&self, received: Volume, sent: Volume) {
        let Some(row) = self.0.get(row()) else { return };
        let additions = [
            (&row.received_bytes, received.bytes),
            (&row.received_frames, received.frames),
            (&row.sent_bytes, sent.bytes),
            (&row.sent_frames, sent.frames),
        ];
        for (counter, more) in additions.into_iter().filter(|(_, more)| *more > 0) {
            counter.fetch_add(more, Relaxed);
        }
    }

    /// Counts messages that were taken from a publisher.
    pub(crate) fn publish(&self, qos: Qos, messages: usize, bytes: usize) {
        if let Some(row) = self.0.get(row()) {
            let mut counts = [0; 3];
            if let Some(count) = counts.get_mut(usize::from(qos.level())) {
                *count = messages as u64;
            }
            row.published.add(counts, bytes as u64);
        }
    }

    /// Counts messages that were handed to a connection.
    pub(crate) fn deliver(&self, counts: [u64; 3], bytes: u64) {
        if let Some(row) = self.0.get(row()) {
            row.delivered.add(counts, bytes);
        }
    }

    /// Messages taken from publishers by guarantee and the bytes of their payloads, and the same of those handed over.
    pub(crate) fn messages(&self) -> [([u64; 3], u64); 2] {
        let sum = |of: fn(&Row) -> &Messages| {
            let (mut counts, mut bytes) = ([0; 3], 0);
            for row in &self.0 {
                let messages = of(row);
                for (sum, count) in counts.iter_mut().zip(&messages.counts) {
                    *sum += count.load(Relaxed);
                }
                bytes += messages.bytes.load(Relaxed);
            }
            (counts, bytes)
        };
        [sum(|row| &row.published), sum(|row| &row.delivered)]
    }

    /// What came and what went.
    pub(crate) fn sum(&self) -> (Volume, Volume) {
        let (mut received, mut sent) = (Volume::default(), Volume::default());
        for row in &self.0 {
            received.bytes += row.received_bytes.load(Relaxed);
            received.frames += row.received_frames.load(Relaxed);
            sent.bytes += row.sent_bytes.load(Relaxed);
            sent.frames += row.sent_frames.load(Relaxed);
        }
        (received, sent)
    }
}

impl Messages {
    fn add(&self, counts: [u64; 3], bytes: u64) {
        for (counter, count) in self.counts.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.fetch_add(count, Relaxed);
        }
        if bytes > 0 {
            self.bytes.fetch_add(bytes, Relaxed);
        }
    }
}

fn row() -> usize {
    let address = HERE.with(|here| std::ptr::from_ref(here).addr()) as u64;
    (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as usize % ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_threads_carry_is_summed() {
        let wire = Wire::default();
        let one = Volume { bytes: 3, frames: 1, messages: 0 };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..100).for_each(|_| wire.count(one, Volume::default()));
                    wire.publish(Qos::AtLeastOnce, 2, 7);
                    wire.deliver([1, 0, 3], 5);
                });
            }
        });
        assert_eq!(wire.messages(), [([0, 8, 0], 28), ([4, 0, 12], 20)]);
        assert_eq!(wire.sum(), (Volume { bytes: 1_200, frames: 400, messages: 0 }, Volume::default()));
    }
}
