use std::sync::Arc;
use std::time::Duration;

use bus::{Limits, Reason};
use net::ListenerConfig;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tls::{Certificates, ClientConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{CONNACK, CONNECT, Server, read, read_to_end};

/// A server with a local CA, and what a client needs to trust it.
pub(crate) struct Secured {
    pub(crate) server: Server,
    connector: TlsConnector,
    folder: TempDir,
}

impl Secured {
    pub(crate) fn new(config: ListenerConfig, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::load(&tls::Config::default(), folder.path()).unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, certificates.local_ca().unwrap().0).unwrap();
        let client = ClientConfig { ca, ..ClientConfig::default() }.load(&[]).unwrap();
        let config = ListenerConfig { tls: Some(Arc::new(certificates)), ..config };
        Self { server: Server::mqtt(config, limits), connector: client.into(), folder }
    }

    pub(crate) async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.server.address).await.unwrap()
    }

    pub(crate) async fn open(&self) -> TlsStream<TcpStream> {
        self.over(self.raw().await).await
    }

    /// The protocol that is agreed on with a client that asks for one of these, or why there is none.
    pub(crate) async fn asked_for(&self, alpn: &[&[u8]]) -> std::io::Result<Option<Vec<u8>>> {
        let ca = self.folder.path().join("ca.pem");
        let client = ClientConfig { ca, ..ClientConfig::default() }.load(alpn).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let peer = TlsConnector::from(client).connect(name, self.raw().await).await?;
        Ok(peer.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    }

    /// Speaks TLS on a connection that is there.
    pub(crate) async fn over(&self, socket: TcpStream) -> TlsStream<TcpStream> {
        self.connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap()
    }
}

#[tokio::test]
async fn a_client_is_served_over_tls_and_the_end_is_announced() {
    let secured = Secured::new(ListenerConfig::default(), Limits::default());
    let mut peer = secured.open().await;
    for byte in CONNECT {
        peer.write_all(&[*byte]).await.unwrap();
        peer.flush().await.unwrap();
    }
    assert_eq!(read(&mut peer, 4).await, CONNACK);
    peer.write_all(b"\xe0\0").await.unwrap();
    let mut rest = Vec::new();
    // Without close_notify this is an error.
    assert_eq!(peer.read_to_end(&mut rest).await.unwrap(), 0);
    secured.server.closed(Reason::Disconnected).await;
}

#[tokio::test]
async fn a_large_message_comes_through_tls_whole() {
    let secured = Secured::new(ListenerConfig::default(), Limits::default());
    let mut peer = secured.open().await;
    peer.write_all(&[CONNECT, b"\x82\x06\0\x01\0\x01t\0"].concat()).await.unwrap();
    assert_eq!(read(&mut peer, 9).await, [CONNACK, b"\x90\x03\0\x01\0"].concat());
    let payload: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
    let length = payload.len() + 3;
    let header = [0x30, (length & 127) as u8 | 128, (length >> 7 & 127) as u8 | 128, (length >> 14) as u8];
    let packet = [&header[..], b"\0\x01t", &payload].concat();
    let (mut reader, mut writer) = tokio::io::split(peer);
    let sent = packet.clone();
    tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    assert!(read(&mut reader, packet.len()).await == packet, "the packet came back changed");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_named() {
    let secured = Secured::new(ListenerConfig::default(), Limits::default());
    for plain in [CONNECT, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut peer = secured.raw().await;
        peer.write_all(plain).await.unwrap();
        read_to_end(&mut peer).await;
    }
    let named = |server: &Server| server.broker.stats().closed == [("mqtt", Reason::PlainOnTlsPort, 2)];
    secured.server.until("both", named).await;
    assert_eq!(secured.server.running.open(), 0);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut_however_it_dribbles() {
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::default() };
    let secured = Secured::new(ListenerConfig { max_handshakes: 1, ..ListenerConfig::default() }, limits);
    let mut silent = secured.raw().await;
    let mut slow = secured.raw().await;
    slow.write_all(b"\x16\x03\x01\x02\0\x01").await.unwrap();
    read_to_end(&mut silent).await;
    read_to_end(&mut slow).await;
    let cut = |server: &Server| server.broker.stats().closed == [("mqtt", Reason::HandshakeTimeout, 2)];
    secured.server.until("both", cut).await;
    let mut peer = secured.open().await;
    peer.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut peer, 4).await, CONNACK, "others get their turn");
}

#[tokio::test]
async fn garbage_behind_the_handshake_ends_the_connection() {
    let secured = Secured::new(ListenerConfig::default(), Limits::default());
    let mut peer = secured.open().await;
    peer.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut peer, 4).await, CONNACK);
    let (socket, _) = peer.get_mut();
    socket.write_all(b"\x17\x03\x03\0\x20garbage, garbage, garbage, garba").await.unwrap();
    read_to_end(&mut peer).await;
    secured.server.closed(Reason::TlsFailed).await;
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_has_closed() {
    let secured = Secured::new(ListenerConfig::default(), Limits::default());
    let mut peer = secured.open().await;
    peer.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut peer, 4).await, CONNACK);
    let (socket, _) = peer.get_mut();
    socket.shutdown().await.unwrap();
    secured.server.closed(Reason::PeerClosed).await;
}

#[tokio::test]
async fn a_handshake_under_way_does_not_hold_up_the_end() {
    let secured = Secured::new(ListenerConfig::default(), Limits::default());
    let mut silent = secured.raw().await;
    secured.server.until("the connection", |server| server.running.open() == 1).await;
    secured.server.stop.stop();
    assert_eq!(read_to_end(&mut silent).await, b"");
    secured.server.closed(Reason::ShuttingDown).await;
}
