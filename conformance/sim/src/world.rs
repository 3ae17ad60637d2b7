use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use broker::{Broker, Config, Hooks};
use bus::{Address, Carrier, Link, Outbox, Peer, Protocol, Reason, Transport};
use net::{Driver, Flow, House};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::device::{Device, Shared};

/// A broker, devices, and the network between them.
pub struct World {
    /// The broker.
    pub broker: Broker,
    /// The virtual time.
    pub now: Instant,
    faults: Faults,
    streams_are_spared: bool,
    rng: SmallRng,
    wires: Vec<Wire>,
    /// What is under way, by time of arrival.
    mail: BTreeMap<(Instant, u64), Mail>,
    posted: u64,
    ticked: Instant,
}

/// What the network does to what it carries.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The share of datagrams that never arrive; of pieces of a stream, those at which it is cut.
    pub loss: f64,
    /// The share of datagrams that arrive twice.
    pub duplication: f64,
    /// The longest time anything takes; each takes its own, so that datagrams overtake each other.
    pub delay: Duration,
}

/// One connection, or the attempt at one.
struct Wire {
    protocol: Arc<dyn Protocol>,
    transport: Transport,
    device: Box<dyn Device>,
    server: Option<Server>,
    /// Counts reconnections: what was under way before belongs to nobody.
    life: u32,
    /// A stream keeps its order: nothing arrives before what was sent earlier.
    latest: [Instant; 2],
    address: SocketAddr,
    restart: Option<Instant>,
}

impl Wire {
    /// What would carry it in the world outside, where addresses can be forged.
    fn carrier(&self) -> Carrier {
        match self.transport {
            Transport::Datagram => Carrier::Udp,
            Transport::Stream => Carrier::Tcp,
        }
    }
}

struct Server {
    driver: Driver,
    unread: Vec<u8>,
}

struct Mail {
    wire: usize,
    life: u32,
    to: To,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Server,
    Device,
}

/// How often the broker is told the time.
const TICK: Duration = Duration::from_millis(250);

/// How long a device waits before it connects again.
const RECONNECT: Duration = Duration::from_millis(500);

impl Faults {
    /// A perfect network.
    pub const NONE: Self = Self { loss: 0.0, duplication: 0.0, delay: Duration::from_millis(1) };

    /// A fifth is lost, a fifth doubled, and anything may overtake anything within half a second.
    pub const HEAVY: Self = Self { loss: 0.2, duplication: 0.2, delay: Duration::from_millis(500) };

    /// Nearly a third is lost, as much doubled, and anything may overtake anything within a second.
    pub const HEAVIER: Self = Self { loss: 0.3, duplication: 0.3, delay: Duration::from_secs(1) };
}

