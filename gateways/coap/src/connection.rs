use std::sync::Arc;
use std::time::Instant;

use bus::{Address, Connection, Event, Limits, Outbox, Peer, PeerName, Protocol, ProtocolError, Reason};

use crate::{Config, Endpoint, Incoming, Link, PubSub, Shared, Silence, Turn, answer_group, peer_name};

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
        let Self { endpoint, pubsub, silence } = self;
        let turn = &mut Turn { endpoint, now, out };
        match incoming {
            Incoming::Request(request) => pubsub.handle_request(request, turn),
            Incoming::Begin { head } => pubsub.begin(&head, turn),
            Incoming::Acknowledged { exchange } if silence.is_settled_by(exchange) => {}
            Incoming::Acknowledged { exchange } => drop(pubsub.acknowledged(exchange, turn.out)),
            Incoming::Reset { exchange } if silence.is_settled_by(exchange) => {}
            Incoming::Reset { exchange } => {
                pubsub.reset(exchange, turn);
            }
            Incoming::Response { exchange, message } | Incoming::Notification { exchange, message } => {
                pubsub.answered(exchange, &message, turn);
            }
            Incoming::Failed { exchange, reason } => {
                pubsub.failed(exchange, reason, turn);
            }
        }
    }
}

impl Connection for CoapConnection {
    fn begin(&mut self, now: Instant, out: &mut Outbox) {
        self.endpoint.begin(now, out);
    }

    fn moved(&mut self, address: Address, is_reached: bool) {
        if !is_reached {
            self.endpoint.moved(address);
        }
        self.pubsub.moved(address);
    }

    fn is_reached(&self) -> bool {
        !self.endpoint.is_unproved()
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
        let Self { endpoint, pubsub, silence } = self;
        let turn = &mut Turn { endpoint, now, out };
        match event {
            Event::Reply(ticket, reply) => drop(pubsub.handle_reply(ticket, reply, turn)),
            Event::Deliver(delivery) => drop(pubsub.deliver(&delivery, turn)),
            // No delivery is ever acknowledged as received only, and nobody asked to hear of an empty queue.
            Event::Release(_) | Event::Idle => {}
            Event::Close(reason) => {
                pubsub.close(reason, turn);
                turn.close(reason);
            }
        }
        silence.watch(pubsub);
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        let Self { endpoint, pubsub, silence } = self;
        let turn = &mut Turn { endpoint, now, out };
        for exchange in turn.endpoint.expire(now, turn.out) {
            if pubsub.unanswered(exchange, turn) {
                continue;
            }
            if silence.is_settled_by(exchange) || pubsub.timed_out(exchange, turn) {
                turn.close(Reason::NotAcknowledged);
            }
        }
        pubsub.expire(turn);
        silence.expire(pubsub, turn);
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
