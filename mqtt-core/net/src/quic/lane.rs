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
    unsent: Unsent,
    /// The client has sent its last byte here.
    pub(super) ended: bool,
    /// The client has given the stream up.
    pub(super) broken: bool,
}

/// What waits to be sent.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    /// How much of it is gone.
    sent: usize,
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
            unsent: Unsent::default(),
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
        while self.waiting() == 0 && !rest.is_empty() && !self.broken {
            match Pin::new(&mut self.send).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(written)) => rest = rest.get(written..).unwrap_or_default(),
                Poll::Ready(Err(_)) => self.broken = true,
            }
        }
        self.unsent.add(rest);
    }

    /// Sends what was kept.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        while self.waiting() > 0 && !self.broken {
            match Pin::new(&mut self.send).poll_write(cx, self.unsent.rest()) {
                Poll::Pending => return,
                Poll::Ready(Ok(written)) => self.unsent.advance(written),
                Poll::Ready(Err(_)) => self.broken = true,
            }
        }
        if self.broken {
            self.unsent = Unsent::default();
        }
    }

    /// How much waits for the client to read.
    pub(super) fn waiting(&self) -> usize {
        self.unsent.rest().len()
    }
}

impl Unsent {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// Adds to it. What is gone makes room once that is no less than what must be moved.
    fn add(&mut self, bytes: &[u8]) {
        if self.sent >= self.rest().len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn advance(&mut self, sent: usize) {
        self.sent += sent;
        if self.sent >= self.bytes.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_not_kept_while_more_is_added() {
        // A client that read steadily, and never all, had everything kept that it was ever sent.
        let mut unsent = Unsent::default();
        let mut sent = Vec::new();
        for part in 0..=255 {
            unsent.add(&[part; 100]);
            if part > 0 {
                sent.extend_from_slice(&unsent.rest()[..100]);
                unsent.advance(100);
            }
            assert!(unsent.bytes.len() <= 400, "{}", unsent.bytes.len());
        }
        let whole: Vec<u8> = (0..=255).flat_map(|part| [part; 100]).collect();
        assert_eq!([&sent[..], unsent.rest()].concat(), whole);
    }
}
