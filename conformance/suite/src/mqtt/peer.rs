use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wire::{DISCONNECT, PINGREQ, PINGRESP, puback, pubcomp, pubrec, pubrel, subscribe_with};
use super::{Connack, Connect, Delivery, Packet, Publish, Version};
use crate::subject;

/// How long a packet or the end of a connection is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(8);

/// One connection to the subject.
#[derive(Debug)]
pub struct Peer {
    version: Version,
    stream: TcpStream,
    sent: Vec<u8>,
    unread: Vec<u8>,
    held: VecDeque<Packet>,
    ids: u16,
}

/// A name no other test uses: letters and digits, at most 23 of them.
pub fn unique(name: &str) -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let count = NAMES.fetch_add(1, Ordering::Relaxed);
    format!("{name}p{}n{count}", std::process::id())
}

impl Peer {
    /// Opens a connection and sends nothing.
    pub fn open(version: Version) -> Self {
        Self::open_at(subject::mqtt(), version)
    }

    /// Opens a connection to any address.
    pub fn open_at(address: SocketAddr, version: Version) -> Self {
        let stream =
            TcpStream::connect(address).unwrap_or_else(|error| panic!("no subject at {address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
        stream.set_nodelay(true).expect("an open socket");
        Self { version, stream, sent: Vec::new(), unread: Vec::new(), held: VecDeque::new(), ids: 0 }
    }

    /// Opens a connection and sends `bytes`.
    pub fn sending(version: Version, bytes: &[u8]) -> Self {
        let mut peer = Self::open(version);
        peer.send(bytes);
        peer
    }

    /// A connection that was accepted, and the CONNACK.
    pub fn accepted(connect: Connect) -> (Self, Connack) {
        let mut peer = Self::sending(connect.version, &connect.bytes());
        let connack = peer.next().connack();
        assert_eq!(connack.code, 0, "the connection was refused");
        (peer, connack)
    }

    /// A connection to the server that offers little, and the answer to its CONNECT.
    pub fn modest(connect: Connect) -> (Self, Packet) {
        let mut peer = Self::open_at(subject::modest(), connect.version);
        let connack = peer.ask(&connect.bytes());
        (peer, connack)
    }

    /// An accepted connection with a client id and a session of its own.
    pub fn new(version: Version) -> Self {
        Self::accepted(Connect::new(version, &unique("c"))).0
    }

    /// Sends bytes; whether the server still takes them shows in what comes back.
    pub fn send(&mut self, bytes: &[u8]) {
        self.sent = bytes.to_vec();
        let _ = self.stream.write_all(bytes);
    }

    /// The next packet.
    #[expect(
        clippy::should_implement_trait,
        reason = "a connection is no iterator: its end is a failure here"
    )]
    pub fn next(&mut self) -> Packet {
        self.read().unwrap_or_else(|end| panic!("a packet was awaited after {:02X?}, but {end}", self.sent))
    }

    /// Sends bytes and takes the packet that comes back, unless the server closes the connection.
    pub fn answer(&mut self, bytes: &[u8]) -> Option<Packet> {
        self.send(bytes);
        match self.read() {
            Ok(packet) => Some(packet),
            Err(End::Closed) => None,
            Err(End::Silent) => {
                panic!("an answer or the end was awaited after {bytes:02X?}, but {}", End::Silent)
            }
        }
    }

    /// Sends bytes and takes the packet that comes back.
    pub fn ask(&mut self, bytes: &[u8]) -> Packet {
        self.send(bytes);
        self.next()
    }

    /// The next packet, which is a PUBLISH.
    pub fn delivery(&mut self) -> Delivery {
        self.next().delivery()
    }

    /// The next packet, which is a PUBLISH, acknowledged in full.
    pub fn receive(&mut self) -> Delivery {
        let delivery = self.delivery();
        match delivery.qos {
            0 => {}
            1 => self.send(&puback(delivery.id)),
            _ => {
                self.answered(&pubrec(delivery.id), 6, delivery.id);
                self.send(&pubcomp(delivery.id));
            }
        }
        delivery
    }

    /// Waits until the server closes the connection; the packets that came before.
    pub fn end(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        loop {
            match self.read() {
                Ok(packet) => packets.push(packet),
                Err(End::Closed) => return packets,
                Err(End::Silent) => {
                    panic!("the connection was to end, but {}; before came {packets:?}", End::Silent)
                }
            }
        }
    }

