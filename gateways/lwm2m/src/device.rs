//! A registered device: its commands, its observations, and whether it is awake.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Ack, Credentials, Delivery, DeliveryId, Outbox, Reason, Ticket, Topic, Will};
use bytes::Bytes;
use coap::{Code, Endpoint, ExchangeId, SendError, Turn};
use serde_json::Map;

use crate::Shared;
use crate::answer::event;
use crate::command::{DownlinkRequest, Envelope, parse};
use crate::registration::{LONGEST, Registration};

mod exchange;
mod topics;

use exchange::{Exchange, Observation, Purpose, Unsent};
use topics::{DeviceTopics, publication, publish};

/// A registered device.
pub(crate) struct Device {
    shared: Arc<Shared>,
    pub(crate) registration: Registration,
    /// What it shows to prove who it is.
    pub(crate) credentials: Credentials,
    topics: DeviceTopics,
    /// Whether commands may come: the session is open and subscribed.
    pub(crate) ready: bool,
    awake: Awake,
    command: Command,
    /// How many answers were published, with the number of the registration in the upper half: the ticket.
    ticket: u64,
    /// Requests whose answers have not come, those for commands among them.
    exchanges: HashMap<ExchangeId, Exchange>,
    /// What the device notifies of, by the exchange that began it.
    observations: HashMap<ExchangeId, Observation>,
}

/// Whether the device hears [LwM2M 1.1 Core 6.5].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awake {
    Always,
    Until(Instant),
    Asleep,
}

/// The one command that may be under way.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    None,
    /// The device has not answered.
    Sent(Delivered),
    /// The broker has not taken the answer.
    Answered(Delivered),
}

/// Where a command came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delivered {
    id: Option<DeliveryId>,
    /// Whether it was given back once already.
    duplicate: bool,
}

/// The first ticket of a device.
const FIRST_TICKET: u64 = 16;

impl Device {
    /// A device that is about to be registered, as the one with this number on its connection; `None` when its
    /// topics would not be valid.
    pub(crate) fn new(
        registration: Registration,
        credentials: Credentials,
        number: u64,
        shared: Arc<Shared>,
        now: Instant,
    ) -> Option<Self> {
        let topics = DeviceTopics::of(&registration.endpoint, &shared)?;
        let mut device = Self {
            shared,
            registration,
            credentials,
            topics,
            ready: false,
            awake: Awake::Always,
            command: Command::None,
            ticket: (number & 0x7FFF) << 32,
            exchanges: HashMap::new(),
            observations: HashMap::new(),
        };
        device.heard(now);
        Some(device)
    }

    pub(crate) fn topics(&self) -> &DeviceTopics {
        &self.topics
    }

    /// Tells of the registration and begins what shall be observed from the first.
    pub(crate) fn registered(&mut self, turn: &mut Turn<'_>) {
        self.ready = true;
        self.publish_event("register", &self.topics.register, None, turn.out);
        let shared = self.shared.clone();
        for path in shared.config.auto_observe.iter().copied() {
            if !self.registration.has(path) {
                continue;
            }
            let envelope = Envelope {
                echo: Map::new(),
                message_type: Some("observe".to_owned()),
                path: Some(path.to_string()),
            };
            // What does not fit is not observed; the application sees no notifications and can command it.
            let _ = self.begin(Purpose::AutoObserve, DownlinkRequest::observe(path), envelope, turn);
        }
    }

    /// Tells of an update.
    pub(crate) fn updated(&self, out: &mut Outbox) {
        self.publish_event("update", &self.topics.update, None, out);
    }

    /// Tells why the registration ended, and awaits nothing more of the device.
    pub(crate) fn deregistered(&mut self, reason: &str, turn: &mut Turn<'_>) {
        self.publish_event("deregister", &self.topics.deregister, Some(reason), turn.out);
        self.forget(turn.endpoint);
    }

    /// What is told of the device if its connection is lost and the registration goes with it.
    pub(crate) fn will(&self) -> Will {
        let told = self.event("deregister", Some("connection_lost"));
        Will { publish: publication(&self.topics.deregister, told), delay: Duration::ZERO }
    }

    /// Awaits nothing more of the device.
    pub(crate) fn forget(&mut self, endpoint: &mut Endpoint) {
        let exchanges = self.exchanges.drain().map(|(exchange, _)| exchange);
        let observations = self.observations.drain().map(|(exchange, _)| exchange);
        exchanges.chain(observations).for_each(|exchange| endpoint.forget(exchange));
    }

