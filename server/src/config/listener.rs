use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

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
    /// Where it listens; port 0 takes any free port.
    #[serde(with = "address")]
    pub(crate) bind: SocketAddr,
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
    #[serde(default)]
    pub(crate) rates: net::Rates,
}

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
            bind: (Ipv4Addr::LOCALHOST, port).into(),
            max_connections: max_connections(),
            connect_rate: connect_rate(),
            rebind: false,
            rates: net::Rates::default(),
        }
    }
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
