//! A listener that is found at a multicast group, on the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Broker, Config, Hooks};
use bus::{Connection, Limits, Peer, Protocol, Transport};
use net::{ListenerConfig, Stop, bind};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 187);

/// Answers groups and nobody else.
struct Found;

impl Protocol for Found {
    fn label(&self) -> &'static str {
        "found"
    }

    fn accept(&self, _peer: Peer) -> Box<dyn Connection> {
        panic!("what a group is asked makes no connection")
    }

    fn answer_group(&self, datagram: &[u8], _chance: u64, _now: Instant) -> Option<Vec<u8>> {
        (datagram == b"who").then(|| b"me".to_vec())
    }
}

#[tokio::test]
async fn who_asks_a_group_is_answered_from_the_listeners_own_address() {
    let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), Transport::Datagram).unwrap();
    let address = bound.address;
    let Ok(bound) = bound.join(&[GROUP.into()]) else { return }; // this machine has no multicast
    let (broker, stop) = (Broker::new(Config::default(), Hooks::open(), Vec::new()), Stop::new());
    let config = ListenerConfig { leisure: Duration::ZERO, ..ListenerConfig::default() };
    let _running = bound.serve("test".into(), Arc::new(Found), broker, config, Limits::default(), &stop);

    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket2::SockRef::from(&client).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let group = SocketAddr::from((GROUP, address.port()));
    let mut input = [0; 100];
    for question in [&b"nonsense"[..], b"who"] {
        if client.send_to(question, group).await.is_err() {
            return; // this machine has no multicast
        }
    }
    let received = timeout(Duration::from_secs(20), client.recv_from(&mut input)).await;
    let (length, from) = received.expect("an answer in time").unwrap();
    assert_eq!((&input[..length], from), (&b"me"[..], address));
    stop.stop();
}

#[test]
fn a_group_of_another_ip_version_is_refused_by_name() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), Transport::Datagram).unwrap();
        let group = "ff02::fd".parse().unwrap();
        assert!(matches!(bound.join(&[group]), Err((named, _)) if named == group));
    });
}
