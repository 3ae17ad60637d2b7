use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bus::{Chance, Filter, Publish, SessionExpiry, SubscribeOptions, UserProperty};
use mqtt::{ClientError, ClientEvent, ClientOptions, MqttClient, PacketId, Received, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use crate::{Dial, DialError, Reconnect, Wire};

/// One MQTT client and its connection.
///
/// It is driven by [`Line::next`]: nothing is sent, received or reconnected but while that is awaited. To drop the
/// future of `next` loses nothing; to drop the line cuts the connection, so that the server publishes the will.
///
/// What is published goes into a buffer with a bound: publish only while there is [`Line::has_room`], and await
/// [`Event::Room`] after it was full. Messages are read only as fast as `next` is called.
#[derive(Debug)]
pub struct Line {
    dial: Dial,
    client: MqttClient,
    reconnect: Option<Reconnect>,
    chance: Chance,
    last_wait: Option<Duration>,
    way: Way,
    /// What the server has yet to be sent, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Whether the wire may hold what was written.
    unflushed: bool,
    /// Whether the owner found no room, and is to be told when there is some.
    was_full: bool,
    /// What was received and not taken yet: the beginning of a packet, or what waits for events to be taken.
    unread: Vec<u8>,
    buffer: Box<[u8]>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// What happens on a line.
#[derive(Debug)]
pub enum Event {
    /// Something of MQTT; what ends a connection comes as [`Event::Lost`].
    Mqtt(ClientEvent),
    /// There is room again for what is published.
    Room,
    /// There is no connection, or none any more. If it is made again, then after this time; else this is the last
    /// event.
    Lost(Lost, Option<Duration>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// It was not opened.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server did not let the client in.
    #[error("the server refused the connection: {0}")]
    Refused(Refusal),
    /// The server ended it and said why.
    #[error("the server ended the connection: {0}")]
    Disconnected(Refusal),
    /// The server ended it without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The transport failed.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came is not what MQTT allows, or nothing came in time.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What a client says when it leaves.
#[derive(Clone, Debug, Default)]
pub struct Farewell {
    /// Whether the server publishes the will all the same (MQTT 5).
    pub publish_will: bool,
    /// How long the server keeps the session, if that is not what CONNECT said (MQTT 5).
    pub session_expiry: Option<SessionExpiry>,
    /// What else is said (MQTT 5).
    pub said: Vec<UserProperty>,
}

enum Way {
    Closed,
    Opening(Pin<Box<dyn Future<Output = Result<Wire, DialError>> + Send>>),
    Open(Wire),
    /// What came before it failed is told first.
    Failed(Option<Lost>),
    Waiting(Pin<Box<Sleep>>),
}

/// How much may wait to be sent before there is no room.
const OUT: usize = 256 << 10;

/// How much is read at once.
const READ: usize = 16 << 10;

/// How long the last words may be stuck.
const STUCK: Duration = Duration::from_secs(10);

/// How long the server may take to close after them.
const LINGER: Duration = Duration::from_secs(2);

impl Line {
    /// A line that connects when [`Line::next`] is first awaited, and again after every loss if `reconnect` says so.
    /// `seed` is a number that others do not have.
    pub fn new(dial: Dial, options: ClientOptions, reconnect: Option<Reconnect>, seed: u64) -> Self {
        let mut line = Self {
            dial,
            client: MqttClient::new(options),
            reconnect,
            chance: Chance::new(seed),
            last_wait: None,
            way: Way::Closed,
            out: Vec::new(),
            sent: 0,
            unflushed: false,
            was_full: false,
            unread: Vec::new(),
            buffer: vec![0; READ].into_boxed_slice(),
            timer: None,
        };
        line.begin();
        line
    }

    /// What happens next; `None` when the line is closed.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Whether something may be published now. If not, [`Event::Room`] tells when it may.
    pub fn has_room(&mut self) -> bool {
        self.was_full = self.out.len() - self.sent >= OUT;
        !self.was_full
    }

    /// How many publishes above QoS 0 the server has not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.client.unacknowledged()
    }

    /// Whether the session is open.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Publishes, as [`MqttClient::publish`] does.
    pub fn publish(&mut self, publish: Publish) -> Result<Option<PacketId>, ClientError> {
        self.client.publish(publish, Instant::now(), &mut self.out)
    }

    /// Subscribes, as [`MqttClient::subscribe`] does.
    pub fn subscribe(
        &mut self,
        filters: &[(Filter, SubscribeOptions)],
        identifier: Option<u32>,
        said: &[UserProperty],
    ) -> Result<PacketId, ClientError> {
        self.client.subscribe(filters, identifier, said, Instant::now(), &mut self.out)
    }

    /// Ends subscriptions, as [`MqttClient::unsubscribe`] does.
    pub fn unsubscribe(
        &mut self,
        filters: &[Filter],
        said: &[UserProperty],
    ) -> Result<PacketId, ClientError> {
        self.client.unsubscribe(filters, said, Instant::now(), &mut self.out)
    }

    /// Acknowledges a message by hand, as [`MqttClient::acknowledge`] does.
    pub fn acknowledge(&mut self, message: &Received) -> Result<(), ClientError> {
        self.client.acknowledge(message, Instant::now(), &mut self.out)
    }

    /// Answers a challenge, as [`MqttClient::authenticate`] does.
    pub fn authenticate(&mut self, step: &bus::EnhancedAuthentication) -> Result<(), ClientError> {
        self.client.authenticate(step, Instant::now(), &mut self.out)
    }

    /// Says good-bye, and waits a moment until the server has heard it. Events that nobody took are lost.
    pub async fn close(mut self, farewell: &Farewell) -> Result<(), Lost> {
        let Farewell { publish_will, session_expiry, said } = farewell;
        if self.client.is_connected() {
            self.client.disconnect(*publish_will, *session_expiry, said, &mut self.out)?;
        }
        let Way::Open(wire) = std::mem::replace(&mut self.way, Way::Closed) else { return Ok(()) };
        let rest = self.out.get(self.sent..).unwrap_or_default();
        Ok(leave(wire, rest, &mut self.buffer).await?)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.client.next_event() {
                return Poll::Ready(Some(self.tell(event)));
            }
            match &mut self.way {
                Way::Closed => return Poll::Ready(None),
                Way::Failed(why) => {
                    let why = why.take().unwrap_or(Lost::Closed);
                    return Poll::Ready(Some(self.lost(why)));
                }
                Way::Waiting(until) => {
                    ready!(until.as_mut().poll(cx));
                    self.begin();
                }
                Way::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(wire) => {
                        self.way = Way::Open(wire);
                        if let Err(error) = self.client.connect(Instant::now(), &mut self.out) {
                            return Poll::Ready(Some(self.lost(error.into())));
                        }
                    }
                    Err(error) => return Poll::Ready(Some(self.lost(error.into()))),
                },
                Way::Open(_) => match ready!(self.poll_open(cx)) {
                    Ok(()) if self.was_full && self.out.len() - self.sent < OUT / 2 => {
                        self.was_full = false;
                        return Poll::Ready(Some(Event::Room));
                    }
                    Ok(()) => {}
                    Err(lost) => {
                        // The client may have said what the server did wrong.
                        let _ = self.poll_write(cx);
                        self.way = Way::Failed(Some(lost));
                    }
                },
            }
        }
    }

    /// Writes, reads and looks at the clock; ready when something was read or room was made.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.poll_write(cx)?;
        if self.was_full && self.out.len() - self.sent < OUT / 2 {
            return Poll::Ready(Ok(()));
        }
        if self.take()? {
            return Poll::Ready(Ok(()));
        }
        if self.poll_read(cx)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        while let Some(deadline) = self.client.deadline() {
            match &mut self.timer {
                Some((at, _)) if *at == deadline => {}
                Some((at, sleep)) => {
                    *at = deadline;
                    sleep.as_mut().reset(deadline.into());
                }
                None => self.timer = Some((deadline, Box::pin(tokio::time::sleep_until(deadline.into())))),
            }
            let Some((_, sleep)) = &mut self.timer else { break };
            ready!(sleep.as_mut().poll(cx));
            self.client.expire(Instant::now().max(deadline), &mut self.out)?;
            self.poll_write(cx)?;
        }
        Poll::Pending
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Lost> {
        let Way::Open(wire) = &mut self.way else { return Ok(()) };
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut *wire).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(Lost::Closed),
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(lost(error)),
                Poll::Pending => break,
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            self.out.shrink_to(OUT);
        } else if self.sent >= OUT {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        if self.unflushed && Pin::new(wire).poll_flush(cx).map_err(lost)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }

    /// Gives the client what was received and not taken; tells whether it took any.
    fn take(&mut self) -> Result<bool, Lost> {
        if self.unread.is_empty() {
            return Ok(false);
        }
        let taken = self.client.receive(&self.unread, Instant::now(), &mut self.out)?;
        self.unread.drain(..taken);
        Ok(taken > 0)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Lost> {
        let Way::Open(wire) = &mut self.way else { return Ok(Poll::Pending) };
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match Pin::new(wire).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Err(lost(error)),
        }
        if buffer.filled().is_empty() {
            return Err(Lost::Closed);
        }
        if self.unread.is_empty() {
            let taken = self.client.receive(buffer.filled(), Instant::now(), &mut self.out)?;
            self.unread.extend_from_slice(buffer.filled().get(taken..).unwrap_or_default());
        } else {
            self.unread.extend_from_slice(buffer.filled());
            self.take()?;
        }
        Ok(Poll::Ready(()))
    }

    /// An event of the client, or the end of the connection that it tells of.
    fn tell(&mut self, event: ClientEvent) -> Event {
        match event {
            ClientEvent::Refused(refusal) => self.lost(Lost::Refused(refusal)),
            ClientEvent::Disconnected(refusal) => self.lost(Lost::Disconnected(refusal)),
            event => {
                if matches!(event, ClientEvent::Connected(_)) {
                    self.last_wait = None;
                }
                Event::Mqtt(event)
            }
        }
    }

    fn lost(&mut self, lost: Lost) -> Event {
        self.client.disconnected();
        self.out.clear();
        self.sent = 0;
        self.unflushed = false;
        self.unread = Vec::new();
        self.timer = None;
        let wait = self.reconnect.map(|reconnect| reconnect.next(self.last_wait, &mut self.chance));
        self.last_wait = wait;
        self.way = match wait {
            Some(wait) => Way::Waiting(Box::pin(tokio::time::sleep(wait))),
            None => Way::Closed,
        };
        Event::Lost(lost, wait)
    }

    fn begin(&mut self) {
        let dial = self.dial.clone();
        self.way = Way::Opening(Box::pin(async move { dial.open().await }));
    }
}

/// Writes the last words and waits until the server has closed too: to close at once could throw away what the
/// server has not read yet.
async fn leave(mut wire: Wire, mut rest: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    while !rest.is_empty() {
        let written = tokio::time::timeout(STUCK, wire.write(rest)).await??;
        rest = rest.get(written..).filter(|_| written > 0).ok_or(io::ErrorKind::WriteZero)?;
    }
    tokio::time::timeout(STUCK, wire.flush()).await??;
    let closed = async {
        if wire.shutdown().await.is_ok() {
            while wire.read(buffer).await.is_ok_and(|count| count > 0) {}
        }
    };
    // A server that does not close has heard enough.
    let _ = tokio::time::timeout(LINGER, closed).await;
    Ok(())
}

fn lost(error: io::Error) -> Lost {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Lost::Closed,
        _ => Lost::Broken(error),
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "Closed",
            Self::Opening(_) => "Opening",
            Self::Open(_) => "Open",
            Self::Failed(_) => "Failed",
            Self::Waiting(_) => "Waiting",
        })
    }
}
