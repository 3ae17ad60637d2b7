use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use broker::Broker;
use bus::{Address, Limits, Outbox, Peer, Protocol, Reason, Transport};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::datagram::Datagrams;
use crate::driver::Driver;
use crate::overload::Overload;
use crate::quota::{Quotas, Rates};
use crate::rate::Rate;
use crate::stream::Stream;

/// What a listener lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerConfig {
    /// How many connections there may be at once; the next one is refused.
    pub max_connections: usize,
    /// How many connections may be made in a second; more are refused.
    pub connect_rate: u32,
    /// Whether a datagram that names a known peer moves that peer to the datagram's source address. Names can
    /// be forged where nothing is encrypted.
    pub rebind: bool,
    /// What clients may send in a second.
    pub rates: Rates,
}

/// A socket that is bound and not served yet.
pub struct Bound {
    socket: Sockets,
    /// The address it is bound to, with the port the system chose if 0 was asked for.
    pub address: SocketAddr,
}

enum Sockets {
    Stream(TcpListener),
    Datagram(UdpSocket),
}

/// A listener that is served.
pub struct Running {
    open: Arc<AtomicUsize>,
}

/// Tells listeners to take nobody in: for good, or while the server is pressed.
#[derive(Clone)]
pub struct Stop {
    stopped: watch::Sender<bool>,
    overload: Arc<Overload>,
}

/// What every connection of a listener shares.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) protocol: Arc<dyn Protocol>,
    pub(crate) broker: Broker,
    pub(crate) config: ListenerConfig,
    pub(crate) limits: Limits,
    pub(crate) open: Arc<AtomicUsize>,
    quotas: Quotas,
    overload: Arc<Overload>,
    seeds: std::hash::RandomState,
    taken: AtomicUsize,
}

/// A place among the connections of a listener, given back when dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// What the system may buffer of received datagrams: a burst of many devices at once.
const DATAGRAM_BUFFER: usize = 4 << 20;

/// Binds a socket. A port that is in use is an error at once, whoever uses it.
pub fn bind(address: SocketAddr, transport: Transport) -> io::Result<Bound> {
    let kind = match transport {
        Transport::Stream => Type::STREAM,
        Transport::Datagram => Type::DGRAM,
    };
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    let socket = match transport {
        Transport::Stream => {
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Sockets::Stream(TcpListener::from_std(socket.into())?)
        }
        Transport::Datagram => {
            // The system may grant less; it is a wish.
            let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER);
            socket.bind(&address.into())?;
            Sockets::Datagram(UdpSocket::from_std(socket.into())?)
        }
    };
    let address = match &socket {
        Sockets::Stream(listener) => listener.local_addr()?,
        Sockets::Datagram(socket) => socket.local_addr()?,
    };
    Ok(Bound { socket, address })
}

impl Bound {
    /// Serves the protocol on the socket until told to stop.
    pub fn serve(
        self,
        name: Arc<str>,
        protocol: Arc<dyn Protocol>,
        broker: Broker,
        config: ListenerConfig,
        limits: Limits,
        stop: &Stop,
    ) -> Running {
        let open = Arc::<AtomicUsize>::default();
        let quotas = Quotas::new(&config.rates, Instant::now());
        let shared = Arc::new(Shared {
            name,
            protocol,
            broker,
            config,
            limits,
            open: open.clone(),
            quotas,
            overload: stop.overload.clone(),
            seeds: std::hash::RandomState::new(),
            taken: AtomicUsize::new(0),
        });
        let stopped = stop.stopped.subscribe();
        match self.socket {
            Sockets::Stream(listener) => tokio::spawn(accept(listener, shared, stopped)),
            Sockets::Datagram(socket) => tokio::spawn(carry(Datagrams::new(socket, shared), stopped)),
        };
        Running { open }
    }
}

impl Running {
    /// How many connections there are now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Stop {
    /// A signal that was not given yet.
    pub fn new() -> Self {
        Self { stopped: watch::Sender::new(false), overload: Arc::default() }
    }

    /// How hard the server is pressed, as these listeners see it.
    pub fn overload(&self) -> &Arc<Overload> {
        &self.overload
    }

    /// Gives the signal.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self { max_connections: 1_000_000, connect_rate: 10_000, rebind: false, rates: Rates::default() }
    }
}

impl Shared {
    pub(crate) fn peer(&self, address: SocketAddr, transport: Transport) -> Peer {
        use std::hash::BuildHasher;
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        Peer {
            address: Address::Socket(address),
            listener: self.name.clone(),
            transport,
            seed: self.seeds.hash_one((number, address)),
            link: Default::default(),
        }
    }

    /// Begins a conversation with a peer, within what it may send.
    pub(crate) fn driver(&self, peer: Peer, now: Instant, out: &mut Outbox) -> Driver {
        let driver = Driver::new(&self.protocol, peer, &self.broker, now, out);
        driver.limited(self.quotas.open(now), self.overload.clone())
    }

    /// A place for one more connection, or why there is none.
    pub(crate) fn place(&self, rate: &mut Rate, now: Instant) -> Result<Place, Reason> {
        if self.open.load(Ordering::Relaxed) >= self.config.max_connections {
            return Err(self.refuse(Reason::TooManyConnections));
        }
        if self.overload.refuses() {
            return Err(self.refuse(Reason::ServerBusy));
        }
        if !rate.take(now) {
            return Err(self.refuse(Reason::ConnectionRateExceeded));
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Place(self.open.clone()))
    }

    fn refuse(&self, reason: Reason) -> Reason {
        self.broker.count_refusal(self.protocol.label(), reason);
        debug!(listener = %self.name, reason = reason.name(), "A connection was refused.");
        reason
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn carry(mut datagrams: Datagrams, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = &mut datagrams => return,
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    datagrams.drain();
    datagrams.await;
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut rate = Rate::new(shared.config.connect_rate, Instant::now());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((socket, address)) => begin(socket, address, &shared, &mut rate),
            Err(error) => {
                // Out of files or memory: what is there goes on, and a short pause lets some of it end.
                warn!(listener = %shared.name, %error, "A connection could not be accepted.");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn begin(socket: TcpStream, address: SocketAddr, shared: &Arc<Shared>, rate: &mut Rate) {
    let Ok(place) = shared.place(rate, Instant::now()) else { return };
    if let Err(error) = socket.set_nodelay(true) {
        debug!(%address, %error, "The connection was gone before it began.");
        return;
    }
    tokio::spawn(Stream::new(socket, shared.peer(address, Transport::Stream), shared, place));
}
