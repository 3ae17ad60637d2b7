use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bus::Carrier;
use serde::{Deserialize, Serialize};

use super::bind::Binds;
use super::dtls::Dtls;
use super::tree::{Path, Table};
use super::{Config, decode};
use crate::registry::{self, Entry};

/// The listeners by name. The default ones are always there, unless they are disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Listeners(pub(crate) BTreeMap<String, Listener>);

/// One port that clients reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Whether it is there.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// What is spoken on it.
    pub(crate) protocol: String,
    /// What carries it; the protocol's usual transport if left out.
    pub(crate) transport: Option<Transport>,
    /// Where it listens: one address or a list; port 0 takes any free port.
    pub(crate) bind: Binds,
    /// Who may use a Unix socket, as an octal number.
    pub(crate) mode: Option<Mode>,
    /// How many connections it may have at once.
    #[serde(default = "max_connections")]
    pub(crate) max_connections: usize,
    /// How many connections may be made in one second, on the average.
    #[serde(default = "connect_rate")]
    pub(crate) connect_rate: u32,
    /// Whether a datagram that names its peer moves the peer to the address it came from. Names can
    /// be forged where nothing is encrypted.
    #[serde(default)]
    pub(crate) rebind: bool,
    /// The multicast groups at which it is found, on its port; where its protocol knows such.
    pub(crate) groups: Option<Vec<IpAddr>>,
    /// What its clients may send in a second.
    pub(crate) rates: Option<net::Rates>,
    /// What one of its connections may cost, where that differs from what others may.
    pub(crate) limits: Option<bus::Limits>,
    /// The TLS profile that secures it.
    pub(crate) tls: Option<String>,
    /// How many connections may set up TLS, WebSocket or a PROXY header at once; others wait.
    pub(crate) max_handshakes: Option<usize>,
    /// The paths at which WebSocket is spoken.
    pub(crate) path: Option<Vec<String>>,
    /// The WebSocket sub-protocols that are offered.
    pub(crate) subprotocols: Option<Vec<String>>,
    /// The origins whose pages may connect.
    pub(crate) origins: Option<Vec<String>>,
    /// The longest WebSocket frame.
    pub(crate) max_frame: Option<Size>,
    /// Which versions of the PROXY protocol connections must begin with.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Where proxies are that are believed.
    pub(crate) proxy_sources: Option<Vec<net::Network>>,
    /// How long a proxy may take to send its header.
    pub(crate) proxy_timeout: Option<Span>,
    /// What QUIC offers.
    pub(crate) quic: Option<net::QuicConfig>,
    /// What DTLS offers.
    pub(crate) dtls: Option<Dtls>,
}

/// Which versions of the PROXY protocol are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProxyProtocol {
    /// None: clients connect directly.
    Off,
    /// Version 1 alone.
    V1,
    /// Version 2 alone.
    V2,
    /// Both.
    Any,
}

/// A size in bytes: `"16MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size(#[serde(with = "bus::units::size")] pub(crate) usize);

/// A duration: `"5s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span(#[serde(with = "bus::units::duration")] pub(crate) Duration);

/// What carries a listener's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    /// A plain byte stream.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// QUIC.
    Quic,
    /// A Unix socket.
    Unix,
    /// Plain datagrams.
    Udp,
    /// Datagrams over DTLS.
    Dtls,
    /// TLS over TCP, with pre-shared keys.
    TlsPsk,
}

/// The mode of a file, as an octal number: `660`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

/// The TLS profile of a listener that names none.
pub(crate) const TLS_PROFILE: &str = "default";

/// How many handshakes a listener may have under way that does not say.
pub(crate) const MAX_HANDSHAKES: usize = 1_000;

/// The paths of a WebSocket listener that names none.
pub(crate) const PATHS: [&str; 2] = ["/mqtt", "/"];

/// The longest frame of a WebSocket listener that does not say: none is kept, so it may be long.
pub(crate) const MAX_FRAME: Size = Size(16 << 20);

/// How long a proxy may take where the listener does not say.
pub(crate) const PROXY_TIMEOUT: Span = Span(Duration::from_secs(5));

fn yes() -> bool {
    true
}

fn max_connections() -> usize {
    1_000_000
}

fn connect_rate() -> u32 {
    10_000
}

impl Listener {
    fn local(protocol: &str, port: u16) -> Self {
        Self {
            enabled: true,
            protocol: protocol.to_owned(),
            transport: None,
            bind: Binds::local(port),
            mode: None,
            max_connections: max_connections(),
            connect_rate: connect_rate(),
            rebind: false,
            groups: None,
            rates: None,
            limits: None,
            tls: None,
            max_handshakes: None,
            path: None,
            subprotocols: None,
            origins: None,
            max_frame: None,
            proxy_protocol: None,
            proxy_sources: None,
            proxy_timeout: None,
            quic: None,
            dtls: None,
        }
    }

    fn over(transport: Transport, port: u16) -> Self {
        Self { transport: Some(transport), ..Self::local("mqtt", port) }
    }