    /// Waits until the server closes the connection; the bytes that came before, whole packets or not.
    pub fn rest(mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.unread,
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if is_timeout(&error) => {
                    panic!("the connection was to end after {:02X?}, but {}", self.sent, End::Silent)
                }
                Err(_) => return self.unread,
            }
        }
    }

    /// Sends bytes that have to end the connection, with a PINGREQ behind them that may not be answered. The packets
    /// that came before the end, or before the PINGRESP that shows there is none.
    pub fn end_after(&mut self, bytes: &[u8]) -> Result<Vec<Packet>, Vec<Packet>> {
        self.send(&[bytes, &PINGREQ].concat());
        let mut packets = Vec::new();
        loop {
            match self.read() {
                Ok(packet) if packet.bytes() == PINGRESP => return Err(packets),
                Ok(packet) => packets.push(packet),
                Err(End::Closed) => return Ok(packets),
                Err(End::Silent) => return Err(packets),
            }
        }
    }

    /// Shows that nothing is on the way to this client: the answer to a PINGREQ is what comes next.
    pub fn idle(&mut self) {
        let answer = self.ask(&PINGREQ);
        assert_eq!(answer.bytes(), PINGRESP, "nothing was awaited, but {answer:?} came");
    }

    /// Shows that nothing `publisher` sent is on the way to this client: a message sent later comes next.
    pub fn nothing_from(&mut self, publisher: &mut Peer) {
        let marker = unique("marker");
        self.subscribe(&marker, 0);
        publisher.publish(Publish::new(publisher.version, &marker, "marker"));
        let next = self.next();
        assert!(
            next.kind() == 3 && next.delivery().topic == marker,
            "nothing was awaited, but {next:?} came"
        );
    }

    /// Subscribes and checks that the QoS asked for was granted.
    pub fn subscribe(&mut self, filter: &str, options: u8) {
        self.subscribe_with(&[], filter, options);
    }

    /// Subscribes with properties.
    pub fn subscribe_with(&mut self, properties: &[u8], filter: &str, options: u8) {
        let id = self.packet_id();
        let answer =
            self.past_deliveries(&subscribe_with(self.version, id, properties, &[(filter, options)]));
        let (answered, _, codes) = answer.codes();
        assert_eq!((answered, codes), (id, vec![options & 3]), "subscribing to {filter}");
    }

    /// Publishes and goes through the whole exchange its QoS asks for.
    pub fn publish(&mut self, publish: Publish) {
        let (qos, id) = (publish.qos, publish.id);
        match qos {
            0 => self.send(&publish.bytes()),
            1 => self.answered(&publish.bytes(), 4, id),
            _ => {
                self.answered(&publish.bytes(), 5, id);
                self.answered(&pubrel(id), 7, id);
            }
        }
    }

    /// Says good-bye and waits until the server has closed.
    pub fn leave(mut self) {
        self.send(&DISCONNECT);
        let rest = self.end();
        assert!(rest.is_empty(), "after DISCONNECT came {rest:?}");
    }

    /// Breaks the connection off without a good-bye.
    pub fn vanish(self) {
        drop(self.stream);
    }

    /// A packet id not used before on this connection.
    pub fn packet_id(&mut self) -> u16 {
        self.ids += 1;
        0x0100 + self.ids
    }

    fn answered(&mut self, bytes: &[u8], kind: u8, id: u16) {
        let answer = self.past_deliveries(bytes);
        assert_eq!((answer.kind(), answer.id()), (kind, id), "{bytes:02X?} was answered with {answer:?}");
        assert!(answer.code() < 0x80, "{bytes:02X?} was refused with {answer:?}");
    }

    /// Sends bytes and takes their answer; deliveries that come before it are held back.
    fn past_deliveries(&mut self, bytes: &[u8]) -> Packet {
        let mut deliveries = VecDeque::new();
        let mut answer = self.ask(bytes);
        while answer.kind() == 3 {
            deliveries.push_back(answer);
            answer = self.next();
        }
        self.held.append(&mut deliveries);
        answer
    }

    fn read(&mut self) -> Result<Packet, End> {
        if let Some(packet) = self.held.pop_front() {
            return Ok(packet);
        }
        loop {
            if let Some((body, end)) = frame(&self.unread) {
                let bytes = self.unread.drain(..end).collect();
                return Ok(Packet::new(self.version, bytes, body));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) if self.unread.is_empty() => return Err(End::Closed),
                Ok(0) => panic!("the connection ended within a packet: {:02X?}", self.unread),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if is_timeout(&error) => return Err(End::Silent),
                Err(_) => return Err(End::Closed),
            }
        }
    }
}

/// Why no packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Silent,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => write!(f, "the server closed the connection"),
            Self::Silent => write!(f, "nothing came within {PATIENCE:?}"),
        }
    }
}

/// Where the body of the packet at the front begins and ends, once all of it is there.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (index, byte) in bytes.iter().enumerate().skip(1) {
        assert!(index <= 4, "the length takes more than four bytes: {bytes:02X?}");
        length |= usize::from(byte & 0x7F) << (7 * (index - 1));
        if byte & 0x80 == 0 {
            assert!(index == 1 || *byte != 0, "the length takes more bytes than needed: {bytes:02X?}");
            let body = index + 1;
            return (bytes.len() >= body + length).then_some((body, body + length));
        }
    }
    None
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
