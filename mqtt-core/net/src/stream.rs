//! Connections on byte streams: one task each, which holds no buffer while nothing is under way.
//!
//! Input is read into a buffer of the thread, and only what is left of an unfinished frame is kept. A read
//! that did not fill the buffer has emptied the socket, so none is wasted to learn that. All that a turn makes
//! goes out in one write.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bus::{Outbox, Peer, Reason, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::Alarm;
use crate::driver::{Driver, Flow};
use crate::fault::{self, Fault};
use crate::house::Place;
use crate::listener::Shared;

/// A connection on a stream, as a task.
pub(crate) struct Stream<S> {
    socket: S,
    /// Taken when the connection has ended.
    driver: Option<Driver>,
    alarm: Alarm,
    aside: Option<Box<Aside>>,
    /// Set once it has let others go first and it is its turn now: how many turns with input the thread had seen then.
    waited: Option<NonZeroU32>,
    /// Whether what is unread waits for an answer or for room in the outbox, so that it is to be given again without
    /// more behind it.
    held: bool,
    /// Whether what was written may not be on its way yet.
    flushing: bool,
}

/// What a connection has no need of while it rests.
#[derive(Default)]
struct Aside {
    /// Input that was not taken yet: the beginning of a frame, or what waits for an answer.
    unread: Vec<u8>,
    /// What the socket did not take yet.
    unsent: Option<Unsent>,
    /// None while the peer has a session.
    edge: Option<Edge>,
}

/// What a connection needs at its beginning and at its end.
enum Edge {
    /// Ends a peer that has no session yet when the listener stops; the broker tells the others.
    Stranger {
        stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
        /// What tells the transport that the peer is one.
        _mark: Option<Arc<()>>,
    },
    Closing {
        closing: Closing,
        _place: Option<Place>,
    },
}

struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
}

/// The connection is over, but for what the peer has yet to read; it keeps its place until then.
#[derive(Clone, Copy)]
struct Closing {
    reason: Reason,
    until: Instant,
}

/// What a thread lends to the connection whose turn it is.
struct Scratch {
    input: Box<[u8]>,
    out: Outbox,
    /// Whether the peer sent something in this turn.
    heard: bool,
    /// How many turns brought input, of all connections of the thread.
    inputs: u32,
    /// How much hope there is that letting others go first brings more to hand over, and for how many turns there was
    /// none.
    hope: u8,
    hopeless: u8,
}

/// How much is read at once.
const READ: usize = 64 * 1024;

/// How many full reads a connection may make before others have their turn.
const READS: usize = 4;

/// How many rounds of input, deliveries and output it may make before others have their turn.
const ROUNDS: usize = 16;

/// How long a peer has to read the last words, before the connection is cut.
const LINGER: Duration = Duration::from_secs(3);

/// How much oftener than not others may be let go first in vain. From then on it is tried once in so many times.
const HOPE: u8 = 16;

