use std::time::Duration;

use dtls::{Effects, Ending, Engine, Proof, SavedSession, SessionEvent, Settings};

use super::world::{Authority, TestKeys, World, dev1};
use crate::engine::MbedEngine;
use crate::ffi::testing::Wishes;

fn with_id() -> Wishes {
    Wishes { connection_id: true, ..dev1() }
}

#[test]
fn a_connection_id_finds_the_session_wherever_it_comes_from() {
    let mut world = World::with_key(Settings::default());
    let (mut peer, session) = world.open("192.0.2.1:1000", &with_id());
    let elsewhere = "198.51.100.9:9".parse().unwrap();
    let record = peer.encrypt(b"moved", world.now);
    assert_eq!(record[0], 25);
    world.deliver(&record, elsewhere);
    let moved = SessionEvent::Moved { session, address: elsewhere };
    let received = SessionEvent::Received { session, plaintext: b"moved".to_vec() };
    assert_eq!(world.events[1..], [moved, received]);
    assert_eq!(world.send(session, b"answer")[0].0, elsewhere);
}

#[test]
fn only_the_newest_record_moves_a_session() {
    let mut world = World::with_key(Settings::default());
    let (mut peer, session) = world.open("192.0.2.1:1000", &with_id());
    let (older, newer) = (peer.encrypt(b"older", world.now), peer.encrypt(b"newer", world.now));
    let elsewhere = "198.51.100.9:9".parse().unwrap();
    world.deliver(&newer, peer.address);
    // One that is late is good, but says nothing of where the peer is now.
    world.deliver(&older, elsewhere);
    assert_eq!(world.received(), [(session, b"newer".to_vec()), (session, b"older".to_vec())]);
    assert_eq!(world.send(session, b"x")[0].0, peer.address);
    // One that was changed, or seen before, is nothing at all.
    let mut forged = peer.encrypt(b"forged", world.now);
    *forged.last_mut().unwrap() ^= 1;
    world.deliver(&forged, elsewhere);
    world.deliver(&newer, elsewhere);
    assert_eq!(world.events, []);
    assert_eq!(world.send(session, b"x")[0].0, peer.address);
    assert_eq!((world.engine.counts().bad_records, world.engine.counts().moved), (2, 0));
}

#[test]
fn without_connection_ids_none_is_offered() {
    let mut world = World::with_key(Settings { connection_id_length: 0, ..Settings::default() });
    let (mut peer, _) = world.open("192.0.2.1:1000", &with_id());
    let record = peer.encrypt(b"x", world.now);
    assert_eq!(record[0], 23);
    assert_eq!(world.deliver(&record, "198.51.100.9:9".parse().unwrap()), []);
    assert_eq!(world.engine.counts().bad_records, 1);
}

#[test]
fn a_silent_session_is_parked_and_comes_back() {
    for suite in ["TLS_PSK_WITH_AES_128_CCM_8", "TLS_PSK_WITH_AES_128_GCM_SHA256"] {
        let mut world = World::with_key(Settings::default());
        let (mut peer, session) = world.open("192.0.2.1:1000", &Wishes { suite: Some(suite), ..with_id() });
        for round in 0..3_u8 {
            let record = peer.encrypt(&[round], world.now);
            world.deliver(&record, peer.address);
            assert_eq!(world.received(), [(session, vec![round])]);
            world.wait(Duration::from_secs(61));
            assert_eq!((world.engine.counts().parked, world.engine.sessions()), (1, 1));
            // What was seen before parking is not taken after it.
            world.deliver(&record, peer.address);
            assert_eq!(world.received(), []);
        }
        world.wait(Duration::from_secs(61));
        assert_eq!(world.engine.counts().parked, 1);
        for (_, datagram) in world.send(session, b"wake") {
            peer.take(&datagram, world.now);
        }
        assert_eq!(peer.received, [b"wake"]);
        assert_eq!(world.engine.counts().parked, 0);
    }
}

#[test]
fn a_session_with_a_cbc_suite_stays_live() {
    let mut world = World::with_key(Settings::default());
    let suite = Some("TLS_PSK_WITH_AES_128_CBC_SHA256");
    let (mut peer, session) = world.open("192.0.2.1:1000", &Wishes { suite, ..dev1() });
    world.deliver(&peer.encrypt(b"a", world.now), peer.address);
    world.wait(Duration::from_secs(3_600));
    assert_eq!(world.engine.counts().parked, 0);
    world.deliver(&peer.encrypt(b"b", world.now), peer.address);
    assert_eq!(world.received(), [(session, b"a".to_vec()), (session, b"b".to_vec())]);
}

