//! Whose address is banned begins no handshake, wherever in a datagram its hello is.

use std::sync::Arc;

use broker::{Answer, Attempt, Authentication, Authenticator, Hooks, Identity};
use bus::{Address, Reason};
use net::ListenerConfig;

use crate::session::{ANN_AND_BOB, Secured};

/// Lets in whoever comes, unless it comes from this machine.
struct Strangers;

impl Authenticator for Strangers {
    fn admits(&self, address: Address) -> bool {
        !address.is_local()
    }

    fn authenticate(&self, _attempt: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Accept(Identity::default()))
    }
}

/// A record of DTLS 1.2 with a sequence number of 0.
fn record(content: u8, epoch: u8, payload: &[u8]) -> Vec<u8> {
    let head = [content, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, 0, payload.len() as u8];
    [&head, payload].concat()
}

/// What went wrong: a hello behind another record was not seen.
#[tokio::test]
async fn a_hello_is_seen_behind_another_record() {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const DATA: u8 = 23;
    let hello = record(HANDSHAKE, 0, &[1, 0, 0, 0]);
    let finished = record(HANDSHAKE, 1, &[20, 0, 0, 0]);
    let hooks = Hooks { authenticator: Arc::new(Strangers), ..Hooks::open() };
    let secured = Secured::with(hooks, ANN_AND_BOB, ListenerConfig::default(), Vec::new());
    let socket = secured.peer().await;
    let datagrams = [
        (record(DATA, 1, b"x"), 0),
        (hello.clone(), 1),
        ([record(ALERT, 0, &[1, 0]), hello.clone()].concat(), 1),
        ([record(DATA, 1, b"x"), finished.clone(), hello].concat(), 1),
        (finished, 0),
    ];
    let mut seen = 0;
    for (datagram, hellos) in datagrams {
        socket.send(&datagram).await.unwrap();
        seen += hellos;
    }
    let told = move |server: &crate::server::Server| {
        server
            .broker
            .stats()
            .refused
            .iter()
            .any(|(_, reason, count)| (*reason, *count) == (Reason::Banned, seen))
    };
    secured.server.until("three refusals", told).await;
}
