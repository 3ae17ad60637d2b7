//! Listeners on real sockets of the loopback address, with peers made by hand.

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Config, Hooks};
use bus::{Limits, Protocol, Reason, Transport};
use mqtt::Mqtt;
use mqtt_sn::MqttSn;
use net::{ListenerConfig, Running, Stop, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c";
const CONNACK: &[u8] = b"\x20\x02\0\0";
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    broker: Broker,
    running: Running,
    stop: Stop,
    address: std::net::SocketAddr,
}

impl Server {
    fn mqtt(config: ListenerConfig, limits: Limits) -> Self {
        let protocol = Arc::new(Mqtt::new(mqtt::Config::default(), limits.clone()));
        Self::start(protocol, Transport::Stream, config, limits)
    }

    fn mqtt_sn(config: ListenerConfig) -> Self {
        let limits = Limits { handshake: Duration::from_millis(200), ..Limits::default() };
        let protocol = Arc::new(MqttSn::new(mqtt_sn::Config::default(), limits.clone()));
        Self::start(protocol, Transport::Datagram, config, limits)
    }

    fn start(
        protocol: Arc<dyn Protocol>,
        transport: Transport,
        config: ListenerConfig,
        limits: Limits,
    ) -> Self {
        let broker = Broker::new(Config::default(), Hooks::open(), Vec::new());
        let stop = Stop::new();
        let bound = bind(([127, 0, 0, 1], 0).into(), transport).unwrap();
        let address = bound.address;
        let running = bound.serve("test".into(), protocol, broker.clone(), config, limits, &stop);
        Self { broker, running, stop, address }
    }

    async fn open(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connected(&self, id: u8) -> TcpStream {
        let mut peer = self.open().await;
        let mut connect = CONNECT.to_vec();
        *connect.last_mut().unwrap() = id;
        peer.write_all(&connect).await.unwrap();
        assert_eq!(read(&mut peer, 4).await, CONNACK);
        peer
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited for {what}"));
    }

    fn closed(&self, reason: Reason) -> bool {
        self.broker.stats().closed.iter().any(|(_, why, _)| *why == reason)
    }
}

async fn read(peer: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, peer.read_exact(&mut bytes)).await.expect("an answer in time").unwrap();
    bytes
}

async fn read_to_end(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, peer.read_to_end(&mut bytes)).await.expect("an end in time");
    bytes
}

#[tokio::test]
async fn a_packet_may_come_byte_by_byte_and_many_in_one_piece() {
    let server = Server::mqtt(ListenerConfig::default(), Limits::default());
    let mut peer = server.open().await;
    for byte in CONNECT {
        peer.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&mut peer, 4).await, CONNACK);
    let pings = 100_000;
    let (mut reader, mut writer) = peer.into_split();
    let write = tokio::spawn(async move {
        writer.write_all(&b"\xc0\0".repeat(pings)).await.unwrap();
        writer
    });
    let mut answers = vec![0; 2 * pings];
    timeout(PATIENCE, reader.read_exact(&mut answers)).await.expect("answers in time").unwrap();
    assert_eq!(answers, b"\xd0\0".repeat(pings));
    write.await.unwrap();
}

#[tokio::test]
async fn everything_behind_a_connect_in_the_same_piece_is_answered() {
    let server = Server::mqtt(ListenerConfig::default(), Limits::default());
    let mut peer = server.open().await;
    peer.write_all(&[CONNECT, b"\xc0\0\x32\x06\0\x01t\0\x07x\xe0\0"].concat()).await.unwrap();
    assert_eq!(read_to_end(&mut peer).await, [CONNACK, b"\xd0\0\x40\x02\0\x07"].concat());
    server.until("the good-bye", |server| server.closed(Reason::Disconnected)).await;
}

#[tokio::test]
async fn a_large_message_comes_through_whole() {
    let server = Server::mqtt(ListenerConfig::default(), Limits::default());
    let mut peer = server.connected(b'a').await;
    peer.write_all(b"\x82\x06\0\x01\0\x01t\0").await.unwrap();
    assert_eq!(read(&mut peer, 5).await, b"\x90\x03\0\x01\0");
    let payload: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
    let length = payload.len() + 3;
    let header = [0x30, (length & 127) as u8 | 128, (length >> 7 & 127) as u8 | 128, (length >> 14) as u8];
    let packet = [&header[..], b"\0\x01t", &payload].concat();
    let (mut reader, mut writer) = peer.into_split();
    let sent = packet.clone();
    tokio::spawn(async move { writer.write_all(&sent).await.map(|()| writer) });
    let mut received = vec![0; packet.len()];
    timeout(PATIENCE, reader.read_exact(&mut received)).await.expect("in time").unwrap();
    assert!(received == packet, "the packet came back changed");
}

