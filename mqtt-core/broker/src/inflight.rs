use std::collections::{BTreeSet, VecDeque};

use bus::{DeliveryId, Qos};

use crate::queue::Queued;

/// Deliveries handed to the client and not yet complete, in the order in which they were first handed over.
///
/// An id is `sequence % 65,535 + 1`, so that ids are used in turn and the entry of an id is found by binary
/// search of its sequence.
#[derive(Default)]
pub(crate) struct Inflight {
    entries: VecDeque<Entry>,
    next: u64,
    /// How many entries, from the front, this connection has been handed; the rest wait to be sent again.
    handed: usize,
    /// Entries that this connection was handed and has missed.
    missed: BTreeSet<u64>,
}

pub(crate) struct Entry {
    sequence: u64,
    pub(crate) received: bool,
    /// What is delivered; dropped once the client has it, the id alone counts then.
    pub(crate) queued: Option<Queued>,
}

const IDS: u64 = 65_535;

impl Inflight {
    /// How many deliveries this connection has been handed and not completed.
    pub(crate) fn handed(&self) -> usize {
        self.handed
    }

    /// Begins a new connection: everything is to be handed over again.
    pub(crate) fn rewind(&mut self) {
        self.handed = 0;
        self.missed.clear();
    }

    /// The connection has missed a delivery, or what the client said of it.
    pub(crate) fn resend(&mut self, id: DeliveryId) {
        let missed = self.position(id).filter(|at| *at < self.handed);
        if let Some(entry) = missed.and_then(|at| self.entries.get(at)) {
            self.missed.insert(entry.sequence);
        }
    }

    /// Whether entries wait that were handed over before, so that the window has room for them.
    pub(crate) fn has_missed(&self) -> bool {
        !self.missed.is_empty()
    }

    /// The next entry to hand over again, if any waits.
    pub(crate) fn again(&mut self) -> Option<(DeliveryId, &Entry)> {
        if let Some(sequence) = self.missed.pop_first() {
            let entry = self.entries.get(self.find(sequence)?)?;
            return Some((id_of(sequence), entry));
        }
        let entry = self.entries.get(self.handed)?;
        self.handed += 1;
        Some((id_of(entry.sequence), entry))
    }

    /// What the next entry to hand over again delivers, unless its id alone counts.
    pub(crate) fn waiting_again(&self) -> Option<&Queued> {
        self.entries.get(self.next_again()?)?.queued.as_ref()
    }

    /// Leaves out the next entry to hand over again; of one that is sent exactly once the id stays, and as the client
    /// may have seen it, it goes to nobody else of its group [MQTT-4.8.2-5].
    pub(crate) fn refuse_again(&mut self) -> Option<Queued> {
        let at = self.next_again()?;
        let entry = self.entries.get_mut(at)?;
        let (mut queued, sequence) = (entry.queued.take()?, entry.sequence);
        if queued.qos < Qos::ExactlyOnce {
            self.entries.remove(at);
            self.handed -= usize::from(at < self.handed);
            self.missed.remove(&sequence);
        } else {
            queued.group = None;
        }
        Some(queued)
    }

    fn next_again(&self) -> Option<usize> {
        self.missed.first().map_or(Some(self.handed), |sequence| self.find(*sequence))
    }

    /// Whether entries wait to be handed over again.
    pub(crate) fn has_again(&self) -> bool {
        self.has_missed() || self.handed < self.entries.len()
    }

    /// Hands over something new; nothing may wait to be handed over again. `None` when every id is in use.
    pub(crate) fn hand(&mut self, queued: Queued) -> Option<DeliveryId> {
        if self.entries.len() as u64 >= IDS {
            return None;
        }
        // Only an entry at least a whole round old can have the next id.
        while self.entries.front().is_some_and(|oldest| oldest.sequence + IDS <= self.next)
            && self.position(id_of(self.next)).is_some()
        {
            self.next += 1;
        }
        let sequence = self.next;
        self.next += 1;
        self.entries.push_back(Entry { sequence, received: false, queued: Some(queued) });
        self.handed = self.entries.len();
        Some(id_of(sequence))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry with this id.
    pub(crate) fn entry(&mut self, id: DeliveryId) -> Option<&mut Entry> {
        let at = self.position(id)?;
        self.entries.get_mut(at)
    }

    /// Ends a delivery.
    pub(crate) fn complete(&mut self, id: DeliveryId) -> Option<Entry> {
        let at = self.position(id)?;
        let entry = if at == 0 { self.entries.pop_front() } else { self.entries.remove(at) };
        self.handed -= usize::from(at < self.handed);
        if let Some(entry) = entry.as_ref().filter(|_| self.has_missed()) {
            self.missed.remove(&entry.sequence);
        }
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = VecDeque::new();
        }
        entry
    }

    /// What came through share groups and may go to another member: what was sent exactly once may not, once it
    /// was begun [MQTT-4.8.2-5].
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Queued> {
        self.entries.iter().filter_map(Entry::movable)
    }

