use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::DialError;

/// One two-way stream of a QUIC connection of its own.
#[derive(Debug)]
pub(crate) struct Quic {
    send: SendStream,
    receive: RecvStream,
    /// They end when they are dropped.
    _connection: Connection,
    _endpoint: Endpoint,
}

impl Quic {
    pub(crate) async fn open(
        from: SocketAddr,
        to: SocketAddr,
        name: &str,
        tls: Arc<rustls::ClientConfig>,
        target: &str,
    ) -> Result<Self, DialError> {
        let fault = |reason: String| DialError::Quic { target: target.to_owned(), reason };
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| fault(error.to_string()))?;
        let mut endpoint =
            Endpoint::client(from).map_err(|cause| DialError::Bind { address: from.to_string(), cause })?;
        endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
        let connecting = endpoint.connect(to, name).map_err(|error| fault(error.to_string()))?;
        let connection = connecting.await.map_err(|error| fault(error.to_string()))?;
        let (send, receive) = connection.open_bi().await.map_err(|error| fault(error.to_string()))?;
        Ok(Self { send, receive, _connection: connection, _endpoint: endpoint })
    }
}

impl AsyncRead for Quic {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.get_mut().receive), cx, buffer)
    }
}

impl AsyncWrite for Quic {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.get_mut().send), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.get_mut().send), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.get_mut().send), cx)
    }
}
