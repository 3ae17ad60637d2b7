//! What is sent to where a DTLS session has moved, before its peer has shown that it hears it. [RFC9146 6]

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::server::PATIENCE;
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

/// What went wrong: what waited for a client that had slept was lost when it woke up behind another port of its NAT.
#[tokio::test]
async fn a_client_that_wakes_up_elsewhere_gets_all_that_waited_for_it() {
    let (secured, there, publisher) = asleep().await;
    let mut messages = Vec::new();
    for mark in 0..5 {
        messages.push(publish(&publisher, mark).await);
    }
    assert_eq!(exchange(&there, b"D\x01\x03\x16c").await, ASKED);
    // The first of them is not sent before it has answered: 40 bytes are less than it may be sent by now.
    assert_eq!(exchange(&there, b"D\x01\x03\x16c").await, ASKED);
    there.send(PINGRESP).await.unwrap();
    for message in messages {
        assert_eq!(receive(&there).await, message);
    }
    assert_eq!(receive(&there).await, PINGRESP);
    assert_eq!(secured.server.running.dtls().unwrap().withheld, 0);
}

/// One that sleeps, and will be heard from `there`; and a publisher on what it is subscribed to.
async fn asleep() -> (Secured, UdpSocket, UdpSocket) {
    let (secured, here, there, publisher) = subscribed().await;
    assert_eq!(exchange(&here, b"D\x01\x04\x18\0\x3c").await, b"D\x01\x02\x18");
    (secured, there, publisher)
}

/// One whose peer is subscribed and was heard from `there` just now, and a publisher.
async fn moved() -> (Secured, UdpSocket, UdpSocket) {
    let (secured, _, there, publisher) = subscribed().await;
    assert_eq!(exchange(&there, PINGREQ).await, PINGRESP);
    assert_eq!(receive(&there).await, ASKED);
    (secured, there, publisher)
}

/// One whose peer is subscribed, from the first of the sockets, and a publisher, the last.
async fn subscribed() -> (Secured, UdpSocket, UdpSocket, UdpSocket) {
    let secured = plain();
    let (here, there, publisher) = (secured.peer().await, secured.peer().await, secured.peer().await);
    assert_eq!(exchange(&here, b"Hann").await, b"O\x01");
    assert_eq!(exchange(&here, CONNECT).await, CONNACK);
    assert_eq!(exchange(&here, SUBSCRIBE).await, SUBACK);
    assert_eq!(exchange(&publisher, b"Hbob").await, b"O\x02");
    assert_eq!(exchange(&publisher, b"D\x02\x07\x04\x04\x01\0\x3cd").await, b"D\x02\x03\x05\0");
    (secured, here, there, publisher)
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
async fn a_peer_that_does_not_is_sent_nothing_until_it_does() {
    let (_secured, there, publisher) = moved().await;
    let mut messages = Vec::new();
    for mark in 0..20 {
        messages.push(publish(&publisher, mark).await);
    }
    for _ in 0..10 {
        assert_eq!(exchange(&there, PINGREQ).await, PINGRESP);
        assert_eq!(receive(&there).await, ASKED);
    }
    there.send(PINGRESP).await.unwrap();
    for message in messages {
        assert_eq!(receive(&there).await, message);
    }
}

/// PUBLISH of 200 bytes at QoS 1 is longer than three times a PINGREQ.
#[tokio::test]
async fn what_is_longer_than_three_times_what_came_from_there_is_withheld_and_counted() {
    let (secured, there, publisher) = moved().await;
    assert_eq!(exchange(&there, b"D\x01\x07\x12\x22\0\x01ab").await, ASKED);
    assert_eq!(receive(&there).await, b"D\x01\x08\x13\x20\0\0\0\x01\0");
    let message = [&b"D\x02\xcf\x0c\x22ab\0\x01"[..], &[b'x'; 200]].concat();
    assert_eq!(exchange(&publisher, &message).await, b"D\x02\x07\x0dab\0\x01\0");
    let counted = async {
        while secured.server.running.dtls().unwrap().withheld == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
    assert_eq!(exchange(&there, PINGREQ).await, PINGRESP);
    assert_eq!(receive(&there).await, ASKED);
}
