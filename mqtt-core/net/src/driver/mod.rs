mod perform;
mod request;

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use broker::{Broker, Course, Handed, Session};
use bus::{Address, Connection, Event, Lane, Outbox, Peer, PeerName, Reason};
use tracing::debug;

use crate::house::{House, Place};
use crate::meter::{Carried, Load, Meter};
use crate::quota::Quota;

use perform::Waiting;
use request::Authentication;

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

thread_local! {
    /// What the thread lends to the driver whose turn it is, so that it need not be made anew each time.
    static HANDED: Cell<Option<Box<Handed>>> = const { Cell::new(None) };
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
