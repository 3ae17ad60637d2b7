use std::time::{Duration, Instant};

use bus::{Limits, Reason};

use crate::{Config, ExchangeId, PubSub, Turn};

/// How long a peer may be silent: observers are asked whether they are there, others are let go.
#[derive(Debug)]
pub struct Silence {
    idle: Duration,
    /// How long a peer without a session may be silent.
    stranger_idle: Duration,
    observer_check: Duration,
    last_heard: Option<Instant>,
    /// When to look at `last_heard`.
    look_at: Option<Instant>,
    /// The question whether the observer is there.
    ping: Option<ExchangeId>,
}

impl Silence {
    /// The patience that is configured.
    pub fn new(config: &Config, limits: &Limits) -> Self {
        Self {
            idle: config.idle,
            stranger_idle: limits.handshake.min(config.idle),
            observer_check: config.observer_check,
            last_heard: None,
            look_at: None,
            ping: None,
        }
    }

    /// The peer sent something.
    pub fn heard(&mut self, now: Instant) {
        self.last_heard = Some(now);
    }

    /// Arms the timer, unless it fires early enough anyway; to be called after each change.
    pub fn watch(&mut self, pubsub: &PubSub) {
        let due = self.last_heard.map(|heard| heard + self.patience(pubsub));
        if self.look_at.is_none_or(|look_at| due.is_some_and(|due| due < look_at)) {
            self.look_at = due;
        }
    }

    /// Whether an exchange was the question whether the peer is there, which is over now.
    pub fn is_settled_by(&mut self, exchange: ExchangeId) -> bool {
        self.ping.take_if(|ping| *ping == exchange).is_some()
    }

    /// Asks a silent observer whether it is there; closes the connection of any other silent peer.
    pub fn expire(&mut self, pubsub: &PubSub, turn: &mut Turn<'_>) {
        if self.look_at.take_if(|look_at| *look_at <= turn.now).is_none() {
            return;
        }
        let silent = self.last_heard.is_none_or(|heard| heard + self.patience(pubsub) <= turn.now);
        match (silent, pubsub.has_observers()) {
            (false, _) => self.watch(pubsub),
            (true, false) => turn.close(Reason::IdleTimeout),
            (true, true) => {
                if self.ping.is_none() {
                    self.ping = Some(turn.endpoint.ping(turn.now, turn.out));
                }
                self.look_at = Some(turn.now + self.observer_check);
            }
        }
    }

    /// When [`Silence::expire`] is next due.
    pub fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    fn patience(&self, pubsub: &PubSub) -> Duration {
        match (pubsub.has_observers(), pubsub.has_session()) {
            (true, _) => self.observer_check,
            (false, true) => self.idle,
            (false, false) => self.stranger_idle,
        }
    }
}
