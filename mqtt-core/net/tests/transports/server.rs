use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Config, Hooks};
use bus::{Connection, Limits, Peer, PeerName, Protocol, Reason, Transport};
use mqtt::Mqtt;
use net::{Bound, ListenerConfig, Running, Stop, bind};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// CONNECT of MQTT 3.1.1: clean session, keep alive 60 s, client id `c`.
pub(crate) const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c";
pub(crate) const CONNACK: &[u8] = b"\x20\x02\0\0";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) broker: Broker,
    pub(crate) running: Running,
    pub(crate) stop: Stop,
    pub(crate) address: std::net::SocketAddr,
    /// Everybody whose protocol has begun.
    pub(crate) seen: Arc<Mutex<Vec<Peer>>>,
}

/// Notes whom a protocol begins with.
struct Watched {
    protocol: Arc<dyn Protocol>,
    seen: Arc<Mutex<Vec<Peer>>>,
}

impl Protocol for Watched {
    fn label(&self) -> &'static str {
        self.protocol.label()
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        self.seen.lock().push(peer.clone());
        self.protocol.accept(peer)
    }

    fn name(&self, datagram: &[u8]) -> Option<PeerName> {
        self.protocol.name(datagram)
    }

    fn shares_address(&self, name: &PeerName) -> bool {
        self.protocol.shares_address(name)
    }

    fn admits(&self, datagram: &[u8]) -> bool {
        self.protocol.admits(datagram)
    }
}

impl Server {
    /// MQTT on a free port.
    pub(crate) fn mqtt(config: ListenerConfig, limits: Limits) -> Self {
        Self::start(Arc::new(Mqtt::new(mqtt::Config::default(), limits.clone())), config, limits)
    }

    pub(crate) fn start(protocol: Arc<dyn Protocol>, config: ListenerConfig, limits: Limits) -> Self {
        let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Stream).unwrap();
        Self::on(bound, protocol, config, limits)
    }

    pub(crate) fn on(
        bound: Bound,
        protocol: Arc<dyn Protocol>,
        config: ListenerConfig,
        limits: Limits,
    ) -> Self {
        Self::with(Hooks::open(), bound, protocol, config, limits)
    }

    pub(crate) fn with(
        hooks: Hooks,
        bound: Bound,
        protocol: Arc<dyn Protocol>,
        config: ListenerConfig,
        limits: Limits,
    ) -> Self {
        let broker = Broker::new(Config::default(), hooks, Vec::new());
        let (stop, address, seen) = (Stop::new(), bound.address, Arc::<Mutex<Vec<Peer>>>::default());
        let protocol = Arc::new(Watched { protocol, seen: seen.clone() });
        let running = bound.serve("test".into(), protocol, broker.clone(), config, limits, &stop);
        Self { broker, running, stop, address, seen }
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
}

pub(crate) async fn read(peer: &mut (impl AsyncRead + Unpin), length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, peer.read_exact(&mut bytes)).await.expect("an answer in time").unwrap();
    bytes
}

pub(crate) async fn read_to_end(peer: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, peer.read_to_end(&mut bytes)).await.expect("an end in time");
    bytes
}
