use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bus::{Peer, Reason};

use crate::{Broker, BrokerEvent};

/// How a connection went, as operators are told when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// When it began.
    pub since: Instant,
    /// When the peer was last heard.
    pub heard: Instant,
    /// The longest silence that was agreed on, where there is such a thing.
    pub keep_alive: Option<Duration>,
    /// What the peer sent.
    pub received: Volume,
    /// What it was sent.
    pub sent: Volume,
    /// What exactly went wrong, for people.
    pub detail: Option<Arc<str>>,
}

/// How much went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes, above encryption.
    pub bytes: u64,
    /// Packets, frames or datagrams.
    pub frames: u64,
    /// Application messages.
    pub messages: u64,
}

impl Course {
    /// A connection of which nothing was heard yet.
    pub fn new(since: Instant) -> Self {
        let (received, sent) = (Volume::default(), Volume::default());
        Self { since, heard: since, keep_alive: None, received, sent, detail: None }
    }

    /// The same, with what exactly went wrong.
    pub fn with_detail(self, detail: impl Into<Arc<str>>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

impl Broker {
    /// Counts a connection that begins, session or not.
    pub fn count_begin(&self) {
        self.0.counters.sockets.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what a connection carried since it last said.
    pub fn count_wire(&self, received: Volume, sent: Volume) {
        self.0.counters.wire.count(received, sent);
    }

    /// Tells the observers of a connection that ended without ever having asked for a session: its handshake
    /// failed, its first bytes made no sense, or it stayed silent. Counting it is another matter.
    pub fn tell_lost(
        &self,
        peer: &Peer,
        protocol: &'static str,
        reason: Reason,
        course: Course,
        now: Instant,
    ) {
        let course = Box::new(course);
        self.0.emit(|| BrokerEvent::Lost { peer: peer.clone(), protocol, reason, course, at: now });
    }
}
