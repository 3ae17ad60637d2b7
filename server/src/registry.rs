//! The protocols that a listener can speak: the one list of them.

use bus::Transport;

/// One protocol.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What `protocol = "…"` of a listener says.
    pub(crate) name: &'static str,
    /// What carries it.
    pub(crate) transport: Transport,
}

const PROTOCOLS: [Entry; 4] = [
    Entry { name: "mqtt", transport: Transport::Stream },
    Entry { name: "mqtt-sn", transport: Transport::Datagram },
    Entry { name: "coap", transport: Transport::Datagram },
    Entry { name: "stomp", transport: Transport::Stream },
];

/// The protocol of this name.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    PROTOCOLS.iter().find(|entry| entry.name == name)
}

/// All names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|entry| entry.name)
}
