use std::time::Duration;

use bus::{Address, Limits, Reason};
use net::{ListenerConfig, Progress, ProxyConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::secured::Secured;
use crate::server::{CONNACK, CONNECT, Server, read, read_to_end};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n";

/// Version 2 for 192.0.2.7, port 56324.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x07\x5b";

fn behind_proxies(sources: &[&str]) -> ListenerConfig {
    let sources = sources.iter().map(|source| source.parse().unwrap()).collect();
    let proxy = ProxyConfig { v1: true, v2: true, sources, timeout: Duration::from_millis(200) };
    ListenerConfig { proxy: Some(proxy), ..ListenerConfig::default() }
}

/// The addresses of those who have a session.
fn addresses(server: &Server) -> Vec<String> {
    let seen = server.seen.lock();
    seen.iter().map(|peer| peer.address.to_string()).collect()
}

#[tokio::test]
async fn the_client_is_where_the_proxy_says_however_the_bytes_come() {
    for header in [V1, V2] {
        let server = Server::mqtt(behind_proxies(&["127.0.0.0/8"]), Limits::default());
        let mut peer = TcpStream::connect(server.address).await.unwrap();
        for byte in header {
            peer.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        peer.write_all(CONNECT).await.unwrap();
        assert_eq!(read(&mut peer, 4).await, CONNACK);
        let mut peer = TcpStream::connect(server.address).await.unwrap();
        peer.write_all(&[header, CONNECT].concat()).await.unwrap();
        assert_eq!(read(&mut peer, 4).await, CONNACK);
        assert_eq!(addresses(&server), ["192.0.2.7:56324"; 2]);
    }
}

#[tokio::test]
async fn a_client_of_whom_the_proxy_tells_nothing_is_not_taken_for_one_of_this_machine() {
    let server = Server::mqtt(behind_proxies(&[]), Limits::default());
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".as_slice();
    for header in [b"PROXY UNKNOWN\r\n".as_slice(), local] {
        let mut peer = TcpStream::connect(server.address).await.unwrap();
        peer.write_all(&[header, CONNECT].concat()).await.unwrap();
        assert_eq!(read(&mut peer, 4).await, CONNACK);
    }
    let addresses = addresses(&server);
    assert_eq!(addresses[0], "0.0.0.0:0");
    assert!(addresses[1].starts_with("127.0.0.1:"), "the proxy itself: {addresses:?}");
}

#[test]
fn only_a_proxy_of_this_machine_may_say_that_its_client_is_there_too() {
    // A proxy elsewhere told of a client on its own machine, which then had the rights of one on this machine.
    for (header, of_this_machine) in [
        (b"PROXY TCP4 127.0.0.1 127.0.0.1 5 1883\r\n".as_slice(), "127.0.0.1:5"),
        (b"PROXY TCP6 ::1 ::1 5 1883\r\n", "[::1]:5"),
        (b"PROXY TCP6 ::ffff:127.0.0.1 ::1 5 1883\r\n", "[::ffff:127.0.0.1]:5"),
    ] {
        for (proxy, expected) in [("127.0.0.1:9", of_this_machine), ("192.0.2.1:9", "0.0.0.0:0")] {
            let proxy = Address::Socket(proxy.parse().unwrap());
            let config = behind_proxies(&["127.0.0.1", "192.0.2.1"]).proxy.unwrap();
            let Progress::Whole(told) = config.parse(header).unwrap() else { panic!("not whole") };
            assert_eq!(told.address(proxy).to_string(), expected);
        }
    }
}

#[tokio::test]
async fn whoever_is_no_proxy_is_refused_whatever_it_says() {
    let server = Server::mqtt(behind_proxies(&["192.0.2.0/24"]), Limits::default());
    let mut peer = TcpStream::connect(server.address).await.unwrap();
    let _ = peer.write_all(&[V1, CONNECT].concat()).await;
    assert_eq!(read_to_end(&mut peer).await, b"");
    server.closed(Reason::ProxyHeaderInvalid).await;
    assert!(server.seen.lock().is_empty());
}

#[tokio::test]
async fn a_missing_or_late_header_is_named() {
    let server = Server::mqtt(behind_proxies(&[]), Limits::default());
    let mut without = TcpStream::connect(server.address).await.unwrap();
    without.write_all(CONNECT).await.unwrap();
    read_to_end(&mut without).await;
    let mut late = TcpStream::connect(server.address).await.unwrap();
    late.write_all(&V1[..20]).await.unwrap();
    read_to_end(&mut late).await;
    let both = |server: &Server| server.broker.stats().closed == [("mqtt", Reason::ProxyHeaderInvalid, 2)];
    server.until("both", both).await;
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let secured = Secured::new(behind_proxies(&[]), Limits::default());
    let mut socket = secured.raw().await;
    socket.write_all(V2).await.unwrap();
    let mut peer = secured.over(socket).await;
    peer.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut peer, 4).await, CONNACK);
    assert_eq!(addresses(&secured.server), ["192.0.2.7:56324"]);
    let link = secured.server.seen.lock()[0].link.clone();
    assert_eq!(link.carrier, bus::Carrier::Tls);
    assert_eq!(&*link.secured.unwrap().version, "TLS 1.3");
}
