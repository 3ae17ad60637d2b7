use std::collections::VecDeque;
use std::time::Instant;

use bus::{Limits, Outbox, Transport};
use coap::{Code, Endpoint, ExchangeId, Incoming, Message, Transmission};

use crate::Device;

/// A CoAP client that posts a list of values, confirmable, one after the other.
pub struct CoapSensor {
    endpoint: Endpoint,
    path: Vec<String>,
    to_publish: VecDeque<String>,
    under_way: Option<ExchangeId>,
    /// How many were answered 2.04.
    pub published: usize,
    /// How many the server never acknowledged, however often they were sent.
    pub failed: usize,
}

/// A CoAP client that observes a topic.
pub struct CoapObserver {
    endpoint: Endpoint,
    path: Vec<String>,
    observation: Option<ExchangeId>,
    /// The payloads of the notifications, in order of arrival.
    pub received: Vec<String>,
    /// Whether the server has answered the registration.
    pub registered: bool,
}

impl CoapSensor {
    /// A sensor that posts to `ps/{topic}`.
    pub fn new(seed: u64, topic: &str, payloads: Vec<String>) -> Self {
        Self {
            endpoint: endpoint(seed),
            path: path(topic),
            to_publish: payloads.into(),
            under_way: None,
            published: 0,
            failed: 0,
        }
    }

    fn post(&mut self, now: Instant, out: &mut Outbox) {
        let Some(payload) = self.to_publish.front().filter(|_| self.under_way.is_none()) else { return };
        let request = Message::request(Code::POST).with_path(self.path.iter().map(String::as_str));
        let request = request.with_query("qos=1").with_payload(payload.as_bytes());
        self.under_way = self.endpoint.request(request, now, out).ok();
    }
}

impl CoapObserver {
    /// An observer of `ps/{topic}`.
    pub fn new(seed: u64, topic: &str) -> Self {
        Self {
            endpoint: endpoint(seed),
            path: path(topic),
            observation: None,
            received: Vec::new(),
            registered: false,
        }
    }

    fn register(&mut self, now: Instant, out: &mut Outbox) {
        let request = Message::request(Code::GET).with_path(self.path.iter().map(String::as_str));
        let request = request.with_query("qos=1").with_observe(0);
        self.observation = self.endpoint.request(request, now, out).ok();
    }
}

impl Device for CoapSensor {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        with_outbox(send, |out| self.post(now, out));
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        with_outbox(send, |out| {
            if let Some(Incoming::Response { exchange, message }) = self.endpoint.receive(bytes, now, out)
                && self.under_way == Some(exchange)
            {
                assert_eq!(message.code(), Code::CHANGED);
                self.under_way = None;
                self.to_publish.pop_front();
                self.published += 1;
            }
            self.post(now, out);
        });
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        with_outbox(send, |out| {
            for exchange in self.endpoint.expire(now, out) {
                if self.under_way == Some(exchange) {
                    self.under_way = None;
                    self.to_publish.pop_front();
                    self.failed += 1;
                }
            }
            self.post(now, out);
        });
    }

    fn deadline(&self) -> Option<Instant> {
        self.endpoint.deadline()
    }
}

impl Device for CoapObserver {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        with_outbox(send, |out| self.register(now, out));
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        with_outbox(send, |out| match self.endpoint.receive(bytes, now, out) {
            Some(Incoming::Response { message, .. }) => {
                assert_eq!(message.code(), Code::CONTENT);
                self.registered = true;
                self.take(&message);
            }
            Some(Incoming::Notification { message, .. }) => self.take(&message),
            _ => {}
        });
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        with_outbox(send, |out| {
            let failed = self.endpoint.expire(now, out);
            if self.observation.is_some_and(|observation| failed.contains(&observation)) {
                self.register(now, out);
            }
        });
    }

    fn deadline(&self) -> Option<Instant> {
        self.endpoint.deadline()
    }
}

impl CoapObserver {
    fn take(&mut self, message: &Message) {
        if !message.payload().is_empty() {
            self.received.push(String::from_utf8_lossy(message.payload()).into_owned());
        }
    }
}

fn endpoint(seed: u64) -> Endpoint {
    Endpoint::new(seed, Transmission::default(), &Limits::default(), 1_152)
}

fn path(topic: &str) -> Vec<String> {
    std::iter::once("ps").chain(topic.split('/')).map(str::to_owned).collect()
}

fn with_outbox(send: &mut Vec<Vec<u8>>, act: impl FnOnce(&mut Outbox)) {
    let mut out = Outbox::new(Transport::Datagram);
    act(&mut out);
    send.extend(out.chunks().map(|chunk| chunk.bytes.to_vec()));
}
