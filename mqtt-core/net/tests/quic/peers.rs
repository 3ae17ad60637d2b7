use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Config, Hooks};
use bus::{Limits, Reason, Transport};
use mqtt::Mqtt;
use net::{ListenerConfig, QuicConfig, Running, Stop, bind};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig};
use tempfile::TempDir;
use tls::Certificates;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) broker: Broker,
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) tcp: SocketAddr,
    stop: Stop,
    certificates: Arc<Certificates>,
    folder: TempDir,
}

/// What a server shall be.
pub(crate) struct Setup {
    pub(crate) tls: tls::Config,
    pub(crate) listener: ListenerConfig,
    pub(crate) quic: QuicConfig,
    pub(crate) limits: Limits,
    pub(crate) hooks: Hooks,
}

/// A stream, both ways.
pub(crate) struct Stream {
    pub(crate) send: SendStream,
    pub(crate) receive: RecvStream,
}

/// CONNECT of MQTT 3.1.1: clean session, keep alive 60 s.
pub(crate) fn connect(id: u8) -> Vec<u8> {
    [&b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01"[..], &[id]].concat()
}

/// CONNECT of MQTT 5: clean start, keep alive 60 s.
pub(crate) fn connect_5(id: u8) -> Vec<u8> {
    [&b"\x10\x0E\0\x04MQTT\x05\x02\0\x3C\0\0\x01"[..], &[id]].concat()
}

pub(crate) const CONNACK: &[u8] = b"\x20\x02\0\0";

impl Default for Setup {
    fn default() -> Self {
        Self {
            tls: tls::Config::default(),
            listener: ListenerConfig::default(),
            quic: QuicConfig::default(),
            limits: Limits::default(),
            hooks: Hooks::open(),
        }
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let Setup { tls, listener: config, quic, limits, hooks } = setup;
        let folder = tempfile::tempdir().unwrap();
        let certificates = Arc::new(Certificates::load(&tls, folder.path()).unwrap());
        let broker = Broker::new(Config::default(), hooks, Vec::new());
        let stop = Stop::new();
        let mqtt = Arc::new(Mqtt::new(mqtt::Config::default(), limits.clone()));
        let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Datagram).unwrap();
        let address = bound.address;
        let bound = bound.over_quic(&certificates, &quic).unwrap();
        let running =
            bound.serve("quic".into(), mqtt.clone(), broker.clone(), config.clone(), limits.clone(), &stop);
        let plain = bind(([127, 0, 0, 1], 0).into(), Transport::Stream).unwrap();
        let tcp = plain.address;
        plain.serve("mqtt".into(), mqtt, broker.clone(), config, limits, &stop);
        Self { broker, running, address, tcp, stop, certificates, folder }
    }

    /// A client that trusts the server.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint_with(TransportConfig::default())
    }

    pub(crate) fn endpoint_with(&self, transport: TransportConfig) -> Endpoint {
        let (ca, _) = self.certificates.local_ca().unwrap();
        let path = self.folder.path().join("trusted.pem");
        std::fs::write(&path, ca).unwrap();
        let tls = tls::ClientConfig { ca: path, ..Default::default() }.load(&[b"mqtt"]).unwrap();
        let mut tls = (*tls).clone();
        tls.enable_early_data = true;
        let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let crypto = QuicClientConfig::try_from(tls).unwrap();
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(config);
        endpoint
    }

    /// A new QUIC connection.
    pub(crate) async fn dial(&self) -> Connection {
        let connecting = self.endpoint().connect(self.address, "localhost").unwrap();
        timeout(PATIENCE, connecting).await.unwrap().unwrap()
    }

    /// A new QUIC connection with a session: its control stream too.
    pub(crate) async fn session(&self, id: u8) -> (Connection, Stream) {
        let connection = self.dial().await;
        let mut control = Stream::open(&connection).await;
        control.send(&connect(id)).await;
        control.expect(CONNACK).await;
        (connection, control)
    }

    pub(crate) fn stop(&self) {
        self.stop.stop();
        self.broker.drain();
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited for {what}"));
    }

    /// Waits until a connection has ended for this reason.
    pub(crate) async fn closed(&self, reason: Reason) {
        let closed = |server: &Self| server.broker.stats().closed.iter().any(|(_, why, _)| *why == reason);
        self.until(reason.name(), closed).await;
    }

    /// Waits until a connection was refused for this reason.
    pub(crate) async fn refused(&self, reason: Reason) {
        let refused = |server: &Self| server.broker.stats().refused.iter().any(|(_, why, _)| *why == reason);
        self.until(reason.name(), refused).await;
    }
}

impl Stream {
    pub(crate) async fn open(connection: &Connection) -> Self {
        let (send, receive) = timeout(PATIENCE, connection.open_bi()).await.unwrap().unwrap();
        Self { send, receive }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.send.write_all(bytes)).await.unwrap().unwrap();
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: &[u8]) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let read = self.read(bytes.len()).await;
            assert_eq!(read, bytes, "{place}");
        }
    }

    pub(crate) async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut read = vec![0; length];
        timeout(PATIENCE, self.receive.read_exact(&mut read)).await.expect("an answer in time").unwrap();
        read
    }

    /// Subscribes one topic with QoS 1 or 2.
    pub(crate) async fn subscribe(&mut self, topic: u8, qos: u8) {
        self.send(&[0x82, 6, 0, 1, 0, 1, topic, qos]).await;
        self.expect(&[0x90, 3, 0, 1, qos]).await;
    }

    /// Gives the stream up at once, both ways.
    pub(crate) fn abandon(mut self) {
        self.send.reset(0_u8.into()).unwrap();
        self.receive.stop(0_u8.into()).unwrap();
    }

    /// Whether the stream, or its connection, ends without another byte.
    pub(crate) async fn ends(&mut self) -> bool {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, AsyncReadExt::read_to_end(&mut self.receive, &mut rest))
            .await
            .expect("an end in time");
        rest.is_empty()
    }
}
