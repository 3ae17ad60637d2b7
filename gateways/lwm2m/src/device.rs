//! A registered device: its commands, its observations, and whether it is awake.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bus::{Ack, Delivery, DeliveryId, Filter, Outbox, Publish, Qos, Reason, Request, Ticket, Topic};
use bytes::Bytes;
use coap::{Code, Endpoint, ExchangeId, Message, SendError};
use serde_json::{Map, Value as Json};

use crate::answer::event;
use crate::command::{DownlinkRequest, Envelope, Operation, parse};
use crate::registration::{LONGEST, Registration};
use crate::transfer::{Step, Transfer};
use crate::{Lwm2mPath, Shared};

/// A registered device.
pub(crate) struct Device {
    shared: Arc<Shared>,
    pub(crate) registration: Registration,
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

/// The topics of one device.
#[derive(Debug)]
pub(crate) struct DeviceTopics {
    pub(crate) command: Filter,
    response: Topic,
    notify: Topic,
    register: Topic,
    update: Topic,
    deregister: Topic,
}

/// What is lent for the handling of one event.
pub(crate) struct Turn<'a> {
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) now: Instant,
    pub(crate) out: &'a mut Outbox,
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

#[derive(Debug)]
struct Exchange {
    purpose: Purpose,
    request: DownlinkRequest,
    envelope: Envelope,
    transfer: Transfer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Command,
    /// Observes without having been commanded to.
    AutoObserve,
    /// Fetches the rest of a notification.
    Notification,
}

#[derive(Debug)]
struct Observation {
    path: Lwm2mPath,
    envelope: Envelope,
}

/// The first ticket of a device.
const FIRST_TICKET: u64 = 16;

/// The longest that a command's own keys may be for notifications to repeat them.
const LONGEST_ECHO: usize = 1_024;

impl Device {
    /// A device that is about to be registered, as the one with this number on its connection; `None` when its
    /// topics would not be valid.
    pub(crate) fn new(
        registration: Registration,
        number: u64,
        shared: Arc<Shared>,
        now: Instant,
    ) -> Option<Self> {
        let topics = DeviceTopics::of(&registration.endpoint, &shared)?;
        let mut device = Self {
            shared,
            registration,
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
            Err(Unsent::Send(SendError::Full)) => {
                let reason = "too many requests wait for the device";
                self.answer(envelope.refusal(Code::SERVICE_UNAVAILABLE, reason), turn.out);
            }
        }
    }

    /// The device answered; returns whether the question was this device's.
    pub(crate) fn response(&mut self, exchange: ExchangeId, message: Message, turn: &mut Turn<'_>) -> bool {
        let Some(mut found) = self.exchanges.remove(&exchange) else { return false };
        let observes = found.request.operation == Operation::Observe && message.observe().is_some();
        if observes && message.code().is_success() && found.purpose != Purpose::Notification {
            self.observe(exchange, &found, turn.endpoint);
        }
        if let Some(next) = self.proceed(&mut found, message, turn) {
            self.send_next(found, next, turn);
        }
        true
    }

    /// The device notified; returns whether of something that this device observes.
    pub(crate) fn notification(
        &mut self,
        exchange: ExchangeId,
        message: Message,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(observation) = self.observations.get(&exchange) else { return false };
        let request = DownlinkRequest::observe(observation.path);
        let envelope = observation.envelope.clone();
        if message.observe().is_none() || !message.code().is_success() {
            self.observations.remove(&exchange); // [RFC7641 3.2]
        }
        let transfer = self.transfer(&request);
        let mut found = Exchange { purpose: Purpose::Notification, request, envelope, transfer };
        if let Some(next) = self.proceed(&mut found, message, turn) {
            self.send_next(found, next, turn);
        }
        true
    }

