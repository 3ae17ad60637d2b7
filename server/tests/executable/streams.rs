//! CoAP over TCP, TLS and WebSocket, as the server offers it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::server::{FREE_PORTS, Server, receive, wait_for};

/// The CSM of the server: Max-Message-Size 65,536, Block-Wise-Transfer, Extended-Token-Length 64.
const CSM: &[u8] = b"\x70\xE1\x23\x01\x00\x00\x20\x21\x40";

/// The peer's CSM, and GET nowhere with token t.
const ASK: &[u8] = b"\x00\xE1\x81\x01t\xB7nowhere";

/// How its answer begins: 4.04 with that token; its length has one more byte.
fn is_not_found(head: &[u8]) -> bool {
    matches!(head, [0xD1, _, 0x84, b't'])
}

#[test]
fn coap_is_spoken_over_tcp() {
    let server = Server::start(FREE_PORTS);
    let mut peer = server.connect("coap-tcp");
    assert_eq!(receive(&mut peer, CSM.len()), CSM);
    peer.write_all(ASK).unwrap();
    let head = receive(&mut peer, 4);
    assert!(is_not_found(&head), "{head:02x?}");
}

#[test]
fn coap_is_spoken_over_tls_with_its_name_and_without() {
    let server = Server::start(FREE_PORTS);
    let ca = Path::new(env!("CARGO_TARGET_TMPDIR")).join("watersmeet/tls/ca.pem");
    let open = |alpn: &[&[u8]]| {
        let config = tls::ClientConfig { ca: ca.clone(), ..tls::ClientConfig::default() }.load(alpn).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(&config), name).unwrap();
        StreamOwned::new(session, server.connect("coaps-tcp"))
    };
    for (alpn, agreed) in [(&[][..], None), (&[&b"coap"[..]], Some(&b"coap"[..]))] {
        let mut peer = open(alpn);
        let mut csm = [0; CSM.len()];
        peer.read_exact(&mut csm).unwrap();
        assert_eq!((&csm[..], peer.conn.alpn_protocol()), (CSM, agreed)); // [RFC8323 8.2]
        peer.write_all(ASK).unwrap();
        let mut head = [0; 4];
        peer.read_exact(&mut head).unwrap();
        assert!(is_not_found(&head), "{head:02x?}");
    }
    assert!(open(&[b"mqtt"]).read(&mut [0; 1]).is_err(), "another protocol was asked for");
}

const WEB_SOCKET: &str =
    "[listeners.coap-ws]\nprotocol = \"coap\"\ntransport = \"ws\"\nbind = \"127.0.0.1:0\"\n";

fn upgrade(server: &Server, path: &str, subprotocol: &str) -> (TcpStream, String) {
    let mut peer = server.connect("coap-ws");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{subprotocol}\r\n"
    );
    peer.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(receive(&mut peer, 1));
    }
    (peer, String::from_utf8(head).unwrap())
}

/// A client's binary frame, masked with zeros.
fn frame(message: &[u8]) -> Vec<u8> {
    [&[0x82, 0x80 | u8::try_from(message.len()).unwrap(), 0, 0, 0, 0], message].concat()
}

#[test]
fn coap_is_spoken_at_its_well_known_path_of_a_web_socket() {
    let server = Server::start(&format!("{FREE_PORTS}{WEB_SOCKET}"));
    let asked = "Sec-WebSocket-Protocol: mqtt, coap\r\n";
    let (mut peer, answer) = upgrade(&server, "/.well-known/coap", asked);
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains(": coap\r\n"), "{answer}");
    assert_eq!(receive(&mut peer, 11), [b"\x82\x09\x00", &CSM[1..]].concat()); // [RFC8323 4.3]
    peer.write_all(&[frame(b"\x00\xE1"), frame(b"\x01\x01t\xB7nowhere")].concat()).unwrap();
    let head = receive(&mut peer, 5);
    assert!(matches!(head[..], [0x82, _, 0x01, 0x84, b't']), "{head:02x?}"); // [RFC8323 4.2]

    let (_, answer) = upgrade(&server, "/.well-known/coap", "");
    assert!(answer.starts_with("HTTP/1.1 400 "), "a client must ask for coap [RFC8323 4.1]: {answer}");
    let (_, answer) = upgrade(&server, "/mqtt", asked);
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn observations_end_with_the_connection() {
    let server = Server::start(FREE_PORTS);
    let subscriptions = || {
        let (_, page) = server.http("GET", "/metrics");
        let line =
            page.lines().find(|line| line.starts_with("watersmeet_subscriptions ")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let mut peer = server.connect("coap-tcp");
    // GET ps/a with Observe 0 and token o.
    peer.write_all(b"\x00\xE1\x61\x01o\x60\x52ps\x01a").unwrap();
    wait_for(|| subscriptions() > 0.0);
    drop(peer);
    wait_for(|| subscriptions() == 0.0); // [RFC8323 7.4]
}
