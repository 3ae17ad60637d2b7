//! Peers whose address is banned are turned away before their first byte is read.

use std::sync::Arc;
use std::time::Duration;

use broker::{Answer, Attempt, Authentication, Authenticator, Broker, Config, Hooks, Identity};
use bus::{Address, Limits, Reason, Transport};
use mqtt::Mqtt;
use mqtt_sn::MqttSn;
use net::{ListenerConfig, Stop, bind};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Lets in whoever comes, unless it comes from this machine.
struct Strangers;

impl Authenticator for Strangers {
    fn admits(&self, address: Address) -> bool {
        !address.is_local()
    }

    fn authenticate(&self, _attempt: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Accept(Identity::default()))
    }
}

fn broker() -> Broker {
    let hooks = Hooks { authenticator: Arc::new(Strangers), ..Hooks::open() };
    Broker::new(Config::default(), hooks, Vec::new())
}

fn banned(broker: &Broker, protocol: &'static str) -> u64 {
    let refused = broker.stats().refused;
    let count = |(label, reason, count): &(&str, Reason, u64)| {
        (*label == protocol && *reason == Reason::Banned).then_some(*count)
    };
    refused.iter().find_map(count).unwrap_or(0)
}

#[tokio::test]
async fn a_stream_from_a_banned_address_is_closed_unheard() {
    let (broker, stop) = (broker(), Stop::new());
    let protocol = Arc::new(Mqtt::new(mqtt::Config::default(), Limits::default()));
    let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Stream).unwrap();
    let address = bound.address;
    let config = ListenerConfig::default();
    let running = bound.serve("test".into(), protocol, broker.clone(), config, Limits::default(), &stop);
    let mut peer = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, peer.read_to_end(&mut answer)).await.expect("an end in time");
    assert!(answer.is_empty());
    assert_eq!((banned(&broker, "mqtt"), running.open()), (1, 0));
}

#[tokio::test]
async fn a_datagram_from_a_banned_address_makes_no_connection() {
    let (broker, stop) = (broker(), Stop::new());
    let protocol = Arc::new(MqttSn::new(mqtt_sn::Config::default(), Limits::default()));
    let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Datagram).unwrap();
    let address = bound.address;
    let config = ListenerConfig::default();
    let running = bound.serve("test".into(), protocol, broker.clone(), config, Limits::default(), &stop);
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.send_to(b"\x07\x04\x04\x01\x00\x3cc", address).await.unwrap();
    let counted = async {
        while banned(&broker, "mqtt-sn") == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, counted).await.expect("the refusal in time");
    assert_eq!(running.open(), 0);
}
