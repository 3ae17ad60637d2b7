//! What is sent to where a DTLS session has moved, before its peer has shown that it hears it. [RFC9146 6]

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::session::{CONNACK, CONNECT, PINGREQ, PINGRESP, Secured, exchange, plain, receive};

/// What session 1 is asked: whether it hears.
const ASKED: &[u8] = b"D\x01\x02\x16";

/// SUBSCRIBE to the topic `ab`, which has a name of two octets.
const SUBSCRIBE: &[u8] = b"D\x01\x07\x12\x02\0\x01ab";
const SUBACK: &[u8] = b"D\x01\x08\x13\x00\0\0\0\x01\0";

/// Publishes 40 bytes on `ab` at QoS 1, in session 2; returns what session 1 will get.
async fn publish(from: &UdpSocket, mark: u8) -> Vec<u8> {
    let message = [mark; 40];
    let publish = [b"D\x02\x2f\x0c\x22ab\0\x01", &message[..]].concat();
    assert_eq!(exchange(from, &publish).await, b"D\x02\x07\x0dab\0\x01\0");
    [b"D\x01\x2f\x0c\x02ab\0\0", &message[..]].concat()
}

/// One whose peer is subscribed and was heard from `there` just now, and a publisher.
async fn moved() -> (Secured, UdpSocket, UdpSocket) {
    let secured = plain();
    let (here, there, publisher) = (secured.peer().await, secured.peer().await, secured.peer().await);
    assert_eq!(exchange(&here, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&here, CONNECT).await, CONNACK);
    assert_eq!(exchange(&here, SUBSCRIBE).await, SUBACK);
    assert_eq!(exchange(&publisher, b"Hbob").await, b"O\x02");
    assert_eq!(exchange(&publisher, b"D\x02\x07\x04\x04\x01\0\x3cd").await, b"D\x02\x03\x05\0");
    assert_eq!(exchange(&there, PINGREQ).await, PINGRESP);
    assert_eq!(receive(&there).await, ASKED);
    (secured, there, publisher)
}

#[tokio::test]
async fn a_peer_that_answers_is_sent_everything() {
    let (_secured, there, publisher) = moved().await;
    there.send(PINGRESP).await.unwrap();
    assert_eq!(exchange(&there, PINGREQ).await, PINGRESP);
    for mark in 0..20 {
        let message = publish(&publisher, mark).await;
        assert_eq!(receive(&there).await, message);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_is_sent_three_times_what_came_from_it_and_no_more() {
    let (_secured, there, publisher) = moved().await;
    let first = publish(&publisher, 0).await;
    for mark in 1..20 {
        publish(&publisher, mark).await;
    }
    assert_eq!(receive(&there).await, first);
    // What comes from there makes room for as much again: what is next is the answer to it.
    assert_eq!(exchange(&there, PINGREQ).await, PINGRESP);
    assert_eq!(receive(&there).await, ASKED);
    assert!(timeout(Duration::from_millis(20), receive(&there)).await.is_err());
}
