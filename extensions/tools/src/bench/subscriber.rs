use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bus::Qos;
use mqtt::Packet;

use super::flow::Flow;
use super::link::Link;
use super::stamp::{Faults, Stamp, Track};

/// A connection that receives and checks what came.
pub(super) struct Subscriber {
    link: Link,
    flow: Arc<Flow>,
    /// The number of the flow's first publisher.
    first: u32,
    tracks: Vec<Track>,
    faults: Faults,
}

/// How often it may read before others have their turn.
const ROUNDS: usize = 4;

impl Subscriber {
    pub(super) fn new(link: Link, flow: Arc<Flow>, first: u32) -> Self {
        let tracks = vec![Track::default(); flow.publishers];
        Self { link, flow, first, tracks, faults: Faults::default() }
    }

    /// Receives for ever.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Link::with_scratch(|scratch| {
            for _ in 0..ROUNDS {
                scratch.out.clear();
                let (flow, first, tracks, faults) =
                    (&self.flow, self.first, &mut self.tracks, &mut self.faults);
                let now = flow.run.time();
                let mut count = 0;
                let read = self.link.read(cx, scratch, |packet, out| {
                    match packet {
                        Packet::Publish(packet) => {
                            if let Some(id) = packet.id {
                                let kind = if packet.qos == Qos::AtLeastOnce { 0x40 } else { 0x50 };
                                out.extend_from_slice(&[kind, 2]);
                                out.extend_from_slice(&id.get().to_be_bytes());
                            }
                            let stamp = Stamp::read(packet.payload);
                            let track = |stamp: &Stamp| {
                                stamp.publisher.checked_sub(first).map(|index| index as usize)
                            };
                            let place = stamp.as_ref().and_then(track);
                            match (stamp, place.and_then(|index| tracks.get_mut(index))) {
                                (Some(stamp), Some(track)) => {
                                    track.take(stamp.sequence, packet.duplicate, faults);
                                    flow.run.latency.record(now.saturating_sub(stamp.due));
                                    count += 1;
                                }
                                _ => faults.strange += 1,
                            }
                        }
                        Packet::PubRel(ack) => {
                            out.extend_from_slice(&[0x70, 2]);
                            out.extend_from_slice(&ack.id.get().to_be_bytes());
                        }
                        Packet::Disconnect(packet) => {
                            let text = format!("the server ended the connection: {}", packet.code);
                            return Err(io::Error::other(text));
                        }
                        _ => {}
                    }
                    Ok(())
                });
                let more = match read {
                    Ok(more) => more,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if count > 0 {
                    flow.received(count);
                }
                self.link.ping(cx, &mut scratch.out);
                if (!scratch.out.is_empty() || !self.link.is_sent())
                    && let Err(error) = self.link.write(cx, &scratch.out)
                {
                    return Poll::Ready(Err(error));
                }
                if !more {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    pub(super) async fn leave(self) {
        self.link.leave().await;
    }

    /// What went wrong, given how much each publisher sent.
    pub(super) fn faults(&self, sent: &[u64]) -> Faults {
        let mut faults = self.faults;
        let first = self.first as usize;
        for (track, sent) in self.tracks.iter().zip(sent.get(first..).unwrap_or_default()) {
            faults.lost += track.lost(*sent);
        }
        faults
    }
}
