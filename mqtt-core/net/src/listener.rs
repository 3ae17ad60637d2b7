use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use broker::Broker;
use bus::{Address, Carrier, Limits, Link, Outbox, Peer, Protocol, Reason, Transport};
use dtls::{Counts, EngineError, EngineFactory};
use parking_lot::Mutex;
use socket2::{Domain, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::EnterGuard;
use tokio::sync::{Semaphore, watch};
use tracing::debug;

use crate::accept::accept;
use crate::datagram::{Datagrams, Plain, Secure, View, Way};
use crate::driver::Driver;
use crate::group::Group;
use crate::house::{House, Place};
use crate::offer::{KeyedOffer, Offers};
use crate::overload::Overload;
use crate::park::Parked;
use crate::proxy::ProxyConfig;
use crate::quic::{self, Quic, QuicConfig};
use crate::quota::{Quotas, Rates};
use crate::rate::Rate;
use crate::unix::Path;
use crate::workers::Workers;
use crate::{Network, web_socket};

/// What a listener lets in.
#[derive(Clone)]
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
    /// How many connections may be at it at once to set up what carries them; others wait.
    pub max_handshakes: usize,
    /// Whose PROXY headers are taken, where connections must begin with one.
    pub proxy: Option<ProxyConfig>,
    /// What secures the connections, if anything does.
    pub tls: Option<Arc<tls::Certificates>>,
    /// The names of the protocol that TLS offers (ALPN), where it carries the protocol itself; a client that names only
    /// others is refused. None leaves the choice to nobody.
    pub alpn: &'static [&'static [u8]],
    /// What secures them, where pre-shared keys do.
    pub psk: Option<watch::Receiver<Arc<KeyedOffer>>>,
    /// What is offered, where connections are WebSockets.
    pub web_socket: Option<web_socket::Config>,
    /// Within how long who asked a multicast group is answered.
    pub leisure: Duration,
    /// The proxies that are believed when they say of a WebSocket where its client is.
    pub forwarders: Vec<Network>,
}

/// Sockets that are bound and not served yet.
pub struct Bound {
    sockets: Vec<Socket>,
    /// The address of the first, with the port the system chose if 0 was asked for; unspecified for a path.
    pub address: SocketAddr,
}

enum Socket {
    Tcp(TcpListener),
    Unix(Path),
    Udp(UdpSocket),
    Group(Group),
    Dtls(UdpSocket, Box<Secure>, Option<View>),
    Quic(UdpSocket, Quic),
}

/// A listener that is served.
pub struct Running {
    house: Arc<House>,
    secured: Vec<View>,
}

/// What the listeners of a server share: it tells them to take nobody in, for good or while the server is pressed,
/// and which threads run their stream connections.
#[derive(Clone)]
pub struct Stop {
    stopped: watch::Sender<bool>,
    overload: Arc<Overload>,
    workers: Option<Arc<Workers>>,
}

/// What every connection of a listener shares.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) protocol: Arc<dyn Protocol>,
    pub(crate) broker: Broker,
    pub(crate) config: ListenerConfig,
    pub(crate) limits: Limits,
    pub(crate) house: Arc<House>,
    quotas: Quotas,
    seeds: std::hash::RandomState,
    taken: AtomicUsize,
    rate: Mutex<Rate>,
    stopped: watch::Receiver<bool>,
    workers: Option<Arc<Workers>>,
    pub(crate) handshakes: Semaphore,
}

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
    let socket = socket2::Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    let (socket, address) = match transport {
        Transport::Stream => {
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let listener = TcpListener::from_std(socket.into())?;
            let address = listener.local_addr()?;
            (Socket::Tcp(listener), address)
        }
        Transport::Datagram => {
            // The system may grant less; it is a wish.
            let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER);
            socket.bind(&address.into())?;
            let socket = UdpSocket::from_std(socket.into())?;
            let address = socket.local_addr()?;
            (Socket::Udp(socket), address)
        }
    };
    Ok(Bound { sockets: vec![socket], address })
}

/// Makes a Unix socket with this mode. One that is left over from a server that is gone gives way.
pub fn bind_path(path: &std::path::Path, mode: u32) -> io::Result<Bound> {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    Ok(Bound { sockets: vec![Socket::Unix(Path::bind(path, mode)?)], address: nowhere })
}

impl Bound {
    /// Both together, to be served as one listener.
    pub fn and(mut self, other: Self) -> Self {
        self.sockets.extend(other.sockets);
        self
    }

