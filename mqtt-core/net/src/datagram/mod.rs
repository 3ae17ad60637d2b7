//! Connections on a datagram socket: one task holds them all, and finds each by name or by its source.
//!
//! The source is the peer's address, or its session where one secures the socket. A named datagram finds its
//! connection wherever it comes from, if the listener rebinds, and moves it there; an unnamed one goes to the
//! connection last heard from its source; else a new connection begins.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bus::{Address, Outbox, PeerName, Reason, Transport};
use slab::Slab;
use tokio::net::UdpSocket;
use tokio::time::Sleep;

use crate::driver::{Driver, Flow, Names};
use crate::listener::Shared;

use index::{Claims, Index, Known};
use outlet::Outlet;
use ready::Ready;

mod index;
mod outlet;
mod plain;
mod ready;
mod secure;
mod sessions;
mod way;

pub(crate) use plain::Plain;
pub(crate) use secure::{Secure, View};
pub(crate) use way::Way;

/// All connections of a datagram socket, as a task.
pub(crate) struct Datagrams<W: Way> {
    outlet: Outlet,
    way: W,
    shared: Arc<Shared>,
    /// Nobody is taken in any more.
    stopping: bool,
    peers: Slab<Remote<W>>,
    index: Index<W>,
    /// When each connection wants to be called, in order.
    deadlines: BTreeSet<(Instant, usize)>,
    ready: Arc<Ready>,
    timer: Option<Pin<Box<Sleep>>>,
    input: Box<[u8]>,
    out: Outbox,
}

/// One peer.
struct Remote<W: Way> {
    driver: Driver,
    source: W::Source,
    names: Vec<Known<W>>,
    waker: Waker,
    deadline: Option<Instant>,
    /// What came while an answer of the broker was awaited.
    waiting: VecDeque<Vec<u8>>,
    /// Since when it has no session; it is forgotten if it opens none in time.
    stranger: Instant,
}

/// The largest datagram there is.
const DATAGRAM: usize = 65_536;

/// How many datagrams are taken before deliveries have their turn.
const BURST: usize = 64;

/// How many rounds of deliveries and output one peer may make before others have their turn.
const ROUNDS: usize = 16;

/// How many datagrams of one peer may wait for the broker's answer to an earlier one.
const WAITING: usize = 16;

