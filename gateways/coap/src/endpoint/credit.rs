//! What a peer is sent until it is known to be where its datagrams say [RFC9175 2.4].

use bus::Address;

use crate::{ExchangeId, ReplyTo};

/// Whether a peer is where its datagrams say, and what it may be sent as long as that is not known.
#[derive(Debug)]
pub(crate) struct Credit {
    left: Option<Left>,
    /// Whether it is asked to show that.
    is_asked: bool,
    /// Whether nobody else can answer in its place.
    is_secured: bool,
}

/// The bytes that may be sent to an address which somebody may have forged.
#[derive(Debug, Default)]
struct Left {
    bytes: usize,
    /// How many acknowledgements came of nothing: somebody may be guessing.
    strays: u8,
    /// The first exchange that began when it was there: what answers an earlier one may have been heard elsewhere.
    since: Option<ExchangeId>,
    /// The id of the ping whose Reset shows that it is there.
    ping: Option<u16>,
}

/// An address that has not proved itself is sent no more than so many times what came from it [RFC9175 2.4].
const AMPLIFICATION: usize = 3;

/// So much of what it may be sent is saved up.
const MOST_CREDIT: usize = 64 << 10;

/// After so many acknowledgements of nothing, no acknowledgement proves anything.
const MOST_STRAYS: u8 = 8;

impl Credit {
    pub(crate) fn new(is_proved: bool, is_asked: bool, is_secured: bool) -> Self {
        Self { left: (!is_proved).then(Left::default), is_asked, is_secured }
    }

    /// So many bytes came from the peer.
    pub(crate) fn earn(&mut self, bytes: usize) {
        if let Some(left) = &mut self.left {
            left.bytes = MOST_CREDIT.min(left.bytes + AMPLIFICATION * bytes);
        }
    }

    /// Whether a datagram may be sent; what may is counted.
    pub(crate) fn covers(&mut self, datagram: &[u8]) -> bool {
        let Some(left) = &mut self.left else { return true };
        let rest = left.bytes.checked_sub(datagram.len());
        left.bytes = rest.unwrap_or(left.bytes);
        rest.is_some()
    }

    /// How large an answer or a notification may be, unless the peer is known to be where its datagrams say.
    pub(crate) fn allowance(&self, answer_to: Option<&ReplyTo>) -> Option<usize> {
        let bytes = self.left.as_ref()?.bytes;
        Some(answer_to.map_or(bytes, |to| bytes.min(AMPLIFICATION * to.length)))
    }

    /// The peer is where its datagrams say.
    pub(crate) fn prove(&mut self) {
        self.left = None;
    }

    /// The same, if what was answered was sent to where it is.
    pub(crate) fn proved_by(&mut self, exchange: ExchangeId) {
        self.left.take_if(|left| left.since.is_none_or(|since| exchange >= since));
    }

    /// The peer has acknowledged something, whose id nobody else knows; or nothing that was sent.
    pub(crate) fn acknowledged(&mut self, exchange: Option<ExchangeId>) {
        match (exchange, &mut self.left) {
            (None, Some(left)) => left.strays = left.strays.saturating_add(1),
            (Some(exchange), Some(left)) if left.strays < MOST_STRAYS => self.proved_by(exchange),
            _ => {}
        }
    }

    /// The peer's datagrams come from another address; exchanges from `since` on begin there.
    pub(crate) fn moved(&mut self, address: Address, since: ExchangeId) {
        // Nothing is gained by forging a local one.
        let is_asked = self.is_asked && !address.is_local();
        self.left = is_asked.then(|| Left { since: Some(since), ..Left::default() });
    }

    /// Whether the peer is not known to be where its datagrams say, and was elsewhere before.
    pub(crate) fn has_moved(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.since.is_some())
    }

    /// The id with which the peer is pinged, which is `next` the first time; `None` if its Reset would show nothing, since
    /// who is at a forged address may send one as well.
    pub(crate) fn ping(&mut self, next: u16) -> Option<u16> {
        let left = self.left.as_mut().filter(|left| self.is_secured && left.since.is_some())?;
        Some(*left.ping.get_or_insert(next))
    }

    /// Whether nobody else can answer in the peer's place.
    pub(crate) fn is_secured(&self) -> bool {
        self.is_secured
    }

    /// Whether a Reset with this id answers that ping.
    pub(crate) fn is_ping(&self, id: u16) -> bool {
        self.left.as_ref().is_some_and(|left| left.ping == Some(id))
    }
}
