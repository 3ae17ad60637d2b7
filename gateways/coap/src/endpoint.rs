use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bus::{Chance, Limits, Outbox};

use crate::received::{PER_MESSAGE, Received, State};
use crate::{
    Code, DecodeError, ExchangeId, Incoming, Kind, Message, ReplyTo, Request, SendError, Token, Transmission,
};

/// The largest body of a UDP datagram over IPv4.
const LARGEST_DATAGRAM: usize = 65_507;

/// How many non-confirmable messages are remembered, so that a Reset to one finds its exchange.
const REMEMBERED_UNCONFIRMED: usize = 64;

/// After so long every notification is newer than what came before [RFC7641 3.4].
const FRESH_AFTER: Duration = Duration::from_secs(128);

/// One peer's message layer and the matching of requests and answers, in both directions
/// [RFC7252 4], [RFC7252 5.3].
///
/// It answers pings and duplicates, acknowledges in time what is not answered yet, and sends one
/// confirmable message at a time, again and again until it is acknowledged.
#[derive(Debug)]
pub struct Endpoint {
    transmission: Transmission,
    chance: Chance,
    next_id: u16,
    next_exchange: u64,
    received: Received,
    /// Requests that must be acknowledged by then, if they are not answered before; in order of time.
    unacknowledged: VecDeque<(Instant, u16, u64)>,
    /// The one confirmable message that is not acknowledged (NSTART 1).
    in_flight: Option<InFlight>,
    queue: VecDeque<Confirmable>,
    /// Our requests without answer.
    awaited: Vec<Awaited>,
    /// Our observations, by token.
    observed: HashMap<Token, Observed>,
    /// Our latest non-confirmable messages, by message id.
    unconfirmed: VecDeque<(u16, ExchangeId)>,
    most_outstanding: usize,
    most_queued: usize,
    most_observed: usize,
    largest: usize,
}

#[derive(Debug)]
struct Confirmable {
    exchange: ExchangeId,
    id: u16,
    /// The token, if it is a request.
    request: Option<Token>,
    datagram: Vec<u8>,
}

#[derive(Debug)]
struct InFlight {
    message: Confirmable,
    retransmissions: u32,
    timeout: Duration,
    /// When it was last sent.
    sent: Instant,
    due: Instant,
    /// Nobody wants it to arrive any more.
    forgotten: bool,
}

#[derive(Debug)]
struct Awaited {
    exchange: ExchangeId,
    token: Token,
    observe: bool,
    /// Set once it was acknowledged, or sent as a non-confirmable message.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Observed {
    exchange: ExchangeId,
    sequence: u32,
    at: Instant,
}

impl Endpoint {
    /// The endpoint for a peer with this seed, whose messages are at most `largest` bytes; more than a UDP
    /// datagram holds is cut to that.
    pub fn new(seed: u64, transmission: Transmission, limits: &Limits, largest: usize) -> Self {
        let mut chance = Chance::new(seed);
        Self {
            transmission,
            next_id: chance.next() as u16,
            chance,
            next_exchange: 0,
            received: Received::new(limits.packet.max(limits.outstanding.saturating_mul(PER_MESSAGE))),
            unacknowledged: VecDeque::new(),
            in_flight: None,
            queue: VecDeque::new(),
            awaited: Vec::new(),
            observed: HashMap::new(),
            unconfirmed: VecDeque::new(),
            most_outstanding: limits.outstanding.max(1),
            most_queued: usize::from(limits.send_window.max(1)),
            most_observed: limits.subscriptions,
            largest: largest.min(LARGEST_DATAGRAM),
        }
    }

    /// Takes one datagram. What is no message, and what the message layer deals with alone, gives nothing.
    pub fn receive(&mut self, datagram: &[u8], now: Instant, out: &mut Outbox) -> Option<Incoming> {
        let message = match Message::decode(datagram) {
            Ok(message) => message,
            Err(DecodeError::Format { kind: Kind::Confirmable, id, .. }) => {
                send_empty(Kind::Reset, id, out); // [RFC7252 4.2]
                return None;
            }
            Err(DecodeError::Format { .. } | DecodeError::Foreign) => return None, // [RFC7252 4.3]
        };
        let (kind, code) = (message.kind(), message.code());
        match kind {
            Kind::Confirmable if code == Code::EMPTY => {
                send_empty(Kind::Reset, message.id(), out); // a ping [RFC7252 4.3]
                None
            }
            Kind::Confirmable | Kind::NonConfirmable if code.is_request() => {
                self.receive_request(message, Received::digest(datagram), now, out)
            }
            Kind::Confirmable | Kind::NonConfirmable if code.is_response() => {
                self.receive_response(message, Received::digest(datagram), now, out)
            }
            Kind::Confirmable | Kind::NonConfirmable => None,
            Kind::Acknowledgement if code == Code::EMPTY => {
                self.receive_acknowledgement(message.id(), now, out)
            }
            Kind::Acknowledgement => self.receive_piggybacked(message, now, out),
            Kind::Reset => self.receive_reset(message.id(), now, out),
        }
    }

