use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use access::AuthChain;
use broker::{Broker, Config, Hooks, Observer};
use bus::{Address, Carrier, Limits, Link, Outbox, Peer, Protocol, Publish, Reason, Transport};
use lwm2m::Lwm2m;
use mqtt::Mqtt;
use mqtt_sn::MqttSn;
use net::{Driver, Flow, House};
use operators::History;
use parking_lot::Mutex;
use rewrite::Rewrite;
use stomp::Stomp;

use crate::frames::{Counts, answer};

/// A server with the defaults, and the peers that talk to it.
///
/// It does with its peers what `net`'s stream task does: all of an input is taken, then deliveries are, and what is made
/// goes out at once; who has something to receive is woken and has its turn.
pub struct World {
    /// The broker.
    pub broker: Broker,
    now: Instant,
    houses: [Arc<House>; 4],
    listener: Arc<str>,
    slots: Vec<Slot>,
    vacant: Vec<usize>,
    woken: Arc<Woken>,
    stream: Outbox,
    datagram: Outbox,
    /// What MQTT clients were sent.
    pub sent: Counts,
}

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// MQTT of any version.
    Mqtt,
    /// MQTT-SN.
    MqttSn,
    /// CoAP, at the endpoint that it shares with LwM2M.
    Coap,
    /// STOMP.
    Stomp,
}

/// A place for a connection. What is the test's own stays when the connection goes, so that it is counted once at most.
struct Slot {
    speaks: Speaks,
    driver: Option<Driver>,
    waker: Waker,
    /// What the client has yet to answer.
    answers: Vec<u8>,
    answered: Vec<u8>,
}

/// Who shall have a turn.
#[derive(Default)]
struct Woken(Mutex<VecDeque<usize>>);

struct WakeOne {
    woken: Arc<Woken>,
    peer: usize,
}

/// What passes from one input to the next.
const STEP: Duration = Duration::from_millis(1);

impl World {
    /// The server as it is by default: everybody on this machine is let in and may do everything, and is asked about; who
    /// comes and goes is kept in the history.
    pub fn new() -> Self {
        let history: Arc<dyn Observer> = Arc::new(History::new(&operators::Config::default()));
        Self::with(vec![history])
    }

    /// A server whose history is not kept, so that an idle peer is seen alone.
    pub fn without_history() -> Self {
        Self::with(Vec::new())
    }

    fn with(mut observers: Vec<Arc<dyn Observer>>) -> Self {
        let access = AuthChain::new(&access::Config::default()).expect("the defaults are good");
        let authority = Arc::new(access);
        observers.push(authority.clone());
        let rewrite = Rewrite::new(&[]).expect("no rule is wrong");
        let hooks = Hooks {
            authenticator: authority.clone(),
            authorizer: authority,
            rewriter: Some(Arc::new(rewrite)),
            interceptors: Vec::new(),
        };
        let limits = Limits::default;
        let (broker, now) = (Broker::new(Config::default(), hooks, observers), Instant::now());
        let protocols: [Arc<dyn Protocol>; 4] = [
            Arc::new(Mqtt::new(mqtt::Config::default(), limits())),
            Arc::new(MqttSn::new(mqtt_sn::Config::default(), limits())),
            Arc::new(Lwm2m::new(lwm2m::Config::default(), coap::Config::default(), limits())),
            Arc::new(Stomp::new(stomp::Config::default(), limits())),
        ];
        Self {
            houses: protocols.map(|protocol| House::new(protocol, broker.clone(), now)),
            broker,
            now,
            listener: "guard".into(),
            slots: Vec::new(),
            vacant: Vec::new(),
            woken: Arc::default(),
            stream: Outbox::new(Transport::Stream),
            datagram: Outbox::new(Transport::Datagram),
            sent: Counts::default(),
        }
    }

