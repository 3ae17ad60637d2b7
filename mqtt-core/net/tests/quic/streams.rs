use std::sync::Arc;
use std::time::Duration;

use broker::{Answer, Attempt, Authentication, Authenticator, Hooks, Identity};
use bus::{Limits, Reason};
use net::{ListenerConfig, QuicConfig};
use quinn::{ConnectionError, TransportConfig, TransportErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::peers::{CONNACK, PATIENCE, Server, Setup, Stream, connect, connect_5};

#[tokio::test]
async fn one_stream_carries_a_whole_session() {
    let server = Server::start();
    let (_connection, mut control) = server.session(b'c').await;
    control.subscribe(b'a', 1).await;
    control.send(b"\x32\x06\0\x01a\0\x05x").await;
    let read = control.read(12).await;
    let (ack, delivery) = (&b"\x40\x02\0\x05"[..], &b"\x32\x06\0\x01a\0\x01x"[..]);
    assert!([ack, delivery].concat() == read || [delivery, ack].concat() == read, "{read:02X?}");
    control.send(b"\x40\x02\0\x01\xC0\0").await;
    control.expect(b"\xD0\0").await;
    control.send(b"\xE0\0").await;
    server.closed(Reason::Disconnected).await;
    server.until("no connection", |server| server.running.open() == 0).await;
}

#[tokio::test]
async fn a_stream_gets_the_answers_to_what_it_asked_and_the_messages_it_subscribed() {
    let server = Server::start();
    let (connection, mut control) = server.session(b'c').await;
    let mut data = [Stream::open(&connection).await, Stream::open(&connection).await];
    data[0].subscribe(b'a', 1).await;
    data[1].subscribe(b'b', 1).await;
    control.send(b"\x32\x06\0\x01a\0\x05x").await;
    control.expect(b"\x40\x02\0\x05").await;
    data[0].expect(b"\x32\x06\0\x01a\0\x01x").await;
    data[0].send(b"\x32\x06\0\x01b\0\x05y").await;
    data[0].expect(b"\x40\x02\0\x05").await;
    data[1].expect(b"\x32\x06\0\x01b\0\x02y").await;
    data[1].send(b"\xC0\0").await;
    control.expect(b"\xD0\0").await;
}

#[tokio::test]
async fn what_comes_before_connect_on_a_data_stream_waits_for_it() {
    let server = Server::start();
    let connection = server.dial().await;
    let (mut control, mut data) = (Stream::open(&connection).await, Stream::open(&connection).await);
    data.send(b"\x82\x06\0\x01\0\x01a\x01\x32\x06\0\x01a\0\x05x").await;
    control.send(&connect(b'c')).await;
    control.expect(CONNACK).await;
    data.expect(b"\x90\x03\0\x01\x01").await;
    let read = data.read(12).await;
    assert!(read.windows(4).any(|ack| ack == b"\x40\x02\0\x05"), "{read:02X?}");
}

#[tokio::test]
async fn a_lost_data_stream_loses_neither_subscription_nor_message() {
    let server = Server::start();
    let (connection, mut control) = server.session(b'c').await;
    let mut data = Stream::open(&connection).await;
    data.subscribe(b'a', 2).await;
    let (_other, mut publisher) = server.session(b'p').await;
    publisher.send(b"\x32\x06\0\x01a\0\x05x\x34\x06\0\x01a\0\x06y").await;
    data.expect(b"\x32\x06\0\x01a\0\x01x\x34\x06\0\x01a\0\x02y").await;
    data.send(b"\x50\x02\0\x02").await;
    data.expect(b"\x62\x02\0\x02").await;

    data.abandon();
    control.expect(b"\x3A\x06\0\x01a\0\x01x\x62\x02\0\x02").await;
    control.send(b"\x40\x02\0\x01\x70\x02\0\x02").await;
    publisher.send(b"\x30\x04\0\x01az").await;
    control.expect(b"\x30\x04\0\x01az").await;
}

#[tokio::test]
async fn a_data_stream_that_ends_in_order_is_answered_to_the_last() {
    let server = Server::start();
    let (connection, mut control) = server.session(b'c').await;
    let mut data = Stream::open(&connection).await;
    data.send(b"\x32\x06\0\x01a\0\x05x").await;
    data.send.finish().unwrap();
    data.expect(b"\x40\x02\0\x05").await;
    assert!(data.ends().await);
    control.send(b"\xC0\0").await;
    control.expect(b"\xD0\0").await;
}

#[tokio::test]
async fn the_end_of_the_control_stream_is_the_end_of_the_connection() {
    let server = Server::start();
    let (connection, mut control) = server.session(b'c').await;
    let mut data = Stream::open(&connection).await;
    data.subscribe(b'a', 1).await;
    control.send.finish().unwrap();
    timeout(PATIENCE, connection.closed()).await.unwrap();
    server.closed(Reason::PeerClosed).await;
}

#[tokio::test]
async fn a_malformed_packet_on_a_data_stream_ends_the_connection_with_a_word_on_the_control_stream() {
    let server = Server::start();
    let connection = server.dial().await;
    let mut control = Stream::open(&connection).await;
    control.send(&connect_5(b'c')).await;
    let length = control.read(2).await[1];
    control.read(length.into()).await;
    let mut data = Stream::open(&connection).await;
    data.send(b"\x36\x06\0\x01a\0\x05x").await;
    let head = control.read(3).await;
    assert_eq!((head[0], head[2]), (0xE0, 0x81), "DISCONNECT, malformed packet");
    timeout(PATIENCE, connection.closed()).await.unwrap();
    server.closed(Reason::Malformed).await;
}

#[tokio::test]
async fn a_session_is_taken_over_from_quic_to_tcp_and_back() {
    let server = Server::start();
    let (first, _control) = server.session(b'c').await;
    let mut tcp = TcpStream::connect(server.tcp).await.unwrap();
    tcp.write_all(&connect(b'c')).await.unwrap();
    let mut answer = [0; 4];
    timeout(PATIENCE, tcp.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, CONNACK);
    timeout(PATIENCE, first.closed()).await.unwrap();
    server.closed(Reason::TakenOver).await;

    let _second = server.session(b'c').await;
    let mut rest = Vec::new();
    timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, [], "MQTT 3.1.1 has no word for it");
}

