use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bus::{Filter, SubscribeOptions};
use dial::{Dial, Wire};
use mqtt::{ClientEvent, ClientOptions, Granted, MqttClient, Packet, Version, decode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// An open session that keeps no buffer while nothing is under way: thousands of them shall fit.
#[derive(Debug)]
pub(super) struct Link {
    wire: Wire,
    version: Version,
    /// The beginning of a packet.
    unread: Vec<u8>,
    /// What the wire did not take yet.
    unsent: Vec<u8>,
    ping: Option<Ping>,
}

#[derive(Debug)]
struct Ping {
    every: Duration,
    due: Pin<Box<Sleep>>,
}

/// What a thread lends to the connection whose turn it is.
pub(super) struct Scratch {
    input: Box<[u8]>,
    pub(super) out: Vec<u8>,
}

/// How much is read at once.
const READ: usize = 64 << 10;

/// The largest packet taken.
const PACKET: usize = 268_435_460;

const PINGREQ: [u8; 2] = [0xC0, 0];

/// Good-bye: in every version the packet may be so short.
const DISCONNECT: [u8; 2] = [0xE0, 0];

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { input: vec![0; READ].into_boxed_slice(), out: Vec::with_capacity(READ) });
}

impl Link {
    /// Connects, and subscribes if a filter is named.
    pub(super) async fn open(
        dial: &Dial,
        options: ClientOptions,
        filter: Option<(Filter, SubscribeOptions)>,
    ) -> anyhow::Result<(Self, Granted)> {
        let mut wire = dial.open().await?;
        let version = options.version;
        let mut client = MqttClient::new(options);
        let mut out = Vec::new();
        client.connect(std::time::Instant::now(), &mut out)?;
        let ClientEvent::Connected(granted) = answer(&mut client, &mut wire, &mut out).await? else {
            bail!("the server did not answer CONNECT");
        };
        if let Some(filter) = filter {
            client.subscribe(&[filter], None, &[], std::time::Instant::now(), &mut out)?;
            match answer(&mut client, &mut wire, &mut out).await? {
                ClientEvent::Subscribed(_, codes) if !codes.iter().any(|code| code.is_error()) => {}
                event => bail!("the server did not grant a subscription: {event:?}"),
            }
        }
        let every = Duration::from_secs(granted.keep_alive.into()) * 3 / 4;
        let ping = || Ping { every, due: Box::pin(sleep_until(Instant::now() + every)) };
        let ping = (!every.is_zero()).then(ping);
        Ok((Self { wire, version, unread: Vec::new(), unsent: Vec::new(), ping }, granted))
    }

    /// Lends the buffers of this thread.
    pub(super) fn with_scratch<T>(run: impl FnOnce(&mut Scratch) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.out.clear();
            run(scratch)
        })
    }

    /// Whether everything was written.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Reads once and hands out the packets; tells whether there may be more to read.
    pub(super) fn read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        mut take: impl FnMut(Packet<'_>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<bool> {
        let mut buffer = ReadBuf::new(&mut scratch.input);
        match Pin::new(&mut self.wire).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(read) => read?,
        }
        let fresh = buffer.filled();
        if fresh.is_empty() {
            return Err(io::Error::other("the server closed the connection"));
        }
        let input = if self.unread.is_empty() {
            fresh
        } else {
            self.unread.extend_from_slice(fresh);
            &self.unread
        };
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            match decode(rest, self.version, PACKET).map_err(io::Error::other)? {
                Some((packet, length)) => {
                    take(packet, &mut scratch.out)?;
                    taken += length;
                }
                None => break,
            }
        }
        if self.unread.is_empty() {
            self.unread.extend_from_slice(fresh.get(taken..).unwrap_or_default());
        } else if taken == self.unread.len() {
            self.unread = Vec::new();
        } else {
            self.unread.drain(..taken);
        }
        Ok(true)
    }

    /// Writes what was left and what is new; the wire may not take all of it.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, fresh: &[u8]) -> io::Result<()> {
        let mut held = std::mem::take(&mut self.unsent);
        let mut rest = fresh;
        if !held.is_empty() {
            held.extend_from_slice(fresh);
            rest = &held;
        }
        while !rest.is_empty() {
            match Pin::new(&mut self.wire).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        self.unsent = rest.to_vec();
        let _ = Pin::new(&mut self.wire).poll_flush(cx)?;
        Ok(())
    }

    /// Adds a PINGREQ if one is due.
    pub(super) fn ping(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        let Some(ping) = &mut self.ping else { return };
        while ping.due.as_mut().poll(cx).is_ready() {
            out.extend_from_slice(&PINGREQ);
            let next = Instant::now() + ping.every;
            ping.due.as_mut().reset(next);
        }
    }

    /// Says good-bye, and waits a moment until the server has closed.
    pub(super) async fn leave(mut self) {
        let patience = Duration::from_secs(2);
        let last_words = async {
            self.wire.write_all(&self.unsent).await?;
            self.wire.write_all(&DISCONNECT).await?;
            self.wire.flush().await?;
            // The one that closes first keeps the port busy for a minute: let that be the server.
            let mut rest = [0; 64];
            while self.wire.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(patience, last_words).await;
    }
}

async fn answer(client: &mut MqttClient, wire: &mut Wire, out: &mut Vec<u8>) -> anyhow::Result<ClientEvent> {
    wire.write_all(out).await?;
    wire.flush().await?;
    out.clear();
    let mut buffer = [0; 512];
    let mut unread = Vec::new();
    let patience = Duration::from_secs(30);
    loop {
        let read = tokio::time::timeout(patience, wire.read(&mut buffer)).await;
        let count = read.context("the server does not answer")??;
        if count == 0 {
            bail!("the server closed the connection");
        }
        unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let taken = client.receive(&unread, std::time::Instant::now(), out)?;
        unread.drain(..taken);
        match client.next_event() {
            Some(ClientEvent::Refused(refusal)) => bail!("the server refused the connection: {refusal}"),
            Some(event) => return Ok(event),
            None => {}
        }
    }
}
