//! What observers are told of a connection that ends, on a virtual clock.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use broker::{Broker, BrokerEvent, Config, Course, Hooks, Observer};
use bus::{Address, Limits, Outbox, Peer, Protocol, Reason, Transport};
use mqtt::Mqtt;
use net::{Driver, Flow, House};

const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c";
const PUBLISH: &[u8] = b"\x30\x05\0\x01ahi";
const PING: &[u8] = b"\xc0\0";

#[derive(Default)]
struct Ends(Mutex<Vec<(&'static str, Reason, Course)>>);

impl Observer for Ends {
    fn observe(&self, event: &BrokerEvent) {
        let row = match event {
            BrokerEvent::Disconnected { reason, course, .. } => ("disconnected", *reason, course),
            BrokerEvent::Lost { reason, course, .. } => ("lost", *reason, course),
            _ => return,
        };
        self.0.lock().unwrap().push((row.0, row.1, (**row.2).clone()));
    }
}

struct World {
    broker: Broker,
    ends: Arc<Ends>,
    driver: Option<Driver>,
    out: Outbox,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let ends = Arc::new(Ends::default());
        let broker = Broker::new(Config::default(), Hooks::open(), vec![ends.clone()]);
        let protocol: Arc<dyn Protocol> = Arc::new(Mqtt::new(Default::default(), Limits::default()));
        let (mut out, now) = (Outbox::new(Transport::Stream), Instant::now());
        let peer = Peer {
            address: Address::Socket(([127, 0, 0, 1], 40_000).into()),
            listener: "test".into(),
            transport: Transport::Stream,
            seed: 1,
            link: Default::default(),
        };
        let place = House::new(protocol, broker.clone(), now).place();
        let driver = Some(Driver::new(place, peer, now, &mut out));
        Self { broker, ends, driver, out, now }
    }

    /// The peer sends, and what is made of it goes out.
    fn receive(&mut self, input: &[u8]) {
        let driver = self.driver.as_mut().unwrap();
        let cx = &mut Context::from_waker(Waker::noop());
        driver.receive(input, self.now, &mut self.out, &mut (), cx);
        let flow = driver.turn(true, self.now, &mut self.out, &mut (), cx);
        self.out.clear_sent();
        if let Flow::Close(reason) = flow {
            self.end(reason);
        }
    }

    fn end(&mut self, reason: Reason) {
        self.driver.take().unwrap().end(reason, self.now);
    }

    fn only_end(&self) -> (&'static str, Reason, Course) {
        let ends = self.ends.0.lock().unwrap();
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends[0].clone()
    }
}

#[test]
fn the_end_of_a_session_tells_what_was_carried_and_when_the_peer_was_last_heard() {
    let mut world = World::new();
    let began = world.now;
    world.receive(CONNECT);
    world.now += Duration::from_secs(10);
    world.receive(&[PUBLISH, PUBLISH, PING].concat());
    let heard = world.now;
    world.now += Duration::from_secs(7);
    world.end(Reason::PeerClosed);

    let (what, reason, course) = world.only_end();
    assert_eq!((what, reason), ("disconnected", Reason::PeerClosed));
    assert_eq!((course.since, course.heard), (began, heard));
    assert_eq!(course.keep_alive, Some(Duration::from_secs(60)));
    let bytes = (CONNECT.len() + 2 * PUBLISH.len() + PING.len()) as u64;
    assert_eq!((course.received.bytes, course.received.frames, course.received.messages), (bytes, 4, 2));
    assert_eq!((course.sent.bytes, course.sent.frames, course.sent.messages), (4 + 2, 2, 0));
    let stats = world.broker.stats();
    assert_eq!((stats.wire_received.bytes, stats.wire_received.frames), (bytes, 4));
    assert_eq!((stats.wire_sent.bytes, stats.wire_sent.frames, stats.sockets), (6, 2, 1));
}

#[test]
fn a_client_that_says_good_bye_is_told_of_once_with_its_course() {
    let mut world = World::new();
    world.receive(CONNECT);
    world.receive(b"\xe0\0");
    let (what, reason, course) = world.only_end();
    assert_eq!((what, reason, course.received.frames), ("disconnected", Reason::Disconnected, 2));
}

#[test]
fn what_broke_the_protocol_is_told_in_detail() {
    let mut world = World::new();
    world.receive(CONNECT);
    world.receive(b"\xf0\0");
    let (what, reason, course) = world.only_end();
    assert_eq!((what, reason), ("disconnected", Reason::Malformed));
    assert!(course.detail.is_some());
}

#[test]
fn a_connection_without_a_session_is_told_of_too() {
    let mut world = World::new();
    world.receive(b"GET / HTTP/1.1\r\n\r\n");
    let (what, reason, course) = world.only_end();
    assert_eq!((what, reason), ("lost", Reason::WrongProtocol));
    assert_eq!(course.detail.as_deref(), Some("the first bytes are of another protocol"));
}
