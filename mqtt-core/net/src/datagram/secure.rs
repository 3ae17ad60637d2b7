use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Course;
use bus::{Address, Carrier, Link, Outbox, Reason, Secured, Transport};
use dtls::{
    ClientCertificate, Counts, Effects, Engine, EngineError, EngineFactory, Identity, Proof, SessionEvent,
    SessionId,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::{debug, error, warn};

use super::Datagrams;
use super::outlet::Outlet;
use super::sessions::{Scope, Session, Sessions};
use super::way::Way;
use crate::offer::{Offer, Offers};
use crate::park::Parked;

/// DTLS secures the socket: a peer is whoever has the keys of its session, wherever it sends from.
pub(crate) struct Secure {
    engine: Box<dyn Engine>,
    offers: Offers,
    offer: Arc<Offer>,
    /// What was offered before, while handshakes that began then may be under way.
    before: Vec<(Instant, Arc<Offer>)>,
    sessions: Sessions,
    effects: Effects,
    /// Whether handshakes may wait for their turn.
    works: bool,
    counts: Arc<Mutex<Counts>>,
    /// What was not sent for want of credit.
    withheld: u64,
    parked: Vec<Parked>,
    /// Who is given the sessions when the listener has stopped; they all end then if nobody is.
    heir: Option<oneshot::Sender<Vec<Parked>>>,
}

/// For how long handshakes go on before other datagrams have their turn; each makes one step at least.
const WORK: Duration = Duration::from_millis(1);

/// What the owner of a listener has of one of its secured sockets.
pub(crate) struct View {
    pub(crate) counts: Arc<Mutex<Counts>>,
    pub(crate) inherited: Mutex<Option<oneshot::Receiver<Vec<Parked>>>>,
}

impl Secure {
    /// An engine for one socket, which begins with the sessions of an earlier run.
    pub(crate) fn new(
        factory: &dyn EngineFactory,
        offers: &Offers,
        parked: Vec<Parked>,
    ) -> Result<Self, EngineError> {
        let mut offers = offers.clone();
        let offer = offers.borrow_and_update().clone();
        let engine = factory.engine(&offer.settings)?;
        warn_of_left_out(engine.as_ref());
        Ok(Self {
            engine,
            offers,
            offer,
            before: Vec::new(),
            sessions: Sessions::default(),
            effects: Effects::new(),
            works: false,
            counts: Arc::default(),
            withheld: 0,
            parked,
            heir: None,
        })
    }

    /// What the owner of the listener sees of it; the sessions are handed over in the end if `inherit`.
    pub(crate) fn view(&mut self, inherit: bool) -> View {
        let (heir, inherited) = oneshot::channel();
        self.heir = inherit.then_some(heir);
        View { counts: self.counts.clone(), inherited: Mutex::new(Some(inherited)) }
    }

    /// Offers from now on what the listener's owner wants offered; returns whether that is something new.
    fn renew(&mut self, now: Instant) -> bool {
        if !self.offers.has_changed().unwrap_or(false) {
            return false;
        }
        let offer = self.offers.borrow_and_update().clone();
        match self.engine.reconfigure(&offer.settings) {
            Ok(()) => {
                warn_of_left_out(self.engine.as_ref());
                let until = now + self.offer.settings.handshake_timeout;
                self.before.retain(|(until, _)| now < *until);
                self.before.push((until, std::mem::replace(&mut self.offer, offer)));
                true
            }
            Err(error) => {
                error!(%error, "DTLS cannot offer what it should; what it offered before stays in force.");
                false
            }
        }
    }

    /// Whether the key that the session's peer has proved to have, if any, is still that of its identity.
    fn has_good_key(&self, session: &Session) -> bool {
        let identity = session.secured.psk_identity.as_deref();
        identity.is_none_or(|identity| self.offer.mark(identity) == session.secured.psk_mark)
    }

    /// What the bus calls the peer, unless its key has changed while it shook hands.
    fn secured(&self, id: SessionId, identity: &Identity, now: Instant) -> Option<Secured> {
        let mut secured = identity.secured(tls::certificate)?;
        secured.largest_datagram = Some(self.engine.room(id));
        if let Proof::Key(name) = &identity.proof {
            let mark = self.offer.mark(name)?;
            let before = self.before.iter().filter(|(until, _)| now < *until);
            let mut old = before.filter_map(|(_, before)| before.mark(name));
            if old.any(|old| old != mark) {
                return None;
            }
            secured.psk_mark = Some(mark);
        }
        Some(secured)
    }

    fn close(&mut self, id: SessionId, outlet: &mut Outlet, now: Instant) {
        if self.sessions.remove(id).is_some() {
            self.engine.close(id, now, &mut self.effects);
            self.send_datagrams(outlet);
        }
    }

    fn send_datagrams(&mut self, outlet: &mut Outlet) {
        for (to, datagram) in self.effects.datagrams.drain(..) {
            outlet.send(&datagram, to);
        }
    }
}

impl Datagrams<Secure> {
    /// Does what came of the engine's calls, and of what is done for that.
    fn heed(&mut self, now: Instant) {
        while !self.way.effects.is_empty() {
            self.way.send_datagrams(&mut self.outlet);
            for event in std::mem::take(&mut self.way.effects.events) {
                self.on(event, now);
            }
        }
    }

    fn on(&mut self, event: SessionEvent, now: Instant) {
        match event {
            SessionEvent::Opened { session, address, identity } => {
                self.opened(session, address, &identity, now)
            }
            SessionEvent::Received { session, plaintext } => {
                if let Some(open) = self.way.sessions.find_mut(session) {
                    open.earn(plaintext.len());
                    self.take(&plaintext, session, now);
                }
            }
            SessionEvent::Moved { session, address } => self.moved(session, address, now),
            SessionEvent::Closed { session, ending } => {
                let connections = self.way.sessions.remove(session).map(|session| session.connections);
                for key in connections.unwrap_or_default() {
                    self.end(key, ending.reason(), now);
                }
            }
            SessionEvent::Refused { address, refusal } => {
                let detail = refusal.detail();
                debug!(%address, listener = %self.shared.name, detail, "A DTLS handshake failed.");
                let reason = self.shared.refuse(refusal.reason());
                let link = Link { carrier: Carrier::Dtls, secured: None };
                let peer = self.shared.peer(Address::Socket(address), Transport::Datagram, link);
                let course = Course::new(now).with_detail(detail);
                self.shared.broker.tell_lost(&peer, self.shared.protocol.label(), reason, course, now);
            }
        }
    }

    fn opened(&mut self, id: SessionId, address: SocketAddr, identity: &Identity, now: Instant) {
        let Some(secured) = self.way.secured(id, identity, now) else {
            self.way.engine.close(id, now, &mut self.way.effects);
            return;
        };
        let secured = Arc::new(secured);
        let session = Session { address, secured, connections: Vec::new(), spoke: false, credit: None };
        self.way.sessions.open(id, session, now + self.shared.limits.handshake);
    }

    /// The peer has another address: its connections go on, unless nobody may come from there.
    fn moved(&mut self, id: SessionId, address: SocketAddr, now: Instant) {
        let Some(session) = self.way.sessions.find_mut(id) else { return };
        session.move_to(address);
        let banned = !self.shared.broker.admits(Address::Socket(address));
        for key in session.connections.clone() {
            match banned {
                true => self.end(key, Reason::Banned, now),
                false => self
                    .peers
                    .get_mut(key)
                    .map(|remote| remote.driver.moved(address, false))
                    .unwrap_or_default(),
            }
        }
        if banned {
            self.way.close(id, &mut self.outlet, now);
        }
    }

    /// Closes the sessions whose keys are gone, or others now.
    fn close_old(&mut self, now: Instant) {
        for id in self.way.sessions.ids() {
            let session = self.way.sessions.find(id).filter(|session| !self.way.has_good_key(session));
            let Some(session) = session else { continue };
            for key in session.connections.clone() {
                self.end(key, Reason::BadCredentials, now);
            }
            self.way.close(id, &mut self.outlet, now);
        }
    }

    /// Whether the datagram would begin a handshake that need not begin.
    fn turns_away(&self, datagram: &[u8], from: SocketAddr) -> bool {
        is_client_hello(datagram) && (self.stopping || self.shared.knock(Address::Socket(from)).is_err())
    }
}

impl Way for Secure {
    type Source = SessionId;
    type Scope = Scope;

    fn begin(datagrams: &mut Datagrams<Self>, now: Instant) {
        let way = &mut datagrams.way;
        let same_key = |parked: &Parked| match &parked.session.identity.proof {
            Proof::Key(identity) => way.offer.mark(identity) == parked.mark,
            Proof::Nothing => way.offer.settings.client_certificate != ClientCertificate::Required,
            // Whom to trust may have changed: only a handshake tells.
            Proof::Certificate(_) => false,
        };
        let parked = std::mem::take(&mut way.parked);
        let restored = parked.into_iter().filter(same_key).map(|parked| parked.session).collect();
        way.engine.restore(restored, now, &mut way.effects);
        for event in std::mem::take(&mut way.effects.events) {
            datagrams.on(event, now);
        }
        // They were let in before: they may be silent as long as any.
        for id in datagrams.way.sessions.ids() {
            if let Some(session) = datagrams.way.sessions.find_mut(id) {
                session.spoke = true;
            }
        }
        datagrams.heed(now);
    }

    fn arrive(datagrams: &mut Datagrams<Self>, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        if datagrams.turns_away(datagram, from) {
            return;
        }
        if datagrams.way.renew(now) {
            datagrams.close_old(now);
        }
        let way = &mut datagrams.way;
        way.engine.receive(datagram, from, now, &mut way.effects);
        way.works = true;
        datagrams.heed(now);
    }

    fn scope(&self, source: SessionId, rebind: bool) -> Scope {
        self.sessions.scope(source, rebind)
    }

    fn peer(&self, source: SessionId) -> Option<(SocketAddr, Link)> {
        let session = self.sessions.find(source)?;
        Some((session.address, Link { carrier: Carrier::Dtls, secured: Some(session.secured.clone()) }))
    }

    fn send(&mut self, source: SessionId, out: &Outbox, outlet: &mut Outlet, now: Instant) {
        for chunk in out.chunks() {
            let before = self.effects.datagrams.len();
            self.engine.send(source, chunk.bytes, now, &mut self.effects);
            let Some(session) = self.sessions.find_mut(source) else { continue };
            // What others were sent to make room is not this peer's.
            let made = self.effects.datagrams.iter().skip(before).filter(|(to, _)| *to == session.address);
            if !session.covers(made.map(|(_, datagram)| datagram.len()).sum()) {
                let mut made = self.effects.datagrams.split_off(before);
                made.retain(|(to, _)| *to != session.address);
                self.effects.datagrams.append(&mut made);
                self.withheld += 1;
            }
        }
        self.send_datagrams(outlet);
    }

    fn is_unreached(&self, source: SessionId) -> bool {
        self.sessions.find(source).is_some_and(|session| session.credit.is_some())
    }

    fn reached(&mut self, source: SessionId) -> Vec<usize> {
        let Some(session) = self.sessions.find_mut(source) else { return Vec::new() };
        session.credit = None;
        session.connections.clone()
    }

    fn joined(&mut self, source: SessionId, key: usize) {
        if let Some(session) = self.sessions.find_mut(source) {
            session.spoke = true;
            session.connections.push(key);
        }
    }

    fn left(
        &mut self,
        source: SessionId,
        key: usize,
        reason: Option<Reason>,
        outlet: &mut Outlet,
        now: Instant,
    ) {
        let Some(session) = self.sessions.find_mut(source) else { return };
        session.connections.retain(|other| *other != key);
        let goes_on = match reason {
            // It sleeps, or cannot be reached for now: the session spares it a handshake when it comes back.
            Some(Reason::IdleTimeout | Reason::KeepAliveTimeout | Reason::NotAcknowledged) => true,
            // What it asked for needed nobody's leave; it has proved who it is all the same.
            Some(Reason::HandshakeTimeout) => session.is_proved(),
            Some(Reason::ShuttingDown) => self.heir.is_some(),
            _ => false,
        };
        if session.connections.is_empty() && !goes_on {
            self.close(source, outlet, now);
        }
    }

    fn turned_away(&mut self, source: SessionId, outlet: &mut Outlet, now: Instant) {
        if self.sessions.find(source).is_some_and(|session| session.connections.is_empty()) {
            self.close(source, outlet, now);
        }
    }

    fn expire(datagrams: &mut Datagrams<Self>, now: Instant) {
        let way = &mut datagrams.way;
        for id in way.sessions.take_silent(now) {
            way.close(id, &mut datagrams.outlet, now);
        }
        if way.engine.deadline().is_some_and(|deadline| deadline <= now) {
            way.engine.expire(now, &mut way.effects);
        }
        let began = Instant::now();
        while way.works && began.elapsed() < WORK {
            way.works = way.engine.work(now, &mut way.effects);
        }
        datagrams.heed(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.engine.deadline().into_iter().chain(self.sessions.deadline()).min()
    }

    fn has_news(&self) -> bool {
        self.works || !self.effects.is_empty()
    }

    fn rest(&mut self) {
        *self.counts.lock() = Counts { withheld: self.withheld, ..self.engine.counts() };
    }

    fn stop(&mut self, outlet: &mut Outlet, now: Instant) {
        if let Some(heir) = self.heir.take() {
            let sessions = &self.sessions;
            let park = |session: dtls::SavedSession| {
                let mark = sessions.find(session.session).and_then(|known| known.secured.psk_mark);
                Parked { session, mark }
            };
            let _ = heir.send(self.engine.save().into_iter().map(park).collect());
        }
        for id in self.sessions.ids() {
            self.close(id, outlet, now);
        }
    }
}

/// Tells of certificates that are not shown.
fn warn_of_left_out(engine: &dyn Engine) {
    for (name, error) in engine.left_out() {
        warn!(name, %error, "A certificate is not shown over DTLS.");
    }
}

/// Whether a datagram asks for a handshake, by any of its records: their type, and that of the message in them.
/// [RFC6347 4.1, 4.2.2]
fn is_client_hello(datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let mut rest = datagram;
    while let [kind, _, _, _, _, _, _, _, _, _, _, high, low, body @ ..] = rest {
        if *kind == HANDSHAKE && body.first() == Some(&CLIENT_HELLO) {
            return true;
        }
        rest = body.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    false
}
