use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use dtls::{
    Counts, Effects, Ending, Engine, EngineError, Proof, Refusal, SavedSession, SessionEvent, SessionId,
    Settings,
};

use crate::cookie::Cookies;
use crate::ffi::{Carrier, Config, Context, Failure, LONGEST_IN, LONGEST_OUT, Read, Step};
use crate::handshake::{Handshake, Handshakes};
use crate::kept::{self, Kept};
use crate::outcome;
use crate::random;
use crate::record::{HANDSHAKE, Record};
use crate::resumption::Resumption;
use crate::session::{Cause, Due, Known, Sessions};
use crate::settings;

/// The sessions of one datagram socket.
pub(crate) struct MbedEngine {
    settings: Settings,
    config: Rc<Config>,
    resumption: Option<Rc<Resumption>>,
    cookies: Cookies,
    handshakes: Handshakes,
    sessions: Sessions,
    next: u64,
    counts: Counts,
    /// What a context wrote, until it is in the effects.
    output: Vec<Vec<u8>>,
    buffer: Box<[u8]>,
}

// SAFETY: what is not `Send` in it are its configurations and contexts, which share configurations by `Rc` and have raw
// pointers into them. All that share one are in the same engine and nothing of them leaves it, so that they move
// together, and one thread at a time uses them. Mbed TLS keeps nothing by thread.
unsafe impl Send for MbedEngine {}

impl MbedEngine {
    pub(crate) fn new(settings: &Settings, now: Instant) -> Result<Self, EngineError> {
        settings::check(settings)?;
        let machine = |_| EngineError::Machine("there are no random numbers".to_owned());
        let lifetime = settings.resumption;
        let resumption = (!lifetime.is_zero()).then(|| Resumption::new(lifetime, now).map(Rc::new));
        let resumption = resumption.transpose().map_err(machine)?;
        Ok(Self {
            config: Config::server(settings, Carrier::Datagrams, resumption.clone(), now)?,
            resumption,
            cookies: Cookies::new(now).map_err(machine)?,
            handshakes: Handshakes::default(),
            sessions: Sessions::new(settings.park_after, settings.idle_timeout, settings.live_sessions),
            settings: settings.clone(),
            next: 1,
            counts: Counts::default(),
            output: Vec::new(),
            buffer: vec![0; LONGEST_IN].into_boxed_slice(),
        })
    }

    fn take(&mut self, record: &Record<'_>, from: SocketAddr, now: Instant, effects: &mut Effects) {
        if let Some(connection) = record.connection {
            return match self.sessions.with_connection(connection) {
                Some(session) => {
                    self.read(session, record, from, now, effects);
                }
                None => {
                    let waits = self.handshakes.get(&from);
                    match waits.is_some_and(|handshake| *handshake.connection == *connection) {
                        true => self.go_on(from, record.bytes, now, effects),
                        false => self.counts.bad_records += 1,
                    }
                }
            };
        }
        if record.begins_handshake() {
            return self.begin(record, from, now, effects);
        }
        let waits = self.handshakes.get(&from).is_some();
        // A record of epoch 0 says nothing that an open session may believe.
        let open = self.sessions.at(&from).filter(|_| record.epoch != 0);
        // Where a handshake follows a session, its last message is no data, and data is the session's.
        match open {
            Some(session) if !(waits && record.content == HANDSHAKE) => {
                let is_read = self.read(session, record, from, now, effects);
                if !is_read && waits {
                    self.go_on(from, record.bytes, now, effects);
                }
            }
            _ if waits => self.go_on(from, record.bytes, now, effects),
            _ => self.counts.bad_records += 1,
        }
    }

    /// Takes a hello. Nothing is kept of one without a cookie, and an open session at its address lives on until another
    /// handshake there is done. [RFC6347 4.2.1, 4.2.8]
    fn begin(&mut self, record: &Record<'_>, from: SocketAddr, now: Instant, effects: &mut Effects) {
        let Some(hello) = record.hello() else {
            self.counts.bad_records += 1;
            return;
        };
        if !self.cookies.proves(&hello, from, now) {
            self.counts.cookies += 1;
            effects.datagrams.push((from, self.cookies.request(record, &hello, from, now)));
            return;
        }
        if self.handshakes.get(&from).is_some_and(|handshake| handshake.random == *hello.random) {
            return self.go_on(from, record.bytes, now, effects);
        }
        let is_new = self.handshakes.take(&from).is_none();
        let is_full = self.handshakes.len() >= self.settings.half_open
            || self.sessions.len() + self.handshakes.len() >= self.settings.sessions;
        let handshake = match is_new && is_full {
            true => None,
            false => self.handshake(*hello.random, now),
        };
        let Some(handshake) = handshake else {
            self.counts.turned_away += 1;
            return;
        };
        self.handshakes.put(from, handshake, now);
        self.go_on(from, record.bytes, now, effects);
    }

