use std::time::Instant;

use bus::{Outbox, Reason};

use crate::{Endpoint, ExchangeId, Message, ReplyTo, SendError};

/// What is lent to the resources for the handling of one event.
pub struct Turn<'a> {
    /// The peer's exchanges.
    pub endpoint: &'a mut Endpoint,
    /// When it is.
    pub now: Instant,
    /// What is sent, and asked of the broker.
    pub out: &'a mut Outbox,
}

impl Turn<'_> {
    /// Answers a request, as [`Endpoint::respond`] does.
    pub fn respond(&mut self, to: &ReplyTo, response: Message) -> Option<ExchangeId> {
        self.endpoint.respond(to, response, self.now, self.out)
    }

    /// Sends a request of ours, as [`Endpoint::request`] does.
    pub fn request(&mut self, message: Message) -> Result<ExchangeId, SendError> {
        self.endpoint.request(message, self.now, self.out)
    }

    /// Sends a notification, as [`Endpoint::notify`] does.
    pub fn notify(
        &mut self,
        to: &ReplyTo,
        message: Message,
        confirmable: bool,
    ) -> Result<ExchangeId, SendError> {
        self.endpoint.notify(to, message, confirmable, self.now, self.out)
    }

    /// Closes the connection; the peer is told why where that can be said.
    pub fn close(&mut self, reason: Reason) {
        self.endpoint.farewell(reason, self.out);
        self.out.close(reason);
    }
}
