use std::collections::VecDeque;
use std::time::Instant;

use bus::{Address, Limits, Outbox};

use super::Turn;
use super::credit::Credit;
use super::in_flight::{Confirmable, InFlight};
use super::received::{PER_MESSAGE, Received, State};
use super::stations::echo;
use crate::{
    Code, Config, DecodeError, ExchangeId, Incoming, Kind, Message, ReplyTo, Request, SendError, Token,
    Transmission,
};

/// The largest body of a UDP datagram over IPv4.
const LARGEST_DATAGRAM: usize = 65_507;

/// How many non-confirmable messages are remembered, so that a Reset to one finds its exchange.
const REMEMBERED_UNCONFIRMED: usize = 64;

/// The carrier of datagrams: RFC 7252's message layer [RFC7252 4].
///
/// It answers pings and duplicates, acknowledges in time what is not answered yet, and sends one
/// confirmable message at a time, again and again until it is acknowledged.
#[derive(Debug)]
pub(crate) struct Datagram {
    transmission: Transmission,
    next_id: u16,
    received: Received,
    /// Requests that must be acknowledged by then, if they are not answered before; in order of time.
    unacknowledged: VecDeque<(Instant, u16, u64)>,
    /// The one confirmable message that is not acknowledged (NSTART 1).
    in_flight: Option<InFlight>,
    queue: VecDeque<Confirmable>,
    /// Our latest non-confirmable messages, by message id.
    unconfirmed: VecDeque<(u16, ExchangeId)>,
    most_outstanding: usize,
    most_queued: usize,
    longest_token: usize,
    largest: usize,
    q_block: bool,
    credit: Credit,
    /// Whether the peer was to be sent more than it may.
    is_short: bool,
}

impl Datagram {
    /// The message layer of a peer whose first message of ours has this id, and to which none is larger than that.
    pub(crate) fn new(
        next_id: u16,
        largest: usize,
        credit: Credit,
        config: &Config,
        limits: &Limits,
    ) -> Self {
        Self {
            transmission: config.transmission.clone(),
            next_id,
            received: Received::new(limits.packet.max(limits.outstanding.saturating_mul(PER_MESSAGE))),
            unacknowledged: VecDeque::new(),
            in_flight: None,
            queue: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            most_outstanding: limits.outstanding.max(1),
            most_queued: usize::from(limits.send_window.max(1)),
            longest_token: config.longest_token.clamp(Token::SHORT, Token::LONGEST),
            largest: largest.min(LARGEST_DATAGRAM),
            q_block: config.q_block,
            credit,
            is_short: false,
        }
    }

    pub(crate) fn receive(&mut self, datagram: &[u8], turn: &mut Turn<'_>) -> Option<Incoming> {
        self.credit.earn(datagram.len());
        let message = match Message::decode(datagram) {
            Ok(message) => message,
            Err(DecodeError::Format { kind: Kind::Confirmable, id, .. }) => {
                self.send_empty(Kind::Reset, id, turn.out); // [RFC7252 4.2]
                return None;
            }
            Err(DecodeError::Format { .. } | DecodeError::Foreign) => return None, // [RFC7252 4.3]
        };
        if message.token().len() > self.longest_token {
            self.refuse_token(&message, turn);
            return None;
        }
        let (kind, code) = (message.kind(), message.code());
        match kind {
            Kind::Confirmable if code == Code::EMPTY => {
                self.send_empty(Kind::Reset, message.id(), turn.out); // a ping [RFC7252 4.3]
                None
            }
            Kind::Confirmable | Kind::NonConfirmable if code.is_request() => {
                self.receive_request(message, Received::digest(datagram), datagram.len(), turn)
            }
            Kind::Confirmable | Kind::NonConfirmable if code.is_response() => {
                self.receive_response(message, Received::digest(datagram), turn)
            }
            Kind::Confirmable | Kind::NonConfirmable => None,
            Kind::Acknowledgement if code == Code::EMPTY => self.receive_acknowledgement(message.id(), turn),
            Kind::Acknowledgement => self.receive_piggybacked(message, turn),
            Kind::Reset => self.receive_reset(message.id(), turn),
        }
    }