#[tokio::test]
async fn a_client_may_move_to_another_address() {
    let server = Server::start();
    let endpoint = server.endpoint();
    let connection = endpoint.connect(server.address, "localhost").unwrap().await.unwrap();
    let mut control = Stream::open(&connection).await;
    control.send(&connect(b'c')).await;
    control.expect(CONNACK).await;
    endpoint.rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    for _ in 0..3 {
        control.send(b"\xC0\0").await;
        control.expect(b"\xD0\0").await;
    }
    assert_eq!(server.running.open(), 1);
}

#[tokio::test]
async fn a_connection_has_only_so_many_streams_at_once() {
    let quic = QuicConfig { streams: 2, ..QuicConfig::default() };
    let server = Server::with(Setup { quic, ..Setup::default() });
    let (connection, _control) = server.session(b'c').await;
    let mut data = Stream::open(&connection).await;
    data.subscribe(b'a', 1).await;
    tokio::select! {
        biased;
        _ = connection.open_bi() => panic!("a third stream"),
        () = std::future::ready(()) => {}
    }
    data.abandon();
    Stream::open(&connection).await.subscribe(b'b', 1).await;
}

#[tokio::test]
async fn a_listener_refuses_connections_beyond_its_limit_and_clients_without_a_certificate() {
    let few = ListenerConfig { max_connections: 1, ..ListenerConfig::default() };
    let server = Server::with(Setup { listener: few, ..Setup::default() });
    let _first = server.session(b'a').await;
    let second = server.endpoint().connect(server.address, "localhost").unwrap().await;
    let refused = |error: &ConnectionError| match error {
        ConnectionError::ConnectionClosed(close) => {
            close.error_code == TransportErrorCode::CONNECTION_REFUSED
        }
        _ => false,
    };
    assert!(second.as_ref().is_err_and(refused), "{second:?}");

    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let local = tls::Certificates::load(&tls::Config::default(), folder.path()).unwrap();
    std::fs::write(&ca, local.local_ca().unwrap().0).unwrap();
    let strict = tls::Config {
        client_ca: ca,
        client_certificate: tls::ClientCertificate::Required,
        ..tls::Config::default()
    };
    let server = Server::with(Setup { tls: strict, ..Setup::default() });
    // The client learns of it only after its own handshake is complete.
    if let Ok(connection) = server.endpoint().connect(server.address, "localhost").unwrap().await {
        timeout(PATIENCE, connection.closed()).await.unwrap();
    }
    server.refused(Reason::CertificateRefused).await;
}

#[tokio::test]
async fn a_profile_without_tls_1_3_cannot_carry_quic() {
    let folder = tempfile::tempdir().unwrap();
    let old = vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()];
    let config = tls::Config { cipher_suites: old, ..tls::Config::default() };
    let certificates = Arc::new(tls::Certificates::load(&config, folder.path()).unwrap());
    let bound = net::bind(([127, 0, 0, 1], 0).into(), bus::Transport::Datagram).unwrap();
    let problem = bound.over_quic(&certificates, &QuicConfig::default()).err().unwrap().to_string();
    assert!(problem.contains("add TLS_AES_128_GCM_SHA256 to cipher_suites"), "{problem}");
}

