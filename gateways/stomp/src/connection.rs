use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bus::{
    Connected, Connection, Delivery, Disconnect, Event, Outbox, Peer, ProtocolError, Reason, Reply, Request,
    Subscription as BusSubscription, SubscriptionId, Ticket, Unsubscribe,
};

use crate::connect::{Opening, foreign};
use crate::decoder::{Decoder, FrameLimits, newlines};
use crate::error::error_frame;
use crate::heartbeat::{Due, Heartbeat, Wish, header as heartbeat_header};
use crate::publish::{STANDARD, publish};
use crate::stomp::Grants;
use crate::subscription::{AckMode, Name, Subscription, Subscriptions, Wanted, too_long};
use crate::transaction::{Step, Transactions};
use crate::window::Window;
use crate::{Command, Frame, Version};

/// One STOMP client.
#[derive(Debug)]
pub struct StompConnection {
    pub(crate) grants: Arc<Grants>,
    pub(crate) state: State,
    pub(crate) version: Version,
    decoder: Decoder,
    /// How much input was left when it was last looked at: more than that is news.
    unread: usize,
    pub(crate) heartbeat: Heartbeat,
    /// Sets this connection's message ids apart from those of other connections.
    pub(crate) salt: u32,
    /// Whether the session outlives the connection.
    durable: bool,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) window: Window,
    /// While a resumed client may still subscribe again: until when.
    pub(crate) resubscribe_by: Option<Instant>,
    /// What came for subscriptions that a resumed client has not made again yet.
    pub(crate) held: Vec<(SubscriptionId, Delivery)>,
    transactions: Transactions,
    awaited: HashMap<Ticket, Awaited>,
    last_ticket: u64,
}

/// What the connection awaits.
#[derive(Debug)]
pub(crate) enum State {
    /// The client's CONNECT, for so long.
    ExpectConnect { until: Option<Instant> },
    /// The broker's answer to it.
    ExpectSession { until: Instant, wish: Wish },
    /// Any frame, any delivery.
    Connected,
    /// The replies to what came before DISCONNECT.
    ExpectReplies { receipt: Option<Arc<str>> },
    /// The broker's answer to DISCONNECT.
    ExpectGoodbye { receipt: Option<Arc<str>> },
    /// Nothing.
    Closed,
}

/// What a request was for, and the receipt that its frame asks for.
#[derive(Debug)]
enum Awaited {
    Connect,
    /// The frame has more publishes in front of its receipt when it is a COMMIT.
    Publish {
        receipt: Option<Arc<str>>,
        last: bool,
    },
    Subscribe {
        id: SubscriptionId,
        receipt: Option<Arc<str>>,
    },
    Unsubscribe {
        id: SubscriptionId,
        receipt: Option<Arc<str>>,
    },
    Disconnect,
}

type Handled = Result<(), ProtocolError>;

impl Connection for StompConnection {
    fn begin(&mut self, now: Instant, _out: &mut Outbox) {
        self.state = State::ExpectConnect { until: Some(now + self.grants.limits.handshake) };
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        if input.len() > self.unread {
            self.heartbeat.heard(now);
        }
        let mut taken = 0;
        while self.reads() {
            let rest = input.get(taken..).unwrap_or_default();
            taken += newlines(rest);
            let rest = input.get(taken..).unwrap_or_default();
            if let (State::ExpectConnect { .. }, Some(error)) = (&self.state, foreign(rest)) {
                return self.fail(error, None, now, out).map(|()| taken);
            }
            let limits = self.frame_limits();
            match self.decoder.decode(rest, self.version, &limits) {
                Ok(None) => break,
                Ok(Some((frame, length))) => {
                    taken += length;
                    self.take_frame(frame, now, out)?;
                }
                Err(error) => {
                    let receipt = self.decoder.receipt().map(Arc::from);
                    self.fail(error.into(), receipt, now, out)?;
                }
            }
        }
        if self.is_leaving() {
            taken = input.len(); // nothing counts behind DISCONNECT
        }
        self.unread = input.len() - taken;
        Ok(taken)
    }

