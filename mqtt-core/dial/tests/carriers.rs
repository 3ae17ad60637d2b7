//! The same conversation over everything that carries bytes.

use std::sync::Arc;

use bus::Carrier;
use dial::{Dial, Event, Farewell, Line, Lost, Target};
use futures_util::{SinkExt, StreamExt};
use mqtt::{ClientEvent, ClientOptions, Version};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

const CONNECT: &[u8] = b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01c";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const PUBLISH: &[u8] = b"\x30\x05\x00\x01ahi";
const DISCONNECT: &[u8] = b"\xE0\x00";

/// The server's side, on a stream.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut came = vec![0; CONNECT.len()];
    stream.read_exact(&mut came).await.unwrap();
    assert_eq!(came, CONNECT);
    stream.write_all(&[CONNACK, PUBLISH].concat()).await.unwrap();
    stream.flush().await.unwrap();
    let mut last = vec![0; DISCONNECT.len()];
    stream.read_exact(&mut last).await.unwrap();
    assert_eq!(last, DISCONNECT);
}

/// The client's side.
async fn converse(dial: Dial) {
    let mut line = line(dial);
    let event = line.next().await;
    assert!(matches!(event, Some(Event::Mqtt(ClientEvent::Connected(_)))), "{event:?}");
    let event = line.next().await;
    let Some(Event::Mqtt(ClientEvent::Message(message))) = event else { panic!("{event:?}") };
    assert_eq!(&message.publish.payload[..], b"hi");
    line.close(&Farewell::default()).await.unwrap();
}

fn line(dial: Dial) -> Line {
    let options = ClientOptions { keep_alive: 0, ..ClientOptions::new(Version::V311, "c") };
    Line::new(dial, options, None, 1)
}

/// A certificate for this machine, and a client that trusts it.
fn secured() -> (rustls::ServerConfig, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, Arc::new(client))
}

async fn tcp(carrier: Carrier) -> (TcpListener, Dial) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Dial::new(Target::new(carrier, "127.0.0.1", Some(port))))
}

/// Accepts a WebSocket that asks for MQTT.
async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> tokio_tungstenite::WebSocketStream<S> {
    #[allow(clippy::result_large_err, reason = "the library says so")]
    let choose = |request: &Request, mut answer: Response| -> Result<Response, ErrorResponse> {
        assert_eq!(
            (request.uri().path(), &request.headers()["sec-websocket-protocol"]),
            ("/mqtt", &"mqtt".parse().unwrap())
        );
        answer.headers_mut().insert("sec-websocket-protocol", "mqtt".parse().unwrap());
        Ok(answer)
    };
    tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap()
}

#[tokio::test]
async fn over_tcp() {
    let (listener, dial) = tcp(Carrier::Tcp).await;
    tokio::join!(async { serve(listener.accept().await.unwrap().0).await }, converse(dial));
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let dial = Dial::new(Target::new(Carrier::Unix, path.to_str().unwrap(), None));
    tokio::join!(async { serve(listener.accept().await.unwrap().0).await }, converse(dial));
}

#[tokio::test]
async fn over_tls() {
    let (listener, mut dial) = tcp(Carrier::Tls).await;
    let (server, client) = secured();
    dial.tls = Some(client);
    dial.server_name = Some("localhost".to_owned());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let serving = async {
        let stream = listener.accept().await.unwrap().0;
        serve(acceptor.accept(stream).await.unwrap()).await;
    };
    tokio::join!(serving, converse(dial));
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let (listener, mut dial) = tcp(Carrier::Tls).await;
    let (server, client) = secured();
    dial.tls = Some(client);
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let serving = async {
        let stream = listener.accept().await.unwrap().0;
        assert!(acceptor.accept(stream).await.is_err());
    };
    let mut line = line(dial);
    let (_, event) = tokio::join!(serving, line.next());
    let Some(Event::Lost(Lost::Dial(error), None)) = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn a_secured_target_wants_to_know_whom_to_trust() {
    let (_listener, dial) = tcp(Carrier::Tls).await;
    let event = line(dial).next().await;
    let Some(Event::Lost(Lost::Dial(error), None)) = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("whom to trust"), "{error}");
}