    /// Joins multicast groups on the datagram sockets of their IP version; an error names the group, and is there too
    /// if no socket is of its version.
    pub fn join(mut self, groups: &[IpAddr]) -> Result<Self, (IpAddr, io::Error)> {
        for group in groups {
            let mut joined = Vec::new();
            for socket in &self.sockets {
                if let Socket::Udp(socket) = socket
                    && socket.local_addr().is_ok_and(|bound| bound.is_ipv4() == group.is_ipv4())
                {
                    joined.push(Socket::Group(Group::join(*group, socket).map_err(|error| (*group, error))?));
                }
            }
            if joined.is_empty() {
                let error =
                    io::Error::new(io::ErrorKind::AddrNotAvailable, "no address is of its IP version");
                return Err((*group, error));
            }
            self.sockets.extend(joined);
        }
        Ok(self)
    }

    /// Has QUIC on the datagram sockets, with these certificates; an error if they are not for TLS 1.3.
    pub fn over_quic(
        mut self,
        certificates: &Arc<tls::Certificates>,
        config: &QuicConfig,
    ) -> Result<Self, tls::Problem> {
        certificates.quic_config(quic::ALPN, config.early())?;
        let quic = |socket| match socket {
            Socket::Udp(socket) => {
                let (certificates, config) = (certificates.clone(), config.clone());
                Socket::Quic(socket, Quic { certificates, config })
            }
            other => other,
        };
        self.sockets = self.sockets.into_iter().map(quic).collect();
        Ok(self)
    }

    /// Has DTLS on the datagram sockets, as it is offered; an error if the first offer cannot be used. `parked` has the
    /// sessions of an earlier run, socket by socket; those of this run are had in the end if `inherit`.
    pub fn over_dtls(
        mut self,
        factory: &dyn EngineFactory,
        offers: &Offers,
        parked: Vec<Vec<Parked>>,
        inherit: bool,
    ) -> Result<Self, EngineError> {
        let mut parked = parked.into_iter();
        let secured = |socket| match socket {
            Socket::Udp(socket) => {
                let mut secure = Box::new(Secure::new(factory, offers, parked.next().unwrap_or_default())?);
                let view = secure.view(inherit);
                Ok(Socket::Dtls(socket, secure, Some(view)))
            }
            other => Ok(other),
        };
        self.sockets = self.sockets.into_iter().map(secured).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Serves the protocol on the sockets until told to stop.
    pub fn serve(
        self,
        name: Arc<str>,
        protocol: Arc<dyn Protocol>,
        broker: Broker,
        config: ListenerConfig,
        limits: Limits,
        stop: &Stop,
    ) -> Running {
        let house = House::watched(protocol.clone(), broker.clone(), stop.overload.clone(), Instant::now());
        let quotas = Quotas::new(&config.rates, Instant::now());
        let handshakes = Semaphore::new(config.max_handshakes.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared {
            name,
            protocol,
            broker,
            rate: Mutex::new(Rate::new(config.connect_rate, Instant::now())),
            config,
            limits,
            house: house.clone(),
            quotas,
            seeds: std::hash::RandomState::new(),
            taken: AtomicUsize::new(0),
            stopped: stop.stopped.subscribe(),
            workers: stop.workers.clone(),
            handshakes,
        });
        let mut secured = Vec::new();
        for socket in self.sockets {
            let shared = shared.clone();
            match socket {
                Socket::Tcp(listener) => tokio::spawn(accept(listener, shared)),
                Socket::Unix(listener) => tokio::spawn(accept(listener, shared)),
                Socket::Udp(socket) => {
                    tokio::spawn(carry(Datagrams::new(socket, Plain, shared.clone()), shared))
                }
                Socket::Dtls(socket, secure, view) => {
                    secured.extend(view);
                    tokio::spawn(carry(Datagrams::new(socket, *secure, shared.clone()), shared))
                }
                Socket::Group(group) => tokio::spawn(group.serve(shared)),
                Socket::Quic(socket, quic) => tokio::spawn(quic::serve(socket, quic, shared)),
            };
        }
        Running { house, secured }
    }
}

impl Running {
    /// How many connections there are now.
    pub fn open(&self) -> usize {
        self.house.taken()
    }

    /// What the listener's DTLS sockets have counted, together; `None` if there are none.
    pub fn dtls(&self) -> Option<Counts> {
        self.secured.iter().map(|view| *view.counts.lock()).reduce(add)
    }

