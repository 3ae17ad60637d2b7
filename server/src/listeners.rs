use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use broker::Broker;
use net::{Bound, Running, Stop};
use tls::Certificates;
use tokio::sync::watch;
use tracing::info;

use crate::certificates::TlsProfiles;
use crate::config::{
    Bind, Config, Listener, MAX_FRAME, MAX_HANDSHAKES, PROXY_TIMEOUT, ProxyProtocol, TLS_PROFILE, Transport,
};
use crate::offering::Offering;
use crate::parked;
use crate::registry::{Common, Entry};

/// A listener of the configuration whose ports are ours.
pub(crate) struct Open {
    pub(crate) name: Arc<str>,
    pub(crate) protocol: &'static Entry,
    pub(crate) transport: Transport,
    /// Where it listens; the first is the one to tell others.
    pub(crate) places: Vec<Place>,
    /// What secures it, if anything does.
    pub(crate) certificates: Option<Arc<Certificates>>,
    bound: Bound,
    psk: Option<watch::Receiver<Arc<net::KeyedOffer>>>,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An address, with the port that the system chose if 0 was asked for.
    Address(SocketAddr),
    /// A Unix socket.
    Path(PathBuf),
}

/// A listener that takes clients in.
pub(crate) struct Served {
    pub(crate) name: Arc<str>,
    /// The protocol's name in metrics.
    pub(crate) protocol: &'static str,
    pub(crate) running: Running,
}

/// Binds every listener, or none: the first that cannot be bound is the error.
pub(crate) fn bind_all(
    config: &Config,
    profiles: &TlsProfiles,
    offering: &Offering,
) -> anyhow::Result<Vec<Open>> {
    let enabled = config.listeners.0.iter().filter(|(_, listener)| listener.enabled);
    enabled.map(|(name, listener)| bind(config, name, listener, profiles, offering)).collect()
}

fn bind(
    config: &Config,
    name: &str,
    listener: &Listener,
    profiles: &TlsProfiles,
    offering: &Offering,
) -> anyhow::Result<Open> {
    let what = format!("listeners.{name}");
    let (name, limits) = (Arc::from(name), listener.limits.as_ref().unwrap_or(&config.limits));
    let protocol =
        listener.entry().ok_or_else(|| anyhow!("{what}: unknown protocol {:?}", listener.protocol))?;
    let transport = listener.transport.unwrap_or(protocol.transports[0]);
    let (mut places, mut bound) = (Vec::new(), None::<Bound>);
    for one in &listener.bind.0 {
        for (place, socket) in bind_one(&what, one, listener, transport)? {
            places.push(place);
            bound = Some(match bound {
                None => socket,
                Some(bound) => bound.and(socket),
            });
        }
    }
    let bound = bound.ok_or_else(|| anyhow!("{what}.bind: names no address"))?;
    let profile = listener.tls.as_deref().unwrap_or(TLS_PROFILE);
    let certificates = transport.is_secured().then(|| profiles.certificates(profile)).transpose()?;
    let bound = match &certificates {
        Some(certificates) if transport == Transport::Quic => {
            let quic = listener.quic.clone().unwrap_or_default();
            bound.over_quic(certificates, &quic).map_err(|problem| anyhow!("{what}: {problem}"))?
        }
        Some(certificates) if transport == Transport::Dtls => {
            let offers = offering.datagrams(&name, listener, limits, certificates);
            let keeps = listener.dtls.clone().unwrap_or_default().keep_sessions;
            let parked = if keeps { parked::take(&config.state_directory(), &name) } else { Vec::new() };
            let secured = bound.over_dtls(&*offering.factory()?, &offers, parked, keeps);
            secured.map_err(|error| anyhow!("{what}: {error}; fix: {DTLS_FIX}"))?
        }
        _ => bound.join(listener.groups.as_deref().unwrap_or_default()).map_err(|(group, error)| {
            let fix = format!("bind to an address of its IP version, or leave it out of {what}.groups");
            anyhow!("{what}: cannot join the multicast group {group}: {error}; fix: {fix}")
        })?,
    };
    let psk = (transport == Transport::TlsPsk).then(|| offering.streams(&name, listener, limits));
    let psk = psk.transpose().map_err(|error| anyhow!("{what}: {error}"))?;
    Ok(Open { name, protocol, transport, places, certificates, bound, psk })
}

fn bind_one(
    what: &str,
    bind: &Bind,
    listener: &Listener,
    transport: Transport,
) -> anyhow::Result<Vec<(Place, Bound)>> {
    let socket = transport.socket();
    match bind {
        Bind::Address(address) => Ok(vec![bind_address(what, *address, socket)?]),
        Bind::Localhost(port) => bind_localhost(what, *port, socket),
        Bind::Path(path) => {
            let mode = listener.mode.map_or(MODE, |mode| mode.0);
            let bound =
                net::bind_path(path, mode).map_err(|error| anyhow!(explain_path(what, path, &error)))?;
            Ok(vec![(Place::Path(path.clone()), bound)])
        }
    }
}

fn bind_address(what: &str, address: SocketAddr, socket: bus::Transport) -> anyhow::Result<(Place, Bound)> {
    let bound =
        net::bind(address, socket).map_err(|error| anyhow!(explain(what, address, socket, &error)))?;
    Ok((Place::Address(bound.address), bound))
}