    /// The device rejected a message; returns whether it was this device's.
    pub(crate) fn reset(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> bool {
        let observed = self.observations.remove(&exchange).is_some();
        let Some(found) = self.exchanges.remove(&exchange) else { return observed };
        if found.purpose == Purpose::Command {
            self.answer(found.envelope.reset(), turn.out);
        }
        true
    }

    /// The device did not answer; returns whether the question was this device's.
    pub(crate) fn unanswered(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> bool {
        let Some(found) = self.exchanges.remove(&exchange) else { return false };
        let Command::Sent(delivered) = self.command else { return true };
        if found.purpose != Purpose::Command {
            return true;
        }
        if self.registration.queue_mode && !delivered.duplicate && delivered.id.is_some() {
            // It fell asleep early: the command waits for it once more.
            self.awake = Awake::Asleep;
            self.command = Command::None;
            give_back(delivered.id, turn.out);
        } else {
            self.answer(found.envelope.timeout(), turn.out);
        }
        true
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

    /// Sends a request whose answer is awaited.
    fn begin(
        &mut self,
        purpose: Purpose,
        request: DownlinkRequest,
        envelope: Envelope,
        turn: &mut Turn<'_>,
    ) -> Result<(), Unsent> {
        let known = self.observations.iter().find(|(_, observation)| observation.path == request.path);
        let known = known.and_then(|(exchange, _)| Some((*exchange, turn.endpoint.token(*exchange)?)));
        let transfer = self.transfer(&request);
        let mut message = transfer.first();
        match (request.operation, known) {
            (Operation::CancelObserve, None) => return Err(Unsent::Observed),
            (Operation::CancelObserve, Some((exchange, token))) => {
                self.observations.remove(&exchange);
                message = message.with_token(token); // [RFC7641 3.6]
            }
            // [RFC7641 4.1]: with the same token the device replaces the observation.
            (Operation::Observe, Some((_, token))) => message = message.with_token(token),
            (Operation::Observe, None) if self.observing() >= self.shared.most_observations() => {
                return Err(Unsent::TooManyObservations);
            }
            _ => {}
        }
        let exchange = turn.endpoint.request(message, turn.now, turn.out).map_err(Unsent::Send)?;
        self.exchanges.insert(exchange, Exchange { purpose, request, envelope, transfer });
        Ok(())
    }

    /// How many observations there are or may come to be.
    fn observing(&self) -> usize {
        let beginning = self.exchanges.values().filter(|found| found.request.operation == Operation::Observe);
        self.observations.len() + beginning.count()
    }

    fn transfer(&self, request: &DownlinkRequest) -> Transfer {
        Transfer::new(request.to_message(&self.registration.alternate_path), self.shared.limits.packet)
    }

    /// Takes an answer; returns the request for the next block, if there is one.
    fn proceed(&mut self, found: &mut Exchange, message: Message, turn: &mut Turn<'_>) -> Option<Message> {
        match found.transfer.proceed(message) {
            Step::Send(next) => Some(next),
            Step::Done(message) => {
                let model = &self.shared.model;
                match found.purpose {
                    Purpose::Command => {
                        let answer = found.envelope.answer(&found.request, &message, model);
                        self.answer(answer, turn.out);
                    }
                    Purpose::AutoObserve | Purpose::Notification => {
                        let payload = found.envelope.notification(found.request.path, &message, model);
                        publish(&self.topics.notify, payload, Ticket::NONE, turn.out);
                    }
                }
                None
            }
            Step::Failed(reason) => {
                if found.purpose == Purpose::Command {
                    self.answer(found.envelope.refusal(Code::BAD_GATEWAY, reason), turn.out);
                }
                None
            }
        }
    }

    fn send_next(&mut self, found: Exchange, next: Message, turn: &mut Turn<'_>) {
        match turn.endpoint.request(next, turn.now, turn.out) {
            Ok(exchange) => drop(self.exchanges.insert(exchange, found)),
            Err(error) if found.purpose == Purpose::Command => {
                self.answer(found.envelope.refusal(Code::SERVICE_UNAVAILABLE, &error.to_string()), turn.out);
            }
            Err(_) => {}
        }
    }

    /// Notes an observation that the device has begun.
    fn observe(&mut self, exchange: ExchangeId, found: &Exchange, endpoint: &Endpoint) {
        self.observations.retain(|_, observation| observation.path != found.request.path);
        // The endpoint keeps no more observations than its own limit allows.
        if endpoint.token(exchange).is_some() {
            let envelope = Envelope { echo: short(&found.envelope.echo), ..found.envelope.clone() };
            self.observations.insert(exchange, Observation { path: found.request.path, envelope });
        }
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
        let mut data = self.registration.to_json();
        if let Some(reason) = reason {
            data.insert("reason".to_owned(), reason.into());
        }
        publish(topic, event(Map::new(), Some(name), data), Ticket::NONE, out);
    }
}

/// Why a request is not sent.
#[derive(Debug)]
enum Unsent {
    /// There is no observation to cancel.
    Observed,
    TooManyObservations,
    Send(SendError),
}

impl DeviceTopics {
    fn of(endpoint: &str, shared: &Shared) -> Option<Self> {
        let topics = &shared.config.topics;
        let topic = |name: &str| Topic::parse(&topics.of(endpoint, name)).ok();
        Some(Self {
            command: Filter::parse(&topics.of(endpoint, &topics.command)).ok()?,
            response: topic(&topics.response)?,
            notify: topic(&topics.notify)?,
            register: topic(&topics.register)?,
            update: topic(&topics.update)?,
            deregister: topic(&topics.deregister)?,
        })
    }
}

fn publish(topic: &Topic, payload: Bytes, ticket: Ticket, out: &mut Outbox) {
    let mut publish = Publish::new(topic.clone(), payload, Qos::AtLeastOnce);
    let json = bus::ContentFormat::JSON;
    let content_type = json.media_type().map(Into::into);
    publish.metadata =
        bus::Metadata { content_type, content_format: Some(json), utf8: true, ..Default::default() }.boxed();
    out.request(ticket, Request::Publish(publish));
}

fn give_back(id: Option<DeliveryId>, out: &mut Outbox) {
    if let Some(id) = id {
        out.ack(id, Ack::Return);
    }
}

/// As many of the keys as notifications repeat.
fn short(echo: &Map<String, Json>) -> Map<String, Json> {
    let mut left = LONGEST_ECHO;
    let mut fits = |(name, value): &(&String, &Json)| {
        let size = name.len() + value.to_string().len();
        let fits = size <= left;
        left -= if fits { size } else { 0 };
        fits
    };
    // The request's id first: it is what notifications are told apart by.
    let (ids, others): (Vec<_>, Vec<_>) = echo.iter().partition(|(name, _)| *name == "reqID");
    let kept = ids.into_iter().chain(others).filter(|pair| fits(pair));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
