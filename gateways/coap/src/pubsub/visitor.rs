use std::net::SocketAddr;

use bus::{Address, Carrier, Peer, Secured, Transport};

/// Where a peer is, and what its transport has proved of it.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) address: Option<SocketAddr>,
    /// The scheme of URIs that lead to it, and the scheme's port [RFC7252 6], [RFC8323 8].
    pub(crate) scheme: (&'static str, u16),
    /// Whether it can be asked by whoever knows its address.
    pub(crate) is_reachable: bool,
    /// The names that it has proved to have.
    pub(crate) proved: Vec<Box<str>>,
}

impl Visitor {
    pub(crate) fn of(peer: &Peer) -> Self {
        let secured = peer.link.secured.as_deref();
        let scheme = match (peer.transport, peer.link.carrier, secured.is_some()) {
            (Transport::Datagram, _, false) => ("coap", 5_683),
            (Transport::Datagram, _, true) => ("coaps", 5_684),
            (Transport::Stream, Carrier::WebSocket, _) => ("coap+ws", 80),
            (Transport::Stream, Carrier::SecureWebSocket, _) => ("coaps+ws", 443),
            (Transport::Stream, _, false) => ("coap+tcp", 5_683),
            (Transport::Stream, _, true) => ("coaps+tcp", 5_684),
        };
        let proved = secured.map(proved_names).unwrap_or_default();
        let address = socket(peer.address);
        Self { address, scheme, is_reachable: peer.transport == Transport::Datagram, proved }
    }

    /// It is somewhere else now.
    pub(crate) fn moved(&mut self, address: Address) {
        self.address = socket(address);
    }
}

fn socket(address: Address) -> Option<SocketAddr> {
    match address {
        Address::Socket(address) => Some(address),
        Address::Unix | Address::Internal => None,
    }
}

/// The names that a peer has proved to have.
pub(crate) fn proved_names(secured: &Secured) -> Vec<Box<str>> {
    let named = secured.certificate.iter().flat_map(|certificate| {
        let common = certificate.common_name.iter().map(|name| format!("cn:{name}"));
        common.chain(certificate.alternative_names.iter().map(|name| format!("san:{name}")))
    });
    let keys = secured.psk_identity.iter().map(|identity| format!("psk:{identity}"));
    let users = secured.username.iter().map(|username| format!("user:{username}"));
    named.chain(keys).chain(users).map(Box::from).collect()
}
