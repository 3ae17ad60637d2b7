//! Handing over what a session is owed.

use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

use bus::{Deliveries, Delivery, DeliveryId, Event, Message, Qos, Reason};

use super::{Record, State};
use crate::queue::Queued;
use crate::screen::Screen;
use crate::stats::Counters;

/// How many deliveries are taken under one lock, and of how many bytes together.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 * 1024;

/// How many messages are left out under one lock.
const TIRING: usize = 256;

/// What a session hands over: the bursts come first.
#[derive(Debug, Default)]
pub struct Handed {
    /// Messages that came together and go together.
    pub bursts: Vec<Deliveries>,
    /// What else there is.
    pub events: Vec<Event>,
}

/// What a pull came to.
#[derive(Default)]
pub(crate) struct Pulled {
    /// There is more, and room for it.
    pub(crate) more: bool,
    /// Messages that were left out on the way: expired, or the client may not receive them.
    pub(crate) left_out: Vec<(Queued, Reason)>,
    /// So many of those that others had better have their turn before the next.
    pub(crate) tired: bool,
}

impl Handed {
    /// How many deliveries and other events there are.
    pub fn len(&self) -> usize {
        self.bursts.iter().map(|burst| burst.len()).sum::<usize>() + self.events.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bursts.is_empty() && self.events.is_empty()
    }
}

impl Record {
    /// Hands over what waits, at most `room` deliveries, and remembers whom to wake when more comes.
    pub(crate) fn pull(
        &self,
        epoch: u64,
        room: usize,
        now: Instant,
        waker: &Waker,
        screen: &mut Screen<'_>,
        handed: &mut Handed,
    ) -> Pulled {
        let mut pulled = Pulled::default();
        let mut state = self.lock();
        let state = &mut *state;
        if self.epoch() != epoch {
            handed.events.push(Event::Close(Reason::TakenOver));
            return pulled;
        }
        let Some(holder) = &state.holder else { return pulled };
        if let Some(reason) = holder.evicted {
            handed.events.push(Event::Close(reason));
            return pulled;
        }
        if room > 0 && !state.has_waiting() {
            self.rest(state, true, waker);
            return pulled;
        }
        let window = usize::from(holder.window);
        let counters = &screen.shared.counters;
        let mut screen = screen.is_needed(state.filtered).then_some(screen);
        let (before, limit) = (handed.events.len(), room.min(BATCH));
        let (mut taken, mut bytes) = (0, 0);
        let is_ordinary = screen.is_none() && !state.has_again();
        // Whatever was handed over before goes first.
        if is_ordinary
            && before == 0
            && let Some(queue) = &mut state.queue
        {
            while taken < limit
                && bytes < BATCH_BYTES
                && let Some(burst) = queue.pop_burst(limit - taken)
            {
                taken += burst.len();
                bytes += burst.burst.payload();
                handed.bursts.push(burst);
            }
            if taken > 0 {
                counters.wire.deliver([taken as u64, 0, 0], bytes as u64);
            }
        }
        while taken < limit && bytes < BATCH_BYTES {
            if is_ordinary && let Some(queue) = &mut state.queue {
                let handed_over = state.inflight.as_ref().map_or(0, |inflight| inflight.handed());
                if let Some(queued) = queue.pop_ordinary(handed_over < window) {
                    let id = match queued.qos {
                        Qos::AtMostOnce => None,
                        _ => state.inflight.get_or_insert_default().hand(queued.clone()),
                    };
                    taken += 1;
                    bytes += queued.message.payload.len();
                    handed.events.push(Event::Deliver(queued.into_delivery(id)));
                    continue;
                }
                if queue.is_empty() {
                    break;
                }
            }
            let event = next(state, screen.as_deref_mut(), window, now, &mut pulled);
            let Some(event) = event else { break };
            taken += 1;
            bytes += payload(&event);
            handed.events.push(event);
        }
        if handed.events.len() > before {
            count(counters, handed.events.get(before..).unwrap_or_default());
        }
        let full = taken == limit || bytes >= BATCH_BYTES;
        let waiting = state.has_waiting();
        pulled.more = full && room > taken && waiting;
        if let Some(queue) = &mut state.queue {
            queue.relax();
        }
        self.rest(state, !full && !waiting, waker);
        pulled
    }

    /// Remembers whom to wake; `is_hungry`: as soon as anything comes.
    fn rest(&self, state: &mut State, is_hungry: bool, waker: &Waker) {
        let Some(holder) = &mut state.holder else { return };
        holder.hungry = is_hungry;
        if !holder.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            holder.waker = Some(waker.clone());
        }
        self.at_rest.store(is_hungry, Ordering::Release);
    }
}

/// The next thing to hand over, if the window has room for it. Order is kept: nothing overtakes a message
/// that waits for the window. What the screen does not let through is left out.
fn next(
    state: &mut State,
    mut screen: Option<&mut Screen<'_>>,
    window: usize,
    now: Instant,
    pulled: &mut Pulled,
) -> Option<Event> {
    let State { queue, inflight, filtered, .. } = state;
    let mut refuses = |message: &Message| screen.as_mut()?.refuses(*filtered, message);
    let full = inflight.as_ref().is_some_and(|inflight| inflight.handed() >= window);
    while let Some(inflight) = inflight.as_mut().filter(|inflight| inflight.has_again()) {
        if full && !inflight.has_missed() {
            return None;
        }
        if let Some(reason) = inflight.waiting_again().and_then(|queued| refuses(&queued.message)) {
            pulled.left_out.extend(inflight.refuse_again().map(|queued| (queued, reason)));
            continue;
        }
        let (id, entry) = inflight.again()?;
        return Some(match &entry.queued {
            None => Event::Release(id),
            Some(queued) => Event::Deliver(queued.deliver(Some(id), true)),
        });
    }
    let queued = loop {
        if pulled.left_out.len() >= TIRING {
            pulled.tired = true;
            return None;
        }
        let wanted = |queued: &Queued| queued.qos == Qos::AtMostOnce || !full;
        let queued = queue.as_mut()?.pop_if(now, wanted, &mut pulled.left_out)?;
        match refuses(&queued.message) {
            Some(reason) => pulled.left_out.push((queued, reason)),
            None => break queued,
        }
    };
    if queued.qos == Qos::AtMostOnce {
        return Some(Event::Deliver(queued.into_delivery(None)));
    }
    let id = inflight.get_or_insert_default().hand(queued.clone())?;
    Some(Event::Deliver(queued.into_delivery(Some(id))))
}

fn payload(event: &Event) -> usize {
    match event {
        Event::Deliver(delivery) => delivery.message.payload.len(),
        _ => 0,
    }
}

fn count(counters: &Counters, events: &[Event]) {
    let (mut counts, mut bytes) = ([0; 3], 0);
    for event in events {
        if let Event::Deliver(delivery) = event {
            if let Some(count) = counts.get_mut(usize::from(delivery.qos.level())) {
                *count += 1;
            }
            bytes += delivery.message.payload.len() as u64;
        }
    }
    counters.wire.deliver(counts, bytes);
}

impl Queued {
    fn deliver(&self, id: Option<DeliveryId>, duplicate: bool) -> Delivery {
        Delivery { duplicate, ..self.clone().into_delivery(id) }
    }

    fn into_delivery(self, id: Option<DeliveryId>) -> Delivery {
        let Self { message, matched, qos, retain, duplicate, .. } = self;
        Delivery { id, message, matched, qos, retain, duplicate }
    }
}
