//! What requests and answers pass between the carrier and the resources.
//!
//! From the carrier upwards: OSCORE (right at the carrier, in [`Guard`](super::guard::Guard)), No-Response,
//! Hop-Limit, Echo, Q-Block, blocks. A request passes them in this order, and an answer the other way
//! round, one that a station gives in place of the resources too. What a station must know of a request when its
//! answer comes travels with the [`ReplyTo`], in [`Passed`]; what it must know longer it keeps itself, within a
//! bound.

pub(crate) mod blocks;
pub(crate) mod echo;
mod hop_limit;
mod no_response;
pub(crate) mod q_blocks;

use std::time::Instant;

use bus::{Chance, Limits};

use super::Protection;
use crate::{Code, Config, ExchangeId, Message, ReplyTo, Request};
use blocks::{Asking, Blocks, LARGEST_EXPONENT, Noted, Room, Upward};
use echo::Echo;
use q_blocks::{Outcome, QBlocks, Reach, Wish};

/// The stations of one peer.
#[derive(Debug)]
pub(crate) struct Stations {
    pub(crate) blocks: Blocks,
    pub(crate) q_blocks: QBlocks,
    pub(crate) asking: Asking,
    pub(crate) echo: Echo,
}

/// What the stations noted of a request, for its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// How the request was protected, and its answers must be.
    pub(crate) protection: Option<Protection>,
    pub(crate) blocks: Noted,
    pub(crate) q_blocks: Option<Box<Wish>>,
    /// Whether it has the Echo that its peer was sent, and none but it.
    pub(crate) echoed: bool,
    /// The classes of answers that are not wanted.
    unwanted: u8,
}

impl Passed {
    /// Whether an answer is not wanted.
    fn suppresses(&self, code: Code) -> bool {
        no_response::suppresses(self.unwanted, code)
    }
}

impl Stations {
    pub(crate) fn new(config: &Config, limits: &Limits) -> Self {
        let blocks = Blocks::new(config, limits);
        let asking = Asking::new(LARGEST_EXPONENT, blocks.largest());
        Self { asking, blocks, q_blocks: QBlocks::default(), echo: Echo::default() }
    }

    /// Takes a request from the carrier to the resources.
    pub(crate) fn admit(&mut self, mut request: Request, reach: Reach<'_>, now: Instant) -> Upward {
        request.reply_to.passed.unwanted = no_response::unwanted(&request.message);
        if let Some(answer) = hop_limit::refusal(&request.message) {
            return Upward::Answer(request, answer);
        }
        if request.message.observe() == Some(1) {
            self.q_blocks.cancel(&request.reply_to, now);
        }
        // The bodies of both have one bound, and those that nothing is added to make room.
        let most = self.blocks.bounds().now;
        match QBlocks::concern(&request.message, reach) {
            true => {
                let upward = self.q_blocks.admit(request, &self.blocks, reach, now);
                self.blocks.make_room(most, self.q_blocks.kept());
                upward
            }
            false => {
                let upward = self.blocks.admit(request, reach.room.takes_bert, now);
                self.q_blocks.make_room(most, self.blocks.kept());
                upward
            }
        }
    }

    /// Takes an answer from the resources to the carrier; `None` if the peer does not want it. With an allowance it
    /// is never larger than that.
    pub(crate) fn answer(
        &mut self,
        to: &ReplyTo,
        response: Message,
        reach: Reach<'_>,
        allowance: Option<usize>,
        chance: &mut Chance,
        now: Instant,
    ) -> Option<Message> {
        self.q_blocks.answered(to, &response);
        if to.passed.q_blocks.is_some() && to.passed.suppresses(response.code()) {
            return None; // nor is any block of it kept to follow
        }
        let Some(allowance) = allowance else {
            let response = self.cut(to, response, reach.beside(to), chance, now);
            return (!to.passed.suppresses(response.code())).then_some(response);
        };
        let small = Room { bytes: reach.room.bytes.min(allowance), ..reach.room };
        let small = Reach { room: small, ..reach }.beside(to);
        let challenge = match self.blocks.may_be_asked_again(to, &response, small.room) {
            true => self.echo.challenge(chance).filter(|challenge| echo::fits(to, challenge, allowance)),
            false => None,
        };
        let response = match challenge {
            Some(challenge) => {
                self.q_blocks.answered(to, &challenge);
                challenge
            }
            None => {
                let response = echo::restrain(to, self.cut(to, response, small, chance, now), allowance);
                let offer = self.echo.offer(response.clone(), chance);
                let is_block = response.block2().is_some() || response.q_block2().next().is_some();
                if is_block && echo::fits(to, &offer, allowance) { offer } else { response }
            }
        };
        (!to.passed.suppresses(response.code())).then_some(response)
    }

    /// Makes of an answer what goes into one message.
    fn cut(
        &mut self,
        to: &ReplyTo,
        response: Message,
        reach: Reach<'_>,
        chance: &mut Chance,
        now: Instant,
    ) -> Message {
        let first = self.q_blocks.answer(to, response, &self.blocks, reach, chance, now);
        first.unwrap_or_else(|response| self.blocks.answer(to, response, reach.room, now))
    }

    /// Takes a notification from the resources to the carrier.
    pub(crate) fn notification(
        &mut self,
        to: &ReplyTo,
        (message, confirmable): (Message, bool),
        reach: Reach<'_>,
        chance: &mut Chance,
        now: Instant,
    ) -> Message {
        let reach = reach.beside(to);
        let first = self.q_blocks.notification(to, (message, confirmable), &self.blocks, reach, chance, now);
        first.unwrap_or_else(|message| self.blocks.notification(to, message, reach.room, now))
    }

    /// The peer left something unacknowledged or unanswered for good: what that is to whoever is above.
    pub(crate) fn ended(&mut self, exchange: ExchangeId) -> Option<ExchangeId> {
        match self.q_blocks.ended(exchange) {
            Outcome::Nothing => None,
            Outcome::Of(exchange) => Some(exchange),
            Outcome::Foreign => {
                let (exchange, notification) = self.asking.end(exchange);
                (!notification).then_some(exchange)
            }
        }
    }
}
