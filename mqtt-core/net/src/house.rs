use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use broker::Broker;
use bus::Protocol;

use crate::overload::Overload;

/// What connections that speak one protocol to one broker share, so that each has but one pointer to it.
pub struct House {
    pub(crate) protocol: Arc<dyn Protocol>,
    pub(crate) broker: Broker,
    pub(crate) overload: Arc<Overload>,
    open: AtomicUsize,
    opened: Instant,
}

/// A place in a house, given back when dropped.
pub struct Place(Arc<House>);

/// A time as a connection keeps it: in half the space, as nanoseconds since the house was opened.
#[derive(Clone, Copy)]
pub(crate) struct Moment(u64);

impl House {
    /// A house for connections that begin at `now` or later.
    pub fn new(protocol: Arc<dyn Protocol>, broker: Broker, now: Instant) -> Arc<Self> {
        Self::watched(protocol, broker, Arc::default(), now)
    }

    /// The same, where somebody watches how hard the server is pressed.
    pub(crate) fn watched(
        protocol: Arc<dyn Protocol>,
        broker: Broker,
        overload: Arc<Overload>,
        now: Instant,
    ) -> Arc<Self> {
        Arc::new(Self { protocol, broker, overload, open: AtomicUsize::new(0), opened: now })
    }

    /// A place for one more connection.
    pub fn place(self: &Arc<Self>) -> Place {
        self.open.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn moment(&self, now: Instant) -> Moment {
        let since = now.saturating_duration_since(self.opened);
        Moment(since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos()))
    }

    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        self.opened + Duration::from_nanos(moment.0)
    }
}

impl Place {
    pub(crate) fn house(&self) -> &Arc<House> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
