use std::collections::BTreeMap;

use bus::Carrier;
use serde::{Deserialize, Serialize};

use super::bind::Binds;
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
    /// What its clients may send in a second.
    pub(crate) rates: Option<net::Rates>,
    /// What one of its connections may cost, where that differs from what others may.
    pub(crate) limits: Option<bus::Limits>,
}

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
}

/// The mode of a file, as an octal number: `660`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

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
            rates: (protocol == "mqtt").then(net::Rates::default),
            limits: None,
        }
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
        }
    }

    /// Whose ports it takes.
    pub(crate) fn socket(self) -> bus::Transport {
        match self {
            Self::Tcp | Self::Tls | Self::Ws | Self::Wss | Self::Unix => bus::Transport::Stream,
            Self::Quic | Self::Udp => bus::Transport::Datagram,
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
        Self(BTreeMap::from([
            local("mqtt", 1883),
            local("mqtt-sn", 1884),
            local("coap", 5683),
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
