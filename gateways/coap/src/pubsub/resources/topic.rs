//! `ps/{topic}`: topics as resources.

use crate::pubsub::identity::{Admission, Identity};
use crate::pubsub::operation::Operation;
use crate::pubsub::{PubSub, Turn};
use crate::{Code, Message, Request};

impl PubSub {
    /// Does what a request asks of a topic, once there is a session.
    pub(in crate::pubsub) fn handle_topic(&mut self, request: Request, turn: &mut Turn<'_>) {
        if request.message.payload().len() > self.limits.packet {
            let answer = self.too_large(self.limits.packet);
            turn.respond(&request.reply_to, answer);
            return;
        }
        match Operation::parse(&request.message, &self.config, &self.limits) {
            Ok(operation) => {
                if let Some(request) = self.admit(request, turn) {
                    self.perform(operation, request, turn);
                }
            }
            Err(answer) => drop(turn.respond(&request.reply_to, answer)),
        }
    }

    /// Gives a request back whose session is open; one that is not waits for it, or is refused.
    pub(in crate::pubsub) fn admit(&mut self, request: Request, turn: &mut Turn<'_>) -> Option<Request> {
        let answer = match Identity::of(&request) {
            Ok(identity) => match self.session.admit(&identity) {
                Admission::Proceed => return Some(request),
                Admission::Wait => {
                    self.wait(request, turn);
                    return None;
                }
                Admission::Open => {
                    self.connect(identity, None, turn);
                    self.wait(request, turn);
                    return None;
                }
                Admission::Refuse(why) => Message::diagnostic(Code::UNAUTHORIZED, why),
            },
            Err(answer) => answer,
        };
        turn.respond(&request.reply_to, answer);
        None
    }
}
