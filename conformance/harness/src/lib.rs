//! One connection on a virtual clock: bytes in, bytes out, requests answered by hand.
//!
//! The test plays the driver and the broker. Whole brokers with faulty networks are in `sim`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{
    Ack, Action, Address, ClientId, Connect, Connected, Connection, Deliveries, Delivery, DeliveryId, Event,
    Lane, Link, Matched, Message, Outbox, Peer, PeerName, Protocol, ProtocolError, Publish, Qos, Reason,
    Reply, Request, SessionExpiry, SubscriptionId, Ticket, Topic, Transport,
};

/// A connection under test.
pub struct Bench {
    /// The state machine.
    pub connection: Box<dyn Connection>,
    /// The virtual time.
    pub now: Instant,
    /// What was sent and not taken yet: whole datagrams, or runs of a stream.
    pub sent: VecDeque<(Lane, Vec<u8>)>,
    /// What was asked and not answered yet.
    pub requests: VecDeque<(Ticket, Request)>,
    /// What the session was told of its deliveries.
    pub acks: Vec<(DeliveryId, Ack)>,
    /// Why deliveries without an id could not be had by the peer.
    pub lost: Vec<Reason>,
    /// The names claimed and not given up.
    pub claims: Vec<PeerName>,
    /// Why the connection ended, once it has.
    pub closed: Option<Reason>,
    /// The error that ended it, if its input did.
    pub error: Option<ProtocolError>,
    transport: Transport,
    unread: HashMap<Lane, Vec<u8>>,
}

impl Bench {
    /// A new peer of `protocol` at 127.0.0.1:40000.
    pub fn new(protocol: &dyn Protocol, transport: Transport) -> Self {
        Self::over(protocol, transport, Link::default())
    }

    /// The same, whose bytes come this way.
    pub fn over(protocol: &dyn Protocol, transport: Transport, link: Link) -> Self {
        Self::with_peer_at(([127, 0, 0, 1], 40_000).into(), protocol, transport, link)
    }

    /// The same for a peer that sends from another address.
    pub fn with_peer_at(
        address: SocketAddr,
        protocol: &dyn Protocol,
        transport: Transport,
        link: Link,
    ) -> Self {
        let peer =
            Peer { address: Address::Socket(address), listener: "bench".into(), transport, seed: 42, link };
        let mut bench = Self {
            connection: protocol.accept(peer),
            now: Instant::now(),
            sent: VecDeque::new(),
            requests: VecDeque::new(),
            acks: Vec::new(),
            lost: Vec::new(),
            claims: Vec::new(),
            closed: None,
            error: None,
            transport,
            unread: HashMap::new(),
        };
        let mut out = Outbox::new(transport);
        bench.connection.begin(bench.now, &mut out);
        bench.perform(out);
        bench
    }