    fn handshake(&self, random: [u8; 32], now: Instant) -> Option<Handshake> {
        let mut connection = vec![0; self.config.connection_id_length()].into_boxed_slice();
        random::fill(&mut connection).ok()?;
        if !connection.is_empty() && self.sessions.with_connection(&connection).is_some() {
            return None;
        }
        let context = Context::new(&self.config, &connection, now).ok()?;
        Some(Handshake::new(context, connection, random, now + self.settings.handshake_timeout))
    }

    /// Goes on with the handshake at an address, with a record or for its timers.
    fn go_on(&mut self, from: SocketAddr, input: &[u8], now: Instant, effects: &mut Effects) {
        let Some(mut handshake) = self.handshakes.take(&from) else { return };
        let step = match handshake.is_over(now) {
            true => Step::Failed(Failure::TIMEOUT),
            false => handshake.context.handshake(input, now, &mut self.output),
        };
        self.flush(from, effects);
        let refusal = match step {
            Step::Waiting => return self.handshakes.put(from, handshake, now),
            Step::Failed(Failure::TIMEOUT) => outcome::silence(&handshake.context),
            Step::Failed(failure) => outcome::refusal(&handshake.context, failure),
            Step::Done => match self.open(handshake, from, now, effects) {
                Ok(()) => return,
                Err(refusal) => refusal,
            },
        };
        self.counts.refused += 1;
        effects.events.push(SessionEvent::Refused { address: from, refusal });
    }

    fn open(
        &mut self,
        handshake: Handshake,
        address: SocketAddr,
        now: Instant,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let context = handshake.context;
        let identity = Arc::new(outcome::identity(&context, outcome::DTLS)?);
        self.counts.handshakes += 1;
        self.counts.resumed += u64::from(context.notes().has_resumed(context.suite()));
        if let Some(before) = self.sessions.at(&address) {
            // One with an id is found elsewhere, so that somebody else may have its address now.
            let lives_on = self.sessions.get(before).is_some_and(|session| {
                session.connection.is_some()
                    && (session.identity.proof != identity.proof || identity.proof == Proof::Nothing)
            });
            if !lives_on {
                self.end(before, Ending::Replaced, effects);
            }
        }
        let session = SessionId(self.next);
        self.next += 1;
        let connection = context.has_connection_id().then_some(handshake.connection);
        let known = Known { address, connection, identity: identity.clone(), room: context.room() };
        self.sessions.open(session, context, known, now);
        effects.events.push(SessionEvent::Opened { session, address, identity });
        Ok(())
    }

    /// Gives a record to an open session; returns whether it was decrypted.
    fn read(
        &mut self,
        session: SessionId,
        record: &Record<'_>,
        from: SocketAddr,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        if !self.sessions.may_wake(session, record) {
            self.counts.bad_records += 1;
            return false;
        }
        let Some(context) = self.sessions.context(session, Cause::Input, &self.config, now) else {
            self.end(session, Ending::Failed, effects);
            return false;
        };
        let newest = context.newest();
        let read = context.read(record.bytes, now, &mut self.output, &mut self.buffer);
        let (is_newest, alert) = (context.newest() > newest, context.alert());
        let is_read = match read {
            Read::Plaintext(_) | Read::Failed(Failure::CLOSED | Failure::ALERT) => true,
            Read::Nothing | Read::Failed(_) => is_newest,
        };
        if !is_read {
            self.counts.bad_records += 1;
            self.output.clear();
            return false;
        }
        self.sessions.hear(session, now);
        // [RFC9146 6] Only what decrypts and is newer than all before moves a session.
        if is_newest && self.sessions.get(session).is_some_and(|session| session.address != from) {
            self.sessions.move_to(session, from);
            self.counts.moved += 1;
            effects.events.push(SessionEvent::Moved { session, address: from });
        }
        let address = self.sessions.get(session).map_or(from, |session| session.address);
        match read {
            Read::Plaintext(length) => {
                let plaintext = self.buffer.get(..length).unwrap_or_default().to_vec();
                effects.events.push(SessionEvent::Received { session, plaintext });
            }
            Read::Nothing => {}
            Read::Failed(failure) => {
                // A good-bye is answered with one. [RFC5246 7.2.1]
                if failure == Failure::CLOSED
                    && let Some(context) = self.sessions.context(session, Cause::Output, &self.config, now)
                {
                    context.close(now, &mut self.output);
                }
                let ending = match failure {
                    Failure::CLOSED => Ending::Closed,
                    Failure::ALERT => Ending::Alert(alert),
                    _ => Ending::Failed,
                };
                self.end(session, ending, effects);
            }
        }
        self.flush(address, effects);
        true
    }