    /// A longer token than is taken is a bad request to who takes extended ones, and a format error to who knows
    /// none [RFC8974 2.2.2]. Nothing of it is kept.
    fn refuse_token(&mut self, message: &Message, turn: &mut Turn<'_>) {
        if self.longest_token <= Token::SHORT || !message.code().is_request() {
            if message.kind() == Kind::Confirmable {
                self.send_empty(Kind::Reset, message.id(), turn.out); // [RFC7252 4.2]
            }
            return;
        }
        let mut answer = Message::diagnostic(Code::BAD_REQUEST, "The token is longer than is taken here.");
        match message.kind() {
            Kind::Confirmable => answer.address(Kind::Acknowledgement, message.id(), message.token()),
            _ => answer.address(Kind::NonConfirmable, self.take_id(), message.token()),
        }
        self.send(&answer.encode(), turn.out);
    }

    /// Answers in the acknowledgement if that is still due, else in a message of its own. An answer that does not
    /// fit into a datagram becomes 5.00.
    pub(crate) fn respond(
        &mut self,
        to: &ReplyTo,
        mut response: Message,
        turn: &mut Turn<'_>,
    ) -> Option<ExchangeId> {
        if let Some(allowance) = self.credit.allowance(Some(to)) {
            response = echo::restrain(to, response, allowance);
        }
        let piggybacked = to.confirmable && self.is_pending(to, turn.now);
        let (kind, id) = match (piggybacked, to.confirmable) {
            (true, _) => (Kind::Acknowledgement, to.id),
            (false, true) => (Kind::Confirmable, self.take_id()),
            (false, false) => (Kind::NonConfirmable, self.take_id()), // [RFC7252 5.2.3]
        };
        response.address(kind, id, to.token.clone());
        let mut datagram = response.encode();
        if datagram.len() > self.largest {
            let text = "The answer does not fit into a datagram.";
            let mut failure = Message::diagnostic(Code::INTERNAL_SERVER_ERROR, text);
            failure.address(kind, id, to.token.clone());
            datagram = failure.encode();
            if datagram.len() > self.largest {
                datagram = failure.with_payload("").encode();
            }
        }
        match kind {
            Kind::Acknowledgement => {
                self.send(&datagram, turn.out);
                let state = State::Done(Some(datagram.into()));
                self.received.update(to.id, to.digest, state, turn.now);
                self.drop_acknowledged(turn.now);
                None
            }
            Kind::Confirmable => {
                let acknowledgement = Message::empty(Kind::Acknowledgement, to.id).encode();
                let state = State::Done(Some(acknowledgement.into()));
                self.received.update(to.id, to.digest, state, turn.now);
                let exchange = turn.matching.number();
                self.confirm(Confirmable { exchange, id, request: None, datagram }, turn);
                Some(exchange)
            }
            Kind::NonConfirmable | Kind::Reset => {
                self.send(&datagram, turn.out);
                self.received.update(to.id, to.digest, State::Done(None), turn.now);
                let exchange = turn.matching.number();
                self.remember_unconfirmed(id, exchange);
                Some(exchange)
            }
        }
    }

    /// Sends a request that has its token; the answer is awaited as that of `exchange`.
    pub(crate) fn request(
        &mut self,
        exchange: ExchangeId,
        mut message: Message,
        turn: &mut Turn<'_>,
    ) -> Result<(), SendError> {
        if self.queue.len() >= self.most_queued {
            return Err(SendError::Full);
        }
        let (kind, id, token) = (message.kind(), self.take_id(), message.token());
        message.address(kind, id, token.clone());
        let datagram = message.encode();
        if datagram.len() > self.largest {
            return Err(SendError::TooLarge);
        }
        let confirmable = kind == Kind::Confirmable;
        let until = (!confirmable).then(|| turn.now + self.transmission.response_timeout);
        turn.matching.begin(exchange, &message, until);
        if confirmable {
            self.confirm(Confirmable { exchange, id, request: Some(token), datagram }, turn);
        } else {
            self.send(&datagram, turn.out);
            self.remember_unconfirmed(id, exchange);
        }
        Ok(())
    }

