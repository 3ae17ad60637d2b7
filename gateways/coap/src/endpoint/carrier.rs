use std::time::Instant;

use bus::{Address, Outbox, ProtocolError, Reason};

use super::Turn;
use super::datagram::Datagram;
use super::stations::blocks::Room;
use super::stream::{Stream, Taken};
use crate::{ExchangeId, Message, ReplyTo, SendError, Transmission};

/// What carries a peer's messages. Another carrier is another variant, in a file of its own.
///
/// A carrier owes this:
///
/// - It reads what arrives and never panics. What is no message, what is said twice, and what only concerns the
///   carrier (acknowledgements of nothing, pings, signals) it deals with alone.
/// - A request goes up once, with a [`ReplyTo`] by which [`Carrier::respond`] finds where its answer goes. A
///   critical option that is unknown is refused here, since how depends on the carrier.
/// - An answer is given to [`Matching::answered`](super::matching::Matching::answered), which finds the exchange;
///   of an answer to nothing the carrier tells the peer as its standard says.
/// - A request of ours is entered by [`Matching::begin`](super::matching::Matching::begin). What the peer leaves
///   unacknowledged for good is told by [`Carrier::expire`], and is nobody's any more.
/// - A message that is larger than [`Carrier::room`] says is refused, or, if it is an answer, becomes 5.00.
/// - What waits to be sent has a bound; beyond it [`SendError::Full`] is the answer.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// RFC 7252 over UDP or DTLS.
    Datagram(Box<Datagram>),
    /// RFC 8323 over TCP, TLS or WebSocket.
    Stream(Box<Stream>),
}

impl Carrier {
    /// Answers a request; the exchange is that of an answer which the peer can acknowledge or reset by itself.
    pub(crate) fn respond(
        &mut self,
        to: &ReplyTo,
        response: Message,
        turn: &mut Turn<'_>,
    ) -> Option<ExchangeId> {
        match self {
            Self::Datagram(datagram) => datagram.respond(to, response, turn),
            Self::Stream(stream) => {
                stream.respond(to, &response, turn);
                None
            }
        }
    }

    /// A request is done without an answer.
    pub(crate) fn settle(&mut self, to: &ReplyTo, turn: &mut Turn<'_>) {
        match self {
            Self::Datagram(datagram) => datagram.settle(to, turn),
            Self::Stream(stream) => stream.settled(to, turn),
        }
    }

    /// How large the answer to a request may be, or a notification, as long as the peer may be elsewhere than its
    /// datagrams say; `None` if it is not.
    pub(crate) fn allowance(&self, answer_to: Option<&ReplyTo>) -> Option<usize> {
        match self {
            Self::Datagram(datagram) => datagram.credit().allowance(answer_to),
            Self::Stream(_) => None,
        }
    }

    /// The peer is where its datagrams say.
    pub(crate) fn prove(&mut self) {
        match self {
            Self::Datagram(datagram) => datagram.credit_mut().prove(),
            Self::Stream(_) => {}
        }
    }

    /// The peer's datagrams come from another address; exchanges from `since` on begin there, with this message id.
    /// Returns whether a ping can show that it is there.
    pub(crate) fn moved(&mut self, address: Address, since: ExchangeId, next_id: u16) -> bool {
        match self {
            Self::Datagram(datagram) => datagram.moved(address, since, next_id),
            Self::Stream(_) => true,
        }
    }

    /// There is more for the peer than it may be sent before it has shown where it is.
    pub(crate) fn is_short(&mut self, out: &mut Outbox) {
        match self {
            Self::Datagram(datagram) => datagram.is_short(out),
            Self::Stream(_) => {}
        }
    }

    /// Whether the peer is not known to be where its datagrams say, and was elsewhere before.
    pub(crate) fn has_moved(&self) -> bool {
        match self {
            Self::Datagram(datagram) => datagram.credit().has_moved(),
            Self::Stream(_) => false,
        }
    }

