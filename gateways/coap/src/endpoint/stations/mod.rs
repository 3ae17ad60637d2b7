//! What requests and answers pass between the carrier and the resources.
//!
//! From the carrier upwards: Hop-Limit. A request passes them in this order, and an answer the other way round,
//! one that a station gives in place of the resources too. What a station must know of a request when its answer
//! comes travels with the [`ReplyTo`](crate::ReplyTo), in [`Passed`]; what it must know longer it keeps itself,
//! within a bound.

mod hop_limit;

use crate::{Message, Request};

/// The stations of one peer.
#[derive(Debug, Default)]
pub(crate) struct Stations {}

/// What the stations noted of a request, for its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {}

/// What becomes of a request on its way up.
pub(crate) enum Upward {
    /// It goes on, perhaps changed.
    Pass(Request),
    /// It is answered here.
    Answer(Request, Message),
}

impl Stations {
    /// Takes a request from the carrier to the resources.
    pub(crate) fn admit(&mut self, request: Request) -> Upward {
        match hop_limit::refusal(&request.message) {
            Some(answer) => Upward::Answer(request, answer),
            None => Upward::Pass(request),
        }
    }
}