/// The same port of 127.0.0.1 and, where the machine has it, of ::1.
fn bind_localhost(what: &str, port: u16, socket: bus::Transport) -> anyhow::Result<Vec<(Place, Bound)>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let first = bind_address(what, (Ipv4Addr::LOCALHOST, port).into(), socket)?;
        let second = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), first.1.address.port());
        match net::bind(second, socket) {
            Ok(bound) => return Ok(vec![first, (Place::Address(second), bound)]),
            Err(error) if error.kind() != ErrorKind::AddrInUse => {
                info!(listener = what, %error, "This machine has no ::1; 127.0.0.1 alone is listened on.");
                return Ok(vec![first]);
            }
            // The system chose a port of 127.0.0.1 that somebody has on ::1.
            Err(_) if port == 0 && attempts < ATTEMPTS => {}
            Err(error) => return Err(anyhow!(explain(what, second, socket, &error))),
        }
    }
}

/// Whose PROXY headers the listener takes.
fn proxy(listener: &Listener) -> Option<net::ProxyConfig> {
    let versions = listener.proxy_protocol.filter(|versions| *versions != ProxyProtocol::Off)?;
    Some(net::ProxyConfig {
        v1: versions != ProxyProtocol::V2,
        v2: versions != ProxyProtocol::V1,
        sources: listener.proxy_sources.clone().unwrap_or_default(),
        timeout: listener.proxy_timeout.unwrap_or(PROXY_TIMEOUT).0,
    })
}

fn web_socket(listener: &Listener, protocol: &Entry, limits: &bus::Limits) -> net::web_socket::Config {
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    net::web_socket::Config {
        paths: listener.path.clone().unwrap_or_else(|| all(protocol.paths)),
        subprotocols: listener.subprotocols.clone().unwrap_or_else(|| all(protocol.subprotocols)),
        origins: listener.origins.clone().unwrap_or_default(),
        max_frame: listener.max_frame.unwrap_or(MAX_FRAME).0,
        takes_text: protocol.takes_text,
        max_message: protocol.by_message.then_some(limits.packet),
        max_message_before: limits.packet_before_connect,
    }
}

/// Why a Unix socket cannot be made, and the way out.
fn explain_path(what: &str, path: &Path, error: &std::io::Error) -> String {
    let (cause, fix) = match error.kind() {
        ErrorKind::AddrInUse => ("another program listens there", "stop it, or choose another path"),
        ErrorKind::AlreadyExists => {
            ("a file that is no socket is there", "remove it, or choose another path")
        }
        ErrorKind::NotFound => ("there is no such folder", "create it, or choose another path"),
        ErrorKind::PermissionDenied => ("permission denied", "choose a folder that the server may write to"),
        _ => (&*error.to_string(), "choose another path"),
    };
    format!("{what}: cannot bind {}: {cause}; fix: {fix} ({what}.bind)", path.display())
}

/// Why a port cannot be bound, and the way out: `what` has the key `bind`.
pub(crate) fn explain(
    what: &str,
    address: SocketAddr,
    transport: bus::Transport,
    error: &std::io::Error,
) -> String {
    let (port, list) = match transport {
        bus::Transport::Stream => (address.port(), "ss -ltnp"),
        bus::Transport::Datagram => (address.port(), "ss -lunp"),
    };
    let (cause, fix) = match error.kind() {
        ErrorKind::AddrInUse => (
            "address already in use".to_owned(),
            format!("stop the other program (`{list} 'sport = :{port}'` names it) or set {what}.bind"),
        ),
        ErrorKind::AddrNotAvailable => {
            ("this machine has no such address".to_owned(), format!("set {what}.bind to one of `ip address`"))
        }
        ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            format!("set {what}.bind to a port above 1023, or give the program CAP_NET_BIND_SERVICE"),
        ),
        _ => (error.to_string(), format!("set {what}.bind")),
    };
    format!("{what}: cannot bind {address}: {cause}; fix: {fix}")
}

/// Where a client on this machine reaches a listener that is bound there.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

impl Open {
    /// Takes clients in.
    pub(crate) fn serve(self, config: &Config, common: &Common, broker: &Broker, stop: &Stop) -> Served {
        let listener = &config.listeners.0[&*self.name];
        let limits = listener.limits.as_ref().unwrap_or(&config.limits);
        let web_socket = self.transport.is_web_socket().then(|| web_socket(listener, self.protocol, limits));
        let offered = net::ListenerConfig {
            max_connections: listener.max_connections,
            connect_rate: listener.connect_rate,
            rebind: listener.rebind,
            rates: listener.rates.clone().unwrap_or_default(),
            max_handshakes: listener.max_handshakes.unwrap_or(MAX_HANDSHAKES),
            proxy: proxy(listener),
            tls: self.certificates.filter(|_| self.transport != Transport::Dtls),
            psk: self.psk,
            alpn: self.protocol.alpn,
            web_socket,
            forwarders: listener.proxy_sources.clone().unwrap_or_default(),
            ..net::ListenerConfig::default()
        };
        let protocol = (self.protocol.new)(config, limits.clone(), common);
        let label = protocol.label();
        let running =
            self.bound.serve(self.name.clone(), protocol, broker.clone(), offered, limits.clone(), stop);
        Served { name: self.name, protocol: label, running }
    }

    /// The place to tell others.
    pub(crate) fn place(&self) -> &Place {
        &self.places[0]
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// What helps where DTLS cannot be offered.
const DTLS_FIX: &str =
    "name another profile as tls, change the table dtls of the listener, or disable the listener";

/// Who may use a Unix socket whose listener does not say: its owner and group.
const MODE: u32 = 0o660;

/// How often a port is asked for that is free on both loopback addresses.
const ATTEMPTS: usize = 16;
