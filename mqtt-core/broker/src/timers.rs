use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Instant;

use parking_lot::Mutex;

use crate::record::Record;

/// What is due at some time for a session that no connection holds.
pub(crate) struct Timer {
    pub(crate) what: Due,
    pub(crate) record: Weak<Record>,
    /// The connection after which it was set: a later connection makes it void.
    pub(crate) epoch: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The will is published.
    Will,
    /// The session ends.
    End,
    /// What waits in share groups is passed on.
    Share,
}

#[derive(Default)]
pub(crate) struct Timers(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    timers: BTreeMap<TimerKey, Timer>,
    number: u64,
}

/// By which a timer is found again: its time, then its number.
pub(crate) type TimerKey = (Instant, u64);

impl Timers {
    pub(crate) fn set(&self, at: Instant, timer: Timer) -> TimerKey {
        let queue = &mut *self.0.lock();
        queue.number += 1;
        queue.timers.insert((at, queue.number), timer);
        (at, queue.number)
    }

    /// Takes back timers that are void: a client that comes and goes must not leave one each time.
    pub(crate) fn cancel(&self, keys: &[TimerKey]) {
        if !keys.is_empty() {
            let timers = &mut self.0.lock().timers;
            keys.iter().for_each(|key| drop(timers.remove(key)));
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().timers.len()
    }

    /// The timers that are due, in order.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<Timer> {
        let timers = &mut self.0.lock().timers;
        let later = timers.split_off(&(now, u64::MAX));
        std::mem::replace(timers, later).into_values().collect()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.lock().timers.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bus::{Address, Connect, Peer, Reason, SessionExpiry, Transport};

    use crate::{Answer, Broker, Config, Hooks, Opened};

    use super::*;

    /// What went wrong: every disconnect left a timer for as long as the session might have lived.
    #[test]
    fn a_client_that_comes_and_goes_leaves_one_timer() {
        let broker = Broker::new(Config::default(), Hooks::open(), Vec::new());
        let now = Instant::now();
        for round in 0..100 {
            let connect = Connect {
                clean_start: round % 3 == 0,
                session_expiry: SessionExpiry::After(Duration::from_secs(60)),
                ..harness::connect("c")
            };
            let peer = Peer {
                address: Address::Internal,
                listener: "test".into(),
                transport: Transport::Stream,
                seed: 0,
                link: Default::default(),
            };
            let Answer::Now(Ok(Opened::Session(session, _))) = broker.connect(connect, peer, now) else {
                panic!("not let in");
            };
            session.close(Reason::PeerClosed, now);
        }
        assert_eq!(broker.0.timers.len(), 1);
    }

    #[test]
    fn a_member_of_a_share_group_leaves_no_timer_when_its_session_ends() {
        let world = |share_grace| {
            let config = Config { share_grace, ..Config::default() };
            Broker::new(config, Hooks::open(), Vec::new())
        };
        let (now, secs) = (Instant::now(), Duration::from_secs);
        for (grace, expiry, timers) in [(60, 0, 0), (60, 60, 1), (10, 60, 2)] {
            let broker = world(secs(grace));
            let connect =
                Connect { session_expiry: SessionExpiry::After(secs(expiry)), ..harness::connect("c") };
            let peer = Peer {
                address: Address::Internal,
                listener: "test".into(),
                transport: Transport::Stream,
                seed: 0,
                link: Default::default(),
            };
            let Answer::Now(Ok(Opened::Session(mut session, _))) = broker.connect(connect, peer, now) else {
                panic!("not let in");
            };
            let filter = bus::Filter::parse("$share/g/t").unwrap();
            let (options, keyed) = Default::default();
            let subscription = bus::Subscription { id: bus::SubscriptionId(0), filter, options, keyed };
            assert!(matches!(session.subscribe(vec![subscription], now), Answer::Now(Ok(_))));
            session.close(Reason::PeerClosed, now);
            assert_eq!(broker.0.timers.len(), timers, "grace {grace}, expiry {expiry}");
            (1..=70).for_each(|second| drop(broker.tick(now + secs(second))));
            assert_eq!(broker.0.timers.len(), 0);
        }
    }
}
