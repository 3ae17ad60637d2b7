use std::time::Instant;

use crate::{Address, Deliveries, Delivery, DeliveryId, Lane, Outbox, Peer, PeerName, Reason, Reply, Ticket};

/// A wire protocol offered on a listener: makes one [`Connection`] per peer.
pub trait Protocol: Send + Sync + 'static {
    /// The name in logs, metrics and presence: `mqtt`, `mqtt-sn`, `coap`, `lwm2m`, `stomp`.
    fn label(&self) -> &'static str;

    /// Begins the conversation with a peer that was not there before.
    fn accept(&self, peer: Peer) -> Box<dyn Connection>;

    /// The name a datagram's peer goes by, if the datagram tells; else it belongs to its address.
    fn name(&self, _datagram: &[u8]) -> Option<PeerName> {
        None
    }

    /// Whether several peers with such names may share one address, as nodes behind a forwarder do. A peer
    /// with another name at a known address is the known peer under a new name otherwise.
    fn shares_address(&self, _name: &PeerName) -> bool {
        false
    }

    /// What is answered to a datagram that was sent to a multicast group, without a connection; it may be sent later.
    /// `chance` is a number that nobody can foresee.
    fn answer_group(&self, _datagram: &[u8], _chance: u64, _now: Instant) -> Option<Vec<u8>> {
        None
    }

    /// Whether a datagram may make a connection for a peer that was not there before. A stray
    /// acknowledgement, say, need not cost a table entry.
    fn admits(&self, _datagram: &[u8]) -> bool {
        true
    }
}

/// One peer's protocol state machine. It performs no I/O and reads no clock.
///
/// The contract: deliveries come only while [`Connection::room`] is above 0, at most that many at once;
/// [`Event::Close`] always comes. A reply comes any time after its request, and replies to publishes come in
/// the order of the publishes. Every buffer and table inside is bounded by [`Limits`](crate::Limits).
pub trait Connection: Send {
    /// Learns when the conversation began: the first call, before anything has arrived. From here on
    /// [`Connection::deadline`] can bound the handshake of a peer that stays silent.
    fn begin(&mut self, _now: Instant, _out: &mut Outbox) {}

    /// Takes what the peer sent: the unread part of a stream's lane, or exactly one datagram.
    ///
    /// Returns how many bytes it took. A stream takes whole frames and leaves the rest, which comes again
    /// with more behind it; a datagram counts as taken whole. The lane is [`Outbox::lane`].
    ///
    /// An error ends the connection after what was written to `out` has been sent.
    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<usize, ProtocolError>;

    /// The peer's datagrams come from another address, beginning with the next; what is sent goes there. Unless it is
    /// reached, nothing shows yet that the peer hears it there.
    fn moved(&mut self, _address: Address, _is_reached: bool) {}

    /// Whether the peer has shown, since it has moved, that it hears what is sent. Until then DTLS sends it at most three
    /// times the bytes that came from there [RFC9146 6].
    fn is_reached(&self) -> bool {
        false
    }

    /// Handles what the broker says.
    fn handle(&mut self, event: Event, now: Instant, out: &mut Outbox);

    /// Takes messages that were published together, as one; by default as if each came alone.
    fn take_burst(&mut self, deliveries: &Deliveries, now: Instant, out: &mut Outbox) {
        for delivery in deliveries.iter() {
            self.handle(Event::Deliver(delivery), now, out);
        }
    }

    /// One of the connection's lanes is gone, but not the main one, which ends the connection. What was sent there may
    /// not have arrived.
    fn lane_closed(&mut self, _lane: Lane, _out: &mut Outbox) {}

    /// Handles the passing of [`Connection::deadline`].
    fn expire(&mut self, _now: Instant, _out: &mut Outbox) {}

    /// When [`Connection::expire`] is next due. It may move at every call; the driver asks after each.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// How many more deliveries can be taken now: none while asleep or past the protocol's send window.
    fn room(&self) -> usize;

    /// Whether to be told, by [`Event::Idle`], when the session has nothing more to deliver now.
    fn wants_idle(&self) -> bool {
        false
    }
}

/// What the broker says to a connection.
#[derive(Debug)]
pub enum Event {
    /// The answer to a request.
    Reply(Ticket, Result<Reply, Reason>),
    /// A message for the peer.
    Deliver(Delivery),
    /// The peer said [`Ack::Received`](crate::Ack::Received) in an earlier connection: ask it to release.
    Release(DeliveryId),
    /// Every delivery that was waiting has been handed over. It comes after a pull that found no more, while
    /// [`Connection::wants_idle`] holds; a pull that ended because there was no room brings none.
    Idle,
    /// The connection ends: tell the peer if the protocol can, then the transport closes.
    Close(Reason),
}

/// What the peer sent breaks the protocol; the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct ProtocolError {
    /// The cause, for counters and for the peer.
    pub reason: Reason,
    /// What exactly, for people.
    pub detail: &'static str,
}

impl ProtocolError {
    /// Bytes that are no frame of the protocol.
    pub const fn malformed(detail: &'static str) -> Self {
        Self { reason: Reason::Malformed, detail }
    }

    /// A frame that may not come here.
    pub const fn violation(detail: &'static str) -> Self {
        Self { reason: Reason::ProtocolViolation, detail }
    }
}