#[tokio::test]
async fn a_reader_that_does_not_read_costs_no_more_than_its_queue_and_can_be_taken_over() {
    let server = Server::mqtt(ListenerConfig::default(), Limits::default());
    let mut lazy = server.connected(b'l').await;
    lazy.write_all(b"\x82\x06\0\x01\0\x01t\0").await.unwrap();
    read(&mut lazy, 5).await;
    let mut writer = server.connected(b'w').await;
    let message = [b"\x30\x83\x20\0\x01t".as_slice(), &[7; 4_096]].concat();
    // Beyond the sockets' buffers and the queue of 10,000.
    for _ in 0..20_000 {
        writer.write_all(&message).await.unwrap();
    }
    let full =
        |server: &Server| server.broker.stats().dropped.iter().any(|(why, _)| *why == Reason::QueueFull);
    server.until("the queue to be full", full).await;
    let _second = server.connected(b'l').await;
    server.until("the take-over", |server| server.closed(Reason::TakenOver)).await;
    server.until("its place", |server| server.running.open() == 2).await;
}

#[tokio::test]
async fn there_are_no_more_connections_than_the_listener_allows() {
    let config = ListenerConfig { max_connections: 1, ..ListenerConfig::default() };
    let server = Server::mqtt(config, Limits::default());
    let first = server.connected(b'a').await;
    let mut second = server.open().await;
    assert_eq!(read_to_end(&mut second).await, b"");
    drop(first);
    server.until("the place", |server| server.running.open() == 0).await;
    server.connected(b'c').await;
    let refused = server.broker.stats().refused;
    assert_eq!(refused, [("mqtt", Reason::TooManyConnections, 1)]);
}

#[tokio::test]
async fn there_are_no_more_connections_in_a_second_than_the_listener_allows() {
    let config = ListenerConfig { connect_rate: 3, ..ListenerConfig::default() };
    let server = Server::mqtt(config, Limits::default());
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(server.open().await);
    }
    let refused = |server: &Server| server.broker.stats().refused.iter().any(|(.., count)| *count >= 10);
    server.until("refusals", refused).await;
}

#[tokio::test]
async fn a_silent_peer_is_not_waited_for() {
    let limits = Limits { handshake: Duration::from_millis(100), ..Limits::default() };
    let server = Server::mqtt(ListenerConfig::default(), limits);
    let mut peer = server.open().await;
    assert_eq!(read_to_end(&mut peer).await, b"");
    server.until("its end", |server| server.closed(Reason::HandshakeTimeout)).await;
}

#[tokio::test]
async fn malformed_bytes_end_their_own_connection_only() {
    let server = Server::mqtt(ListenerConfig::default(), Limits::default());
    let mut good = server.connected(b'g').await;
    let mut bad = server.connected(b'b').await;
    bad.write_all(b"\xf0\x01\0").await.unwrap();
    read_to_end(&mut bad).await;
    server.until("its end", |server| server.closed(Reason::Malformed)).await;
    good.write_all(b"\xc0\0").await.unwrap();
    assert_eq!(read(&mut good, 2).await, b"\xd0\0");
}

#[tokio::test]
async fn a_drained_listener_tells_its_peers_and_ends() {
    let server = Server::mqtt(ListenerConfig::default(), Limits::default());
    let mut peer = server.open().await;
    peer.write_all(b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01c").await.unwrap();
    let length = usize::from(read(&mut peer, 2).await[1]);
    read(&mut peer, length).await;
    server.stop.stop();
    server.broker.drain();
    let words = read_to_end(&mut peer).await;
    assert_eq!((words[0], words[2]), (0xe0, 0x8b), "DISCONNECT: server shutting down");
    drop(peer);
    server.until("the end", |server| server.running.open() == 0).await;
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody is taken in any more");
}

async fn datagram_peer(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address).await.unwrap();
    socket
}

async fn exchange(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).await.unwrap();
    let mut bytes = vec![0; 1_500];
    let length = timeout(PATIENCE, socket.recv(&mut bytes)).await.expect("an answer in time").unwrap();
    bytes.truncate(length);
    bytes
}

const SN_CONNECT: &[u8] = b"\x07\x04\x04\x01\0\x3cc";
const SN_CONNACK: &[u8] = b"\x03\x05\0";
const SN_SLEEP: &[u8] = b"\x04\x18\0\x3c";
const SN_WAKE: &[u8] = b"\x03\x16c";

#[tokio::test]
async fn a_named_peer_moves_to_a_new_address_only_if_the_listener_rebinds() {
    for (rebind, answer) in [(true, b"\x02\x17".as_slice()), (false, b"\x02\x18")] {
        let server = Server::mqtt_sn(ListenerConfig { rebind, ..ListenerConfig::default() });
        let before = datagram_peer(&server).await;
        assert_eq!(exchange(&before, SN_CONNECT).await, SN_CONNACK);
        assert_eq!(exchange(&before, SN_SLEEP).await, b"\x02\x18");
        let after = datagram_peer(&server).await;
        assert_eq!(exchange(&after, SN_WAKE).await, answer, "rebind {rebind}");
    }
}