#[test]
fn beyond_the_limit_of_live_sessions_the_most_silent_are_parked() {
    let mut world = World::with_key(Settings { live_sessions: 2, ..Settings::default() });
    let mut peers = Vec::new();
    for port in 1..=4 {
        let (mut peer, session) = world.open(&format!("192.0.2.1:{port}"), &dev1());
        world.deliver(&peer.encrypt(b"x", world.now), peer.address);
        world.now += Duration::from_secs(1);
        peers.push((peer, session));
    }
    assert_eq!(world.engine.counts().parked, 2);
    world.events.clear();
    for (peer, session) in &mut peers {
        world.deliver(&peer.encrypt(b"y", world.now), peer.address);
        assert_eq!(world.received(), [(*session, b"y".to_vec())]);
    }
    assert_eq!((world.engine.counts().parked, world.engine.sessions()), (2, 4));
}

#[test]
fn sessions_live_on_in_another_engine() {
    let keys = TestKeys::with(&["dev1"]);
    let settings = Settings { psk: Some(keys), ..Settings::default() };
    let mut world = World::new(&settings);
    let (mut with_id, first) = world.open("192.0.2.1:1000", &with_id());
    let (mut without, second) = world.open("192.0.2.1:2000", &dev1());
    for peer in [&mut with_id, &mut without] {
        world.deliver(&peer.encrypt(b"before", world.now), peer.address);
    }
    world.wait(Duration::from_secs(30));
    let seen = without.encrypt(b"seen", world.now);
    world.deliver(&seen, without.address);
    let saved = world.engine.save();
    assert_eq!((saved.len(), world.engine.sessions()), (2, 0));
    let bytes: Vec<_> = saved.iter().map(SavedSession::encode).collect();
    let mut saved: Vec<_> = bytes.iter().map(|bytes| SavedSession::decode(bytes).unwrap()).collect();
    let mut damaged = saved[0].clone();
    damaged.state[20] ^= 1;
    saved.insert(0, damaged);

    world.engine = MbedEngine::new(&settings, world.now).unwrap();
    world.events.clear();
    let mut effects = Effects::new();
    world.engine.restore(saved, world.now, &mut effects);
    assert_eq!(effects.events.len(), 2);
    world.deliver(&seen, without.address);
    world.deliver(&with_id.encrypt(b"after", world.now), "198.51.100.9:9".parse().unwrap());
    world.deliver(&without.encrypt(b"after", world.now), without.address);
    assert_eq!(world.received(), [(first, b"after".to_vec()), (second, b"after".to_vec())]);
    let (_, third) = world.open("192.0.2.1:3000", &dev1());
    assert!(third > first && third > second);
}

#[test]
fn a_record_is_as_long_as_its_peer_can_take() {
    let mut world = World::with_key(Settings::default());
    let (_, long) = world.open("192.0.2.1:1000", &dev1());
    let (mut peer, short) = world.open("192.0.2.1:2000", &Wishes { short_records: true, ..dev1() });
    assert_eq!((world.engine.room(long), world.engine.room(short)), (4_096, 512));
    world.deliver(&peer.encrypt(b"x", world.now), peer.address);
    for _ in 0..2 {
        assert_eq!(world.send(long, &[7; 4_096]).len(), 1);
        assert_eq!(world.send(short, &[7; 513]), []);
        for (_, datagram) in world.send(short, &[7; 512]) {
            peer.take(&datagram, world.now);
        }
        world.wait(Duration::from_secs(61));
    }
    assert_eq!(peer.received, [[7; 512], [7; 512]]);
}

#[test]
fn a_good_bye_is_answered_with_one() {
    let mut world = World::with_key(Settings::default());
    let (mut peer, session) = world.open("192.0.2.1:1000", &dev1());
    peer.context.close(world.now, &mut peer.output);
    world.settle(&mut peer);
    assert!(peer.failed);
    assert_eq!(world.events[1..], [SessionEvent::Closed { session, ending: Ending::Closed }]);
    assert_eq!(world.engine.sessions(), 0);
}

#[test]
fn a_session_that_is_closed_here_says_so() {
    let mut world = World::with_key(Settings::default());
    let (mut peer, session) = world.open("192.0.2.1:1000", &dev1());
    let mut effects = Effects::new();
    world.engine.close(session, world.now, &mut effects);
    assert_eq!((effects.events.len(), world.engine.sessions()), (0, 0));
    effects.datagrams.iter().for_each(|(_, datagram)| peer.take(datagram, world.now));
    assert!(peer.failed);
}

#[test]
fn a_session_lives_until_another_handshake_at_its_address_is_done() {
    let mut world = World::with_key(Settings::default());
    let (mut old, session) = world.open("192.0.2.1:1000", &dev1());
    let mut new = world.peer("192.0.2.1:1000", &dev1());
    for _ in 0..2 {
        for datagram in std::mem::take(&mut new.output) {
            let answers = world.deliver(&datagram, new.address);
            answers.iter().for_each(|(_, answer)| new.take(answer, world.now));
        }
    }
    assert_eq!(world.engine.counts().half_open, 1);
    world.events.clear();
    world.deliver(&old.encrypt(b"still here", world.now), old.address);
    assert_eq!(world.received(), [(session, b"still here".to_vec())]);
    world.settle(&mut new);
    assert!(new.is_open);
    assert_eq!(world.events[0], SessionEvent::Closed { session, ending: Ending::Replaced });
    assert_eq!(world.engine.sessions(), 1);
}