/// How many pieces are gathered for one write.
const SLICES: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; READ].into_boxed_slice(),
        out: Outbox::new(Transport::Stream),
        heard: false,
        inputs: 1,
        hope: HOPE,
        hopeless: 0,
    });
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Stream<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        let reason = SCRATCH.with_borrow_mut(|scratch| me.run(cx, scratch));
        let reason = match ready!(reason) {
            Ok(reason) | Err(reason) => reason,
        };
        me.end(reason, Instant::now());
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(crate) fn new(
        socket: S,
        stranger: Option<Arc<()>>,
        peer: Peer,
        shared: &Arc<Shared>,
        place: Place,
    ) -> Self {
        let mut out = Outbox::new(Transport::Stream);
        let driver = shared.driver(place, peer, Instant::now(), &mut out);
        let edge = Some(Edge::Stranger { stopped: Box::pin(shared.stopped()), _mark: stranger });
        let mut stream = Self {
            socket,
            driver: Some(driver),
            alarm: Alarm::default(),
            aside: Some(Box::new(Aside { edge, ..Aside::default() })),
            waited: None,
            held: false,
            flushing: true,
        };
        stream.keep(&out, 0);
        stream
    }

    /// Why the connection ended: `Ok` when it was closed in order, `Err` when the transport failed.
    fn run(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<Result<Reason, Reason>> {
        let now = Instant::now();
        scratch.clear();
        for _ in 0..ROUNDS {
            let clogged = self.flush(cx)?;
            if let Some(closing) = self.closing() {
                return self.finish(closing, clogged, now, cx, scratch);
            }
            if !clogged {
                self.take_held(now, cx, &mut scratch.out);
            }
            let more_input = !clogged && self.read(now, cx, scratch)?;
            if self.closing().is_some() {
                self.send(cx, &mut scratch.out)?;
                continue;
            }
            if !clogged && scratch.out.nothing_to_send() && self.lets_others_go_first(cx, scratch) {
                return Poll::Pending;
            }
            let stopped = self.is_stopped(cx);
            if let Some(driver) = self.driver.as_mut().filter(|_| stopped) {
                driver.close(Reason::ShuttingDown, now, &mut scratch.out);
            }
            let flow = self.turn(!clogged, now, cx, &mut scratch.out);
            self.let_in();
            if let Flow::Close(reason) = flow {
                let linger = if stopped { Duration::ZERO } else { LINGER };
                self.end_until(now + linger, reason, now);
            }
            if clogged {
                self.append(&mut scratch.out);
            } else {
                self.send(cx, &mut scratch.out)?;
            }
            let more_input = more_input || (!clogged && self.can_take_held());
            let again = more_input || matches!(flow, Flow::More | Flow::Close(_));
            if !again && (clogged || !self.has_unsent()) {
                return self.wait(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Who was woken to hand something over, and not by its own peer, lets all sockets be looked at once more: what
    /// other peers have sent meanwhile goes out in the same write. Where that is seldom so, it would only come later.
    fn lets_others_go_first(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        if let Some(inputs) = self.waited.take() {
            scratch.learn(Some(inputs) != NonZeroU32::new(scratch.inputs));
            return false;
        }
        let may_wait = !scratch.heard && self.driver.as_ref().is_some_and(Driver::has_session);
        // The runtime wakes whoever yields after it has looked at the sockets.
        let waits = may_wait && scratch.is_hopeful() && pin!(tokio::task::yield_now()).poll(cx).is_pending();
        self.waited = NonZeroU32::new(scratch.inputs).filter(|_| waits);
        waits
    }

    fn end(&mut self, reason: Reason, now: Instant) -> Option<Place> {
        self.driver.take().map(|driver| driver.end(reason, now))
    }

    /// The same, with time for the peer to read the last words.
    fn end_until(&mut self, until: Instant, reason: Reason, now: Instant) {
        let place = self.end(reason, now);
        let closing = Edge::Closing { closing: Closing { reason, until }, _place: place };
        self.aside.get_or_insert_default().edge = Some(closing);
    }

    fn closing(&self) -> Option<Closing> {
        match self.aside.as_ref()?.edge.as_ref()? {
            Edge::Closing { closing, .. } => Some(*closing),
            Edge::Stranger { .. } => None,
        }
    }

    /// Whether the listener stops before the peer has a session.
    fn is_stopped(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(aside) = &mut self.aside else { return false };
        let Some(Edge::Stranger { stopped, .. }) = &mut aside.edge else { return false };
        let is_stranger = self.driver.as_ref().is_some_and(|driver| !driver.has_session());
        let is_stopped = is_stranger && stopped.as_mut().poll(cx).is_ready();
        if is_stopped || !is_stranger {
            aside.edge = None;
            self.tidy();
        }
        is_stopped
    }

    /// Whoever was let in may send what a stranger may not, as soon as it learns of that.
    fn let_in(&mut self) {
        let is_in = self.driver.as_ref().is_some_and(Driver::has_session);
        let Some(aside) = self.aside.as_mut().filter(|_| is_in) else { return };
        if aside.edge.take_if(|edge| matches!(edge, Edge::Stranger { .. })).is_some() {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        self.aside.take_if(|aside| aside.is_empty());
    }

    /// Reads until the socket is empty; returns whether it may not be.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<bool, Reason> {
        for _ in 0..READS {
            let Some(driver) = &mut self.driver else { return Ok(false) };
            if self.held || driver.is_blocked() || driver.is_closing() {
                return Ok(false);
            }
            let mut buffer = ReadBuf::new(&mut scratch.input);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Err(error)) => return self.fail(&error, now),
                Poll::Ready(Ok(())) => {}
            }
            let read = buffer.filled().len();
            let fresh = scratch.input.get(..read).unwrap_or_default();
            if read == 0 {
                // What was made of the last input is still worth a try: the peer may have closed one way only.
                let _ = write(&mut self.socket, cx, &scratch.out);
                let _ = Pin::new(&mut self.socket).poll_shutdown(cx);
                return Err(Reason::PeerClosed);
            }
            scratch.heard = true;
            scratch.inputs = scratch.inputs.checked_add(1).unwrap_or(1);
            if let Some(aside) = self.aside.as_mut().filter(|aside| !aside.unread.is_empty()) {
                aside.unread.extend_from_slice(fresh);
                self.take(now, cx, &mut scratch.out);
            } else {
                let taken = driver.receive(fresh, now, &mut scratch.out, &mut (), cx);
                self.held = driver.is_blocked() || scratch.out.is_full();
                if let Some(rest) = fresh.get(taken..).filter(|rest| !rest.is_empty()) {
                    self.aside.get_or_insert_default().unread = rest.to_vec();
                }
            }
        }
        Ok(true)
    }

    /// Gives the driver what was kept.
    fn take(&mut self, now: Instant, cx: &mut Context<'_>, out: &mut Outbox) {
        let Some(driver) = &mut self.driver else { return };
        let unread = self.aside.as_ref().map_or(&[][..], |aside| &aside.unread);
        let taken = driver.receive(unread, now, out, &mut (), cx);
        self.held = driver.is_blocked() || out.is_full();
        if let Some(aside) = &mut self.aside {
            match taken < aside.unread.len() {
                true => drop(aside.unread.drain(..taken)),
                false => aside.unread = Vec::new(),
            }
        }
        self.tidy();
    }

    /// Gives the driver what waited for an answer that has come, or for room in the outbox.
    fn take_held(&mut self, now: Instant, cx: &mut Context<'_>, out: &mut Outbox) {
        if self.can_take_held() {
            self.held = false;
            self.take(now, cx, out);
        }
    }

    fn can_take_held(&self) -> bool {
        self.held && self.driver.as_ref().is_some_and(|driver| !driver.is_blocked() && !driver.is_closing())
    }

    fn turn(&mut self, deliver: bool, now: Instant, cx: &mut Context<'_>, out: &mut Outbox) -> Flow {
        match &mut self.driver {
            Some(driver) => driver.turn(deliver, now, out, &mut (), cx),
            None => Flow::Close(Reason::Internal),
        }
    }

    fn send(&mut self, cx: &mut Context<'_>, out: &mut Outbox) -> Result<(), Reason> {
        if out.nothing_to_send() {
            return Ok(());
        }
        let sent = match write(&mut self.socket, cx, out) {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(error)) => return Err(fault::reason(&error)),
            Poll::Pending => 0,
        };
        if sent < out.pending_bytes() {
            self.keep(out, sent);
        }
        out.clear_sent();
        self.flushing = true;
        self.push(cx)?;
        Ok(())
    }

    /// Sees to it that what was written is on its way; returns whether some of it waits for the peer to read.
    fn push(&mut self, cx: &mut Context<'_>) -> Result<bool, Reason> {
        if self.flushing {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(error)) => return Err(fault::reason(&error)),
            }
        }
        Ok(false)
    }

    /// Keeps what the socket did not take.
    fn keep(&mut self, out: &Outbox, sent: usize) {
        let bytes = joined(out);
        if sent < bytes.len() {
            self.aside.get_or_insert_default().unsent = Some(Unsent { bytes, sent });
        }
    }

    fn has_unsent(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.unsent.is_some())
    }

    /// Adds to what waits for a peer that does not read: last words, and answers to time.
    fn append(&mut self, out: &mut Outbox) {
        match self.aside.as_mut().and_then(|aside| aside.unsent.as_mut()) {
            Some(unsent) => unsent.bytes.extend(joined(out)),
            None => self.keep(out, 0),
        }
        out.clear_sent();
    }

    /// Sends what was kept; returns whether some of it still waits for the peer to read.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<bool, Reason> {
        while let Some(unsent) = self.aside.as_mut().and_then(|aside| aside.unsent.as_mut()) {
            let rest = unsent.bytes.get(unsent.sent..).unwrap_or_default();
            match Pin::new(&mut self.socket).poll_write(cx, rest) {
                Poll::Pending => return Ok(true),
                Poll::Ready(Ok(sent)) if sent > 0 => unsent.sent += sent,
                Poll::Ready(_) => return Err(Reason::ConnectionReset),
            }
            if unsent.sent >= unsent.bytes.len() {
                self.aside.iter_mut().for_each(|aside| aside.unsent = None);
                self.flushing = true;
                self.tidy();
            }
        }
        self.push(cx)
    }

    /// Ends the connection, because its stream has failed: with last words if that is the peer's fault.
    fn fail(&mut self, error: &io::Error, now: Instant) -> Result<bool, Reason> {
        let reason = fault::reason(error);
        let Some(fault) = Fault::of(error) else { return Err(reason) };
        if let Some(driver) = &mut self.driver {
            driver.blame(fault.detail);
        }
        self.end_until(now + LINGER, reason, now);
        Ok(true)
    }

    /// Says that nothing more comes, and reads what the peer sent meanwhile: a socket that is closed with
    /// unread input is reset, and the peer would lose the last words.
    fn finish(
        &mut self,
        closing: Closing,
        clogged: bool,
        now: Instant,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Poll<Result<Reason, Reason>> {
        let over = || Poll::Ready(Ok(closing.reason));
        if now >= closing.until {
            return over();
        }
        if !clogged {
            let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
            if matches!(shut, Poll::Ready(Err(_))) {
                return over();
            }
        }
        for _ in 0..READS {
            let mut buffer = ReadBuf::new(&mut scratch.input);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.wait(cx),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return over(),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sees to it that the task runs at its next deadline.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, Reason>> {
        let until = self.closing().map(|closing| closing.until);
        let deadline = until.or_else(|| self.driver.as_ref().and_then(Driver::deadline));
        self.alarm.set(deadline, cx);
        Poll::Pending
    }
}

impl Aside {
    fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.unsent.is_none() && self.edge.is_none()
    }
}

impl Scratch {
    /// Whether to let others go first.
    fn is_hopeful(&mut self) -> bool {
        self.hopeless = if self.hope > 0 { 0 } else { (self.hopeless + 1) % HOPE };
        self.hopeless == 0
    }

    /// Notes whether somebody was heard while others went first.
    fn learn(&mut self, heard: bool) {
        self.hope = if heard { HOPE.min(self.hope + 1) } else { self.hope.saturating_sub(1) };
    }

    /// Forgets what a connection that panicked has left: the next one must not do it in its own name.
    fn clear(&mut self) {
        self.heard = false;
        self.out.clear_sent();
        while self.out.next_action().is_some() {}
    }
}

/// Writes all of the outbox in one call; returns how much was taken.
fn write<S: AsyncWrite + Unpin>(
    socket: &mut S,
    cx: &mut Context<'_>,
    out: &Outbox,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut filled = 0;
    let parts = out.chunks().flat_map(|chunk| [Some(chunk.bytes), chunk.shared.map(|shared| &shared[..])]);
    for (slice, part) in slices.iter_mut().zip(parts.flatten().filter(|part| !part.is_empty())) {
        *slice = IoSlice::new(part);
        filled += 1;
    }
    match slices.get(..filled).unwrap_or_default() {
        [] => Poll::Ready(Ok(0)),
        [one] => Pin::new(socket).poll_write(cx, one),
        many => Pin::new(socket).poll_write_vectored(cx, many),
    }
}

fn joined(out: &Outbox) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(out.pending_bytes());
    for chunk in out.chunks() {
        bytes.extend_from_slice(chunk.bytes);
        bytes.extend_from_slice(chunk.shared.map_or(&[][..], |shared| shared));
    }
    bytes
}
#[cfg(test)]
mod tests {
    /// With the 104 bytes that the runtime adds, a task takes a multiple of 128 bytes of memory: this many keep it
    /// within two.
    #[test]
    fn an_idle_connection_stays_small() {
        let size = size_of::<super::Stream<tokio::net::TcpStream>>();
        assert!(size <= 152, "{size}");
    }
}
