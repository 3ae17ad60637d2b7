//! What goes to the peer of itself: blocks of bodies in Q-Blocks, and what the senders of such bodies are told.

use std::time::Instant;

use bus::Outbox;

use super::Endpoint;
use super::guard::Guard;
use super::stations::q_blocks::Reach;
use crate::ReplyTo;

/// What a list of missing blocks has beside it and the token: header, Content-Format, marker.
const BESIDE_A_LIST: usize = 8;

impl Endpoint {
    /// A request is done without an answer of its own.
    pub(super) fn settle(&mut self, to: &ReplyTo, now: Instant, out: &mut Outbox) {
        let (carrier, mut turn) = self.turn(now, out);
        carrier.settle(to, &mut turn);
    }

    /// Sends what may go of bodies in Q-Blocks, and what their senders are owed.
    pub(super) fn flow(&mut self, now: Instant, out: &mut Outbox) {
        while !self.stations.q_blocks.is_idle() {
            let (carrier, q_blocks) = (&self.carrier, &mut self.stations.q_blocks);
            let Some(transmission) = carrier.q_blocks() else { return };
            let room = |to: &ReplyTo| {
                let allowance = carrier.allowance(Some(to)).unwrap_or(usize::MAX);
                carrier.room().bytes.min(allowance).saturating_sub(BESIDE_A_LIST + to.token.len())
            };
            let Some(due) = q_blocks.due(now, transmission, carrier.can_send(), room) else { break };
            let (carrier, mut turn) = self.turn(now, out);
            let sent = carrier.notify(&due.to, due.message, due.confirmable, &mut turn);
            self.stations.q_blocks.sent(due.of, sent.ok());
        }
        if self.stations.q_blocks.wants_ping() {
            let exchange = self.ping(now, out);
            self.stations.q_blocks.pinged(exchange);
        }
        self.stations.q_blocks.rest();
    }
}

/// How the peer is reached now.
pub(super) fn reach(carrier: &Guard) -> Reach<'_> {
    let is_unproved = carrier.allowance(None).is_some();
    Reach { q_blocks: carrier.q_blocks(), room: carrier.room(), is_unproved }
}
