use std::pin::Pin;
use std::task::{Context, Poll};

use bus::Lane;
use quinn::{RecvStream, SendStream};

/// One stream of a connection, with what waits in both directions.
pub(super) struct Streamed {
    pub(super) lane: Lane,
    pub(super) send: SendStream,
    receive: RecvStream,
    /// Input that was not taken yet: the beginning of a frame, or what waits.
    pub(super) unread: Vec<u8>,
    unsent: Vec<u8>,
    sent: usize,
    /// The client has sent its last byte here.
    pub(super) ended: bool,
    /// The client has given the stream up.
    pub(super) broken: bool,
}

/// What a read came to.
pub(super) enum Read {
    Nothing,
    Bytes(usize),
    /// The stream has ended, or is broken.
    End,
}

impl Streamed {
    pub(super) fn new(lane: Lane, (send, receive): (SendStream, RecvStream)) -> Self {
        Self {
            lane,
            send,
            receive,
            unread: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            ended: false,
            broken: false,
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Read {
        if self.ended {
            return Read::End;
        }
        match self.receive.poll_read(cx, buffer) {
            Poll::Pending => Read::Nothing,
            Poll::Ready(Ok(0)) => {
                self.ended = true;
                Read::End
            }
            Poll::Ready(Ok(read)) => Read::Bytes(read),
            Poll::Ready(Err(_)) => {
                (self.ended, self.broken) = (true, true);
                Read::End
            }
        }
    }

    /// Sends, and keeps what the stream does not take now.
    pub(super) fn write(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        if self.broken {
            return;
        }
        let mut rest = bytes;
        while self.unsent.is_empty() && !rest.is_empty() && !self.broken {
            match Pin::new(&mut self.send).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(written)) => rest = rest.get(written..).unwrap_or_default(),
                Poll::Ready(Err(_)) => self.broken = true,
            }
        }
        self.unsent.extend_from_slice(rest);
    }

    /// Sends what was kept.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        while !self.unsent.is_empty() && !self.broken {
            let rest = self.unsent.get(self.sent..).unwrap_or_default();
            match Pin::new(&mut self.send).poll_write(cx, rest) {
                Poll::Pending => return,
                Poll::Ready(Ok(written)) => self.sent += written,
                Poll::Ready(Err(_)) => self.broken = true,
            }
            if self.sent >= self.unsent.len() {
                (self.unsent, self.sent) = (Vec::new(), 0);
            }
        }
        if self.broken {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
    }

    /// How much waits for the client to read.
    pub(super) fn waiting(&self) -> usize {
        self.unsent.len() - self.sent
    }
}
