use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::{ExchangeId, Incoming, Message, OptionNumber, Token};

/// After so long every notification is newer than what came before [RFC7641 3.4].
const FRESH_AFTER: Duration = Duration::from_secs(128);

/// The requests of ours that are unanswered or observe, by token [RFC7252 5.3.2]; the same for every carrier.
#[derive(Debug)]
pub(crate) struct Matching {
    last: u64,
    awaited: Vec<Awaited>,
    /// Our observations, by token.
    observed: HashMap<Token, Observed>,
    most_awaited: usize,
    most_observed: usize,
}

#[derive(Debug)]
struct Awaited {
    exchange: ExchangeId,
    token: Token,
    observe: bool,
    /// Set once nothing but the answer is to come.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Observed {
    exchange: ExchangeId,
    sequence: u32,
    at: Instant,
}

impl Matching {
    pub(crate) fn new(most_awaited: usize, most_observed: usize) -> Self {
        Self { last: 0, awaited: Vec::new(), observed: HashMap::new(), most_awaited, most_observed }
    }

    /// The number of something new that is sent.
    pub(crate) fn number(&mut self) -> ExchangeId {
        self.last += 1;
        ExchangeId(self.last)
    }

    /// Whether one more request may be unanswered.
    pub(crate) fn has_room(&self) -> bool {
        self.awaited.len() < self.most_awaited
    }

    /// Awaits the answer to a request that is sent with this token.
    pub(crate) fn begin(&mut self, exchange: ExchangeId, request: &Message, until: Option<Instant>) {
        let (token, observe) = (request.token(), request.observe());
        if observe == Some(1) {
            self.observed.remove(&token);
        }
        self.awaited.push(Awaited { exchange, token, observe: observe == Some(0), until });
    }

    /// The peer has the request, so that its answer should come until then.
    pub(crate) fn acknowledged(&mut self, exchange: ExchangeId, until: Instant) {
        if let Some(awaited) = self.awaited.iter_mut().find(|awaited| awaited.exchange == exchange) {
            awaited.until = Some(until);
        }
    }

    pub(crate) fn forget(&mut self, exchange: ExchangeId) {
        self.awaited.retain(|awaited| awaited.exchange != exchange);
        self.observed.retain(|_, observed| observed.exchange != exchange);
    }

    pub(crate) fn token(&self, exchange: ExchangeId) -> Option<&Token> {
        let awaited = self.awaited.iter().find(|awaited| awaited.exchange == exchange);
        awaited.map(|awaited| &awaited.token).or_else(|| {
            let mut observed = self.observed.iter();
            observed.find(|(_, observed)| observed.exchange == exchange).map(|(token, _)| token)
        })
    }

    pub(crate) fn find(&self, token: &Token) -> Option<ExchangeId> {
        let awaited = self.awaited.iter().find(|awaited| awaited.token == *token);
        let observed = || self.observed.get(token).map(|observed| observed.exchange);
        awaited.map(|awaited| awaited.exchange).or_else(observed)
    }

    /// Finds what an answer answers; the answer to an observing request opens the observation. With `in_order`
    /// no notification can have been overtaken on its way.
    pub(crate) fn answered(&mut self, message: Message, in_order: bool, now: Instant) -> Option<Incoming> {
        // What is protected is put in order by its Partial IV; the outer Observe means nothing [RFC8613 4.1.3.5.2].
        let in_order = in_order || message.option(OptionNumber::OSCORE).is_some();
        let (token, sequence) = (message.token(), message.observe().filter(|_| message.code().is_success()));
        if let Some(position) = self.awaited.iter().position(|awaited| awaited.token == token) {
            let Awaited { exchange, observe, token, .. } = self.awaited.swap_remove(position);
            self.observed.remove(&token);
            if let Some(sequence) = sequence.filter(|_| observe && self.observed.len() < self.most_observed) {
                self.observed.insert(token, Observed { exchange, sequence, at: now });
            }
            return Some(Incoming::Response { exchange, message });
        }
        let observed = self.observed.get_mut(&token)?;
        let exchange = observed.exchange;
        match sequence {
            Some(sequence)
                if !in_order
                    && !is_newer(observed.sequence, sequence)
                    && now <= observed.at + FRESH_AFTER =>
            {
                return None; // overtaken on the way [RFC7641 3.4]
            }
            Some(sequence) => (observed.sequence, observed.at) = (sequence, now),
            None => drop(self.observed.remove(&token)), // [RFC7641 3.2]
        }
        Some(Incoming::Notification { exchange, message })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.awaited.iter().filter_map(|awaited| awaited.until).min()
    }

    /// Takes out what was not answered in time.
    pub(crate) fn expire(&mut self, now: Instant, failed: &mut Vec<ExchangeId>) {
        self.awaited.retain(|awaited| {
            let over = awaited.until.is_some_and(|until| until <= now);
            failed.extend(over.then_some(awaited.exchange));
            !over
        });
    }
}

/// Whether a notification with number `next` was sent after the one with `last` [RFC7641 3.4].
fn is_newer(last: u32, next: u32) -> bool {
    let ahead = next.wrapping_sub(last) & 0x00FF_FFFF;
    ahead != 0 && ahead < 1 << 23
}
