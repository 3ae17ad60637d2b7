//! One peer's exchanges: a carrier below, stations above it, and the matching of requests and answers between.

mod carrier;
mod datagram;
mod matching;
mod received;
mod stations;
mod stream;

use std::time::Instant;

use bus::{Carrier as Way, Chance, Limits, Outbox, Peer, ProtocolError, Reason, Transport};

use crate::stream::Framing;
use crate::{Config, ExchangeId, Incoming, Message, ReplyTo, SendError, Token, Transmission};
use carrier::Carrier;
use datagram::Datagram;
use matching::Matching;
pub(crate) use stations::Passed;
use stations::{Stations, Upward};
use stream::Stream;

/// One peer's exchanges, in both directions: whoever uses it sees whole requests and whole answers.
///
/// What carries the messages lies below (for datagrams RFC 7252's message layer), and what may come with every
/// request or answer, whatever its resource, is dealt with on the way.
#[derive(Debug)]
pub struct Endpoint {
    carrier: Carrier,
    matching: Matching,
    stations: Stations,
    chance: Chance,
}

/// What is lent to the carrier for one call.
pub(crate) struct Turn<'a> {
    pub(crate) matching: &'a mut Matching,
    pub(crate) chance: &'a mut Chance,
    pub(crate) now: Instant,
    pub(crate) out: &'a mut Outbox,
}

impl Endpoint {
    /// The endpoint for a peer that this server has accepted.
    pub fn accept(peer: &Peer, config: &Config, limits: &Limits) -> Self {
        if peer.transport == Transport::Stream {
            let framing = match peer.link.carrier {
                Way::WebSocket | Way::SecureWebSocket => Framing::WebSocket,
                _ => Framing::Tcp,
            };
            let stream = Stream::new(framing, config, limits);
            return Self::over(Carrier::Stream(Box::new(stream)), Chance::new(peer.seed), limits);
        }
        let Config { transmission, largest_message, longest_token, .. } = config;
        Self::over_datagrams(peer.seed, transmission.clone(), limits, *largest_message, *longest_token)
    }

    /// The endpoint for a peer with this seed, whose datagrams are at most `largest` bytes; more than a UDP
    /// datagram holds is cut to that.
    pub fn new(seed: u64, transmission: Transmission, limits: &Limits, largest: usize) -> Self {
        Self::over_datagrams(seed, transmission, limits, largest, Token::SHORT)
    }

    fn over_datagrams(
        seed: u64,
        transmission: Transmission,
        limits: &Limits,
        largest: usize,
        longest_token: usize,
    ) -> Self {
        let mut chance = Chance::new(seed);
        let longest_token = longest_token.clamp(Token::SHORT, Token::LONGEST);
        let datagram = Datagram::new(chance.next() as u16, transmission, limits, largest, longest_token);
        Self::over(Carrier::Datagram(Box::new(datagram)), chance, limits)
    }

    fn over(carrier: Carrier, chance: Chance, limits: &Limits) -> Self {
        Self {
            carrier,
            matching: Matching::new(usize::from(limits.send_window.max(1)), limits.subscriptions),
            stations: Stations::default(),
            chance,
        }
    }

    /// Begins the conversation: a stream's peer is told what is taken here.
    pub fn begin(&mut self, now: Instant, out: &mut Outbox) {
        self.carrier.begin(now, out);
    }

