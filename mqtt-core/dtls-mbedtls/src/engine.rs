use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use dtls::{Counts, Effects, Ending, Engine, EngineError, SavedSession, SessionEvent, SessionId, Settings};

use crate::cookie::Cookies;
use crate::ffi::{Carrier, Config, LONGEST_IN, LONGEST_OUT};
use crate::handshake::Handshakes;
use crate::kept::{self, Kept};
use crate::record::Record;
use crate::resumption::Resumption;
use crate::session::{Cause, Due, Known, Sessions};
use crate::settings;
use crate::taking::Haste;
use crate::waiting::Waiting;

/// The sessions of one datagram socket.
pub(crate) struct MbedEngine {
    pub(crate) settings: Settings,
    pub(crate) config: Rc<Config>,
    resumption: Option<Rc<Resumption>>,
    pub(crate) cookies: Cookies,
    pub(crate) handshakes: Handshakes,
    pub(crate) sessions: Sessions,
    /// Records of handshakes.
    pub(crate) waiting: Waiting,
    pub(crate) next: u64,
    pub(crate) counts: Counts,
    /// What a context wrote, until it is in the effects.
    pub(crate) output: Vec<Vec<u8>>,
    pub(crate) buffer: Box<[u8]>,
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
            waiting: Waiting::default(),
            settings: settings.clone(),
            next: 1,
            counts: Counts::default(),
            output: Vec::new(),
            buffer: vec![0; LONGEST_IN].into_boxed_slice(),
        })
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
            self.arrive(&record, from, now, effects);
        }
        self.end_crowded(now, effects);
    }

    fn work(&mut self, now: Instant, effects: &mut Effects) -> bool {
        let Some((from, bytes)) = self.waiting.pop() else { return false };
        if let Some((record, _)) = Record::split(&bytes, self.config.connection_id_length()) {
            self.take(&record, from, Haste::Now, now, effects);
        }
        self.end_crowded(now, effects);
        true
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

    fn left_out(&self) -> Vec<(String, EngineError)> {
        self.config.left_out().to_vec()
    }

    fn save(&mut self) -> Vec<SavedSession> {
        self.handshakes.clear();
        self.waiting = Waiting::default();
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
