use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use broker::{
    Answer, Broker, Course, Exchange, Handed, Later, Opened, Reauthentication, Session, Settled, Underway,
};
use bus::{
    Ack, Action, Address, Connection, DeliveryId, Disconnect, EnhancedAuthentication, Event, Lane, Outbox,
    Peer, PeerName, Publish, Reason, Reply, Request, Ticket,
};
use tracing::debug;

use crate::house::{House, Place};
use crate::meter::{Carried, Load, Meter};
use crate::overload::{self, Pressure};
use crate::quota::Quota;

/// Runs one connection against the broker: performs what it asks for, hands it what the broker says.
///
/// It has no transport. Whoever owns it lends an [`Outbox`], sends what is in there afterwards, and passes
/// on deadlines and wake-ups. It is kept small, for most of them are idle.
pub struct Driver {
    connection: Box<dyn Connection>,
    place: Place,
    session: Option<Box<Session>>,
    rare: Option<Box<Rare>>,
    meter: Meter,
    /// The longest silence that was agreed on: milliseconds, or 0.
    keep_alive: u32,
    closing: Option<Reason>,
    /// Whether it got a session or was refused one, of which the observers heard.
    told: bool,
}

/// What few connections need, or none for long.
#[derive(Default)]
struct Rare {
    /// Who it is, where the session does not know it.
    peer: Option<Arc<Peer>>,
    /// A request whose answer is awaited. What was asked after it waits too, so that the order is kept.
    waiting: Option<Box<Waiting>>,
    authentication: Option<Authentication>,
    /// The session that takes the place of the one there is, once that is left.
    beside: Option<Box<Session>>,
    /// What the peer may send in a second, if that is limited.
    quota: Option<Box<Quota>>,
    /// Until when no input is taken, because the peer has sent more than it may.
    paused: Option<Instant>,
    /// What exactly the peer did wrong.
    detail: Option<Arc<str>>,
    /// What was carried, where that is much.
    load: Option<Box<Load>>,
}

/// What the owner of a driver shall do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Send what is in the outbox and go on.
    Continue,
    /// Send what is in the outbox, then call again: there is more to hand over.
    More,
    /// Send what is in the outbox, then close the transport and call [`Driver::end`].
    Close(Reason),
}

/// What a connection claims of its listener.
pub trait Names {
    /// Datagrams with this name shall reach this connection.
    fn claim(&mut self, name: PeerName);
    /// They no longer shall.
    fn disclaim(&mut self, name: PeerName);
}

enum Authentication {
    /// The client is not let in yet.
    First(Box<Underway>),
    /// The client proves itself again.
    Again(Box<dyn Exchange>),
}

struct Waiting {
    answer: Later<Settle>,
    ticket: Ticket,
    actions: VecDeque<Action>,
}

/// What a thread lends to the driver whose turn it is, so that it need not be made anew each time.
#[derive(Default)]
struct Lists {
    run: VecDeque<(Ticket, Publish)>,
    settled: Vec<Settled>,
    acks: Vec<(DeliveryId, Ack)>,
}

thread_local! {
    static LISTS: Cell<Option<Box<Lists>>> = const { Cell::new(None) };
    /// By itself, since what is performed in the course of a pull needs the others.
    static HANDED: Cell<Option<Box<Handed>>> = const { Cell::new(None) };
}

/// How an answer changes the driver, once it is there.
enum Settle {
    Reply(Result<Reply, Reason>),
    Opened(Result<Opened, Reason>),
    Reauthentication(Result<Reauthentication, Reason>),
}

/// How many bytes are made before they are sent.
const TURN_BYTES: usize = 64 * 1024;

/// How many times deliveries are taken before it is the owner's turn; a peer that can have none makes no bytes.
const PULLS: usize = 64;

impl Driver {
    /// Begins a conversation with a peer.
    pub fn new(place: Place, peer: Peer, now: Instant, out: &mut Outbox) -> Self {
        Self::limited(place, peer, None, now, out)
    }

