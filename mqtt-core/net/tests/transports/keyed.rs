//! Streams that a session secures, over one that encrypts nothing: it adds 1 to each byte.

use std::sync::Arc;

use bus::{Carrier, KeyMark, Limits, Reason};
use dtls::{
    Engine, EngineError, EngineFactory, Identity, Proof, Refusal, Settings, StreamAcceptor, StreamError,
    StreamSession,
};
use net::{KeyedOffer, ListenerConfig, Offer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::server::{CONNACK, CONNECT, Server, read, read_to_end};
use crate::session::ANN_AND_BOB;

struct Shifts;

/// The first byte of the peer is how long its name is; `!` ends the session, and `?` is no record.
#[derive(Default)]
struct Shifting {
    hello: Vec<u8>,
    name: Option<String>,
    plain: Vec<u8>,
    output: Vec<u8>,
    is_closed: bool,
}

impl EngineFactory for Shifts {
    fn engine(&self, _: &Settings) -> Result<Box<dyn Engine>, EngineError> {
        Err(EngineError::NothingToShow)
    }

    fn stream(&self, _: &Settings) -> Result<Box<dyn StreamAcceptor>, EngineError> {
        Ok(Box::new(Self))
    }
}

impl StreamAcceptor for Shifts {
    fn accept(&self) -> Result<Box<dyn StreamSession>, EngineError> {
        Ok(Box::new(Shifting::default()))
    }
}

impl StreamSession for Shifting {
    fn receive(&mut self, ciphertext: &[u8]) -> Result<(), StreamError> {
        for byte in ciphertext {
            if self.name.is_none() {
                self.hello.push(*byte);
                if self.hello.len() > usize::from(self.hello[0]) {
                    let name = String::from_utf8(self.hello.split_off(1)).unwrap();
                    if name != "ann" {
                        self.output.push(b'A');
                        return Err(StreamError::Refused(Refusal::UnknownIdentity(name)));
                    }
                    self.output.push(b'O');
                    self.name = Some(name);
                }
                continue;
            }
            match byte {
                b'!' => self.is_closed = true,
                b'?' => return Err(StreamError::Malformed("no record".to_owned())),
                byte => self.plain.push(byte.wrapping_sub(1)),
            }
        }
        Ok(())
    }

    fn read(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.plain);
    }

    fn write(&mut self, plaintext: &[u8]) -> Result<(), StreamError> {
        self.output.extend(plaintext.iter().map(|byte| byte.wrapping_add(1)));
        Ok(())
    }

    fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn is_handshaking(&self) -> bool {
        self.name.is_none()
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn identity(&self) -> Option<Identity> {
        let identity = |name: &String| Identity {
            version: "TLS 1.2".into(),
            cipher: "TLS_PSK_WITH_AES_128_GCM_SHA256".into(),
            server_name: None,
            proof: Proof::Key(name.as_str().into()),
        };
        self.name.as_ref().map(identity)
    }

    fn close(&mut self) {
        self.output.push(b'!');
    }
}

fn keyed(limits: Limits) -> Server {
    let offer = Offer::new(Settings::default(), Some(Arc::new(ANN_AND_BOB)));
    let offers = watch::Sender::new(Arc::new(KeyedOffer::new(&Shifts, offer).unwrap()));
    let config = ListenerConfig { psk: Some(offers.subscribe()), ..ListenerConfig::default() };
    Server::mqtt(config, limits)
}

async fn open(server: &Server, hello: &[u8]) -> TcpStream {
    let mut peer = TcpStream::connect(server.address).await.unwrap();
    peer.write_all(hello).await.unwrap();
    peer
}

fn shifted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte.wrapping_add(1)).collect()
}

#[tokio::test]
async fn a_key_secures_a_stream_and_tells_who_is_there() {
    let server = keyed(Limits::default());
    // What comes with the end of the handshake is not lost.
    let mut peer = open(&server, &[b"\x03ann", &shifted(CONNECT)[..]].concat()).await;
    assert_eq!(read(&mut peer, 5).await, [b"O", &shifted(CONNACK)[..]].concat());
    let link = server.seen.lock()[0].link.clone();
    let secured = link.secured.unwrap();
    assert_eq!((link.carrier, &*secured.version), (Carrier::TlsPsk, "TLS 1.2"));
    assert_eq!((secured.psk_identity.as_deref(), secured.psk_mark), (Some("ann"), Some(KeyMark([1; 16]))));
    peer.write_all(&shifted(b"\xe0\0")).await.unwrap();
    assert_eq!(read_to_end(&mut peer).await, b"!", "DISCONNECT, and a good-bye");
    server.closed(Reason::Disconnected).await;
}

#[tokio::test]
async fn a_large_message_goes_through_a_session_in_both_directions() {
    let server = keyed(Limits::default());
    let mut peer = open(&server, &[b"\x03ann", &shifted(CONNECT)[..]].concat()).await;
    read(&mut peer, 5).await;
    peer.write_all(&shifted(b"\x82\x06\0\x01\0\x01t\0")).await.unwrap();
    read(&mut peer, 5).await;
    let message = [b"\x30\xc3\x84\x3d\0\x01t".as_slice(), &[b'x'; 1_000_000]].concat();
    let (mut reader, mut writer) = peer.into_split();
    let sent = shifted(&message);
    // The half is kept until all has come back: when it goes, the stream ends.
    let writing = tokio::spawn(async move { writer.write_all(&sent).await.map(|()| writer) });
    assert!(read(&mut reader, message.len()).await == shifted(&message), "it came back changed");
    drop(writing.await);
}

#[tokio::test]
async fn who_has_no_key_learns_why_and_takes_no_place() {
    let limits = Limits { handshake: std::time::Duration::from_millis(200), ..Limits::default() };
    let server = keyed(limits);
    let mut stranger = open(&server, b"\x03eve").await;
    assert_eq!(read_to_end(&mut stranger).await, b"A", "the alert");
    server.closed(Reason::BadCredentials).await;
    let mut silent = open(&server, b"\x03an").await;
    assert_eq!(read_to_end(&mut silent).await, b"");
    server.closed(Reason::HandshakeTimeout).await;
    server.until("no connection", |server| server.running.open() == 0).await;
}

#[tokio::test]
async fn a_session_that_ends_or_breaks_ends_its_connection() {
    for (bytes, reason) in [(b"!", Reason::PeerClosed), (b"?", Reason::TlsFailed)] {
        let server = keyed(Limits::default());
        let mut peer = open(&server, &[b"\x03ann", &shifted(CONNECT)[..]].concat()).await;
        read(&mut peer, 5).await;
        peer.write_all(bytes).await.unwrap();
        server.closed(reason).await;
        read_to_end(&mut peer).await;
    }
}
