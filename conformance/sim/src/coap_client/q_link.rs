use std::time::Duration;

use coap::{Code, Kind, Message, OptionNumber, Token};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// MAX_PAYLOADS, and the times of RFC 9177 7.2.
pub(super) const SET: u32 = 10;
pub(super) const NON_RECEIVE_TIMEOUT: Duration = Duration::from_secs(4);
pub(super) const NON_MAX_RETRANSMIT: u32 = 4;

/// The message layer of a client that sends nothing that must be acknowledged.
pub(super) struct QLink {
    random: SmallRng,
    next_id: u16,
    requests: u64,
    /// What shows the server where this client is.
    echo: Option<Vec<u8>>,
}

impl QLink {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        Self { next_id: random.random(), requests: random.random(), echo: None, random }
    }

    /// Sends a request with a token of its own, unless it has one; returns the token.
    pub(super) fn ask(&mut self, message: Message, send: &mut Vec<Vec<u8>>) -> Token {
        self.requests = self.requests.wrapping_add(1);
        self.next_id = self.next_id.wrapping_add(1);
        let message = match message.token().is_empty() {
            true => message.with_token(Token::new(&self.requests.to_be_bytes())),
            false => message,
        };
        let token = message.token();
        let message = match &self.echo {
            Some(echo) => message.with_option(OptionNumber::ECHO, echo.clone()),
            None => message,
        };
        let mut datagram = message.non_confirmable().encode();
        datagram[2..4].copy_from_slice(&self.next_id.to_be_bytes());
        send.push(datagram);
        token
    }

    /// Takes a datagram of the server: an answer, or nothing that concerns anybody. `knows` tells the tokens in use.
    pub(super) fn hear(
        &mut self,
        bytes: &[u8],
        knows: impl Fn(&Token) -> bool,
        send: &mut Vec<Vec<u8>>,
    ) -> Option<Message> {
        let message = Message::decode(bytes).expect("the server sends well-formed messages");
        let known = message.code().is_response() && knows(&message.token());
        if message.kind() == Kind::Confirmable {
            // A Reset answers a ping too [RFC7252 4.3].
            let head = if known { 0x60 } else { 0x70 };
            send.push([&[head, 0][..], &message.id().to_be_bytes()].concat());
        }
        assert!(message.kind() != Kind::Reset, "no request of the client is wrong: {message:?}");
        assert!(message.code() == Code::EMPTY || message.code().is_response(), "{message:?}");
        if let Some(echo) = message.option(OptionNumber::ECHO).filter(|_| known) {
            self.echo = Some(echo.to_vec()); // [RFC9175 2.3]
        }
        known.then_some(message)
    }

    /// NON_TIMEOUT_RANDOM.
    pub(super) fn pause(&mut self) -> Duration {
        self.random.random_range(Duration::from_secs(2)..Duration::from_secs(3))
    }
}
