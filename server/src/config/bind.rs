use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a listener listens: one place or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binds(pub(crate) Vec<Bind>);

/// One place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    /// An address and a port; port 0 takes any free one.
    Address(SocketAddr),
    /// A port of 127.0.0.1, and of ::1 where the machine has it: `localhost:1883`.
    Localhost(u16),
    /// The path of a Unix socket.
    Path(PathBuf),
}

impl Binds {
    /// A port of 127.0.0.1.
    pub(crate) fn local(port: u16) -> Self {
        Self(vec![Bind::Address((Ipv4Addr::LOCALHOST, port).into())])
    }
}

impl Bind {
    /// Whether only this machine reaches it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Localhost(_) | Self::Path(_) => true,
        }
    }

    /// The addresses that this stands for.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Address(address) => vec![*address],
            Self::Localhost(port) => {
                vec![(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()]
            }
            Self::Path(_) => Vec::new(),
        }
    }
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(['/', '.']) {
            return Ok(Self::Path(text.into()));
        }
        if let Some(Ok(port)) = text.strip_prefix("localhost:").map(str::parse) {
            return Ok(Self::Localhost(port));
        }
        text.parse().map(Self::Address).map_err(|_| {
            format!(
                "{text:?} is not an address; write IP:PORT, as in \"127.0.0.1:1883\" or \"[::1]:1883\", or \
                 \"localhost:1883\", or the path of a Unix socket, as in \"/run/watersmeet.sock\""
            )
        })
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl Serialize for Bind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Binds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(to),
            many => many.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Binds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMore)
    }
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = Binds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address or a list of addresses")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Binds, E> {
        text.parse().map(|bind| Binds(vec![bind])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Binds, A::Error> {
        let mut binds = Vec::new();
        while let Some(bind) = elements.next_element()? {
            binds.push(bind);
        }
        if binds.is_empty() {
            return Err(A::Error::custom("the list is empty; name an address, or set enabled = false"));
        }
        Ok(Binds(binds))
    }
}
