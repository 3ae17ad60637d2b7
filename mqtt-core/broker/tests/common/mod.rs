//! Clients of a broker on a virtual clock.
#![allow(dead_code)]

use std::sync::{Arc, LazyLock};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Broker, Client, Config, Handed,
    Hooks, Identity, Opened, Permission, Session,
};
use bus::{
    Ack, Address, Connect, Connected, Delivery, Event, Filter, Peer, Publish, Qos, Reason, Reply,
    SessionExpiry, SubscribeOptions, Subscription, SubscriptionId, Transport, Will,
};

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
}

pub(crate) struct Guest {
    pub(crate) session: Session,
    pub(crate) connected: Connected,
}

/// Wakes nobody, but is known again, as a task's waker is.
struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

static WAKER: LazyLock<Waker> = LazyLock::new(|| Arc::new(Nobody).into());

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), Hooks::open())
    }

    pub(crate) fn with(config: Config, hooks: Hooks) -> Self {
        Self { broker: Broker::new(config, hooks, Vec::new()), now: Instant::now() }
    }

    pub(crate) fn advance(&mut self, span: Duration) {
        self.now += span;
        let (_, work) = self.broker.tick(self.now);
        assert!(work.is_empty(), "the hooks of these tests answer at once");
    }

    pub(crate) fn connect(&self, client_id: &str) -> Guest {
        self.open(harness::connect(client_id)).expect("let in")
    }

    /// A client whose session outlives its connections by an hour.
    pub(crate) fn resume(&self, client_id: &str) -> Guest {
        self.open(durable(client_id)).expect("let in")
    }

    pub(crate) fn open(&self, connect: Connect) -> Result<Guest, Reason> {
        match now(self.broker.connect(connect, peer(), self.now))? {
            Opened::Session(session, connected) => Ok(Guest { session: *session, connected: *connected }),
            Opened::Challenge(..) => panic!("nobody challenges here"),
        }
    }

    pub(crate) fn publish(
        &self,
        guest: &mut Guest,
        topic: &str,
        payload: &str,
        qos: Qos,
    ) -> Result<usize, Reason> {
        self.send(guest, harness::publish(topic, payload, qos))
    }

    pub(crate) fn send(&self, guest: &mut Guest, publish: Publish) -> Result<usize, Reason> {
        match now(guest.session.publish(publish, self.now))? {
            Reply::Published { matched } => Ok(matched),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn subscribe(
        &self,
        guest: &mut Guest,
        id: u32,
        filter: &str,
        qos: Qos,
    ) -> Result<Qos, Reason> {
        self.subscribe_with(guest, id, filter, SubscribeOptions { qos, ..Default::default() })
    }

    pub(crate) fn subscribe_with(
        &self,
        guest: &mut Guest,
        id: u32,
        filter: &str,
        options: SubscribeOptions,
    ) -> Result<Qos, Reason> {
        let filter = Filter::parse(filter).unwrap();
        let subscription =
            Subscription { id: SubscriptionId(id), filter, options, keyed: Default::default() };
        match now(guest.session.subscribe(vec![subscription], self.now))? {
            Reply::Subscribed(mut results) => results.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn subscribe_to(
        &self,
        guest: &mut Guest,
        id: u32,
        filter: Filter,
        qos: Qos,
    ) -> Result<Qos, Reason> {
        let options = SubscribeOptions { qos, ..Default::default() };
        let subscription =
            Subscription { id: SubscriptionId(id), filter, options, keyed: Default::default() };
        match now(guest.session.subscribe(vec![subscription], self.now))? {
            Reply::Subscribed(mut results) => results.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn events(&self, guest: &mut Guest) -> Vec<Event> {
        self.pull(guest, usize::MAX)
    }

    pub(crate) fn pull(&self, guest: &mut Guest, room: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while guest.session.pull(room, self.now, &WAKER, &mut events) {}
        events
    }

    /// As a connection pulls that takes what came together as one.
    pub(crate) fn pull_whole(&self, guest: &mut Guest, room: usize) -> Handed {
        let mut handed = Handed::default();
        guest.session.pull_into(room, self.now, &WAKER, &mut handed);
        handed
    }

    pub(crate) fn deliveries(&self, guest: &mut Guest) -> Vec<Delivery> {
        let deliver = |event| match event {
            Event::Deliver(delivery) => delivery,
            other => panic!("{other:?}"),
        };
        self.events(guest).into_iter().map(deliver).collect()
    }

    /// The payloads delivered now, each acknowledged at once.
    pub(crate) fn read(&self, guest: &mut Guest) -> Vec<String> {
        let deliveries = self.deliveries(guest);
        for id in deliveries.iter().filter_map(|delivery| delivery.id) {
            guest.session.ack(id, Ack::Complete);
        }
        deliveries.iter().map(text).collect()
    }
}

/// Lets everybody in, and denies every topic and filter that begins with `secret`.
pub(crate) struct Secretive;

impl Authenticator for Secretive {
    fn authenticate(&self, _attempt: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Accept(Identity::default()))
    }
}

impl Authorizer for Secretive {
    fn authorize(&self, _client: &Client, access: Access<'_>) -> Answer<Permission> {
        let on = match access {
            Access::Publish { topic, .. } | Access::Read { topic } | Access::Receive { topic } => {
                topic.as_str()
            }
            Access::Subscribe { filter, .. } => filter.pattern(),
        };
        Answer::Now(if on.starts_with("secret") { Permission::Deny } else { Permission::Allow })
    }
}

pub(crate) fn secretive() -> Hooks {
    Hooks {
        authenticator: Arc::new(Secretive),
        authorizer: Arc::new(Secretive),
        rewriter: None,
        interceptors: Vec::new(),
    }
}

pub(crate) fn durable(client_id: &str) -> Connect {
    Connect {
        clean_start: false,
        session_expiry: SessionExpiry::After(Duration::from_secs(3_600)),
        ..harness::connect(client_id)
    }
}

pub(crate) fn will(topic: &str, payload: &str, delay: u64) -> Option<Will> {
    Some(Will {
        publish: harness::publish(topic, payload, Qos::AtMostOnce),
        delay: Duration::from_secs(delay),
    })
}

pub(crate) fn peer() -> Peer {
    Peer {
        address: Address::Internal,
        listener: "test".into(),
        transport: Transport::Stream,
        seed: 7,
        link: Default::default(),
    }
}

pub(crate) fn now<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Now(value) => value,
        Answer::Later(_) => panic!("the hooks of these tests answer at once"),
    }
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.payload.to_vec()).unwrap()
}
