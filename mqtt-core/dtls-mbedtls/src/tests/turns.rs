//! Handshakes wait for their turn; what is a session's does not.

use std::net::SocketAddr;

use dtls::{Effects, Engine, SessionEvent, Settings};

use super::world::{Peer, World, dev1};
use crate::ffi::testing::Wishes;

/// Brings a datagram to the engine, whose handshakes do not go on by that.
fn arrive(world: &mut World, datagram: &[u8], from: SocketAddr) -> Effects {
    let mut effects = Effects::new();
    world.engine.receive(datagram, from, world.now, &mut effects);
    effects
}

/// A client that has its cookie, and its hello with it.
fn proved(world: &mut World, address: &str) -> (Peer, Vec<u8>) {
    let mut peer = world.peer(address, &dev1());
    let hello = std::mem::take(&mut peer.output).concat();
    for (_, request) in arrive(world, &hello, peer.address).datagrams {
        peer.take(&request, world.now);
    }
    let hello = std::mem::take(&mut peer.output).concat();
    (peer, hello)
}

#[test]
fn a_session_is_served_while_handshakes_wait() {
    let mut world = World::with_key(Settings::default());
    let (mut steady, session) = world.open("192.0.2.9:9", &dev1());
    let waiting: Vec<_> = (1..=5).map(|port| proved(&mut world, &format!("192.0.2.1:{port}"))).collect();
    for (peer, hello) in &waiting {
        assert_eq!(arrive(&mut world, hello, peer.address), Effects::new());
    }
    assert_eq!(world.engine.counts().half_open, 0);
    let record = steady.encrypt(b"x", world.now);
    let received = SessionEvent::Received { session, plaintext: b"x".to_vec() };
    assert_eq!(arrive(&mut world, &record, steady.address).events, [received]);
    for (begun, (peer, _)) in waiting.iter().enumerate() {
        let mut effects = Effects::new();
        assert!(world.engine.work(world.now, &mut effects));
        assert!(
            effects.datagrams.iter().all(|(to, _)| *to == peer.address),
            "in the order in which they came"
        );
        assert_eq!(world.engine.counts().half_open, begun + 1);
    }
    assert!(!world.engine.work(world.now, &mut Effects::new()));
}

/// Who resumes a session says the last word of the handshake, and may go on at once.
#[test]
fn what_comes_right_behind_a_handshake_is_read_after_it() {
    for connection_id in [false, true] {
        let mut world = World::with_key(Settings::default());
        let wishes = Wishes { connection_id, ..dev1() };
        let (first, _) = world.open("192.0.2.1:1", &wishes);
        let mut peer = world.resuming("192.0.2.1:2", &wishes, Some(&first.ticket()));
        world.events.clear();
        while !peer.is_open {
            for datagram in std::mem::take(&mut peer.output) {
                for (_, answer) in world.deliver(&datagram, peer.address) {
                    peer.take(&answer, world.now);
                }
            }
        }
        let last = std::mem::take(&mut peer.output);
        let data = peer.encrypt(b"at once", world.now);
        for datagram in last.iter().chain([&data]) {
            assert_eq!(arrive(&mut world, datagram, peer.address), Effects::new());
        }
        let mut effects = Effects::new();
        while world.engine.work(world.now, &mut effects) {}
        let [SessionEvent::Opened { session, .. }, received] = effects.events.as_slice() else {
            panic!("{:?}", effects.events)
        };
        let plaintext = b"at once".to_vec();
        assert_eq!(*received, SessionEvent::Received { session: *session, plaintext });
    }
}

#[test]
fn so_much_waits_and_no_more() {
    let mut world = World::with_key(Settings { half_open: 10, ..Settings::default() });
    let (peer, hello) = proved(&mut world, "192.0.2.1:1");
    for _ in 0..20 {
        arrive(&mut world, &hello, peer.address);
    }
    assert_eq!(world.engine.counts().turned_away, 4);
    for port in 2..=1_100 {
        let (peer, hello) = proved(&mut world, &format!("192.0.2.1:{port}"));
        arrive(&mut world, &hello, peer.address);
    }
    assert_eq!(world.engine.counts().turned_away, 4 + 1_099 - (1_024 - 16));
    let mut steps = 0;
    while world.engine.work(world.now, &mut Effects::new()) {
        steps += 1;
    }
    assert_eq!((steps, world.engine.counts().half_open), (1_024, 10));
    let (peer, hello) = proved(&mut world, "192.0.2.1:1");
    arrive(&mut world, &hello, peer.address);
    assert!(world.engine.work(world.now, &mut Effects::new()), "there is room again");
}