    fn handle(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        if matches!(self.state, State::Closed) {
            return;
        }
        match event {
            Event::Reply(ticket, reply) => self.take_reply(ticket, reply, now, out),
            Event::Deliver(delivery) => self.deliver(delivery, now, out),
            // an earlier connection of the session spoke a protocol with exactly-once deliveries
            Event::Release(delivery) => out.ack(delivery, bus::Ack::Complete),
            Event::Idle => {}
            Event::Close(reason) => self.refuse(reason, "", None, now, out),
        }
    }

    fn expire(&mut self, now: Instant, out: &mut Outbox) {
        match self.state {
            State::ExpectConnect { until: Some(until) } | State::ExpectSession { until, .. }
                if now >= until =>
            {
                return self.refuse(Reason::HandshakeTimeout, "", None, now, out);
            }
            State::Closed => return,
            _ => {}
        }
        if self.resubscribe_by.is_some_and(|until| now >= until) {
            self.drop_held(out);
        }
        match self.heartbeat.expire(now) {
            Due::Nothing => {}
            Due::Beat => self.write(now, out, |buffer| buffer.push(b'\n')),
            // while replies are owed, the driver may have stopped reading: the silence is not the peer's
            Due::Silence if !self.awaited.is_empty() => self.heartbeat.restart_receive(now),
            Due::Silence => {
                let detail = "nothing was heard for twice the heart-beat that was agreed on";
                self.refuse(Reason::KeepAliveTimeout, detail, None, now, out);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::ExpectConnect { until } => until,
            State::ExpectSession { until, .. } => Some(until),
            State::Connected | State::ExpectReplies { .. } | State::ExpectGoodbye { .. } => {
                [self.heartbeat.deadline(), self.resubscribe_by].into_iter().flatten().min()
            }
            State::Closed => None,
        }
    }

    fn room(&self) -> usize {
        match self.state {
            State::Connected => self.send_window().saturating_sub(self.window.len() + self.held.len()),
            _ => 0,
        }
    }
}

impl StompConnection {
    pub(crate) fn new(grants: Arc<Grants>, peer: &Peer) -> Self {
        Self {
            grants,
            state: State::ExpectConnect { until: None },
            version: Version::V1_2,
            decoder: Decoder::default(),
            unread: 0,
            heartbeat: Heartbeat::default(),
            salt: (peer.seed ^ (peer.seed >> 32)) as u32,
            durable: false,
            subscriptions: Subscriptions::default(),
            window: Window::default(),
            resubscribe_by: None,
            held: Vec::new(),
            transactions: Transactions::default(),
            awaited: HashMap::new(),
            last_ticket: 0,
        }
    }

    /// Whether the next frame may be read: not before an answer that decides on it.
    fn reads(&self) -> bool {
        match self.state {
            State::ExpectConnect { .. } => true,
            State::Connected => self.awaited.len() < self.grants.limits.outstanding.max(1),
            State::ExpectSession { .. } => false,
            State::ExpectReplies { .. } | State::ExpectGoodbye { .. } | State::Closed => false,
        }
    }

    fn is_leaving(&self) -> bool {
        matches!(self.state, State::ExpectReplies { .. } | State::ExpectGoodbye { .. } | State::Closed)
    }

    fn frame_limits(&self) -> FrameLimits {
        let Grants { config, limits } = &*self.grants;
        let frame = match self.state {
            State::ExpectConnect { .. } => limits.packet_before_connect.min(limits.packet),
            _ => limits.packet,
        };
        FrameLimits { frame, head: config.head, headers: limits.user_properties + STANDARD.len() }
    }

    pub(crate) fn send_window(&self) -> usize {
        self.grants.limits.send_window.max(1).into()
    }

    fn take_frame(&mut self, frame: Frame, now: Instant, out: &mut Outbox) -> Handled {
        let receipt: Option<Arc<str>> = frame.header("receipt").map(Arc::from);
        self.perform(frame, receipt.clone(), now, out)
            .or_else(|error| self.fail(error, receipt.filter(|receipt| self.is_name(receipt)), now, out))
    }

