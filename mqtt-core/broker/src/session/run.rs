//! Publishes that come one after the other and are alike, taken together: they are found allowed once, routed once,
//! and every session that is owed them is locked and woken once. To everybody it is as if each had come alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Session;
use bus::{Burst, Publish, Reason, Reply, Ticket};

use crate::broker::Shared;
use crate::config::Config;
use crate::publish::queued;
use crate::record::{Record, Stale, State};
use crate::router::Routes;

/// What became of a publish, for whoever holds the ticket.
pub type Settled = (Ticket, Result<Reply, Reason>);

impl Session {
    /// Publishes what stands first in `run`, as far as it is like the last publish that was allowed and can be done at
    /// once, and adds what became of it to `settled`. What is left is for [`Session::publish`].
    pub fn publish_run(
        &mut self,
        run: &mut VecDeque<(Ticket, Publish)>,
        settled: &mut Vec<Settled>,
        now: Instant,
    ) {
        // First, since it may bring other rights than those of the last publish.
        if self.check(now).is_err() {
            return;
        }
        let length = self.alike(run);
        if length < 2 {
            return;
        }
        let Self { shared, record, client, memory: Some(memory), epoch, .. } = self else { return };
        let Ok(_turn) = record.hold(*epoch) else { return };
        let (mut messages, mut places, mut bytes) = (Vec::with_capacity(length), Vec::new(), 0);
        for (ticket, publish) in run.drain(..length) {
            let is_known = publish.once.map_or(Ok(false), |id| record.lock().remember(id, &shared.config));
            if ticket != Ticket::NONE {
                let outcome = is_known.map(|_| Reply::Published { matched: 1 }); // [MQTT-3.3.1-10]
                if matches!(is_known, Ok(false)) {
                    places.push((messages.len(), settled.len()));
                }
                settled.push((ticket, outcome));
            }
            if matches!(is_known, Ok(false)) {
                bytes += publish.payload.len();
                messages.push(Arc::new(shared.message(client, publish, now)));
            }
        }
        let Some(first) = messages.first() else { return };
        shared.counters.wire.publish(first.qos, messages.len(), bytes);
        let found = shared.router.find(&first.topic, &mut memory.routes);
        let burst = Arc::new(Burst::new(messages, found.targets.len()));
        let matched = shared.hand_out_all(&burst, &found, record);
        for (at, place) in places {
            if let (Some((_, outcome)), Some(matched)) = (settled.get_mut(place), matched.of(at)) {
                *outcome = Ok(Reply::Published { matched });
            }
        }
    }

    /// How many publishes at the head of the run may go the way of the last one, and together.
    fn alike(&self, run: &VecDeque<(Ticket, Publish)>) -> usize {
        let shared = &self.shared;
        if shared.translates(&self.client) || !shared.hooks.interceptors.is_empty() {
            return 0;
        }
        let allowed = self.memory.as_ref().and_then(|memory| memory.allowed.as_ref());
        let Some((topic, qos, retain, then)) = allowed else { return 0 };
        let is_valid = !retain && *then == (shared.hooks.authorizer.epoch(), self.rights);
        let is_alike =
            |publish: &Publish| publish.qos == *qos && publish.retain == *retain && publish.topic == *topic;
        if !is_valid || run.front().is_none_or(|(_, first)| shared.check(first).is_err()) {
            return 0;
        }
        run.iter().take_while(|(_, publish)| is_alike(publish)).count()
    }
}

impl State {
    /// Whether an exactly-once publish with this id was routed before [MQTT-4.3.3-10].
    pub(super) fn is_repeated(&self, id: u16, config: &Config) -> Result<bool, Reason> {
        if self.received.contains(id) {
            return Ok(true);
        }
        if self.received.len() >= config.max_received {
            return Err(Reason::ReceiveMaximumExceeded);
        }
        Ok(false)
    }

    /// The same, and notes the id.
    fn remember(&mut self, id: u16, config: &Config) -> Result<bool, Reason> {
        let is_repeated = self.is_repeated(id, config)?;
        if !is_repeated {
            self.received.insert(id);
        }
        Ok(is_repeated)
    }
}

impl Shared {
    /// Owes messages of one topic and guarantee to all that its routes lead to.
    fn hand_out_all(&self, burst: &Arc<Burst>, routes: &Routes, origin: &Arc<Record>) -> Audience {
        let messages = burst.messages();
        let Some(first) = messages.first().filter(|_| routes.is_plain) else {
            let hand_out = |message| self.hand_out_counted(message, routes, Some(origin));
            return Audience::Each(messages.iter().map(hand_out).collect());
        };
        let priority = self.priorities.of(&first.topic);
        let mut matched = 0;
        for target in &routes.targets {
            let own = Arc::ptr_eq(origin, &target.record);
            let Some(hit) = target.hit(first, own) else { continue };
            matched += 1;
            match target.record.push_burst(burst, &hit, priority, routes.epoch, &self.config) {
                Ok(lost) => self.lose(&target.record, lost, first.published),
                Err(Stale) => messages.iter().for_each(|message| {
                    self.owe_anew(&target.record, queued(message, &hit, priority));
                }),
            }
        }
        if matched == 0 {
            self.counters.unrouted.fetch_add(messages.len() as u64, Ordering::Relaxed);
        }
        Audience::Same(matched)
    }
}

/// How many sessions and groups each message of a burst matched.
enum Audience {
    Same(usize),
    Each(Vec<usize>),
}

impl Audience {
    fn of(&self, message: usize) -> Option<usize> {
        match self {
            Self::Same(matched) => Some(*matched),
            Self::Each(matched) => matched.get(message).copied(),
        }
    }
}