/// Whatever came from the forwarder's address went to the node last heard from: a client there got no answer, and
/// bytes that are no message ended the node's connection.
#[tokio::test]
async fn a_forwarder_may_be_a_client_itself_and_does_no_node_harm() {
    let server = Server::mqtt_sn(ListenerConfig::default());
    let forwarder = datagram_peer(&server).await;
    let wrap = |message: &[u8]| [&[4, 0xfe, 0, 1][..], message].concat();
    assert_eq!(exchange(&forwarder, SN_CONNECT).await, SN_CONNACK);
    let node = wrap(b"\x07\x04\x04\x01\x00\x3cn");
    assert_eq!(exchange(&forwarder, &node).await, wrap(SN_CONNACK));
    assert_eq!(exchange(&forwarder, b"\x02\x16").await, b"\x02\x17", "its own PINGRESP");
    assert_eq!(exchange(&forwarder, b"\x02\x17\x00").await, b"\x02\x18", "its own bad message");
    assert_eq!(exchange(&forwarder, &wrap(b"\x02\x16")).await, wrap(b"\x02\x17"));
}

#[tokio::test]
async fn nodes_behind_one_forwarder_are_different_peers_and_so_are_equal_nodes_behind_two() {
    let server = Server::mqtt_sn(ListenerConfig::default());
    let (first, second) = (datagram_peer(&server).await, datagram_peer(&server).await);
    let from = |node: u8, id: u8| {
        let mut connect = SN_CONNECT.to_vec();
        *connect.last_mut().unwrap() = id;
        [&[4, 0xfe, 0, node][..], &connect].concat()
    };
    for (socket, node, id) in [(&first, 1, b'a'), (&first, 2, b'b'), (&second, 1, b'c')] {
        let answer = exchange(socket, &from(node, id)).await;
        assert_eq!(answer, [&[4, 0xfe, 0, node][..], SN_CONNACK].concat());
    }
    assert_eq!(server.broker.stats().connections, 3);
    let ping = |node: u8| [&[4, 0xfe, 0, node][..], b"\x02\x16"].concat();
    for (socket, node) in [(&first, 1), (&second, 1), (&first, 2)] {
        assert_eq!(exchange(socket, &ping(node)).await, [&[4, 0xfe, 0, node][..], b"\x02\x17"].concat());
    }
}

#[tokio::test]
async fn another_client_at_a_known_address_takes_the_place_of_the_first() {
    let server = Server::mqtt_sn(ListenerConfig::default());
    let socket = datagram_peer(&server).await;
    assert_eq!(exchange(&socket, SN_CONNECT).await, SN_CONNACK);
    assert_eq!(exchange(&socket, b"\x07\x04\x04\x01\0\x3cd").await, SN_CONNACK);
    assert_eq!(server.broker.stats().connections, 1);
}

#[tokio::test]
async fn a_datagram_peer_that_opens_no_session_is_forgotten() {
    let server = Server::mqtt_sn(ListenerConfig::default());
    let socket = datagram_peer(&server).await;
    socket.send(b"\x07\x04\x0c\x01\0\x3cc").await.unwrap();
    server.until("the peer", |server| server.running.open() == 1).await;
    server.until("its end", |server| server.running.open() == 0).await;
}

#[tokio::test]
async fn who_publishes_more_than_it_may_is_slowed_down_and_loses_nothing() {
    let rates = net::Rates { client_messages: 200, ..net::Rates::default() };
    let server = Server::mqtt(ListenerConfig { rates, ..ListenerConfig::default() }, Limits::default());
    let (mut quick, mut quiet) = (server.connected(b'a').await, server.connected(b'b').await);
    let began = std::time::Instant::now();
    let publish = |id: u16| [b"\x32\x06\0\x01t", &id.to_be_bytes()[..], b"x"].concat();
    let publishes: Vec<u8> = (1..=300).flat_map(publish).collect();
    quick.write_all(&publishes).await.unwrap();
    quiet.write_all(b"\xc0\0").await.unwrap();
    assert_eq!(read(&mut quiet, 2).await, b"\xd0\0");
    let acks = |id: u16| [b"\x40\x02", &id.to_be_bytes()[..]].concat();
    let expected: Vec<u8> = (1..=300).flat_map(acks).collect();
    assert!(read(&mut quick, expected.len()).await == expected, "each acknowledged in order");
    // 200 at once, and 100 more in half a second, less what is taken in one turn.
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert!(server.broker.stats().paused > 0);
}