    fn coap_over(transport: Transport, port: u16) -> Self {
        Self { transport: Some(transport), ..Self::local("coap", port) }
    }

    /// What carries it, unless its protocol is not known.
    pub(crate) fn carrier(&self) -> Option<Transport> {
        self.transport.or_else(|| Some(self.entry()?.transports[0]))
    }

    /// What is spoken on it.
    pub(crate) fn entry(&self) -> Option<&'static Entry> {
        registry::find(&self.protocol)
    }
}

impl Transport {
    /// The name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        self.carrier().name()
    }

    pub(crate) fn carrier(self) -> Carrier {
        match self {
            Self::Tcp => Carrier::Tcp,
            Self::Tls => Carrier::Tls,
            Self::Ws => Carrier::WebSocket,
            Self::Wss => Carrier::SecureWebSocket,
            Self::Quic => Carrier::Quic,
            Self::Unix => Carrier::Unix,
            Self::Udp => Carrier::Udp,
            Self::Dtls => Carrier::Dtls,
            Self::TlsPsk => Carrier::TlsPsk,
        }
    }

    /// Whether it shows a certificate of a profile.
    pub(crate) fn is_secured(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Quic | Self::Dtls)
    }

    /// Whether it takes pre-shared keys.
    pub(crate) fn takes_keys(self) -> bool {
        matches!(self, Self::Dtls | Self::TlsPsk)
    }

    pub(crate) fn is_web_socket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Whose ports it takes.
    pub(crate) fn socket(self) -> bus::Transport {
        match self {
            Self::Tcp | Self::Tls | Self::Ws | Self::Wss | Self::Unix | Self::TlsPsk => {
                bus::Transport::Stream
            }
            Self::Quic | Self::Udp | Self::Dtls => bus::Transport::Datagram,
        }
    }
}

/// Gives each listener that has limits of its own those of `[limits]` for what it leaves out.
pub(crate) fn settle_limits(config: &mut Config, tree: &Table) -> Result<(), super::Problems> {
    for (name, listener) in &mut config.listeners.0 {
        let path = Path::default().key("listeners").key(name).key("limits");
        if let (Some(limits), Some(own)) = (&mut listener.limits, tree.table(&path)) {
            let mut settled = tree.table(&Path::default().key("limits")).cloned().unwrap_or_default();
            settled.overlay(own.clone());
            *limits = decode::decode(&settled)?;
        }
    }
    Ok(())
}

impl Default for Listeners {
    fn default() -> Self {
        let local = |protocol: &str, port| (protocol.to_owned(), Listener::local(protocol, port));
        let mqtt = Listener {
            rates: Some(net::Rates::default()),
            proxy_protocol: Some(ProxyProtocol::Off),
            proxy_sources: Some(Vec::new()),
            proxy_timeout: Some(PROXY_TIMEOUT),
            ..Listener::local("mqtt", 1883)
        };
        let secured = Listener {
            tls: Some(TLS_PROFILE.to_owned()),
            max_handshakes: Some(MAX_HANDSHAKES),
            ..Listener::over(Transport::Tls, 8883)
        };
        let web_socket = Listener {
            path: Some(PATHS.map(str::to_owned).to_vec()),
            origins: Some(Vec::new()),
            max_frame: Some(MAX_FRAME),
            ..Listener::over(Transport::Ws, 8083)
        };
        let quic =
            Listener { quic: Some(net::QuicConfig::default()), ..Listener::over(Transport::Quic, 14567) };
        let coaps = Listener {
            enabled: cfg!(feature = "dtls"),
            transport: Some(Transport::Dtls),
            dtls: Some(Dtls::default()),
            ..Listener::local("coap", 5684)
        };
        Self(BTreeMap::from([
            ("mqtt".to_owned(), mqtt),
            ("mqtts".to_owned(), secured),
            ("ws".to_owned(), web_socket),
            ("wss".to_owned(), Listener::over(Transport::Wss, 8084)),
            ("quic".to_owned(), quic),
            local("mqtt-sn", 1884),
            ("coap".to_owned(), Listener { groups: Some(Vec::new()), ..Listener::local("coap", 5683) }),
            ("coap-tcp".to_owned(), Listener::coap_over(Transport::Tcp, 5683)),
            ("coaps-tcp".to_owned(), Listener::coap_over(Transport::Tls, 5684)),
            ("coaps".to_owned(), coaps),
            local("stomp", 61613),
        ]))
    }
}

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777).map(Self);
        mode.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no mode; write it as in \"660\"")))
    }
}

/// Addresses as text: `"127.0.0.1:1883"`.
pub(crate) mod address {
    use std::net::SocketAddr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| {
            D::Error::custom(format!(
                "{text:?} is not an address; write IP:PORT, as in \"127.0.0.1:1883\" or \"[::1]:1883\""
            ))
        })
    }

    pub(crate) fn serialize<S: Serializer>(address: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(address)
    }
}
