mod condition;
mod configured;
mod downlink;
mod identity;
mod observation;
mod opening;
mod operation;
mod perform;
mod resources;
mod sequence;
mod session;
mod task;
mod turn;
mod visitor;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bus::{
    Ack, ClientId, Delivery, Limits, Outbox, Peer, Reason, Reply, Right, SubscriptionId, Ticket, Unsubscribe,
};

use crate::{Code, Config, Endpoint, ExchangeId, Message, OptionNumber, Request, Shared, Topics};
use configured::Rate;
pub use downlink::json_publication;
use downlink::{Downlink, REQUESTS};
use identity::Identity;
pub use identity::peer_name;
use observation::Observations;
use perform::Pending;
pub use resources::Link;
pub(crate) use resources::is_discovery;
use resources::{Family, Fetch, answer_discovery, route};
use session::Session;
pub use turn::Turn;
use visitor::Visitor;

/// The tickets of this crate; those below are for protocols that use [`PubSub`].
const TICKETS: Range<u64> = 1 << 48..1 << 49;

/// How many notifications the endpoint may be given in one turn.
const BURST: usize = 16;

/// The resources `ps/{topic}`, `mqtt/connection` and `/.well-known/core` of one peer, and the session behind
/// them.
///
/// A protocol that shares the endpoint hands over the requests it does not know, the replies whose tickets and
/// the deliveries whose subscription ids are not its own, and what becomes of exchanges it did not begin.
/// Its tickets must lie below 2^48 and its subscription ids below 2^31.
pub struct PubSub {
    config: Arc<Config>,
    limits: Limits,
    links: Arc<[Link]>,
    shared: Arc<Shared>,
    visitor: Visitor,
    session: Session,
    /// Who asks for a session that takes the place of this one.
    successor: Option<Box<Identity>>,
    /// Requests that wait until it is settled whose session they are worked in, and their bytes.
    waiting: Vec<Request>,
    waiting_bytes: usize,
    observations: Observations,
    /// Questions to the broker, by ticket.
    pending: VecDeque<(u64, Pending)>,
    next_ticket: u64,
    /// The id of the next exactly-once publish.
    next_once: u16,
    /// How many observations have no first answer yet; until then deliveries must wait.
    registering: usize,
    topics: Arc<Topics>,
    /// What the client may publish on topics that have a configuration.
    rate: Rate,
    /// When to look whether observations of such topics may go on.
    look_at: Option<Instant>,
    /// The simple registration that is under way.
    fetch: Option<Box<Fetch>>,
    /// Where the resource directory has what was registered over this connection.
    registered: Vec<Box<str>>,
    /// What applications ask of the client, if they can.
    downlink: Option<Box<Downlink>>,
}

