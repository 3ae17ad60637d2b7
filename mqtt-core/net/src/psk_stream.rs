//! TLS with pre-shared keys on a byte stream.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bus::Reason;
use dtls::{Identity, StreamError, StreamSession};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::fault::Fault;

/// A stream that a session secures.
pub(crate) struct PskStream<S> {
    socket: S,
    session: Box<dyn StreamSession>,
    /// What was decrypted, and how much of it was read.
    plain: Vec<u8>,
    read: usize,
    /// What the socket did not take yet, and how much of it it took.
    unsent: Vec<u8>,
    sent: usize,
    closing: bool,
}

/// Why a handshake failed.
pub(crate) enum Failed {
    /// The session says why.
    Session(StreamError),
    /// The stream has ended or failed.
    Stream(io::Error),
}

/// How much is read at once.
const READ: usize = 8 * 1024;

/// How much is encrypted at once.
const WRITE: usize = 64 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> PskStream<S> {
    pub(crate) fn new(socket: S, session: Box<dyn StreamSession>) -> Self {
        let (plain, unsent) = (Vec::new(), Vec::new());
        Self { socket, session, plain, read: 0, unsent, sent: 0, closing: false }
    }

    /// Goes on with the handshake; tells who the peer is once it is done.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Identity, Failed>> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(Failed::Stream(error)));
            }
            if let Some(identity) = self.session.identity().filter(|_| !self.session.is_handshaking()) {
                return Poll::Ready(Ok(identity));
            }
            match ready!(self.poll_take(cx)) {
                Ok(0) => return Poll::Ready(Err(Failed::Stream(ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(Failed::Session(error)) => {
                    // The alert that tells the peer why is worth one try.
                    let _ = self.poll_send(cx);
                    return Poll::Ready(Err(Failed::Session(error)));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Takes what the socket has into the session; 0 is its end.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Failed>> {
        let mut input = [0; READ];
        let mut buffer = ReadBuf::new(&mut input);
        if let Err(error) = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)) {
            return Poll::Ready(Err(Failed::Stream(error)));
        }
        let received = self.session.receive(buffer.filled());
        self.session.read(&mut self.plain);
        self.gather();
        Poll::Ready(received.map(|()| buffer.filled().len()).map_err(Failed::Session))
    }

    fn gather(&mut self) {
        let output = self.session.take_output();
        if self.unsent.is_empty() { self.unsent = output } else { self.unsent.extend(output) }
    }

    /// Sends what the session has for the peer.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gather();
        while self.sent < self.unsent.len() {
            let rest = self.unsent.get(self.sent..).unwrap_or_default();
            match ready!(Pin::new(&mut self.socket).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Encrypts the pieces, up to a bound; returns how much was taken.
    fn poll_encrypt<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        let mut taken = 0;
        for piece in pieces {
            let piece = piece.get(..piece.len().min(WRITE - taken)).unwrap_or_default();
            self.session.write(piece).map_err(error)?;
            taken += piece.len();
        }
        match self.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for PskStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        loop {
            let rest = me.plain.get(me.read..).unwrap_or_default();
            if !rest.is_empty() {
                let fits = rest.get(..rest.len().min(buffer.remaining())).unwrap_or_default();
                buffer.put_slice(fits);
                me.read += fits.len();
                if me.read >= me.plain.len() {
                    (me.plain, me.read) = (Vec::new(), 0);
                }
                return Poll::Ready(Ok(()));
            }
            if me.session.is_closed() {
                return Poll::Ready(Ok(()));
            }
            match ready!(me.poll_take(cx)) {
                Ok(0) => return Poll::Ready(Ok(())),
                // The session may have to answer, as to a good-bye.
                Ok(_) => drop(me.poll_send(cx)?),
                Err(Failed::Stream(error)) => return Poll::Ready(Err(error)),
                Err(Failed::Session(failure)) => {
                    let _ = me.poll_send(cx);
                    return Poll::Ready(Err(error(failure)));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PskStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_encrypt([bytes].into_iter(), cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_encrypt(pieces.iter().map(|piece| &**piece), cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            self.closing = true;
            self.session.close();
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// What is at fault once the handshake is done.
fn error(failure: StreamError) -> io::Error {
    match failure {
        StreamError::Alert(_) => ErrorKind::ConnectionReset.into(),
        StreamError::Refused(_) | StreamError::Malformed(_) => Fault {
            reason: Reason::TlsFailed,
            detail: "the client's bytes are no TLS records, or were changed",
        }
        .into(),
    }
}
