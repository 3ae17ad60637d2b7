//! What a session is owed: handing it over, and what the client says of it.

use std::task::Waker;
use std::time::Instant;

use bus::{Ack, DeliveryId, Event, Reason};

use super::Session;
use crate::mount::unmount;
use crate::queue::Queued;
use crate::record::Handed;
use crate::screen::Screen;

impl Session {
    /// Hands over what waits, at most `room` deliveries; `waker` is woken when there is more, or when the
    /// session is lost. Returns whether more can be had at once.
    pub fn pull(&mut self, room: usize, now: Instant, waker: &Waker, events: &mut Vec<Event>) -> bool {
        let mut handed = Handed::default();
        let more = self.pull_into(room, now, waker, &mut handed);
        events.extend(handed.bursts.iter().flat_map(|burst| burst.iter()).map(Event::Deliver));
        events.append(&mut handed.events);
        more
    }

    /// The same, where messages that came together may be handed over together. What was `handed` before was taken out.
    pub fn pull_into(&mut self, room: usize, now: Instant, waker: &Waker, handed: &mut Handed) -> bool {
        let is_judged = self.shared.is_judged(&self.record, now);
        if is_judged && self.is_at_rest(waker) {
            return false;
        }
        let room = if is_judged { room } else { 0 };
        let more = loop {
            let screen = &mut Screen { shared: &self.shared, client: &self.client, seen: &mut self.seen };
            let left = room.saturating_sub(handed.len());
            let pulled = self.record.pull(self.epoch, left, now, waker, screen, handed);
            if !pulled.left_out.is_empty() {
                self.lose(pulled.left_out);
            }
            if !pulled.tired {
                break pulled.more;
            }
        };
        if let Some(prefix) = &self.client.identity.mountpoint {
            unmount(prefix, &mut handed.events);
        }
        if let Some(memory) = &mut self.memory {
            memory.waker = waker.data().addr();
        }
        more
    }

    /// Whether the last pull has left nothing, and nothing has come since.
    pub fn is_served(&self) -> bool {
        self.record.is_at_rest()
    }

    /// Whether nothing can have come since the last pull. The record keeps the waker that it was given, so that no
    /// other can have its address. Only who publishes has turns in which nothing comes.
    fn is_at_rest(&self, waker: &Waker) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.waker != 0 && memory.waker == waker.data().addr())
            && self.record.is_at_rest()
            && self.record.epoch() == self.epoch
    }

    #[cold]
    fn lose(&self, left_out: Vec<(Queued, Reason)>) {
        for (queued, reason) in left_out {
            let lost = match reason {
                Reason::MessageExpired => Some(queued),
                _ => self.shared.pass_over(queued, &self.record),
            };
            if let Some(queued) = lost {
                self.shared.lost(&self.record, &queued, reason);
            }
        }
    }

    /// Notes what the client said of a delivery.
    pub fn ack(&mut self, id: DeliveryId, ack: Ack) {
        self.ack_all(&[(id, ack)]);
    }

    /// The same for several, in order.
    pub fn ack_all(&mut self, acks: &[(DeliveryId, Ack)]) {
        if !self.open {
            return;
        }
        for (_, ack) in acks {
            if let Ack::Reject(reason) = ack {
                self.shared.counters.drop_message(*reason);
            }
        }
        for returned in self.record.ack(self.epoch, acks) {
            self.shared.redispatch(returned, &self.record);
        }
    }
}
