//! An endpoint, its clock, and what it sent.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::time::{Duration, Instant};

use bus::{Limits, Outbox, Transport};
use coap::{Code, Endpoint, ExchangeId, Incoming, Kind, Message, Transmission};

use crate::common::{bench, numbered};

pub struct Device {
    pub endpoint: Endpoint,
    pub now: Instant,
    pub sent: Vec<Vec<u8>>,
}

impl Device {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        Self::of(Endpoint::new(7, Transmission::default(), &limits, 1_152))
    }

    pub fn of(endpoint: Endpoint) -> Self {
        Self { endpoint, now: bench().now, sent: Vec::new() }
    }

    pub fn act<T>(&mut self, act: impl FnOnce(&mut Endpoint, Instant, &mut Outbox) -> T) -> T {
        let mut out = Outbox::new(Transport::Datagram);
        let result = act(&mut self.endpoint, self.now, &mut out);
        self.sent.extend(out.chunks().map(|chunk| chunk.bytes.to_vec()));
        result
    }

    pub fn receive(&mut self, datagram: &[u8]) -> Option<Incoming> {
        self.act(|endpoint, now, out| endpoint.receive(datagram, now, out))
    }

    pub fn request(&mut self, message: Message) -> ExchangeId {
        self.act(|endpoint, now, out| endpoint.request(message, now, out)).unwrap()
    }

    /// Turns the clock to each deadline within the span; returns when something was sent, in ms, and what failed.
    pub fn advance(&mut self, span: Duration) -> (Vec<u64>, Vec<ExchangeId>) {
        let (start, end) = (self.now, self.now + span);
        let (mut times, mut failed) = (Vec::new(), Vec::new());
        while let Some(deadline) = self.endpoint.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            let before = self.sent.len();
            failed.extend(self.act(|endpoint, now, out| endpoint.expire(now, out)));
            times.extend(self.sent.iter().skip(before).map(|_| (deadline - start).as_millis() as u64));
        }
        self.now = end;
        (times, failed)
    }

    /// The one datagram that was sent.
    pub fn take(&mut self) -> Message {
        assert_eq!(self.sent.len(), 1, "one datagram");
        Message::decode(&self.sent.pop().unwrap()).unwrap()
    }
}

/// An answer without content.
pub fn answer(to: &Message, kind: Kind, code: Code) -> Vec<u8> {
    addressed(to, kind, Message::response(code).with_token(to.token()))
}

/// An answer with the id that its kind asks for.
pub fn addressed(to: &Message, kind: Kind, answer: Message) -> Vec<u8> {
    let id = if kind == Kind::Acknowledgement { to.id() } else { to.id() ^ 0x5555 };
    numbered(answer, kind, id).encode()
}