    /// Ends the sessions that make room for others; their peers are told, so that they come back.
    fn end_crowded(&mut self, now: Instant, effects: &mut Effects) {
        while let Some(session) = self.sessions.crowded() {
            self.say_good_bye(session, now, effects);
            self.end(session, Ending::Crowded, effects);
        }
    }

    fn say_good_bye(&mut self, session: SessionId, now: Instant, effects: &mut Effects) {
        let Some(address) = self.sessions.get(session).map(|session| session.address) else { return };
        if let Some(context) = self.sessions.context(session, Cause::Output, &self.config, now) {
            context.close(now, &mut self.output);
        }
        self.flush(address, effects);
    }

    fn end(&mut self, session: SessionId, ending: Ending, effects: &mut Effects) {
        if self.sessions.remove(session).is_some() {
            effects.events.push(SessionEvent::Closed { session, ending });
        }
    }

    fn flush(&mut self, address: SocketAddr, effects: &mut Effects) {
        effects.datagrams.extend(self.output.drain(..).map(|datagram| (address, datagram)));
    }
}

impl Engine for MbedEngine {
    fn receive(&mut self, datagram: &[u8], from: SocketAddr, now: Instant, effects: &mut Effects) {
        let mut rest = datagram;
        while !rest.is_empty() {
            let Some((record, after)) = Record::split(rest, self.config.connection_id_length()) else {
                self.counts.bad_records += 1;
                return;
            };
            rest = after;
            self.take(&record, from, now, effects);
        }
        self.end_crowded(now, effects);
    }

    fn send(&mut self, session: SessionId, plaintext: &[u8], now: Instant, effects: &mut Effects) {
        let Some(entry) = self.sessions.get(session) else { return };
        let address = entry.address;
        if plaintext.is_empty() || plaintext.len() > usize::from(entry.room) {
            return;
        }
        let context = self.sessions.context(session, Cause::Output, &self.config, now);
        let written = context.map(|context| context.write(plaintext, now, &mut self.output));
        self.flush(address, effects);
        if !matches!(written, Some(Ok(()))) {
            self.end(session, Ending::Failed, effects);
        }
        self.end_crowded(now, effects);
    }

    fn close(&mut self, session: SessionId, now: Instant, effects: &mut Effects) {
        self.say_good_bye(session, now, effects);
        self.sessions.remove(session);
    }

    fn expire(&mut self, now: Instant, effects: &mut Effects) {
        while let Some(address) = self.handshakes.due(now) {
            self.go_on(address, &[], now, effects);
        }
        while let Some(due) = self.sessions.due(now) {
            match due {
                Due::Parking(session) => self.sessions.park(session),
                Due::Idle(session) => self.end(session, Ending::Idle, effects),
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.handshakes.deadline().into_iter().chain(self.sessions.deadline()).min()
    }

    fn room(&self, session: SessionId) -> usize {
        self.sessions.get(session).map_or(LONGEST_OUT, |session| usize::from(session.room))
    }

    fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            parked: self.sessions.parked(),
            half_open: self.handshakes.len(),
            ..self.counts
        }
    }

    fn reconfigure(&mut self, settings: &Settings) -> Result<(), EngineError> {
        settings::check(settings)?;
        let now = self.config.now();
        let mut settings = settings.clone();
        // Sessions are found by ids of one length.
        settings.connection_id_length = self.settings.connection_id_length;
        settings.resumption = self.settings.resumption;
        self.config = Config::server(&settings, Carrier::Datagrams, self.resumption.clone(), now)?;
        self.sessions.set_times(settings.park_after, settings.idle_timeout, settings.live_sessions);
        self.settings = settings;
        Ok(())
    }

    fn save(&mut self) -> Vec<SavedSession> {
        self.handshakes.clear();
        let sessions = self.sessions.drain().into_iter();
        let saved = sessions.filter_map(|(session, entry)| {
            let (known, context) = entry.into_saved()?;
            let state = kept::encode(&known, &context)?;
            Some(SavedSession { session, address: known.address, identity: known.identity, state })
        });
        saved.collect()
    }

    fn restore(&mut self, saved: Vec<SavedSession>, now: Instant, effects: &mut Effects) {
        for SavedSession { session, address, identity, state } in saved {
            let Some(Kept { room, connection, context }) = kept::decode(&state) else { continue };
            // Ids of another length would not be found.
            let length = self.config.connection_id_length();
            let is_found = connection.as_ref().is_none_or(|connection| connection.len() == length);
            if !is_found || self.sessions.get(session).is_some() {
                continue;
            }
            self.next = self.next.max(session.0.saturating_add(1));
            let known = Known { address, connection, identity: identity.clone(), room };
            self.sessions.restore(session, context, known, now);
            effects.events.push(SessionEvent::Opened { session, address, identity });
        }
    }
}
