use std::time::{Duration, Instant};

use coap::{Block, Code, Message, OptionNumber};

use super::download::{Body, Fit};
use super::{Caller, Heard, request};
use crate::Device;

/// How long a notification is fresh that does not say so itself [RFC7252 5.10.5].
const MAX_AGE: Duration = Duration::from_secs(60);

/// How long after that an observer registers again [RFC7641 3.3.1].
const PATIENCE: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(15);

/// After so long every notification is newer than what came before [RFC7641 3.4].
const FRESH_AFTER: Duration = Duration::from_secs(128);

/// A CoAP client that observes a topic, fetches what comes in blocks, and registers again when it has heard
/// nothing for too long.
pub struct CoapObserver {
    caller: Caller,
    topic: String,
    exponent: u8,
    latest: Option<(u32, Instant)>,
    body: Body,
    fetching: bool,
    register_at: Option<Instant>,
    /// The bodies of the notifications, in order of arrival; those that were overtaken are not among them.
    pub received: Vec<Vec<u8>>,
    /// How often it has registered.
    pub registrations: usize,
    /// Whether the server has answered a registration.
    pub registered: bool,
}

impl CoapObserver {
    /// An observer of `ps/{topic}` that asks for blocks of `16 << exponent` bytes.
    pub fn new(seed: u64, topic: &str, exponent: u8) -> Self {
        Self {
            caller: Caller::new(seed),
            topic: topic.to_owned(),
            exponent,
            latest: None,
            body: Body::default(),
            fetching: false,
            register_at: None,
            received: Vec::new(),
            registrations: 0,
            registered: false,
        }
    }

    fn get(&mut self, block: Block) -> Message {
        let get = request(Code::GET, &self.topic).with_query("qos=1");
        get.with_uint(OptionNumber::BLOCK2, block.to_uint())
    }

    fn register(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        let first = self.get(Block { number: 0, more: false, exponent: self.exponent });
        self.caller.ask(first.with_observe(0), now, send);
        (self.latest, self.fetching, self.register_at) = (None, false, None);
        self.registrations += 1;
    }

    /// Another registration is due when this notification is not fresh any more.
    fn expect_more(&mut self, message: &Message, now: Instant) {
        let age = message.uint(OptionNumber::MAX_AGE);
        let age = age.map_or(MAX_AGE, |seconds| Duration::from_secs(seconds.into())).min(MAX_AGE);
        self.register_at = Some(now + age + self.caller.chance(PATIENCE));
    }

    /// A notification, or the first answer.
    fn notified(&mut self, message: &Message, now: Instant, send: &mut Vec<Vec<u8>>) {
        let Some(number) = message.observe().filter(|_| message.code() == Code::CONTENT) else {
            self.register_at = Some(now + self.caller.chance(PATIENCE));
            return;
        };
        let overtaken = self.latest.is_some_and(|(last, at)| {
            let newer =
                (last < number && number - last < 1 << 23) || (last > number && last - number > 1 << 23);
            !newer && now <= at + FRESH_AFTER
        });
        if overtaken {
            return;
        }
        self.latest = Some((number, now));
        self.expect_more(message, now);
        self.take(message, now, send);
    }

    fn take(&mut self, message: &Message, now: Instant, send: &mut Vec<Vec<u8>>) {
        match self.body.append(message) {
            Fit::Whole => {
                let body = std::mem::take(&mut self.body.bytes);
                self.fetching = false;
                if !body.is_empty() {
                    self.received.push(body);
                }
            }
            Fit::More(block) => {
                let more = self.get(block);
                self.caller.ask(more, now, send);
                self.fetching = true;
            }
            // The resource has changed: a notification of that is on its way, and if not, patience ends.
            Fit::Foreign => self.fetching = false,
        }
    }
}

impl Device for CoapObserver {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.register(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        match self.caller.hear(bytes, now, send) {
            Heard::Answer(message) if self.fetching && message.code() == Code::CONTENT => {
                self.take(&message, now, send);
            }
            Heard::Answer(_) if self.fetching => self.fetching = false,
            Heard::Answer(message) => {
                self.registered |= message.observe().is_some();
                self.notified(&message, now, send);
            }
            Heard::Notification(message) => self.notified(&message, now, send),
            Heard::Nothing => {}
            Heard::Reset => panic!("a GET was reset"),
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        let given_up = self.caller.wake(now, send);
        let registering = !self.fetching;
        if given_up {
            self.fetching = false;
        }
        let due = self.register_at.is_some_and(|at| at <= now);
        if (given_up && registering) || (due && !self.caller.is_busy()) {
            self.register(now, send);
        } else if due {
            self.register_at = Some(now + PATIENCE.start);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.caller.deadline(), self.register_at].into_iter().flatten().min()
    }
}
