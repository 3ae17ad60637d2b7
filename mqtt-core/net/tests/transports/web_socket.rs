use std::sync::Arc;
use std::time::Duration;

use bus::{Address, Limits, Reason};
use net::{ListenerConfig, web_socket};
use stomp::Stomp;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::secured::Secured;
use crate::server::{CONNACK, CONNECT, Server, read, read_to_end};

const HEAD: &str = "GET /mqtt HTTP/1.1\r\nHost: broker.example:8083\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// The answer of RFC 6455, section 1.3, to that key.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const PING: &[u8] = b"\xc0\0";

fn config() -> ListenerConfig {
    let web_socket = web_socket::Config {
        paths: vec!["/mqtt".to_owned(), "/".to_owned()],
        subprotocols: vec!["mqtt".to_owned(), "mqttv3.1".to_owned()],
        origins: Vec::new(),
        max_frame: 1 << 20,
        takes_text: false,
        max_message: None,
        max_message_before: 1 << 20,
    };
    ListenerConfig { web_socket: Some(web_socket), ..ListenerConfig::default() }
}

fn server() -> Server {
    Server::mqtt(config(), Limits::default())
}

/// What a request is answered, without what follows an upgrade.
async fn asked(server: &Server, request: &str) -> String {
    let mut peer = TcpStream::connect(server.address).await.unwrap();
    peer.write_all(request.as_bytes()).await.unwrap();
    head(&mut peer).await
}

async fn head(peer: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read(peer, 1).await);
    }
    String::from_utf8(head).unwrap()
}

pub(crate) async fn upgraded<S: AsyncRead + AsyncWrite + Unpin>(mut peer: S, more: &str) -> S {
    let request = format!("{HEAD}Sec-WebSocket-Protocol: mqtt\r\n{more}\r\n");
    peer.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut peer).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    peer
}

async fn open(server: &Server) -> TcpStream {
    upgraded(TcpStream::connect(server.address).await.unwrap(), "").await
}

