//! WebSocket, as the byte stream that protocols read: what its frames hold, in the order they came. Packets may span
//! frames and share them [MQTT-6.0.0-2]; where each message is one of the protocol, it stands behind its length.

mod frames;
mod handshake;
mod messages;
mod text;
pub(crate) mod upgrade;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bus::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

pub use frames::{Decoded, Decoder, Fault, Said};
pub use handshake::{Accepted, Refusal, handshake};

use crate::fault;
use messages::Messages;

/// What a WebSocket listener offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The paths of the URL that are served.
    pub paths: Vec<String>,
    /// The sub-protocols that are offered; an empty one stands for clients that ask for none.
    pub subprotocols: Vec<String>,
    /// The origins whose pages may connect, `*` for all; if empty, those of the same host and of this machine.
    pub origins: Vec<String>,
    /// The longest frame.
    pub max_frame: usize,
    /// Whether data may come as text too; it is answered in kind.
    pub takes_text: bool,
    /// The longest message, where each is one of the protocol: in the stream it stands behind its length, in four
    /// bytes, both ways. One that is longer is announced by its length, and does not follow.
    pub max_message: Option<usize>,
    /// The same as long as the client has no session.
    pub max_message_before: usize,
}

/// A WebSocket whose handshake is done.
pub(crate) struct WebSocket<S> {
    socket: S,
    decoder: Decoder,
    /// Where messages are told apart.
    messages: Option<Box<Messages>>,
    /// How long they may be, before and after the client has a session.
    longest: (u64, u64),
    /// There as long as the client has none.
    stranger: Weak<()>,
    /// What the client sent together with its handshake.
    early: Vec<u8>,
    /// What the socket did not take yet.
    output: Vec<u8>,
    sent: usize,
    input: Input,
    /// The close frame is on its way.
    closed: bool,
}

/// How the client's frames are taken.
#[derive(Clone, Copy)]
enum Input {
    Open,
    /// The client said good-bye.
    Ended,
    Faulty(Fault),
    /// Told of the fault; what still comes is thrown away.
    Deaf(u16),
}

/// How many reads that bring no data may follow each other before others have their turn.
const READS: usize = 16;

/// How much may wait to be sent before pings go unanswered.
const CLOGGED: usize = 4096;

