use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bus::Carrier;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::quic::Quic;
use crate::websocket::WebSocket;
use crate::wire::{Carried, Wire};
use crate::{DialError, Target};

/// How to connect.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Where to.
    pub target: Target,
    /// Whom to trust and what to show, for a target that is secured. What it says of application protocols is offered
    /// over TLS; a WebSocket offers none, and QUIC always `mqtt`.
    pub tls: Option<Arc<ClientConfig>>,
    /// The name that the certificate must have, where that is not the host's.
    pub server_name: Option<String>,
    /// The address of this machine to connect from.
    pub from: Option<IpAddr>,
    /// The largest frame of a WebSocket that is taken; a server may put many packets, or a large one, into one frame.
    pub frame_maximum: usize,
    /// How long each step may take: finding the address, connecting to one, and all handshakes together.
    pub patience: Duration,
}

/// The application protocol that QUIC must name.
const ALPN: &[u8] = b"mqtt";

/// How soon a Unix socket that is busy is tried again.
const AGAIN: Duration = Duration::from_millis(10);

impl Dial {
    /// A target that needs no TLS.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            tls: None,
            server_name: None,
            from: None,
            frame_maximum: 4 << 20,
            patience: Duration::from_secs(10),
        }
    }

    /// Connects, up to where MQTT begins.
    pub async fn open(&self) -> Result<Wire, DialError> {
        let late = |_| DialError::TimedOut { target: self.target.to_string() };
        let carried = match self.target.carrier {
            Carrier::Unix => {
                let opened = tokio::time::timeout(self.patience, self.unix()).await.map_err(late)?;
                Carried::Unix(opened.map_err(|cause| self.refused(cause))?)
            }
            Carrier::Quic => {
                let addresses = self.addresses().await?;
                Carried::Quic(Box::new(self.quic(&addresses).await?))
            }
            Carrier::Tcp | Carrier::Tls | Carrier::WebSocket | Carrier::SecureWebSocket => {
                let addresses = self.addresses().await?;
                let stream = self.tcp(&addresses).await?;
                tokio::time::timeout(self.patience, self.shake_hands(stream)).await.map_err(late)??
            }
            carrier @ (Carrier::Internal | Carrier::Udp | Carrier::Dtls | Carrier::TlsPsk) => {
                return Err(DialError::Carrier(carrier.name()));
            }
        };
        Ok(carried.into())
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, DialError> {
        let Target { host, port, .. } = &self.target;
        let fault = |cause| DialError::Resolve { host: host.clone(), cause };
        let found = tokio::time::timeout(self.patience, lookup_host((host.as_str(), *port))).await;
        let found = found.map_err(|_| fault(io::ErrorKind::TimedOut.into()))?.map_err(fault)?;
        let usable = |to: &SocketAddr| self.from.is_none_or(|from| from.is_ipv4() == to.is_ipv4());
        let mut addresses: Vec<_> = found.filter(usable).collect();
        // A server on this machine is far more often on the older loopback address, so that one goes first.
        addresses.sort_by_key(|address| address.ip().is_loopback() && address.is_ipv6());
        match addresses.is_empty() {
            true => Err(fault(io::Error::other("the name has no address of the wanted kind"))),
            false => Ok(addresses),
        }
    }

    /// A server that has too many waiting to be accepted is asked again: unlike TCP, the system does not wait.
    async fn unix(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.target.host).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(AGAIN).await,
                connected => return connected,
            }
        }
    }

    /// Tries one address after the other.
    async fn tcp(&self, addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
        let mut failed = DialError::TimedOut { target: self.target.to_string() };
        for address in addresses {
            match tokio::time::timeout(self.patience, self.tcp_to(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = DialError::TimedOut { target: self.target.to_string() },
            }
        }
        Err(failed)
    }

    async fn tcp_to(&self, address: SocketAddr) -> Result<TcpStream, DialError> {
        let socket = match address.is_ipv4() {
            true => TcpSocket::new_v4(),
            false => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(|cause| self.refused(cause))?;
        if let Some(from) = self.from {
            let fault = |cause| DialError::Bind { address: from.to_string(), cause };
            socket.bind(SocketAddr::new(from, 0)).map_err(fault)?;
        }
        let stream = socket.connect(address).await.map_err(|cause| self.refused(cause))?;
        // Packets are gathered before they are written, so nothing is won by waiting for more.
        stream.set_nodelay(true).map_err(|cause| self.refused(cause))?;
        Ok(stream)
    }

    async fn shake_hands(&self, stream: TcpStream) -> Result<Carried, DialError> {
        Ok(match self.target.carrier {
            Carrier::Tls => Carried::Tls(Box::new(self.secure(stream, self.tls()?).await?)),
            Carrier::WebSocket => {
                let url = format!("ws://{}{}", self.target.authority(), self.target.path);
                Carried::WebSocket(Box::new(WebSocket::open(stream, url, self.frame_maximum).await?))
            }
            Carrier::SecureWebSocket => {
                let url = format!("wss://{}{}", self.target.authority(), self.target.path);
                let tls = with_protocols(&*self.tls()?, Vec::new());
                let stream = self.secure(stream, tls).await?;
                Carried::SecureWebSocket(Box::new(WebSocket::open(stream, url, self.frame_maximum).await?))
            }
            _ => Carried::Tcp(stream),
        })
    }

    async fn secure(
        &self,
        stream: TcpStream,
        tls: Arc<ClientConfig>,
    ) -> Result<TlsStream<TcpStream>, DialError> {
        let name = self.name().to_owned();
        let name =
            ServerName::try_from(name).map_err(|_| DialError::ServerName { name: self.name().to_owned() })?;
        let fault = |cause| DialError::Tls { target: self.target.to_string(), cause };
        TlsConnector::from(tls).connect(name, stream).await.map_err(fault)
    }

    async fn quic(&self, addresses: &[SocketAddr]) -> Result<Quic, DialError> {
        let tls = with_protocols(&*self.tls()?, vec![ALPN.to_vec()]);
        let target = self.target.to_string();
        let mut failed = DialError::TimedOut { target: target.clone() };
        for address in addresses {
            let any: IpAddr = match address.is_ipv4() {
                true => Ipv4Addr::UNSPECIFIED.into(),
                false => Ipv6Addr::UNSPECIFIED.into(),
            };
            let from = SocketAddr::new(self.from.unwrap_or(any), 0);
            let opened = Quic::open(from, *address, self.name(), tls.clone(), &target);
            match tokio::time::timeout(self.patience, opened).await {
                Ok(Ok(quic)) => return Ok(quic),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = DialError::TimedOut { target: target.clone() },
            }
        }
        Err(failed)
    }

    /// The name that the server's certificate must have.
    fn name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(&self.target.host)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, DialError> {
        self.tls.clone().ok_or_else(|| DialError::NoTrust { target: self.target.to_string() })
    }

    fn refused(&self, cause: io::Error) -> DialError {
        DialError::Connect { target: self.target.to_string(), cause }
    }
}

fn with_protocols(tls: &ClientConfig, protocols: Vec<Vec<u8>>) -> Arc<ClientConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = protocols;
    Arc::new(tls)
}
