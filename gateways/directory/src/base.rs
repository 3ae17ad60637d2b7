use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::Refusal;

/// The base URI of a registration, against which its references are resolved: `coap://[2001:db8::1]:61616`
/// [RFC9176 5].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    uri: Box<str>,
    /// How much of it is scheme and authority.
    origin: usize,
    link_local: bool,
}

/// The link that a peer with a link-local address is on; `None` of any other peer.
pub type Scope = Option<u32>;

const NO_BASE: Refusal =
    Refusal::Parameter("the base URI (base) is not of the form scheme://authority, with a path at most");
const ZONE: Refusal = Refusal::Parameter("the base URI (base) must not contain a zone identifier");

impl Base {
    /// Reads the parameter `base`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let scheme = scheme_of(text).ok_or(NO_BASE)?;
        let behind = text.get(scheme.len()..).and_then(|rest| rest.strip_prefix("://")).ok_or(NO_BASE)?;
        let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() || !is_reference(text) {
            return Err(NO_BASE);
        }
        let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
        let link_local = match host_and_port.strip_prefix('[') {
            Some(literal) => {
                let (address, port) = literal.split_once(']').ok_or(NO_BASE)?;
                if address.contains('%') {
                    return Err(ZONE); // [RFC9176 5], [RFC9176 6.1]
                }
                check_port(port)?;
                is_link_local(address.parse::<Ipv6Addr>().map_err(|_| NO_BASE)?.into())
            }
            None => {
                let (host, port) = match host_and_port.find(':') {
                    Some(at) => host_and_port.split_at(at),
                    None => (host_and_port, ""),
                };
                check_port(port)?;
                if host.is_empty() {
                    return Err(NO_BASE);
                }
                host.parse::<IpAddr>().is_ok_and(is_link_local)
            }
        };
        let origin = scheme.len() + "://".len() + authority.len();
        Ok(Self { uri: text.into(), origin, link_local })
    }

    /// The link that a client's address is of, if it is of one only.
    pub fn scope_of(address: SocketAddr) -> Scope {
        scope_of(address)
    }

    /// The base of an endpoint that names none: scheme, address and port that it sent from, the port only if it is
    /// not the scheme's own [RFC9176 5].
    pub fn of_peer(scheme: &str, default_port: u16, address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        let host = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let uri = match address.port() {
            port if port == default_port => format!("{scheme}://{host}"),
            port => format!("{scheme}://{host}:{port}"),
        };
        Self { origin: uri.len(), uri: uri.into(), link_local: is_link_local(ip) }
    }

    /// The URI as text.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// Whether only those on one link can reach it.
    pub(crate) fn is_link_local(&self) -> bool {
        self.link_local
    }

    /// Resolves a reference of Limited Link Format [RFC3986 5.2]. A URI stays as it is [RFC9176 6.1].
    pub(crate) fn resolve<'a>(&self, reference: &'a str) -> Cow<'a, str> {
        if reference.is_empty() {
            return Cow::Owned(self.uri.split('#').next().unwrap_or_default().to_owned());
        }
        if !reference.starts_with('/') {
            return Cow::Borrowed(reference);
        }
        let (path, query) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
        let origin = self.uri.get(..self.origin).unwrap_or_default();
        Cow::Owned(format!("{origin}{}{query}", without_dots(path)))
    }
}

/// The link that the peer's address is of, if it is of one only.
pub(crate) fn scope_of(address: SocketAddr) -> Scope {
    match address {
        SocketAddr::V6(address) if is_link_local((*address.ip()).into()) => Some(address.scope_id()),
        SocketAddr::V6(_) | SocketAddr::V4(_) => None,
    }
}

/// Whether a target or an anchor is what Limited Link Format allows: a URI, or a path from the root
/// [RFC9176 C].
pub(crate) fn is_limited(text: &str) -> bool {
    let path = text.starts_with('/') && !text.starts_with("//");
    is_reference(text) && (path || scheme_of(text).is_some())
}

