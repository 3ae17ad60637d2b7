use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use bus::{Publish, Qos, Topic};
use mqtt::{Packet, Version, encode};

use super::flow::Flow;
use super::link::{Link, Scratch};
use super::pace::Pace;
use super::stamp::Stamp;

/// A connection that publishes, as fast as it may or at a rate.
pub(super) struct Publisher {
    link: Link,
    flow: Arc<Flow>,
    number: u32,
    /// Which of the flow's publishers it is.
    place: usize,
    qos: Qos,
    template: Template,
    sequence: u64,
    rhythm: Option<Rhythm>,
    /// Packet ids that are not in use.
    free: Vec<u16>,
    in_use: usize,
}

/// When messages are due.
pub(super) struct Rhythm {
    pub(super) pace: Arc<Pace>,
    pub(super) every: Duration,
    /// When the next one is.
    pub(super) next: Duration,
}

/// A PUBLISH in which only the packet id and the stamp change.
struct Template {
    bytes: Vec<u8>,
    id: usize,
    stamp: usize,
}

/// How many messages go out in one write at most, so that the others have their turn.
const BATCH: u64 = 64;

/// How many bytes go out in one write at most.
const BYTES: usize = 256 << 10;

/// How often reading and writing alternate before the others have their turn.
const ROUNDS: usize = 4;

impl Publisher {
    pub(super) fn new(
        link: Link,
        flow: Arc<Flow>,
        (number, place): (u32, usize),
        (version, qos, payload): (Version, Qos, usize),
        unfinished: u16,
        rhythm: Option<Rhythm>,
    ) -> anyhow::Result<Self> {
        let template = Template::new(version, &flow.topic, qos, payload)?;
        let free = (1..=unfinished).rev().collect();
        Ok(Self { link, flow, number, place, qos, template, sequence: 0, rhythm, free, in_use: 0 })
    }

