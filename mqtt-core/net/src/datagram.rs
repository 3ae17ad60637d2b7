//! Connections on a datagram socket: one task holds them all, and finds each by name or by address.
//!
//! A named datagram finds its connection wherever it comes from, if the listener rebinds, and moves it there;
//! an unnamed one goes to the connection last heard from its address; else a new connection begins.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use bus::{Address, Carrier, Link, Outbox, PeerName, Reason, Transport};
use parking_lot::Mutex;
use slab::Slab;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::time::Sleep;

use crate::driver::{Driver, Flow, Names};
use crate::listener::{Place, Shared};

/// All connections of a datagram socket, as a task.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    shared: Arc<Shared>,
    /// Nobody is taken in any more.
    stopping: bool,
    peers: Slab<Remote>,
    index: Index,
    /// When each connection wants to be called, in order.
    deadlines: BTreeSet<(Instant, usize)>,
    ready: Arc<Ready>,
    timer: Option<Pin<Box<Sleep>>>,
    input: Box<[u8]>,
    out: Outbox,
    /// What the socket did not take yet.
    unsent: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// One peer.
struct Remote {
    driver: Driver,
    address: SocketAddr,
    names: Vec<Known>,
    waker: Waker,
    deadline: Option<Instant>,
    /// What came while an answer of the broker was awaited.
    waiting: VecDeque<Vec<u8>>,
    /// Since when it has no session; it is forgotten if it opens none in time.
    stranger: Instant,
    _place: Place,
}

/// A name, and the address it is bound to.
type Known = (PeerName, Option<SocketAddr>);

/// Which connection a datagram goes to.
#[derive(Default)]
struct Index {
    by_address: HashMap<SocketAddr, usize>,
    by_name: HashMap<Known, usize>,
}

/// The connections that were woken since the task last ran.
#[derive(Default)]
struct Ready {
    state: Mutex<(Vec<usize>, Option<Waker>)>,
}

struct WakePeer {
    ready: Arc<Ready>,
    key: usize,
}

/// What one connection may change of the index.
struct Claims<'a> {
    key: usize,
    /// Where a name counts; `None` is everywhere.
    address: Option<SocketAddr>,
    names: &'a mut Vec<Known>,
    index: &'a mut Index,
}

/// The largest datagram there is.
const DATAGRAM: usize = 65_536;

/// How many datagrams are taken before deliveries have their turn.
const BURST: usize = 64;

/// How many rounds of deliveries and output one peer may make before others have their turn.
const ROUNDS: usize = 16;

/// How many datagrams may wait for a full socket; further ones are lost, as on any network.
const UNSENT: usize = 4_096;

/// How many datagrams of one peer may wait for the broker's answer to an earlier one.
const WAITING: usize = 16;