    /// Takes one datagram, or one message off the front of a stream: how many bytes it had, and what of it is not
    /// dealt with below the resources. `None` when more must come; an error ends the connection, and the peer was
    /// told.
    pub fn take(
        &mut self,
        input: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Option<(usize, Option<Incoming>)>, ProtocolError> {
        let (carrier, mut turn) = self.turn(now, out);
        let Some((length, incoming)) = carrier.take(input, &mut turn)? else { return Ok(None) };
        Ok(Some((length, incoming.and_then(|incoming| self.rise(incoming, now, out)))))
    }

    /// Takes one datagram. What is no message, and what is dealt with below the resources, gives nothing.
    pub fn receive(&mut self, datagram: &[u8], now: Instant, out: &mut Outbox) -> Option<Incoming> {
        self.take(datagram, now, out).ok()??.1
    }

    /// Takes what the carrier brings past the stations.
    fn rise(&mut self, incoming: Incoming, now: Instant, out: &mut Outbox) -> Option<Incoming> {
        match incoming {
            Incoming::Request(request) => match self.stations.admit(request) {
                Upward::Pass(request) => Some(Incoming::Request(request)),
                Upward::Answer(request, answer) => {
                    self.respond(&request.reply_to, answer, now, out);
                    None
                }
            },
            incoming => Some(incoming),
        }
    }

    /// Answers a request: in its acknowledgement if that is still due, else in a message of its own.
    ///
    /// An answer that the carrier cannot carry becomes 5.00. The exchange is that of an answer which the
    /// peer can acknowledge or reset by itself.
    pub fn respond(
        &mut self,
        to: &ReplyTo,
        response: Message,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<ExchangeId> {
        let (carrier, mut turn) = self.turn(now, out);
        carrier.respond(to, response, &mut turn)
    }

    /// Sends a request of ours: confirmable unless it was made [`Message::non_confirmable`]. It gets a token
    /// unless it has one.
    pub fn request(
        &mut self,
        message: Message,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<ExchangeId, SendError> {
        if !self.matching.has_room() {
            return Err(SendError::Full);
        }
        let message =
            if message.token().is_empty() { message.with_token(self.draw_token()) } else { message };
        let exchange = self.matching.number();
        let (carrier, mut turn) = self.turn(now, out);
        carrier.request(exchange, message, &mut turn).map(|()| exchange)
    }

    /// Sends a notification to the peer, which observes by the request `to` [RFC7641 4.5].
    pub fn notify(
        &mut self,
        to: &ReplyTo,
        message: Message,
        confirmable: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<ExchangeId, SendError> {
        let (carrier, mut turn) = self.turn(now, out);
        carrier.notify(to, message, confirmable, &mut turn)
    }

    /// The peer has a session, so that it may send larger messages than a stranger where the carrier has a say.
    pub fn let_in(&mut self, out: &mut Outbox) {
        self.carrier.let_in(out);
    }

    /// Tells the peer why the connection is about to be closed, where the carrier can; nothing is sent behind it.
    pub fn farewell(&mut self, reason: Reason, out: &mut Outbox) {
        self.carrier.farewell(reason, out);
    }

    /// Whether all that is sent arrives, in order, as long as the connection lives: nothing is acknowledged then.
    pub fn is_reliable(&self) -> bool {
        self.carrier.is_reliable()
    }

    /// Asks whether the peer is there; [`Incoming::Reset`] says that it is.
    pub fn ping(&mut self, now: Instant, out: &mut Outbox) -> ExchangeId {
        let (carrier, mut turn) = self.turn(now, out);
        carrier.ping(&mut turn)
    }

    /// Sends a message of ours no more, neither for the first time nor again, and awaits nothing more of it; the
    /// next notification is refused [RFC7641 3.6].
    pub fn forget(&mut self, exchange: ExchangeId) {
        self.carrier.forget(exchange);
        self.matching.forget(exchange);
    }

    /// The token of a request of ours that is unanswered or observes.
    pub fn token(&self, exchange: ExchangeId) -> Option<Token> {
        self.matching.token(exchange).cloned()
    }

    /// Whether a notification with this token can be carried.
    pub fn fits(&self, token: &Token, message: &Message) -> bool {
        let (_, extended) = token.length_field();
        message.encode().len() + extended.len() + token.len() <= self.carrier.largest()
    }

    /// Whether a message that must arrive would be sent at once: none is unacknowledged.
    pub fn can_send(&self) -> bool {
        self.carrier.can_send()
    }

    /// When [`Endpoint::expire`] is next due.
    pub fn deadline(&self) -> Option<Instant> {
        [self.carrier.deadline(), self.matching.deadline()].into_iter().flatten().min()
    }

    /// Acknowledges and sends again what is due; returns what the peer left unacknowledged or unanswered for
    /// good.
    pub fn expire(&mut self, now: Instant, out: &mut Outbox) -> Vec<ExchangeId> {
        let (carrier, mut turn) = self.turn(now, out);
        let mut failed: Vec<ExchangeId> = carrier.expire(&mut turn).into_iter().collect();
        self.matching.expire(now, &mut failed);
        failed
    }

    /// A token that nobody can foresee, so that nobody can answer for the peer [RFC7252 5.3.1].
    fn draw_token(&mut self) -> Token {
        Token::new(&self.draw().to_be_bytes())
    }

    /// A number that nobody can foresee.
    pub(crate) fn draw(&mut self) -> u64 {
        self.chance.next()
    }

    fn turn<'a>(&'a mut self, now: Instant, out: &'a mut Outbox) -> (&'a mut Carrier, Turn<'a>) {
        let Self { carrier, matching, chance, .. } = self;
        (carrier, Turn { matching, chance, now, out })
    }
}
