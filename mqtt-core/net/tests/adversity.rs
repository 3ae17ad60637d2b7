//! Peers and hooks that make trouble, on real sockets.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Broker, Client, Config, Hooks,
    Identity, Permission,
};
use bus::{
    Connection, Event, Limits, Outbox, Peer, Protocol, ProtocolError, Publish, Qos, Reason, Request, Ticket,
    Topic, Transport,
};
use mqtt::Mqtt;
use mqtt_sn::MqttSn;
use net::{ListenerConfig, Running, Stop, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c";
const CONNACK: &[u8] = b"\x20\x02\0\0";
const PATIENCE: Duration = Duration::from_secs(10);

struct Server {
    broker: Broker,
    address: SocketAddr,
    _running: Running,
    _stop: Stop,
}

impl Server {
    fn start(protocol: impl Protocol, transport: Transport, hooks: Hooks, limits: Limits) -> Self {
        let broker = Broker::new(Config::default(), hooks, Vec::new());
        let stop = Stop::new();
        let bound = bind(([127, 0, 0, 1], 0).into(), transport).unwrap();
        let address = bound.address;
        let config = ListenerConfig::default();
        let running = bound.serve("test".into(), Arc::new(protocol), broker.clone(), config, limits, &stop);
        Self { broker, address, _running: running, _stop: stop }
    }

    async fn datagrams(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket
    }

    async fn until_closed(&self, reason: Reason) {
        let wait = async {
            while !self.broker.stats().closed.iter().any(|(_, why, _)| *why == reason) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the end of a connection in time");
    }
}

async fn read(peer: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, peer.read_exact(&mut bytes)).await.expect("an answer in time").unwrap();
    bytes
}

async fn exchange(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).await.unwrap();
    let mut buffer = [0; 1_000];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("an answer in time").unwrap();
    buffer[..length].to_vec()
}

/// Allows everything, on second thoughts.
struct SecondThoughts;

