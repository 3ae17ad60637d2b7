use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Connection, Event, Limits, Outbox, Peer, Protocol, ProtocolError, Reason};

use crate::{Config, Endpoint, ExchangeId, Incoming, Link, PubSub};

/// CoAP over datagrams [RFC7252], with observe [RFC7641] and topics as resources.
pub struct Coap {
    config: Arc<Config>,
    limits: Limits,
    links: Arc<[Link]>,
}

impl Coap {
    /// CoAP as configured.
    pub fn new(config: Config, limits: Limits) -> Self {
        Self { config: Arc::new(config), limits, links: PubSub::links().into() }
    }
}

impl Protocol for Coap {
    fn label(&self) -> &'static str {
        "coap"
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        Box::new(CoapConnection::new(&peer, self.config.clone(), &self.limits, self.links.clone()))
    }

    fn admits(&self, datagram: &[u8]) -> bool {
        is_request(datagram)
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
pub struct CoapConnection {
    endpoint: Endpoint,
    pubsub: PubSub,
    idle: Duration,
    /// How long a peer without a session may be silent.
    stranger_idle: Duration,
    observer_check: Duration,
    last_heard: Option<Instant>,
    /// When to look at `last_heard`.
    look_at: Option<Instant>,
    /// The question whether the observer is there.
    ping: Option<ExchangeId>,
}

impl CoapConnection {
    /// The connection of a new peer, which is told these links.
    pub fn new(peer: &Peer, config: Arc<Config>, limits: &Limits, links: Arc<[Link]>) -> Self {
        let transmission = config.transmission.clone();
        Self {
            endpoint: Endpoint::new(peer.seed, transmission, limits, config.largest_message),
            idle: config.idle,
            stranger_idle: limits.handshake.min(config.idle),
            observer_check: config.observer_check,
            pubsub: PubSub::new(config, limits.clone(), links),
            last_heard: None,
            look_at: None,
            ping: None,
        }
    }

    /// How long the peer may be silent now.
    fn patience(&self) -> Duration {
        match (self.pubsub.has_observers(), self.pubsub.has_session()) {
            (true, _) => self.observer_check,
            (false, true) => self.idle,
            (false, false) => self.stranger_idle,
        }
    }

    /// Arms the timer for silence, unless it fires early enough anyway.
    fn watch(&mut self) {
        let due = self.last_heard.map(|heard| heard + self.patience());
        if self.look_at.is_none_or(|look_at| due.is_some_and(|due| due < look_at)) {
            self.look_at = due;
        }
    }

    fn check_silence(&mut self, now: Instant, out: &mut Outbox) {
        if self.look_at.take_if(|look_at| *look_at <= now).is_none() {
            return;
        }
        let silent = self.last_heard.is_none_or(|heard| heard + self.patience() <= now);
        match (silent, self.pubsub.has_observers()) {
            (false, _) => self.watch(),
            (true, false) => out.close(Reason::IdleTimeout),
            (true, true) => {
                if self.ping.is_none() {
                    self.ping = Some(self.endpoint.ping(now, out));
                }
                self.look_at = Some(now + self.observer_check);
            }
        }
    }
}

impl Connection for CoapConnection {
    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        self.last_heard = Some(now);
        match self.endpoint.receive(input, now, out) {
            Some(Incoming::Request(request)) => {
                self.pubsub.handle_request(request, &mut self.endpoint, now, out)
            }
            Some(Incoming::Acknowledged { exchange }) => drop(self.pubsub.acknowledged(exchange, out)),
            Some(Incoming::Reset { exchange }) if self.ping == Some(exchange) => self.ping = None,
            Some(Incoming::Reset { exchange }) => drop(self.pubsub.reset(exchange, &mut self.endpoint, out)),
            // Nothing is asked of the peer that it could answer.
            Some(Incoming::Response { .. } | Incoming::Notification { .. }) | None => {}
        }
        self.watch();
        Ok(input.len())
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
                out.close(reason);
            }
        }
        self.watch();
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        for exchange in self.endpoint.expire(now, out) {
            let gone =
                self.ping == Some(exchange) || self.pubsub.timed_out(exchange, &mut self.endpoint, out);
            if gone {
                out.close(Reason::NotAcknowledged);
            }
        }
        self.check_silence(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.endpoint.deadline(), self.look_at].into_iter().flatten().min()
    }

    fn room(&self) -> usize {
        self.pubsub.room(&self.endpoint)
    }
}
