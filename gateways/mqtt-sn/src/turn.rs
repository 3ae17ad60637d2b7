use std::time::Instant;

use bus::{Limits, Outbox, Peer, PeerName, Request, Ticket};

use crate::config::{Config, PredefinedTopics};
use crate::reach::Reach;
use crate::{Packet, ReturnCode};

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) limits: Limits,
    pub(crate) predefined: PredefinedTopics,
}

/// One call of a connection: what it may read, and where it writes.
pub(crate) struct Turn<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) peer: &'a Peer,
    pub(crate) node: &'a Node,
    pub(crate) tickets: &'a mut u64,
    pub(crate) reach: &'a mut Reach,
    pub(crate) now: Instant,
    pub(crate) out: &'a mut Outbox,
}

/// The wireless node behind a forwarder, if the peer is one [5.5].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node(pub(crate) Option<Box<[u8]>>);

impl Turn<'_> {
    /// Sends a packet, through the forwarder it came by.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let node = self.node;
        self.out.write(|buffer| {
            let start = buffer.len();
            node.encapsulate(buffer);
            if packet.encode(buffer).is_err() {
                buffer.truncate(start); // nothing that long is sent: see `fits`
            }
        });
    }

    /// Whether the packet fits the largest datagram.
    pub(crate) fn fits(&self, packet: &Packet<'_>) -> bool {
        let length = packet.encoded_length();
        length <= usize::from(u16::MAX) && length + self.node.header_length() <= self.shared.config.datagram
    }

    /// Asks the broker, and tells the ticket of the answer.
    pub(crate) fn request(&mut self, request: Request) -> Ticket {
        let ticket = Ticket(*self.tickets);
        *self.tickets += 1;
        self.out.request(ticket, request);
        ticket
    }

    /// Tells the device that it has no session here, or no longer.
    pub(crate) fn send_disconnect(&mut self) {
        self.send(&Packet::Disconnect { duration: None });
    }

    pub(crate) fn send_registration(&mut self, topic_id: u16, msg_id: u16, code: ReturnCode) {
        self.send(&Packet::RegAck { topic_id, msg_id, code });
    }

    pub(crate) fn send_gateway_info(&mut self) {
        let gateway = self.shared.config.gateway_id;
        self.send(&Packet::GwInfo { gateway, address: &[] });
    }
}

impl Node {
    pub(crate) fn name(&self) -> Option<PeerName> {
        self.0.as_deref().map(node_name)
    }

    fn encapsulate(&self, buffer: &mut Vec<u8>) {
        let Some(node) = &self.0 else { return };
        let _ = Packet::Encapsulated { ctrl: 0, node, message: &[] }.encode(buffer);
    }

    fn header_length(&self) -> usize {
        self.0.as_ref().map_or(0, |node| node.len() + 3)
    }
}

/// What the names of nodes begin with.
const NODE: &[u8] = b"node:";

/// The name of a node behind a forwarder; never that of a client.
pub(crate) fn node_name(node: &[u8]) -> PeerName {
    PeerName([NODE, node].concat().into())
}

/// Whether it is the name of a wireless node.
pub(crate) fn is_node_name(name: &PeerName) -> bool {
    name.0.starts_with(NODE)
}

/// The name of a client; never that of a node.
pub(crate) fn client_name(client_id: &str) -> PeerName {
    PeerName([b"client:", client_id.as_bytes()].concat().into())
}