/// Whether a text has no character that a URI has not; those beyond ASCII are as they are in link format
/// [RFC9176 B.4].
fn is_reference(text: &str) -> bool {
    text.chars().all(|character| {
        !character.is_control() && !character.is_whitespace() && !"\"<>\\^`{|}".contains(character)
    })
}

/// The scheme that a URI begins with, if it does; what follows is a colon.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let valid = bytes.next()?.is_ascii_alphabetic()
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    valid.then_some(scheme)
}

/// Takes nothing, or a colon and a number.
fn check_port(text: &str) -> Result<(), Refusal> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(()),
        Some(port)
            if port.is_empty()
                || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()) =>
        {
            Ok(())
        }
        _ => Err(NO_BASE),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// A path from the root without its segments `.` and `..` [RFC3986 5.2.4].
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => kept.extend(last.then_some("")),
            ".." => {
                kept.pop();
                kept.extend(last.then_some(""));
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_against_scheme_and_authority() {
        let base = Base::parse("coap://[2001:db8::1]:61616/below?x").unwrap();
        let cases = [
            ("/temp", "coap://[2001:db8::1]:61616/temp"),
            ("/", "coap://[2001:db8::1]:61616/"),
            ("/a/./b/../c?d#e", "coap://[2001:db8::1]:61616/a/c?d#e"),
            ("/a/..", "coap://[2001:db8::1]:61616/"),
            ("/../a/.", "coap://[2001:db8::1]:61616/a/"),
            ("/temperature/Malm\u{f6}", "coap://[2001:db8::1]:61616/temperature/Malm\u{f6}"),
            ("http://www.example.com/a/../b", "http://www.example.com/a/../b"),
            ("", "coap://[2001:db8::1]:61616/below?x"),
        ];
        for (reference, expected) in cases {
            assert_eq!(base.resolve(reference), expected, "{reference}");
        }
    }

    #[test]
    fn a_base_is_a_uri_with_an_authority_and_without_a_zone() {
        for good in
            ["coap://local-proxy-old.example.com", "coaps+tcp://10.0.0.7:5684", "coap://[::1]", "http://h:/"]
        {
            assert!(Base::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "coap",
            "coap:",
            "coap:/x",
            "coap://",
            "//host",
            "urn:a:b",
            "coap://h:x",
            "coap://h:99999",
            "coap://[::1",
            "coap://[nine]",
            "coap://a b",
            "coap://:5683",
            "1coap://h",
            "coap://h/<x>",
        ] {
            assert_eq!(Base::parse(bad), Err(NO_BASE), "{bad}");
        }
        assert_eq!(Base::parse("coap://[fe80::1%25eth0]"), Err(ZONE));
        assert!(Base::parse("coap://[fe80::1]:5683").unwrap().is_link_local());
        assert!(Base::parse("coap://169.254.1.2").unwrap().is_link_local());
    }

    #[test]
    fn the_base_of_a_peer_names_the_port_unless_it_is_the_schemes_own() {
        let of = |address: &str| Base::of_peer("coap", 5_683, address.parse().unwrap()).as_str().to_owned();
        assert_eq!(of("[2001:db8::1]:6553"), "coap://[2001:db8::1]:6553");
        assert_eq!(of("10.0.0.7:5683"), "coap://10.0.0.7");
        assert_eq!(of("[::ffff:10.0.0.7]:1"), "coap://10.0.0.7:1");
        assert_eq!(of("[fe80::7%3]:5683"), "coap://[fe80::7]", "the zone is nobody else's");
        assert_eq!(scope_of("[fe80::7%3]:1".parse().unwrap()), Some(3));
        assert_eq!(scope_of("10.0.0.7:1".parse().unwrap()), None);
    }

    #[test]
    fn limited_link_format_has_uris_and_paths_from_the_root() {
        for good in ["/", "/a", "/a?b", "coap://h/a", "urn:a:b"] {
            assert!(is_limited(good), "{good}");
        }
        for bad in ["", "a", "./a", "//h/a", "?a", "/a b", "1:b"] {
            assert!(!is_limited(bad), "{bad}");
        }
    }
}
