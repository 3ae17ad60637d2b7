//! What requests and answers pass between the carrier and the resources.
//!
//! From the carrier upwards: OSCORE (right at the carrier, in [`Guard`](super::guard::Guard)), No-Response,
//! Hop-Limit, Echo, blocks. A request passes them in this order, and an answer the other way
//! round, one that a station gives in place of the resources too. What a station must know of a request when its
//! answer comes travels with the [`ReplyTo`], in [`Passed`]; what it must know longer it keeps itself, within a
//! bound.

pub(crate) mod blocks;
pub(crate) mod echo;
mod hop_limit;
mod no_response;

use std::time::Instant;

use bus::{Chance, Limits};

use super::Protection;
use crate::{Config, Message, ReplyTo, Request};
use blocks::{Asking, Blocks, LARGEST_EXPONENT, Noted, Room, Upward};
use echo::Echo;

/// The stations of one peer.
#[derive(Debug)]
pub(crate) struct Stations {
    pub(crate) blocks: Blocks,
    pub(crate) asking: Asking,
    pub(crate) echo: Echo,
}

/// What the stations noted of a request, for its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// How the request was protected, and its answers must be.
    pub(crate) protection: Option<Protection>,
    pub(crate) blocks: Noted,
    /// Whether it has the Echo that its peer was sent, and none but it.
    pub(crate) echoed: bool,
    /// The classes of answers that are not wanted.
    unwanted: u8,
}

impl Stations {
    pub(crate) fn new(config: &Config, limits: &Limits) -> Self {
        let blocks = Blocks::new(config, limits);
        Self { asking: Asking::new(LARGEST_EXPONENT, blocks.largest()), blocks, echo: Echo::default() }
    }

    /// Takes a request from the carrier to the resources.
    pub(crate) fn admit(&mut self, mut request: Request, room: Room, now: Instant) -> Upward {
        request.reply_to.passed.unwanted = no_response::unwanted(&request.message);
        match hop_limit::refusal(&request.message) {
            Some(answer) => Upward::Answer(request, answer),
            None => self.blocks.admit(request, room.takes_bert, now),
        }
    }

    /// Takes an answer from the resources to the carrier; `None` if the peer does not want it. With an allowance it
    /// is never larger than that.
    pub(crate) fn answer(
        &mut self,
        to: &ReplyTo,
        response: Message,
        room: Room,
        allowance: Option<usize>,
        chance: &mut Chance,
        now: Instant,
    ) -> Option<Message> {
        let Some(allowance) = allowance else {
            let response = self.blocks.answer(to, response, room.beside(&to.token), now);
            return (!no_response::suppresses(to.passed.unwanted, response.code())).then_some(response);
        };
        let small = Room { bytes: room.bytes.min(allowance), ..room }.beside(&to.token);
        let challenge = match self.blocks.may_be_asked_again(to, &response, small) {
            true => self.echo.challenge(chance).filter(|challenge| echo::fits(to, challenge, allowance)),
            false => None,
        };
        let response = match challenge {
            Some(challenge) => challenge,
            None => {
                let response = echo::restrain(to, self.blocks.answer(to, response, small, now), allowance);
                let offer = self.echo.offer(response.clone(), chance);
                if response.block2().is_some() && echo::fits(to, &offer, allowance) {
                    offer
                } else {
                    response
                }
            }
        };
        (!no_response::suppresses(to.passed.unwanted, response.code())).then_some(response)
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
