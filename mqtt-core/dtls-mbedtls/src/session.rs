//! Open sessions: found by number, address and connection id; parked when they are silent.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dtls::{Identity, Proof, SessionId};
use zeroize::Zeroizing;

use crate::ffi::{Config, Context};
use crate::live::{List, Live};
use crate::record::Record;
use crate::shares::{Owner, Shares};

/// The open sessions.
pub(crate) struct Sessions {
    park_after: Option<Duration>,
    idle_timeout: Option<Duration>,
    live_limit: usize,
    sessions: HashMap<SessionId, Session>,
    /// A session that has an id is found by that, and here as long as none without an id is at its address.
    by_address: HashMap<SocketAddr, SessionId>,
    by_connection: HashMap<Box<[u8]>, SessionId>,
    parked: usize,
    shares: Shares,
    live: Live,
    /// When each is forgotten, at the earliest: what was heard since is looked at then.
    idling: BTreeSet<(Instant, SessionId)>,
    /// Those that make room for others, and cannot be parked.
    crowded: Vec<SessionId>,
}

/// One open session.
pub(crate) struct Session {
    known: Known,
    /// When its peer was last heard: a record that decrypts.
    heard: Instant,
    /// The same, or when it was last woken to send something.
    used: Instant,
    /// The number of the newest record when it was parked.
    newest: u64,
    state: State,
    /// The list on which it is, and its place there.
    listed: Option<(List, Instant)>,
    idle_at: Option<Instant>,
    /// Among whose it counts, and since when it is silent as far as was looked.
    share: (Owner, Instant),
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

/// What a session's context is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A record, which may be anybody's.
    Input,
    /// What is sent.
    Output,
}

/// What is due.
pub(crate) enum Due {
    Parking(SessionId),
    Idle(SessionId),
}

/// How many sessions are looked at for one that can make room.
const LOOKS: usize = 16;

/// For how long a session is awake at least that a record has woken which does not decrypt.
const DOUBT: Duration = Duration::from_secs(1);

/// How many such sessions there may be; of more those are parked at once that were woken first.
const MOST_DOUBTED: usize = 1_000;

