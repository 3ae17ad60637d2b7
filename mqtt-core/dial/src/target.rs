use std::fmt;

use bus::Carrier;

/// Where a server is, and what carries the bytes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What carries the bytes.
    pub carrier: Carrier,
    /// A host name or an address; for a Unix socket its path.
    pub host: String,
    /// The port; 0 for a Unix socket.
    pub port: u16,
    /// The path of a WebSocket, else empty.
    pub path: String,
}

/// A URL taken apart: `mqtt://ann:secret@host:1883/topic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Where the server is.
    pub target: Target,
    /// The user name, decoded.
    pub username: Option<String>,
    /// The password, decoded.
    pub password: Option<String>,
    /// What stands behind the host, decoded, where that is no WebSocket's path: a topic.
    pub topic: Option<String>,
}

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no `://`, or no `unix:`.
    #[error(
        "{0:?} has no scheme: write mqtt://HOST, mqtts://HOST, ws://HOST/PATH, wss://HOST/PATH, quic://HOST or unix:PATH"
    )]
    NoScheme(String),
    /// The scheme is not known.
    #[error("there is no scheme {0:?}: use mqtt, mqtts, ws, wss, quic or unix")]
    Scheme(String),
    /// The host is empty.
    #[error("{0:?} names no host")]
    NoHost(String),
    /// The port is no number from 1 to 65,535.
    #[error("{0:?} is no port: use a number from 1 to 65535")]
    Port(String),
    /// A `%` is not followed by two hexadecimal digits, or they make no UTF-8.
    #[error("{0:?} has a % that is not followed by the two hexadecimal digits of a byte")]
    Percent(String),
}

/// The path of a WebSocket where none is named.
const PATH: &str = "/mqtt";

impl Target {
    /// A host on the port that is usual for what carries the bytes, unless another is named.
    pub fn new(carrier: Carrier, host: impl Into<String>, port: Option<u16>) -> Self {
        let path = match carrier {
            Carrier::WebSocket | Carrier::SecureWebSocket => PATH.to_owned(),
            _ => String::new(),
        };
        Self { carrier, host: host.into(), port: port.unwrap_or(usual_port(carrier)), path }
    }

    /// Reads a URL that names nothing but a server.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        Url::parse(text).map(|url| url.target)
    }

    /// Whether the server must show a certificate.
    pub fn is_secured(&self) -> bool {
        matches!(self.carrier, Carrier::Tls | Carrier::SecureWebSocket | Carrier::Quic)
    }

    /// Whether it is this machine.
    pub fn is_local(&self) -> bool {
        self.carrier == Carrier::Unix
            || self.host == "localhost"
            || self.host.parse().is_ok_and(|address: std::net::IpAddr| address.to_canonical().is_loopback())
    }

    /// Host and port, as an address is written.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.carrier {
            Carrier::Unix => f.write_str(&self.host),
            _ => f.write_str(&self.authority()),
        }
    }
}

impl Url {
    /// Takes a URL apart.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(TargetError::NoHost(text.to_owned()));
            }
            let target = Target::new(Carrier::Unix, path, Some(0));
            return Ok(Self { target, username: None, password: None, topic: None });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| TargetError::NoScheme(text.to_owned()))?;
        let carrier = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" | "tcp" => Carrier::Tcp,
            "mqtts" | "ssl" | "tls" => Carrier::Tls,
            "ws" => Carrier::WebSocket,
            "wss" => Carrier::SecureWebSocket,
            "quic" => Carrier::Quic,
            _ => return Err(TargetError::Scheme(scheme.to_owned())),
        };
        let (place, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (login, place) =
            place.rsplit_once('@').map_or((None, place), |(login, host)| (Some(login), host));
        let (host, port) = host_and_port(place, text)?;
        let mut target = Target::new(carrier, host, port);
        let mut topic = None;
        if !target.path.is_empty() {
            if !path.is_empty() {
                path.clone_into(&mut target.path);
            }
        } else if path.len() > 1 {
            topic = Some(decoded(path.strip_prefix('/').unwrap_or(path))?);
        }
        let (username, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((name, "")) => (Some(decoded(name)?), None),
            Some((name, password)) => (Some(decoded(name)?), Some(decoded(password)?)),
        };
        Ok(Self { target, username, password, topic })
    }
}

