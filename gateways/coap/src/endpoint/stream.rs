use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bus::{Limits, Outbox, ProtocolError, Reason};

use super::Turn;
use super::stations::blocks::Room;
use crate::stream::{Abort, Capabilities, Csm, Frame, FrameError, Framing, Release, Signal, StreamConfig};
use crate::{Code, Config, ExchangeId, Incoming, Message, ReplyTo, Request, SendError, Token};

/// The carrier of a reliable stream: messages behind their lengths, and signals about the connection itself
/// [RFC8323 3], [RFC8323 4], [RFC8323 5].
///
/// The stream keeps order and loses nothing, so that nothing is acknowledged, sent again or known again here.
#[derive(Debug)]
pub(crate) struct Stream {
    framing: Framing,
    state: State,
    config: StreamConfig,
    response_timeout: Duration,
    handshake: Duration,
    /// The longest message that is taken now, as our last CSM says, and once the peer has a session.
    largest_taken: usize,
    largest_taken_in_session: usize,
    longest_token: usize,
    theirs: Capabilities,
    /// The number of the last request.
    received: u64,
    /// The requests without answer, and when they came.
    unanswered: BTreeMap<u64, Instant>,
    /// Pings that are answered once all requests up to a number are.
    custody: VecDeque<(Token, u64)>,
    /// Our own question whether the peer is there.
    ping: Option<Ping>,
    most_outstanding: usize,
}

/// What the connection awaits.
#[derive(Debug)]
enum State {
    /// The peer's first CSM, for so long.
    ExpectCsm { until: Option<Instant> },
    /// Any message.
    Open,
    /// The answers to what came before the peer's Release, for so long.
    Released { until: Instant },
    /// Nothing: the last word was said.
    Closed,
}

#[derive(Debug)]
struct Ping {
    exchange: ExchangeId,
    due: Instant,
}

/// What was taken off the front of a stream.
pub(crate) type Taken = (usize, Option<Incoming>);

/// How a TLS handshake begins: no first message does.
const TLS_HANDSHAKE: &[u8] = b"\x16\x03";

/// Up to here the header of a message over TCP has no more bytes than that of a datagram, tokens aside.
const SHORT_HEADER: usize = 65_805;

impl Stream {
    pub(crate) fn new(framing: Framing, config: &Config, limits: &Limits) -> Self {
        Self {
            framing,
            state: State::ExpectCsm { until: None },
            config: config.stream.clone(),
            response_timeout: config.transmission.response_timeout,
            handshake: limits.handshake,
            largest_taken: limits.packet_before_connect.min(limits.packet),
            largest_taken_in_session: limits.packet,
            longest_token: config.longest_token.clamp(Token::SHORT, Token::LONGEST),
            theirs: Capabilities::default(),
            received: 0,
            unanswered: BTreeMap::new(),
            custody: VecDeque::new(),
            ping: None,
            most_outstanding: limits.outstanding.max(1),
        }
    }

    /// Says what is taken here, and awaits that the peer says it [RFC8323 3.3].
    pub(crate) fn begin(&mut self, now: Instant, out: &mut Outbox) {
        self.state = State::ExpectCsm { until: Some(now + self.handshake) };
        let longest_token = u32::try_from(self.longest_token).unwrap_or(u32::MAX);
        let csm = Csm {
            block_wise_transfer: true, // with a size above 1,152, BERT too [RFC8323 5.3.2]
            extended_token_length: Some(longest_token).filter(|_| self.longest_token > Token::SHORT),
            ..self.size()
        };
        self.signal(&Signal::Csm(csm), &Token::default(), out);
    }

    /// The peer has a session: larger messages are taken than from a stranger.
    pub(crate) fn let_in(&mut self, out: &mut Outbox) {
        if self.largest_taken < self.largest_taken_in_session && !matches!(self.state, State::Closed) {
            self.largest_taken = self.largest_taken_in_session;
            self.signal(&Signal::Csm(self.size()), &Token::default(), out); // [RFC8323 5.3]
        }
    }

    fn size(&self) -> Csm {
        let size = u32::try_from(self.largest_taken).unwrap_or(u32::MAX);
        Csm { max_message_size: Some(size), ..Csm::default() }
    }

