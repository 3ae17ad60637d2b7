use std::net::SocketAddr;
use std::time::Duration;

use dtls::{Effects, Ending, Engine, SessionEvent, SessionId, Settings};

use super::world::{Peer, TestKeys, World, dev1};
use crate::engine::MbedEngine;
use crate::ffi::testing::{Wishes, held_by_c};

const CBC: Option<&str> = Some("TLS_PSK_WITH_AES_128_CBC_SHA256");

fn with_id() -> Wishes {
    Wishes { connection_id: true, ..dev1() }
}

/// So many sessions, one each second, that have said nothing since their handshakes.
fn silent(world: &mut World, count: u16, wishes: &Wishes) -> Vec<(Peer, SessionId)> {
    let sessions = (1..=count).map(|port| {
        world.now += Duration::from_secs(1);
        world.open(&format!("192.0.2.1:{port}"), wishes)
    });
    sessions.collect()
}

fn forged(peer: &mut Peer, world: &World) -> Vec<u8> {
    let mut record = peer.encrypt(b"forged", world.now);
    *record.last_mut().unwrap() ^= 1;
    record
}

/// What went wrong: only what had said something could be parked, so that handshakes alone held all the memory.
#[test]
fn sessions_that_only_shook_hands_are_parked_like_others() {
    let mut world = World::with_key(Settings { live_sessions: 10, ..Settings::default() });
    let before = held_by_c();
    let mut sessions = silent(&mut world, 30, &dev1());
    assert_eq!((world.engine.counts().parked, world.engine.sessions()), (20, 30));
    world.wait(Duration::from_secs(70));
    assert_eq!(world.engine.counts().parked, 30);
    assert!(held_by_c() - before < 30 * 30_000, "the clients' contexts are all that is left");
    world.events.clear();
    for (peer, session) in &mut sessions {
        world.deliver(&peer.encrypt(b"x", world.now), peer.address);
        assert_eq!(world.received(), [(*session, b"x".to_vec())]);
    }
}

#[test]
fn a_client_that_missed_the_end_of_its_handshake_does_no_harm_and_begins_anew() {
    let mut world = World::with_key(Settings::default());
    let mut peer = world.peer("192.0.2.1:1000", &dev1());
    while world.events.is_empty() {
        for datagram in std::mem::take(&mut peer.output) {
            for (_, answer) in world.deliver(&datagram, peer.address) {
                if world.events.is_empty() {
                    peer.take(&answer, world.now);
                }
            }
        }
    }
    assert!(!peer.is_open);
    world.wait(Duration::from_secs(61));
    assert_eq!(world.engine.counts().parked, 1);
    peer.take(&[], world.now);
    assert!(!peer.output.is_empty(), "it sends its last flight again");
    world.settle(&mut peer);
    assert_eq!((world.engine.sessions(), world.events.len()), (1, 1));
    world.open("192.0.2.1:1000", &dev1());
    assert_eq!(world.engine.sessions(), 1);
}

/// Opens a session; returns what others are sent meanwhile.
fn open_beside(world: &mut World, address: &str, wishes: &Wishes) -> (Peer, Vec<(SocketAddr, Vec<u8>)>) {
    let (mut peer, mut others) = (world.peer(address, wishes), Vec::new());
    while !peer.output.is_empty() {
        for datagram in std::mem::take(&mut peer.output) {
            for (to, answer) in world.deliver(&datagram, peer.address) {
                match to == peer.address {
                    true => peer.take(&answer, world.now),
                    false => others.push((to, answer)),
                }
            }
        }
    }
    assert!(peer.is_open);
    (peer, others)
}