    /// Sends a request that has its token.
    pub(crate) fn request(
        &mut self,
        exchange: ExchangeId,
        message: Message,
        turn: &mut Turn<'_>,
    ) -> Result<(), SendError> {
        match self {
            Self::Datagram(datagram) => datagram.request(exchange, message, turn),
            Self::Stream(stream) => stream.request(exchange, &message, turn),
        }
    }

    /// Sends a notification to the peer, which observes by the request `to`.
    pub(crate) fn notify(
        &mut self,
        to: &ReplyTo,
        message: Message,
        confirmable: bool,
        turn: &mut Turn<'_>,
    ) -> Result<ExchangeId, SendError> {
        match self {
            Self::Datagram(datagram) => datagram.notify(to, message, confirmable, turn),
            Self::Stream(stream) => stream.notify(to, &message, turn),
        }
    }

    /// Asks whether the peer is there; that it is comes as [`Incoming::Reset`].
    pub(crate) fn ping(&mut self, turn: &mut Turn<'_>) -> ExchangeId {
        match self {
            Self::Datagram(datagram) => datagram.ping(turn),
            Self::Stream(stream) => stream.ping(turn),
        }
    }

    /// Sends a message of ours no more, where that is still possible.
    pub(crate) fn forget(&mut self, exchange: ExchangeId) {
        match self {
            Self::Datagram(datagram) => datagram.forget(exchange),
            Self::Stream(stream) => stream.forget(exchange),
        }
    }

    /// How large a message may be, header and token included, and when a body goes in blocks.
    pub(crate) fn room(&self) -> Room {
        match self {
            Self::Datagram(datagram) => {
                Room { bytes: datagram.largest(), eager: true, bert: false, takes_bert: false }
            }
            Self::Stream(stream) => stream.room(),
        }
    }

    /// The parameters of Q-Blocks, if requests may have them, which gain nothing where all arrives in order [RFC9177 3].
    pub(crate) fn q_blocks(&self) -> Option<&Transmission> {
        match self {
            Self::Datagram(datagram) => datagram.q_blocks(),
            Self::Stream(_) => None,
        }
    }

    /// Whether a message that must arrive would be sent at once.
    pub(crate) fn can_send(&self) -> bool {
        match self {
            Self::Datagram(datagram) => datagram.can_send(),
            Self::Stream(stream) => stream.can_send(),
        }
    }

    /// When [`Carrier::expire`] is next due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Datagram(datagram) => datagram.deadline(),
            Self::Stream(stream) => stream.deadline(),
        }
    }

    /// Does what is due; returns what the peer left unacknowledged for good.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) -> Option<ExchangeId> {
        match self {
            Self::Datagram(datagram) => datagram.expire(turn),
            Self::Stream(stream) => stream.expire(turn),
        }
    }

    /// Takes one datagram, or one message off the front of a stream; `None` when more must come.
    pub(crate) fn take(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Option<Taken>, ProtocolError> {
        match self {
            Self::Datagram(_) if input.is_empty() => Ok(None),
            Self::Datagram(datagram) => Ok(Some((input.len(), datagram.receive(input, turn)))),
            Self::Stream(stream) => stream.take(input, turn),
        }
    }

    /// Says what must be said first.
    pub(crate) fn begin(&mut self, now: Instant, out: &mut Outbox) {
        match self {
            Self::Datagram(_) => {}
            Self::Stream(stream) => stream.begin(now, out),
        }
    }

    /// The peer has a session.
    pub(crate) fn let_in(&mut self, out: &mut Outbox) {
        match self {
            Self::Datagram(_) => {}
            Self::Stream(stream) => stream.let_in(out),
        }
    }

    /// Says why the connection is about to be closed.
    pub(crate) fn farewell(&mut self, reason: Reason, out: &mut Outbox) {
        match self {
            Self::Datagram(_) => {}
            Self::Stream(stream) => stream.farewell(reason, out),
        }
    }

    /// Whether all that is sent arrives, in order, as long as the connection lives.
    pub(crate) fn is_reliable(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}
