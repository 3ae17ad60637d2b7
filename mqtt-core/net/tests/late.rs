//! Hooks that take their time: order is kept, and nobody is taken for dead who was only not listened to.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Broker, Client, Config, Hooks,
    Identity, Permission,
};
use bus::{Address, Limits, Outbox, Peer, Protocol, Reason, Transport};
use mqtt::Mqtt;
use net::{Driver, Flow, House};

/// Answers once the gate is open.
#[derive(Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn answer<T: Copy + Send + 'static>(&self, value: T) -> Answer<T> {
        let gate = self.0.clone();
        Answer::later(poll_fn(move |_| match gate.load(Ordering::Relaxed) {
            true => Poll::Ready(value),
            false => Poll::Pending,
        }))
    }

    fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Authorizer for Gate {
    fn authorize(&self, _: &Client, access: Access<'_>) -> Answer<Permission> {
        match access {
            Access::Publish { topic, .. } if topic.as_str() == "slow" => self.answer(Permission::Allow),
            _ => Answer::Now(Permission::Allow),
        }
    }
}

struct Slow(Gate);

impl Authenticator for Slow {
    fn authenticate(&self, _: &Attempt) -> Answer<Authentication> {
        let accept = || Authentication::Accept(Identity::default());
        self.0.answer(()).map(move |()| accept())
    }
}

struct Bench {
    driver: Driver,
    out: Outbox,
    now: Instant,
    unread: Vec<u8>,
}

impl Bench {
    fn new(hooks: Hooks) -> Self {
        let broker = Broker::new(Config::default(), hooks, Vec::new());
        let protocol: Arc<dyn Protocol> = Arc::new(Mqtt::new(mqtt::Config::default(), Limits::default()));
        let peer = Peer {
            address: Address::Internal,
            listener: "test".into(),
            transport: Transport::Stream,
            seed: 1,
            link: Default::default(),
        };
        let mut out = Outbox::new(Transport::Stream);
        let now = Instant::now();
        let place = House::new(protocol, broker, now).place();
        let driver = Driver::new(place, peer, now, &mut out);
        Self { driver, out, now, unread: Vec::new() }
    }

    /// As a stream would: reads unless blocked, then gives the driver its turn.
    fn run(&mut self, bytes: &[u8]) -> (Vec<u8>, Flow) {
        self.unread.extend_from_slice(bytes);
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            let blocked = self.driver.is_blocked();
            let taken = self.driver.receive(&self.unread, self.now, &mut self.out, &mut (), cx);
            self.unread.drain(..taken);
            let flow = self.driver.turn(true, self.now, &mut self.out, &mut (), cx);
            let held = blocked && !self.driver.is_blocked() && !self.unread.is_empty();
            if flow != Flow::More && !held {
                let sent = self.out.chunks().flat_map(|chunk| chunk.bytes.to_vec()).collect();
                self.out.clear_sent();
                return (sent, flow);
            }
        }
    }
}

fn slow_rights() -> (Gate, Hooks) {
    let gate = Gate::default();
    let open = Hooks::open();
    (gate.clone(), Hooks { authorizer: Arc::new(gate), ..open })
}

/// Keep alive: 1 s.
const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x01\0\x01c";
const CONNACK: &[u8] = b"\x20\x02\0\0";

#[test]
fn what_is_asked_behind_a_slow_publish_waits_and_is_answered_in_order() {
    let (gate, hooks) = slow_rights();
    let mut bench = Bench::new(hooks);
    assert_eq!(bench.run(CONNECT).0, CONNACK);
    let publishes = [b"\x32\x09\0\x04slow\0\x01x".as_slice(), b"\x32\x09\0\x04fast\0\x02x"].concat();
    assert_eq!(bench.run(&publishes), (vec![], Flow::Continue));
    assert_eq!(bench.run(b"\xc0\0"), (vec![], Flow::Continue));
    gate.open();
    let (sent, flow) = bench.run(b"");
    assert_eq!((&sent[..4], &sent[4..8]), (&b"\x40\x02\0\x01"[..], &b"\x40\x02\0\x02"[..]));
    assert_eq!((&sent[8..], flow), (&b"\xd0\0"[..], Flow::Continue));
}

#[test]
fn a_client_that_was_not_listened_to_is_not_taken_for_dead() {
    let (gate, hooks) = slow_rights();
    let mut bench = Bench::new(hooks);
    assert_eq!(bench.run(CONNECT).0, CONNACK);
    assert_eq!(bench.run(b"\x32\x09\0\x04slow\0\x01x"), (vec![], Flow::Continue));
    bench.now += Duration::from_secs(60);
    assert_eq!(bench.driver.deadline(), None);
    assert_eq!(bench.run(b"\xc0\0"), (vec![], Flow::Continue));
    gate.open();
    assert_eq!(bench.run(b""), (b"\x40\x02\0\x01\xd0\0".to_vec(), Flow::Continue));
    bench.now += Duration::from_secs(2);
    assert_eq!(bench.run(b"").1, Flow::Close(Reason::KeepAliveTimeout));
}

#[test]
fn a_slow_authenticator_does_not_hold_a_connection_for_ever() {
    let gate = Gate::default();
    let mut bench = Bench::new(Hooks { authenticator: Arc::new(Slow(gate)), ..Hooks::open() });
    assert_eq!(bench.run(CONNECT), (vec![], Flow::Continue));
    bench.now += Limits::default().handshake;
    assert_eq!(bench.run(b"").1, Flow::Close(Reason::HandshakeTimeout));
}

#[test]
fn everything_behind_a_connect_waits_for_a_slow_authenticator() {
    let gate = Gate::default();
    let mut bench = Bench::new(Hooks { authenticator: Arc::new(Slow(gate.clone())), ..Hooks::open() });
    assert_eq!(bench.run(&[CONNECT, b"\xc0\0"].concat()), (vec![], Flow::Continue));
    gate.open();
    assert_eq!(bench.run(b"").0, [CONNACK, b"\xd0\0"].concat());
}
