use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bus::{
    Ack, Connection, Delivery, Event, Outbox, Peer, ProtocolError, Reason, Request, SubscriptionId, Ticket,
};

use crate::connect::foreign;
use crate::decoder::{Decoder, FrameLimits, newlines};
use crate::error::error_frame;
use crate::heartbeat::{Due, Heartbeat, Wish};
use crate::publish::STANDARD;
use crate::stomp::Grants;
use crate::subscription::Subscriptions;
use crate::transaction::{Answer, Transactions};
use crate::window::Window;
use crate::{Command, Frame, Version};

/// One STOMP client.
#[derive(Debug)]
pub(crate) struct StompConnection {
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
    pub(crate) durable: bool,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) window: Window,
    /// While a resumed client may still subscribe again: until when.
    pub(crate) resubscribe_by: Option<Instant>,
    /// What came for subscriptions that a resumed client has not made again yet.
    pub(crate) held: Vec<(SubscriptionId, Delivery)>,
    pub(crate) transactions: Transactions,
    /// What the transaction under way acknowledges once the broker has taken its messages. Nothing is read before.
    pub(crate) committing: Option<Vec<Answer>>,
    pub(crate) awaited: HashMap<Ticket, Awaited>,
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
pub(crate) enum Awaited {
    Connect,
    Publish { receipt: Option<Arc<str>> },
    Commit { receipt: Option<Arc<str>> },
    Subscribe { id: SubscriptionId, receipt: Option<Arc<str>> },
    Unsubscribe { id: SubscriptionId, receipt: Option<Arc<str>> },
    Disconnect,
}

/// Whether a frame was in order.
pub(crate) type Handled = Result<(), ProtocolError>;

impl Connection for StompConnection {
    fn begin(&mut self, now: Instant, _out: &mut Outbox) {
        self.state = State::ExpectConnect { until: Some(now + self.grants.limits.handshake) };
    }

    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        if input.len() > self.unread {
            self.heartbeat.heard(now);
        }
        let mut taken = 0;
        while self.reads() && !out.is_full() {
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
                    out.count_received();
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
            Event::Release(delivery) => out.ack(delivery, Ack::Complete),
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
            committing: None,
            awaited: HashMap::new(),
            last_ticket: 0,
        }
    }

    /// Whether the next frame may be read: not before an answer that decides on it.
    fn reads(&self) -> bool {
        match self.state {
            State::ExpectConnect { .. } => true,
            State::Connected => {
                self.committing.is_none() && self.awaited.len() < self.grants.limits.outstanding.max(1)
            }
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

    pub(crate) fn is_name(&self, text: &str) -> bool {
        text.len() <= self.grants.config.name
    }

    pub(crate) fn ask_nothing(&mut self, request: Request, out: &mut Outbox) {
        out.request(Ticket::NONE, request);
    }

    pub(crate) fn ask(&mut self, awaited: Awaited, request: Request, out: &mut Outbox) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.awaited.insert(ticket, awaited);
        out.request(ticket, request);
        ticket
    }

    pub(crate) fn receipt(&mut self, receipt: Option<Arc<str>>, now: Instant, out: &mut Outbox) {
        if let Some(receipt) = receipt {
            self.send(&Frame::new(Command::Receipt).with("receipt-id", &receipt), now, out);
        }
    }

    /// Tells the peer what is wrong with its input, and ends the connection by the error.
    pub(crate) fn fail(
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
    pub(crate) fn refuse(
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

    pub(crate) fn send(&mut self, frame: &Frame, now: Instant, out: &mut Outbox) {
        let version = self.version;
        self.write(now, out, |buffer| frame.encode(version, buffer));
    }

    pub(crate) fn write(&mut self, now: Instant, out: &mut Outbox, encode: impl FnOnce(&mut Vec<u8>)) {
        out.write(encode);
        self.heartbeat.sent(now);
    }
}