    pub(crate) fn notify(
        &mut self,
        to: &ReplyTo,
        mut message: Message,
        confirmable: bool,
        turn: &mut Turn<'_>,
    ) -> Result<ExchangeId, SendError> {
        if confirmable && self.queue.len() >= self.most_queued {
            return Err(SendError::Full);
        }
        let id = self.take_id();
        let kind = if confirmable { Kind::Confirmable } else { Kind::NonConfirmable };
        message.address(kind, id, to.token.clone());
        let datagram = message.encode();
        if datagram.len() > self.largest {
            return Err(SendError::TooLarge);
        }
        let exchange = turn.matching.number();
        if confirmable {
            self.confirm(Confirmable { exchange, id, request: None, datagram }, turn);
        } else {
            self.send(&datagram, turn.out);
            self.remember_unconfirmed(id, exchange);
        }
        Ok(exchange)
    }

    /// Asks whether the peer is there; a Reset says that it is [RFC7252 4.3].
    pub(crate) fn ping(&mut self, turn: &mut Turn<'_>) -> ExchangeId {
        let (exchange, id) = (turn.matching.number(), self.take_id());
        let datagram = Message::empty(Kind::Confirmable, id).encode();
        self.confirm(Confirmable { exchange, id, request: None, datagram }, turn);
        exchange
    }

    /// Sends a message of ours no more, neither for the first time nor again [RFC7252 4.2].
    pub(crate) fn forget(&mut self, exchange: ExchangeId) {
        if let Some(in_flight) = self.in_flight.as_mut().filter(|sent| sent.message.exchange == exchange) {
            in_flight.forget();
        }
        self.queue.retain(|queued| queued.exchange != exchange);
    }

    /// How large a message may be, header and token included.
    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    /// The parameters of Q-Blocks, if requests may have them.
    pub(crate) fn q_blocks(&self) -> Option<&Transmission> {
        self.q_block.then_some(&self.transmission)
    }

    /// Whether a confirmable message would be sent at once: none is unacknowledged.
    pub(crate) fn can_send(&self) -> bool {
        self.in_flight.is_none() && self.queue.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let acknowledge = self.unacknowledged.front().map(|(due, ..)| *due);
        let retransmit = self.in_flight.as_ref().map(|in_flight| in_flight.due);
        [acknowledge, retransmit].into_iter().flatten().min()
    }

