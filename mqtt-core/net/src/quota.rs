//! How much a client and a listener may send in a second.
//!
//! Nothing is refused or lost: whoever has sent more than it may is not listened to until the time has made up
//! for it, so that the peer's transport slows it down. The balance may fall below zero by what was already read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Request, units};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::rate::Rate;

/// How much may be sent in a second; 0 sets no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Messages that one client may publish.
    pub client_messages: u32,
    /// Bytes of payload that one client may publish.
    #[serde(with = "units::size")]
    pub client_bytes: usize,
    /// Subscriptions that one client may make.
    pub client_subscriptions: u32,
    /// Messages that all clients of the listener may publish together.
    pub messages: u32,
    /// Bytes of payload that they may publish together.
    #[serde(with = "units::size")]
    pub bytes: usize,
    /// Subscriptions that they may make together.
    pub subscriptions: u32,
    /// For how long unused allowance is kept: so much may come at once.
    #[serde(with = "units::duration")]
    pub burst: Duration,
}

/// What one connection may send: its own allowance, and what it shares with the others of its listener.
pub(crate) struct Quota {
    own: Allowance,
    shared: Option<Arc<Mutex<Allowance>>>,
}

/// What all connections of a listener may send together.
#[derive(Clone)]
pub(crate) struct Quotas {
    rates: Rates,
    shared: Option<Arc<Mutex<Allowance>>>,
}

/// What is not limited has no rate.
struct Allowance {
    messages: Option<Rate>,
    bytes: Option<Rate>,
    subscriptions: Option<Rate>,
}

/// What a request costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    messages: usize,
    bytes: usize,
    subscriptions: usize,
}

impl Quotas {
    pub(crate) fn new(rates: &Rates, now: Instant) -> Self {
        let shared = [rates.messages as usize, rates.bytes, rates.subscriptions as usize];
        let shared = shared.iter().any(|rate| *rate > 0);
        let allowance = || Allowance::new(rates.messages, rates.bytes, rates.subscriptions, rates.burst, now);
        Self { shared: shared.then(|| Arc::new(Mutex::new(allowance()))), rates: rates.clone() }
    }

    /// The quota of a new connection; `None` where nothing is limited.
    pub(crate) fn open(&self, now: Instant) -> Option<Box<Quota>> {
        let Rates { client_messages, client_bytes, client_subscriptions, burst, .. } = self.rates;
        let own = client_messages > 0 || client_bytes > 0 || client_subscriptions > 0;
        (own || self.shared.is_some()).then(|| {
            let own = Allowance::new(client_messages, client_bytes, client_subscriptions, burst, now);
            Box::new(Quota { own, shared: self.shared.clone() })
        })
    }
}

impl Quota {
    /// Takes what the request costs; returns how long nothing more shall be taken from the peer, if so.
    pub(crate) fn charge(&mut self, request: &Request, now: Instant) -> Option<Duration> {
        let cost = Cost::of(request)?;
        let own = self.own.charge(cost, now);
        let shared = self.shared.as_ref().map_or(Duration::ZERO, |shared| shared.lock().charge(cost, now));
        Some(own.max(shared)).filter(|pause| !pause.is_zero())
    }
}

impl Allowance {
    fn new(messages: u32, bytes: usize, subscriptions: u32, burst: Duration, now: Instant) -> Self {
        let rate = |per_second: f64| (per_second > 0.0).then(|| Rate::with_burst(per_second, burst, now));
        Self {
            messages: rate(f64::from(messages)),
            bytes: rate(bytes as f64),
            subscriptions: rate(f64::from(subscriptions)),
        }
    }

    fn charge(&mut self, cost: Cost, now: Instant) -> Duration {
        let charge = |rate: &mut Option<Rate>, units: usize| match rate {
            Some(rate) if units > 0 => rate.charge(units, now),
            _ => Duration::ZERO,
        };
        let messages = charge(&mut self.messages, cost.messages);
        let bytes = charge(&mut self.bytes, cost.bytes);
        messages.max(bytes).max(charge(&mut self.subscriptions, cost.subscriptions))
    }
}

