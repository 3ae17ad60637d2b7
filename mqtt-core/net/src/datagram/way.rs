use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Instant;

use bus::{Link, Outbox, Reason};

use super::Datagrams;
use super::outlet::Outlet;

/// What lies between a socket and its connections: nothing, or what secures it.
pub(crate) trait Way: Sized + Unpin {
    /// What tells one peer from another: its address, or its session.
    type Source: Copy + Eq + Hash + Unpin;
    /// Where a name counts that a peer has claimed.
    type Scope: Clone + Eq + Hash + Unpin;

    /// Does what comes before the first datagram.
    fn begin(_datagrams: &mut Datagrams<Self>, _now: Instant) {}

    /// Takes a datagram from the socket, and has the connections take what is in it.
    fn arrive(datagrams: &mut Datagrams<Self>, datagram: &mut [u8], from: SocketAddr, now: Instant);

    /// Where the names count that this peer claims.
    fn scope(&self, source: Self::Source, rebind: bool) -> Self::Scope;

    /// Where the peer is now, and what is known of how its datagrams come; `None` if it is gone.
    fn peer(&self, source: Self::Source) -> Option<(SocketAddr, Link)>;

    /// Whether little is sent to the peer, since it has moved and nothing shows that it hears what is sent there.
    fn is_unreached(&self, _source: Self::Source) -> bool {
        false
    }

    /// The peer hears what is sent to where it is. Returns the connections that it reaches.
    fn reached(&mut self, _source: Self::Source) -> Vec<usize> {
        Vec::new()
    }

    /// Sends all datagrams of the outbox.
    fn send(&mut self, source: Self::Source, out: &Outbox, outlet: &mut Outlet, now: Instant);

    /// A connection has begun that this peer reaches, or came here from another source.
    fn joined(&mut self, _source: Self::Source, _key: usize) {}

    /// The connection has ended for this reason, or is reached from elsewhere now.
    fn left(
        &mut self,
        _source: Self::Source,
        _key: usize,
        _reason: Option<Reason>,
        _outlet: &mut Outlet,
        _now: Instant,
    ) {
    }

    /// The peer could have no connection.
    fn turned_away(&mut self, _source: Self::Source, _outlet: &mut Outlet, _now: Instant) {}

    /// Does what is due.
    fn expire(_datagrams: &mut Datagrams<Self>, _now: Instant) {}

    /// When [`Way::expire`] is to be called at the latest.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether [`Way::expire`] is to be called at once: something came of what the connections sent.
    fn has_news(&self) -> bool {
        false
    }

    /// The task waits from now on.
    fn rest(&mut self) {}

    /// The listener stops, and nobody is connected any more.
    fn stop(&mut self, _outlet: &mut Outlet, _now: Instant) {}
}