impl<W: Way> Datagrams<W> {
    pub(crate) fn new(socket: UdpSocket, way: W, shared: Arc<Shared>) -> Self {
        let mut datagrams = Self {
            outlet: Outlet::new(socket),
            way,
            shared,
            stopping: false,
            peers: Slab::new(),
            index: Index::default(),
            deadlines: BTreeSet::new(),
            ready: Arc::default(),
            timer: None,
            input: vec![0; DATAGRAM].into_boxed_slice(),
            out: Outbox::new(Transport::Datagram),
        };
        W::begin(&mut datagrams, Instant::now());
        datagrams
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

    /// Has the connection take a datagram that it is for.
    fn take(&mut self, datagram: &[u8], source: W::Source, now: Instant) {
        let name = self.shared.protocol.name(datagram);
        let found = self.find(name.as_ref(), source);
        let key = match found {
            Some(key) => key,
            None if self.stopping || !self.shared.protocol.admits(datagram) => return,
            None => match self.begin(source, now) {
                Some(key) => key,
                None => return self.way.turned_away(source, &mut self.outlet, now),
            },
        };
        let Some(remote) = self.peers.get_mut(key) else { return };
        if remote.source != source {
            let before = std::mem::replace(&mut remote.source, source);
            if let Some((address, link)) = self.way.peer(source) {
                // A handshake has shown where a session's peer is.
                let is_reached = link.secured.is_some() && !self.way.is_unreached(source);
                remote.driver.moved(address, is_reached);
            }
            self.index.leave(before, key);
            self.way.joined(source, key);
            self.way.left(before, key, None, &mut self.outlet, now);
        }
        // One of several behind a source is known by its name; what has none is not for it.
        if !name.is_some_and(|name| self.shared.protocol.shares_address(&name)) {
            self.index.by_source.insert(source, key);
        }
        if remote.driver.is_blocked() {
            // Its protocol sends again what does not fit.
            if remote.waiting.len() < WAITING {
                remote.waiting.push_back(datagram.to_vec());
            }
            return;
        }
        let taken = self.call(key, |driver, out, names, cx| driver.receive(datagram, now, out, names, cx));
        match taken.is_none() {
            true => self.break_off(key, now),
            false => self.turn(key, now),
        }
    }

    fn find(&self, name: Option<&PeerName>, source: W::Source) -> Option<usize> {
        let here = self.index.by_source.get(&source).copied();
        let Some(name) = name else { return here };
        let scope = self.way.scope(source, self.shared.config.rebind);
        let named = self.index.by_name.get(&(name.clone(), scope)).copied();
        named.or_else(|| here.filter(|_| !self.shared.protocol.shares_address(name)))
    }

    fn begin(&mut self, source: W::Source, now: Instant) -> Option<usize> {
        let (socket, link) = self.way.peer(source)?;
        let address = Address::Socket(socket);
        let place = self.shared.place(address, now).ok()?;
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        let peer = self.shared.peer(address, Transport::Datagram, link);
        let mut driver = self.shared.driver(place, peer, now, &mut self.out);
        if self.way.is_unreached(source) {
            driver.moved(socket, false);
        }
        entry.insert(Remote {
            driver,
            source,
            names: Vec::new(),
            waker: self.ready.waker(key),
            deadline: None,
            waiting: VecDeque::new(),
            stranger: now,
        });
        self.way.joined(source, key);
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
            let source = remote.source;
            if self.way.is_unreached(source) && remote.driver.is_reached() {
                self.reached(source, key);
            }
            self.way.send(source, &self.out, &mut self.outlet, now);
            self.out.clear_sent();
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

    /// The peer of a connection hears what it is sent, so that others behind the same source are reached as well.
    fn reached(&mut self, source: W::Source, key: usize) {
        for other in self.way.reached(source).into_iter().filter(|other| *other != key) {
            if let (Some(remote), Some((address, _))) = (self.peers.get_mut(other), self.way.peer(source)) {
                remote.driver.moved(address, true);
                remote.waker.wake_by_ref();
            }
        }
    }

    /// Calls a connection's driver. A connection that panics must not take the others with it: `None`.
    fn call<R>(
        &mut self,
        key: usize,
        call: impl FnOnce(&mut Driver, &mut Outbox, &mut dyn Names, &mut Context<'_>) -> R,
    ) -> Option<(&mut Remote<W>, R)> {
        let remote = self.peers.get_mut(key)?;
        let scope = self.way.scope(remote.source, self.shared.config.rebind);
        let (index, out) = (&mut self.index, &mut self.out);
        let called = AssertUnwindSafe(|| {
            let Remote { driver, names, waker, .. } = &mut *remote;
            let mut names = Claims { key, scope, names, index };
            call(driver, out, &mut names, &mut Context::from_waker(waker))
        });
        let result = catch_unwind(called).ok()?;
        Some((remote, result))
    }

    /// A connection panicked: what it left undone is forgotten, and it ends.
    fn break_off(&mut self, key: usize, now: Instant) {
        self.out = Outbox::new(Transport::Datagram);
        self.end(key, Reason::Internal, now);
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
        self.index.forget(remote.source, &remote.names, key);
        self.way.left(remote.source, key, Some(reason), &mut self.outlet, now);
        drop(remote.driver.end(reason, now));
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.outlet.flush(cx);
        let again = self.receive(now, cx);
        for key in self.ready.take(cx.waker()) {
            self.turn(key, now);
        }
        for key in self.take_due(now) {
            self.turn(key, now);
        }
        if self.way.has_news() || self.way.deadline().is_some_and(|deadline| deadline <= now) {
            W::expire(self, now);
        }
        self.outlet.flush(cx);
        if self.stopping && self.peers.is_empty() && self.outlet.is_empty() {
            self.way.stop(&mut self.outlet, now);
            return Poll::Ready(());
        }
        if again || self.way.has_news() {
            cx.waker().wake_by_ref();
        }
        self.way.rest();
        self.wait(cx)
    }

    /// Takes what the socket has; returns whether it may have more.
    fn receive(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut input = std::mem::take(&mut self.input);
        let mut taken = 0;
        while taken < BURST {
            let Poll::Ready(received) = self.outlet.receive(&mut input, cx) else { break };
            taken += 1;
            if let Ok((length, address)) = received
                && let Some(datagram) = input.get_mut(..length)
            {
                W::arrive(self, datagram, address, now);
            }
        }
        self.input = input;
        taken == BURST
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let first = self.deadlines.first().map(|(deadline, _)| *deadline);
        let Some(deadline) = first.into_iter().chain(self.way.deadline()).min() else { return Poll::Pending };
        let deadline = tokio::time::Instant::from_std(deadline);
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

impl<W: Way> Future for Datagrams<W> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.run(cx)
    }
}
