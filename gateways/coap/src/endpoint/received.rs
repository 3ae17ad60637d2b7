use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::time::Instant;

/// The messages of one peer that may still come again, and what to send when they do [RFC7252 4.2].
///
/// A message is known by its id and its bytes. RFC 7252 asks for the id only, but a device that restarts begins
/// again with the ids of a minute ago; its new requests must not be answered with the answers to old ones.
#[derive(Debug)]
pub(crate) struct Received {
    seen: HashMap<u16, Seen>,
    /// Oldest first; stale where the id was taken over by newer bytes.
    order: VecDeque<(u16, u64)>,
    /// The bytes of all cached answers.
    cached: usize,
    pending: usize,
    most_bytes: usize,
}

/// About what it takes to know a message again, its answer aside.
pub(crate) const PER_MESSAGE: usize = 128;

#[derive(Debug)]
struct Seen {
    digest: u64,
    until: Instant,
    state: State,
}

/// How far a message has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A request that awaits its answer, which may still travel in the acknowledgement.
    Pending,
    /// A confirmable request that was acknowledged before its answer was there.
    Acknowledged,
    /// Nothing more is to be done; this is what its duplicates get, if anything.
    Done(Option<Box<[u8]>>),
}

impl Received {
    /// Messages and answers of so many bytes, and always one message: a count alone would be too much to keep of
    /// large answers, or too little of a peer that sends so many messages between a message and its retransmission.
    pub(crate) fn new(most_bytes: usize) -> Self {
        let (seen, order) = (HashMap::new(), VecDeque::new());
        Self { seen, order, cached: 0, pending: 0, most_bytes: most_bytes.max(PER_MESSAGE) }
    }

    pub(crate) fn digest(datagram: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(datagram);
        hasher.finish()
    }

    /// How many requests await their answer.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    pub(crate) fn state(&self, id: u16, digest: u64, now: Instant) -> Option<&State> {
        self.seen.get(&id).filter(|seen| seen.digest == digest && seen.until > now).map(|seen| &seen.state)
    }

    pub(crate) fn insert(&mut self, id: u16, digest: u64, until: Instant, state: State, now: Instant) {
        self.trim(now);
        self.forget(id, None);
        self.count(&state);
        self.seen.insert(id, Seen { digest, until, state });
        self.order.push_back((id, digest));
        self.trim(now);
    }

    /// Moves a message on, unless it was forgotten meanwhile.
    pub(crate) fn update(&mut self, id: u16, digest: u64, state: State, now: Instant) {
        let Some(seen) = self.seen.get_mut(&id).filter(|seen| seen.digest == digest) else { return };
        let before = std::mem::replace(&mut seen.state, state.clone());
        self.discount(&before);
        self.count(&state);
        self.trim(now);
    }

    /// Forgets what is too old, and the oldest while there is too much.
    pub(crate) fn trim(&mut self, now: Instant) {
        while let Some((id, digest)) = self.order.front().copied() {
            let expired = self.seen.get(&id).is_none_or(|seen| seen.digest != digest || seen.until <= now);
            let full = self.order.len() * PER_MESSAGE + self.cached > self.most_bytes;
            if !expired && !full {
                break;
            }
            self.order.pop_front();
            self.forget(id, Some(digest));
        }
        if self.seen.is_empty() {
            (self.seen, self.order) = (HashMap::new(), VecDeque::new()); // an idle peer costs nothing
        }
    }

    fn forget(&mut self, id: u16, digest: Option<u64>) {
        if digest.is_none_or(|digest| self.seen.get(&id).is_some_and(|seen| seen.digest == digest))
            && let Some(seen) = self.seen.remove(&id)
        {
            self.discount(&seen.state);
        }
    }

    fn count(&mut self, state: &State) {
        match state {
            State::Pending | State::Acknowledged => self.pending += 1,
            State::Done(answer) => self.cached += answer.as_ref().map_or(0, |answer| answer.len()),
        }
    }

    fn discount(&mut self, state: &State) {
        match state {
            State::Pending | State::Acknowledged => self.pending -= 1,
            State::Done(answer) => self.cached -= answer.as_ref().map_or(0, |answer| answer.len()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs a time to begin with")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_answers_make_room_for_new_ones() {
        let now = Instant::now();
        let until = now + Duration::from_secs(247);
        let mut received = Received::new(3 * (PER_MESSAGE + 10));
        for id in 0..5 {
            received.insert(id, 7, until, State::Done(Some([0; 10].into())), now);
        }
        assert_eq!((received.seen.len(), received.cached), (3, 30));
        assert_eq!(received.state(1, 7, now), None);
        received.insert(9, 7, until, State::Done(Some([0; 280].into())), now);
        assert_eq!((received.seen.len(), received.cached), (1, 280));
        received.trim(until);
        assert_eq!((received.seen.len(), received.cached, received.pending), (0, 0, 0));
    }

    /// The note of an old message made room for others as if it were that of the new one, which was forgotten.
    #[test]
    fn a_message_that_comes_again_after_its_time_is_as_young_as_any() {
        let now = Instant::now();
        let later = now + Duration::from_secs(248);
        let mut received = Received::new(3 * PER_MESSAGE);
        received.insert(1, 7, now + Duration::from_secs(247), State::Done(None), now);
        received.insert(1, 7, later + Duration::from_secs(247), State::Pending, later);
        for id in 2..4 {
            received.insert(id, 7, later + Duration::from_secs(247), State::Done(None), later);
        }
        assert_eq!((received.state(1, 7, later), received.order.len()), (Some(&State::Pending), 3));
    }

    #[test]
    fn an_id_that_comes_with_other_bytes_is_another_message() {
        let now = Instant::now();
        let until = now + Duration::from_secs(247);
        let mut received = Received::new(3 * PER_MESSAGE);
        received.insert(1, 7, until, State::Pending, now);
        assert_eq!(received.state(1, 8, now), None);
        received.insert(1, 8, until, State::Pending, now);
        assert_eq!((received.state(1, 8, now), received.pending()), (Some(&State::Pending), 1));
        received.update(1, 7, State::Done(None), now);
        assert_eq!(received.pending(), 1);
    }
}
