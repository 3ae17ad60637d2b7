//! A peer on the shared port: CoAP's resources, and a registration if it is an LwM2M device.

use std::sync::Arc;
use std::time::Instant;

use bus::{Ack, Address, Connection, Event, Outbox, Peer, ProtocolError, Reason, SubscriptionId, Ticket};
use coap::{Endpoint, Incoming, PubSub, ReplyTo, Silence, Turn};

use crate::Shared;
use crate::device::Device;

mod registering;

use registering::is_lwm2m;
pub(crate) use registering::name;

/// One peer.
pub(crate) struct Lwm2mConnection {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    pubsub: PubSub,
    silence: Silence,
    state: State,
    seed: u64,
    /// How many registrations there were, so that no two have one location.
    registrations: u64,
}

/// How far the peer's registration is.
enum State {
    /// There is none: the peer is CoAP's alone.
    Unregistered,
    /// The broker was asked to open the device's session.
    Connecting {
        device: Box<Device>,
        asker: ReplyTo,
    },
    /// The broker was asked for the device's commands.
    Subscribing {
        device: Box<Device>,
        asker: ReplyTo,
        session_present: bool,
    },
    Registered(Box<Device>),
}

const CONNECT: Ticket = Ticket(0);
const SUBSCRIBE: Ticket = Ticket(1);
/// The subscription to the device's commands; below those of coap's observations.
const COMMANDS: SubscriptionId = SubscriptionId(1);

impl Lwm2mConnection {
    pub(crate) fn new(peer: &Peer, shared: Arc<Shared>) -> Self {
        let Shared { coap, limits, links, .. } = &*shared;
        Self {
            endpoint: Endpoint::accept(peer, coap, limits),
            pubsub: PubSub::new(peer, coap.clone(), limits.clone(), links.clone(), shared.common.clone()),
            silence: Silence::new(coap, limits),
            state: State::Unregistered,
            seed: peer.seed,
            registrations: 0,
            shared,
        }
    }

    /// Handles what came from the peer.
    fn take(&mut self, incoming: Incoming, now: Instant, out: &mut Outbox) {
        match incoming {
            Incoming::Request(request) if is_lwm2m(&request.message) => {
                self.handle_request(request, now, out)
            }
            Incoming::Request(request) => {
                self.pubsub.handle_request(request, &mut turn(&mut self.endpoint, now, out))
            }
            Incoming::Begin { head } if is_lwm2m(&head.message) => {}
            Incoming::Begin { head } => self.pubsub.begin(&head, &mut turn(&mut self.endpoint, now, out)),
            Incoming::Failed { exchange, reason } => {
                if self.pubsub.failed(exchange, reason, &mut turn(&mut self.endpoint, now, out)) {
                    return;
                }
                self.on_device(now, out, |device, turn| device.failed(exchange, reason, turn));
            }
            Incoming::Acknowledged { exchange } if self.silence.is_settled_by(exchange) => {}
            Incoming::Acknowledged { exchange } => drop(self.pubsub.acknowledged(exchange, out)),
            Incoming::Reset { exchange } => {
                let known = self.silence.is_settled_by(exchange)
                    || self.on_device(now, out, |device, turn| device.reset(exchange, turn));
                if !known {
                    self.pubsub.reset(exchange, &mut turn(&mut self.endpoint, now, out));
                }
            }
            Incoming::Response { exchange, message } => {
                if self.pubsub.answered(exchange, &message, &mut turn(&mut self.endpoint, now, out)) {
                    return;
                }
                self.on_device(now, out, |device, turn| device.response(exchange, message, turn));
            }
            Incoming::Notification { exchange, message } => {
                if self.pubsub.answered(exchange, &message, &mut turn(&mut self.endpoint, now, out)) {
                    return;
                }
                self.on_device(now, out, |device, turn| device.notification(exchange, message, turn));
            }
        }
    }