fn host_and_port<'a>(place: &'a str, url: &str) -> Result<(&'a str, Option<u16>), TargetError> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(TargetError::NoHost(url.to_owned()));
    }
    let number = |text: &str| {
        let port = text.parse().ok().filter(|port| *port > 0);
        port.ok_or_else(|| TargetError::Port(text.to_owned()))
    };
    Ok((host, port.map(number).transpose()?))
}

/// What `%41` and the like stand for [RFC3986 2.1].
fn decoded(text: &str) -> Result<String, TargetError> {
    let fault = || TargetError::Percent(text.to_owned());
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(fault)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(fault());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| fault())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| fault())
}

fn usual_port(carrier: Carrier) -> u16 {
    match carrier {
        Carrier::Tls | Carrier::TlsPsk => 8883,
        Carrier::Dtls => 5684,
        Carrier::WebSocket => 8083,
        Carrier::SecureWebSocket => 8084,
        Carrier::Quic => 14567,
        Carrier::Unix => 0,
        Carrier::Tcp | Carrier::Internal | Carrier::Udp => 1883,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_carrier_host_port_and_path() {
        let cases = [
            ("mqtt://h", Carrier::Tcp, "h", 1883, ""),
            ("MQTT://h:1", Carrier::Tcp, "h", 1, ""),
            ("mqtts://h", Carrier::Tls, "h", 8883, ""),
            ("ws://h", Carrier::WebSocket, "h", 8083, "/mqtt"),
            ("wss://h:443/a/b", Carrier::SecureWebSocket, "h", 443, "/a/b"),
            ("quic://[::1]:7", Carrier::Quic, "::1", 7, ""),
            ("unix:/run/w.sock", Carrier::Unix, "/run/w.sock", 0, ""),
            ("unix:///run/w.sock", Carrier::Unix, "/run/w.sock", 0, ""),
        ];
        for (url, carrier, host, port, path) in cases {
            let expected = Target { carrier, host: host.to_owned(), port, path: path.to_owned() };
            assert_eq!(Target::parse(url).as_ref(), Ok(&expected), "{url}");
        }
        assert_eq!(Target::parse("quic://[::1]:7").unwrap().authority(), "[::1]:7");
    }

    #[test]
    fn a_url_may_name_user_password_and_topic() {
        let url = Url::parse("mqtt://an%6E:p%40ss@h/a/b%20c").unwrap();
        assert_eq!((url.username.as_deref(), url.password.as_deref()), (Some("ann"), Some("p@ss")));
        assert_eq!((url.target.host.as_str(), url.topic.as_deref()), ("h", Some("a/b c")));
        let url = Url::parse("mqtt://ann@h/").unwrap();
        assert_eq!((url.username.as_deref(), url.password, url.topic), (Some("ann"), None, None));
    }

    #[test]
    fn a_url_that_is_none_is_refused_with_its_fault() {
        for (url, fault) in [
            ("h:1883", TargetError::NoScheme("h:1883".to_owned())),
            ("http://h", TargetError::Scheme("http".to_owned())),
            ("mqtt://:1", TargetError::NoHost("mqtt://:1".to_owned())),
            ("mqtt://h:x", TargetError::Port("x".to_owned())),
            ("mqtt://h:0", TargetError::Port("0".to_owned())),
            ("mqtt://h/%4", TargetError::Percent("%4".to_owned())),
            ("mqtt://h/%+1", TargetError::Percent("%+1".to_owned())),
        ] {
            assert_eq!(Url::parse(url), Err(fault), "{url}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        for url in ["mqtt://127.0.0.1", "mqtt://localhost", "mqtt://[::1]", "unix:/x"] {
            assert!(Target::parse(url).unwrap().is_local(), "{url}");
        }
        assert!(!Target::parse("mqtt://192.0.2.1").unwrap().is_local());
    }
}
