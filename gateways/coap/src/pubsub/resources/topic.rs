//! `ps/{topic}`: topics as resources.

use std::time::Instant;

use bus::Outbox;

use crate::pubsub::PubSub;
use crate::pubsub::identity::{Admission, Identity};
use crate::pubsub::operation::Operation;
use crate::{Code, Endpoint, Message, Request};

impl PubSub {
    /// Does what a request asks of a topic, once there is a session.
    pub(in crate::pubsub) fn handle_topic(
        &mut self,
        request: Request,
        endpoint: &mut Endpoint,
        now: Instant,
        out: &mut Outbox,
    ) {
        if request.message.payload().len() > self.limits.packet {
            let answer = self.too_large(self.limits.packet);
            endpoint.respond(&request.reply_to, answer, now, out);
            return;
        }
        match Operation::parse(&request.message, &self.config, &self.limits) {
            Ok(operation) => {
                if let Some(request) = self.admit(request, endpoint, now, out) {
                    self.perform(operation, request, endpoint, now, out);
                }
            }
            Err(answer) => drop(endpoint.respond(&request.reply_to, answer, now, out)),
        }
    }

    /// Gives a request back whose session is open; one that is not waits for it, or is refused.
    pub(in crate::pubsub) fn admit(
        &mut self,
        request: Request,
        endpoint: &mut Endpoint,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Request> {
        let answer = match Identity::of(&request) {
            Ok(identity) => match self.session.admit(&identity) {
                Admission::Proceed => return Some(request),
                Admission::Wait => {
                    self.wait(request, endpoint, now, out);
                    return None;
                }
                Admission::Open => {
                    self.connect(identity, None, endpoint, now, out);
                    self.wait(request, endpoint, now, out);
                    return None;
                }
                Admission::Refuse(why) => Message::diagnostic(Code::UNAUTHORIZED, why),
            },
            Err(answer) => answer,
        };
        endpoint.respond(&request.reply_to, answer, now, out);
        None
    }
}