    /// The same, within what the peer may send.
    pub(crate) fn limited(
        place: Place,
        peer: Peer,
        quota: Option<Box<Quota>>,
        now: Instant,
        out: &mut Outbox,
    ) -> Self {
        let mut connection = place.house().protocol.accept(peer.clone());
        connection.begin(now, out);
        place.house().broker.count_begin();
        let rare = Rare { peer: Some(Arc::new(peer)), quota, ..Rare::default() };
        let meter = Meter::new(place.house().moment(now));
        let rare = Some(Box::new(rare));
        Self { connection, place, session: None, rare, meter, keep_alive: 0, closing: None, told: false }
    }

    /// Takes what the peer sent; returns how many bytes were taken. What was not taken comes again with more
    /// behind it, or once [`Driver::is_blocked`] is over.
    pub fn receive(
        &mut self,
        input: &[u8],
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) -> usize {
        if input.is_empty() || self.closing.is_some() || self.is_blocked() {
            return 0;
        }
        let (mut taken, before, carried) = (0, out.pending_bytes(), self.meter.carried());
        self.meter.hear(self.house().moment(now));
        while self.closing.is_none() && !self.is_blocked() {
            let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) else { break };
            let received = self.connection.receive(rest, now, out);
            let length = received.map_or(rest.len(), |taken| taken.min(rest.len()));
            self.meter.received(length, out);
            match received {
                Ok(0) => {
                    self.perform(now, out, names, cx);
                    break;
                }
                Ok(more) => {
                    taken += more.min(rest.len());
                    self.perform(now, out, names, cx);
                }
                Err(error) => {
                    self.perform(now, out, names, cx);
                    self.closing.get_or_insert(error.reason);
                    self.blame(error.detail);
                    debug!(
                        peer = self.address(),
                        protocol = self.label(),
                        detail = error.detail,
                        "The peer broke the protocol."
                    );
                }
            }
        }
        self.meter.sent(before, out);
        self.tell(&carried);
        taken
    }

    /// Does what [`Driver::advance`] does, and counts what goes out.
    pub fn turn(
        &mut self,
        deliver: bool,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) -> Flow {
        let (before, carried) = (out.pending_bytes(), self.meter.carried());
        let flow = self.advance(deliver, now, out, names, cx);
        self.meter.sent(before, out);
        self.tell(&carried);
        flow
    }

    /// Does what can be done without input: goes on with an awaited answer, passes deadlines on, hands over
    /// deliveries unless `deliver` is false. The waker of `cx` is woken when it is worth calling again.
    fn advance(
        &mut self,
        deliver: bool,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) -> Flow {
        let behind = self.is_behind();
        self.settle(now, out, names, cx);
        if behind {
            // What the peer sent meanwhile tells whether it is still there; it is read before that is judged.
            return if self.is_behind() { Flow::Continue } else { Flow::More };
        }
        let resumed = self.paused().is_some_and(|until| until <= now);
        if let Some(rare) = self.rare.as_mut().filter(|_| resumed) {
            rare.paused = None;
        }
        // What a paused peer sent meanwhile is read before its silence is judged.
        let judged = !resumed && self.paused().is_none() && self.closing.is_none();
        if judged && self.connection.deadline().is_some_and(|deadline| deadline <= now) {
            // Whoever is still asking to be let in has asked in vain.
            self.take_waiting();
            self.connection.expire(now, out);
            self.perform(now, out, names, cx);
        }
        let more = self.pull(deliver, now, out, names, cx);
        match self.closing {
            Some(reason) => Flow::Close(reason),
            None if more || resumed => Flow::More,
            None => Flow::Continue,
        }
    }

    /// One of the peer's lanes is gone.
    pub(crate) fn lane_closed(
        &mut self,
        lane: Lane,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) {
        self.connection.lane_closed(lane, out);
        self.perform(now, out, names, cx);
    }

    /// The peer sends from another address now, and may be known to hear what is sent there.
    pub(crate) fn moved(&mut self, address: SocketAddr, is_reached: bool) {
        if let Some(mut peer) = self.peer().cloned() {
            Arc::make_mut(&mut peer).address = Address::Socket(address);
            self.rare.get_or_insert_default().peer = Some(peer);
        }
        self.connection.moved(Address::Socket(address), is_reached);
    }

    /// Whether the peer has shown that it hears what is sent to where it is.
    pub(crate) fn is_reached(&self) -> bool {
        self.connection.is_reached()
    }

    /// When [`Driver::turn`] must be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match self.paused() {
            _ if self.is_behind() => None,
            Some(until) => Some(until),
            None => self.connection.deadline(),
        }
    }

    /// Whether the peer is not listened to, because the broker has yet to answer.
    fn is_behind(&self) -> bool {
        self.is_waiting() && self.session.is_some()
    }

    fn is_waiting(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.waiting.is_some())
    }

    fn take_waiting(&mut self) -> Option<Box<Waiting>> {
        self.rare.as_mut()?.waiting.take()
    }

    /// Whether no input is taken: an answer is awaited, or the peer has sent more than it may.
    pub fn is_blocked(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.waiting.is_some() || rare.paused.is_some())
    }

    fn paused(&self) -> Option<Instant> {
        self.rare.as_ref()?.paused
    }

    fn house(&self) -> &House {
        self.place.house()
    }

    fn broker(&self) -> &Broker {
        &self.house().broker
    }

    fn label(&self) -> &'static str {
        self.house().protocol.label()
    }

    fn peer(&self) -> Option<&Arc<Peer>> {
        let own = self.rare.as_ref().and_then(|rare| rare.peer.as_ref());
        own.or_else(|| self.session.as_ref().map(|session| &session.client().peer))
    }

    /// Where the peer sends from, for logs.
    fn address(&self) -> Option<tracing::field::DisplayValue<Address>> {
        self.peer().map(|peer| tracing::field::display(peer.address))
    }

    /// Tells the broker what was carried since `before`.
    #[inline]
    fn tell(&mut self, before: &Carried) {
        if self.meter.tell(before, &self.place.house().broker) {
            self.meter.put_aside(self.rare.get_or_insert_default().load.get_or_insert_default());
        }
    }

    fn course(&self) -> Course {
        let rare = self.rare.as_ref();
        let detail = rare.and_then(|rare| rare.detail.clone());
        let course = self.meter.course(self.house(), rare.and_then(|rare| rare.load.as_deref()), detail);
        let keep_alive = Duration::from_millis(self.keep_alive.into());
        Course { keep_alive: Some(keep_alive).filter(|keep_alive| !keep_alive.is_zero()), ..course }
    }

    /// Whether the connection ends at the next turn, so that no input is taken.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Notes what the peer did wrong below its protocol.
    pub(crate) fn blame(&mut self, detail: &str) {
        self.rare.get_or_insert_default().detail = Some(detail.into());
    }

    /// Whether the peer has a session.
    pub fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Tells the connection to say good-bye; [`Driver::turn`] then says to close.
    pub fn close(&mut self, reason: Reason, now: Instant, out: &mut Outbox) {
        if self.closing.is_none() {
            self.connection.handle(Event::Close(reason), now, out);
            self.closing = Some(reason);
        }
    }

    /// The transport is gone. A session that was not left is left with its will. Returns the place, which the peer may
    /// need until it has read the last words.
    pub fn end(mut self, reason: Reason, now: Instant) -> Place {
        self.broker().count_close(self.label(), reason);
        debug!(peer = self.address(), protocol = self.label(), reason = reason.name(), "A connection ended.");
        if let Some(beside) = self.take_beside() {
            beside.close(reason, now);
        }
        match (self.session.take(), self.peer()) {
            (Some(mut session), _) => {
                session.tell(self.course());
                session.close(reason, now);
            }
            // Whoever was refused, or has left in order, was told of already.
            (None, Some(peer)) if !self.told => {
                self.broker().tell_lost(peer, self.label(), reason, self.course(), now);
            }
            (None, _) => {}
        }
        self.place
    }

    /// Hands over deliveries while there is room; returns whether there are more.
    fn pull(
        &mut self,
        deliver: bool,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut handed = HANDED.take().unwrap_or_default();
        let more = self.pull_into(&mut handed, deliver, now, out, names, cx);
        HANDED.set(Some(handed));
        more
    }

    fn pull_into(
        &mut self,
        handed: &mut Handed,
        deliver: bool,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) -> bool {
        for _ in 0..PULLS {
            if self.closing.is_some() || self.is_waiting() {
                return false;
            }
            let room = if deliver { self.connection.room() } else { 0 };
            let Some(session) = &mut self.session else { return false };
            let more = session.pull_into(room, now, cx.waker(), handed);
            let idle = !more && handed.len() < room && self.connection.wants_idle();
            let nothing = handed.is_empty();
            for burst in handed.bursts.drain(..) {
                self.meter.delivered(burst.len());
                self.connection.take_burst(&burst, now, out);
            }
            for event in handed.events.drain(..) {
                if let Event::Close(reason) = event {
                    self.close(reason, now, out);
                } else {
                    self.meter.delivered(usize::from(matches!(event, Event::Deliver(_))));
                    self.connection.handle(event, now, out);
                }
            }
            self.perform(now, out, names, cx);
            if idle && self.closing.is_none() && !self.is_waiting() && self.connection.wants_idle() {
                self.connection.handle(Event::Idle, now, out);
                self.perform(now, out, names, cx);
            }
            if nothing || !more && self.session.as_ref().is_some_and(|session| session.is_served()) {
                return false;
            }
            if out.pending_bytes() >= TURN_BYTES {
                return true;
            }
        }
        true
    }

    /// Performs what the connection asked for, and what it asks for in answer.
    fn perform(&mut self, now: Instant, out: &mut Outbox, names: &mut dyn Names, cx: &mut Context<'_>) {
        loop {
            self.publish_runs(now, out, names, cx);
            self.ack_run(out);
            let Some(action) = out.next_action() else { return };
            match self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
                Some(waiting) => waiting.actions.push_back(action),
                None => self.act(action, now, out, names, cx),
            }
        }
    }

    /// Notes the acknowledgements that are next, together.
    fn ack_run(&mut self, out: &mut Outbox) {
        if !out.begins_with_acks() || self.is_waiting() {
            return;
        }
        let Some(session) = &mut self.session else { return };
        let mut lists = LISTS.take().unwrap_or_default();
        out.take_acks(&mut lists.acks);
        session.ack_all(&lists.acks);
        lists.acks.clear();
        LISTS.set(Some(lists));
    }

    /// Performs the publishes that are next, those that are alike together.
    fn publish_runs(&mut self, now: Instant, out: &mut Outbox, names: &mut dyn Names, cx: &mut Context<'_>) {
        if !out.begins_with_publishes() || self.is_waiting() || self.session.is_none() {
            return;
        }
        let is_limited = self.rare.as_ref().is_some_and(|rare| rare.quota.is_some());
        if is_limited || self.house().overload.pressure() == Pressure::Full {
            return; // each is to be charged
        }
        let mut lists = LISTS.take().unwrap_or_default();
        out.take_publishes(&mut lists.run);
        while let (false, Some(session)) = (self.is_waiting(), &mut self.session) {
            let before = lists.run.len();
            session.publish_run(&mut lists.run, &mut lists.settled, now);
            self.meter.published(before - lists.run.len());
            for (ticket, outcome) in lists.settled.drain(..).filter(|(ticket, _)| *ticket != Ticket::NONE) {
                self.connection.handle(Event::Reply(ticket, outcome), now, out);
            }
            let Some((ticket, publish)) = lists.run.pop_front() else { break };
            self.act(Action::Request(ticket, Request::Publish(publish)), now, out, names, cx);
        }
        out.put_back(&mut lists.run);
        LISTS.set(Some(lists));
    }

    fn act(
        &mut self,
        action: Action,
        now: Instant,
        out: &mut Outbox,
        names: &mut dyn Names,
        cx: &mut Context<'_>,
    ) {
        match action {
            Action::Ack(id, ack) => {
                if let Some(session) = &mut self.session {
                    session.ack(id, ack);
                }
            }
            Action::Lost(reason) => self.broker().count_drop(reason),
            Action::Claim(name) => names.claim(name),
            Action::Disclaim(name) => names.disclaim(name),
            Action::Close(reason) => drop(self.closing.get_or_insert(reason)),
            Action::Request(ticket, request) => match self.charged(request, now) {
                Answer::Now(settle) => self.conclude(ticket, settle, now, out),
                Answer::Later(mut answer) => match answer.as_mut().poll(cx) {
                    Poll::Ready(settle) => self.conclude(ticket, settle, now, out),
                    Poll::Pending => {
                        let waiting = Box::new(Waiting { answer, ticket, actions: VecDeque::new() });
                        self.rare.get_or_insert_default().waiting = Some(waiting);
                    }
                },
            },
        }
    }

    /// Goes on once the awaited answer is there, with all that waited behind it.
    fn settle(&mut self, now: Instant, out: &mut Outbox, names: &mut dyn Names, cx: &mut Context<'_>) {
        while let Some(waiting) = self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
            let Poll::Ready(settle) = waiting.answer.as_mut().poll(cx) else { return };
            let ticket = waiting.ticket;
            let mut actions = self.take_waiting().map(|waiting| waiting.actions).unwrap_or_default();
            self.conclude(ticket, settle, now, out);
            while let Some(action) = actions.pop_front() {
                self.act(action, now, out, names, cx);
                if let Some(waiting) = self.rare.as_mut().and_then(|rare| rare.waiting.as_mut()) {
                    waiting.actions.append(&mut actions);
                }
            }
            self.perform(now, out, names, cx);
        }
    }

    /// Notes what the request costs, and performs it: what was read is never refused for its rate.
    fn charged(&mut self, request: Request, now: Instant) -> Answer<Settle> {
        let quota = self.rare.as_mut().and_then(|rare| rare.quota.as_mut());
        let pause = quota.and_then(|quota| quota.charge(&request, now));
        let sends = matches!(request, Request::Publish(_) | Request::PublishAll(_) | Request::PublishIf(_));
        let pressed = sends && self.house().overload.pauses();
        if let Some(pause) = pause.into_iter().chain(pressed.then_some(overload::PAUSE)).max() {
            let rare = self.rare.get_or_insert_default();
            rare.paused = rare.paused.max(now.checked_add(pause));
            self.broker().count_pause();
        }
        self.request(request, now)
    }

    fn request(&mut self, request: Request, now: Instant) -> Answer<Settle> {
        self.meter.asked(&request);
        match request {
            // A session that there is stays until it is left, whatever comes of this.
            Request::Connect(connect) => {
                let millis = connect.keep_alive.map_or(0, |keep_alive| keep_alive.as_millis());
                self.keep_alive = u32::try_from(millis).unwrap_or(u32::MAX);
                let Some(peer) = self.peer().cloned() else {
                    return Answer::Now(Settle::Opened(Err(Reason::Internal)));
                };
                self.broker().connect(*connect, peer, now).map(Settle::Opened)
            }
            Request::Authenticate(step) => self.authenticate(step, now),
            Request::Disconnect(disconnect) => Answer::Now(Settle::Reply(self.leave(disconnect, now))),
            request => match &mut self.session {
                Some(session) => on_session(session, request, now).map(Settle::Reply),
                None => Answer::Now(Settle::Reply(Err(Reason::NotConnected))),
            },
        }
    }

    fn leave(&mut self, disconnect: Disconnect, now: Instant) -> Result<Reply, Reason> {
        let mut session = self.take_session().ok_or(Reason::NotConnected)?;
        session.tell(self.course());
        let left = session.leave(disconnect, now);
        session.close(Reason::TakenOver, now); // if it could not be left, it is another connection's
        if let Some(beside) = self.take_beside() {
            self.hold(beside);
        }
        left
    }

    fn take_beside(&mut self) -> Option<Box<Session>> {
        self.rare.as_mut()?.beside.take()
    }

    fn authenticate(&mut self, step: EnhancedAuthentication, now: Instant) -> Answer<Settle> {
        let underway = self.rare.as_mut().and_then(|rare| rare.authentication.take());
        match (underway, &self.session) {
            (Some(Authentication::First(underway)), _) => underway.proceed(step, now).map(Settle::Opened),
            (Some(Authentication::Again(exchange)), Some(session)) => {
                session.proceed(exchange, step).map(Settle::Reauthentication)
            }
            (None, Some(session)) => session.reauthenticate(step).map(Settle::Reauthentication),
            (_, None) => Answer::Now(Settle::Reply(Err(Reason::NotConnected))),
        }
    }

    /// Keeps a session, and lets go what was needed until there was one.
    fn hold(&mut self, session: Box<Session>) {
        if let Some(rare) = &mut self.rare {
            rare.peer.take_if(|peer| Arc::ptr_eq(peer, &session.client().peer));
        }
        self.rare.take_if(|rare| rare.is_idle());
        self.session = Some(session);
    }

    /// Gives the session away, but for what it knew of the peer.
    fn take_session(&mut self) -> Option<Box<Session>> {
        let peer = self.peer().cloned();
        let session = self.session.take()?;
        self.rare.get_or_insert_default().peer = peer;
        Some(session)
    }

    fn conclude(&mut self, ticket: Ticket, settle: Settle, now: Instant, out: &mut Outbox) {
        let result = match settle {
            Settle::Reply(result) => result,
            Settle::Opened(Ok(Opened::Session(session, connected))) => {
                match &self.session {
                    None => self.hold(session),
                    Some(_) => {
                        let before = self.rare.get_or_insert_default().beside.replace(session);
                        before.into_iter().for_each(|session| session.close(Reason::Disconnected, now));
                    }
                }
                self.told = true;
                Ok(Reply::Connected(connected))
            }
            Settle::Opened(Ok(Opened::Challenge(step, underway))) => {
                self.rare.get_or_insert_default().authentication = Some(Authentication::First(underway));
                Ok(Reply::Challenge(Box::new(step)))
            }
            Settle::Reauthentication(Ok(Reauthentication::Challenge(step, exchange))) => {
                self.rare.get_or_insert_default().authentication = Some(Authentication::Again(exchange));
                Ok(Reply::Challenge(Box::new(step)))
            }
            Settle::Reauthentication(Ok(Reauthentication::Done(step))) => {
                let empty = || EnhancedAuthentication { method: "".into(), data: Default::default() };
                Ok(Reply::Authenticated(Box::new(step.unwrap_or_else(empty))))
            }
            Settle::Opened(Err(reason)) => {
                self.broker().count_refusal(self.label(), reason);
                self.told = true;
                Err(reason)
            }
            Settle::Reauthentication(Err(reason)) => Err(reason),
        };
        if ticket != Ticket::NONE {
            self.connection.handle(Event::Reply(ticket, result), now, out);
        }
    }
}