impl Cost {
    fn of(request: &Request) -> Option<Self> {
        Some(match request {
            Request::Publish(publish) => Self { messages: 1, bytes: publish.payload.len(), subscriptions: 0 },
            Request::PublishIf(wish) => {
                Self { messages: 1, bytes: wish.publish.payload.len(), subscriptions: 0 }
            }
            Request::PublishAll(publishes) => {
                let bytes = publishes.iter().map(|publish| publish.payload.len()).sum();
                Self { messages: publishes.len(), bytes, subscriptions: 0 }
            }
            Request::Subscribe(subscriptions) => {
                Self { subscriptions: subscriptions.len(), ..Self::default() }
            }
            Request::Connect(_)
            | Request::Authenticate(_)
            | Request::Release(_)
            | Request::Unsubscribe(_)
            | Request::Read(_)
            | Request::Judge(_)
            | Request::SetWill(_)
            | Request::Disconnect(_) => return None,
        })
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            client_messages: 0,
            client_bytes: 0,
            client_subscriptions: 0,
            messages: 0,
            bytes: 0,
            subscriptions: 0,
            burst: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use bus::{Publish, Qos, Topic};

    use super::*;

    fn publish(bytes: usize) -> Request {
        Request::Publish(Publish::new(Topic::parse("t").unwrap(), vec![0; bytes], Qos::AtMostOnce))
    }

    fn quota(rates: &Rates, now: Instant) -> Box<Quota> {
        Quotas::new(rates, now).open(now).unwrap()
    }

    #[test]
    fn what_is_over_the_rate_is_paid_for_with_time() {
        let start = Instant::now();
        let mut quota = quota(&Rates { client_messages: 10, ..Rates::default() }, start);
        for _ in 0..10 {
            assert_eq!(quota.charge(&publish(1), start), None);
        }
        assert_eq!(quota.charge(&publish(1), start), Some(Duration::from_millis(100)));
        assert_eq!(quota.charge(&publish(1), start), Some(Duration::from_millis(200)));
        let later = start + Duration::from_millis(300);
        assert_eq!(quota.charge(&publish(1), later), None);
    }

    #[test]
    fn bytes_and_messages_are_counted_apart_and_the_longer_pause_holds() {
        let start = Instant::now();
        let rates = Rates { client_messages: 1_000, client_bytes: 1_000, ..Rates::default() };
        let mut quota = quota(&rates, start);
        assert_eq!(quota.charge(&publish(1_500), start), Some(Duration::from_millis(500)));
        assert_eq!(quota.charge(&Request::Release(1), start), None);
    }

    #[test]
    fn allowance_is_saved_up_only_as_long_as_burst_says() {
        let start = Instant::now();
        let rates = Rates { client_messages: 10, burst: Duration::from_secs(3), ..Rates::default() };
        let mut quota = quota(&rates, start);
        let free = |quota: &mut Quota, now| {
            (0..100).take_while(|_| quota.charge(&publish(1), now).is_none()).count()
        };
        assert_eq!(free(&mut quota, start), 30);
        assert_eq!(free(&mut quota, start + Duration::from_secs(3_600)), 30);
    }

    #[test]
    fn the_clients_of_a_listener_share_what_it_may_take() {
        let start = Instant::now();
        let quotas = Quotas::new(&Rates { messages: 4, ..Rates::default() }, start);
        let (mut one, mut other) = (quotas.open(start).unwrap(), quotas.open(start).unwrap());
        for _ in 0..2 {
            assert_eq!(one.charge(&publish(1), start), None);
            assert_eq!(other.charge(&publish(1), start), None);
        }
        assert_eq!(one.charge(&publish(1), start), Some(Duration::from_millis(250)));
        assert_eq!(other.charge(&publish(1), start), Some(Duration::from_millis(500)));
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_limited() {
        let now = Instant::now();
        assert!(Quotas::new(&Rates::default(), now).open(now).is_none());
    }
}
