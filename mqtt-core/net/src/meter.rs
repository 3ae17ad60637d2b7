use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Broker, Course, Volume};
use bus::{Event, Outbox, Request, Transport};

/// Counts what one connection carries.
pub(crate) struct Meter {
    since: Instant,
    heard: Instant,
    received: Volume,
    sent: Volume,
    flushed: Flushed,
    /// The longest silence that was agreed on: milliseconds, or 0.
    keep_alive: u64,
}

/// What the broker was told of, as far as it takes to know what is new: no turn carries as much as would need more
/// than the low half of a number.
#[derive(Default)]
struct Flushed {
    received_bytes: u32,
    received_frames: u32,
    sent_bytes: u32,
    sent_frames: u32,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        let (received, sent) = (Volume::default(), Volume::default());
        let flushed = Flushed::default();
        Self { since: now, heard: now, received, sent, flushed, keep_alive: 0 }
    }

    /// So many bytes of the peer were taken.
    pub(crate) fn received(&mut self, bytes: usize, transport: Transport, now: Instant, out: &mut Outbox) {
        self.heard = now;
        self.received.bytes += bytes as u64;
        self.received.frames += u64::from(transport == Transport::Datagram);
        self.take_frames(out);
    }

    /// Notes what was put into the outbox since it held `before` bytes.
    pub(crate) fn sent(&mut self, before: usize, out: &mut Outbox) {
        self.take_frames(out);
        self.sent.bytes += out.pending_bytes().saturating_sub(before) as u64;
    }

    fn take_frames(&mut self, out: &mut Outbox) {
        let frames = out.take_frames();
        self.received.frames += u64::from(frames.received);
        self.sent.frames += u64::from(frames.sent);
    }

    pub(crate) fn delivered(&mut self, event: &Event) {
        self.sent.messages += u64::from(matches!(event, Event::Deliver(_)));
    }

    pub(crate) fn published(&mut self, messages: usize) {
        self.received.messages += messages as u64;
    }

    pub(crate) fn asked(&mut self, request: &Request) {
        match request {
            Request::Publish(_) => self.received.messages += 1,
            Request::PublishAll(publishes) => self.received.messages += publishes.len() as u64,
            Request::Connect(connect) => {
                let millis = connect.keep_alive.map_or(0, |keep_alive| keep_alive.as_millis());
                self.keep_alive = u64::try_from(millis).unwrap_or(u64::MAX);
            }
            _ => {}
        }
    }

    /// Adds what is new to the broker's sums.
    pub(crate) fn flush(&mut self, broker: &Broker) {
        let Self { flushed, received, sent, .. } = self;
        let received = Volume {
            bytes: news(&mut flushed.received_bytes, received.bytes),
            frames: news(&mut flushed.received_frames, received.frames),
            messages: 0,
        };
        let sent = Volume {
            bytes: news(&mut flushed.sent_bytes, sent.bytes),
            frames: news(&mut flushed.sent_frames, sent.frames),
            messages: 0,
        };
        broker.count_wire(received, sent);
    }

    /// How the connection went so far.
    pub(crate) fn course(&self, detail: Option<Arc<str>>) -> Course {
        let keep_alive = (self.keep_alive > 0).then(|| Duration::from_millis(self.keep_alive));
        let Self { since, heard, received, sent, .. } = *self;
        Course { since, heard, keep_alive, received, sent, detail }
    }
}

/// What was added since it was last told.
fn news(told: &mut u32, now: u64) -> u64 {
    let now = now as u32;
    u64::from(now.wrapping_sub(std::mem::replace(told, now)))
}