    /// Takes one message off the front of what has come; `None` if more must come, or if enough is under way.
    ///
    /// An error was told to the peer already.
    pub(crate) fn take(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Option<Taken>, ProtocolError> {
        if input.is_empty() || turn.out.is_full() || self.owes_too_much(turn) {
            return Ok(None);
        }
        if matches!(self.state, State::Released { .. } | State::Closed) {
            return Ok(Some((input.len(), None)));
        }
        if matches!(self.state, State::ExpectCsm { .. }) && input.starts_with(TLS_HANDSHAKE) {
            self.state = State::Closed; // a TLS client could not read an Abort
            return Err(ProtocolError {
                reason: Reason::TlsOnPlainPort,
                detail: "a TLS handshake, and no CoAP message",
            });
        }
        match self.framing.decode(input, self.largest_taken) {
            Ok(None) => Ok(None),
            Ok(Some((frame, length))) => {
                turn.out.count_received();
                let incoming = self.receive(&frame, turn)?;
                Ok(Some((length, incoming)))
            }
            Err(error) => {
                let abort = Abort::because(format!("The bytes are no message: {error}."));
                let (reason, detail) = match error {
                    FrameError::TooLarge { .. } => {
                        (Reason::PacketTooLarge, "announced a message above our Max-Message-Size")
                    }
                    _ => (Reason::Malformed, "sent what is no message of a stream"),
                };
                Err(self.abort(abort, ProtocolError { reason, detail }, turn.out))
            }
        }
    }

    /// Whether no more is taken before some of it is answered. What is still owed after the longest time that an
    /// answer may take will never come.
    fn owes_too_much(&mut self, turn: &mut Turn<'_>) -> bool {
        let owes = |stream: &Self| stream.unanswered.len() + stream.custody.len() >= stream.most_outstanding;
        if owes(self) {
            let patience = self.response_timeout;
            self.unanswered.retain(|_, since| *since + patience > turn.now);
            self.settle(turn.out);
        }
        owes(self)
    }

    fn receive(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<Option<Incoming>, ProtocolError> {
        let code = frame.code;
        if code == Code::EMPTY && frame.token.is_empty() && frame.body.is_empty() {
            return Ok(None); // [RFC8323 3.4]
        }
        let expects_csm = matches!(self.state, State::ExpectCsm { .. });
        if expects_csm && code != Code::CSM && code != Code::ABORT {
            let abort = Abort::because("The first message must be a CSM (7.01).");
            let error = ProtocolError::violation("sent another message before its CSM"); // [RFC8323 3.3]
            return Err(self.abort(abort, error, turn.out));
        }
        let message = self.judge(frame).map_err(|detail| {
            let abort = Abort::because(format!("The message {detail}."));
            self.abort(abort, ProtocolError::malformed(detail), turn.out) // [RFC8323 5.6]
        })?;
        if code.is_signal() {
            self.receive_signal(&message, turn)
        } else if code.is_request() {
            Ok(self.receive_request(message, turn))
        } else {
            Ok(receive_response(message, turn))
        }
    }

    /// Whether it is a message at all: what a datagram is answered with Reset for.
    fn judge(&self, frame: &Frame<'_>) -> Result<Message, &'static str> {
        match frame.code {
            Code::EMPTY => return Err("is an empty message with something in it"), // [RFC7252 4.1]
            code if code.is_request() && frame.token.len() > self.longest_token => {
                return Err("has a token longer than is taken"); // [RFC8974 2.2.1]
            }
            code if code.is_request() || code.is_response() || code.is_signal() => {}
            _ => return Err("has a code of a reserved class"), // [RFC7252 4.2]
        }
        Message::from_parts(frame.code, Token::new(frame.token), frame.body)
    }

    fn receive_request(&mut self, message: Message, turn: &mut Turn<'_>) -> Option<Incoming> {
        self.received += 1;
        self.unanswered.insert(self.received, turn.now);
        let reply_to = ReplyTo::new(message.token(), true, 0, self.received);
        if let Some(option) = message.unknown_critical_option() {
            let text = format!("The critical option {} is unknown or has a wrong form.", option.0);
            self.respond(&reply_to, &Message::diagnostic(Code::BAD_OPTION, &text), turn); // [RFC7252 5.4.1]
            return None;
        }
        Some(Incoming::Request(Request { message, reply_to }))
    }

    fn receive_signal(
        &mut self,
        message: &Message,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Incoming>, ProtocolError> {
        let signal = Signal::read(message).map_err(|abort| {
            let error = ProtocolError::violation("sent a signal that cannot be worked");
            self.abort(abort, error, turn.out) // [RFC8323 5.2]
        })?;
        match signal {
            Signal::Csm(csm) => {
                self.theirs.apply(&csm);
                if matches!(self.state, State::ExpectCsm { .. }) {
                    self.state = State::Open;
                }
            }
            Signal::Ping { custody: true } => {
                self.custody.push_back((message.token(), self.received)); // [RFC8323 5.4.1]
                self.settle(turn.out);
            }
            Signal::Ping { custody: false } => {
                self.signal(&Signal::Pong { custody: false }, &message.token(), turn.out); // [RFC8323 5.4]
            }
            Signal::Pong { .. } => {
                let exchange = self.ping.as_ref().map(|ping| ping.exchange);
                let answered = exchange.filter(|exchange| ping_token(*exchange) == message.token());
                if let Some(exchange) = answered {
                    self.ping = None;
                    return Ok(Some(Incoming::Reset { exchange }));
                }
            }
            Signal::Release(_) => {
                self.state = State::Released { until: turn.now + self.config.ping_timeout };
                self.settle(turn.out); // [RFC8323 5.5]
            }
            Signal::Abort(_) => {
                self.state = State::Closed; // nothing that is under way is answered [RFC8323 5.6]
                let detail = "sent an Abort";
                return Err(ProtocolError { reason: Reason::ConnectionReset, detail });
            }
        }
        Ok(None)
    }

    /// Answers a request. An answer that the peer cannot take becomes 5.00.
    pub(crate) fn respond(&mut self, to: &ReplyTo, response: &Message, turn: &mut Turn<'_>) {
        let text = "The answer does not fit into a message of your Max-Message-Size.";
        let _ = self
            .send(&to.token, response, turn.out)
            .or_else(|_| {
                let failure = Message::diagnostic(Code::INTERNAL_SERVER_ERROR, text);
                self.send(&to.token, &failure, turn.out)
            })
            .or_else(|_| self.send(&to.token, &Message::response(Code::INTERNAL_SERVER_ERROR), turn.out));
        self.settled(to, turn);
    }

    /// A request is done, whether or not an answer was sent.
    pub(crate) fn settled(&mut self, to: &ReplyTo, turn: &mut Turn<'_>) {
        self.unanswered.remove(&to.digest);
        self.settle(turn.out);
    }

    /// Sends a request that has its token.
    pub(crate) fn request(
        &mut self,
        exchange: ExchangeId,
        message: &Message,
        turn: &mut Turn<'_>,
    ) -> Result<(), SendError> {
        self.send(&message.token(), message, turn.out)?;
        turn.matching.begin(exchange, message, Some(turn.now + self.response_timeout));
        Ok(())
    }

    /// Sends a notification; the stream sees to it that it arrives [RFC8323 7.2].
    pub(crate) fn notify(
        &mut self,
        to: &ReplyTo,
        message: &Message,
        turn: &mut Turn<'_>,
    ) -> Result<ExchangeId, SendError> {
        self.send(&to.token, message, turn.out)?;
        Ok(turn.matching.number())
    }

    /// Asks whether the peer is there.
    pub(crate) fn ping(&mut self, turn: &mut Turn<'_>) -> ExchangeId {
        let exchange = turn.matching.number();
        self.ping = Some(Ping { exchange, due: turn.now + self.config.ping_timeout });
        if self.can_send() {
            self.signal(&Signal::Ping { custody: false }, &ping_token(exchange), turn.out);
        }
        exchange
    }

    pub(crate) fn forget(&mut self, exchange: ExchangeId) {
        self.ping.take_if(|ping| ping.exchange == exchange);
    }

    /// How long a message of ours may be, counted as if it were a datagram, and whether it may have several blocks.
    pub(crate) fn room(&self) -> Room {
        let bytes = match self.theirs.max_message_size {
            size @ ..=SHORT_HEADER => size,
            size => size - 2,
        };
        Room { bytes, eager: false, bert: self.theirs.takes_bert(), takes_bert: true }
    }

    pub(crate) fn can_send(&self) -> bool {
        matches!(self.state, State::Open)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let ping = self.ping.as_ref().map(|ping| ping.due);
        match self.state {
            State::ExpectCsm { until } => until,
            State::Open => ping,
            State::Released { until } => Some(ping.map_or(until, |due| due.min(until))),
            State::Closed => None,
        }
    }

    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) -> Option<ExchangeId> {
        match self.state {
            State::ExpectCsm { until: Some(until) } if until <= turn.now => {
                let abort = Abort::because("No CSM came in time.");
                let detail = "sent no CSM in time"; // [RFC8323 3.3]
                let error = ProtocolError { reason: Reason::HandshakeTimeout, detail };
                let error = self.abort(abort, error, turn.out);
                turn.out.close(error.reason);
            }
            State::Released { until } if until <= turn.now => {
                self.state = State::Closed;
                turn.out.close(Reason::Disconnected);
            }
            State::ExpectCsm { .. } | State::Open | State::Released { .. } | State::Closed => {}
        }
        self.ping.take_if(|ping| ping.due <= turn.now).map(|ping| ping.exchange)
    }

    /// Says why the connection is about to be closed: in order, if nobody is to blame [RFC8323 5.5], [RFC8323 5.6].
    pub(crate) fn farewell(&mut self, reason: Reason, out: &mut Outbox) {
        let diagnostic = reason.explain().to_owned();
        let signal = match reason {
            Reason::ShuttingDown => Signal::Release(Release {
                alternative_addresses: self.config.alternative_addresses.clone(),
                hold_off: Some(self.config.hold_off).filter(|hold_off| !hold_off.is_zero()),
                diagnostic,
            }),
            Reason::IdleTimeout
            | Reason::SessionExpired
            | Reason::MaximumConnectTime
            | Reason::ServerBusy
            | Reason::UseAnotherServer
            | Reason::ServerMoved => Signal::Release(Release { diagnostic, ..Release::default() }),
            _ => Signal::Abort(Abort::because(diagnostic)),
        };
        self.signal(&signal, &Token::default(), out);
        self.state = State::Closed;
    }

    /// Answers Pings whose time has come, and closes what was released once nothing is owed any more.
    fn settle(&mut self, out: &mut Outbox) {
        let first = self.unanswered.keys().next().copied().unwrap_or(u64::MAX);
        while let Some((token, _)) = self.custody.pop_front_if(|(_, before)| *before < first) {
            self.signal(&Signal::Pong { custody: true }, &token, out);
        }
        if matches!(self.state, State::Released { .. }) && self.unanswered.is_empty() {
            self.state = State::Closed;
            out.close(Reason::Disconnected);
        }
    }

    /// Tells the peer why its connection ends at once; returns the error that ends it.
    fn abort(&mut self, abort: Abort, error: ProtocolError, out: &mut Outbox) -> ProtocolError {
        self.signal(&Signal::Abort(abort), &Token::default(), out);
        self.state = State::Closed;
        error
    }

    /// Signals are small: they are sent whatever the peer's Max-Message-Size is.
    fn signal(&mut self, signal: &Signal, token: &Token, out: &mut Outbox) {
        if !matches!(self.state, State::Closed) {
            write(self.framing, token, &signal.write(token.clone()), usize::MAX, out);
        }
    }

    fn send(&mut self, token: &Token, message: &Message, out: &mut Outbox) -> Result<(), SendError> {
        match self.state {
            State::Open | State::Released { .. } => {
                let sent = write(self.framing, token, message, self.theirs.max_message_size, out);
                if sent { Ok(()) } else { Err(SendError::TooLarge) }
            }
            State::ExpectCsm { .. } | State::Closed => Err(SendError::Full),
        }
    }
}

/// Writes a message unless it is longer than `most`; returns whether it was.
fn write(framing: Framing, token: &Token, message: &Message, most: usize, out: &mut Outbox) -> bool {
    let body = message.encode_options_and_payload();
    let frame = Frame { code: message.code(), token: token.as_slice(), body: &body };
    let fits = framing.length(&frame) <= most;
    if fits {
        out.write(|buffer| framing.encode(&frame, buffer));
    }
    fits
}

fn receive_response(message: Message, turn: &mut Turn<'_>) -> Option<Incoming> {
    let exchange = turn.matching.find(&message.token())?; // an answer to nothing means nothing
    if message.unknown_critical_option().is_some() {
        turn.matching.forget(exchange); // [RFC7252 5.4.1]
        return Some(Incoming::Reset { exchange });
    }
    turn.matching.answered(message, true, turn.now) // [RFC8323 7.1]
}

/// A Ping's token is the number of its exchange.
fn ping_token(exchange: ExchangeId) -> Token {
    Token::new(&exchange.0.to_be_bytes())
}
