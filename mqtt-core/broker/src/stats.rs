use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bus::{Filter, Reason};
use dashmap::DashMap;

use crate::Volume;
use crate::wire::Wire;

/// Counters of one broker since it began.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) unrouted: AtomicU64,
    filtered: AtomicU64,
    /// Retained messages that wait in all queues.
    pub(crate) replaying: Arc<AtomicU64>,
    pub(crate) connections: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) allowed: AtomicU64,
    pub(crate) denied: AtomicU64,
    pub(crate) paused: AtomicU64,
    pub(crate) shared_subscriptions: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) sockets: AtomicU64,
    pub(crate) wire: Wire,
    closed: DashMap<(&'static str, Reason), u64>,
    refused: DashMap<(&'static str, Reason), u64>,
    dropped: DashMap<Reason, u64>,
}

/// What a broker has done and holds, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages taken from publishers, by guarantee.
    pub received: [u64; 3],
    /// Bytes of their payloads.
    pub received_bytes: u64,
    /// Messages handed to subscribers' connections, by guarantee.
    pub delivered: [u64; 3],
    /// Bytes of their payloads.
    pub delivered_bytes: u64,
    /// Messages that matched no subscription.
    pub unrouted: u64,
    /// Times that a message matched a session's filters or a share group, and no condition of theirs.
    pub filtered: u64,
    /// Sessions that a connection holds now.
    pub connections: u64,
    /// Sessions there are now.
    pub sessions: u64,
    /// Subscriptions there are now.
    pub subscriptions: u64,
    /// Messages that wait for their time.
    pub delayed: u64,
    /// Bytes they hold.
    pub delayed_bytes: u64,
    /// Retained messages there are now.
    pub retained: u64,
    /// Bytes they hold.
    pub retained_bytes: u64,
    /// Accesses allowed by the authorizer.
    pub allowed: u64,
    /// Accesses denied by the authorizer.
    pub denied: u64,
    /// How often a client was not listened to for a while, because it sent more than it may.
    pub paused: u64,
    /// Subscriptions there are now through share groups; they count among `subscriptions` too.
    pub shared_subscriptions: u64,
    /// Sessions that were opened or resumed.
    pub opened: u64,
    /// Sessions that outlived their connection and ended when their time was over.
    pub expired: u64,
    /// Connections that were begun, whatever became of them.
    pub sockets: u64,
    /// Bytes and frames of peers.
    pub wire_received: Volume,
    /// Bytes and frames for peers.
    pub wire_sent: Volume,
    /// Connections ended, by protocol and cause.
    pub closed: Vec<(&'static str, Reason, u64)>,
    /// Attempts to connect refused, by protocol and cause.
    pub refused: Vec<(&'static str, Reason, u64)>,
    /// Messages thrown away, by cause.
    pub dropped: Vec<(Reason, u64)>,
}

impl Counters {
    pub(crate) fn add_subscription(&self, filter: &Filter) {
        self.subscriptions.fetch_add(1, Relaxed);
        self.shared_subscriptions.fetch_add(u64::from(filter.share().is_some()), Relaxed);
    }

    pub(crate) fn remove_subscription(&self, filter: &Filter) {
        self.subscriptions.fetch_sub(1, Relaxed);
        self.shared_subscriptions.fetch_sub(u64::from(filter.share().is_some()), Relaxed);
    }

    pub(crate) fn close(&self, protocol: &'static str, reason: Reason) {
        *self.closed.entry((protocol, reason)).or_default() += 1;
    }

    pub(crate) fn refuse(&self, protocol: &'static str, reason: Reason) {
        *self.refused.entry((protocol, reason)).or_default() += 1;
    }

    pub(crate) fn filter(&self) {
        self.filtered.fetch_add(1, Relaxed);
    }

    pub(crate) fn drop_message(&self, reason: Reason) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    pub(crate) fn snapshot(
        &self,
        (retained, retained_bytes): (usize, usize),
        (delayed, delayed_bytes): (usize, usize),
    ) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        let list = |map: &DashMap<(&'static str, Reason), u64>| {
            let mut rows: Vec<_> = map.iter().map(|row| (row.key().0, row.key().1, *row.value())).collect();
            rows.sort_unstable();
            rows
        };
        let mut dropped: Vec<_> = self.dropped.iter().map(|row| (*row.key(), *row.value())).collect();
        dropped.sort_unstable();
        let (wire_received, wire_sent) = self.wire.sum();
        let [(received, received_bytes), (delivered, delivered_bytes)] = self.wire.messages();
        Stats {
            received,
            received_bytes,
            delivered,
            delivered_bytes,
            unrouted: load(&self.unrouted),
            filtered: load(&self.filtered),
            connections: load(&self.connections),
            sessions: load(&self.sessions),
            subscriptions: load(&self.subscriptions),
            delayed: delayed as u64,
            delayed_bytes: delayed_bytes as u64,
            retained: retained as u64,
            retained_bytes: retained_bytes as u64,
            allowed: load(&self.allowed),
            denied: load(&self.denied),
            paused: load(&self.paused),
            shared_subscriptions: load(&self.shared_subscriptions),
            opened: load(&self.opened),
            expired: load(&self.expired),
            sockets: load(&self.sockets),
            wire_received,
            wire_sent,
            closed: list(&self.closed),
            refused: list(&self.refused),
            dropped,
        }
    }
}