    /// Takes out what may go to another member and `gone` says so of; no connection holds the session.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Queued) -> bool) {
        self.entries.retain(|entry| !entry.movable().is_some_and(&gone));
        self.handed = self.handed.min(self.entries.len());
    }

    /// Takes out the deliveries that `keep` does not want and the client has not acknowledged in any way. Of one that
    /// is sent exactly once the id stays, until the client has let go of it.
    pub(crate) fn retain(&mut self, keep: &mut impl FnMut(&mut Queued) -> bool) {
        let (mut at, mut handed) = (0, self.handed);
        let (known, missed) = (self.handed, &mut self.missed);
        self.entries.retain_mut(|entry| {
            let here = at < known;
            at += 1;
            let Some(queued) = &mut entry.queued else { return true };
            if keep(queued) {
                return true;
            }
            let numbered = queued.qos == Qos::ExactlyOnce;
            entry.queued = None;
            if !numbered {
                handed -= usize::from(here);
                missed.remove(&entry.sequence);
            }
            numbered
        });
        self.handed = handed;
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Queued> {
        self.rewind();
        std::mem::take(&mut self.entries).into_iter().filter_map(|entry| entry.queued)
    }

    fn position(&self, id: DeliveryId) -> Option<usize> {
        let first = self.entries.front().filter(|entry| id_of(entry.sequence) == id);
        if first.is_some() {
            return Some(0);
        }
        let residue = u64::from(id.get()) - 1;
        // An id that was skipped because it was in use may be found one or more rounds back.
        let mut sequence = (self.next / IDS) * IDS + residue;
        let oldest = self.entries.front()?.sequence;
        loop {
            if let Some(at) = self.find(sequence) {
                return Some(at);
            }
            sequence = sequence.checked_sub(IDS).filter(|sequence| *sequence >= oldest)?;
        }
    }

    fn find(&self, sequence: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&sequence, |entry| entry.sequence).ok()
    }
}

impl Entry {
    fn movable(&self) -> Option<&Queued> {
        self.queued.as_ref().filter(|queued| queued.group.is_some() && queued.qos < Qos::ExactlyOnce)
    }
}

fn id_of(sequence: u64) -> DeliveryId {
    DeliveryId::new((sequence % IDS) as u16 + 1).expect("a remainder plus 1 is not 0")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use bus::{ClientId, Matched, Message, SubscriptionId, Topic};

    use super::*;

    fn queued() -> Queued {
        Queued {
            message: Arc::new(Message {
                topic: Topic::parse("t").unwrap(),
                payload: Default::default(),
                qos: Qos::AtLeastOnce,
                retain: false,
                published: Instant::now(),
                expires: None,
                metadata: None,
                origin: ClientId::parse("p").unwrap(),
            }),
            matched: Matched::One(SubscriptionId(0)),
            qos: Qos::AtLeastOnce,
            retain: false,
            duplicate: false,
            priority: 0,
            passed_over: 0,
            group: None,
        }
    }

    #[test]
    fn an_id_in_use_is_not_given_again() {
        let mut inflight = Inflight::default();
        let kept = inflight.hand(queued()).unwrap();
        for _ in 0..200_000 {
            let id = inflight.hand(queued()).unwrap();
            assert_ne!(id, kept);
            assert!(inflight.complete(id).is_some());
        }
        assert!(inflight.complete(kept).is_some());
        assert!(inflight.complete(kept).is_none());
        assert_eq!(inflight.entries.len(), 0);
    }

    #[test]
    fn what_was_not_completed_is_handed_over_again_in_order() {
        let mut inflight = Inflight::default();
        let ids: Vec<_> = (0..4).map(|_| inflight.hand(queued()).unwrap()).collect();
        inflight.complete(ids[1]);
        inflight.rewind();
        assert_eq!(inflight.again().unwrap().0, ids[0]);
        inflight.complete(ids[0]);
        assert_eq!(inflight.handed(), 0);
        assert_eq!(inflight.again().unwrap().0, ids[2]);
        assert_eq!(inflight.again().unwrap().0, ids[3]);
        assert!(inflight.again().is_none() && inflight.entries.len() == 2);
    }

    #[test]
    fn what_was_taken_out_is_not_handed_over_again_though_a_connection_missed_it() {
        let mut inflight = Inflight::default();
        let ids: Vec<_> = (0..4).map(|_| inflight.hand(queued()).unwrap()).collect();
        ids.iter().for_each(|id| inflight.resend(*id));
        let mut at = 0;
        inflight.retain(&mut |_| {
            at += 1;
            at != 1
        });
        assert_eq!(inflight.handed(), 3);
        assert!(inflight.waiting_again().is_some() && inflight.refuse_again().is_some());
        assert_eq!(inflight.again().unwrap().0, ids[2]);
        assert_eq!(inflight.again().unwrap().0, ids[3]);
        assert!(inflight.again().is_none() && inflight.handed() == 2);
    }

    #[test]
    fn every_id_can_be_in_use_at_once_and_none_twice() {
        let mut inflight = Inflight::default();
        for _ in 0..IDS {
            assert!(inflight.hand(queued()).is_some());
        }
        assert!(inflight.hand(queued()).is_none());
        let id = DeliveryId::new(4_000).unwrap();
        assert!(inflight.complete(id).is_some());
        assert_eq!(inflight.hand(queued()), Some(id));
    }
}