    fn perform(
        &mut self,
        frame: Frame,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        use Command::*;
        if receipt.as_ref().is_some_and(|receipt| !self.is_name(receipt)) {
            return Err(too_long());
        }
        if !frame.command.has_body() && !frame.body.is_empty() {
            return Err(ProtocolError::violation("only SEND may have a body")); // [STOMP1.2 Body]
        }
        match (&self.state, frame.command) {
            (_, Connected | Message | Receipt | Error) => {
                Err(ProtocolError::violation("the command is one of the server's"))
            }
            (State::ExpectConnect { .. }, Connect | Stomp) => self.take_connect(frame, now, out),
            (State::ExpectConnect { .. }, _) => {
                Err(ProtocolError::violation("the first frame is no CONNECT"))
            }
            (_, Connect | Stomp) => Err(ProtocolError::violation("CONNECT comes once only")),
            (_, Nack) if self.version == Version::V1_0 => {
                Err(ProtocolError::violation("STOMP 1.0 has no NACK"))
            }
            (_, Send) => self.take_send(frame, receipt, now, out),
            (_, Subscribe) => self.take_subscribe(&frame, receipt, out),
            (_, Unsubscribe) => self.take_unsubscribe(&frame, receipt, out),
            (_, Ack | Nack) => self.take_answer(&frame, receipt, now, out),
            (_, Begin) => {
                let Grants { config, limits } = &*self.grants;
                let name = self.transaction(&frame)?;
                self.transactions.begin(name, config, limits)?;
                self.receipt(receipt, now, out);
                Ok(())
            }
            (_, Commit) => {
                let name = self.transaction(&frame)?;
                let steps = self.transactions.end(name)?;
                self.commit(steps, receipt, now, out);
                Ok(())
            }
            (_, Abort) => {
                let name = self.transaction(&frame)?;
                drop(self.transactions.end(name)?);
                self.receipt(receipt, now, out);
                Ok(())
            }
            (_, Disconnect) => {
                self.state = State::ExpectReplies { receipt };
                self.leave_when_answered(out);
                Ok(())
            }
        }
    }

    fn take_connect(&mut self, frame: Frame, now: Instant, out: &mut Outbox) -> Handled {
        let Grants { config, limits } = &*self.grants;
        let opening = Opening::parse(frame, config, limits)?;
        self.version = opening.version;
        self.durable = !opening.connect.clean_start;
        let until = match self.state {
            State::ExpectConnect { until: Some(until) } => until,
            _ => now + limits.handshake,
        };
        self.state = State::ExpectSession { until, wish: opening.wish };
        self.ask(Awaited::Connect, Request::Connect(Box::new(opening.connect)), out);
        Ok(())
    }

    fn take_send(
        &mut self,
        frame: Frame,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        let transaction = frame.header("transaction").map(Box::<str>::from);
        let size = frame.size();
        let publish = publish(frame, &self.grants.limits)?;
        if let Some(transaction) = transaction {
            return self.put_off(&transaction, Step::Publish(publish), size, receipt, now, out);
        }
        self.ask(Awaited::Publish { receipt, last: true }, Request::Publish(publish), out);
        Ok(())
    }

    fn take_subscribe(&mut self, frame: &Frame, receipt: Option<Arc<str>>, out: &mut Outbox) -> Handled {
        let Grants { config, limits } = &*self.grants;
        let Wanted { name, ack, filter, options } = Wanted::parse(frame, self.version, config.name, limits)?;
        let subscription = Subscription { name, ack, shared: filter.share().is_some(), ends: None };
        let id = self.subscriptions.insert(subscription, self.durable, limits)?;
        let wanted = BusSubscription { id, filter, options, keyed: bus::Keyed::ById };
        self.ask(Awaited::Subscribe { id, receipt }, Request::Subscribe(vec![wanted]), out);
        Ok(())
    }

    fn take_unsubscribe(&mut self, frame: &Frame, receipt: Option<Arc<str>>, out: &mut Outbox) -> Handled {
        let name = Name::parse(frame, self.version, self.grants.config.name)?;
        let unknown = ProtocolError {
            reason: Reason::NoSubscription,
            detail: "UNSUBSCRIBE names no subscription of this connection",
        };
        let id = match self.subscriptions.find(&name) {
            Some(id) => id,
            None if self.durable => {
                // it may be one that an earlier connection made
                let old = Subscription { name, ack: AckMode::Auto, shared: false, ends: None };
                self.subscriptions.insert(old, true, &self.grants.limits)?
            }
            None => return Err(unknown),
        };
        let ticket = self.ask(
            Awaited::Unsubscribe { id, receipt },
            Request::Unsubscribe(vec![Unsubscribe::Id(id)]),
            out,
        );
        self.subscriptions.end(id, ticket);
        self.release_subscription(id, out);
        Ok(())
    }