    /// The DTLS sessions of each socket, once the listener has stopped.
    pub async fn parked(&self) -> Vec<Vec<Parked>> {
        let mut parked = Vec::new();
        for view in &self.secured {
            let inherited = view.inherited.lock().take();
            parked.push(match inherited {
                Some(inherited) => inherited.await.unwrap_or_default(),
                None => Vec::new(),
            });
        }
        parked
    }
}

fn add(one: Counts, other: Counts) -> Counts {
    Counts {
        sessions: one.sessions + other.sessions,
        parked: one.parked + other.parked,
        half_open: one.half_open + other.half_open,
        handshakes: one.handshakes + other.handshakes,
        resumed: one.resumed + other.resumed,
        refused: one.refused + other.refused,
        cookies: one.cookies + other.cookies,
        turned_away: one.turned_away + other.turned_away,
        bad_records: one.bad_records + other.bad_records,
        moved: one.moved + other.moved,
        withheld: one.withheld + other.withheld,
    }
}

impl Stop {
    /// A signal that was not given yet. Connections run where their listener does.
    pub fn new() -> Self {
        Self { stopped: watch::Sender::new(false), overload: Arc::default(), workers: None }
    }

    /// Has stream connections run on threads of their own.
    pub fn with_workers(self, workers: Workers) -> Self {
        self.overload.follow(workers.beats().clone());
        Self { workers: Some(Arc::new(workers)), ..self }
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
        Self {
            max_connections: 1_000_000,
            connect_rate: 10_000,
            rebind: false,
            rates: Rates::default(),
            max_handshakes: 1_000,
            proxy: None,
            tls: None,
            alpn: &[],
            psk: None,
            web_socket: None,
            leisure: DEFAULT_LEISURE,
            forwarders: Vec::new(),
        }
    }
}

/// [RFC7252 4.8]
const DEFAULT_LEISURE: Duration = Duration::from_secs(5);

impl ListenerConfig {
    /// Whether a protocol's first byte is the connection's first byte.
    pub(crate) fn is_plain(&self) -> bool {
        self.proxy.is_none() && self.tls.is_none() && self.psk.is_none() && self.web_socket.is_none()
    }

    /// What carries connections that come over a socket of this kind.
    pub(crate) fn carrier(&self, socket: Carrier) -> Carrier {
        match (&self.tls, &self.web_socket) {
            (None, None) if self.psk.is_some() => Carrier::TlsPsk,
            (None, None) => socket,
            (Some(_), None) => Carrier::Tls,
            (None, Some(_)) => Carrier::WebSocket,
            (Some(_), Some(_)) => Carrier::SecureWebSocket,
        }
    }
}

impl Shared {
    pub(crate) fn peer(&self, address: Address, transport: Transport, link: Link) -> Peer {
        use std::hash::BuildHasher;
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let seed = self.seeds.hash_one((number, address));
        Peer { address, listener: self.name.clone(), transport, seed, link }
    }

    /// Begins a conversation with a peer, within what it may send.
    pub(crate) fn driver(&self, place: Place, peer: Peer, now: Instant, out: &mut Outbox) -> Driver {
        Driver::limited(place, peer, self.quotas.open(now), now, out)
    }

    /// Whether somebody at this address may set up what secures a connection, or why not.
    pub(crate) fn knock(&self, address: Address) -> Result<(), Reason> {
        if !self.broker.admits(address) {
            return Err(self.refuse(Reason::Banned));
        }
        if self.house.taken() >= self.config.max_connections {
            return Err(self.refuse(Reason::TooManyConnections));
        }
        if self.house.overload.refuses() {
            return Err(self.refuse(Reason::ServerBusy));
        }
        Ok(())
    }

    /// A place for one more connection, or why there is none.
    pub(crate) fn place(&self, address: Address, now: Instant) -> Result<Place, Reason> {
        self.knock(address)?;
        if !self.rate.lock().take(now) {
            return Err(self.refuse(Reason::ConnectionRateExceeded));
        }
        Ok(self.house.place())
    }

    /// What is spawned while the guard lives runs on the thread whose turn it is, if there are such.
    pub(crate) fn enter_worker(&self) -> Option<EnterGuard<'_>> {
        self.workers.as_ref()?.enter_next()
    }

    /// Waits until nobody shall be taken in any more.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopped = self.stopped.clone();
        async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    }

    pub(crate) fn refuse(&self, reason: Reason) -> Reason {
        self.broker.count_refusal(self.protocol.label(), reason);
        debug!(listener = %self.name, reason = reason.name(), "A connection was refused.");
        reason
    }
}

async fn carry<W: Way>(mut datagrams: Datagrams<W>, shared: Arc<Shared>) {
    let stopped = shared.stopped();
    tokio::select! {
        () = &mut datagrams => return,
        () = stopped => {}
    }
    datagrams.drain();
    datagrams.await;
}