impl World {
    /// A world with an open broker.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self::with(seed, faults, Config::default(), Hooks::open())
    }

    /// A world with a broker of one's own.
    pub fn with(seed: u64, faults: Faults, config: Config, hooks: Hooks) -> Self {
        let now = Instant::now();
        Self {
            broker: Broker::new(config, hooks, Vec::new()),
            now,
            faults,
            streams_are_spared: false,
            rng: SmallRng::seed_from_u64(seed),
            wires: Vec::new(),
            mail: BTreeMap::new(),
            posted: 0,
            ticked: now,
        }
    }

    /// Changes what the network does from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// From now on the network cuts no stream, whatever it does to datagrams.
    pub fn spare_streams(&mut self) {
        self.streams_are_spared = true;
    }

    /// Adds a device that talks to a listener of `protocol`, and starts it.
    pub fn add<D: Device + 'static>(
        &mut self,
        protocol: Arc<dyn Protocol>,
        transport: Transport,
        device: D,
    ) -> Shared<D> {
        let device: Shared<D> = Shared::new(device.into());
        let wire = self.wires.len();
        let port = 40_000 + wire as u16;
        self.wires.push(Wire {
            protocol,
            transport,
            device: Box::new(device.clone()),
            server: None,
            life: 0,
            latest: [self.now; 2],
            address: ([192, 0, 2, 1], port).into(),
            restart: None,
        });
        self.start(wire);
        device
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `done`, at most `span`; returns whether it is.
    pub fn run_until(&mut self, span: Duration, mut done: impl FnMut() -> bool) -> bool {
        let end = self.now + span;
        while !done() {
            if !self.step(end) {
                return done();
            }
        }
        true
    }

    /// Does the next thing that happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let mail = self.mail.first_key_value().map(|((at, _), _)| *at);
        let due = self.wires.iter().flat_map(|wire| {
            let server = wire.server.as_ref().and_then(|server| server.driver.deadline());
            [server, wire.device.deadline().filter(|_| wire.restart.is_none()), wire.restart]
        });
        let next = due.chain([mail, Some(self.ticked + TICK)]).flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        if mail == Some(next) {
            self.deliver_mail();
        } else if self.now >= self.ticked + TICK {
            self.ticked = self.now;
            let (_, work) = self.broker.tick(self.now);
            assert!(work.is_empty(), "the hooks of a simulation answer at once");
        }
        self.wake_devices();
        self.turn_servers();
        true
    }

    fn start(&mut self, wire: usize) {
        let mut send = Vec::new();
        let own = &mut self.wires[wire];
        own.restart = None;
        own.life += 1;
        own.device.start(self.now, &mut send);
        self.post_all(wire, To::Server, send);
    }

    fn deliver_mail(&mut self) {
        let Some((_, mail)) = self.mail.pop_first() else { return };
        let own = &mut self.wires[mail.wire];
        if own.life != mail.life {
            return;
        }
        match mail.to {
            To::Device => {
                let mut send = Vec::new();
                own.device.receive(&mail.bytes, self.now, &mut send);
                self.post_all(mail.wire, To::Server, send);
            }
            To::Server => self.serve(mail.wire, &mail.bytes),
        }
    }

    fn serve(&mut self, wire: usize, bytes: &[u8]) {
        let own = &mut self.wires[wire];
        let mut out = Outbox::new(own.transport);
        if own.server.is_none() {
            if own.transport == Transport::Datagram && !own.protocol.admits(bytes) {
                return;
            }
            let peer = Peer {
                address: Address::Socket(own.address),
                listener: "sim".into(),
                transport: own.transport,
                seed: self.rng.random(),
                link: Link { carrier: own.carrier(), secured: None },
            };
            let house = House::new(own.protocol.clone(), self.broker.clone(), self.now);
            let driver = Driver::new(house.place(), peer, self.now, &mut out);
            own.server = Some(Server { driver, unread: Vec::new() });
        }
        let Some(server) = &mut own.server else { return };
        let cx = &mut Context::from_waker(Waker::noop());
        server.unread.extend_from_slice(bytes);
        let taken = server.driver.receive(&server.unread, self.now, &mut out, &mut (), cx);
        match own.transport {
            Transport::Stream => drop(server.unread.drain(..taken)),
            Transport::Datagram => server.unread.clear(),
        }
        self.post_outbox(wire, &out);
    }

    fn wake_devices(&mut self) {
        for wire in 0..self.wires.len() {
            let own = &mut self.wires[wire];
            if own.restart.is_some_and(|restart| restart <= self.now) {
                self.start(wire);
            } else if own.restart.is_none() && own.device.deadline().is_some_and(|due| due <= self.now) {
                let mut send = Vec::new();
                own.device.wake(self.now, &mut send);
                self.post_all(wire, To::Server, send);
            }
        }
    }

    /// Every server has its turn until none has anything more to say: what one publishes, another delivers.
    fn turn_servers(&mut self) {
        let mut more = true;
        while more {
            more = false;
            for wire in 0..self.wires.len() {
                let own = &mut self.wires[wire];
                let Some(server) = &mut own.server else { continue };
                let mut out = Outbox::new(own.transport);
                let cx = &mut Context::from_waker(Waker::noop());
                let flow = server.driver.turn(true, self.now, &mut out, &mut (), cx);
                more |= !out.nothing_to_send();
                self.post_outbox(wire, &out);
                if let Flow::Close(reason) = flow {
                    self.end(wire, reason);
                }
            }
        }
    }

    /// The server closed: a stream ends for the device too, once it has read the last words.
    fn end(&mut self, wire: usize, reason: Reason) {
        let own = &mut self.wires[wire];
        if let Some(server) = own.server.take() {
            server.driver.end(reason, self.now);
        }
        if own.transport == Transport::Stream {
            own.device.cut();
            own.restart = Some(self.now + RECONNECT);
        }
    }

    fn post_outbox(&mut self, wire: usize, out: &Outbox) {
        let whole =
            |chunk: bus::Chunk<'_>| [chunk.bytes, chunk.shared.map_or(&[][..], |bytes| bytes)].concat();
        let send = out.chunks().map(whole).collect();
        self.post_all(wire, To::Device, send);
    }

    fn post_all(&mut self, wire: usize, to: To, send: Vec<Vec<u8>>) {
        for bytes in send {
            match self.wires[wire].transport {
                Transport::Datagram => self.post_datagram(wire, to, bytes),
                Transport::Stream => self.post_stream(wire, to, &bytes),
            }
        }
    }

    fn post_datagram(&mut self, wire: usize, to: To, bytes: Vec<u8>) {
        if self.rng.random_bool(self.faults.loss) {
            return;
        }
        if self.rng.random_bool(self.faults.duplication) {
            self.post(wire, to, bytes.clone(), None);
        }
        self.post(wire, to, bytes, None);
    }

    /// A stream is torn into pieces of any size; at each it may be cut, and then all that is under way is lost.
    fn post_stream(&mut self, wire: usize, to: To, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.wires[wire].restart.is_none() {
            let (piece, rest) = bytes.split_at(self.rng.random_range(1..=bytes.len()));
            if !self.streams_are_spared && self.rng.random_bool(self.faults.loss) {
                self.end(wire, Reason::ConnectionReset);
                let own = &mut self.wires[wire];
                own.device.cut();
                own.life += 1;
                own.restart = Some(self.now + RECONNECT);
                return;
            }
            let latest = self.wires[wire].latest[to as usize];
            let at = self.post(wire, to, piece.to_vec(), Some(latest));
            self.wires[wire].latest[to as usize] = at;
            bytes = rest;
        }
    }

    fn post(&mut self, wire: usize, to: To, bytes: Vec<u8>, after: Option<Instant>) -> Instant {
        let delay = self.rng.random_range(Duration::ZERO..=self.faults.delay);
        let at = (self.now + delay).max(after.unwrap_or(self.now));
        self.posted += 1;
        self.mail.insert((at, self.posted), Mail { wire, life: self.wires[wire].life, to, bytes });
        at
    }
}