impl Authorizer for SecondThoughts {
    fn authorize(&self, _: &Client, _: Access<'_>) -> Answer<Permission> {
        let mut thought = false;
        Answer::later(poll_fn(move |cx| {
            if std::mem::replace(&mut thought, true) {
                return Poll::Ready(Permission::Allow);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

/// What went wrong: input that had waited for a hook was taken after the last write of a turn, and what was
/// answered to it was thrown away when the turn had had its last round.
#[tokio::test]
async fn no_answer_is_lost_when_every_publish_waits_for_a_hook() {
    let limits = Limits::default();
    let hooks = Hooks { authorizer: Arc::new(SecondThoughts), ..Hooks::open() };
    let protocol = Mqtt::new(mqtt::Config::default(), limits.clone());
    let server = Server::start(protocol, Transport::Stream, hooks, limits);
    let mut peer = TcpStream::connect(server.address).await.unwrap();
    peer.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut peer, 4).await, CONNACK);
    let ids = 1..=2_000_u16;
    let packets = ids.clone().map(|id| [b"\x32\x06\0\x01t", &id.to_be_bytes()[..], b"x\xc0\0"].concat());
    peer.write_all(&packets.collect::<Vec<_>>().concat()).await.unwrap();
    let (mut acknowledged, mut answered) = (Vec::new(), 0);
    while acknowledged.len() < ids.len() || answered < ids.len() {
        match *read(&mut peer, 2).await {
            [0x40, 2] => acknowledged.push(u16::from_be_bytes(read(&mut peer, 2).await.try_into().unwrap())),
            [0xd0, 0] => answered += 1,
            ref other => panic!("{other:?}"),
        }
    }
    assert!(acknowledged.into_iter().eq(ids));
}

/// Lets everybody in once; who asks again waits for ever.
#[derive(Default)]
struct Once(parking_lot::Mutex<std::collections::HashSet<bus::ClientId>>);

impl Authenticator for Once {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        match self.0.lock().insert(attempt.client_id.clone().expect("these clients have names")) {
            true => Answer::Now(Authentication::Accept(Identity::default())),
            false => Answer::later(std::future::pending()),
        }
    }
}

/// What went wrong: a peer that connected anew long after its first datagram had a deadline in the past for as
/// long as the authenticator took, and nobody else at the socket was served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_peer_that_waits_for_its_second_authentication_holds_nobody_up() {
    const PINGREQ: &[u8] = b"\x02\x16";
    let limits = Limits { handshake: Duration::from_millis(50), ..Limits::default() };
    let hooks = Hooks { authenticator: Arc::new(Once::default()), ..Hooks::open() };
    let protocol = MqttSn::new(mqtt_sn::Config::default(), limits.clone());
    let server = Server::start(protocol, Transport::Datagram, hooks, limits.clone());
    let first = server.datagrams().await;
    assert_eq!(exchange(&first, b"\x07\x04\x04\x01\0\x3ca").await, b"\x03\x05\0");
    let began = Instant::now();
    while began.elapsed() < 2 * limits.handshake {
        assert_eq!(exchange(&first, PINGREQ).await, b"\x02\x17");
    }
    first.send(b"\x07\x04\x04\x01\0\x3ca").await.unwrap();
    let second = server.datagrams().await;
    assert_eq!(exchange(&second, b"\x07\x04\x04\x01\0\x3cb").await, b"\x03\x05\0");
    server.until_closed(Reason::HandshakeTimeout).await;
    assert_eq!(exchange(&second, PINGREQ).await, b"\x02\x17");
}

/// Sends back what it gets; `!` makes it ask for something and panic.
struct Echo;

impl Protocol for Echo {
    fn label(&self) -> &'static str {
        "echo"
    }

    fn accept(&self, _: Peer) -> Box<dyn Connection> {
        Box::new(Echo)
    }
}

impl Connection for Echo {
    fn receive(&mut self, input: &[u8], _: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        out.send(input);
        if input == b"!" {
            let publish = Publish::new(Topic::parse("t").unwrap(), "x", Qos::AtMostOnce);
            out.request(Ticket(1), Request::Publish(publish));
            panic!("on purpose");
        }
        Ok(input.len())
    }

    fn handle(&mut self, event: Event, _: Instant, out: &mut Outbox) {
        out.send(format!("{event:?}").as_bytes());
    }

    fn room(&self) -> usize {
        0
    }
}

/// What went wrong: a panic in one connection ended every connection of a datagram socket.
#[tokio::test]
async fn a_panic_in_one_datagram_connection_ends_no_other() {
    let server = Server::start(Echo, Transport::Datagram, Hooks::open(), Limits::default());
    let (one, other) = (server.datagrams().await, server.datagrams().await);
    assert_eq!(exchange(&one, b"a").await, b"a");
    other.send(b"!").await.unwrap();
    server.until_closed(Reason::Internal).await;
    assert_eq!(exchange(&one, b"b").await, b"b");
    assert_eq!(exchange(&other, b"c").await, b"c");
}

/// What went wrong: what a connection had asked for before it panicked was done in the name of the next one on
/// its thread.
#[tokio::test]
async fn what_a_connection_asked_for_before_it_panicked_is_not_done_for_another() {
    let server = Server::start(Echo, Transport::Stream, Hooks::open(), Limits::default());
    let mut one = TcpStream::connect(server.address).await.unwrap();
    let mut other = TcpStream::connect(server.address).await.unwrap();
    other.write_all(b"!").await.unwrap();
    assert_eq!(other.read(&mut [0; 9]).await.unwrap_or(0), 0);
    for text in [b"a", b"b"] {
        one.write_all(text).await.unwrap();
        let mut answer = [0; 100];
        let length = timeout(PATIENCE, one.read(&mut answer)).await.expect("an answer in time").unwrap();
        assert_eq!(&answer[..length], text);
    }
}
