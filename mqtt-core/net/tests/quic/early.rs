use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bus::{Limits, Reason};
use net::ListenerConfig;
use quinn::ConnectionError;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::peers::{CONNACK, PATIENCE, Server, Setup, Stream, connect};

/// Stands between a client and the server, and keeps the server's answers while it shall.
struct Between {
    address: SocketAddr,
    open: watch::Sender<bool>,
    answered: Arc<Notify>,
    /// The first byte of the server's first datagram.
    first: Arc<OnceLock<u8>>,
}

impl Between {
    async fn start(server: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let between = Self {
            address: front.local_addr().unwrap(),
            open: watch::Sender::new(true),
            answered: Arc::default(),
            first: Arc::default(),
        };
        let (mut open, answered) = (between.open.subscribe(), between.answered.clone());
        let first = between.first.clone();
        tokio::spawn(async move {
            let (mut up, mut down) = ([0; 2048], [0; 2048]);
            let (mut client, mut kept) = (None, Vec::new());
            loop {
                tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut up) => {
                        client = Some(from);
                        let _ = back.send_to(&up[..length], server).await;
                    }
                    Ok((length, _)) = back.recv_from(&mut down) => {
                        first.get_or_init(|| down[0]);
                        kept.push(down[..length].to_vec());
                        answered.notify_one();
                    }
                    Ok(()) = open.changed() => {}
                }
                if let Some(client) = client.filter(|_| *open.borrow()) {
                    for datagram in kept.drain(..) {
                        let _ = front.send_to(&datagram, client).await;
                    }
                }
            }
        });
        between
    }
}

#[tokio::test]
async fn early_data_counts_only_once_the_client_has_completed_the_handshake() {
    let server = Server::start();
    let between = Between::start(server.address).await;
    let endpoint = server.endpoint();
    let first = endpoint.connect(between.address, "localhost").unwrap().await.unwrap();
    let mut control = Stream::open(&first).await;
    control.send(&connect(b'c')).await;
    control.expect(CONNACK).await;
    control.send(b"\xE0\0").await;
    timeout(PATIENCE, first.closed()).await.unwrap();
    server.until("the end of the first", |server| server.running.open() == 0).await;

    between.open.send_replace(false);
    let connecting = endpoint.connect(between.address, "localhost").unwrap();
    let (second, accepted) = connecting.into_0rtt().expect("a ticket of the first connection");
    let mut control = Stream::open(&second).await;
    control.send(&[&connect(b'c')[..], b"\x32\x06\0\x01a\0\x05x"].concat()).await;
    timeout(PATIENCE, between.answered.notified()).await.unwrap();
    let stats = server.broker.stats();
    assert_eq!((stats.connections, stats.received), (0, [0; 3]), "the server has answered, and done nothing");

    between.open.send_replace(true);
    assert!(timeout(PATIENCE, accepted).await.unwrap(), "early data was taken");
    control.expect(CONNACK).await;
    control.expect(b"\x40\x02\0\x05").await;
    assert_eq!(server.broker.stats().received, [0, 1, 0]);
}

#[tokio::test]
async fn under_pressure_a_client_must_first_show_that_it_is_where_it_says() {
    // [RFC9000 17.2.5] The first byte of a Retry packet, but for its last four bits.
    const RETRY: u8 = 0xF0;
    for (max_handshakes, retried) in [(1, true), (1_000, false)] {
        let listener = ListenerConfig { max_handshakes, ..ListenerConfig::default() };
        let server = Server::with(Setup { listener, ..Setup::default() });
        let between = Between::start(server.address).await;
        let connection = server.endpoint().connect(between.address, "localhost").unwrap().await.unwrap();
        let mut control = Stream::open(&connection).await;
        control.send(&connect(b'c')).await;
        control.expect(CONNACK).await;
        assert_eq!(between.first.get().unwrap() & 0xF0 == RETRY, retried);
    }
}

/// Begins a handshake that goes on only while the way is open; returns why the connection ended.
async fn stalled(server: &Server, between: &Between) -> JoinHandle<ConnectionError> {
    between.open.send_replace(false);
    let connecting = server.endpoint().connect(between.address, "localhost").unwrap();
    let client = tokio::spawn(async move {
        match connecting.await {
            Ok(connection) => connection.closed().await,
            Err(error) => error,
        }
    });
    timeout(PATIENCE, between.answered.notified()).await.unwrap();
    assert_eq!(server.running.open(), 1);
    client
}

#[tokio::test]
async fn a_handshake_that_stalls_is_ended_and_the_client_is_told() {
    let limits = Limits { handshake: Duration::from_secs(1), ..Limits::default() };
    let server = Server::with(Setup { limits, ..Setup::default() });
    let between = Between::start(server.address).await;
    let client = stalled(&server, &between).await;
    server.refused(Reason::HandshakeTimeout).await;
    server.until("its place to be free", |server| server.running.open() == 0).await;
    between.open.send_replace(true);
    let told = timeout(PATIENCE, client).await.expect("the client to be told").unwrap();
    assert!(matches!(told, ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_)));
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_a_handshake() {
    let limits = Limits { handshake: Duration::from_secs(3_600), ..Limits::default() };
    let server = Server::with(Setup { limits, ..Setup::default() });
    let between = Between::start(server.address).await;
    let client = stalled(&server, &between).await;
    server.stop();
    server.refused(Reason::ShuttingDown).await;
    server.until("its place to be free", |server| server.running.open() == 0).await;
    client.abort();
}
