//! Takes peers in, one loop per socket.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Address, Carrier, Link, Peer, Reason, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tracing::warn;

use crate::house::Place;
use crate::listener::Shared;
use crate::prepare::prepare;
use crate::stream::Stream;
use crate::unix::Path;

/// A socket that peers knock at.
pub(crate) trait Accept: Send + Sync + 'static {
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    const CARRIER: Carrier;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Socket, Address)>> + Send;

    /// Gives the socket to the runtime that was entered.
    fn hand_over(socket: Self::Socket) -> io::Result<Self::Socket>;
}

/// Takes peers in until told to stop.
pub(crate) async fn accept<A: Accept>(listener: A, shared: Arc<Shared>) {
    let mut stopped = pin!(shared.stopped());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => return,
        };
        let begun = match accepted {
            Ok((socket, address)) => begin::<A>(socket, address, &shared),
            Err(error) => Err(error),
        };
        if let Err(error) = begun {
            // Out of files or memory: what is there goes on, and a short pause lets some of it end.
            warn!(listener = %shared.name, %error, "A connection could not be accepted.");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn begin<A: Accept>(socket: A::Socket, address: Address, shared: &Arc<Shared>) -> io::Result<()> {
    let Ok(place) = shared.place(address, Instant::now()) else { return Ok(()) };
    let worker = shared.enter_worker();
    let socket = if worker.is_some() { A::hand_over(socket)? } else { socket };
    if !shared.config.is_plain() {
        drop(tokio::spawn(prepare(socket, address, A::CARRIER, shared.clone(), place)));
        return Ok(());
    }
    let link = Link { carrier: A::CARRIER, secured: None };
    serve(socket, None, shared.peer(address, Transport::Stream, link), shared, place);
    Ok(())
}

/// Begins the conversation on a stream whose transport is set up. What tells the transport that the peer is a stranger is
/// dropped when it has a session.
pub(crate) fn serve<S>(socket: S, stranger: Option<Arc<()>>, peer: Peer, shared: &Arc<Shared>, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A protocol that fails here must not take the listener with it.
    match catch_unwind(AssertUnwindSafe(|| Stream::new(socket, stranger, peer, shared, place))) {
        Ok(stream) => drop(tokio::spawn(stream)),
        Err(_) => drop(shared.refuse(Reason::Internal)),
    }
}

impl Accept for TcpListener {
    type Socket = TcpStream;

    const CARRIER: Carrier = Carrier::Tcp;

    async fn accept(&self) -> io::Result<(TcpStream, Address)> {
        let (socket, address) = TcpListener::accept(self).await?;
        // Whoever is gone again already is noticed at the first read.
        let _ = socket.set_nodelay(true);
        Ok((socket, Address::Socket(address)))
    }

    fn hand_over(socket: TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(socket.into_std()?)
    }
}

impl Accept for Path {
    type Socket = UnixStream;

    const CARRIER: Carrier = Carrier::Unix;

    async fn accept(&self) -> io::Result<(UnixStream, Address)> {
        self.listener.accept().await.map(|(socket, _)| (socket, Address::Unix))
    }

    fn hand_over(socket: UnixStream) -> io::Result<UnixStream> {
        UnixStream::from_std(socket.into_std()?)
    }
}
