//! WebSockets whose messages are those of the protocol.

use std::sync::Arc;
use std::time::Instant;

use bus::{Connection, Event, Limits, Outbox, Peer, Protocol, ProtocolError, Request, Ticket};
use net::{ListenerConfig, web_socket};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::secured::Secured;
use crate::server::{Server, read, read_to_end};
use crate::web_socket::{BINARY, frame, upgraded};

/// Says what it hears, message by message; ends the conversation at one that is announced as too long.
#[derive(Clone, Copy)]
struct Echo {
    /// Whether the first message opens a session.
    asks: bool,
    /// How long a message may be.
    most: usize,
}

const MOST: usize = 100_000;

impl Protocol for Echo {
    fn label(&self) -> &'static str {
        "echo"
    }

    fn accept(&self, _: Peer) -> Box<dyn Connection> {
        Box::new(*self)
    }
}

impl Connection for Echo {
    fn receive(&mut self, input: &[u8], _: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        let Some((prefix, rest)) = input.split_first_chunk::<4>() else { return Ok(0) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > self.most {
            out.send(b"\0\0\0\x02no");
            return Err(ProtocolError::malformed("too long"));
        }
        let Some(message) = rest.get(..length) else { return Ok(0) };
        if std::mem::take(&mut self.asks) {
            out.request(Ticket::NONE, Request::Connect(Box::new(harness::connect("c"))));
        }
        out.send(&[prefix, message].concat());
        Ok(4 + length)
    }

    fn handle(&mut self, _: Event, _: Instant, _: &mut Outbox) {}

    fn room(&self) -> usize {
        0
    }
}

fn config(before: usize) -> ListenerConfig {
    let web_socket = web_socket::Config {
        paths: vec!["/mqtt".to_owned()],
        subprotocols: vec!["mqtt".to_owned()],
        origins: Vec::new(),
        max_frame: 1 << 20,
        takes_text: false,
        max_message: Some(MOST),
        max_message_before: before,
    };
    ListenerConfig { web_socket: Some(web_socket), ..ListenerConfig::default() }
}

async fn open() -> (Server, TcpStream) {
    open_with(Echo { asks: false, most: MOST }, MOST).await
}

async fn open_with(echo: Echo, before: usize) -> (Server, TcpStream) {
    let server = Server::start(Arc::new(echo), config(before), Limits::default());
    let peer = TcpStream::connect(server.address).await.unwrap();
    (server, upgraded(peer, "").await)
}

const FRAGMENT: u8 = 0x02;
const CONTINUATION: u8 = 0x00;
const LAST: u8 = 0x80;

#[tokio::test]
async fn each_message_comes_whole_and_is_answered_in_one_frame_however_it_was_cut() {
    let (_server, mut peer) = open().await;
    let parts = [
        frame(FRAGMENT, b"one "),
        frame(CONTINUATION, b""),
        frame(0x89, b"?"),
        frame(LAST, b"message"),
        frame(BINARY, b"two"),
        frame(BINARY, b""),
    ];
    for byte in parts.concat() {
        peer.write_all(&[byte]).await.unwrap();
    }
    let expected = b"\x8a\x01?\x82\x0bone message\x82\x03two\x82\x00";
    assert_eq!(read(&mut peer, expected.len()).await, expected);
    peer.write_all(&[frame(BINARY, b"a"), frame(BINARY, b"b")].concat()).await.unwrap();
    assert_eq!(read(&mut peer, 6).await, b"\x82\x01a\x82\x01b");
}

#[tokio::test]
async fn a_message_longer_than_a_read_is_one_message() {
    let (_server, mut peer) = open().await;
    let long = vec![7; MOST];
    peer.write_all(&frame(BINARY, &long)).await.unwrap();
    let head = [&b"\x82\x7f"[..], &(MOST as u64).to_be_bytes()].concat();
    assert_eq!(read(&mut peer, head.len()).await, head);
    assert_eq!(read(&mut peer, MOST).await, long);
}

#[tokio::test]
async fn a_message_that_is_too_long_is_announced_and_the_protocol_has_the_last_word() {
    for cut in [vec![frame(BINARY, &[1; MOST + 1])], vec![frame(FRAGMENT, &[1; MOST]), frame(LAST, b"x")]] {
        let (_server, mut peer) = open().await;
        let _ = peer.write_all(&cut.concat()).await;
        assert_eq!(read_to_end(&mut peer).await, b"\x82\x02no\x88\x02\x03\xf1", "1009: too large");
    }
}

#[tokio::test]
async fn a_stranger_is_put_together_less_than_whoever_has_a_session() {
    const BEFORE: usize = 1_000;
    let long = [frame(FRAGMENT, &[1; BEFORE]), frame(LAST, b"x")].concat();
    let (_server, mut peer) = open_with(Echo { asks: false, most: BEFORE }, BEFORE).await;
    peer.write_all(&frame(BINARY, b"a")).await.unwrap();
    assert_eq!(read(&mut peer, 3).await, b"\x82\x01a");
    let _ = peer.write_all(&long).await;
    assert_eq!(read_to_end(&mut peer).await, b"\x82\x02no\x88\x02\x03\xf1", "1009: too large");

    let (_server, mut peer) = open_with(Echo { asks: true, most: MOST }, BEFORE).await;
    peer.write_all(&frame(BINARY, b"a")).await.unwrap();
    assert_eq!(read(&mut peer, 3).await, b"\x82\x01a");
    peer.write_all(&long).await.unwrap();
    let head = b"\x82\x7e\x03\xe9";
    assert_eq!(read(&mut peer, head.len()).await, head);
    assert_eq!(read(&mut peer, BEFORE + 1).await[BEFORE], b'x');
}

/// A client of TLS that asks for another protocol is refused, one that asks for none is let in.
#[tokio::test]
async fn tls_offers_the_name_of_the_protocol() {
    let config = ListenerConfig { alpn: &[b"echo"], ..ListenerConfig::default() };
    let secured = Secured::new(config, Limits::default());
    assert_eq!(secured.asked_for(&[]).await.unwrap(), None);
    assert_eq!(secured.asked_for(&[b"x", b"echo"]).await.unwrap(), Some(b"echo".to_vec()));
    assert!(secured.asked_for(&[b"x"]).await.is_err());
}