    /// Answers a request: in its acknowledgement if that is still due, else in a message of its own.
    ///
    /// An answer that does not fit into a datagram becomes 5.00. The exchange is that of an answer which the
    /// peer can acknowledge or reset by itself.
    pub fn respond(
        &mut self,
        to: &ReplyTo,
        mut response: Message,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<ExchangeId> {
        let piggybacked = to.confirmable
            && self.received.state(to.id, to.digest, now).is_some_and(|state| *state == State::Pending);
        let (kind, id) = match (piggybacked, to.confirmable) {
            (true, _) => (Kind::Acknowledgement, to.id),
            (false, true) => (Kind::Confirmable, self.take_id()),
            (false, false) => (Kind::NonConfirmable, self.take_id()), // [RFC7252 5.2.3]
        };
        response.address(kind, id, to.token);
        let mut datagram = response.encode();
        if datagram.len() > self.largest {
            let text = "The answer does not fit into a datagram, and block-wise transfer is not offered.";
            let mut failure = Message::diagnostic(Code::INTERNAL_SERVER_ERROR, text);
            failure.address(kind, id, to.token);
            datagram = failure.encode();
        }
        match kind {
            Kind::Acknowledgement => {
                out.send(&datagram);
                let state = State::Done(Some(datagram.into()));
                self.received.update(to.id, to.digest, state, now);
                self.drop_acknowledged(now);
                None
            }
            Kind::Confirmable => {
                let acknowledgement = Message::empty(Kind::Acknowledgement, to.id).encode();
                self.received.update(to.id, to.digest, State::Done(Some(acknowledgement.into())), now);
                let exchange = self.take_exchange();
                self.confirm(Confirmable { exchange, id, request: None, datagram }, now, out);
                Some(exchange)
            }
            Kind::NonConfirmable | Kind::Reset => {
                out.send(&datagram);
                self.received.update(to.id, to.digest, State::Done(None), now);
                let exchange = self.take_exchange();
                self.remember_unconfirmed(id, exchange);
                Some(exchange)
            }
        }
    }

    /// Sends a request of ours: confirmable unless it was made [`Message::non_confirmable`]. It gets a token
    /// unless it has one.
    pub fn request(
        &mut self,
        mut message: Message,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<ExchangeId, SendError> {
        if self.queue.len() >= self.most_queued || self.awaited.len() >= self.most_queued {
            return Err(SendError::Full);
        }
        let token = if message.token().is_empty() { self.draw_token() } else { message.token() };
        let kind = message.kind();
        let id = self.take_id();
        message.address(kind, id, token);
        let observe = message.observe();
        let datagram = message.encode();
        if datagram.len() > self.largest {
            return Err(SendError::TooLarge);
        }
        if observe == Some(1) {
            self.observed.remove(&token);
        }
        let exchange = self.take_exchange();
        let confirmable = kind == Kind::Confirmable;
        let until = (!confirmable).then(|| now + self.transmission.response_timeout);
        self.awaited.push(Awaited { exchange, token, observe: observe == Some(0), until });
        if confirmable {
            self.confirm(Confirmable { exchange, id, request: Some(token), datagram }, now, out);
        } else {
            out.send(&datagram);
            self.remember_unconfirmed(id, exchange);
        }
        Ok(exchange)
    }

    /// Sends a notification to the peer, which observes with `token` [RFC7641 4.5].
    pub fn notify(
        &mut self,
        token: Token,
        mut message: Message,
        confirmable: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<ExchangeId, SendError> {
        if confirmable && self.queue.len() >= self.most_queued {
            return Err(SendError::Full);
        }
        let id = self.take_id();
        let kind = if confirmable { Kind::Confirmable } else { Kind::NonConfirmable };
        message.address(kind, id, token);
        let datagram = message.encode();
        if datagram.len() > self.largest {
            return Err(SendError::TooLarge);
        }
        let exchange = self.take_exchange();
        if confirmable {
            self.confirm(Confirmable { exchange, id, request: None, datagram }, now, out);
        } else {
            out.send(&datagram);
            self.remember_unconfirmed(id, exchange);
        }
        Ok(exchange)
    }

    /// Asks whether the peer is there; a Reset says that it is [RFC7252 4.3].
    pub fn ping(&mut self, now: Instant, out: &mut Outbox) -> ExchangeId {
        let (exchange, id) = (self.take_exchange(), self.take_id());
        let datagram = Message::empty(Kind::Confirmable, id).encode();
        self.confirm(Confirmable { exchange, id, request: None, datagram }, now, out);
        exchange
    }

    /// Sends a message of ours no more, neither for the first time nor again [RFC7252 4.2], and awaits nothing
    /// more of it; the next notification is answered with a Reset [RFC7641 3.6].
    pub fn forget(&mut self, exchange: ExchangeId) {
        if let Some(in_flight) = self.in_flight.as_mut().filter(|sent| sent.message.exchange == exchange) {
            // The next turn of the clock makes way for what waits behind it.
            (in_flight.forgotten, in_flight.due) = (true, in_flight.sent);
        }
        self.queue.retain(|queued| queued.exchange != exchange);
        self.awaited.retain(|awaited| awaited.exchange != exchange);
        self.observed.retain(|_, observed| observed.exchange != exchange);
    }

    /// The token of a request of ours that is unanswered or observes.
    pub fn token(&self, exchange: ExchangeId) -> Option<Token> {
        let awaited = self.awaited.iter().find(|awaited| awaited.exchange == exchange);
        awaited.map(|awaited| awaited.token).or_else(|| {
            let mut observed = self.observed.iter();
            observed.find(|(_, observed)| observed.exchange == exchange).map(|(token, _)| *token)
        })
    }

    /// Whether an answer or notification fits into a datagram.
    pub fn fits(&self, message: &Message) -> bool {
        message.encode().len() + Token::LONGEST <= self.largest
    }

    /// Whether a confirmable message would be sent at once: none is unacknowledged.
    pub fn can_send(&self) -> bool {
        self.in_flight.is_none() && self.queue.is_empty()
    }

    /// When [`Endpoint::expire`] is next due.
    pub fn deadline(&self) -> Option<Instant> {
        let acknowledge = self.unacknowledged.front().map(|(due, ..)| *due);
        let retransmit = self.in_flight.as_ref().map(|in_flight| in_flight.due);
        let awaited = self.awaited.iter().filter_map(|awaited| awaited.until).min();
        [acknowledge, retransmit, awaited].into_iter().flatten().min()
    }

    /// Acknowledges and retransmits what is due; returns what the peer left unacknowledged or unanswered for
    /// good.
    pub fn expire(&mut self, now: Instant, out: &mut Outbox) -> Vec<ExchangeId> {
        while let Some((_, id, digest)) = self.unacknowledged.pop_front_if(|(due, ..)| *due <= now) {
            if self.received.state(id, digest, now) == Some(&State::Pending) {
                self.received.update(id, digest, State::Acknowledged, now);
                send_empty(Kind::Acknowledgement, id, out); // [RFC7252 5.2.2]
            }
        }
        self.received.trim(now);
        self.drop_acknowledged(now);
        let mut failed = Vec::new();
        failed.extend(self.retransmit(now, out));
        self.awaited.retain(|awaited| {
            let over = awaited.until.is_some_and(|until| until <= now);
            failed.extend(over.then_some(awaited.exchange));
            !over
        });
        failed
    }

    fn retransmit(&mut self, now: Instant, out: &mut Outbox) -> Option<ExchangeId> {
        let in_flight = self.in_flight.as_mut().filter(|in_flight| in_flight.due <= now)?;
        if in_flight.forgotten {
            self.in_flight = None;
            self.send_next(now, out);
            return None;
        }
        if in_flight.retransmissions < self.transmission.retransmissions() {
            in_flight.retransmissions += 1;
            in_flight.timeout *= 2; // [RFC7252 4.2]
            (in_flight.sent, in_flight.due) = (now, now + in_flight.timeout);
            out.send(&in_flight.message.datagram);
            return None;
        }
        let exchange = in_flight.message.exchange;
        self.in_flight = None;
        self.forget(exchange);
        self.send_next(now, out);
        Some(exchange)
    }

    fn receive_request(
        &mut self,
        message: Message,
        digest: u64,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Incoming> {
        let (id, confirmable) = (message.id(), message.kind() == Kind::Confirmable);
        if let Some(state) = self.received.state(id, digest, now) {
            self.answer_duplicate(state.clone(), id, digest, confirmable, now, out);
            return None;
        }
        if self.received.pending() + self.queue.len() >= self.most_outstanding {
            return None; // lost, as far as the peer can tell; it will send again when there may be room
        }
        let unknown = message.unknown_critical_option();
        if unknown.is_some() && !confirmable {
            send_empty(Kind::Reset, id, out); // [RFC7252 5.4.1]
            return None;
        }
        let lifetime = match confirmable {
            true => self.transmission.exchange_lifetime(),
            false => self.transmission.non_lifetime(),
        };
        self.received.insert(id, digest, now + lifetime, State::Pending, now);
        if confirmable {
            if self.unacknowledged.len() >= 2 * self.most_outstanding {
                self.drop_acknowledged_everywhere(now);
            }
            self.unacknowledged.push_back((now + self.transmission.acknowledge_within(), id, digest));
        }
        let reply_to = ReplyTo { token: message.token(), confirmable, id, digest };
        if let Some(option) = unknown {
            let text = format!("The critical option {} is unknown or has a wrong form.", option.0);
            self.respond(&reply_to, Message::diagnostic(Code::BAD_OPTION, &text), now, out); // [RFC7252 5.4.1]
            return None;
        }
        Some(Incoming::Request(Request { message, reply_to }))
    }

    /// Does for a duplicate what was done for the message, without working it twice [RFC7252 4.2].
    fn answer_duplicate(
        &mut self,
        state: State,
        id: u16,
        digest: u64,
        confirmable: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        match state {
            _ if !confirmable => {} // [RFC7252 4.3]
            State::Pending => {
                self.received.update(id, digest, State::Acknowledged, now);
                self.drop_acknowledged(now);
                send_empty(Kind::Acknowledgement, id, out);
            }
            State::Acknowledged => send_empty(Kind::Acknowledgement, id, out),
            State::Done(Some(answer)) => out.send(&answer),
            State::Done(None) => {}
        }
    }

    fn receive_response(
        &mut self,
        message: Message,
        digest: u64,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Incoming> {
        let (id, token, confirmable) = (message.id(), message.token(), message.kind() == Kind::Confirmable);
        if let Some(state) = self.received.state(id, digest, now) {
            self.answer_duplicate(state.clone(), id, digest, confirmable, now, out);
            return None;
        }
        let exchange = self.exchange_of(token);
        let rejected = exchange.is_none() || message.unknown_critical_option().is_some();
        let reply = Message::empty(if rejected { Kind::Reset } else { Kind::Acknowledgement }, id).encode();
        if rejected || confirmable {
            out.send(&reply); // [RFC7252 4.2], [RFC7252 4.3]
        }
        let lifetime = match confirmable {
            true => self.transmission.exchange_lifetime(),
            false => self.transmission.non_lifetime(),
        };
        let state = State::Done(confirmable.then(|| reply.into()));
        self.received.insert(id, digest, now + lifetime, state, now);
        let exchange = exchange?;
        if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.message.request == Some(token)) {
            self.in_flight = None; // the answer says that the request came [RFC7252 5.2.2]
            self.send_next(now, out);
        }
        if rejected {
            self.forget(exchange);
            return Some(Incoming::Reset { exchange });
        }
        self.answered(message, now)
    }

    fn receive_piggybacked(&mut self, message: Message, now: Instant, out: &mut Outbox) -> Option<Incoming> {
        let expected = self.in_flight.as_ref().map(|in_flight| &in_flight.message)?;
        if expected.id != message.id() || expected.request != Some(message.token()) {
            return None; // [RFC7252 5.3.2]
        }
        let exchange = expected.exchange;
        self.in_flight = None;
        self.send_next(now, out);
        if message.unknown_critical_option().is_some() {
            self.forget(exchange); // [RFC7252 5.4.1]
            return Some(Incoming::Reset { exchange });
        }
        self.answered(message, now)
    }

    fn receive_acknowledgement(&mut self, id: u16, now: Instant, out: &mut Outbox) -> Option<Incoming> {
        let message = self.in_flight.take_if(|in_flight| in_flight.message.id == id)?.message;
        let until = now + self.transmission.response_timeout;
        let awaited = self.awaited.iter_mut().find(|awaited| awaited.exchange == message.exchange);
        if let Some(awaited) = awaited {
            awaited.until = Some(until);
        }
        self.send_next(now, out);
        Some(Incoming::Acknowledged { exchange: message.exchange })
    }

    fn receive_reset(&mut self, id: u16, now: Instant, out: &mut Outbox) -> Option<Incoming> {
        let exchange = match self.in_flight.take_if(|in_flight| in_flight.message.id == id) {
            Some(in_flight) => in_flight.message.exchange,
            None => self.unconfirmed.iter().find(|(sent, _)| *sent == id).map(|(_, exchange)| *exchange)?,
        };
        self.unconfirmed.retain(|(sent, _)| *sent != id);
        self.forget(exchange);
        self.send_next(now, out);
        Some(Incoming::Reset { exchange })
    }

    /// Finds what an answer answers; the answer to an observing request opens the observation.
    fn answered(&mut self, message: Message, now: Instant) -> Option<Incoming> {
        let (token, sequence) = (message.token(), message.observe().filter(|_| message.code().is_success()));
        if let Some(position) = self.awaited.iter().position(|awaited| awaited.token == token) {
            let Awaited { exchange, observe, .. } = self.awaited.swap_remove(position);
            self.observed.remove(&token);
            if let Some(sequence) = sequence.filter(|_| observe && self.observed.len() < self.most_observed) {
                self.observed.insert(token, Observed { exchange, sequence, at: now });
            }
            return Some(Incoming::Response { exchange, message });
        }
        let observed = self.observed.get_mut(&token)?;
        let exchange = observed.exchange;
        match sequence {
            Some(sequence) if !is_newer(observed.sequence, sequence) && now <= observed.at + FRESH_AFTER => {
                return None; // overtaken on the way [RFC7641 3.4]
            }
            Some(sequence) => (observed.sequence, observed.at) = (sequence, now),
            None => drop(self.observed.remove(&token)), // [RFC7641 3.2]
        }
        Some(Incoming::Notification { exchange, message })
    }

    fn exchange_of(&self, token: Token) -> Option<ExchangeId> {
        let awaited = self.awaited.iter().find(|awaited| awaited.token == token);
        let observed = || self.observed.get(&token).map(|observed| observed.exchange);
        awaited.map(|awaited| awaited.exchange).or_else(observed)
    }

    /// Sends a confirmable message, now or when it is its turn.
    fn confirm(&mut self, message: Confirmable, now: Instant, out: &mut Outbox) {
        self.queue.push_back(message);
        self.send_next(now, out);
    }

    fn send_next(&mut self, now: Instant, out: &mut Outbox) {
        if self.in_flight.is_some() {
            return; // NSTART is 1 [RFC7252 4.7]
        }
        let Some(message) = self.queue.pop_front() else { return };
        out.send(&message.datagram);
        let timeout = self.transmission.first_timeout(self.chance.fraction());
        let (sent, due) = (now, now + timeout);
        self.in_flight = Some(InFlight { message, retransmissions: 0, timeout, sent, due, forgotten: false });
    }

    /// Drops the deadlines of requests that were acknowledged, so that nobody wakes for them.
    fn drop_acknowledged(&mut self, now: Instant) {
        let received = &self.received;
        let over = |(_, id, digest): &mut (Instant, u16, u64)| {
            received.state(*id, *digest, now) != Some(&State::Pending)
        };
        while self.unacknowledged.pop_front_if(over).is_some() {}
    }

    /// Does the same behind a request that is slow to be answered, when there are too many.
    fn drop_acknowledged_everywhere(&mut self, now: Instant) {
        let received = &self.received;
        self.unacknowledged
            .retain(|(_, id, digest)| received.state(*id, *digest, now) == Some(&State::Pending));
    }

    fn remember_unconfirmed(&mut self, id: u16, exchange: ExchangeId) {
        if self.unconfirmed.len() >= REMEMBERED_UNCONFIRMED {
            self.unconfirmed.pop_front();
        }
        self.unconfirmed.push_back((id, exchange));
    }

    fn take_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn take_exchange(&mut self) -> ExchangeId {
        self.next_exchange += 1;
        ExchangeId(self.next_exchange)
    }

    /// A token that nobody can foresee, so that nobody can answer for the peer [RFC7252 5.3.1].
    fn draw_token(&mut self) -> Token {
        Token::new(&self.draw().to_be_bytes())
    }

    /// A number that nobody can foresee.
    pub(crate) fn draw(&mut self) -> u64 {
        self.chance.next()
    }
}

fn send_empty(kind: Kind, id: u16, out: &mut Outbox) {
    out.send(&Message::empty(kind, id).encode());
}

/// Whether a notification with number `next` was sent after the one with `last` [RFC7641 3.4].
fn is_newer(last: u32, next: u32) -> bool {
    let ahead = next.wrapping_sub(last) & 0x00FF_FFFF;
    ahead != 0 && ahead < 1 << 23
}