/// How many pieces are gathered for one write.
const SLICES: usize = 65;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) fn new(socket: S, config: &Config, early: Vec<u8>) -> Self {
        let decoder = Decoder::new(config.takes_text, config.max_frame as u64);
        Self {
            socket,
            decoder: match config.max_message {
                Some(most) => decoder.by_message(most as u64),
                None => decoder,
            },
            messages: config.max_message.map(|_| Box::default()),
            longest: (config.max_message_before as u64, config.max_message.unwrap_or(usize::MAX) as u64),
            stranger: Weak::new(),
            early,
            output: Vec::new(),
            sent: 0,
            input: Input::Open,
            closed: false,
        }
    }

    /// What must be dropped when the client has a session: until then its messages are not to be as long as later. `None`
    /// where none is put together here.
    pub(crate) fn stranger(&mut self) -> Option<Arc<()>> {
        self.messages.as_ref()?;
        let stranger = Arc::default();
        self.stranger = Arc::downgrade(&stranger);
        Some(stranger)
    }

    /// Reads what the client sent into the buffer; returns how much.
    fn read_raw(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buffer.len());
            let (now, later) = self.early.split_at(length);
            buffer.get_mut(..length).unwrap_or_default().copy_from_slice(now);
            self.early = later.to_vec();
            return Poll::Ready(Ok(length));
        }
        let mut raw = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut raw))?;
        Poll::Ready(Ok(raw.filled().len()))
    }

    /// Takes what was read; returns how much data is at the front for the protocol.
    fn take(&mut self, raw: &mut [u8]) -> usize {
        if self.messages.is_some() {
            let (before, after) = self.longest;
            let is_stranger = self.stranger.strong_count() > 0;
            self.decoder.take_messages_up_to(if is_stranger { before.min(after) } else { after });
        }
        let mut decoded = self.decoder.decode(raw);
        for said in decoded.said {
            match said {
                Said::Ping(payload) if !self.closed && self.output.len() < CLOGGED => {
                    self.queue(Control::Pong, &payload); // [RFC6455 5.5.2]
                }
                Said::Ping(_) => {}
                Said::Close => {
                    self.close(u16::from(CloseCode::Normal));
                    self.input = Input::Ended;
                }
            }
        }
        let Some(messages) = &mut self.messages else {
            self.input = decoded.fault.map_or(self.input, Input::Faulty);
            return decoded.payload;
        };
        messages.take(raw.get(..decoded.payload).unwrap_or_default(), &decoded.ends);
        match decoded.fault.take() {
            Some(fault) if fault.reason == Reason::PacketTooLarge => {
                messages.announce(self.decoder.announced());
                self.input = Input::Deaf(fault.code);
            }
            fault => self.input = fault.map_or(self.input, Input::Faulty),
        }
        0
    }

    fn queue(&mut self, control: Control, payload: &[u8]) {
        self.output.extend(frames::header(OpCode::Control(control), payload.len()));
        self.output.extend_from_slice(payload);
    }

    /// Says good-bye, once.
    fn close(&mut self, code: u16) {
        if !std::mem::replace(&mut self.closed, true) {
            self.queue(Control::Close, &code.to_be_bytes());
        }
    }

    /// Sends what is waiting.
    fn send_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.output = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends what is waiting as far as it goes, while something else is asked for.
    fn try_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.send_waiting(cx) {
            Poll::Ready(Ok(())) => match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => Ok(()),
            },
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(()),
        }
    }

    /// Sends all parts in one frame. What the socket does not take is kept.
    fn send(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.send_waiting(cx))?;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.closed || length == 0 {
            // Nothing is said behind a good-bye. [RFC6455 5.5.1]
            return Poll::Ready(Ok(length));
        }
        if let Some(messages) = &mut self.messages {
            messages.write(parts, &mut self.output);
            self.try_send(cx)?;
            return Poll::Ready(Ok(length));
        }
        let is_text = self.decoder.is_text() && parts.iter().all(|part| std::str::from_utf8(part).is_ok());
        let header = frames::header(OpCode::Data(if is_text { Data::Text } else { Data::Binary }), length);
        let mut slices = [IoSlice::new(&[]); SLICES];
        let whole = [IoSlice::new(&header)];
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(whole.iter().chain(parts)) {
            *slice = *part;
            filled += 1;
        }
        let slices = slices.get(..filled).unwrap_or_default();
        let mut taken = match Pin::new(&mut self.socket).poll_write_vectored(cx, slices) {
            Poll::Pending => 0,
            Poll::Ready(taken) => taken?,
        };
        for part in whole.iter().chain(parts) {
            let gone = taken.min(part.len());
            taken -= gone;
            self.output.extend_from_slice(part.get(gone..).unwrap_or_default());
        }
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        for _ in 0..READS {
            if me.messages.as_mut().is_some_and(|messages| messages.read(buffer)) {
                return Poll::Ready(Ok(()));
            }
            match me.input {
                Input::Ended => return Poll::Ready(me.try_send(cx)),
                Input::Faulty(fault) => {
                    me.input = Input::Deaf(fault.code);
                    let Fault { reason, detail, .. } = fault;
                    return Poll::Ready(Err(fault::Fault { reason, detail }.into()));
                }
                Input::Open | Input::Deaf(_) => {}
            }
            let raw = buffer.initialize_unfilled();
            let read = ready!(me.read_raw(cx, raw))?;
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            if matches!(me.input, Input::Deaf(_)) {
                buffer.advance(read);
                return Poll::Ready(Ok(()));
            }
            let raw = buffer.initialize_unfilled();
            let data = me.take(raw.get_mut(..read).unwrap_or_default());
            me.try_send(cx)?;
            if data > 0 {
                buffer.advance(data);
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.send(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_waiting(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Says good-bye and closes this way of the connection; the client's good-bye may still be read.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let code = match self.input {
            Input::Faulty(fault) => fault.code,
            Input::Deaf(code) => code,
            Input::Open | Input::Ended => u16::from(CloseCode::Normal),
        };
        self.close(code);
        ready!(self.send_waiting(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