    /// Acknowledges and retransmits what is due; tells what the peer left unacknowledged for good.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) -> Option<ExchangeId> {
        let now = turn.now;
        while let Some((_, id, digest)) = self.unacknowledged.pop_front_if(|(due, ..)| *due <= now) {
            if self.received.state(id, digest, now) == Some(&State::Pending) {
                self.received.update(id, digest, State::Acknowledged, now);
                self.send_empty(Kind::Acknowledgement, id, turn.out); // [RFC7252 5.2.2]
            }
        }
        self.received.trim(now);
        self.drop_acknowledged(now);
        self.retransmit(turn)
    }

    fn retransmit(&mut self, turn: &mut Turn<'_>) -> Option<ExchangeId> {
        let in_flight = self.in_flight.as_mut().filter(|in_flight| in_flight.due <= turn.now)?;
        if in_flight.forgotten {
            self.in_flight = None;
            self.send_next(turn);
            return None;
        }
        let is_there = self.credit.allowance(None).is_none();
        if !in_flight.goes_again(is_there, &self.transmission, turn.chance, turn.now) {
            let exchange = in_flight.message.exchange;
            self.in_flight = None;
            self.give_up(exchange, turn);
            self.send_next(turn);
            return Some(exchange);
        }
        let covered = self.credit.covers(&in_flight.message.datagram);
        if covered {
            turn.out.send(&in_flight.message.datagram);
        }
        in_flight.missed |= !covered;
        self.is_short |= !covered;
        self.find_out(turn.out);
        None
    }

    fn give_up(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        self.forget(exchange);
        turn.matching.forget(exchange);
    }

    fn receive_request(
        &mut self,
        message: Message,
        digest: u64,
        length: usize,
        turn: &mut Turn<'_>,
    ) -> Option<Incoming> {
        let (id, confirmable, now) = (message.id(), message.kind() == Kind::Confirmable, turn.now);
        if let Some(state) = self.received.state(id, digest, now) {
            self.answer_duplicate(state.clone(), id, digest, confirmable, turn);
            return None;
        }
        if self.received.pending() + self.queue.len() >= self.most_outstanding {
            return None; // lost, as far as the peer can tell; it will send again when there may be room
        }
        let unknown = match self.q_block {
            true => message.unknown_beside_q_block(),
            false => message.unknown_critical_option(),
        };
        if unknown.is_some() && !confirmable {
            self.send_empty(Kind::Reset, id, turn.out); // [RFC7252 5.4.1]
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
        let reply_to = ReplyTo { length, ..ReplyTo::new(message.token(), confirmable, id, digest) };
        if let Some(option) = unknown {
            let text = format!("The critical option {} is unknown or has a wrong form.", option.0);
            self.respond(&reply_to, Message::diagnostic(Code::BAD_OPTION, &text), turn); // [RFC7252 5.4.1]
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
        turn: &mut Turn<'_>,
    ) {
        match state {
            _ if !confirmable => {} // [RFC7252 4.3]
            State::Pending => {
                self.received.update(id, digest, State::Acknowledged, turn.now);
                self.drop_acknowledged(turn.now);
                self.send_empty(Kind::Acknowledgement, id, turn.out);
            }
            State::Acknowledged => self.send_empty(Kind::Acknowledgement, id, turn.out),
            State::Done(Some(answer)) => self.send(&answer, turn.out),
            State::Done(None) => {}
        }
    }

    fn receive_response(&mut self, message: Message, digest: u64, turn: &mut Turn<'_>) -> Option<Incoming> {
        let (id, confirmable, now) = (message.id(), message.kind() == Kind::Confirmable, turn.now);
        if let Some(state) = self.received.state(id, digest, now) {
            self.answer_duplicate(state.clone(), id, digest, confirmable, turn);
            return None;
        }
        let token = message.token();
        let exchange = turn.matching.find(&token);
        let rejected = exchange.is_none() || message.unknown_critical_option().is_some();
        let reply = Message::empty(if rejected { Kind::Reset } else { Kind::Acknowledgement }, id).encode();
        if rejected || confirmable {
            self.send(&reply, turn.out); // [RFC7252 4.2], [RFC7252 4.3]
        }
        let lifetime = match confirmable {
            true => self.transmission.exchange_lifetime(),
            false => self.transmission.non_lifetime(),
        };
        let state = State::Done(confirmable.then(|| reply.into()));
        self.received.insert(id, digest, now + lifetime, state, now);
        let exchange = exchange?;
        self.credit.proved_by(exchange); // nobody else knows the token
        if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.message.request.as_ref() == Some(&token))
        {
            self.in_flight = None; // the answer says that the request came [RFC7252 5.2.2]
            self.send_next(turn);
        }
        if rejected {
            self.give_up(exchange, turn);
            return Some(Incoming::Reset { exchange });
        }
        turn.matching.answered(message, false, now)
    }

    fn receive_piggybacked(&mut self, message: Message, turn: &mut Turn<'_>) -> Option<Incoming> {
        let expected = self.in_flight.as_ref().map(|in_flight| &in_flight.message)?;
        if expected.id != message.id() || expected.request != Some(message.token()) {
            return None; // [RFC7252 5.3.2]
        }
        let exchange = expected.exchange;
        self.in_flight = None;
        self.credit.proved_by(exchange); // nobody else knows the token
        self.send_next(turn);
        if message.unknown_critical_option().is_some() {
            self.give_up(exchange, turn); // [RFC7252 5.4.1]
            return Some(Incoming::Reset { exchange });
        }
        turn.matching.answered(message, false, turn.now)
    }

    fn receive_acknowledgement(&mut self, id: u16, turn: &mut Turn<'_>) -> Option<Incoming> {
        let Some(InFlight { message, .. }) = self.in_flight.take_if(|in_flight| in_flight.message.id == id)
        else {
            self.credit.acknowledged(None);
            return None;
        };
        self.credit.acknowledged(Some(message.exchange));
        turn.matching.acknowledged(message.exchange, turn.now + self.transmission.response_timeout);
        self.send_next(turn);
        Some(Incoming::Acknowledged { exchange: message.exchange })
    }

    fn receive_reset(&mut self, id: u16, turn: &mut Turn<'_>) -> Option<Incoming> {
        if self.credit.is_ping(id) {
            self.credit.prove();
            if let Some(in_flight) = &mut self.in_flight {
                (in_flight.missed, in_flight.due) = (true, turn.now);
            }
            return None;
        }
        let exchange = match self.in_flight.take_if(|in_flight| in_flight.message.id == id) {
            Some(in_flight) => in_flight.message.exchange,
            None => self.unconfirmed.iter().find(|(sent, _)| *sent == id).map(|(_, exchange)| *exchange)?,
        };
        self.unconfirmed.retain(|(sent, _)| *sent != id);
        self.give_up(exchange, turn);
        self.send_next(turn);
        Some(Incoming::Reset { exchange })
    }

    /// Whether the peer is where its datagrams say.
    pub(crate) fn credit(&self) -> &Credit {
        &self.credit
    }

    pub(crate) fn credit_mut(&mut self) -> &mut Credit {
        &mut self.credit
    }

    /// The peer's datagrams come from another address; exchanges from `since` on begin there [RFC9175 2.4].
    pub(crate) fn moved(&mut self, address: Address, since: ExchangeId, next_id: u16) -> bool {
        self.next_id = next_id; // whoever heard the ids of the last address does not know those of this one
        self.credit.moved(address, since);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.missed = true;
        }
        self.credit.is_secured()
    }

    /// Pings a peer that has moved, if there is more for it than it may be sent before it has shown where it is: its Reset
    /// shows it. What waits to be acknowledged has not arrived there, so that this is the only exchange with it.
    pub(crate) fn find_out(&mut self, out: &mut Outbox) {
        if !std::mem::take(&mut self.is_short) {
            return;
        }
        let next = self.next_id.wrapping_add(1);
        let Some(id) = self.credit.ping(next) else { return };
        if id == next {
            self.next_id = next;
        }
        let ping = Message::empty(Kind::Confirmable, id).encode();
        if self.credit.covers(&ping) {
            out.send(&ping);
        }
    }

    /// There is more for the peer than it may be sent.
    pub(crate) fn is_short(&mut self, out: &mut Outbox) {
        self.is_short = true;
        self.find_out(out);
    }

    /// A request is done without an answer: an acknowledgement that is due is all that is sent [RFC7967 2].
    pub(crate) fn settle(&mut self, to: &ReplyTo, turn: &mut Turn<'_>) {
        let acknowledgement = to.confirmable.then(|| Message::empty(Kind::Acknowledgement, to.id).encode());
        if let Some(acknowledgement) = acknowledgement.as_ref().filter(|_| self.is_pending(to, turn.now)) {
            self.send(acknowledgement, turn.out);
        }
        let state = State::Done(acknowledgement.map(Into::into));
        self.received.update(to.id, to.digest, state, turn.now);
        self.drop_acknowledged(turn.now);
    }

    fn send(&mut self, datagram: &[u8], out: &mut Outbox) {
        match self.credit.covers(datagram) {
            true => out.send(datagram),
            false => self.is_short(out),
        }
    }

    fn send_empty(&mut self, kind: Kind, id: u16, out: &mut Outbox) {
        self.send(&Message::empty(kind, id).encode(), out);
    }

    /// Sends a confirmable message, now or when it is its turn.
    fn confirm(&mut self, message: Confirmable, turn: &mut Turn<'_>) {
        self.queue.push_back(message);
        self.send_next(turn);
    }

    fn send_next(&mut self, turn: &mut Turn<'_>) {
        if self.in_flight.is_some() {
            return; // NSTART is 1 [RFC7252 4.7]
        }
        let Some(message) = self.queue.pop_front() else { return };
        self.send(&message.datagram, turn.out);
        self.in_flight = Some(InFlight::new(message, &self.transmission, turn.chance, turn.now));
    }

    /// Whether the answer may still travel in the acknowledgement.
    fn is_pending(&self, to: &ReplyTo, now: Instant) -> bool {
        self.received.state(to.id, to.digest, now).is_some_and(|state| *state == State::Pending)
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
}