impl PubSub {
    /// The resources for a new peer. `links` are told in `/.well-known/core` beside this crate's own.
    pub fn new(
        peer: &Peer,
        config: Arc<Config>,
        limits: Limits,
        links: Arc<[Link]>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            observations: Observations::new(&config, limits.subscriptions),
            config,
            limits,
            links,
            visitor: Visitor::of(peer),
            session: Session::Closed,
            successor: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            pending: VecDeque::new(),
            next_ticket: TICKETS.start,
            next_once: 0,
            registering: 0,
            topics: shared.topics.clone(),
            shared,
            rate: Rate::default(),
            look_at: None,
            fetch: None,
            registered: Vec::new(),
            downlink: None,
        }
    }

    /// The links of this crate's own resources.
    pub fn links(config: &Config) -> Vec<Link> {
        resources::links(config)
    }

    /// Whether the reply to this ticket is for [`PubSub::handle_reply`].
    pub fn owns(ticket: Ticket) -> bool {
        TICKETS.contains(&ticket.0)
    }

    /// Whether the peer has a session, or is about to.
    pub fn has_session(&self) -> bool {
        !matches!(self.session, Session::Closed)
    }

    /// Whether a stream's peer is not listened to now: what it asks next hangs on the session that is being opened.
    /// A datagram cannot wait.
    pub fn holds_back(&self, endpoint: &Endpoint) -> bool {
        endpoint.is_reliable() && self.is_settling()
    }

    /// Whether the peer observes anything.
    pub fn has_observers(&self) -> bool {
        !self.observations.is_empty()
    }

    /// How many deliveries can be taken now.
    pub fn room(&self, endpoint: &Endpoint) -> usize {
        // What comes in order needs no numbers [RFC8323 7.1].
        let rests = self.observations.rest_until().is_some() && !endpoint.is_reliable();
        match self.registering == 0 && endpoint.can_send() && !rests {
            // Of what the peer must fetch the rest of, one comes at a time.
            true if self.observations.sends_blocks() => 1,
            true => BURST,
            false => 0,
        }
    }

    /// Answers a request, now or when the broker has spoken. Unknown paths are answered too.
    pub fn handle_request(&mut self, request: Request, turn: &mut Turn<'_>) {
        let family = match route(&request.message) {
            Ok(family) => family,
            Err(answer) => {
                turn.respond(&request.reply_to, answer);
                return;
            }
        };
        match family {
            Family::Discovery => {
                let answer = answer_discovery(&self.links, &request.message);
                turn.respond(&request.reply_to, answer);
            }
            Family::Connection => self.handle_connection(request, turn),
            Family::Topic => self.handle_topic(request, turn),
            Family::Collection | Family::Configuration => {
                self.handle_collection(request, turn);
            }
            Family::Directory | Family::Registration | Family::Lookup => {
                self.handle_directory(request, turn);
            }
        }
    }

    /// When [`PubSub::expire`] is next due.
    pub fn deadline(&self) -> Option<Instant> {
        let downlink = self.downlink.as_ref().and_then(|downlink| downlink.deadline());
        [self.look_at, downlink, self.observations.rest_until()].into_iter().flatten().min()
    }

    /// Ends the observations of topics that another client has removed, or that have expired, and gives up what
    /// the client did not answer in time.
    pub fn expire(&mut self, turn: &mut Turn<'_>) {
        if let Some(downlink) = &mut self.downlink {
            downlink.expire(turn);
        }
        if self.look_at.is_some_and(|look_at| look_at <= turn.now) {
            self.look(turn);
        }
        self.observations.wake(turn.now);
    }

    /// Handles the broker's reply; `false` if the ticket is not of this crate.
    pub fn handle_reply(
        &mut self,
        ticket: Ticket,
        reply: Result<Reply, Reason>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let position = self.pending.iter().position(|(asked, _)| *asked == ticket.0);
        match position.and_then(|at| self.pending.remove(at)).map(|(_, pending)| pending) {
            Some(Pending::Connect { asker, login }) => self.connected(reply, &asker, login, turn),
            Some(Pending::MayBeAsked) => self.may_be_asked(reply, turn.out),
            Some(pending) => self.answer(pending, reply, turn),
            None => {} // of a session that was left meanwhile
        }
        self.resume(turn);
        Self::owns(ticket)
    }

    /// Takes requests of applications from now on, if the client goes by a name and may have them.
    fn offer_requests(&mut self, client_id: &ClientId, out: &mut Outbox) {
        let Session::Open(identity, _) = &self.session else { return };
        if identity.client_id.is_none() && self.session.names().is_empty() && self.visitor.proved.is_empty() {
            return;
        }
        self.downlink = Downlink::new(client_id, &self.config, self.limits.packet).map(Box::new);
        if let Some(topic) = self.downlink.as_ref().and_then(|downlink| downlink.topic()) {
            // Nobody is told of a refusal that the client did not ask for.
            self.ask(Pending::MayBeAsked, bus::Request::Judge(vec![Right::Read(topic)]), out);
        }
    }

    /// Handles what the broker says of the client's right to requests, and then of the subscription to them.
    fn may_be_asked(&mut self, reply: Result<Reply, Reason>, out: &mut Outbox) {
        let may = match reply {
            Ok(Reply::Judged { judgements, .. }) => judgements.iter().all(|judged| judged.allowed.is_ok()),
            Ok(Reply::Subscribed(results)) if results.iter().all(Result::is_ok) => return,
            _ => false,
        };
        if !may {
            self.downlink = None;
        } else if let Some(downlink) = &self.downlink {
            let wish = downlink.subscription();
            self.ask(Pending::MayBeAsked, bus::Request::Subscribe(vec![wish]), out);
        }
    }

    /// Notifies the observers that the delivery matched; `false` if it matched none of this crate's ids. When
    /// `true`, the session is told what becomes of the delivery.
    pub fn deliver(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) -> bool {
        let is_request = delivery.matched.as_slice().contains(&REQUESTS);
        if let Some(downlink) = self.downlink.as_mut().filter(|_| is_request) {
            downlink.take(delivery, turn);
        }
        let matched = delivery.matched.as_slice().iter().copied();
        let mut own = matched.filter(|id| Observations::owns(*id)).peekable();
        if own.peek().is_none() {
            if let Some(id) = delivery.id.filter(|_| is_request) {
                turn.out.ack(id, Ack::Complete);
            }
            return is_request;
        }
        // What an earlier connection of the session observed, nobody observes any more.
        let stale = own.filter(|id| self.observations.get(*id).is_none()).collect();
        unsubscribe(stale, turn.out);
        for id in self.observations.deliver(delivery, turn) {
            self.end_observation(id, turn);
        }
        true
    }

    /// The peer answered a request of ours, or notified; `false` if it was not asked here.
    pub fn answered(&mut self, exchange: ExchangeId, message: &Message, turn: &mut Turn<'_>) -> bool {
        let asked = self.downlink.as_mut();
        asked.is_some_and(|downlink| downlink.answered(exchange, message, turn))
            || self.fetched(exchange, message, turn)
    }

    /// The answer to a request of ours cannot be had whole; `false` if it was not asked here.
    pub fn failed(&mut self, exchange: ExchangeId, reason: &'static str, turn: &mut Turn<'_>) -> bool {
        let asked = self.downlink.as_mut();
        asked.is_some_and(|downlink| downlink.failed(exchange, reason, turn))
            || self.not_fetched(exchange, Code::BAD_GATEWAY, turn)
    }

    /// The peer did not answer a request of ours in time; `false` if it was not sent here.
    pub fn unanswered(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> bool {
        let asked = self.downlink.as_mut();
        asked.is_some_and(|downlink| downlink.unanswered(exchange, turn))
            || self.not_fetched(exchange, Code::GATEWAY_TIMEOUT, turn)
    }

    /// The peer has acknowledged what was sent; `false` if it was not sent here.
    pub fn acknowledged(&mut self, exchange: ExchangeId, out: &mut Outbox) -> bool {
        self.observations.acknowledged(exchange, out)
    }

    /// The peer does not want what was sent, so that its observation ends; `false` if it was not sent here.
    pub fn reset(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> bool {
        let asked = self.downlink.as_mut();
        if asked.is_some_and(|downlink| downlink.reset(exchange, turn))
            || self.not_fetched(exchange, Code::BAD_GATEWAY, turn)
        {
            return true;
        }
        let ended = self.observations.rejected(exchange, Reason::NoSubscription, turn.out);
        if let Some(id) = ended {
            self.end_observation(id, turn); // [RFC7641 3.6]
        }
        ended.is_some()
    }

    /// The peer did not acknowledge what was sent: it is gone, and all its observations end; `false` if it was
    /// not sent here.
    pub fn timed_out(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> bool {
        let ended = self.observations.rejected(exchange, Reason::NotAcknowledged, turn.out);
        if ended.is_some() {
            for id in self.observations.ids() {
                self.end_observation(id, turn); // [RFC7641 4.5]
            }
        }
        ended.is_some()
    }

    fn end_observation(&mut self, id: SubscriptionId, turn: &mut Turn<'_>) {
        if self.observations.remove(id, turn) {
            unsubscribe(vec![id], turn.out);
        }
    }

    fn ask(&mut self, pending: Pending, request: bus::Request, out: &mut Outbox) {
        let ticket = self.next_ticket;
        self.next_ticket = if ticket + 1 < TICKETS.end { ticket + 1 } else { TICKETS.start };
        self.pending.push_back((ticket, pending));
        out.request(Ticket(ticket), request);
    }

    fn too_large(&self, most: usize) -> Message {
        let size = u32::try_from(most).unwrap_or(u32::MAX);
        let text = "The payload is larger than the limit.";
        Message::diagnostic(Code::REQUEST_ENTITY_TOO_LARGE, text).with_uint(OptionNumber::SIZE1, size)
    }
}

/// The answer to a request that was sent to a group: discovery is all that there is in one.
pub(crate) fn answer_in_group(links: &[Link], request: &Message) -> Message {
    match route(request) {
        Ok(Family::Discovery) => answer_discovery(links, request),
        Ok(_) => Message::diagnostic(Code::NOT_FOUND, "A group tells what there is, and nothing else."),
        Err(answer) => answer,
    }
}

fn unsubscribe(ids: Vec<SubscriptionId>, out: &mut Outbox) {
    if !ids.is_empty() {
        let wishes = ids.into_iter().map(Unsubscribe::Id).collect();
        out.request(Ticket::NONE, bus::Request::Unsubscribe(wishes));
    }
}
