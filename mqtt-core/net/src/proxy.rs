//! The PROXY protocol: a proxy tells, before anything else, for whom it has connected.
//!
//! Never more is read than belongs to the header, so that nothing of the client's bytes is lost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bus::{Address, Certificate, Reason, Secured};
use proxy_header::{ParseConfig, Protocol, ProxyHeader, SslInfo};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::Network;
use crate::fault::{self, Fault};

/// Whose PROXY headers a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Whether headers of version 1, which is text, are taken.
    pub v1: bool,
    /// Whether headers of version 2, which is binary, are taken.
    pub v2: bool,
    /// Where proxies are; everybody else is refused. If empty, on this machine.
    pub sources: Vec<Network>,
    /// How long a proxy may take.
    pub timeout: Duration,
}

/// What a proxy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It has connected for itself.
    Local,
    /// It does not tell for whom.
    Unknown,
    /// It has connected for a client.
    Client {
        /// Where the client is.
        address: SocketAddr,
        /// What secures the client's connection to the proxy.
        secured: Option<Box<Secured>>,
    },
}

/// How far a header is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many more bytes belong to it at least.
    More(usize),
    /// It is whole.
    Whole(Told),
}

/// Of whom nobody knows where it is: it must not be taken for one of this machine.
pub(crate) const UNKNOWN: Address = Address::Socket(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 2 begins with: the signature, the command, the family and a length.
const V2_HEAD: usize = 16;

/// The shortest header of version 1: `PROXY UNKNOWN` and the end of the line.
const V1_SHORTEST: usize = 15;

/// The longest header of version 1.
const V1_LONGEST: usize = 107;

/// The longest header of version 2 that is taken.
const V2_LONGEST: usize = 4096;

/// Reads the header that a connection begins with; returns where the client is, and what secures its connection.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    socket: &mut S,
    address: Address,
    config: &ProxyConfig,
) -> Result<(Address, Option<Arc<Secured>>), Fault> {
    if !config.trusts(&address) {
        return Err(invalid("the address is none of proxy_sources"));
    }
    let told = timeout(config.timeout, read_header(socket, config)).await;
    let told = told.map_err(|_| invalid("the header did not come in time"))??;
    let known = told.address(address);
    match told {
        Told::Local | Told::Unknown => Ok((known, None)),
        Told::Client { secured, .. } => Ok((known, secured.map(Arc::from))),
    }
}

impl Told {
    /// Where the client is, as this proxy says it. What a proxy elsewhere calls its own machine is not this one.
    pub fn address(&self, proxy: Address) -> Address {
        match self {
            Self::Local => proxy,
            Self::Unknown => UNKNOWN,
            Self::Client { address, .. } if Address::Socket(*address).is_local() && !proxy.is_local() => {
                UNKNOWN
            }
            Self::Client { address, .. } => Address::Socket(*address),
        }
    }
}

async fn read_header<S: AsyncRead + Unpin>(socket: &mut S, config: &ProxyConfig) -> Result<Told, Fault> {
    let mut header = Vec::new();
    loop {
        let more = match config.parse(&header)? {
            Progress::Whole(told) => return Ok(told),
            Progress::More(more) => more,
        };
        let mut room = [0; 256];
        let room = room.get_mut(..more.min(256)).unwrap_or_default();
        let read = match socket.read(room).await {
            Ok(0) if header.is_empty() => {
                return Err(Fault { reason: Reason::PeerClosed, detail: "the proxy closed at once" });
            }
            Ok(0) => return Err(invalid("the connection ended inside the header")),
            Ok(read) => read,
            Err(error) => {
                return Err(Fault { reason: fault::reason(&error), detail: "the proxy is gone" });
            }
        };
        header.extend_from_slice(room.get(..read).unwrap_or_default());
    }
}

impl ProxyConfig {
    fn trusts(&self, address: &Address) -> bool {
        match address {
            _ if self.sources.is_empty() => address.is_local(),
            Address::Socket(address) => self.sources.iter().any(|network| network.contains(address.ip())),
            Address::Unix | Address::Internal => true,
        }
    }

