use bus::{Limits, Reason};
use net::ListenerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::secured::Secured;
use crate::server::{Server, read, read_to_end};

/// CONNECT of MQTT 5: clean start, client id `l`.
const CONNECT_5: &[u8] = b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01l";
const SUBSCRIBE_5: &[u8] = b"\x82\x07\0\x01\0\0\x01t\0";

/// Reads a packet; returns its first byte and what follows its length.
async fn packet(peer: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let first = read(peer, 1).await[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = usize::from(read(peer, 1).await[0]);
        length |= (byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return (first, read(peer, length).await);
        }
    }
}

async fn connected<S: AsyncRead + AsyncWrite + Unpin>(mut peer: S, connect: &[u8]) -> S {
    peer.write_all(connect).await.unwrap();
    peer.flush().await.unwrap();
    assert_eq!(packet(&mut peer).await.0, 0x20);
    peer
}

/// What was said to a peer that did not read was dropped if the secured transport alone held something back.
#[tokio::test]
async fn the_last_words_to_a_peer_that_does_not_read_are_kept_over_tls() {
    let secured = Secured::new(ListenerConfig::default(), Limits::default());
    let mut lazy = connected(secured.open().await, CONNECT_5).await;
    lazy.write_all(SUBSCRIBE_5).await.unwrap();
    assert_eq!(packet(&mut lazy).await.0, 0x90);
    let other = [&CONNECT_5[..CONNECT_5.len() - 1], b"w"].concat();
    let mut writer = connected(secured.open().await, &other).await;
    let message = [b"\x30\x84\x20\0\x01t\0".as_slice(), &[7; 4_096]].concat();
    let full =
        |server: &Server| server.broker.stats().dropped.iter().any(|(why, _)| *why == Reason::QueueFull);
    while !full(&secured.server) {
        for _ in 0..100 {
            writer.write_all(&message).await.unwrap();
        }
    }
    let _second = connected(secured.open().await, CONNECT_5).await;
    secured.server.closed(Reason::TakenOver).await;
    loop {
        match packet(&mut lazy).await {
            (0x30, _) => {}
            (first, rest) => {
                assert_eq!((first, rest[0]), (0xe0, 0x8e), "DISCONNECT: session taken over");
                break;
            }
        }
    }
    assert_eq!(read_to_end(&mut lazy).await, b"");
}