    fn take_answer(
        &mut self,
        frame: &Frame,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        let number = self.message_number(frame)?;
        let step = if frame.command == Command::Nack { Step::Nack(number) } else { Step::Ack(number) };
        if let Some(transaction) = frame.header("transaction") {
            return self.put_off(transaction, step, frame.size(), receipt, now, out);
        }
        self.commit(vec![step], receipt, now, out);
        Ok(())
    }

    /// Keeps a frame for the COMMIT of its transaction; its receipt says that it is kept.
    fn put_off(
        &mut self,
        transaction: &str,
        step: Step,
        size: usize,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        let Grants { config, limits } = &*self.grants;
        self.transactions.push(transaction, step, size, config, limits)?;
        self.receipt(receipt, now, out);
        Ok(())
    }

    /// Performs the steps in order. The receipt waits for the last publish among them: replies to publishes
    /// keep their order.
    fn commit(&mut self, steps: Vec<Step>, receipt: Option<Arc<str>>, now: Instant, out: &mut Outbox) {
        let last = steps.iter().rposition(|step| matches!(step, Step::Publish(_)));
        for (position, step) in steps.into_iter().enumerate() {
            match step {
                Step::Ack(number) => self.answer(number, bus::Ack::Complete, out),
                Step::Nack(number) => self.answer(number, bus::Ack::Return, out),
                Step::Publish(publish) => {
                    let awaited = Awaited::Publish { receipt: receipt.clone(), last: last == Some(position) };
                    self.ask(awaited, Request::Publish(publish), out);
                }
            }
        }
        if last.is_none() {
            self.receipt(receipt, now, out);
        }
    }

