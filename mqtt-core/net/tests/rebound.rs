//! A CoAP client in connection mode that sends from another address.

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Config, Hooks, Opened, Session};
use bus::{Address, Limits, Peer, Publish, Qos, Topic, Transport};
use coap::{Coap, Code, Message, Token};
use net::{ListenerConfig, Running, Stop, bind};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    broker: Broker,
    _running: Running,
    _stop: Stop,
    address: std::net::SocketAddr,
}

impl Server {
    fn new(rebind: bool) -> Self {
        let (stop, limits) = (Stop::new(), Limits::default());
        let broker = Broker::new(Config::default(), Hooks::open(), Vec::new());
        let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Datagram).unwrap();
        let address = bound.address;
        let coap = Arc::new(Coap::new(coap::Config::default(), limits.clone()));
        let config = ListenerConfig { rebind, ..ListenerConfig::default() };
        let running = bound.serve("test".into(), coap, broker.clone(), config, limits, &stop);
        Self { broker, _running: running, _stop: stop, address }
    }

    async fn peer(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket
    }

    /// Somebody publishes on a topic.
    fn publish(&self, topic: &str, payload: &'static str) {
        let peer = Peer {
            address: Address::Internal,
            listener: "test".into(),
            transport: Transport::Stream,
            seed: 1,
            link: Default::default(),
        };
        let now = std::time::Instant::now();
        let opened = self.broker.connect(harness::connect("publisher"), peer, now);
        let broker::Answer::Now(Ok(Opened::Session(mut session, _))) = opened else { panic!("let in") };
        let publish = Publish::new(Topic::parse(topic).unwrap(), payload, Qos::AtLeastOnce);
        let session: &mut Session = &mut session;
        assert!(matches!(session.publish(publish, now), broker::Answer::Now(Ok(_))));
    }
}

async fn receive(socket: &UdpSocket) -> Message {
    let mut bytes = vec![0; 1_500];
    let length = timeout(PATIENCE, socket.recv(&mut bytes)).await.expect("an answer in time").unwrap();
    Message::decode(&bytes[..length]).unwrap()
}

/// One confirmable request, `id` telling it from others.
async fn ask(socket: &UdpSocket, method: Code, id: u8, uri: &str, observe: bool) -> Message {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mut message = Message::request(method).with_path(path.split('/')).with_token(Token::new(&[id]));
    message = query.split('&').fold(message, |message, argument| message.with_query(argument));
    if observe {
        message = message.with_observe(0);
    }
    let mut datagram = message.encode();
    datagram[3] = id;
    socket.send(&datagram).await.unwrap();
    receive(socket).await
}

/// Opens a connection and observes; returns the token that the connection goes by.
async fn observing(socket: &UdpSocket) -> String {
    let opened = ask(socket, Code::POST, 1, "mqtt/connection?clientid=c&username=u&password=p", false).await;
    assert_eq!(opened.code(), Code::CREATED);
    let token = String::from_utf8(opened.payload().to_vec()).unwrap();
    let first = ask(socket, Code::GET, 2, &format!("ps/t?clientid=c&token={token}"), true).await;
    assert_eq!((first.code(), first.observe()), (Code::CONTENT, Some(1)));
    token
}

#[tokio::test]
async fn the_right_token_from_another_address_takes_the_connection_and_its_observations_along() {
    let server = Server::new(true);
    let (before, after) = (server.peer().await, server.peer().await);
    let token = observing(&before).await;
    let kept = ask(&after, Code::PUT, 3, &format!("mqtt/connection?clientid=c&token={token}"), false).await;
    assert_eq!(kept.code(), Code::CHANGED, "a heartbeat is enough");
    server.publish("t", "here");
    let notification = receive(&after).await;
    assert_eq!((notification.token().as_slice(), notification.payload()), (&[2][..], &b"here"[..]));
    let mut bytes = [0; 64];
    assert!(before.try_recv(&mut bytes).is_err(), "nothing goes where it was");
    let again = ask(&before, Code::PUT, 4, &format!("mqtt/connection?c=c&t={token}"), false).await;
    assert_eq!(again.code(), Code::CHANGED, "and it may come back");
}

#[tokio::test]
async fn a_wrong_token_or_client_id_from_another_address_takes_nothing() {
    let server = Server::new(true);
    let (before, after) = (server.peer().await, server.peer().await);
    let token = observing(&before).await;
    let wrong = ["clientid=c&token=1", &format!("clientid=d&token={token}"), &format!("token={token}")];
    for (id, query) in (3..).zip(wrong) {
        let answer = ask(&after, Code::PUT, id, &format!("mqtt/connection?{query}"), false).await;
        assert_eq!(answer.code(), Code::UNAUTHORIZED, "{query}");
    }
    server.publish("t", "here");
    assert_eq!(receive(&before).await.payload(), b"here");
}

#[tokio::test]
async fn where_the_listener_does_not_rebind_a_token_counts_at_its_address_alone() {
    let server = Server::new(false);
    let (before, after) = (server.peer().await, server.peer().await);
    let token = observing(&before).await;
    let answer = ask(&after, Code::PUT, 3, &format!("mqtt/connection?clientid=c&token={token}"), false).await;
    assert_eq!(answer.code(), Code::UNAUTHORIZED);
    server.publish("t", "here");
    assert_eq!(receive(&before).await.payload(), b"here");
}
