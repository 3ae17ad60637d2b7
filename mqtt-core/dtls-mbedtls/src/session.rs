//! Open sessions: found by number, address and connection id; parked when they are silent.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dtls::{Identity, SessionId};
use zeroize::Zeroizing;

use crate::ffi::{Config, Context};

/// The open sessions.
pub(crate) struct Sessions {
    park_after: Option<Duration>,
    idle_timeout: Option<Duration>,
    live_limit: usize,
    sessions: HashMap<SessionId, Session>,
    by_address: HashMap<SocketAddr, SessionId>,
    by_connection: HashMap<Box<[u8]>, SessionId>,
    parked: usize,
    /// When each live session may be parked, and when each is forgotten, at the earliest: what was heard since is looked
    /// at then.
    parking: BTreeSet<(Instant, SessionId)>,
    idling: BTreeSet<(Instant, SessionId)>,
}

/// One open session.
pub(crate) struct Session {
    known: Known,
    heard: Instant,
    state: State,
    park_at: Option<Instant>,
    idle_at: Option<Instant>,
}

/// What is known of a session whether it is parked or not.
pub(crate) struct Known {
    /// Where its peer is.
    pub(crate) address: SocketAddr,
    /// The id that its records have.
    pub(crate) connection: Option<Box<[u8]>>,
    pub(crate) identity: Arc<Identity>,
    /// The longest plaintext of a record.
    pub(crate) room: u16,
}

enum State {
    Live(Box<Context>),
    /// What a context was saved as. It is loaded once.
    Parked(Zeroizing<Vec<u8>>),
    /// It was parked and could not be loaded; or it is being worked on.
    Gone,
}

/// What is due.
pub(crate) enum Due {
    Parking(SessionId),
    Idle(SessionId),
}

/// How many sessions are looked at for one that can be parked early.
const LOOKS: usize = 16;

impl Sessions {
    pub(crate) fn new(
        park_after: Option<Duration>,
        idle_timeout: Option<Duration>,
        live_limit: usize,
    ) -> Self {
        Self {
            park_after,
            idle_timeout,
            live_limit,
            sessions: HashMap::new(),
            by_address: HashMap::new(),
            by_connection: HashMap::new(),
            parked: 0,
            parking: BTreeSet::new(),
            idling: BTreeSet::new(),
        }
    }

    pub(crate) fn set_times(
        &mut self,
        park_after: Option<Duration>,
        idle_timeout: Option<Duration>,
        live_limit: usize,
    ) {
        (self.park_after, self.idle_timeout, self.live_limit) = (park_after, idle_timeout, live_limit);
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn parked(&self) -> usize {
        self.parked
    }

    pub(crate) fn get(&self, session: SessionId) -> Option<&Known> {
        self.sessions.get(&session).map(|entry| &entry.known)
    }

    pub(crate) fn at(&self, address: &SocketAddr) -> Option<SessionId> {
        self.by_address.get(address).copied()
    }

    pub(crate) fn with_connection(&self, connection: &[u8]) -> Option<SessionId> {
        self.by_connection.get(connection).copied()
    }

    /// Takes in a session whose handshake is done.
    pub(crate) fn open(&mut self, session: SessionId, context: Box<Context>, known: Known, now: Instant) {
        self.insert(session, State::Live(context), known, now);
        self.keep_live_few(session);
    }

    /// Takes in a session that was saved.
    pub(crate) fn restore(
        &mut self,
        session: SessionId,
        state: Zeroizing<Vec<u8>>,
        known: Known,
        now: Instant,
    ) {
        self.parked += 1;
        self.insert(session, State::Parked(state), known, now);
    }

    fn insert(&mut self, session: SessionId, state: State, known: Known, now: Instant) {
        if let Some(connection) = &known.connection {
            self.by_connection.insert(connection.clone(), session);
        }
        self.by_address.insert(known.address, session);
        let entry = Session { known, heard: now, state, park_at: None, idle_at: None };
        self.sessions.insert(session, entry);
        self.schedule(session);
    }

    /// The context of a session, loaded if it was parked. The session is over if there is none.
    pub(crate) fn context(
        &mut self,
        session: SessionId,
        config: &Rc<Config>,
        now: Instant,
    ) -> Option<&mut Context> {
        let entry = self.sessions.get_mut(&session)?;
        if let State::Parked(_) = entry.state {
            let State::Parked(state) = std::mem::replace(&mut entry.state, State::Gone) else { return None };
            self.parked -= 1;
            entry.heard = now;
            if let Ok(context) = Context::load(config, &state, now) {
                entry.state = State::Live(Box::new(context));
            }
            self.schedule(session);
            self.keep_live_few(session);
        }
        match &mut self.sessions.get_mut(&session)?.state {
            State::Live(context) => Some(context),
            State::Parked(_) | State::Gone => None,
        }
    }

    /// Notes that something came of a session's peer.
    pub(crate) fn hear(&mut self, session: SessionId, now: Instant) {
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.heard = now;
        }
        self.schedule(session);
    }

