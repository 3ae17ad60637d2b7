use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bus::{Lane, Outbox, Peer, Reason, Transport};
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tracing::debug;

use super::accept::reason;
use super::config::WINDOW;
use super::lane::{Read, Streamed};
use crate::alarm::Alarm;
use crate::driver::{Driver, Flow};
use crate::house::Place;
use crate::listener::Shared;

type Soon<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A QUIC connection with all its streams, as a task.
pub(super) struct Conversation {
    connection: Connection,
    address: SocketAddr,
    /// The next stream; none where the connection is gone.
    opened: Option<Soon<Result<(SendStream, RecvStream), ConnectionError>>>,
    closed: Soon<ConnectionError>,
    /// Taken when the conversation has ended.
    driver: Option<Driver>,
    /// The streams that are open, in the order in which they were opened.
    lanes: Vec<Streamed>,
    /// How many streams were opened so far.
    count: u32,
    /// Where reading begins, so that no stream starves another.
    first: usize,
    has_session: bool,
    /// The largest packet, beyond which nothing of a stream is kept.
    packet: usize,
    alarm: Alarm,
    closing: Option<Closing>,
    /// Why the transport is gone. What it has brought is heard all the same.
    lost: Option<Reason>,
    /// Ends a peer that has no session yet when the listener stops; the broker tells the others.
    stopped: Option<Soon<()>>,
    /// Of the driver that has ended.
    _place: Option<Place>,
}

/// The conversation is over, but for what the peer has yet to read.
struct Closing {
    reason: Reason,
    until: Instant,
    /// Ready when the last words have arrived, once they are all sent.
    arrived: Option<Soon<()>>,
}

struct Scratch {
    input: Box<[u8]>,
    out: Outbox,
}

/// How much is read at once.
const READ: usize = 64 * 1024;

/// How many rounds of input, deliveries and output a connection may make before others have their turn.
const ROUNDS: usize = 16;

/// How long a peer has to read the last words, before the connection is cut.
const LINGER: Duration = Duration::from_secs(3);

/// No more deliveries are taken while this much waits for the peer to read, on whatever stream.
const UNSENT: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; READ].into_boxed_slice(),
        out: Outbox::new(Transport::Stream),
    });
}

impl Future for Conversation {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        let ended = SCRATCH.with_borrow_mut(|scratch| me.run(cx, scratch));
        ended.map(|reason| {
            me.end(reason, Instant::now());
            me.connection.close(VarInt::from(0_u8), reason.name().as_bytes());
        })
    }
}

impl Conversation {
    pub(super) fn new(connection: Connection, peer: Peer, shared: &Arc<Shared>, place: Place) -> Self {
        // The client opens the first stream, so there is nowhere to say anything yet.
        let mut out = Outbox::new(Transport::Stream);
        let driver = shared.driver(place, peer, Instant::now(), &mut out);
        let whole = connection.clone();
        Self {
            address: connection.remote_address(),
            opened: Some(opened(&connection)),
            closed: Box::pin(async move { whole.closed().await }),
            connection,
            driver: Some(driver),
            lanes: Vec::new(),
            count: 0,
            first: 0,
            has_session: false,
            packet: shared.limits.packet,
            alarm: Alarm::default(),
            closing: None,
            lost: None,
            stopped: Some(Box::pin(shared.stopped())),
            _place: None,
        }
    }

