//! Requests to a device, their answers, and what the device notifies of.

use bus::Ticket;
use coap::{Code, Endpoint, ExchangeId, Message, SendError, Turn};
use serde_json::{Map, Value as Json};

use super::{Awake, Command, Device, give_back, publish};
use crate::command::{DownlinkRequest, Envelope, Operation};

#[derive(Debug)]
pub(super) struct Exchange {
    purpose: Purpose,
    request: DownlinkRequest,
    envelope: Envelope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Command,
    /// Observes without having been commanded to.
    AutoObserve,
}

#[derive(Clone, Debug)]
pub(super) struct Observation {
    request: DownlinkRequest,
    envelope: Envelope,
}

/// Why a request is not sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// There is no observation to cancel.
    Observed,
    TooManyObservations,
    Send(SendError),
}

/// The longest that a command's own keys may be for notifications to repeat them.
const LONGEST_ECHO: usize = 1_024;

impl Device {
    /// The device answered; returns whether the question was this device's.
    pub(crate) fn response(&mut self, exchange: ExchangeId, message: Message, turn: &mut Turn<'_>) -> bool {
        let Some(found) = self.exchanges.remove(&exchange) else { return false };
        let observes = found.request.operation == Operation::Observe && message.observe().is_some();
        if observes && message.code().is_success() {
            self.observe(exchange, &found, turn.endpoint);
        }
        match found.purpose {
            Purpose::Command => {
                let answer = found.envelope.answer(&found.request, &message, &self.shared.model);
                self.answer(answer, turn.out);
            }
            Purpose::AutoObserve => self.notify(&found.request, &found.envelope, &message, turn),
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
        let Some(Observation { request, envelope }) = self.observations.get(&exchange).cloned() else {
            return false;
        };
        if message.observe().is_none() || !message.code().is_success() {
            self.observations.remove(&exchange); // [RFC7641 3.2]
        }
        self.notify(&request, &envelope, &message, turn);
        true
    }

    fn notify(&self, request: &DownlinkRequest, envelope: &Envelope, message: &Message, turn: &mut Turn<'_>) {
        let payload = envelope.notification(request.path, message, &self.shared.model);
        publish(&self.topics.notify, payload, Ticket::NONE, turn.out);
    }

    /// The device's answer could not be had whole; returns whether the question was this device's.
    pub(crate) fn failed(&mut self, exchange: ExchangeId, reason: &str, turn: &mut Turn<'_>) -> bool {
        let Some(found) = self.exchanges.remove(&exchange) else { return false };
        if found.purpose == Purpose::Command {
            self.answer(found.envelope.refusal(Code::BAD_GATEWAY, reason), turn.out);
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

    /// Sends a request whose answer is awaited.
    pub(super) fn begin(
        &mut self,
        purpose: Purpose,
        request: DownlinkRequest,
        envelope: Envelope,
        turn: &mut Turn<'_>,
    ) -> Result<(), Unsent> {
        let known =
            self.observations.iter().find(|(_, observation)| observation.request.path == request.path);
        let known = known.and_then(|(exchange, _)| Some((*exchange, turn.endpoint.token(*exchange)?)));
        let mut message = request.to_message(&self.registration.alternate_path);
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
        self.exchanges.insert(exchange, Exchange { purpose, request, envelope });
        Ok(())
    }

    /// How many observations there are or may come to be.
    fn observing(&self) -> usize {
        let beginning = self.exchanges.values().filter(|found| found.request.operation == Operation::Observe);
        self.observations.len() + beginning.count()
    }

    /// Notes an observation that the device has begun.
    fn observe(&mut self, exchange: ExchangeId, found: &Exchange, endpoint: &Endpoint) {
        self.observations.retain(|_, observation| observation.request.path != found.request.path);
        // The endpoint keeps no more observations than its own limit allows.
        if endpoint.token(exchange).is_some() {
            let envelope = Envelope { echo: short(&found.envelope.echo), ..found.envelope.clone() };
            self.observations.insert(exchange, Observation { request: found.request.clone(), envelope });
        }
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
