//! A watched broker on a virtual clock.
#![allow(dead_code)]

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant, UNIX_EPOCH};

use broker::{
    Access, Answer, Authorizer, Broker, Client, Config, Course, Hooks, Observer, Opened, Permission, Session,
};
use bus::{Address, Connect, Event, Filter, Peer, Reason, Subscription, SubscriptionId, Transport};
use operators::Moment;

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    began: Instant,
}

/// Denies whatever is below `secret`.
struct NoSecrets;

impl Authorizer for NoSecrets {
    fn authorize(&self, _client: &Client, access: Access<'_>) -> Answer<Permission> {
        let on = match access {
            Access::Publish { topic, .. } | Access::Read { topic } | Access::Receive { topic } => {
                topic.as_str()
            }
            Access::Subscribe { filter, .. } => filter.as_str(),
        };
        Answer::Now(if on.starts_with("secret") { Permission::Deny } else { Permission::Allow })
    }
}

impl World {
    pub(crate) fn watched_by(observers: Vec<Arc<dyn Observer>>) -> Self {
        let hooks = Hooks { authorizer: Arc::new(NoSecrets), ..Hooks::open() };
        let now = Instant::now();
        Self { broker: Broker::new(Config::default(), hooks, observers), now, began: now }
    }

    /// The calendar: the test began on 2026-01-01.
    pub(crate) fn moment(&self) -> Moment {
        let system = UNIX_EPOCH + Duration::from_secs(1_767_225_600) + (self.now - self.began);
        Moment { instant: self.now, system }
    }

    pub(crate) fn connect(&self, client_id: &str, address: &str) -> Session {
        self.open(harness::connect(client_id), address).expect("let in")
    }

    pub(crate) fn open(&self, connect: Connect, address: &str) -> Result<Session, Reason> {
        match self.broker.connect(connect, peer(address), self.now) {
            Answer::Now(Ok(Opened::Session(session, _))) => Ok(*session),
            Answer::Now(Err(reason)) => Err(reason),
            _ => panic!("the hooks of these tests answer at once"),
        }
    }

    /// A connection of this id from this address lasts so long, falls silent, and ends.
    pub(crate) fn visit(&mut self, id: &str, address: &str, heard: u64, silent: u64, reason: Reason) {
        let mut session = self.connect(id, address);
        let since = self.now;
        let heard = since + Duration::from_secs(heard);
        self.now = heard + Duration::from_secs(silent);
        session.tell(Course { heard, keep_alive: Some(Duration::from_secs(300)), ..Course::new(since) });
        session.close(reason, self.now);
    }

    pub(crate) fn subscribe(&self, session: &mut Session, filter: &str) {
        let filter = Filter::parse(filter).unwrap();
        let id = SubscriptionId(1);
        let subscription =
            Subscription { id, filter, options: Default::default(), keyed: Default::default() };
        assert!(matches!(session.subscribe(vec![subscription], self.now), Answer::Now(Ok(_))));
    }

    /// Topics and payloads of what was delivered.
    pub(crate) fn read(&self, session: &mut Session) -> Vec<(String, String)> {
        let mut events = Vec::new();
        while session.pull(usize::MAX, self.now, Waker::noop(), &mut events) {}
        let row = |event| match event {
            Event::Deliver(delivery) => {
                let payload = String::from_utf8(delivery.message.payload.to_vec()).unwrap();
                (delivery.message.topic.as_str().to_owned(), payload)
            }
            other => panic!("{other:?}"),
        };
        events.into_iter().map(row).collect()
    }
}

pub(crate) fn peer(address: &str) -> Peer {
    Peer {
        address: Address::Socket(address.parse().unwrap()),
        listener: "mqtt".into(),
        transport: Transport::Stream,
        seed: 1,
        link: Default::default(),
    }
}