    /// What the beginning of a connection says, as far as it has come.
    pub fn parse(&self, header: &[u8]) -> Result<Progress, Fault> {
        let (begins_v1, begins_v2) = (begins(header, V1), begins(header, V2));
        match (self.v1 && begins_v1, self.v2 && begins_v2) {
            (true, true) => Ok(Progress::More(1)),
            (true, false) => parse_v1(header),
            (false, true) => parse_v2(header),
            (false, false) if begins_v1 => {
                Err(invalid("the header is of version 1, which is not taken here"))
            }
            (false, false) if begins_v2 => {
                Err(invalid("the header is of version 2, which is not taken here"))
            }
            (false, false) => Err(invalid("there is no PROXY header")),
        }
    }
}

fn parse_v1(header: &[u8]) -> Result<Progress, Fault> {
    if !header.contains(&b'\n') {
        let more = match header.last() {
            _ if header.len() < V1_SHORTEST => V1_SHORTEST - header.len(),
            Some(b'\r') => 1,
            _ => 2,
        };
        let fits = header.len() + more <= V1_LONGEST;
        return fits.then_some(Progress::More(more)).ok_or(invalid("the header is longer than 107 bytes"));
    }
    if !header.ends_with(b"\r\n") {
        return Err(invalid("the header's line does not end with CR LF"));
    }
    let line = header.strip_prefix(V1).unwrap_or_default();
    if line == b"UNKNOWN\r\n" || line.starts_with(b"UNKNOWN ") {
        return Ok(Progress::Whole(Told::Unknown));
    }
    let parsed = ProxyHeader::parse(header, ParseConfig::default());
    match parsed.ok().filter(|(_, length)| *length == header.len()) {
        Some((header, _)) => told(&header),
        None => Err(invalid("the header of version 1 has a fault")),
    }
}

fn parse_v2(header: &[u8]) -> Result<Progress, Fault> {
    let Some((head, _)) = header.split_first_chunk::<V2_HEAD>() else {
        return Ok(Progress::More(V2_HEAD - header.len()));
    };
    let [.., command, family, high, low] = *head;
    let length = V2_HEAD + usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) {
        return Err(invalid("the header of version 2 has another version or command"));
    }
    if length > V2_LONGEST {
        return Err(invalid("the header of version 2 is longer than 4096 bytes"));
    }
    if header.len() < length {
        return Ok(Progress::More(length - header.len()));
    }
    if command == 0x20 {
        return Ok(Progress::Whole(Told::Local));
    }
    // Unspecified, or Unix sockets of the proxy's machine.
    if matches!(family, 0x00 | 0x31 | 0x32) {
        return Ok(Progress::Whole(Told::Unknown));
    }
    match ProxyHeader::parse(header, ParseConfig::default()) {
        Ok((header, _)) => told(&header),
        Err(_) => Err(invalid("the header of version 2 has a fault")),
    }
}

fn told(header: &ProxyHeader<'_>) -> Result<Progress, Fault> {
    match header.proxied_address() {
        Some(proxied) if proxied.protocol == Protocol::Stream => {
            let ssl = header.ssl().filter(SslInfo::client_ssl);
            let secured = ssl.map(|ssl| Box::new(secured(&ssl, header.authority())));
            Ok(Progress::Whole(Told::Client { address: proxied.source, secured }))
        }
        _ => Err(invalid("the header is for another kind of connection")),
    }
}

fn secured(ssl: &SslInfo<'_>, authority: Option<&str>) -> Secured {
    let shown = ssl.client_cert_conn() || ssl.client_cert_sess();
    let verified = ssl.cn().filter(|_| shown && ssl.verify() == 0);
    Secured {
        version: ssl.version().unwrap_or("TLS").replace("TLSv", "TLS ").into(),
        cipher: ssl.cipher().unwrap_or_default().into(),
        server_name: authority.map(Arc::from),
        certificate: verified.map(|name| Certificate {
            common_name: Some(name.into()),
            subject: format!("CN={}", escaped(name)).into(),
            alternative_names: Vec::new(),
            fingerprint: [0; 32],
        }),
        ..Secured::default()
    }
}

/// A value of a distinguished name, as RFC 4514 writes it.
fn escaped(value: &str) -> String {
    let last = value.len().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (place, letter) in value.char_indices() {
        let edge = (letter == ' ' && (place == 0 || place == last)) || (letter == '#' && place == 0);
        match letter {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            letter if edge => text.extend(['\\', letter]),
            letter => text.push(letter),
        }
    }
    text
}

/// Whether the bytes are the beginning of the signature, or begin with it.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(byte, expected)| byte == expected)
}

fn invalid(detail: &'static str) -> Fault {
    Fault { reason: Reason::ProxyHeaderInvalid, detail }
}

#[cfg(test)]
mod tests;