/// How many record numbers below the newest may still come. [RFC6347 4.1.2.6]
const WINDOW: u64 = 64;

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
            shares: Shares::default(),
            live: Live::default(),
            idling: BTreeSet::new(),
            crowded: Vec::new(),
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
        self.list(session, List::Silent, now);
        self.make_room(session);
    }

    /// Takes in a session that was saved. Those that were heard later are taken in later.
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
        let (address, has_id) = (known.address, known.connection.is_some());
        let share = (self.shares.owner(&known.identity.proof), now);
        self.shares.insert(share.0, share.1, session);
        let (newest, listed, idle_at) = (0, None, None);
        let entry = Session { known, heard: now, used: now, newest, state, listed, idle_at, share };
        self.sessions.insert(session, entry);
        self.take_address(address, session, has_id);
        self.await_silence(session);
    }

    /// Finds a session by this address from now on, unless only by it another is found that is not found otherwise.
    fn take_address(&mut self, address: SocketAddr, session: SessionId, has_id: bool) {
        let holder = self.by_address.get(&address).and_then(|holder| self.sessions.get(holder));
        if !has_id || holder.is_none_or(|holder| holder.known.connection.is_some()) {
            self.by_address.insert(address, session);
        }
    }

    /// Whether a record may wake a session, as far as that can be told without its keys; one that is awake needs no
    /// leave.
    pub(crate) fn may_wake(&self, session: SessionId, record: &Record<'_>) -> bool {
        let parked = self.sessions.get(&session).filter(|entry| matches!(entry.state, State::Parked(_)));
        parked.is_none_or(|entry| {
            let is_new = record.number().saturating_add(WINDOW) > entry.newest;
            record.epoch == 1 && is_new
        })
    }

    /// The context of a session, loaded if it was parked. The session is over if there is none.
    pub(crate) fn context(
        &mut self,
        session: SessionId,
        cause: Cause,
        config: &Rc<Config>,
        now: Instant,
    ) -> Option<&mut Context> {
        let entry = self.sessions.get_mut(&session)?;
        if let State::Parked(_) = entry.state {
            let State::Parked(state) = std::mem::replace(&mut entry.state, State::Gone) else { return None };
            self.parked -= 1;
            if let Ok(context) = Context::load(config, &state, now) {
                entry.state = State::Live(Box::new(context));
            }
            match cause {
                Cause::Input => {
                    self.make_room_for_doubted();
                    self.list(session, List::Doubted, now);
                }
                Cause::Output => {
                    entry.used = now;
                    self.list(session, List::Silent, now);
                    self.make_room(session);
                }
            }
        }
        match &mut self.sessions.get_mut(&session)?.state {
            State::Live(context) => Some(context),
            State::Parked(_) | State::Gone => None,
        }
    }

    /// Notes that something came of a session's peer.
    pub(crate) fn hear(&mut self, session: SessionId, now: Instant) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        (entry.heard, entry.used) = (now, now);
        if entry.listed.is_none_or(|(list, _)| list != List::Silent) {
            self.list(session, List::Silent, now);
            self.make_room(session);
        }
        self.await_silence(session);
    }

    /// Notes that a session's peer has another address. What has no id keeps the address it is found by.
    pub(crate) fn move_to(&mut self, session: SessionId, address: SocketAddr) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let has_id = entry.known.connection.is_some();
        let old = std::mem::replace(&mut entry.known.address, address);
        if self.by_address.get(&old) == Some(&session) {
            self.by_address.remove(&old);
        }
        self.take_address(address, session, has_id);
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
        if let Some(listed) = entry.listed {
            self.live.remove(listed, session);
        }
        entry.idle_at.map(|at| self.idling.remove(&(at, session)));
        self.shares.remove(entry.share.0, entry.share.1, session);
        self.parked -= usize::from(matches!(entry.state, State::Parked(_)));
        Some(entry)
    }

    /// Takes every session out, those first that were heard of first.
    pub(crate) fn drain(&mut self) -> Vec<(SessionId, Session)> {
        self.by_address.clear();
        self.by_connection.clear();
        self.live = Live::default();
        self.idling.clear();
        self.shares = Shares::default();
        self.parked = 0;
        let mut sessions: Vec<_> = self.sessions.drain().collect();
        sessions.sort_by_key(|(session, entry)| (entry.heard, *session));
        sessions
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let idling = self.idling.first().map(|(at, _)| *at);
        let silent = self.park_after.and_then(|time| Some(self.live.first(List::Silent)?.0 + time));
        let doubted = self.live.first(List::Doubted).map(|(since, _)| since + DOUBT);
        [idling, silent, doubted].into_iter().flatten().min()
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
                _ => self.await_silence(session),
            }
        }
        let is_over = |(since, _): &(Instant, SessionId), time| now.saturating_duration_since(*since) >= time;
        let doubted = self.live.first(List::Doubted).filter(|first| is_over(first, DOUBT));
        if let Some((_, session)) = doubted {
            return Some(Due::Parking(session));
        }
        let time = self.park_after?;
        while let Some((since, session)) = self.live.first(List::Silent).filter(|first| is_over(first, time))
        {
            match self.sessions.get(&session).map(|entry| entry.used) {
                Some(used) if used > since => self.list(session, List::Silent, used),
                _ => return Some(Due::Parking(session)),
            }
        }
        None
    }

    /// Parks a session, if it can be parked; else it stays as it is until it is heard of again, or makes room.
    pub(crate) fn park(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if let Some(listed) = entry.listed.take() {
            self.live.remove(listed, session);
        }
        match std::mem::replace(&mut entry.state, State::Gone) {
            State::Live(context) => {
                entry.newest = context.newest();
                match context.save() {
                    Ok(state) => {
                        entry.state = State::Parked(state);
                        self.parked += 1;
                    }
                    Err(context) => {
                        entry.state = State::Live(context);
                        let used = entry.used;
                        self.list(session, List::Lasting, used);
                    }
                }
            }
            other => entry.state = other,
        }
    }

    /// Whether one can end to make room for who has proved something else than others.
    pub(crate) fn can_give(&self) -> bool {
        self.shares.has_large()
    }

    /// The session that ends for another of this proof when there are too many: whoever has most of them gives one up that
    /// is silent for longest.
    pub(crate) fn given(&mut self, proof: &Proof) -> Option<SessionId> {
        let giver = self.shares.giver(self.shares.owner(proof))?;
        for _ in 0..LOOKS {
            let (since, session) = self.shares.first(giver)?;
            let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.heard > since) else {
                break;
            };
            entry.share.1 = entry.heard;
            self.shares.put_off((giver, since), entry.heard, session);
        }
        self.shares.first(giver).map(|(_, session)| session)
    }

    /// One that was live, could not be parked and must make room.
    pub(crate) fn crowded(&mut self) -> Option<SessionId> {
        self.crowded.pop()
    }

    /// Puts a live session on a list, and on no other.
    fn list(&mut self, session: SessionId, list: List, since: Instant) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if let Some(listed) = entry.listed.replace((list, since)) {
            self.live.remove(listed, session);
        }
        self.live.insert((list, since), session);
    }

    /// Has a session forgotten once nothing is heard of it for long.
    fn await_silence(&mut self, session: SessionId) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if let (Some(time), None) = (self.idle_timeout, entry.idle_at) {
            entry.idle_at = Some(entry.heard + time);
            self.idling.insert((entry.heard + time, session));
        }
    }

    /// One more session is to be woken by what may be anybody's: who has many of them woken in vain keeps none asleep.
    fn make_room_for_doubted(&mut self) {
        if self.live.count(List::Doubted) >= MOST_DOUBTED
            && let Some((_, first)) = self.live.first(List::Doubted)
        {
            self.park(first);
        }
    }

    /// While there are too many live sessions, those that are silent for longest are parked early, or else end; but not
    /// the one that is worked on.
    fn make_room(&mut self, but: SessionId) {
        if self.park_after.is_none() {
            return;
        }
        for _ in 0..LOOKS {
            if self.live.count(List::Silent) + self.live.count(List::Lasting) <= self.live_limit {
                return;
            }
            let firsts = [List::Silent, List::Lasting].map(|list| Some((self.live.first(list)?, list)));
            let Some(((since, session), list)) = firsts.into_iter().flatten().min() else { return };
            let used = self.sessions.get(&session).map_or(since, |entry| entry.used);
            match list {
                _ if session == but || used > since => self.list(session, list, used),
                List::Lasting => {
                    if let Some(listed) =
                        self.sessions.get_mut(&session).and_then(|entry| entry.listed.take())
                    {
                        self.live.remove(listed, session);
                        self.crowded.push(session);
                    }
                }
                List::Silent | List::Doubted => self.park(session),
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
