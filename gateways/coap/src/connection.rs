use std::sync::Arc;
use std::time::Instant;

use bus::{Connection, Event, Limits, Outbox, Peer, PeerName, Protocol, ProtocolError, Reason};

use crate::{Config, Endpoint, Incoming, Link, PubSub, Shared, Silence, answer_group, peer_name};

/// CoAP over datagrams (RFC 7252) and streams (RFC 8323), with observe (RFC 7641) and topics as resources.
pub struct Coap {
    config: Arc<Config>,
    limits: Limits,
    links: Arc<[Link]>,
    shared: Arc<Shared>,
}

impl Coap {
    /// CoAP as configured, with topics and a resource directory of its own.
    pub fn new(config: Config, limits: Limits) -> Self {
        let shared = Shared::new(&config).into();
        Self::sharing(config, limits, shared)
    }

    /// The same for one of several listeners, whose peers share this.
    pub fn sharing(config: Config, limits: Limits, shared: Arc<Shared>) -> Self {
        let links = PubSub::links(&config).into();
        Self { config: Arc::new(config), limits, links, shared }
    }
}

impl Protocol for Coap {
    fn label(&self) -> &'static str {
        "coap"
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        let Self { config, limits, links, shared } = self;
        Box::new(CoapConnection::new(&peer, config.clone(), limits, links.clone(), shared.clone()))
    }

    fn name(&self, datagram: &[u8]) -> Option<PeerName> {
        peer_name(datagram)
    }

    fn admits(&self, datagram: &[u8]) -> bool {
        is_request(datagram)
    }

    fn answer_group(&self, datagram: &[u8], chance: u64, now: Instant) -> Option<Vec<u8>> {
        answer_group(&self.links, &self.config, &self.limits, datagram, chance, now)
    }
}

/// Whether a datagram has the header of a request. Nothing else comes from a peer that was not there before:
/// what it would answer or ask about is gone, and a ping must not say that it is not.
pub fn is_request(datagram: &[u8]) -> bool {
    match datagram {
        [first, code, _, _, ..] => first >> 5 == 0b010 && crate::Code(*code).is_request(),
        _ => false,
    }
}

/// One CoAP peer.
pub(crate) struct CoapConnection {
    endpoint: Endpoint,
    pubsub: PubSub,
    silence: Silence,
}

impl CoapConnection {
    /// The connection of a new peer, which is told these links.
    fn new(
        peer: &Peer,
        config: Arc<Config>,
        limits: &Limits,
        links: Arc<[Link]>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            endpoint: Endpoint::accept(peer, &config, limits),
            silence: Silence::new(&config, limits),
            pubsub: PubSub::new(peer, config, limits.clone(), links, shared),
        }
    }

    fn take(&mut self, incoming: Incoming, now: Instant, out: &mut Outbox) {
        match incoming {
            Incoming::Request(request) => self.pubsub.handle_request(request, &mut self.endpoint, now, out),
            Incoming::Begin { head } => self.pubsub.begin(&head, &mut self.endpoint, now, out),
            Incoming::Acknowledged { exchange } if self.silence.is_settled_by(exchange) => {}
            Incoming::Acknowledged { exchange } => drop(self.pubsub.acknowledged(exchange, out)),
            Incoming::Reset { exchange } if self.silence.is_settled_by(exchange) => {}
            Incoming::Reset { exchange } => {
                self.pubsub.reset(exchange, &mut self.endpoint, now, out);
            }
            Incoming::Response { exchange, message } | Incoming::Notification { exchange, message } => {
                self.pubsub.answered(exchange, &message, &mut self.endpoint, now, out);
            }
            Incoming::Failed { exchange, reason } => {
                self.pubsub.failed(exchange, reason, &mut self.endpoint, now, out);
            }
        }
    }
}

impl Connection for CoapConnection {
    fn begin(&mut self, now: Instant, out: &mut Outbox) {
        self.endpoint.begin(now, out);
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        let mut taken = 0;
        // What follows a request that opens the session waits until it is open, or need not be kept.
        while !self.pubsub.holds_back(&self.endpoint) {
            let rest = input.get(taken..).unwrap_or_default();
            let Some((length, incoming)) = self.endpoint.take(rest, now, out)? else { break };
            taken += length;
            self.silence.heard(now);
            if let Some(incoming) = incoming {
                self.take(incoming, now, out);
            }
        }
        self.silence.watch(&self.pubsub);
        Ok(taken)
    }

    fn handle(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        match event {
            Event::Reply(ticket, reply) => {
                self.pubsub.handle_reply(ticket, reply, &mut self.endpoint, now, out);
            }
            Event::Deliver(delivery) => {
                self.pubsub.deliver(&delivery, &mut self.endpoint, now, out);
            }
            // No delivery is ever acknowledged as received only, and nobody asked to hear of an empty queue.
            Event::Release(_) | Event::Idle => {}
            Event::Close(reason) => {
                self.pubsub.close(reason, &mut self.endpoint, now, out);
                self.endpoint.farewell(reason, out);
                out.close(reason);
            }
        }
        self.silence.watch(&self.pubsub);
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        for exchange in self.endpoint.expire(now, out) {
            if self.pubsub.unanswered(exchange, &mut self.endpoint, now, out) {
                continue;
            }
            let gone = self.silence.is_settled_by(exchange)
                || self.pubsub.timed_out(exchange, &mut self.endpoint, out);
            if gone {
                self.endpoint.farewell(Reason::NotAcknowledged, out);
                out.close(Reason::NotAcknowledged);
            }
        }
        self.pubsub.expire(&mut self.endpoint, now, out);
        self.silence.expire(&self.pubsub, &mut self.endpoint, now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.endpoint.deadline(), self.silence.deadline(), self.pubsub.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn room(&self) -> usize {
        self.pubsub.room(&self.endpoint)
    }
}
