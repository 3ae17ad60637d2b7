use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::DialError;

/// The bytes in the binary frames of a WebSocket: where frames begin and end means nothing [MQTT-6.0.0-2].
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    socket: WebSocketStream<S>,
    /// What of the last frame nobody has read yet.
    rest: Bytes,
}

/// The name by which the server knows what is spoken [MQTT-6.0.0-3].
const SUB_PROTOCOL: &str = "mqtt";

/// The largest frame sent.
const FRAME: usize = 1 << 20;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) async fn open(stream: S, url: String, largest: usize) -> Result<Self, DialError> {
        let fault = |reason: String| DialError::WebSocket { target: url.clone(), reason };
        let mut request = url.as_str().into_client_request().map_err(|error| fault(error.to_string()))?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUB_PROTOCOL));
        let config = WebSocketConfig::default()
            .max_message_size(Some(largest))
            .max_frame_size(Some(largest))
            .read_buffer_size(16 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * FRAME);
        let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        let (socket, _) = opened.map_err(|error| fault(explain(&error)))?;
        Ok(Self { socket, rest: Bytes::new() })
    }
}

fn explain(error: &Error) -> String {
    match error {
        Error::Http(answer) => format!(
            "the server answers {}; look at the path, and whether the port is that of a WebSocket",
            answer.status()
        ),
        error => error.to_string(),
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::other(error),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        while me.rest.is_empty() {
            match ready!(Pin::new(&mut me.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => me.rest = bytes,
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::other("the server sent text"))); // [MQTT-6.0.0-1]
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
            }
        }
        let count = me.rest.len().min(buffer.remaining());
        buffer.put_slice(me.rest.get(..count).unwrap_or_default());
        me.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.get_mut().socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(into_io)?;
        let count = bytes.len().min(FRAME);
        let frame = Bytes::copy_from_slice(bytes.get(..count).unwrap_or_default());
        socket.as_mut().start_send(Message::Binary(frame)).map_err(into_io)?;
        // What the stream does not take now goes out before the next frame, or when flushed.
        let _ = socket.poll_flush(cx).map_err(into_io)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx).map_err(into_io)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(cx).map_err(into_io)
    }
}
