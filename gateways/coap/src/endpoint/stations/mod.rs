//! What requests and answers pass between the carrier and the resources.
//!
//! From the carrier upwards: OSCORE (right at the carrier, in [`Guard`](super::guard::Guard)), Hop-Limit, blocks. A request passes them in this order, and an answer the other way
//! round, one that a station gives in place of the resources too. What a station must know of a request when its
//! answer comes travels with the [`ReplyTo`], in [`Passed`]; what it must know longer it keeps itself, within a
//! bound.

pub(crate) mod blocks;
mod hop_limit;

use std::time::Instant;

use bus::Limits;

use super::Protection;
use crate::{Config, Message, ReplyTo, Request};
use blocks::{Asking, Blocks, LARGEST_EXPONENT, Noted, Room, Upward};

/// The stations of one peer.
#[derive(Debug)]
pub(crate) struct Stations {
    pub(crate) blocks: Blocks,
    pub(crate) asking: Asking,
}

/// What the stations noted of a request, for its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// How the request was protected, and its answers must be.
    pub(crate) protection: Option<Protection>,
    pub(crate) blocks: Noted,
}

impl Stations {
    pub(crate) fn new(config: &Config, limits: &Limits) -> Self {
        let blocks = Blocks::new(config, limits);
        Self { asking: Asking::new(LARGEST_EXPONENT, blocks.largest()), blocks }
    }

    /// Takes a request from the carrier to the resources.
    pub(crate) fn admit(&mut self, request: Request, room: Room, now: Instant) -> Upward {
        match hop_limit::refusal(&request.message) {
            Some(answer) => Upward::Answer(request, answer),
            None => self.blocks.admit(request, room.takes_bert, now),
        }
    }

    /// Takes an answer from the resources to the carrier.
    pub(crate) fn answer(&mut self, to: &ReplyTo, response: Message, room: Room, now: Instant) -> Message {
        self.blocks.answer(to, response, room, now)
    }

    /// Takes a notification from the resources to the carrier.
    pub(crate) fn notification(
        &mut self,
        to: &ReplyTo,
        message: Message,
        room: Room,
        now: Instant,
    ) -> Message {
        self.blocks.notification(to, message, room, now)
    }
}
