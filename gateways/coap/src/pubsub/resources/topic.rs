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
        let parsed = Operation::parse(&request.message, &self.config, &self.limits)
            .and_then(|operation| Ok((operation, Identity::parse(&request.message)?)));
        match parsed {
            Ok((operation, identity)) => match self.session.admit(&identity) {
                Admission::Proceed => self.perform(operation, request, endpoint, now, out),
                Admission::Wait => self.wait(request, endpoint, now, out),
                Admission::Open => {
                    self.connect(identity, None, endpoint, now, out);
                    self.wait(request, endpoint, now, out);
                }
                Admission::Refuse(why) => {
                    let answer = Message::diagnostic(Code::UNAUTHORIZED, why);
                    endpoint.respond(&request.reply_to, answer, now, out);
                }
            },
            Err(answer) => drop(endpoint.respond(&request.reply_to, answer, now, out)),
        }
    }
}
