//! `ps/{topic}`: topics as resources.

use crate::Request;
use crate::pubsub::operation::Operation;
use crate::pubsub::{PubSub, Turn};

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
}
