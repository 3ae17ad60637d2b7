use std::net::SocketAddr;
use std::time::Instant;

use bus::{Carrier, Link, Outbox};

use super::Datagrams;
use super::outlet::Outlet;
use super::way::Way;

/// Nothing secures the socket: a peer is whoever sends from its address.
pub(crate) struct Plain;

impl Way for Plain {
    type Source = SocketAddr;
    /// The address, or `None` for everywhere.
    type Scope = Option<SocketAddr>;

    fn arrive(datagrams: &mut Datagrams<Self>, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        datagrams.take(datagram, from, now);
    }

    /// A name counts anywhere if the listener rebinds, else at the address that claimed it.
    fn scope(&self, source: SocketAddr, rebind: bool) -> Option<SocketAddr> {
        (!rebind).then_some(source)
    }

    fn peer(&self, source: SocketAddr) -> Option<(SocketAddr, Link)> {
        Some((source, Link { carrier: Carrier::Udp, secured: None }))
    }

    fn send(&mut self, source: SocketAddr, out: &Outbox, outlet: &mut Outlet, _now: Instant) {
        for chunk in out.chunks() {
            outlet.send(chunk.bytes, source);
        }
    }
}
