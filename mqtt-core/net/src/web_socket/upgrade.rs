//! The handshake by which HTTP becomes WebSocket.

use std::io;
use std::time::Duration;

use bus::{Address, Reason};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::handshake::{Accepted, Refusal, handshake};
use super::{Config, WebSocket};
use crate::Network;
use crate::fault::{self, Fault};

/// How long a client may take to read why it is refused.
const LINGER: Duration = Duration::from_secs(1);

/// Takes a client's handshake. Returns its address too, which a proxy from `proxies` may have told.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: S,
    address: Address,
    config: &Config,
    proxies: &[Network],
) -> Result<(WebSocket<S>, Address), Fault> {
    let mut bytes = Vec::new();
    let accepted = loop {
        let mut room = [0; 1024];
        let read = socket.read(&mut room).await.map_err(|error| gone(&error))?;
        if read == 0 {
            let detail = "the client closed during the handshake";
            return Err(Fault { reason: Reason::PeerClosed, detail });
        }
        bytes.extend_from_slice(room.get(..read).unwrap_or_default());
        match handshake(&bytes, address, config, proxies) {
            Ok(None) => {}
            Ok(Some(accepted)) => break accepted,
            Err(refusal) => return Err(refuse(socket, refusal).await),
        }
    };
    let Accepted { answer, length, address } = accepted;
    socket.write_all(&answer).await.map_err(|error| gone(&error))?;
    socket.flush().await.map_err(|error| gone(&error))?;
    Ok((WebSocket::new(socket, config, bytes.split_off(length)), address))
}

fn gone(error: &io::Error) -> Fault {
    Fault { reason: fault::reason(error), detail: "the client is gone" }
}

/// Tells the client why, and gives it a moment to read that.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, refusal: Refusal) -> Fault {
    let Some(answer) = refusal.answer else { return refusal.fault };
    let say = async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await?;
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // Whether or not it was read, the connection ends.
    let _ = timeout(LINGER, say).await;
    refusal.fault
}