    /// The device sent something, so that it listens for a while.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.awake = match self.registration.queue_mode {
            true => Awake::Until(now + self.shared.config.qmode_time_window.min(LONGEST)),
            false => Awake::Always,
        };
    }

    /// How many commands can be taken now.
    pub(crate) fn room(&self) -> usize {
        usize::from(self.ready && self.command == Command::None && self.awake != Awake::Asleep)
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self.awake {
            Awake::Until(end) => end.min(self.registration.expires),
            Awake::Always | Awake::Asleep => self.registration.expires,
        }
    }

    /// Notes that the time in which the device listens is over; returns whether the registration is.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        if matches!(self.awake, Awake::Until(end) if end <= now) {
            self.awake = Awake::Asleep;
        }
        self.registration.expires <= now
    }

    /// Carries out a command.
    pub(crate) fn carry_out(&mut self, delivery: Delivery, turn: &mut Turn<'_>) {
        if self.command != Command::None {
            return give_back(delivery.id, turn.out);
        }
        let delivered = Delivered { id: delivery.id, duplicate: delivery.duplicate };
        self.command = Command::Sent(delivered);
        let Shared { model, config, .. } = &*self.shared;
        let (envelope, request) = parse(&delivery.message.payload, model, config.write_format);
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.answer(envelope.bad_command(&error), turn.out),
        };
        match self.begin(Purpose::Command, request, envelope.clone(), turn) {
            Ok(()) => {}
            Err(Unsent::Observed) => {
                self.answer(envelope.refusal(Code::NOT_FOUND, "the path is not observed"), turn.out);
            }
            Err(Unsent::TooManyObservations) => {
                let reason = "the device has as many observations as it may";
                self.answer(envelope.refusal(Code::TOO_MANY_REQUESTS, reason), turn.out);
            }
            Err(Unsent::Send(SendError::TooLarge)) => {
                let reason = "the request does not fit into a datagram";
                self.answer(envelope.refusal(Code::REQUEST_ENTITY_TOO_LARGE, reason), turn.out);
            }
            Err(Unsent::Send(SendError::Unprotected)) => {
                let reason = "the request cannot be protected as the device's own are";
                self.answer(envelope.refusal(Code::FORBIDDEN, reason), turn.out);
            }
            Err(Unsent::Send(SendError::Full)) => {
                let reason = "too many requests wait for the device";
                self.answer(envelope.refusal(Code::SERVICE_UNAVAILABLE, reason), turn.out);
            }
        }
    }

    /// The broker has the answer to a command, or refused it; returns whether it was this device's.
    pub(crate) fn answered(&mut self, ticket: Ticket, result: Result<(), Reason>, out: &mut Outbox) -> bool {
        let Command::Answered(delivered) = self.command else { return false };
        if ticket != self.answer_ticket() {
            return false; // of a registration that was replaced
        }
        self.command = Command::None;
        if let Some(id) = delivered.id {
            out.ack(id, result.map_or_else(Ack::Reject, |()| Ack::Complete));
        }
        true
    }

    /// Publishes the answer to the command; it is complete once the broker has the answer.
    fn answer(&mut self, payload: Bytes, out: &mut Outbox) {
        if let Command::Sent(delivered) = self.command {
            self.command = Command::Answered(delivered);
            self.ticket += 1;
            publish(&self.topics.response, payload, self.answer_ticket(), out);
        }
    }

    /// Above the connection's own tickets, and below those of coap.
    fn answer_ticket(&self) -> Ticket {
        Ticket(FIRST_TICKET + self.ticket)
    }

    fn publish_event(&self, name: &str, topic: &Topic, reason: Option<&str>, out: &mut Outbox) {
        publish(topic, self.event(name, reason), Ticket::NONE, out);
    }

    fn event(&self, name: &str, reason: Option<&str>) -> Bytes {
        let mut data = self.registration.to_json();
        if let Some(reason) = reason {
            data.insert("reason".to_owned(), reason.into());
        }
        event(Map::new(), Some(name), data)
    }
}

fn give_back(id: Option<DeliveryId>, out: &mut Outbox) {
    if let Some(id) = id {
        out.ack(id, Ack::Return);
    }
}
