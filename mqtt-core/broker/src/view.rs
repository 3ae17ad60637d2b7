//! What operators may see of sessions; nothing here changes any.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{ClientId, SessionExpiry, Subscription};

use crate::record::Record;
use crate::{Broker, Client};

/// One session, at one moment.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Whose it is.
    pub client_id: ClientId,
    /// The client that holds it, or held it last.
    pub client: Option<Arc<Client>>,
    /// Whether a connection holds it now.
    pub connected: bool,
    /// Since when it is held, or when it was left.
    pub since: Option<Instant>,
    /// The longest silence that was agreed on with its last connection.
    pub keep_alive: Option<Duration>,
    /// How long it outlives its connection.
    pub expiry: SessionExpiry,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// How many messages wait in its queue.
    pub queued: usize,
    /// The bytes of those that are not retained ones.
    pub queued_bytes: usize,
    /// How many deliveries are not acknowledged.
    pub inflight: usize,
}

/// What all sessions hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Messages that wait in queues; one that waits for several sessions counts as often.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Deliveries that are not acknowledged.
    pub inflight: u64,
}

impl Broker {
    /// One session, if there is.
    pub fn session(&self, client_id: &ClientId) -> Option<SessionView> {
        self.0.record(client_id).map(|record| view(&record))
    }

    /// The sessions whose ids come next after `after`, in order, at most `limit`.
    pub fn sessions(&self, after: Option<&ClientId>, limit: usize) -> Vec<SessionView> {
        let mut next: BinaryHeap<ClientId> = BinaryHeap::new();
        self.0.each_record(|record| {
            let fits = next.len() < limit || next.peek().is_some_and(|last| record.id < *last);
            if after.is_none_or(|after| record.id > *after) && fits {
                next.push(record.id.clone());
                if next.len() > limit {
                    next.pop();
                }
            }
        });
        next.into_sorted_vec().iter().filter_map(|id| self.session(id)).collect()
    }

    /// The subscriptions of one session, at most `limit`.
    pub fn subscriptions(&self, client_id: &ClientId, limit: usize) -> Vec<Subscription> {
        let record = self.0.record(client_id);
        record
            .map(|record| record.lock().subscriptions.iter().take(limit).cloned().collect())
            .unwrap_or_default()
    }

    /// What all sessions hold. It looks at each: not for every second.
    pub fn holdings(&self) -> Holdings {
        let mut sum = Holdings::default();
        self.0.each_record(|record| {
            let state = record.lock();
            sum.queued += state.queue().len() as u64;
            sum.queued_bytes += state.queue().bytes() as u64;
            sum.inflight += state.unfinished() as u64;
        });
        sum
    }
}

fn view(record: &Record) -> SessionView {
    let state = record.lock();
    SessionView {
        client_id: record.id.clone(),
        client: state.client.clone(),
        connected: state.is_held(),
        since: state.since,
        keep_alive: state.keep_alive(),
        expiry: state.expiry(),
        subscriptions: state.subscriptions.len(),
        queued: state.queue().len(),
        queued_bytes: state.queue().bytes(),
        inflight: state.unfinished(),
    }
}
