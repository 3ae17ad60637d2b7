use std::sync::Arc;

use broker::{Broker, Course, Volume};
use bus::{Outbox, Request, Transport};

use crate::house::{House, Moment};

/// Counts what one connection carries. Most carry little in all their life, so the numbers are small.
pub(crate) struct Meter {
    since: Moment,
    heard: Moment,
    carried: Carried,
}

/// What went each way.
#[derive(Clone, Copy, Default)]
pub(crate) struct Carried {
    received: Tally,
    sent: Tally,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    bytes: u32,
    frames: u32,
    messages: u32,
}

/// What a connection has carried that carries much: received, and sent.
pub(crate) type Load = (Volume, Volume);

/// From where on a number is put aside. No turn carries as much as would need more than what is left above it.
const MUCH: u32 = 1 << 31;

impl Meter {
    pub(crate) fn new(now: Moment) -> Self {
        Self { since: now, heard: now, carried: Carried::default() }
    }

    /// What was carried so far, to tell later what is new.
    pub(crate) fn carried(&self) -> Carried {
        self.carried
    }

    /// The peer sent something.
    pub(crate) fn hear(&mut self, now: Moment) {
        self.heard = now;
    }

    /// So many bytes of the peer were taken.
    pub(crate) fn received(&mut self, bytes: usize, out: &mut Outbox) {
        let received = &mut self.carried.received;
        received.bytes += bytes as u32;
        received.frames += u32::from(out.transport() == Transport::Datagram);
        self.take_frames(out);
    }

    /// Notes what was put into the outbox since it held `before` bytes.
    pub(crate) fn sent(&mut self, before: usize, out: &mut Outbox) {
        self.take_frames(out);
        self.carried.sent.bytes += out.pending_bytes().saturating_sub(before) as u32;
    }

    fn take_frames(&mut self, out: &mut Outbox) {
        let frames = out.take_frames();
        self.carried.received.frames += frames.received;
        self.carried.sent.frames += frames.sent;
    }

    pub(crate) fn delivered(&mut self, messages: usize) {
        self.carried.sent.messages += messages as u32;
    }

    pub(crate) fn published(&mut self, messages: usize) {
        self.carried.received.messages += messages as u32;
    }

    pub(crate) fn asked(&mut self, request: &Request) {
        match request {
            Request::Publish(_) | Request::PublishIf(_) => self.published(1),
            Request::PublishAll(publishes) => self.published(publishes.len()),
            _ => {}
        }
    }

    /// Adds to the broker's sums what is new since `before`; returns whether much was carried, which is to be put aside.
    pub(crate) fn tell(&self, before: &Carried, broker: &Broker) -> bool {
        let Carried { received, sent } = &self.carried;
        let (heard, said) = (received.wire_since(&before.received), sent.wire_since(&before.sent));
        if (heard.bytes | heard.frames | said.bytes | said.frames) > 0 {
            broker.count_wire(heard.into(), said.into());
        }
        (received.most() | sent.most()) >= MUCH
    }

    /// Puts aside what was carried.
    #[cold]
    pub(crate) fn put_aside(&mut self, load: &mut Load) {
        let Carried { received, sent } = std::mem::take(&mut self.carried);
        received.add_to(&mut load.0);
        sent.add_to(&mut load.1);
    }

    /// How the connection went so far, with what was put aside.
    pub(crate) fn course(&self, house: &House, aside: Option<&Load>, detail: Option<Arc<str>>) -> Course {
        let (mut received, mut sent) = aside.copied().unwrap_or_default();
        self.carried.received.add_to(&mut received);
        self.carried.sent.add_to(&mut sent);
        let (since, heard) = (house.instant(self.since), house.instant(self.heard));
        Course { since, heard, keep_alive: None, received, sent, detail }
    }
}

impl Tally {
    /// No less than the largest number, and much only where one is.
    fn most(&self) -> u32 {
        self.bytes | self.frames | self.messages
    }

    /// Bytes and frames; of messages the broker knows.
    fn wire_since(&self, before: &Self) -> Self {
        Self { bytes: self.bytes - before.bytes, frames: self.frames - before.frames, messages: 0 }
    }

    fn add_to(&self, volume: &mut Volume) {
        let more = Volume::from(*self);
        volume.bytes += more.bytes;
        volume.frames += more.frames;
        volume.messages += more.messages;
    }
}

impl From<Tally> for Volume {
    fn from(tally: Tally) -> Self {
        let Tally { bytes, frames, messages } = tally;
        Self { bytes: bytes.into(), frames: frames.into(), messages: messages.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use broker::{Config, Hooks};
    use bus::Limits;
    use mqtt::Mqtt;

    use super::*;

    #[test]
    fn what_was_put_aside_is_told_all_the_same() {
        let broker = Broker::new(Config::default(), Hooks::open(), Vec::new());
        let (mqtt, began) = (Arc::new(Mqtt::new(Default::default(), Limits::default())), Instant::now());
        let house = House::new(mqtt, broker.clone(), began);
        let (mut meter, mut load) = (Meter::new(house.moment(began)), Load::default());
        let mut out = Outbox::new(Transport::Datagram);
        for is_much in [false, true, false, true] {
            let before = meter.carried();
            meter.received(1 << 30, &mut out);
            meter.published(1);
            assert_eq!(meter.tell(&before, &broker), is_much);
            if is_much {
                meter.put_aside(&mut load);
            }
        }
        meter.hear(house.moment(began + Duration::from_nanos(7)));
        let course = meter.course(&house, Some(&load), None);
        assert_eq!(course.received, Volume { bytes: 4 << 30, frames: 4, messages: 4 });
        assert_eq!((course.since, course.heard), (began, began + Duration::from_nanos(7)));
        let stats = broker.stats();
        assert_eq!((stats.wire_received.bytes, stats.wire_received.frames), (4 << 30, 4));
    }
}