#[test]
fn what_cannot_be_parked_ends_when_there_are_too_many_live_sessions() {
    let mut world = World::with_key(Settings { live_sessions: 2, ..Settings::default() });
    let cbc = Wishes { suite: CBC, ..dev1() };
    let mut lasting = silent(&mut world, 2, &cbc);
    world.now += Duration::from_secs(1);
    world.events.clear();
    let (mut peer, told) = open_beside(&mut world, "192.0.2.2:1", &dev1());
    let (first, session) = &mut lasting[0];
    let closed = SessionEvent::Closed { session: *session, ending: Ending::Crowded };
    assert_eq!(world.events.iter().filter(|event| **event == closed).count(), 1);
    assert_eq!((world.engine.sessions(), world.engine.counts().parked), (2, 0));
    assert_eq!((told.len(), told[0].0), (1, first.address));
    first.take(&told[0].1, world.now);
    assert!(first.failed, "it was told good-bye");
    // What can be parked is parked, where it is silent for longer.
    world.now += Duration::from_secs(1);
    let (last, session) = &mut lasting[1];
    world.deliver(&last.encrypt(b"x", world.now), last.address);
    world.now += Duration::from_secs(1);
    let (_, told) = open_beside(&mut world, "192.0.2.2:2", &cbc);
    assert_eq!((told, world.engine.sessions(), world.engine.counts().parked), (Vec::new(), 3, 1));
    world.events.clear();
    world.deliver(&last.encrypt(b"y", world.now), last.address);
    assert_eq!(world.received(), [(*session, b"y".to_vec())]);
    world.deliver(&peer.encrypt(b"z", world.now), peer.address);
    assert_eq!(world.engine.sessions(), 2, "who comes back has a place");
}

#[test]
fn who_forges_records_wakes_a_session_for_a_second_and_its_idle_time_runs_on() {
    let idle_timeout = Some(Duration::from_secs(600));
    let mut world = World::with_key(Settings { idle_timeout, ..Settings::default() });
    let (mut peer, session) = world.open("192.0.2.1:1000", &with_id());
    for _ in 0..9 {
        world.wait(Duration::from_secs(61));
        assert_eq!(world.engine.counts().parked, 1);
        let record = forged(&mut peer, &world);
        world.deliver(&record, peer.address);
        assert_eq!(world.engine.counts().parked, 0);
        world.wait(Duration::from_millis(999));
        assert_eq!(world.engine.counts().parked, 0);
        world.wait(Duration::from_millis(1));
        assert_eq!(world.engine.counts().parked, 1);
    }
    // What is the peer's keeps it awake.
    let record = forged(&mut peer, &world);
    world.deliver(&record, peer.address);
    world.deliver(&peer.encrypt(b"x", world.now), peer.address);
    world.wait(Duration::from_secs(59));
    assert_eq!(world.engine.counts().parked, 0);
    world.wait(Duration::from_secs(540));
    let record = forged(&mut peer, &world);
    world.deliver(&record, peer.address);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.events.last(), Some(&SessionEvent::Closed { session, ending: Ending::Idle }));
}

#[test]
fn what_is_seen_to_be_old_without_keys_wakes_nobody() {
    let mut world = World::with_key(Settings::default());
    let (mut peer, _) = world.open("192.0.2.1:1000", &dev1());
    let old = peer.encrypt(b"old", world.now);
    for _ in 0..100 {
        world.deliver(&peer.encrypt(b"x", world.now), peer.address);
    }
    world.wait(Duration::from_secs(61));
    let mut other_epoch = peer.encrypt(b"x", world.now);
    other_epoch[4] = 2;
    for record in [old, other_epoch] {
        world.deliver(&record, peer.address);
        assert_eq!(world.engine.counts().parked, 1);
    }
    assert_eq!(world.engine.counts().bad_records, 2);
}

#[test]
fn as_many_sessions_are_woken_in_vain_at_once_as_may_be() {
    let mut world = World::with_key(Settings { live_sessions: 1, ..Settings::default() });
    let suite = Some("TLS_PSK_WITH_AES_128_CCM_8");
    let mut sessions = silent(&mut world, 1_010, &Wishes { suite, no_tickets: true, ..dev1() });
    world.wait(Duration::from_secs(61));
    for (peer, _) in &mut sessions {
        let record = forged(peer, &world);
        world.deliver(&record, peer.address);
    }
    assert_eq!((world.engine.counts().parked, world.engine.counts().bad_records), (10, 1_010));
    world.wait(Duration::from_secs(1));
    assert_eq!(world.engine.counts().parked, 1_010);
}

