//! A listener that is found at a multicast group, on the loopback interface.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
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

/// Whether this machine brings what is sent to a group on the loopback interface to who has joined it there.
async fn has_multicast() -> bool {
    let ear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let mouth = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket2::SockRef::from(&mouth).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let to = (GROUP, ear.local_addr().unwrap().port());
    ear.join_multicast_v4(GROUP, Ipv4Addr::LOCALHOST).is_ok() && mouth.send_to(b"?", to).await.is_ok()
}

/// What a client on the loopback interface is sent when it asks the group, and from where; `None` if this machine has no
/// multicast there.
async fn found(bind_to: Ipv4Addr) -> Option<(Vec<u8>, SocketAddr, SocketAddr)> {
    if !has_multicast().await {
        return None;
    }
    let bound = bind((bind_to, 0).into(), Transport::Datagram).unwrap();
    let address = bound.address;
    let bound = bound.join(&[GROUP.into()]).unwrap_or_else(|(group, error)| panic!("{group}: {error}"));
    let (broker, stop) = (Broker::new(Config::default(), Hooks::open(), Vec::new()), Stop::new());
    let config = ListenerConfig { leisure: Duration::ZERO, ..ListenerConfig::default() };
    let _running = bound.serve("test".into(), Arc::new(Found), broker, config, Limits::default(), &stop);

    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket2::SockRef::from(&client).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let group = SocketAddr::from((GROUP, address.port()));
    for question in [&b"nonsense"[..], b"who"] {
        client.send_to(question, group).await.unwrap();
    }
    let mut input = [0; 100];
    let received = timeout(Duration::from_secs(20), client.recv_from(&mut input)).await;
    let (length, from) = received.expect("an answer in time").unwrap();
    stop.stop();
    Some((input[..length].to_vec(), from, address))
}

#[tokio::test]
async fn who_asks_a_group_is_answered_from_the_listeners_own_address() {
    let Some((answer, from, address)) = found(Ipv4Addr::LOCALHOST).await else { return };
    assert_eq!((&answer[..], from), (&b"me"[..], address));
}

/// What went wrong: the group was joined on one interface, that of the default route, and not at all without one.
#[tokio::test]
async fn a_group_is_heard_on_every_interface() {
    let Some((answer, from, address)) = found(Ipv4Addr::UNSPECIFIED).await else { return };
    assert_eq!((&answer[..], from), (&b"me"[..], (Ipv4Addr::LOCALHOST, address.port()).into()));
}

/// What went wrong: the address of a group of a link was used without its interface, which the system refuses.
#[tokio::test]
async fn groups_of_a_link_and_of_a_site_are_joined() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.is_err() {
        return; // this machine has no IPv6
    }
    for bind_to in [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED] {
        let bound = bind((bind_to, 0).into(), Transport::Datagram).unwrap();
        let groups = ["ff02::fd", "ff05::fd"].map(|group| group.parse().unwrap());
        assert_eq!(bound.join(&groups).err().map(|(group, error)| (group, error.kind())), None);
    }
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
