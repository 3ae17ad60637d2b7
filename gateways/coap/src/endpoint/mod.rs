//! One peer's exchanges: a carrier below, stations above it, and the matching of requests and answers between.

mod carrier;
mod credit;
mod datagram;
mod flow;
mod guard;
mod in_flight;
mod matching;
mod received;
mod stations;
mod stream;

use std::time::Instant;

use bus::{Address, Carrier as Way, Chance, Limits, Outbox, Peer, ProtocolError, Reason, Transport};

use crate::stream::Framing;
use crate::{Code, Config, ExchangeId, Incoming, Message, ReplyTo, Request, SendError, Token, Transmission};
use carrier::Carrier;
use credit::Credit;
use datagram::Datagram;
use flow::reach;
use guard::Guard;
pub(crate) use guard::Protection;
use matching::Matching;
pub(crate) use stations::Passed;
use stations::Stations;
use stations::blocks::{Room, Step, Upward};
use stations::echo;
use stations::q_blocks::{Of, Outcome, Reach};
use stream::Stream;

/// One peer's exchanges, in both directions: whoever uses it sees whole requests and whole answers.
///
/// What carries the messages lies below (for datagrams RFC 7252's message layer), and what may come with every
/// request or answer, whatever its resource, is dealt with on the way.
#[derive(Debug)]
pub struct Endpoint {
    carrier: Guard,
    matching: Matching,
    stations: Stations,
    chance: Chance,
    /// Whether nobody else can send from where the peer is, or nobody cares.
    is_assured: bool,
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
            return Self::over(
                Carrier::Stream(Box::new(stream)),
                true,
                Chance::new(peer.seed),
                config,
                limits,
            );
        }
        // A handshake has proved the address of what is secured, and nothing is gained by forging a local one.
        let is_proved = !config.prove_address
            || peer.link.secured.is_some()
            || peer.link.carrier != Way::Udp
            || peer.address.is_local();
        let largest = config.largest_message.min(peer.link.largest_datagram());
        let credit = Credit::new(is_proved, config.prove_address, peer.link.secured.is_some());
        Self::over_datagrams(peer.seed, largest, credit, config, limits)
    }

    /// The endpoint for a peer with this seed, whose datagrams are at most `largest` bytes; more than a UDP
    /// datagram holds is cut to that.
    pub fn new(seed: u64, transmission: Transmission, limits: &Limits, largest: usize) -> Self {
        let longest_token = Token::SHORT;
        let config = Config { transmission, longest_token, ..Config::default() };
        Self::over_datagrams(seed, largest, Credit::new(true, config.prove_address, false), &config, limits)
    }

    /// The endpoint for one exchange with somebody who may be elsewhere.
    pub(crate) fn of_stranger(seed: u64, config: &Config, limits: &Limits) -> Self {
        let credit = Credit::new(false, config.prove_address, false);
        Self::over_datagrams(seed, config.largest_message, credit, config, limits)
    }

    fn over_datagrams(seed: u64, largest: usize, credit: Credit, config: &Config, limits: &Limits) -> Self {
        let mut chance = Chance::new(seed);
        let is_proved = credit.allowance(None).is_none();
        let datagram = Datagram::new(chance.next() as u16, largest, credit, config, limits);
        Self::over(Carrier::Datagram(Box::new(datagram)), is_proved, chance, config, limits)
    }

    fn over(carrier: Carrier, is_assured: bool, chance: Chance, config: &Config, limits: &Limits) -> Self {
        Self {
            carrier: Guard::new(carrier, &config.oscore),
            matching: Matching::new(usize::from(limits.send_window.max(1)), limits.subscriptions),
            stations: Stations::new(config, limits),
            chance,
            is_assured,
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
        self.stations.q_blocks.heard();
        let incoming = incoming.and_then(|incoming| self.rise(incoming, now, out));
        self.flow(now, out);
        Ok(Some((length, incoming)))
    }

    /// Takes one datagram. What is no message, and what is dealt with below the resources, gives nothing.
    pub fn receive(&mut self, datagram: &[u8], now: Instant, out: &mut Outbox) -> Option<Incoming> {
        self.take(datagram, now, out).ok()??.1
    }

    /// Takes what the carrier gave through the stations.
    fn rise(&mut self, incoming: Incoming, now: Instant, out: &mut Outbox) -> Option<Incoming> {
        let asking = &mut self.stations.asking;
        match incoming {
            Incoming::Request(request) => self.admit(request, now, out),
            Incoming::Response { exchange, message } => {
                let observes = self.matching.token(exchange).is_some();
                let step = asking.answered(exchange, message, observes);
                self.proceed(step, now, out)
            }
            Incoming::Notification { exchange, message } => {
                let last = self.matching.token(exchange).is_none();
                let step = asking.notified(exchange, message, last, self.carrier.room());
                self.proceed(step, now, out)
            }
            Incoming::Acknowledged { exchange } => match self.stations.q_blocks.acknowledged(exchange) {
                Outcome::Nothing => None,
                Outcome::Of(exchange) => Some(Incoming::Acknowledged { exchange }),
                Outcome::Foreign => {
                    asking.known(exchange).map(|exchange| Incoming::Acknowledged { exchange })
                }
            },
            Incoming::Reset { exchange } => {
                self.stations.ended(exchange).map(|exchange| Incoming::Reset { exchange })
            }
            incoming @ (Incoming::Begin { .. } | Incoming::Failed { .. }) => Some(incoming),
        }
    }

    fn admit(&mut self, mut request: Request, now: Instant, out: &mut Outbox) -> Option<Incoming> {
        let passed = &mut request.reply_to.passed;
        passed.echoed = self.stations.echo.is_in(&request.message);
        // Nobody else can protect a request, nor repeat one that was; but its way can be another.
        let is_protected = passed.protection.is_some() && !self.carrier.has_moved();
        if passed.echoed || is_protected {
            self.carrier.prove();
        }
        match self.stations.admit(request, reach(&self.carrier), now) {
            Upward::Pass(request) => Some(Incoming::Request(request)),
            Upward::Answer(request, answer) => {
                self.respond(&request.reply_to, answer, now, out);
                None
            }
            Upward::Begin(request, answer) => {
                self.respond(&request.reply_to, answer, now, out);
                let Request { message, reply_to } = request;
                Some(Incoming::Begin { head: Request { message: message.with_payload(""), reply_to } })
            }
            Upward::Stall => None,
            Upward::Settle(request) => {
                self.settle(&request.reply_to, now, out);
                None
            }
            Upward::Open(request) => {
                self.settle(&request.reply_to, now, out);
                let Request { message, reply_to } = request;
                Some(Incoming::Begin { head: Request { message: message.with_payload(""), reply_to } })
            }
        }
    }

    /// Goes on with a request of ours.
    fn proceed(&mut self, step: Step, now: Instant, out: &mut Outbox) -> Option<Incoming> {
        match step {
            Step::Done { exchange, notification: false, message } => {
                Some(Incoming::Response { exchange, message })
            }
            Step::Done { exchange, notification: true, message } => {
                Some(Incoming::Notification { exchange, message })
            }
            Step::Failed { exchange, notification, reason } => {
                (!notification).then_some(Incoming::Failed { exchange, reason })
            }
            Step::Send(next, transfer) => {
                if let (exchange, true) = transfer.exchange() {
                    // A newer notification makes the rest of an older one moot.
                    for old in self.stations.asking.supersede(exchange) {
                        self.carrier.forget(old);
                        self.matching.forget(old);
                    }
                }
                let next = self.with_token(next);
                let under_way = self.matching.number();
                let (carrier, mut turn) = self.turn(now, out);
                match carrier.request(under_way, next, &mut turn) {
                    Ok(()) => {
                        self.stations.asking.sent(under_way, transfer);
                        None
                    }
                    Err(_) => {
                        let (exchange, notification) = transfer.exchange();
                        let reason = "the next block could not be sent";
                        (!notification).then_some(Incoming::Failed { exchange, reason })
                    }
                }
            }
        }
    }

    /// The session is being opened in which requests will be worked: bodies that are larger than what may come
    /// before wait for it.
    pub(crate) fn session_opening(&mut self) {
        self.stations.blocks.opening();
    }

    /// There is a session now; gives the requests that waited for it and are whole.
    pub(crate) fn session_opened(&mut self, now: Instant, out: &mut Outbox) -> Vec<Request> {
        let waiting = self.stations.blocks.opened();
        self.admit_all(waiting, now, out)
    }

    /// There is no session any more: nothing of what was said in it is repeated.
    pub(crate) fn session_closed(&mut self, now: Instant, out: &mut Outbox) {
        self.stations.q_blocks.closed();
        let waiting = self.stations.blocks.closed();
        self.admit_all(waiting, now, out);
    }

    fn admit_all(&mut self, waiting: Vec<Request>, now: Instant, out: &mut Outbox) -> Vec<Request> {
        let mut whole = Vec::new();
        for request in waiting {
            if let Some(Incoming::Request(request)) = self.admit(request, now, out) {
                whole.push(request);
            }
        }
        whole
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
        if self.carrier.allowance(Some(to)).is_some_and(|allowance| !echo::fits(to, &response, allowance)) {
            self.carrier.is_short(out);
        }
        let (reach, allowance) = (reach(&self.carrier), self.carrier.allowance(Some(to)));
        let response = self.stations.answer(to, response, reach, allowance, &mut self.chance, now);
        let (carrier, mut turn) = self.turn(now, out);
        let exchange = match response {
            Some(response) => carrier.respond(to, response, &mut turn),
            None => {
                carrier.settle(to, &mut turn);
                None
            }
        };
        self.stations.q_blocks.began(exchange);
        self.flow(now, out);
        exchange
    }

    /// Has a peer that is not known to be at its address send a request again, with an Echo that shows it; `false`
    /// if it is known [RFC9175 2.3].
    pub(crate) fn challenge(&mut self, to: &ReplyTo, now: Instant, out: &mut Outbox) -> bool {
        let asks = self.is_unproved();
        if asks {
            self.ask_for_echo(to, Message::response(Code::UNAUTHORIZED), now, out);
        }
        asks
    }

    /// The same for a request that anybody may have sent under the peer's address, whatever was shown before.
    pub(crate) fn doubt(&mut self, to: &ReplyTo, now: Instant, out: &mut Outbox) -> bool {
        let asks = !self.is_assured && !to.passed.echoed;
        if asks {
            let text = "Another session is open here; repeat the request with this Echo to leave it.";
            self.ask_for_echo(to, Message::diagnostic(Code::UNAUTHORIZED, text), now, out);
        }
        asks
    }

    fn ask_for_echo(&mut self, to: &ReplyTo, answer: Message, now: Instant, out: &mut Outbox) {
        let challenge = self.stations.echo.offer(answer, &mut self.chance);
        self.stations.q_blocks.answered(to, &challenge);
        let (carrier, mut turn) = self.turn(now, out);
        carrier.respond(to, challenge, &mut turn);
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
        // The same token ends an observation, or takes its place [RFC7641 3.6].
        let token = message.observe().map(|_| message.token()).filter(|token| !token.is_empty());
        let replaced = token.and_then(|token| self.matching.find(&token));
        let exchange = self.matching.number();
        let (first, transfer) = self.stations.asking.begin(exchange, message, self.carrier.room());
        let first = self.with_token(first);
        let (carrier, mut turn) = self.turn(now, out);
        carrier.request(exchange, first, &mut turn)?;
        self.stations.asking.sent(exchange, transfer);
        if let Some(replaced) = replaced {
            self.stations.asking.replaced(replaced);
        }
        Ok(exchange)
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
        if self.carrier.allowance(None).is_some_and(|allowance| !echo::fits(to, &message, allowance)) {
            self.carrier.is_short(out);
        }
        let (reach, allowance) = (reach(&self.carrier), self.carrier.allowance(None));
        let room = Room { bytes: reach.room.bytes.min(allowance.unwrap_or(usize::MAX)), ..reach.room };
        let reach = Reach { room, ..reach };
        let message = self.stations.notification(to, (message, confirmable), reach, &mut self.chance, now);
        if allowance.is_some_and(|allowance| !echo::fits(to, &message, allowance)) {
            self.stations.q_blocks.sent(Of::Transfer, None);
            return Err(SendError::TooLarge);
        }
        let (carrier, mut turn) = self.turn(now, out);
        let sent = carrier.notify(to, message, confirmable, &mut turn);
        self.stations.q_blocks.sent(Of::Transfer, sent.ok());
        self.flow(now, out);
        sent
    }

    /// The broker has let in who sent a request: it may send larger messages than a stranger where the carrier has a
    /// say, and is spoken to as it speaks.
    pub fn let_in(&mut self, asker: &ReplyTo, out: &mut Outbox) {
        self.carrier.bind(asker);
        self.carrier.let_in(out);
        self.stations.echo.renew(true); // what has served to come in serves nobody again
    }

    /// Tells the peer why the connection is about to be closed, where the carrier can; nothing is sent behind it.
    pub fn farewell(&mut self, reason: Reason, out: &mut Outbox) {
        self.carrier.farewell(reason, out);
    }

    /// Whether all that is sent arrives, in order, as long as the connection lives: nothing is acknowledged then.
    pub fn is_reliable(&self) -> bool {
        self.carrier.is_reliable()
    }

    /// Whether the peer is not known to be where its datagrams say: what it acknowledges shows that it is.
    pub fn is_unproved(&self) -> bool {
        self.carrier.allowance(None).is_some()
    }

    /// The peer's datagrams come from another address: what has shown that it was at the last one shows nothing of
    /// this one, and little is sent until something does [RFC9175 2.4].
    pub fn moved(&mut self, address: Address) {
        let since = self.matching.number();
        let next_id = self.draw() as u16;
        let tells = self.carrier.moved(address, since, next_id);
        self.stations.echo.renew(!tells);
    }

    /// Asks whether the peer is there; [`Incoming::Reset`] says that it is.
    pub fn ping(&mut self, now: Instant, out: &mut Outbox) -> ExchangeId {
        let (carrier, mut turn) = self.turn(now, out);
        carrier.ping(&mut turn)
    }

    /// Sends a message of ours no more, neither for the first time nor again, and awaits nothing more of it; the
    /// next notification is refused [RFC7641 3.6].
    pub fn forget(&mut self, exchange: ExchangeId) {
        let block = self.stations.q_blocks.forget(exchange);
        for exchange in self.stations.asking.forget(exchange).into_iter().chain(block).chain([exchange]) {
            self.carrier.forget(exchange);
            self.matching.forget(exchange);
        }
    }

    /// The token of a request of ours that is unanswered or observes.
    pub fn token(&self, exchange: ExchangeId) -> Option<Token> {
        self.matching.token(exchange).cloned()
    }

    /// Whether the answer to a request can be carried, in blocks if need be.
    pub(crate) fn fits(&self, to: &ReplyTo, message: &Message) -> bool {
        let room = self.carrier.room();
        let allowance = self.carrier.allowance(Some(to)).unwrap_or(room.bytes);
        Room { bytes: room.bytes.min(allowance), ..room }.beside(&to.token).holds_a_block(message)
    }

    /// Whether a message that must arrive would be sent at once: none is unacknowledged, and the peer does not
    /// fetch the rest of one.
    pub fn can_send(&self) -> bool {
        let Stations { blocks, q_blocks, .. } = &self.stations;
        self.carrier.can_send() && !blocks.is_pushing() && !q_blocks.is_pushing()
    }

    /// When [`Endpoint::expire`] is next due.
    pub fn deadline(&self) -> Option<Instant> {
        let Self { carrier, matching, stations, .. } = self;
        let stations = [stations.blocks.deadline(), stations.q_blocks.deadline()];
        [carrier.deadline(), matching.deadline()].into_iter().chain(stations).flatten().min()
    }

    /// Acknowledges and sends again what is due; returns what the peer left unacknowledged or unanswered for
    /// good.
    pub fn expire(&mut self, now: Instant, out: &mut Outbox) -> Vec<ExchangeId> {
        let (carrier, mut turn) = self.turn(now, out);
        let mut failed: Vec<ExchangeId> = carrier.expire(&mut turn).into_iter().collect();
        self.matching.expire(now, &mut failed);
        self.stations.blocks.expire(now);
        let failed = failed.into_iter().filter_map(|exchange| self.stations.ended(exchange)).collect();
        if let Some(transmission) = self.carrier.q_blocks() {
            self.stations.q_blocks.expire(now, transmission);
        }
        self.flow(now, out);
        failed
    }

    fn with_token(&mut self, message: Message) -> Message {
        if message.token().is_empty() { message.with_token(self.draw_token()) } else { message }
    }

    /// A token that nobody can foresee, so that nobody can answer for the peer [RFC7252 5.3.1].
    fn draw_token(&mut self) -> Token {
        Token::new(&self.draw().to_be_bytes())
    }

    /// A number that nobody can foresee.
    pub(crate) fn draw(&mut self) -> u64 {
        self.chance.next()
    }

    fn turn<'a>(&'a mut self, now: Instant, out: &'a mut Outbox) -> (&'a mut Guard, Turn<'a>) {
        let Self { carrier, matching, chance, .. } = self;
        (carrier, Turn { matching, chance, now, out })
    }
}