/// A client's frame, masked; the first byte is given.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let length = payload.len();
    let mut bytes = match length {
        0..126 => vec![first, 0x80 | length as u8],
        126..65_536 => [&[first, 0xfe][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[first, 0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

pub(crate) const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;

#[tokio::test]
async fn the_handshake_is_answered_with_the_sub_protocol() {
    let server = server();
    for (asked_for, named) in [("mqtt", "mqtt"), ("soap, mqttv3.1 , mqtt", "mqttv3.1")] {
        let answer = asked(&server, &format!("{HEAD}Sec-WebSocket-Protocol: {asked_for}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
        let lower = answer.to_lowercase();
        assert!(lower.contains(&format!("sec-websocket-protocol: {named}\r\n")), "{answer}");
        assert!(lower.contains(&format!("sec-websocket-accept: {}\r\n", ACCEPT.to_lowercase())), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_mqtt_is_refused() {
    let server = server();
    for header in ["", "Sec-WebSocket-Protocol: soap\r\n"] {
        let answer = asked(&server, &format!("{HEAD}{header}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    server.closed(Reason::UpgradeRefused).await;
}

#[tokio::test]
async fn packets_may_span_frames_and_share_them() {
    let server = server();
    let mut peer = open(&server).await;
    for byte in CONNECT {
        peer.write_all(&frame(BINARY, &[*byte])).await.unwrap();
    }
    assert_eq!(read(&mut peer, 6).await, [b"\x82\x04", CONNACK].concat());
    let shared = [PING, PING, &PING[..1]].concat();
    peer.write_all(&[frame(BINARY, &shared), frame(BINARY, &PING[1..])].concat()).await.unwrap();
    let mut answers = Vec::new();
    while answers.len() < 6 {
        let length = usize::from(read(&mut peer, 2).await[1]);
        answers.extend(read(&mut peer, length).await);
    }
    assert_eq!(answers, b"\xd0\0\xd0\0\xd0\0");
}

#[tokio::test]
async fn a_message_may_come_in_fragments_with_pings_between_and_byte_by_byte() {
    let server = server();
    let mut peer = open(&server).await;
    let (first, rest) = CONNECT.split_at(5);
    let bytes = [frame(0x02, first), frame(0x89, b"hello"), frame(0x00, b""), frame(0x80, rest)].concat();
    for byte in bytes {
        peer.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&mut peer, 7).await, b"\x8a\x05hello", "the pong has the ping's payload");
    assert_eq!(read(&mut peer, 6).await, [b"\x82\x04", CONNACK].concat());
}

#[tokio::test]
async fn what_comes_with_the_handshake_is_not_lost() {
    let server = server();
    let mut peer = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{HEAD}Sec-WebSocket-Protocol: mqtt\r\n\r\n");
    peer.write_all(&[request.as_bytes(), &frame(BINARY, CONNECT)].concat()).await.unwrap();
    head(&mut peer).await;
    assert_eq!(read(&mut peer, 6).await, [b"\x82\x04", CONNACK].concat());
}

#[tokio::test]
async fn a_text_frame_closes_the_connection() {
    let server = server();
    let mut peer = open(&server).await;
    peer.write_all(&[frame(BINARY, CONNECT), frame(TEXT, PING)].concat()).await.unwrap();
    let answer = read_to_end(&mut peer).await;
    assert_eq!(
        answer,
        [b"\x82\x04", CONNACK, b"\x88\x02\x03\xeb"].concat(),
        "1003: it is data of a wrong kind"
    );
    server.closed(Reason::ProtocolViolation).await;
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection_with_a_code() {
    let long = [&[0x82, 0xff][..], &(2_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    let cases: [(&str, Vec<u8>, u16); 11] = [
        ("not masked", [b"\x82\x0f", CONNECT].concat(), 1002),
        ("a reserved bit", frame(0xc2, CONNECT), 1002),
        ("a reserved opcode", frame(0x83, CONNECT), 1002),
        ("a fragment of nothing", frame(0x80, CONNECT), 1002),
        ("a message in a message", [frame(0x02, b"\x10"), frame(0x82, b"\x10")].concat(), 1002),
        ("a ping in fragments", frame(0x09, b""), 1002),
        ("a ping that is too long", frame(0x89, &[0; 126]), 1002),
        ("a close code of one byte", frame(0x88, b"\x03"), 1002),
        ("a close code that is never sent", frame(0x88, b"\x03\xee"), 1002),
        ("a length that could be shorter", b"\x82\xfe\0\x01\0\0\0\0x".to_vec(), 1002),
        ("a frame that is too long", long, 1009),
    ];
    for (what, bytes, code) in cases {
        let server = server();
        let mut peer = open(&server).await;
        peer.write_all(&bytes).await.unwrap();
        let answer = read_to_end(&mut peer).await;
        assert_eq!(answer, [&b"\x88\x02"[..], &code.to_be_bytes()].concat(), "{what}");
    }
}

#[tokio::test]
async fn a_good_bye_is_answered_and_ends_the_connection() {
    let server = server();
    let mut peer = open(&server).await;
    peer.write_all(&[frame(BINARY, CONNECT), frame(0x88, b"\x03\xe8bye")].concat()).await.unwrap();
    let answer = read_to_end(&mut peer).await;
    assert!(answer.ends_with(b"\x88\x02\x03\xe8"), "{answer:?}");
    server.closed(Reason::PeerClosed).await;
    let mut peer = open(&server).await;
    peer.write_all(&frame(BINARY, &[CONNECT, b"\xe0\0"].concat())).await.unwrap();
    let answer = read_to_end(&mut peer).await;
    assert_eq!(answer, [b"\x82\x04", CONNACK, b"\x88\x02\x03\xe8"].concat());
    server.closed(Reason::Disconnected).await;
}

#[tokio::test]
async fn a_large_message_comes_through_whole_both_ways() {
    let server = server();
    let mut peer = open(&server).await;
    let subscribe = b"\x82\x06\0\x01\0\x01t\0";
    peer.write_all(&frame(BINARY, &[CONNECT, subscribe].concat())).await.unwrap();
    assert_eq!(read(&mut peer, 11).await, [b"\x82\x09", CONNACK, b"\x90\x03\0\x01\0"].concat());
    let payload: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
    let length = payload.len() + 3;
    let header = [0x30, (length & 127) as u8 | 128, (length >> 7 & 127) as u8 | 128, (length >> 14) as u8];
    let packet = [&header[..], b"\0\x01t", &payload].concat();
    let (mut reader, mut writer) = peer.into_split();
    let sent = frame(BINARY, &packet);
    let writing = tokio::spawn(async move { writer.write_all(&sent).await.map(|()| writer) });
    let head = read(&mut reader, 10).await;
    assert_eq!(head, [&b"\x82\x7f"[..], &(packet.len() as u64).to_be_bytes()].concat());
    assert!(read(&mut reader, packet.len()).await == packet, "the packet came back changed");
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn plain_http_and_other_paths_are_told_where_they_are() {
    let server = server();
    let cases = [
        ("GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426 "),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned(), "400 "),
        ("GET /chat HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "404 "),
        (HEAD.replace("Version: 13", "Version: 8") + "Sec-WebSocket-Protocol: mqtt\r\n\r\n", "400 "),
        (HEAD.replace("dGhlIHNhbXBsZSBub25jZQ==", "short") + "Sec-WebSocket-Protocol: mqtt\r\n\r\n", "400 "),
        ("GET  / / HTTP/1.1\r\n\r\n".to_owned(), "400 "),
        (format!("{HEAD}X-Long: {}\r\n\r\n", "x".repeat(9_000)), "431 "),
    ];
    for (request, status) in cases {
        let answer = asked(&server, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
    }
    server.until("their ends", |server| server.running.open() == 0).await;
    assert_eq!(server.broker.stats().closed, [("mqtt", Reason::UpgradeRefused, 7)]);
}

#[tokio::test]
async fn who_speaks_neither_http_nor_in_time_is_named() {
    let server =
        Server::mqtt(config(), Limits { handshake: Duration::from_millis(200), ..Limits::default() });
    for (bytes, reason) in [
        (CONNECT, Reason::WrongProtocol),
        (b"\x16\x03\x01\x02\0\x01", Reason::TlsOnPlainPort),
        (b"GET / HTT", Reason::HandshakeTimeout),
    ] {
        let mut peer = TcpStream::connect(server.address).await.unwrap();
        peer.write_all(bytes).await.unwrap();
        assert_eq!(read_to_end(&mut peer).await, b"");
        server.closed(reason).await;
    }
}

#[tokio::test]
async fn a_foreign_page_may_not_connect() {
    let ask = async |server: &Server, host: &str, origin: &str| {
        let head = HEAD.replace("broker.example:8083", host);
        let answer =
            asked(server, &format!("{head}Origin: {origin}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")).await;
        answer.starts_with("HTTP/1.1 101")
    };
    let server = server();
    assert!(ask(&server, "127.0.0.1:8083", "http://localhost:3000").await, "a page of this machine");
    assert!(!ask(&server, "127.0.0.1:8083", "https://evil.example").await);
    assert!(
        !ask(&server, "evil.example:8083", "http://evil.example:8083").await,
        "its name got this address"
    );
    assert!(!ask(&server, "127.0.0.1:8083", "null").await);
    let mut listed = config();
    listed.web_socket.as_mut().unwrap().origins = vec!["https://app.example".to_owned()];
    let server = Server::mqtt(listed, Limits::default());
    assert!(ask(&server, "127.0.0.1:8083", "https://app.example").await);
    assert!(!ask(&server, "127.0.0.1:8083", "http://localhost:3000").await);
}

#[tokio::test]
async fn a_proxy_is_believed_where_the_client_is_and_nobody_else() {
    for (forwarders, expected) in [(vec!["127.0.0.0/8", "10.0.0.0/8"], "192.0.2.7:0"), (vec![], "0.0.0.0:0")]
    {
        let forwarders = forwarders.into_iter().map(|network| network.parse().unwrap()).collect();
        let server = Server::mqtt(ListenerConfig { forwarders, ..config() }, Limits::default());
        let peer = TcpStream::connect(server.address).await.unwrap();
        let _peer =
            upgraded(peer, "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nX-Forwarded-For: 10.1.1.1\r\n").await;
        server.until("the protocol", |server| server.seen.lock().len() == 1).await;
        let address = server.seen.lock()[0].address;
        assert!(
            matches!(address, Address::Socket(_)) && address.to_string().starts_with(expected),
            "{address}"
        );
    }
}

#[test]
fn a_client_is_on_this_machine_only_if_nobody_elsewhere_says_so() {
    // What its client wrote made a client elsewhere one of this machine, with its rights.
    let config = config().web_socket.unwrap();
    let proxies = ["127.0.0.1", "10.0.0.0/8"].map(|network| network.parse().unwrap());
    for (from, told, expected) in [
        ("127.0.0.1:9", "127.0.0.1", "127.0.0.1:9"),
        ("127.0.0.1:9", "::1", "[::1]:0"),
        ("127.0.0.1:9", "127.0.0.1, 10.0.0.9", "0.0.0.0:0"),
        ("10.0.0.8:9", "127.0.0.1", "0.0.0.0:0"),
        ("10.0.0.8:9", "::ffff:127.0.0.1", "0.0.0.0:0"),
        ("10.0.0.8:9", "10.0.0.9", "10.0.0.9:0"),
        ("192.0.2.7:9", "127.0.0.1", "192.0.2.7:9"),
        // A proxy that nobody named here: its client is not where it is.
        ("127.0.0.2:9", "192.0.2.8", "0.0.0.0:0"),
        ("unix", "192.0.2.8", "0.0.0.0:0"),
    ] {
        let request = format!("{HEAD}Sec-WebSocket-Protocol: mqtt\r\nX-Forwarded-For: {told}\r\n\r\n");
        let from = from.parse().map_or(Address::Unix, Address::Socket);
        let accepted = web_socket::handshake(request.as_bytes(), from, &config, &proxies).unwrap().unwrap();
        assert_eq!(accepted.address.to_string(), expected, "{from}: {told}");
    }
}

#[tokio::test]
async fn a_web_socket_goes_over_tls_too() {
    let secured = Secured::new(config(), Limits::default());
    let mut peer = upgraded(secured.open().await, "").await;
    peer.write_all(&frame(BINARY, CONNECT)).await.unwrap();
    assert_eq!(read(&mut peer, 6).await, [b"\x82\x04", CONNACK].concat());
    assert_eq!(secured.server.seen.lock()[0].link.carrier, bus::Carrier::SecureWebSocket);
}

#[tokio::test]
async fn stomp_takes_text_and_binary_and_answers_in_kind() {
    let limits = Limits::default();
    let web_socket = web_socket::Config {
        subprotocols: vec!["v12.stomp".to_owned(), String::new()],
        takes_text: true,
        ..config().web_socket.unwrap()
    };
    let config = ListenerConfig { web_socket: Some(web_socket), ..ListenerConfig::default() };
    let stomp = Arc::new(Stomp::new(stomp::Config::default(), limits.clone()));
    let server = Server::start(stomp, config, limits);
    for (asked_for, kind) in [("Sec-WebSocket-Protocol: v12.stomp\r\n", TEXT), ("", BINARY)] {
        let mut peer = TcpStream::connect(server.address).await.unwrap();
        peer.write_all(format!("{HEAD}{asked_for}\r\n").as_bytes()).await.unwrap();
        assert!(head(&mut peer).await.starts_with("HTTP/1.1 101"));
        peer.write_all(&frame(kind, b"CONNECT\naccept-version:1.2\nhost:x\n\n\0")).await.unwrap();
        let header = read(&mut peer, 2).await;
        assert_eq!(header[0], kind);
        let frame = read(&mut peer, usize::from(header[1])).await;
        assert!(frame.starts_with(b"CONNECTED\n"), "{frame:?}");
    }
    let mut peer = TcpStream::connect(server.address).await.unwrap();
    peer.write_all(format!("{HEAD}\r\n").as_bytes()).await.unwrap();
    head(&mut peer).await;
    peer.write_all(&frame(TEXT, b"CONNECT\n\xff\n\n\0")).await.unwrap();
    assert_eq!(read_to_end(&mut peer).await, b"\x88\x02\x03\xef", "1007: no UTF-8");
}