    /// Makes places for peers to come.
    pub fn reserve(&mut self, peers: usize) {
        while self.vacant.len() < peers {
            let peer = self.slots.len();
            let waker = Waker::from(Arc::new(WakeOne { woken: self.woken.clone(), peer }));
            let (answers, answered) = (Vec::with_capacity(256), Vec::with_capacity(256));
            self.slots.push(Slot { speaks: Speaks::Mqtt, driver: None, waker, answers, answered });
            self.vacant.push(peer);
        }
        self.woken.0.lock().reserve(self.slots.len());
    }

    /// A new connection; it has said nothing yet.
    pub fn open(&mut self, speaks: Speaks) -> usize {
        if self.vacant.is_empty() {
            self.reserve(1);
        }
        let index = self.vacant.pop().expect("a place");
        let address = SocketAddr::from(([127, 0, 0, 1], 1_024 + index as u16));
        let (transport, carrier) = match speaks {
            Speaks::Mqtt | Speaks::Stomp => (Transport::Stream, Carrier::Tcp),
            Speaks::MqttSn | Speaks::Coap => (Transport::Datagram, Carrier::Udp),
        };
        let peer = Peer {
            address: Address::Socket(address),
            listener: self.listener.clone(),
            transport,
            seed: 0,
            link: Link { carrier, secured: None },
        };
        let out = if transport == Transport::Stream { &mut self.stream } else { &mut self.datagram };
        let driver = Driver::new(self.houses[speaks as usize].place(), peer, self.now, out);
        let slot = &mut self.slots[index];
        (slot.speaks, slot.driver) = (speaks, Some(driver));
        index
    }

    /// A new connection that begins with these bytes.
    pub fn open_with(&mut self, speaks: Speaks, input: &[u8]) -> usize {
        let peer = self.open(speaks);
        self.send(peer, input);
        peer
    }

    /// The peer sends: one read of a stream, or one datagram. Returns when nobody has anything left to do.
    pub fn send(&mut self, peer: usize, input: &[u8]) {
        self.now += STEP;
        self.give(peer, input);
        self.settle();
    }

    /// The server itself says something, below no client's name.
    pub fn announce(&mut self, publish: Publish) {
        self.now += STEP;
        self.broker.announce(publish, self.now).expect("a message that the server may send");
        self.settle();
    }

    fn give(&mut self, peer: usize, mut input: &[u8]) {
        let slot = &mut self.slots[peer];
        let out = match slot.speaks {
            Speaks::Mqtt | Speaks::Stomp => &mut self.stream,
            Speaks::MqttSn | Speaks::Coap => &mut self.datagram,
        };
        let cx = &mut Context::from_waker(&slot.waker);
        loop {
            let Some(driver) = &mut slot.driver else { return };
            let taken = driver.receive(input, self.now, out, &mut (), cx);
            input = &input[taken..];
            let flow = driver.turn(true, self.now, out, &mut (), cx);
            for chunk in out.chunks().filter(|_| slot.speaks == Speaks::Mqtt) {
                let shared = chunk.shared.map_or(0, |shared| shared.len());
                answer(chunk.bytes, shared, &mut self.sent, &mut slot.answers);
            }
            out.clear_sent();
            match flow {
                Flow::Close(reason) => return self.close(peer, reason),
                Flow::More => {}
                Flow::Continue if input.is_empty() => break,
                Flow::Continue => assert!(taken > 0, "{} bytes are not taken", input.len()),
            }
        }
        if !slot.answers.is_empty() {
            self.woken.0.lock().push_back(peer);
        }
    }

    /// Whoever was woken has a turn, and whoever was asked answers.
    fn settle(&mut self) {
        loop {
            let Some(peer) = self.woken.0.lock().pop_front() else { return };
            let slot = &mut self.slots[peer];
            std::mem::swap(&mut slot.answers, &mut slot.answered);
            let mut answers = std::mem::take(&mut slot.answered);
            self.give(peer, &answers);
            answers.clear();
            self.slots[peer].answered = answers;
        }
    }

    fn close(&mut self, peer: usize, reason: Reason) {
        if let Some(driver) = self.slots[peer].driver.take() {
            driver.end(reason, self.now);
            self.vacant.push(peer);
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.0.lock().push_back(self.peer);
    }
}