    /// Does something with the registered device; `false` if there is none or it does not concern it.
    fn on_device(
        &mut self,
        now: Instant,
        out: &mut Outbox,
        act: impl FnOnce(&mut Device, &mut Turn<'_>) -> bool,
    ) -> bool {
        match &mut self.state {
            State::Registered(device) => act(device, &mut turn(&mut self.endpoint, now, out)),
            State::Unregistered | State::Connecting { .. } | State::Subscribing { .. } => false,
        }
    }

    fn deliver(&mut self, delivery: bus::Delivery, now: Instant, out: &mut Outbox) {
        let is_command = delivery.matched.as_slice().contains(&COMMANDS);
        match &mut self.state {
            State::Registered(device) if is_command => {
                device.carry_out(delivery, &mut turn(&mut self.endpoint, now, out));
            }
            _ if self.pubsub.deliver(&delivery, &mut turn(&mut self.endpoint, now, out)) => {}
            _ => {
                if let Some(id) = delivery.id {
                    out.ack(id, if is_command { Ack::Return } else { Ack::Reject(Reason::NoSubscription) });
                }
            }
        }
    }

    /// Whether a stream's peer is not listened to now, because a session is being opened.
    fn holds_back(&self) -> bool {
        match &self.state {
            State::Connecting { .. } | State::Subscribing { .. } => self.endpoint.is_reliable(),
            State::Unregistered | State::Registered(_) => self.pubsub.holds_back(&self.endpoint),
        }
    }

    /// Silence ends only what is not registered; a registration ends with its lifetime.
    fn watch(&mut self) {
        if matches!(self.state, State::Unregistered) {
            self.silence.watch(&self.pubsub);
        }
    }
}

impl Connection for Lwm2mConnection {
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
        while !self.holds_back() {
            let rest = input.get(taken..).unwrap_or_default();
            let Some((length, incoming)) = self.endpoint.take(rest, now, out)? else { break };
            taken += length;
            self.silence.heard(now);
            // Whatever it says, it is awake: a ping too, or an update that it repeats [LwM2M 1.1 Transport 6.5].
            if let State::Registered(device) = &mut self.state {
                device.heard(now);
            }
            if let Some(incoming) = incoming {
                self.take(incoming, now, out);
            }
        }
        self.watch();
        Ok(taken)
    }

    fn handle(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        match event {
            Event::Reply(CONNECT, reply) => self.connected(reply, now, out),
            Event::Reply(SUBSCRIBE, reply) => self.subscribed(reply, now, out),
            Event::Reply(ticket, reply) if PubSub::owns(ticket) => {
                self.pubsub.handle_reply(ticket, reply, &mut turn(&mut self.endpoint, now, out));
            }
            Event::Reply(ticket, reply) => {
                self.on_device(now, out, |device, turn| device.answered(ticket, reply.map(|_| ()), turn.out));
            }
            Event::Deliver(delivery) => self.deliver(delivery, now, out),
            // No delivery is ever acknowledged as received only, and nobody asked to hear of an empty queue.
            Event::Release(_) | Event::Idle => {}
            Event::Close(reason) => {
                self.pubsub.close(reason, &mut turn(&mut self.endpoint, now, out));
                if let State::Connecting { asker, .. } | State::Subscribing { asker, .. } = &self.state {
                    let asker = asker.clone();
                    self.respond(&asker, coap::refusal(reason), now, out);
                }
                self.state = State::Unregistered;
                self.endpoint.farewell(reason, out);
                out.close(reason);
            }
        }
        self.watch();
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        for exchange in self.endpoint.expire(now, out) {
            if self.on_device(now, out, |device, turn| device.unanswered(exchange, turn))
                || self.pubsub.unanswered(exchange, &mut turn(&mut self.endpoint, now, out))
            {
                continue;
            }
            let gone = self.silence.is_settled_by(exchange)
                || self.pubsub.timed_out(exchange, &mut turn(&mut self.endpoint, now, out));
            // A device that is registered may only be asleep.
            if gone && matches!(self.state, State::Unregistered) {
                self.endpoint.farewell(Reason::NotAcknowledged, out);
                out.close(Reason::NotAcknowledged);
            }
        }
        if self.on_device(now, out, |device, _| device.expire(now)) {
            self.end("lifetime_expired", None, now, out);
            self.endpoint.farewell(Reason::IdleTimeout, out);
            return out.close(Reason::IdleTimeout);
        }
        self.pubsub.expire(&mut turn(&mut self.endpoint, now, out));
        if matches!(self.state, State::Unregistered) {
            self.silence.expire(&self.pubsub, &mut turn(&mut self.endpoint, now, out));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Unregistered => self.silence.deadline(),
            State::Registered(device) => Some(device.deadline()),
            State::Connecting { .. } | State::Subscribing { .. } => None,
        };
        [self.endpoint.deadline(), self.pubsub.deadline(), own].into_iter().flatten().min()
    }

    fn room(&self) -> usize {
        match &self.state {
            State::Unregistered => self.pubsub.room(&self.endpoint),
            State::Registered(device) => device.room().min(self.pubsub.room(&self.endpoint)),
            State::Connecting { .. } | State::Subscribing { .. } => 0,
        }
    }
}

fn turn<'a>(endpoint: &'a mut Endpoint, now: Instant, out: &'a mut Outbox) -> Turn<'a> {
    Turn { endpoint, now, out }
}