#[test]
fn a_client_comes_back_with_a_ticket_or_an_id() {
    for no_tickets in [false, true] {
        let keys = TestKeys::with(&["dev1"]);
        let mut world = World::new(&Settings { psk: Some(keys.clone()), ..Settings::default() });
        let wishes = Wishes { no_tickets, ..dev1() };
        let (peer, _) = world.open("192.0.2.1:1000", &wishes);
        let back = peer.ticket();
        let come_back = |world: &mut World| {
            let mut peer = world.resuming("198.51.100.9:9", &wishes, Some(&back));
            world.settle(&mut peer);
            assert!(peer.is_open);
            world.deliver(&peer.encrypt(b"x", world.now), peer.address);
            world.engine.counts().resumed
        };
        assert_eq!(come_back(&mut world), 1);
        let identities: Vec<_> = world
            .events
            .iter()
            .filter_map(|event| match event {
                SessionEvent::Opened { identity, .. } => Some(identity.proof.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(identities[0], identities[1]);
        // Another key ends what was proved with the old one.
        keys.0.lock().unwrap().insert("dev1".to_owned(), b"changed".to_vec());
        let mut peer = world.resuming("198.51.100.9:9", &wishes, Some(&back));
        world.settle(&mut peer);
        assert!(!peer.is_open);
        keys.0.lock().unwrap().insert("dev1".to_owned(), b"secretPSK".to_vec());
        world.now += Duration::from_secs(24 * 3_600);
        assert_eq!(come_back(&mut world), 1, "it is too old");
    }
}

/// What went wrong: a session id is told in the clear. Who named that of another and then spoke a suite without keys was
/// taken for the other.
#[test]
fn who_names_the_session_of_another_and_proves_nothing_is_nobody() {
    let authority = Authority::new("CA");
    let certificates = vec![authority.issue("server")];
    let mut world = World::with_key(Settings { certificates, ..Settings::default() });
    let suite = Some("TLS_PSK_WITH_AES_128_CCM_8");
    let (victim, _) = world.open("192.0.2.1:1000", &Wishes { suite, no_tickets: true, ..dev1() });
    assert_eq!(world.proof(), Proof::Key("dev1".into()));
    let seen = victim.ticket();
    let suite = Some("TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8");
    let wishes = Wishes { suite, ca: Some(authority.pem), no_tickets: true, ..Wishes::default() };
    let mut peer = world.resuming("198.51.100.9:9", &wishes, Some(&seen));
    world.settle(&mut peer);
    assert!(peer.is_open);
    assert_eq!((world.proof(), world.engine.counts().resumed), (Proof::Nothing, 0));
    // Nor does it come back as the other by a session of its own.
    let mut again = world.resuming("198.51.100.9:10", &wishes, Some(&peer.ticket()));
    world.settle(&mut again);
    assert!(again.is_open);
    assert_eq!((world.proof(), world.engine.counts().resumed), (Proof::Nothing, 1));
}

#[test]
fn a_session_of_which_nothing_is_heard_is_forgotten() {
    let idle_timeout = Some(Duration::from_secs(600));
    let mut world = World::with_key(Settings { idle_timeout, ..Settings::default() });
    let (mut peer, session) = world.open("192.0.2.1:1000", &dev1());
    world.wait(Duration::from_secs(599));
    world.deliver(&peer.encrypt(b"x", world.now), peer.address);
    world.wait(Duration::from_secs(599));
    assert_eq!(world.engine.sessions(), 1);
    world.wait(Duration::from_secs(1));
    let closed = SessionEvent::Closed { session, ending: Ending::Idle };
    assert_eq!(world.events.last(), Some(&closed));
    assert_eq!(world.engine.deadline(), None);
}

#[test]
fn other_settings_count_for_the_next_handshake() {
    let mut world = World::with_key(Settings::default());
    let (mut old, session) = world.open("192.0.2.1:1000", &dev1());
    let psk: std::sync::Arc<TestKeys> = TestKeys::with(&["dev2"]);
    world.engine.reconfigure(&Settings { psk: Some(psk), ..Settings::default() }).unwrap();
    world.events.clear();
    world.deliver(&old.encrypt(b"x", world.now), old.address);
    world.wait(Duration::from_secs(61));
    world.deliver(&old.encrypt(b"y", world.now), old.address);
    assert_eq!(world.received(), [(session, b"x".to_vec()), (session, b"y".to_vec())]);
    let mut peer = world.peer("192.0.2.1:2000", &dev1());
    world.settle(&mut peer);
    assert!(peer.failed);
    assert!(world.engine.reconfigure(&Settings::default()).is_err());
}