#[tokio::test]
async fn over_quic() {
    let (mut server, client) = secured();
    server.alpn_protocols = vec![b"mqtt".to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(server).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let port = endpoint.local_addr().unwrap().port();
    let mut dial = Dial::new(Target::new(Carrier::Quic, "127.0.0.1", Some(port)));
    dial.tls = Some(client);
    dial.server_name = Some("localhost".to_owned());
    let serving = async {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let (send, receive) = connection.accept_bi().await.unwrap();
        serve(tokio::io::join(receive, send)).await;
        drop(connection);
    };
    tokio::join!(serving, converse(dial));
}

#[tokio::test]
async fn over_a_websocket_whatever_its_frames_hold() {
    let (listener, dial) = tcp(Carrier::WebSocket).await;
    let serving = async {
        let mut socket = websocket(listener.accept().await.unwrap().0).await;
        let came = socket.next().await.unwrap().unwrap();
        assert_eq!(came, Message::binary(CONNECT));
        let all = [CONNACK, PUBLISH].concat();
        for part in [&all[..1], &[], &all[1..6], &all[6..]] {
            socket.send(Message::binary(part.to_vec())).await.unwrap();
            socket.send(Message::Ping(b"p".to_vec().into())).await.unwrap();
        }
        let mut last = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Binary(bytes) => last.extend_from_slice(&bytes),
                Message::Pong(_) | Message::Close(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(last, DISCONNECT);
    };
    tokio::join!(serving, converse(dial));
}

#[tokio::test]
async fn over_a_websocket_on_tls() {
    let (listener, mut dial) = tcp(Carrier::SecureWebSocket).await;
    let (server, client) = secured();
    dial.tls = Some(client);
    dial.server_name = Some("localhost".to_owned());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let serving = async {
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut socket = websocket(stream).await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(CONNECT));
        socket.send(Message::binary([CONNACK, PUBLISH].concat())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(DISCONNECT));
        while let Some(Ok(_)) = socket.next().await {}
    };
    tokio::join!(serving, converse(dial));
}

#[tokio::test]
async fn text_on_a_websocket_ends_the_connection() {
    let (listener, dial) = tcp(Carrier::WebSocket).await;
    let serving = async {
        let mut socket = websocket(listener.accept().await.unwrap().0).await;
        socket.send(Message::text("hello")).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    };
    let mut line = line(dial);
    let client = async {
        let event = line.next().await;
        assert!(matches!(event, Some(Event::Lost(Lost::Broken(_), None))), "{event:?}");
    };
    tokio::join!(serving, client);
}

#[tokio::test]
async fn a_port_that_speaks_no_websocket_is_told() {
    let (listener, dial) = tcp(Carrier::WebSocket).await;
    let serving = async {
        let mut stream = listener.accept().await.unwrap().0;
        let mut request = [0; 64];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    };
    let mut line = line(dial);
    let (_, event) = tokio::join!(serving, line.next());
    let Some(Event::Lost(Lost::Dial(error), None)) = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("404 Not Found; look at the path"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_soon_over_every_carrier() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for carrier in [Carrier::Tls, Carrier::WebSocket, Carrier::SecureWebSocket, Carrier::Quic] {
        let (_listener, mut dial) = tcp(carrier).await;
        if carrier == Carrier::Quic {
            dial.target.port = silent.local_addr().unwrap().port();
        }
        dial.tls = Some(secured().1);
        dial.server_name = Some("localhost".to_owned());
        let began = tokio::time::Instant::now();
        let error = dial.open().await.unwrap_err().to_string();
        assert!(error.contains("did not answer in time"), "{}: {error}", carrier.name());
        assert!(began.elapsed().as_secs() <= 10, "{}: {:?}", carrier.name(), began.elapsed());
    }
}