    fn transaction<'a>(&self, frame: &'a Frame) -> Result<&'a str, ProtocolError> {
        let name = frame.header("transaction").ok_or(ProtocolError::violation("no transaction is named"))?;
        self.is_name(name).then_some(name).ok_or(too_long())
    }

    fn is_name(&self, text: &str) -> bool {
        text.len() <= self.grants.config.name
    }

    fn take_reply(&mut self, ticket: Ticket, reply: Result<Reply, Reason>, now: Instant, out: &mut Outbox) {
        let Some(awaited) = self.awaited.remove(&ticket) else { return };
        match (awaited, reply.and_then(first_refusal)) {
            (Awaited::Connect, Ok(Reply::Connected(connected))) => self.begin_session(&connected, now, out),
            (Awaited::Connect, Ok(_)) => self.refuse(Reason::BadAuthenticationMethod, "", None, now, out),
            (Awaited::Connect, Err(reason)) => self.refuse(reason, "", None, now, out),
            (Awaited::Disconnect, _) => self.say_goodbye(now, out),
            (Awaited::Publish { receipt, last }, Ok(_)) => {
                if last {
                    self.receipt(receipt, now, out);
                }
            }
            (Awaited::Subscribe { id, receipt }, Ok(_)) => {
                self.release_held(id, now, out);
                self.receipt(receipt, now, out);
            }
            // a subscription that the session no longer has is gone, as was asked
            (Awaited::Unsubscribe { id, receipt }, Ok(_) | Err(Reason::NoSubscription)) => {
                self.release_held(id, now, out);
                self.subscriptions.ended(id, ticket);
                self.receipt(receipt, now, out);
            }
            (Awaited::Publish { receipt, .. }, Err(reason)) => {
                self.refuse(reason, "the message was not published", receipt, now, out);
            }
            (Awaited::Subscribe { receipt, .. }, Err(reason)) => {
                self.refuse(reason, "the subscription was not made", receipt, now, out);
            }
            (Awaited::Unsubscribe { receipt, .. }, Err(reason)) => {
                self.refuse(reason, "the subscription was not ended", receipt, now, out);
            }
        }
        self.leave_when_answered(out);
    }

    fn begin_session(&mut self, connected: &Connected, now: Instant, out: &mut Outbox) {
        let State::ExpectSession { wish, .. } = self.state else { return };
        let Grants { config, .. } = &*self.grants;
        self.state = State::Connected;
        self.heartbeat = Heartbeat::begin(wish, config, now);
        let mut frame = Frame::new(Command::Connected)
            .with("version", self.version.as_str())
            .with("server", concat!("watersmeet/", env!("CARGO_PKG_VERSION")))
            .with("session", connected.client_id.as_str());
        if self.version != Version::V1_0 {
            frame = frame.with("heart-beat", &heartbeat_header(config));
        }
        if self.durable {
            frame = frame
                .with("session-present", if connected.session_present { "true" } else { "false" })
                .with("session-expiry", &connected.session_expiry.seconds().to_string());
        }
        if connected.session_present {
            self.resubscribe_by = Some(now + config.resubscribe);
        }
        self.send(&frame, now, out);
    }

    /// Leaves the session once all that came before DISCONNECT is answered [STOMP1.2 DISCONNECT].
    fn leave_when_answered(&mut self, out: &mut Outbox) {
        let State::ExpectReplies { receipt } = &mut self.state else { return };
        if self.awaited.is_empty() {
            self.state = State::ExpectGoodbye { receipt: receipt.take() };
            let leave = Disconnect { publish_will: false, session_expiry: None };
            self.ask(Awaited::Disconnect, Request::Disconnect(leave), out);
        }
    }

    fn say_goodbye(&mut self, now: Instant, out: &mut Outbox) {
        let State::ExpectGoodbye { receipt } = &mut self.state else { return };
        let receipt = receipt.take();
        self.receipt(receipt, now, out);
        self.state = State::Closed;
        out.close(Reason::Disconnected);
    }

    pub(crate) fn ask_nothing(&mut self, request: Request, out: &mut Outbox) {
        out.request(Ticket::NONE, request);
    }

    fn ask(&mut self, awaited: Awaited, request: Request, out: &mut Outbox) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.awaited.insert(ticket, awaited);
        out.request(ticket, request);
        ticket
    }

    fn receipt(&mut self, receipt: Option<Arc<str>>, now: Instant, out: &mut Outbox) {
        if let Some(receipt) = receipt {
            self.send(&Frame::new(Command::Receipt).with("receipt-id", &receipt), now, out);
        }
    }

    /// Tells the peer what is wrong with its input, and ends the connection by the error.
    fn fail(
        &mut self,
        error: ProtocolError,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        // a TLS client could not read it
        if error.reason != Reason::TlsOnPlainPort {
            self.send(&error_frame(error.reason, error.detail, receipt.as_deref()), now, out);
        }
        self.state = State::Closed;
        Err(error)
    }

    /// Tells the peer why the connection ends, and closes it.
    fn refuse(
        &mut self,
        reason: Reason,
        detail: &str,
        receipt: Option<Arc<str>>,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.send(&error_frame(reason, detail, receipt.as_deref()), now, out);
        self.state = State::Closed;
        out.close(reason);
    }

    fn send(&mut self, frame: &Frame, now: Instant, out: &mut Outbox) {
        let version = self.version;
        self.write(now, out, |buffer| frame.encode(version, buffer));
    }

    fn write(&mut self, now: Instant, out: &mut Outbox, encode: impl FnOnce(&mut Vec<u8>)) {
        out.write(encode);
        self.heartbeat.sent(now);
    }

    /// Performs the client's word on one message, or on all up to it.
    fn answer(&mut self, number: u64, ack: bus::Ack, out: &mut Outbox) {
        let Some(sent) = self.window.get(number) else { return };
        let mode = self.subscriptions.get(sent.subscription).map(|subscription| subscription.ack);
        // ACK is cumulative in client mode; NACK names what was not consumed [STOMP1.2 ack Header]
        match (mode, ack) {
            (Some(AckMode::Client), bus::Ack::Complete) => {
                self.window.answer_up_to(number, sent.subscription, ack, out);
            }
            _ => self.window.answer(number, ack, out),
        }
    }
}

/// Turns a refusal inside a list of results into one.
fn first_refusal(reply: Reply) -> Result<Reply, Reason> {
    let refusal = match &reply {
        Reply::Subscribed(results) => results.iter().find_map(|result| result.err()),
        Reply::Unsubscribed(results) => results.iter().find_map(|result| result.err()),
        _ => None,
    };
    refusal.map_or(Ok(reply), Err)
}