    /// Publishes until the run is to stop and everything is acknowledged; returns how many messages were sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Link::with_scratch(|scratch| {
            for _ in 0..ROUNDS {
                match self.round(cx, scratch) {
                    Ok(true) => {}
                    Ok(false) if self.is_over() => return Poll::Ready(Ok(self.sequence)),
                    Ok(false) => return Poll::Pending,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    pub(super) async fn leave(self) {
        self.link.leave().await;
    }

    fn is_over(&self) -> bool {
        self.flow.run.stop.load(Relaxed) && self.in_use == 0 && self.link.is_sent()
    }

    /// Reads, publishes and writes; tells whether there may be more to do.
    fn round(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> io::Result<bool> {
        scratch.out.clear();
        let (free, in_use, refused) = (&mut self.free, &mut self.in_use, &self.flow.run.refused);
        let mut release = |id: u16| {
            *in_use = in_use.saturating_sub(1);
            free.push(id);
        };
        let read = self.link.read(cx, scratch, |packet, out| {
            match packet {
                Packet::PubAck(ack) | Packet::PubComp(ack) => {
                    if ack.code.is_error() {
                        refused.fetch_add(1, Relaxed);
                    }
                    release(ack.id.get());
                }
                Packet::PubRec(ack) if ack.code.is_error() => {
                    refused.fetch_add(1, Relaxed);
                    release(ack.id.get());
                }
                Packet::PubRec(ack) => {
                    out.extend_from_slice(&[0x62, 2]);
                    out.extend_from_slice(&ack.id.get().to_be_bytes());
                }
                Packet::Disconnect(packet) => {
                    return Err(io::Error::other(format!(
                        "the server ended the connection: {}",
                        packet.code
                    )));
                }
                _ => {}
            }
            Ok(())
        })?;
        self.link.ping(cx, &mut scratch.out);
        let mut more = false;
        if self.link.is_sent() && !self.flow.run.stop.load(Relaxed) {
            more = match self.rhythm {
                Some(_) => self.publish_what_is_due(cx, &mut scratch.out),
                None => self.publish_what_fits(cx, &mut scratch.out),
            };
        }
        if !scratch.out.is_empty() || !self.link.is_sent() {
            self.link.write(cx, &scratch.out)?;
        }
        Ok(read || (more && self.link.is_sent()))
    }

    fn publish_what_fits(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        let mut room = self.flow.room();
        if room == 0 {
            self.flow.wait(self.place, cx.waker());
            room = self.flow.room();
        }
        // Several publishers share the room.
        let share = (room / self.flow.publishers as u64).max(room.min(1));
        let due = self.flow.run.time();
        let mut count = 0;
        while count < share.min(BATCH) && out.len() < BYTES && self.write(due, out) {
            count += 1;
        }
        self.flow.sent(count);
        count > 0
    }

    fn publish_what_is_due(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        let now = self.flow.run.time();
        let mut count = 0;
        while let Some(Rhythm { next, every, .. }) = &mut self.rhythm {
            let due = *next;
            if due > now || count >= BATCH || out.len() >= BYTES {
                break;
            }
            *next += *every;
            if !self.write(due, out) {
                // It is due still, and goes out when an acknowledgement frees a packet id.
                if let Some(rhythm) = &mut self.rhythm {
                    rhythm.next = due;
                }
                self.flow.sent(count);
                return false;
            }
            self.flow.run.lag.record(now.saturating_sub(due));
            count += 1;
        }
        self.flow.sent(count);
        let Some(rhythm) = &self.rhythm else { return false };
        if rhythm.next > now {
            rhythm.pace.wake_at(self.flow.run.origin + rhythm.next, cx.waker());
            return false;
        }
        true
    }

    /// Writes the next message; not if no packet id is free.
    fn write(&mut self, due: Duration, out: &mut Vec<u8>) -> bool {
        let mut id = 0;
        if self.qos != Qos::AtMostOnce {
            let Some(free) = self.free.pop() else { return false };
            id = free;
            self.in_use += 1;
        }
        let stamp = Stamp { publisher: self.number, sequence: self.sequence, due };
        self.template.write(id, &stamp, out);
        self.sequence += 1;
        true
    }
}

impl Template {
    fn new(version: Version, topic: &str, qos: Qos, payload: usize) -> anyhow::Result<Self> {
        let publish = Publish::new(Topic::parse(topic)?, vec![b'x'; payload], qos);
        let packet = Packet::Publish(mqtt::Publish {
            duplicate: false,
            qos,
            retain: false,
            topic,
            id: (qos != Qos::AtMostOnce).then_some(mqtt::PacketId::MIN),
            properties: mqtt::Properties::NONE,
            payload: &publish.payload,
        });
        let mut bytes = Vec::new();
        encode(&packet, version, &mut bytes)?;
        let stamp = bytes.len() - payload;
        let id = stamp - usize::from(version == Version::V5) - 2;
        Ok(Self { bytes, id, stamp })
    }

    fn write(&self, id: u16, stamp: &Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let Some(packet) = out.get_mut(start..) else { return };
        if id != 0
            && let Some(place) = packet.get_mut(self.id..self.id + 2)
        {
            place.copy_from_slice(&id.to_be_bytes());
        }
        if let Some(place) = packet.get_mut(self.stamp..self.stamp + Stamp::LENGTH) {
            place.copy_from_slice(&stamp.write());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_makes_packets_of_every_version_and_guarantee() {
        for version in [Version::V31, Version::V311, Version::V5] {
            for (qos, id) in [(Qos::AtMostOnce, 0), (Qos::AtLeastOnce, 7), (Qos::ExactlyOnce, 0x102)] {
                let template = Template::new(version, "bench/1", qos, 200).unwrap();
                let stamp = Stamp { publisher: 3, sequence: 9, due: Duration::from_secs(1) };
                let mut out = Vec::new();
                template.write(id, &stamp, &mut out);
                let Ok(Some((Packet::Publish(packet), length))) = mqtt::decode(&out, version, 1_000) else {
                    panic!("{out:02X?}")
                };
                assert_eq!((length, packet.topic, packet.qos), (out.len(), "bench/1", qos));
                assert_eq!(packet.id.map_or(0, mqtt::PacketId::get), id);
                assert_eq!((Stamp::read(packet.payload), packet.payload.len()), (Some(stamp), 200));
            }
        }
    }
}
