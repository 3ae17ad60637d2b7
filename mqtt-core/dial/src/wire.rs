use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::quic::Quic;
use crate::websocket::WebSocket;

/// An open connection: bytes in order, both ways, whatever carries them.
#[derive(Debug)]
pub struct Wire(Carried);

#[derive(Debug)]
pub(crate) enum Carried {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocket<TcpStream>>),
    SecureWebSocket(Box<WebSocket<TlsStream<TcpStream>>>),
    Quic(Box<Quic>),
}

impl From<Carried> for Wire {
    fn from(carried: Carried) -> Self {
        Self(carried)
    }
}

/// Calls a method of whatever carries the bytes.
macro_rules! forward {
    ($wire:expr, $method:ident($($argument:expr),*)) => {
        match &mut $wire.get_mut().0 {
            Carried::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Carried::Unix(stream) => Pin::new(stream).$method($($argument),*),
            Carried::Tls(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            Carried::WebSocket(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            Carried::SecureWebSocket(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            Carried::Quic(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write_vectored(cx, parts))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(cx))
    }
}
