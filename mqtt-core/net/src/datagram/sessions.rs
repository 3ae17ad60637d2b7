use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bus::Secured;
use dtls::SessionId;

/// The sessions of a secured socket.
#[derive(Default)]
pub(crate) struct Sessions {
    by_id: HashMap<SessionId, Session>,
    /// Those that were opened and have not said anything since, with the time at which that has lasted too long.
    silent: VecDeque<(Instant, SessionId)>,
}

/// One of them.
pub(crate) struct Session {
    pub(crate) address: SocketAddr,
    pub(crate) secured: Arc<Secured>,
    /// The connections that it carries: one, or several behind a forwarder, or none while its peer is idle.
    pub(crate) connections: Vec<usize>,
    /// Whether it has ever carried one.
    pub(crate) spoke: bool,
    /// How many bytes may be sent to where it has moved, until its peer has shown that it hears them.
    pub(crate) credit: Option<usize>,
}

/// So many times what came from an address is sent there before its peer has shown that it hears it. [RFC9146 6]
const AMPLIFICATION: usize = 3;

/// So much of what may be sent is saved up.
const MOST_CREDIT: usize = 64 << 10;

/// What a record adds to its plaintext at least: a header, an explicit nonce and a short tag. [RFC6655 3]
const RECORD: usize = 13 + 8 + 8;

/// Where a name counts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// In this session.
    Session(SessionId),
    /// In every session with this pre-shared key's identity.
    Key(Arc<str>),
    /// In every session with the certificate of this fingerprint.
    Certificate([u8; 32]),
}

impl Session {
    /// Whether its peer has proved who it is.
    pub(crate) fn is_proved(&self) -> bool {
        self.secured.psk_identity.is_some() || self.secured.certificate.is_some()
    }

    /// Its peer has another address: little is sent there before it is known to hear it.
    pub(crate) fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
        self.credit = Some(0);
    }

    /// A record has come with so much plaintext.
    pub(crate) fn earn(&mut self, plaintext: usize) {
        if let Some(credit) = &mut self.credit {
            *credit = MOST_CREDIT.min(*credit + AMPLIFICATION * (plaintext + RECORD));
        }
    }

    /// Whether so many bytes may be sent; they are counted if so.
    pub(crate) fn covers(&mut self, bytes: usize) -> bool {
        let Some(credit) = &mut self.credit else { return true };
        let left = credit.checked_sub(bytes);
        *credit = left.unwrap_or(*credit);
        left.is_some()
    }
}

impl Sessions {
    pub(crate) fn open(&mut self, id: SessionId, session: Session, silent_until: Instant) {
        self.by_id.insert(id, session);
        self.silent.push_back((silent_until, id));
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub(crate) fn find_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.by_id.remove(&id)
    }

    pub(crate) fn ids(&self) -> Vec<SessionId> {
        self.by_id.keys().copied().collect()
    }

    /// Who has proved the same counts as the same peer where the listener rebinds; who has proved nothing is known by
    /// its session alone.
    pub(crate) fn scope(&self, id: SessionId, rebind: bool) -> Scope {
        let secured = self.by_id.get(&id).filter(|_| rebind).map(|session| &session.secured);
        let key = secured.and_then(|secured| secured.psk_identity.clone()).map(Scope::Key);
        let certificate = || secured.and_then(|secured| secured.certificate.as_ref());
        key.or_else(|| certificate().map(|certificate| Scope::Certificate(certificate.fingerprint)))
            .unwrap_or(Scope::Session(id))
    }

    /// Those whose peers have opened them without telling who they are, and then said nothing for too long.
    pub(crate) fn take_silent(&mut self, now: Instant) -> Vec<SessionId> {
        let mut silent = Vec::new();
        while let Some((_, id)) = self.silent.pop_front_if(|(until, _)| *until <= now) {
            if self.by_id.get(&id).is_some_and(|session| !session.spoke && !session.is_proved()) {
                silent.push(id);
            }
        }
        silent
    }

    /// When [`Sessions::take_silent`] may find some.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.silent.front().map(|(until, _)| *until)
    }
}