impl Rare {
    fn is_idle(&self) -> bool {
        matches!(
            self,
            Self {
                peer: None,
                waiting: None,
                authentication: None,
                beside: None,
                quota: None,
                paused: None,
                detail: None,
                load: None,
            }
        )
    }
}

/// Nobody claims names on a stream.
impl Names for () {
    fn claim(&mut self, _name: PeerName) {}
    fn disclaim(&mut self, _name: PeerName) {}
}

fn on_session(session: &mut Session, request: Request, now: Instant) -> Answer<Result<Reply, Reason>> {
    match request {
        Request::Publish(publish) => session.publish(publish, now),
        Request::PublishAll(publishes) => session.publish_all(publishes, now),
        Request::PublishIf(wish) => session.publish_if(*wish, now),
        Request::Release(id) => Answer::Now(session.release(id)),
        Request::Subscribe(subscriptions) => session.subscribe(subscriptions, now),
        Request::Unsubscribe(subscriptions) => Answer::Now(session.unsubscribe(subscriptions)),
        Request::Read(topic) => session.read(topic, now),
        Request::Judge(rights) => session.judge(rights, now),
        Request::SetWill(will) => session.set_will(will.map(|will| *will), now),
        Request::Connect(_) | Request::Authenticate(_) | Request::Disconnect(_) => {
            Answer::Now(Err(Reason::ProtocolViolation))
        }
    }
}