/// How many names one peer may claim.
const NAMES: usize = 16;

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket, shared: Arc<Shared>) -> Self {
        Self {
            socket,
            shared,
            stopping: false,
            peers: Slab::new(),
            index: Index::default(),
            deadlines: BTreeSet::new(),
            ready: Arc::default(),
            timer: None,
            input: vec![0; DATAGRAM].into_boxed_slice(),
            out: Outbox::new(Transport::Datagram),
            unsent: VecDeque::new(),
        }
    }

    /// Takes nobody in any more. The broker tells those with a session; the others have nothing to be told.
    pub(crate) fn drain(&mut self) {
        self.stopping = true;
        let silent = self.peers.iter().filter(|(_, remote)| !remote.driver.has_session());
        let silent: Vec<usize> = silent.map(|(key, _)| key).collect();
        for key in silent {
            self.end(key, Reason::ShuttingDown, Instant::now());
        }
    }

    fn receive(&mut self, length: usize, address: SocketAddr, now: Instant) {
        let datagram = self.input.get(..length).unwrap_or_default();
        let name = self.shared.protocol.name(datagram);
        let found = self.find(name.as_ref(), address);
        let key = match found {
            Some(key) => key,
            None if self.stopping || !self.shared.protocol.admits(datagram) => return,
            None => match self.begin(address, now) {
                Some(key) => key,
                None => return,
            },
        };
        let Some(remote) = self.peers.get_mut(key) else { return };
        if remote.address != address && self.index.by_address.get(&remote.address) == Some(&key) {
            self.index.by_address.remove(&remote.address);
        }
        remote.address = address;
        // One of several behind an address is known by its name; what has none is not for it.
        if !name.is_some_and(|name| self.shared.protocol.shares_address(&name)) {
            self.index.by_address.insert(address, key);
        }
        let datagram = self.input.get(..length).unwrap_or_default();
        if remote.driver.is_blocked() {
            // Its protocol sends again what does not fit.
            if remote.waiting.len() < WAITING {
                remote.waiting.push_back(datagram.to_vec());
            }
            return;
        }
        let input = std::mem::take(&mut self.input);
        let datagram = input.get(..length).unwrap_or_default();
        let taken = self.call(key, |driver, out, names, cx| driver.receive(datagram, now, out, names, cx));
        let broken = taken.is_none();
        self.input = input;
        match broken {
            true => self.break_off(key, now),
            false => self.turn(key, now),
        }
    }

    fn find(&self, name: Option<&PeerName>, address: SocketAddr) -> Option<usize> {
        let here = self.index.by_address.get(&address).copied();
        let Some(name) = name else { return here };
        let named = self.index.by_name.get(&self.known(name.clone(), address)).copied();
        named.or_else(|| here.filter(|_| !self.shared.protocol.shares_address(name)))
    }

    /// A name counts anywhere if the listener rebinds, else at the address that claimed it.
    fn known(&self, name: PeerName, address: SocketAddr) -> Known {
        (name, (!self.shared.config.rebind).then_some(address))
    }

    fn begin(&mut self, address: SocketAddr, now: Instant) -> Option<usize> {
        let place = self.shared.place(Address::Socket(address), now).ok()?;
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        let link = Link { carrier: Carrier::Udp, secured: None };
        let peer = self.shared.peer(Address::Socket(address), Transport::Datagram, link);
        let driver = self.shared.driver(peer, now, &mut self.out);
        let waker = Waker::from(Arc::new(WakePeer { ready: self.ready.clone(), key }));
        entry.insert(Remote {
            driver,
            address,
            names: Vec::new(),
            waker,
            deadline: None,
            waiting: VecDeque::new(),
            stranger: now,
            _place: place,
        });
        Some(key)
    }

    /// Gives a connection its turn, sends what it made, and ends it if it is over.
    fn turn(&mut self, key: usize, now: Instant) {
        for _ in 0..ROUNDS {
            let turned = self.call(key, |driver, out, names, cx| driver.turn(true, now, out, names, cx));
            let Some((remote, flow)) = turned else { return self.break_off(key, now) };
            let waiting = if remote.driver.is_blocked() { None } else { remote.waiting.pop_front() };
            let more = flow == Flow::More || waiting.is_some();
            if let Some(datagram) = waiting {
                let taken =
                    self.call(key, |driver, out, names, cx| driver.receive(&datagram, now, out, names, cx));
                if taken.is_none() {
                    return self.break_off(key, now);
                }
            }
            let Some(remote) = self.peers.get_mut(key) else { return };
            if remote.driver.has_session() {
                remote.stranger = now;
            }
            // Whoever is still asking to be let in has asked in vain.
            let silent = !remote.driver.has_session()
                && now.saturating_duration_since(remote.stranger) >= self.shared.limits.handshake;
            let address = remote.address;
            self.send(address);
            match flow {
                Flow::Close(reason) => return self.end(key, reason, now),
                Flow::Continue if silent => return self.end(key, Reason::HandshakeTimeout, now),
                Flow::Continue if !more => return self.schedule(key),
                Flow::More | Flow::Continue => {}
            }
        }
        // The others have their turn first.
        if let Some(remote) = self.peers.get(key) {
            remote.waker.wake_by_ref();
        }
        self.schedule(key);
    }

    /// Calls a connection's driver. A connection that panics must not take the others with it: `None`.
    fn call<R>(
        &mut self,
        key: usize,
        call: impl FnOnce(&mut Driver, &mut Outbox, &mut dyn Names, &mut Context<'_>) -> R,
    ) -> Option<(&mut Remote, R)> {
        let remote = self.peers.get_mut(key)?;
        let (rebind, index, out) = (self.shared.config.rebind, &mut self.index, &mut self.out);
        let called = AssertUnwindSafe(|| {
            remote.with(key, rebind, index, |driver, names, cx| call(driver, out, names, cx))
        });
        let result = catch_unwind(called).ok()?;
        Some((remote, result))
    }

    /// A connection panicked: what it left undone is forgotten, and it ends.
    fn break_off(&mut self, key: usize, now: Instant) {
        self.out = Outbox::new(Transport::Datagram);
        self.end(key, Reason::Internal, now);
    }

    fn send(&mut self, address: SocketAddr) {
        for chunk in self.out.chunks() {
            if self.unsent.is_empty() {
                match self.socket.try_send_to(chunk.bytes, address) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // Too large, or unreachable: to the protocol it is a lost datagram.
                    _ => continue,
                }
            }
            if self.unsent.len() < UNSENT {
                self.unsent.push_back((address, chunk.bytes.to_vec()));
            }
        }
        self.out.clear_sent();
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        while let Some((address, bytes)) = self.unsent.front() {
            if self.socket.poll_send_to(cx, bytes, *address).is_pending() {
                return;
            }
            self.unsent.pop_front();
        }
    }

    fn schedule(&mut self, key: usize) {
        let Some(remote) = self.peers.get_mut(key) else { return };
        let forgotten = remote.stranger + self.shared.limits.handshake;
        let forgotten = (!remote.driver.has_session()).then_some(forgotten);
        let deadline = remote.driver.deadline().into_iter().chain(forgotten).min();
        let old = std::mem::replace(&mut remote.deadline, deadline);
        if old != deadline {
            old.map(|old| self.deadlines.remove(&(old, key)));
            deadline.map(|deadline| self.deadlines.insert((deadline, key)));
        }
    }

    /// The connections whose deadline has passed, each once.
    fn take_due(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        while let Some((_, key)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.pop_first();
            if let Some(remote) = self.peers.get_mut(key) {
                remote.deadline = None;
            }
            due.push(key);
        }
        due
    }

    fn end(&mut self, key: usize, reason: Reason, now: Instant) {
        let Some(remote) = self.peers.try_remove(key) else { return };
        if let Some(deadline) = remote.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        self.index.forget(&remote, key);
        remote.driver.end(reason, now);
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.flush(cx);
        let mut again = true;
        for _ in 0..BURST {
            let mut buffer = ReadBuf::new(&mut self.input);
            let Poll::Ready(received) = self.socket.poll_recv_from(cx, &mut buffer) else {
                again = false;
                break;
            };
            let length = buffer.filled().len();
            // An error here is the echo of a datagram that could not be delivered to some peer.
            if let Ok(address) = received {
                self.receive(length, address, now);
            }
        }
        for key in self.ready.take(cx.waker()) {
            self.turn(key, now);
        }
        for key in self.take_due(now) {
            self.turn(key, now);
        }
        self.flush(cx);
        if self.stopping && self.peers.is_empty() && self.unsent.is_empty() {
            return Poll::Ready(());
        }
        if again {
            cx.waker().wake_by_ref();
        }
        self.wait(cx)
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((deadline, _)) = self.deadlines.first() else { return Poll::Pending };
        let deadline = tokio::time::Instant::from_std(*deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Future for Datagrams {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.run(cx)
    }
}

impl Remote {
    /// Lends the connection what it needs for a call.
    fn with<R>(
        &mut self,
        key: usize,
        rebind: bool,
        index: &mut Index,
        call: impl FnOnce(&mut Driver, &mut dyn Names, &mut Context<'_>) -> R,
    ) -> R {
        let address = (!rebind).then_some(self.address);
        let mut names = Claims { key, address, names: &mut self.names, index };
        call(&mut self.driver, &mut names, &mut Context::from_waker(&self.waker))
    }
}

impl Index {
    /// Takes a peer out; what another peer has claimed since stays that peer's.
    fn forget(&mut self, remote: &Remote, key: usize) {
        if self.by_address.get(&remote.address) == Some(&key) {
            self.by_address.remove(&remote.address);
        }
        for name in &remote.names {
            self.release(name, key);
        }
    }

    fn release(&mut self, name: &Known, key: usize) {
        if self.by_name.get(name) == Some(&key) {
            self.by_name.remove(name);
        }
    }
}

impl Ready {
    fn take(&self, waker: &Waker) -> Vec<usize> {
        let (keys, own) = &mut *self.state.lock();
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
        std::mem::take(keys)
    }
}

impl Wake for WakePeer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let (keys, waker) = &mut *self.ready.state.lock();
        keys.push(self.key);
        if let Some(waker) = waker.as_ref().filter(|_| keys.len() == 1) {
            waker.wake_by_ref();
        }
    }
}

impl Names for Claims<'_> {
    fn claim(&mut self, name: PeerName) {
        let known = (name, self.address);
        if self.names.contains(&known) {
            self.index.by_name.insert(known, self.key);
            return;
        }
        if self.names.len() >= NAMES {
            let oldest = self.names.remove(0);
            self.index.release(&oldest, self.key);
        }
        self.index.by_name.insert(known.clone(), self.key);
        self.names.push(known);
    }

    fn disclaim(&mut self, name: PeerName) {
        let known = (name, self.address);
        self.names.retain(|claimed| *claimed != known);
        self.index.release(&known, self.key);
    }
}