    /// Notes that a session's peer has another address. What has no id keeps the address it is found by.
    pub(crate) fn move_to(&mut self, session: SessionId, address: SocketAddr) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let old = std::mem::replace(&mut entry.known.address, address);
        if self.by_address.get(&old) == Some(&session) {
            self.by_address.remove(&old);
        }
        let holder = self.by_address.get(&address).and_then(|holder| self.sessions.get(holder));
        if holder.is_none_or(|holder| holder.known.connection.is_some()) {
            self.by_address.insert(address, session);
        }
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, session: SessionId) -> Option<Session> {
        let entry = self.sessions.remove(&session)?;
        if self.by_address.get(&entry.known.address) == Some(&session) {
            self.by_address.remove(&entry.known.address);
        }
        if let Some(connection) = &entry.known.connection
            && self.by_connection.get(connection) == Some(&session)
        {
            self.by_connection.remove(connection);
        }
        entry.park_at.map(|at| self.parking.remove(&(at, session)));
        entry.idle_at.map(|at| self.idling.remove(&(at, session)));
        self.parked -= usize::from(matches!(entry.state, State::Parked(_)));
        Some(entry)
    }

    /// Takes every session out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (SessionId, Session)> + use<> {
        self.by_address.clear();
        self.by_connection.clear();
        self.parking.clear();
        self.idling.clear();
        self.parked = 0;
        std::mem::take(&mut self.sessions).into_iter()
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first = |set: &BTreeSet<(Instant, SessionId)>| set.first().map(|(at, _)| *at);
        first(&self.parking).into_iter().chain(first(&self.idling)).min()
    }

    /// Something that is due, taken off the list. What was heard of since is put on it again.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        while let Some((_, session)) = self.idling.first().copied().filter(|(at, _)| *at <= now) {
            self.idling.pop_first();
            let Some(entry) = self.sessions.get_mut(&session) else { continue };
            entry.idle_at = None;
            match self.idle_timeout {
                Some(timeout) if now.saturating_duration_since(entry.heard) >= timeout => {
                    return Some(Due::Idle(session));
                }
                _ => self.schedule(session),
            }
        }
        while let Some((_, session)) = self.parking.first().copied().filter(|(at, _)| *at <= now) {
            self.parking.pop_first();
            let Some(entry) = self.sessions.get_mut(&session) else { continue };
            entry.park_at = None;
            match self.park_after {
                Some(time) if now.saturating_duration_since(entry.heard) >= time => {
                    return Some(Due::Parking(session));
                }
                _ => self.schedule(session),
            }
        }
        None
    }

    /// Parks a session, if it can be parked; else it stays as it is until it is heard of again.
    pub(crate) fn park(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        entry.park_at.take().map(|at| self.parking.remove(&(at, session)));
        match std::mem::replace(&mut entry.state, State::Gone) {
            State::Live(context) => match context.save() {
                Ok(state) => {
                    entry.state = State::Parked(state);
                    self.parked += 1;
                }
                Err(context) => entry.state = State::Live(context),
            },
            other => entry.state = other,
        }
    }

    /// Puts a session on the lists on which it belongs and is not.
    fn schedule(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if let (Some(time), State::Live(_), None) = (self.park_after, &entry.state, entry.park_at) {
            entry.park_at = Some(entry.heard + time);
            self.parking.insert((entry.heard + time, session));
        }
        if let (Some(time), None) = (self.idle_timeout, entry.idle_at) {
            entry.idle_at = Some(entry.heard + time);
            self.idling.insert((entry.heard + time, session));
        }
    }

    /// Parks sessions early while there are too many live ones, but for the one that is worked on.
    fn keep_live_few(&mut self, but: SessionId) {
        let Some(time) = self.park_after else { return };
        for _ in 0..LOOKS {
            if self.sessions.len() - self.parked <= self.live_limit {
                return;
            }
            let Some((at, session)) = self.parking.pop_first() else { return };
            let Some(entry) = self.sessions.get_mut(&session) else { continue };
            entry.park_at = None;
            if session != but && entry.heard + time <= at {
                self.park(session);
            } else {
                self.schedule(session);
            }
        }
    }
}

impl Session {
    /// What is known of the session, and what it is saved as; `None` if it cannot be.
    pub(crate) fn into_saved(self) -> Option<(Known, Zeroizing<Vec<u8>>)> {
        match self.state {
            State::Live(context) => Some((self.known, context.save().ok()?)),
            State::Parked(state) => Some((self.known, state)),
            State::Gone => None,
        }
    }
}
