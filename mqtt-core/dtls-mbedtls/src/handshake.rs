//! Handshakes under way: as many as there may be, each at its address.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ffi::Context;

/// The handshakes under way.
#[derive(Default)]
pub(crate) struct Handshakes {
    by_address: HashMap<SocketAddr, Handshake>,
    due: BTreeSet<(Instant, SocketAddr)>,
    /// Until when every peer has been heard lately enough, so that none is looked for.
    none_silent_before: Option<Instant>,
}

/// How long a peer may leave its handshake waiting when another needs the place: longer than it takes to miss a flight and
/// send its own again [RFC6347 4.2.4.1].
const PATIENCE: Duration = Duration::from_secs(4);

/// One of them.
pub(crate) struct Handshake {
    pub(crate) context: Box<Context>,
    /// The id that the peer's records will have, if it wants that.
    pub(crate) connection: Box<[u8]>,
    /// The random bytes of the hello, which tell one handshake from the next.
    pub(crate) random: [u8; 32],
    /// When it is over, done or not.
    end: Instant,
    due: Instant,
    /// When the peer last sent something.
    pub(crate) heard: Instant,
}

impl Handshake {
    pub(crate) fn new(
        context: Context,
        connection: Box<[u8]>,
        random: [u8; 32],
        now: Instant,
        end: Instant,
    ) -> Self {
        Self { context: Box::new(context), connection, random, end, due: end, heard: now }
    }

    /// Whether it has had its time.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.end
    }
}

impl Handshakes {
    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(crate) fn get(&self, address: &SocketAddr) -> Option<&Handshake> {
        self.by_address.get(address)
    }

    /// Takes a handshake out, to work on it.
    pub(crate) fn take(&mut self, address: &SocketAddr) -> Option<Handshake> {
        let handshake = self.by_address.remove(address)?;
        self.due.remove(&(handshake.due, *address));
        Some(handshake)
    }

    /// Puts one in, or back in. Its timers are looked at when they want to be, and not more than once in a millisecond.
    pub(crate) fn put(&mut self, address: SocketAddr, mut handshake: Handshake, now: Instant) {
        let due = handshake.context.due().map(|due| due.max(now + Duration::from_millis(1)));
        handshake.due = due.map_or(handshake.end, |due| due.min(handshake.end));
        self.due.insert((handshake.due, address));
        self.by_address.insert(address, handshake);
    }

    /// Takes out the handshake whose peer has been silent for longest, if that was long enough.
    pub(crate) fn take_silent(&mut self, now: Instant) -> Option<(SocketAddr, Handshake)> {
        if self.none_silent_before.is_some_and(|time| now < time) {
            return None;
        }
        let all = self.by_address.iter().map(|(address, handshake)| (handshake.heard, *address));
        let (heard, address) = all.min()?;
        self.none_silent_before = Some(heard + PATIENCE).filter(|time| now < *time);
        match self.none_silent_before {
            Some(_) => None,
            None => self.take(&address).map(|handshake| (address, handshake)),
        }
    }

    /// When the first wants to be looked at.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The address of one that is due.
    pub(crate) fn due(&self, now: Instant) -> Option<SocketAddr> {
        self.due.first().filter(|(due, _)| *due <= now).map(|(_, address)| *address)
    }

    pub(crate) fn clear(&mut self) {
        self.by_address.clear();
        self.due.clear();
    }
}
