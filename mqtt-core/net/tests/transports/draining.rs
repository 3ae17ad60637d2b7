use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::{Connection, Limits, Peer, Protocol, Reason};
use mqtt::Mqtt;
use net::ListenerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server::{CONNACK, CONNECT, Server, read, read_to_end};

#[tokio::test]
async fn a_peer_without_a_session_does_not_hold_up_the_end() {
    let server = Server::mqtt(ListenerConfig::default(), Limits::default());
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(&CONNECT[..5]).await.unwrap();
    let mut connected = TcpStream::connect(server.address).await.unwrap();
    connected.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut connected, 4).await, CONNACK);
    server.until("all three", |server| server.running.open() == 3).await;
    server.stop.stop();
    server.closed(Reason::ShuttingDown).await;
    // The two are gone though they keep their ends open; who has a session hears of it from the broker.
    server.until("their places", |server| server.running.open() == 1).await;
    assert_eq!(read_to_end(&mut silent).await, b"");
    assert_eq!(read_to_end(&mut slow).await, b"");
    let ended = server.broker.stats().closed;
    assert_eq!(ended, [("mqtt", Reason::ShuttingDown, 2)]);
}

/// Fails with its first peer.
struct Frail(Mqtt, AtomicBool);

impl Protocol for Frail {
    fn label(&self) -> &'static str {
        "mqtt"
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        assert!(self.1.swap(true, Ordering::Relaxed), "the first peer");
        self.0.accept(peer)
    }
}

#[tokio::test]
async fn a_protocol_that_panics_does_not_end_its_listener() {
    let protocol = Frail(Mqtt::new(mqtt::Config::default(), Limits::default()), AtomicBool::new(false));
    let server = Server::start(Arc::new(protocol), ListenerConfig::default(), Limits::default());
    let mut first = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_to_end(&mut first).await, b"");
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut second, 4).await, CONNACK);
    assert_eq!(server.running.open(), 1);
}