/// What went wrong: one peer with a thousand parked sessions had each woken in vain each second, so that no other's was
/// woken by what it sent.
#[test]
fn a_parked_session_is_woken_however_many_others_are_woken_in_vain() {
    let mut world = World::with_key(Settings::default());
    let suite = Some("TLS_PSK_WITH_AES_128_CCM_8");
    let mut sessions = silent(&mut world, 1_002, &Wishes { suite, no_tickets: true, ..dev1() });
    let others = [sessions.pop().unwrap(), sessions.remove(0)];
    world.wait(Duration::from_secs(61));
    world.events.clear();
    for (mut other, session) in others {
        for (peer, _) in &mut sessions {
            let record = forged(peer, &world);
            world.deliver(&record, peer.address);
        }
        world.deliver(&other.encrypt(b"alarm", world.now), other.address);
        assert_eq!(world.received(), [(session, b"alarm".to_vec())]);
        world.wait(Duration::from_secs(61));
        assert_eq!(world.engine.counts().parked, 1_002);
    }
    // What was woken in vain and made room is woken by what is its own.
    for (peer, session) in &mut sessions {
        world.deliver(&peer.encrypt(b"x", world.now), peer.address);
        assert_eq!(world.received(), [(*session, b"x".to_vec())]);
    }
}

/// What went wrong: such a record woke the session, though none of its peer's is like that.
#[test]
fn a_record_without_an_id_is_not_of_a_session_with_one() {
    let mut world = World::with_key(Settings::default());
    let (mut peer, session) = world.open("192.0.2.1:1000", &with_id());
    world.wait(Duration::from_secs(61));
    let header = [23, 254, 253, 0, 1, 255, 255, 255, 255, 255, 255, 0, 32];
    world.deliver(&[&header[..], &[7; 32]].concat(), peer.address);
    assert_eq!((world.engine.counts().parked, world.engine.counts().bad_records), (1, 1));
    world.events.clear();
    world.deliver(&peer.encrypt(b"x", world.now), peer.address);
    assert_eq!(world.received(), [(session, b"x".to_vec())]);
}

#[test]
fn a_session_that_is_sent_something_is_not_heard_by_that() {
    let idle_timeout = Some(Duration::from_secs(600));
    let mut world = World::with_key(Settings { idle_timeout, ..Settings::default() });
    let (_, session) = world.open("192.0.2.1:1000", &dev1());
    for _ in 0..9 {
        world.wait(Duration::from_secs(61));
        assert_eq!(world.engine.counts().parked, 1);
        assert_eq!(world.send(session, b"x").len(), 1);
        assert_eq!(world.engine.counts().parked, 0);
    }
    world.wait(Duration::from_secs(51));
    assert_eq!(world.events.last(), Some(&SessionEvent::Closed { session, ending: Ending::Idle }));
}

/// Two sessions of one address, restored; the peer without an id is heard.
fn restored(first: &Wishes, second: &Wishes) -> (World, [(Peer, SessionId); 2]) {
    let settings = Settings { psk: Some(TestKeys::with(&["dev1", "dev2"])), ..Settings::default() };
    let mut world = World::new(&settings);
    let here: SocketAddr = "192.0.2.1:1000".parse().unwrap();
    let (mut peer, session) = world.open("192.0.2.1:1000", first);
    world.now += Duration::from_secs(1);
    let mut other = world.open("192.0.2.2:1000", second);
    other.0.address = here;
    world.now += Duration::from_secs(1);
    match second.connection_id {
        // It has moved to the other's address.
        true => drop(world.deliver(&other.0.encrypt(b"moved", world.now), here)),
        false => drop(world.deliver(&peer.encrypt(b"x", world.now), here)),
    }
    let mut saved = world.engine.save();
    assert_eq!(saved.len(), 2);
    for saved in &mut saved {
        saved.address = here;
    }
    world.engine = MbedEngine::new(&settings, world.now).unwrap();
    world.engine.restore(saved, world.now, &mut Effects::new());
    world.events.clear();
    (world, [(peer, session), other])
}

#[test]
fn of_two_restored_sessions_at_one_address_the_one_is_found_that_has_no_id_or_was_heard_last() {
    let dev2 = |wishes: Wishes| Wishes { key: Some(("dev2", b"secretPSK".to_vec())), ..wishes };
    for (first, second) in [(dev1(), dev2(with_id())), (dev1(), dev2(dev1()))] {
        let (mut world, [(mut peer, session), _]) = restored(&first, &second);
        world.deliver(&peer.encrypt(b"still", world.now), peer.address);
        assert_eq!(world.received(), [(session, b"still".to_vec())]);
    }
    let (mut world, [_, (mut peer, session)]) = restored(&dev1(), &dev2(with_id()));
    world.deliver(&peer.encrypt(b"too", world.now), peer.address);
    assert_eq!(world.received(), [(session, b"too".to_vec())], "by its id");
}
