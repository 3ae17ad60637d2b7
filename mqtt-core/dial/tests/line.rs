//! A line, against servers that say exactly what is written here.

use std::time::Duration;

use bus::{Carrier, Publish, Qos, Topic};
use dial::{Dial, DialError, Event, Farewell, Line, Lost, Reconnect, Target};
use mqtt::{ClientEvent, ClientOptions, ReasonCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CONNACK: &[u8] = b"\x20\x02\x00\x00";

async fn listener() -> (TcpListener, Dial) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Dial::new(Target::new(Carrier::Tcp, "127.0.0.1", Some(port))))
}

fn line(dial: Dial, reconnect: Option<Reconnect>) -> Line {
    let options = ClientOptions { keep_alive: 0, ..ClientOptions::new(Version::V311, "c") };
    Line::new(dial, options, reconnect, 1)
}

fn message(size: usize, qos: Qos) -> Publish {
    Publish::new(Topic::parse("a").unwrap(), vec![b'x'; size], qos)
}

async fn accept(listener: &TcpListener, answer: &[u8]) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    expect(&mut stream, b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01c").await;
    stream.write_all(answer).await.unwrap();
    stream
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut came = vec![0; bytes.len()];
    stream.read_exact(&mut came).await.unwrap();
    assert_eq!(came, bytes);
}

async fn connected(line: &mut Line) {
    let event = line.next().await;
    assert!(matches!(event, Some(Event::Mqtt(ClientEvent::Connected(_)))), "{event:?}");
}

#[tokio::test]
async fn a_line_connects_publishes_and_leaves() {
    let (listener, dial) = listener().await;
    let server = tokio::spawn(async move {
        let mut stream = accept(&listener, CONNACK).await;
        expect(&mut stream, b"\x32\x06\x00\x01a\x00\x01x").await;
        stream.write_all(b"\x40\x02\x00\x01").await.unwrap();
        expect(&mut stream, b"\x30\x04\x00\x01ax\xE0\x00").await;
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "the client has closed");
    });
    let mut line = line(dial, None);
    connected(&mut line).await;
    line.publish(message(1, Qos::AtLeastOnce)).unwrap();
    assert_eq!(line.unacknowledged(), 1);
    let event = line.next().await;
    assert!(matches!(event, Some(Event::Mqtt(ClientEvent::Published(_, ReasonCode::SUCCESS)))), "{event:?}");
    line.publish(message(1, Qos::AtMostOnce)).unwrap();
    line.close(&Farewell::default()).await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_what_is_kept_is_sent_there() {
    let (listener, dial) = listener().await;
    let server = tokio::spawn(async move {
        let mut first = accept(&listener, CONNACK).await;
        expect(&mut first, b"\x32\x06\x00\x01a\x00\x01x").await;
        drop(first);
        let mut second = accept(&listener, CONNACK).await;
        expect(&mut second, b"\x32\x06\x00\x01a\x00\x01x").await;
        second.write_all(b"\x40\x02\x00\x01").await.unwrap();
        second
    });
    let soon = Duration::from_millis(1);
    let mut line = line(dial, Some(Reconnect { first: soon, longest: soon }));
    connected(&mut line).await;
    line.publish(message(1, Qos::AtLeastOnce)).unwrap();
    let event = line.next().await;
    assert!(matches!(event, Some(Event::Lost(_, Some(wait))) if wait == soon), "{event:?}");
    connected(&mut line).await;
    let event = line.next().await;
    assert!(matches!(event, Some(Event::Mqtt(ClientEvent::Published(..)))), "{event:?}");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn without_a_wish_to_reconnect_a_loss_is_the_last_event() {
    let (listener, dial) = listener().await;
    let server = tokio::spawn(async move { drop(accept(&listener, b"\x20\x02\x00\x05").await) });
    let mut line = line(dial, None);
    let event = line.next().await;
    let Some(Event::Lost(Lost::Refused(refusal), None)) = event else { panic!("{event:?}") };
    assert_eq!(refusal.code, ReasonCode(5));
    assert!(line.next().await.is_none());
    server.await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_told_with_what_can_be_done() {
    let (listener, dial) = listener().await;
    let target = dial.target.to_string();
    drop(listener);
    let event = line(dial, None).next().await;
    let Some(Event::Lost(Lost::Dial(error @ DialError::Connect { .. }), None)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(error.to_string(), format!("connection refused: is a server on {target}?"));
}

#[tokio::test]
async fn a_server_that_reads_nothing_fills_a_bounded_buffer() {
    let (listener, dial) = listener().await;
    let mut line = line(dial, None);
    let (mut stream, ()) = tokio::join!(accept(&listener, CONNACK), connected(&mut line));
    let mut published: usize = 0;
    loop {
        // A turn that writes as much as the system takes, and waits for nothing.
        tokio::select! {
            biased;
            event = line.next() => assert!(matches!(event, Some(Event::Room)), "{event:?}"),
            () = std::future::ready(()) => {}
        }
        if !line.has_room() {
            break;
        }
        while line.has_room() {
            line.publish(message(10_000, Qos::AtMostOnce)).unwrap();
            published += 1;
        }
        assert!(published < 100_000, "1 GB is no bound");
    }
    let read = async {
        let mut left: usize = published * (10_000 + 6);
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            left = left.saturating_sub(stream.read(&mut buffer).await.unwrap());
        }
    };
    let room = async {
        let event = line.next().await;
        assert!(matches!(event, Some(Event::Room)), "{event:?}");
        line.close(&Farewell::default()).await.unwrap();
    };
    tokio::join!(read, room);
}

#[tokio::test]
async fn a_server_of_mqtt_5_hears_why_it_is_left() {
    let (listener, dial) = listener().await;
    let options = ClientOptions { keep_alive: 0, ..ClientOptions::new(Version::V5, "c") };
    let mut line = Line::new(dial, options, None, 1);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"\x20\x03\x00\x00\x00\xC1\x00").await.unwrap();
        let mut said = Vec::new();
        // The connection may be reset after the last words.
        let _ = stream.read_to_end(&mut said).await;
        assert!(said.ends_with(b"\xE0\x01\x81"), "{said:02X?}");
    };
    let client = async {
        connected(&mut line).await;
        let event = line.next().await;
        assert!(matches!(event, Some(Event::Lost(Lost::Client(_), None))), "{event:?}");
    };
    tokio::join!(server, client);
}
