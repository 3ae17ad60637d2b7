use std::collections::HashMap;
use std::time::{Duration, Instant};

use coap::{Code, Kind, Message, OptionNumber, Token};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The transmission parameters of RFC 7252 4.8.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
const ACK_RANDOM_FACTOR: f64 = 1.5;
const MAX_RETRANSMIT: u32 = 4;
const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// The number of the Echo option [RFC9175 2.2].
const ECHO: OptionNumber = OptionNumber(252);

/// The message layer of a client [RFC7252 4]: one confirmable request at a time, sent again until it is
/// acknowledged, and answers and notifications that are taken once however often they come.
pub(super) struct Caller {
    random: SmallRng,
    next_id: u16,
    requests: u64,
    open: Option<Open>,
    observed: Option<Token>,
    /// The messages of the server that may come again, with what they were answered.
    seen: HashMap<u16, (Instant, Vec<u8>)>,
    /// What shows the server where this client is.
    echo: Option<Vec<u8>>,
    /// How many datagrams were sent again.
    pub(super) retransmissions: usize,
}

struct Open {
    message: Message,
    token: Token,
    id: u16,
    datagram: Vec<u8>,
    transmissions: u32,
    timeout: Duration,
    due: Instant,
    acknowledged: bool,
    echoed: bool,
}

/// What became of a datagram.
pub(super) enum Heard {
    /// The answer to the open request.
    Answer(Message),
    /// An answer more to the request that observes.
    Notification(Message),
    /// The server rejected the request.
    Reset,
    /// Nothing that concerns anybody.
    Nothing,
}

impl Caller {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        Self {
            next_id: random.random(),
            requests: random.random(),
            random,
            open: None,
            observed: None,
            seen: HashMap::new(),
            echo: None,
            retransmissions: 0,
        }
    }

    /// Whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        self.open.is_some()
    }

    /// Sends a request; one that was open before is given up.
    pub(super) fn ask(&mut self, message: Message, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.requests = self.requests.wrapping_add(1);
        let token = Token::new(&self.requests.to_be_bytes());
        if message.observe() == Some(0) {
            self.observed = Some(token.clone());
        }
        self.post(message, token, false, now, send);
    }

    fn post(&mut self, message: Message, token: Token, echoed: bool, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.next_id = self.next_id.wrapping_add(1);
        let mut sent = message.clone().with_token(token.clone());
        if let Some(echo) = &self.echo {
            sent = sent.with_option(ECHO, echo.clone());
        }
        let mut datagram = sent.encode();
        datagram[2..4].copy_from_slice(&self.next_id.to_be_bytes());
        let timeout = ACK_TIMEOUT.mul_f64(self.random.random_range(1.0..ACK_RANDOM_FACTOR));
        send.push(datagram.clone());
        self.open = Some(Open {
            message,
            token,
            id: self.next_id,
            datagram,
            transmissions: 1,
            timeout,
            due: now + timeout,
            acknowledged: false,
            echoed,
        });
    }

    /// Takes a datagram of the server, which is well-formed whatever the network did to it.
    pub(super) fn hear(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) -> Heard {
        let message = Message::decode(bytes).expect("the server sends well-formed messages");
        assert_eq!(message.unknown_critical_option(), None, "{message:?}");
        assert!(!message.code().is_request(), "nobody asks a client: {message:?}");
        let confirmable = match message.kind() {
            Kind::Confirmable => true,
            Kind::NonConfirmable => false,
            Kind::Acknowledgement => return self.acknowledged(message, now, send),
            Kind::Reset => {
                let rejected = self.open.take_if(|open| open.id == message.id());
                return if rejected.is_some() { Heard::Reset } else { Heard::Nothing };
            }
        };
        self.seen.retain(|_, (until, _)| *until > now);
        if let Some((_, reply)) = self.seen.get(&message.id()) {
            if confirmable {
                send.push(reply.clone());
            }
            return Heard::Nothing;
        }
        let awaited = self.open.as_ref().is_some_and(|open| open.token == message.token());
        let known = awaited || self.observed == Some(message.token());
        let head = if known { 0x60 } else { 0x70 };
        let reply = [&[head, 0][..], &message.id().to_be_bytes()].concat();
        if confirmable {
            send.push(reply.clone());
        }
        self.seen.insert(message.id(), (now + EXCHANGE_LIFETIME, reply));
        match (awaited, known) {
            (true, _) => self.answered(message, now, send),
            (_, true) => Heard::Notification(message),
            _ => Heard::Nothing,
        }
    }

    fn acknowledged(&mut self, message: Message, now: Instant, send: &mut Vec<Vec<u8>>) -> Heard {
        let Some(open) = self.open.as_mut().filter(|open| open.id == message.id()) else {
            return Heard::Nothing;
        };
        if message.code() == Code::EMPTY {
            (open.acknowledged, open.due) = (true, now + EXCHANGE_LIFETIME);
            return Heard::Nothing;
        }
        assert_eq!(message.token(), open.token, "an answer has the token of its request");
        self.answered(message, now, send)
    }

    /// The open request is answered, unless it has to be asked again with an Echo [RFC9175 2.3].
    fn answered(&mut self, message: Message, now: Instant, send: &mut Vec<Vec<u8>>) -> Heard {
        let Some(open) = self.open.take() else { return Heard::Nothing };
        let echo = message.option(ECHO).map(<[u8]>::to_vec);
        let again = echo.is_some() && message.code() == Code::UNAUTHORIZED && !open.echoed;
        self.echo = echo.or(self.echo.take());
        if again {
            self.post(open.message, open.token, true, now, send);
            return Heard::Nothing;
        }
        Heard::Answer(message)
    }

    /// Sends the open request again if that is due; tells whether it was given up.
    pub(super) fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.due <= now) else { return false };
        if open.acknowledged || open.transmissions > MAX_RETRANSMIT {
            self.open = None;
            return true;
        }
        open.transmissions += 1;
        open.timeout *= 2;
        open.due = now + open.timeout;
        self.retransmissions += 1;
        send.push(open.datagram.clone());
        false
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.due)
    }

    /// A time between these, by chance.
    pub(super) fn chance(&mut self, span: std::ops::Range<Duration>) -> Duration {
        self.random.random_range(span)
    }
}
