use std::time::Instant;

use broker::{Broker, Course, Volume};
use bus::{Event, Outbox, Request, Transport};

/// Counts what one connection carries.
pub(crate) struct Meter {
    course: Course,
    /// What the broker was told of it.
    flushed: (Volume, Volume),
    /// Whether it neither got a session nor was refused one.
    untold: bool,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { course: Course::new(now), flushed: Default::default(), untold: true }
    }

    /// So many bytes of the peer were taken.
    pub(crate) fn received(&mut self, bytes: usize, transport: Transport, now: Instant, out: &mut Outbox) {
        self.course.heard = now;
        self.course.received.bytes += bytes as u64;
        self.course.received.frames += u64::from(transport == Transport::Datagram);
        self.take_frames(out);
    }

    /// Notes what was put into the outbox since it held `before` bytes.
    pub(crate) fn sent(&mut self, before: usize, out: &mut Outbox) {
        self.take_frames(out);
        self.course.sent.bytes += out.pending_bytes().saturating_sub(before) as u64;
    }

    fn take_frames(&mut self, out: &mut Outbox) {
        let frames = out.take_frames();
        self.course.received.frames += u64::from(frames.received);
        self.course.sent.frames += u64::from(frames.sent);
    }

    pub(crate) fn delivered(&mut self, event: &Event) {
        self.course.sent.messages += u64::from(matches!(event, Event::Deliver(_)));
    }

    pub(crate) fn published(&mut self, messages: usize) {
        self.course.received.messages += messages as u64;
    }

    pub(crate) fn asked(&mut self, request: &Request) {
        match request {
            Request::Publish(_) => self.course.received.messages += 1,
            Request::PublishAll(publishes) => self.course.received.messages += publishes.len() as u64,
            Request::Connect(connect) => self.course.keep_alive = connect.keep_alive,
            _ => {}
        }
    }

    pub(crate) fn fault(&mut self, detail: &str) {
        self.course.detail = Some(detail.into());
    }

    /// It got a session or was refused one, of which the observers heard.
    pub(crate) fn settled(&mut self) {
        self.untold = false;
    }

    pub(crate) fn is_untold(&self) -> bool {
        self.untold
    }

    /// Adds what is new to the broker's sums.
    pub(crate) fn flush(&mut self, broker: &Broker) {
        let (received, sent) = (self.course.received, self.course.sent);
        let (old_received, old_sent) = std::mem::replace(&mut self.flushed, (received, sent));
        broker.count_wire(received.since(old_received), sent.since(old_sent));
    }

    pub(crate) fn course(&self) -> &Course {
        &self.course
    }

    pub(crate) fn into_course(self) -> Course {
        self.course
    }
}
