//! Sessions that clients may come back to: in tickets, which clients keep, or here by their ids.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dtls::Input;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::random::{self, NoRandom};

/// What clients may resume, and the keys of their tickets.
pub(crate) struct Resumption {
    lifetime: Duration,
    began: Instant,
    state: RefCell<State>,
}

/// What is kept of a session, so that its peer need not prove again who it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Resumable {
    /// The peer's identity and what its key was, if it has proved to have one.
    pub(crate) key: Option<(Arc<str>, [u8; 32])>,
    /// The server that was asked for: another one does not resume it. [RFC6066 3]
    pub(crate) server_name: Option<Arc<str>>,
    /// What Mbed TLS calls the session: master secret, suite, certificate.
    pub(crate) session: Zeroizing<Vec<u8>>,
}

struct State {
    current: TicketKey,
    previous: Option<TicketKey>,
    renewed: Instant,
    sessions: HashMap<Vec<u8>, (Instant, Resumable)>,
    /// The ids in the order in which they came, for those that make room.
    order: VecDeque<Vec<u8>>,
}

struct TicketKey {
    name: [u8; NAME],
    key: LessSafeKey,
}

/// The length of a ticket key's name.
const NAME: usize = 8;

/// How many sessions are kept by their ids; most clients want tickets, which are kept by them.
const SESSIONS: usize = 10_000;

impl Resumption {
    pub(crate) fn new(lifetime: Duration, now: Instant) -> Result<Self, NoRandom> {
        let state = State {
            current: TicketKey::new()?,
            previous: None,
            renewed: now,
            sessions: HashMap::new(),
            order: VecDeque::new(),
        };
        Ok(Self { lifetime, began: now, state: RefCell::new(state) })
    }

    /// For how long a client may resume.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Makes a ticket, which only this engine can read.
    pub(crate) fn seal(&self, resumable: &Resumable, now: Instant) -> Option<Vec<u8>> {
        let state = &mut *self.state.borrow_mut();
        state.renew(self.lifetime, now);
        let nonce: [u8; NONCE_LEN] = random::bytes().ok()?;
        let made = now.saturating_duration_since(self.began).as_secs();
        let mut sealed = resumable.encode(made)?.to_vec();
        let name = state.current.name;
        let tag = state.current.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name),
            &mut sealed,
        );
        let tag = tag.ok()?;
        Some([name.as_slice(), nonce.as_slice(), &sealed, tag.as_ref()].concat())
    }

    /// Reads a ticket; `None` if it is none of ours, or too old.
    pub(crate) fn open(&self, ticket: &[u8], now: Instant) -> Option<Resumable> {
        let state = &mut *self.state.borrow_mut();
        state.renew(self.lifetime, now);
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = [Some(&state.current), state.previous.as_ref()];
        let key = keys.into_iter().flatten().find(|key| key.name == *name)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.key.open_in_place(nonce, Aad::from(*name), &mut sealed).ok()?;
        let (made, resumable) = Resumable::decode(plain)?;
        let age = now.saturating_duration_since(self.began + Duration::from_secs(made));
        (age < self.lifetime).then_some(resumable)
    }

    /// Keeps a session by its id.
    pub(crate) fn remember(&self, id: &[u8], resumable: Resumable, now: Instant) {
        let state = &mut *self.state.borrow_mut();
        while state.order.len() >= SESSIONS {
            if let Some(oldest) = state.order.pop_front() {
                state.sessions.remove(&oldest);
            }
        }
        if state.sessions.insert(id.to_vec(), (now, resumable)).is_none() {
            state.order.push_back(id.to_vec());
        }
    }

    /// The session with an id, if it is not too old.
    pub(crate) fn recall(&self, id: &[u8], now: Instant) -> Option<Resumable> {
        let state = self.state.borrow();
        let (made, resumable) = state.sessions.get(id)?;
        (now.saturating_duration_since(*made) < self.lifetime).then(|| resumable.clone())
    }
}

impl State {
    /// After a ticket's lifetime comes another key; the one before is good until the last of its tickets has ended.
    fn renew(&mut self, lifetime: Duration, now: Instant) {
        if now.saturating_duration_since(self.renewed) < lifetime {
            return;
        }
        if let Ok(next) = TicketKey::new() {
            self.previous = Some(std::mem::replace(&mut self.current, next));
            self.renewed = now;
        }
    }
}

impl TicketKey {
    fn new() -> Result<Self, NoRandom> {
        let secret = Zeroizing::new(random::bytes::<32>()?);
        let key = UnboundKey::new(&AES_256_GCM, secret.as_slice()).map_err(|_| NoRandom)?;
        Ok(Self { name: random::bytes()?, key: LessSafeKey::new(key) })
    }
}

impl Resumable {
    fn encode(&self, made: u64) -> Option<Zeroizing<Vec<u8>>> {
        let identity = self.key.as_ref().map_or("", |(identity, _)| identity);
        let name = self.server_name.as_deref().unwrap_or_default();
        let room = 64 + identity.len() + name.len() + self.session.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        bytes.extend(made.to_be_bytes());
        bytes.push(u8::from(self.key.is_some()));
        if let Some((_, digest)) = &self.key {
            bytes.extend(digest);
        }
        bytes.push(u8::from(self.server_name.is_some()));
        for text in [identity, name] {
            bytes.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(self.session.iter());
        Some(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let mut input = Input(bytes);
        let made = u64::from_be_bytes(input.array()?);
        let digest = match input.byte()? {
            0 => None,
            _ => Some(input.array()?),
        };
        let is_named = input.byte()? != 0;
        let mut text = || {
            let length = u16::from_be_bytes(input.array()?);
            std::str::from_utf8(input.take(usize::from(length))?).ok().map(Arc::<str>::from)
        };
        let (identity, name) = (text()?, text()?);
        let key = digest.map(|digest| (identity, digest));
        let server_name = is_named.then_some(name);
        Some((made, Self { key, server_name, session: Zeroizing::new(input.0.to_vec()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumable() -> Resumable {
        let (key, server_name) = (Some(("dev1".into(), [7; 32])), Some("host".into()));
        Resumable { key, server_name, session: Zeroizing::new(vec![1, 2, 3]) }
    }

    #[test]
    fn a_ticket_is_good_for_its_lifetime_and_only_here() {
        let (hour, now) = (Duration::from_secs(3_600), Instant::now());
        let resumption = Resumption::new(hour, now).unwrap();
        let ticket = resumption.seal(&resumable(), now + hour / 2).unwrap();
        assert!(resumption.open(&ticket, now + hour) == Some(resumable()));
        assert!(resumption.open(&ticket, now + hour / 2 + hour).is_none());
        assert!(Resumption::new(hour, now).unwrap().open(&ticket, now).is_none());
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert!(resumption.open(&changed, now + hour).is_none(), "{place}");
        }
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let (hour, now) = (Duration::from_secs(3_600), Instant::now());
        let resumption = Resumption::new(hour, now).unwrap();
        for id in 0..=SESSIONS {
            resumption.remember(&id.to_be_bytes(), resumable(), now);
        }
        assert!(resumption.recall(&0_usize.to_be_bytes(), now).is_none());
        assert!(resumption.recall(&1_usize.to_be_bytes(), now) == Some(resumable()));
        assert!(resumption.recall(&1_usize.to_be_bytes(), now + hour).is_none());
    }
}