    /// The peer sends: more of the stream, or one datagram. Ignored once closed, as a driver would.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.receive_on(Lane::MAIN, bytes);
    }

    /// The peer sends on a lane.
    pub fn receive_on(&mut self, lane: Lane, bytes: &[u8]) {
        if self.closed.is_some() {
            return;
        }
        let mut unread = self.unread.remove(&lane).unwrap_or_default();
        unread.extend_from_slice(bytes);
        while self.closed.is_none() {
            let mut out = Outbox::new(self.transport);
            out.switch_lane(lane);
            let result = self.connection.receive(&unread, self.now, &mut out);
            match result {
                Ok(taken) if self.transport == Transport::Stream => drop(unread.drain(..taken)),
                Ok(_) => unread.clear(),
                Err(_) => {}
            }
            self.perform(out);
            match result {
                Err(error) => {
                    self.error = Some(error);
                    self.closed = Some(error.reason);
                }
                // A stream's connection stops while the outbox is full, and is called again.
                Ok(taken) if taken > 0 && !unread.is_empty() => {}
                Ok(_) => break,
            }
        }
        self.unread.insert(lane, unread);
    }

    /// A lane is gone.
    pub fn close_lane(&mut self, lane: Lane) {
        let mut out = Outbox::new(self.transport);
        self.connection.lane_closed(lane, &mut out);
        self.perform(out);
    }

    /// The broker says something.
    pub fn handle(&mut self, event: Event) {
        let mut out = Outbox::new(self.transport);
        self.connection.handle(event, self.now, &mut out);
        self.perform(out);
    }

    /// The broker answers a request.
    pub fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.handle(Event::Reply(ticket, Ok(reply)));
    }

    /// The broker refuses a request.
    pub fn refuse(&mut self, ticket: Ticket, reason: Reason) {
        self.handle(Event::Reply(ticket, Err(reason)));
    }

    /// Takes the next request, which must be a connect, and accepts it; returns what was asked.
    pub fn accept_connect(&mut self, session_present: bool) -> Connect {
        let (ticket, request) = self.requests.pop_front().expect("a request");
        let Request::Connect(connect) = request else { panic!("expected a connect, found {request:?}") };
        let assigned = connect.client_id.is_none();
        let client_id = connect.client_id.clone().or_else(|| ClientId::parse("assigned")).expect("not empty");
        self.reply(
            ticket,
            Reply::Connected(Box::new(Connected {
                client_id,
                assigned,
                session_present,
                session_expiry: connect.session_expiry,
                maximum_qos: Qos::ExactlyOnce,
                retain_available: true,
                shared_subscriptions_available: true,
                authentication: None,
            })),
        );
        *connect
    }

    /// The broker delivers, which the connection must have room for.
    pub fn deliver(&mut self, delivery: Delivery) {
        assert!(self.connection.room() > 0, "the connection has no room for a delivery");
        self.handle(Event::Deliver(delivery));
    }

    /// The broker delivers what was published together.
    pub fn take_burst(&mut self, deliveries: &Deliveries) {
        let mut out = Outbox::new(self.transport);
        self.connection.take_burst(deliveries, self.now, &mut out);
        self.perform(out);
    }

    /// The broker has nothing more to deliver, of which the connection hears only if it wants to.
    pub fn idle(&mut self) {
        if self.connection.room() > 0 && self.connection.wants_idle() {
            self.handle(Event::Idle);
        }
    }

    /// Turns the clock on, calling `expire` at each deadline on the way.
    pub fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(deadline) = self.connection.deadline().filter(|deadline| *deadline <= end) {
            if self.closed.is_some() {
                break;
            }
            self.now = self.now.max(deadline);
            let mut out = Outbox::new(self.transport);
            self.connection.expire(self.now, &mut out);
            self.perform(out);
            assert_ne!(
                self.connection.deadline(),
                Some(deadline),
                "the deadline must move when it has passed"
            );
        }
        self.now = end;
    }

    /// All that was sent since last asked, joined.
    pub fn take_sent(&mut self) -> Vec<u8> {
        self.sent.drain(..).flat_map(|(_, bytes)| bytes).collect()
    }

    /// The next request, with its ticket.
    pub fn request(&mut self) -> (Ticket, Request) {
        self.requests.pop_front().expect("a request")
    }

    fn perform(&mut self, mut out: Outbox) {
        for chunk in out.chunks() {
            let bytes = [chunk.bytes, chunk.shared.map_or(&[][..], |shared| shared)].concat();
            self.sent.push_back((chunk.lane, bytes));
        }
        while let Some(action) = out.next_action() {
            match action {
                Action::Request(ticket, request) => self.requests.push_back((ticket, request)),
                Action::Ack(delivery, ack) => self.acks.push((delivery, ack)),
                Action::Lost(reason) => self.lost.push(reason),
                Action::Claim(name) => self.claims.push(name),
                Action::Disclaim(name) => self.claims.retain(|claimed| *claimed != name),
                Action::Close(reason) => self.closed = Some(self.closed.unwrap_or(reason)),
            }
        }
    }
}

/// A delivery as the broker would make it for one subscription; `id` 0 stands for at most once.
pub fn delivery(id: u16, subscription: u32, topic: &str, payload: &str, qos: Qos, now: Instant) -> Delivery {
    Delivery {
        id: DeliveryId::new(id),
        message: message(topic, payload, qos, now),
        matched: Matched::One(SubscriptionId(subscription)),
        qos,
        retain: false,
        duplicate: false,
    }
}

/// A message without metadata, published now by `publisher`.
pub fn message(topic: &str, payload: &str, qos: Qos, now: Instant) -> Arc<Message> {
    Arc::new(Message {
        topic: Topic::parse(topic).expect("a topic"),
        payload: payload.to_owned().into(),
        qos,
        retain: false,
        published: now,
        expires: None,
        metadata: None,
        origin: ClientId::parse("publisher").expect("not empty"),
    })
}

/// A connect that asks for nothing special.
pub fn connect(client_id: &str) -> Connect {
    Connect {
        client_id: ClientId::parse(client_id),
        credentials: Default::default(),
        clean_start: true,
        session_expiry: SessionExpiry::AtOnce,
        will: None,
        receive_maximum: 100,
        takes_unasked: true,
        keep_alive: None,
        user_properties: Vec::new(),
        protocol: "bench",
    }
}

/// A publish without metadata; `once` is 1 for exactly once.
pub fn publish(topic: &str, payload: &str, qos: Qos) -> Publish {
    let mut publish = Publish::new(Topic::parse(topic).expect("a topic"), payload.to_owned(), qos);
    publish.once = (qos == Qos::ExactlyOnce).then_some(1);
    publish
}