#[tokio::test]
async fn a_server_that_stops_says_good_bye_on_the_control_stream() {
    let server = Server::start();
    let connection = server.dial().await;
    let mut control = Stream::open(&connection).await;
    control.send(&connect_5(b'c')).await;
    let length = control.read(2).await[1];
    control.read(length.into()).await;
    server.stop();
    let head = control.read(3).await;
    assert_eq!((head[0], head[2]), (0xE0, 0x8B), "DISCONNECT, server shutting down");
    server.until("no connection", |server| server.running.open() == 0).await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_no_other_and_loses_nothing() {
    const BYTES: usize = 20_000;
    let server = Server::start();
    let mut narrow = TransportConfig::default();
    narrow.stream_receive_window(1_000_u16.into());
    let endpoint = server.endpoint_with(narrow);
    let connection = endpoint.connect(server.address, "localhost").unwrap().await.unwrap();
    let (mut control, mut data) = (Stream::open(&connection).await, Stream::open(&connection).await);
    control.send(&connect(b'c')).await;
    control.expect(CONNACK).await;
    data.subscribe(b'a', 0).await;
    control.subscribe(b'b', 0).await;
    let (_other, mut publisher) = server.session(b'p').await;
    let length = BYTES + 3;
    let head = [0x30, (length & 0x7F) as u8 | 0x80, (length >> 7 & 0x7F) as u8 | 0x80, (length >> 14) as u8];
    let large = [&head[..], b"\0\x01a", &[b'x'; BYTES]].concat();
    for _ in 0..8 {
        publisher.send(&large).await;
    }
    publisher.send(b"\x30\x04\0\x01by").await;
    control.expect(b"\x30\x04\0\x01by").await;
    for _ in 0..8 {
        assert!(data.read(large.len()).await == large);
    }
}

/// Lets everybody in, once told.
struct Slow(Arc<Notify>);

impl Authenticator for Slow {
    fn authenticate(&self, _: &Attempt) -> Answer<Authentication> {
        let told = self.0.clone();
        Answer::later(async move {
            told.notified().await;
            Authentication::Accept(Identity::default())
        })
    }
}

#[tokio::test]
async fn what_a_client_said_before_it_closed_the_connection_is_heard() {
    let gate = Arc::<Notify>::default();
    let hooks = Hooks { authenticator: Arc::new(Slow(gate.clone())), ..Hooks::open() };
    let server = Server::with(Setup { hooks, ..Setup::default() });
    let endpoint = server.endpoint();
    let connection = endpoint.connect(server.address, "localhost").unwrap().await.unwrap();
    let mut control = Stream::open(&connection).await;
    control.send(&[&connect(b'c')[..], b"\x30\x04\0\x01ax\xE0\0"].concat()).await;
    control.send.finish().unwrap();
    timeout(PATIENCE, control.send.stopped()).await.unwrap().unwrap();
    connection.close(0_u8.into(), b"");
    // The server has noticed by then.
    timeout(PATIENCE, endpoint.wait_idle()).await.unwrap();
    gate.notify_one();
    server.closed(Reason::Disconnected).await;
    assert_eq!(server.broker.stats().received, [1, 0, 0]);
}

#[tokio::test]
async fn a_client_that_opens_no_stream_is_not_waited_for_long() {
    let limits = Limits { handshake: Duration::from_millis(300), ..Limits::default() };
    let server = Server::with(Setup { limits, ..Setup::default() });
    let connecting = server.endpoint().connect(server.address, "localhost").unwrap();
    let client = tokio::spawn(async move { connecting.await.unwrap().closed().await });
    // On a machine that is busy the time may pass before QUIC itself is ready.
    let waited_for = |server: &Server| {
        let stats = server.broker.stats();
        stats.closed.iter().chain(&stats.refused).any(|(_, why, _)| *why == Reason::HandshakeTimeout)
    };
    server.until("the handshake's time to pass", waited_for).await;
    server.until("no connection", |server| server.running.open() == 0).await;
    client.abort();
}

#[tokio::test]
async fn large_messages_cross_in_both_directions() {
    let server = Server::start();
    let (connection, mut control) = server.session(b'c').await;
    let mut data = Stream::open(&connection).await;
    data.subscribe(b'a', 1).await;
    let payload: Vec<u8> = (0..600_000_u32).map(|n| (n % 251) as u8).collect();
    let length = payload.len() + 5;
    let head = [0x32, (length & 0x7F) as u8 | 0x80, (length >> 7 & 0x7F) as u8 | 0x80, (length >> 14) as u8];
    let packet = |id: u8| [&head[..], b"\0\x01a\0", &[id], &payload].concat();
    control.send(&packet(9)).await;
    control.expect(b"\x40\x02\0\x09").await;
    assert!(data.read(payload.len() + 9).await == packet(1));
}