    /// Why the conversation ended.
    fn run(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<Reason> {
        let now = Instant::now();
        scratch.clear();
        for _ in 0..ROUNDS {
            if self.lost.is_none()
                && let Poll::Ready(error) = self.closed.as_mut().poll(cx)
            {
                self.lost = Some(reason(&error));
            }
            self.look(cx);
            self.lanes.iter_mut().for_each(|lane| lane.flush(cx));
            if self.closing.is_some() {
                return self.finish(now, cx);
            }
            let more_input = self.read(now, cx, scratch);
            let stopped = self.is_stopped(cx);
            if let Some(driver) = self.driver.as_mut().filter(|_| stopped) {
                driver.close(Reason::ShuttingDown, now, &mut scratch.out);
            }
            let was_blocked = self.is_blocked();
            let flow = self.turn(now, cx, &mut scratch.out);
            self.send(cx, &mut scratch.out);
            if let Flow::Close(reason) = flow {
                let linger = if stopped { Duration::ZERO } else { LINGER };
                self.closing = Some(Closing { reason, until: now + linger, arrived: None });
                self.end(reason, now);
                continue;
            }
            let lost = match self.lose(now, cx, &mut scratch.out) {
                Ok(lost) => lost,
                Err(reason) => return Poll::Ready(reason),
            };
            let opened = self.notice_session();
            let unblocked = was_blocked && !self.is_blocked();
            if !(more_input || lost || opened || unblocked || flow == Flow::More) {
                return match self.lost.filter(|_| !self.is_blocked()) {
                    Some(reason) => Poll::Ready(reason),
                    None => self.wait(cx),
                };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_blocked(&self) -> bool {
        self.driver.as_ref().is_some_and(Driver::is_blocked)
    }

    fn end(&mut self, reason: Reason, now: Instant) {
        if let Some(driver) = self.driver.take() {
            self._place = Some(driver.end(reason, now));
        }
    }

    /// Takes new streams, and notices that the client has moved.
    fn look(&mut self, cx: &mut Context<'_>) {
        while let Some(next) = &mut self.opened {
            let Poll::Ready(streams) = next.as_mut().poll(cx) else { break };
            self.opened = streams.ok().map(|streams| {
                self.lanes.push(Streamed::new(Lane(self.count), streams));
                self.count = self.count.saturating_add(1);
                opened(&self.connection)
            });
        }
        let address = self.connection.remote_address();
        if address != self.address {
            debug!(from = %self.address, to = %address, "A QUIC client has moved.");
            self.address = address;
            if let Some(driver) = &mut self.driver {
                driver.moved(address, true);
            }
        }
    }

    /// Reads each stream once; returns whether there may be more.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        let mut more = false;
        let count = self.lanes.len();
        self.first = (self.first + 1) % count.max(1);
        for offset in 0..count {
            let Some(driver) = self.driver.as_mut().filter(|driver| !driver.is_closing()) else {
                return false;
            };
            if driver.is_blocked() {
                return false;
            }
            if scratch.out.is_full() {
                return true;
            }
            let Some(lane) = self.lanes.get_mut((self.first + offset) % count) else { break };
            // Other streams wait, in the client's flow control, until the control stream has opened the session; and
            // whoever does not read is not read.
            if (lane.lane != Lane::MAIN && !driver.has_session()) || lane.waiting() > 0 {
                continue;
            }
            more |= read(lane, driver, self.packet, now, cx, scratch);
        }
        more
    }

    fn turn(&mut self, now: Instant, cx: &mut Context<'_>, out: &mut Outbox) -> Flow {
        let waiting: usize = self.lanes.iter().map(Streamed::waiting).sum();
        let deliver = waiting < UNSENT && self.lost.is_none();
        out.switch_lane(Lane::MAIN);
        match &mut self.driver {
            Some(driver) => driver.turn(deliver, now, out, &mut (), cx),
            None => Flow::Close(Reason::Internal),
        }
    }

    /// Hands each stream its part. What is for a stream that is gone is for nobody.
    fn send(&mut self, cx: &mut Context<'_>, out: &mut Outbox) {
        for chunk in out.chunks() {
            if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.lane == chunk.lane) {
                lane.write(chunk.bytes, cx);
                lane.write(chunk.shared.map_or(&[][..], |shared| shared), cx);
            }
        }
        out.clear_sent();
    }

    /// Gives up the streams that are done, and tells the connection of it; returns whether there were any. Without
    /// the control stream there is no connection.
    fn lose(&mut self, now: Instant, cx: &mut Context<'_>, out: &mut Outbox) -> Result<bool, Reason> {
        let Some(driver) = &mut self.driver else { return Ok(false) };
        if driver.is_blocked() || self.lost.is_some() {
            return Ok(false);
        }
        let before = self.lanes.len();
        let mut at = 0;
        while let Some(lane) = self.lanes.get_mut(at) {
            let waits = lane.lane != Lane::MAIN && !driver.has_session();
            let is_done = lane.broken || (lane.ended && lane.waiting() == 0);
            if waits || !is_done {
                at += 1;
                continue;
            }
            let _ = lane.send.finish();
            if lane.lane == Lane::MAIN {
                let reason = if lane.broken { Reason::ConnectionReset } else { Reason::PeerClosed };
                return Err(reason);
            }
            let gone = self.lanes.remove(at).lane;
            driver.lane_closed(gone, now, out, &mut (), cx);
        }
        Ok(self.lanes.len() < before)
    }

    /// Whether the session was opened since last asked.
    fn notice_session(&mut self) -> bool {
        let opened = !self.has_session && self.driver.as_ref().is_some_and(Driver::has_session);
        if opened {
            self.has_session = true;
            self.connection.set_receive_window(VarInt::from(WINDOW));
        }
        opened
    }

    /// Whether the listener stops before the peer has a session.
    fn is_stopped(&mut self, cx: &mut Context<'_>) -> bool {
        if self.driver.as_ref().is_none_or(Driver::has_session) {
            self.stopped = None;
        }
        self.stopped.take_if(|stopped| stopped.as_mut().poll(cx).is_ready()).is_some()
    }

    /// Waits until the last words on the control stream have arrived: closing the connection would take them back.
    fn finish(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Reason> {
        let main = self.lanes.iter_mut().find(|lane| lane.lane == Lane::MAIN && !lane.broken);
        let Some(closing) = &mut self.closing else { return Poll::Pending };
        let is_over = now >= closing.until || self.lost.is_some();
        let Some(main) = main.filter(|_| !is_over) else { return Poll::Ready(closing.reason) };
        if main.waiting() == 0 {
            let arrived = closing.arrived.get_or_insert_with(|| {
                let _ = main.send.finish();
                let stopped = main.send.stopped();
                Box::pin(async move { drop(stopped.await) })
            });
            if arrived.as_mut().poll(cx).is_ready() {
                return Poll::Ready(closing.reason);
            }
        }
        self.wait(cx)
    }

    /// Sees to it that the task runs at its next deadline.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        let until = self.closing.as_ref().map(|closing| closing.until);
        let deadline = until.or_else(|| self.driver.as_ref().and_then(Driver::deadline));
        self.alarm.set(deadline, cx);
        Poll::Pending
    }
}

fn opened(connection: &Connection) -> Soon<Result<(SendStream, RecvStream), ConnectionError>> {
    let connection = connection.clone();
    Box::pin(async move { connection.accept_bi().await })
}

/// Gives the driver what a stream has; returns whether there may be more.
fn read(
    lane: &mut Streamed,
    driver: &mut Driver,
    packet: usize,
    now: Instant,
    cx: &mut Context<'_>,
    scratch: &mut Scratch,
) -> bool {
    let Scratch { input, out } = scratch;
    out.switch_lane(lane.lane);
    if !lane.unread.is_empty() {
        take_unread(lane, driver, now, cx, out);
        // A whole packet that was not taken waits for something.
        if driver.is_blocked() || out.is_full() || lane.unread.len() > packet {
            return out.is_full();
        }
    }
    let Read::Bytes(length) = lane.read(input, cx) else { return false };
    let fresh = input.get(..length).unwrap_or_default();
    if lane.unread.is_empty() {
        let taken = driver.receive(fresh, now, out, &mut (), cx);
        lane.unread.extend_from_slice(fresh.get(taken..).unwrap_or_default());
    } else {
        lane.unread.extend_from_slice(fresh);
        take_unread(lane, driver, now, cx, out);
    }
    true
}

fn take_unread(
    lane: &mut Streamed,
    driver: &mut Driver,
    now: Instant,
    cx: &mut Context<'_>,
    out: &mut Outbox,
) {
    let taken = driver.receive(&lane.unread, now, out, &mut (), cx);
    if taken < lane.unread.len() {
        lane.unread.drain(..taken);
    } else {
        lane.unread = Vec::new();
    }
}

impl Scratch {
    /// Forgets what a connection that panicked has left: the next one must not do it in its own name.
    fn clear(&mut self) {
        self.out.clear_sent();
        while self.out.next_action().is_some() {}
    }
}
