use std::sync::Arc;
use std::time::Duration;

use dtls::{Engine, Proof, Refusal, SessionEvent, Settings};

use super::world::{Authority, SECRET, TestKeys, World, dev1};
use crate::ffi::testing::Wishes;
use crate::suites::{SUITES, SuiteProof};

#[test]
fn every_suite_carries_data_both_ways() {
    let authority = Authority::new("CA");
    for suite in SUITES {
        let certificates = match suite.proof {
            SuiteProof::Ecdsa => vec![authority.issue("server")],
            SuiteProof::Rsa => vec![authority.issue_rsa("server")],
            SuiteProof::Key => Vec::new(),
        };
        let mut world = World::with_key(Settings { certificates, ..Settings::default() });
        let wishes = Wishes { suite: Some(suite.name), ca: Some(authority.pem.clone()), ..dev1() };
        let (mut peer, session) = world.open("192.0.2.1:1000", &wishes);
        let record = peer.encrypt(b"up", world.now);
        world.deliver(&record, peer.address);
        let identity = world.events.iter().find_map(|event| match event {
            SessionEvent::Opened { identity, .. } => Some(identity.clone()),
            _ => None,
        });
        let identity = identity.unwrap();
        assert_eq!(&*identity.cipher, suite.name);
        let proof = match suite.proof {
            SuiteProof::Key => Proof::Key("dev1".into()),
            _ => Proof::Nothing,
        };
        assert_eq!(identity.proof, proof, "{}", suite.name);
        assert_eq!(world.received(), [(session, b"up".to_vec())], "{}", suite.name);
        for (_, datagram) in world.send(session, b"down") {
            peer.take(&datagram, world.now);
        }
        assert_eq!(peer.received, [b"down"], "{}", suite.name);
    }
}

#[test]
fn engines_work_side_by_side_and_move_from_thread_to_thread() {
    let authority = Authority::new("CA");
    let worlds = (0..4).map(|_| {
        let certificates = vec![authority.issue("server")];
        World::with_key(Settings { certificates, ..Settings::default() })
    });
    let suites = ["TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", "TLS_PSK_WITH_AES_128_CCM_8"];
    let serve = &|mut world: World, round: usize| {
        for (number, suite) in suites.into_iter().cycle().take(6).enumerate() {
            let wishes = Wishes { suite: Some(suite), ca: Some(authority.pem.clone()), ..dev1() };
            let (mut peer, session) = world.open(&format!("192.0.2.{round}:{}", 1_000 + number), &wishes);
            world.events.clear();
            world.deliver(&peer.encrypt(b"x", world.now), peer.address);
            assert_eq!(world.received(), [(session, b"x".to_vec())]);
        }
        world.wait(Duration::from_secs(61));
        world
    };
    let mut worlds: Vec<World> = worlds.collect();
    for round in 1..=3 {
        std::thread::scope(|scope| {
            let served: Vec<_> =
                worlds.drain(..).map(|world| scope.spawn(move || serve(world, round))).collect();
            worlds.extend(served.into_iter().map(|thread| thread.join().unwrap()));
        });
    }
    assert!(worlds.iter().all(|world| world.engine.counts().parked == 18));
}

#[test]
fn a_server_with_both_takes_keys_and_certificates() {
    let authority = Authority::new("CA");
    let certificates = vec![authority.issue("server")];
    let mut world = World::with_key(Settings { certificates, ..Settings::default() });
    world.open("192.0.2.1:1000", &Wishes { suite: Some("TLS_PSK_WITH_AES_128_CCM_8"), ..dev1() });
    let suite = Some("TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8");
    world.open("192.0.2.1:1001", &Wishes { suite, ca: Some(authority.pem), ..Wishes::default() });
    assert_eq!(world.engine.sessions(), 2);
}

#[test]
fn an_unknown_identity_looks_like_a_wrong_key_to_the_client() {
    let mut world = World::with_key(Settings::default());
    let mut refused = |identity, key: &[u8]| {
        let wishes = Wishes { key: Some((identity, key.to_vec())), ..Wishes::default() };
        let mut peer = world.peer("192.0.2.1:1000", &wishes);
        world.settle(&mut peer);
        assert!(peer.failed && !peer.is_open);
        match world.events.pop() {
            Some(SessionEvent::Refused { refusal, .. }) => (refusal, peer.context.alert()),
            other => panic!("{other:?}"),
        }
    };
    let (wrong, wrong_alert) = refused("dev1", b"another");
    let (unknown, unknown_alert) = refused("dev2", SECRET);
    assert_eq!(wrong, Refusal::WrongKey("dev1".to_owned()));
    assert_eq!(unknown, Refusal::UnknownIdentity("dev2".to_owned()));
    assert_eq!(wrong_alert, unknown_alert);
    assert_eq!((world.engine.counts().refused, world.engine.counts().half_open), (2, 0));
}

#[test]
fn keys_that_panic_refuse_one_handshake_and_no_more() {
    let mut world = World::with_key(Settings::default());
    let wishes = Wishes { key: Some(("panic", SECRET.to_vec())), ..Wishes::default() };
    let mut peer = world.peer("192.0.2.1:1000", &wishes);
    world.settle(&mut peer);
    assert!(peer.failed);
    world.open("192.0.2.1:1000", &dev1());
}

#[test]
fn a_key_of_64_bytes_is_possible() {
    let keys = TestKeys::default();
    keys.0.lock().unwrap().insert("long".to_owned(), vec![9; 64]);
    let mut world = World::new(&Settings { psk: Some(Arc::new(keys)), ..Settings::default() });
    world.open("192.0.2.1:1000", &Wishes { key: Some(("long", vec![9; 64])), ..Wishes::default() });
}

#[test]
fn flights_that_are_lost_are_sent_again() {
    let mut world = World::with_key(Settings::default());
    let mut peer = world.peer("192.0.2.1:1000", &dev1());
    // The cookie comes, and the server's first flight is lost.
    for datagram in std::mem::take(&mut peer.output) {
        for (_, answer) in world.deliver(&datagram, peer.address) {
            peer.take(&answer, world.now);
        }
    }
    for datagram in std::mem::take(&mut peer.output) {
        assert!(!world.deliver(&datagram, peer.address).is_empty());
    }
    assert!(world.wait(Duration::from_millis(999)).is_empty());
    for (to, again) in world.wait(Duration::from_millis(2)) {
        assert_eq!(to, peer.address);
        peer.take(&again, world.now);
    }
    world.settle(&mut peer);
    assert!(peer.is_open);
}

#[test]
fn a_lost_last_flight_is_sent_again_when_the_client_asks() {
    let mut world = World::with_key(Settings::default());
    let mut peer = world.peer("192.0.2.1:1000", &dev1());
    while world.engine.sessions() == 0 {
        let mut answers = Vec::new();
        for datagram in std::mem::take(&mut peer.output) {
            answers.extend(world.deliver(&datagram, peer.address));
        }
        if world.engine.sessions() == 0 {
            answers.iter().for_each(|(_, answer)| peer.take(answer, world.now));
        }
    }
    world.now += Duration::from_millis(1_001);
    peer.take(&[], world.now);
    assert!(!peer.output.is_empty());
    world.settle(&mut peer);
    assert!(peer.is_open);
}

#[test]
fn a_silent_handshake_ends_and_leaves_nothing() {
    let mut world = World::with_key(Settings::default());
    let mut peer = world.peer("192.0.2.1:1000", &dev1());
    for _ in 0..2 {
        for datagram in std::mem::take(&mut peer.output) {
            let answers = world.deliver(&datagram, peer.address);
            answers.iter().for_each(|(_, answer)| peer.take(answer, world.now));
        }
    }
    assert_eq!(world.engine.counts().half_open, 1);
    world.wait(Duration::from_secs(31));
    assert_eq!(world.engine.counts().half_open, 0);
    assert_eq!(world.engine.deadline(), None);
    let refused = SessionEvent::Refused { address: peer.address, refusal: Refusal::Timeout };
    assert_eq!(world.events, [refused]);
}

#[test]
fn a_client_that_begins_again_need_not_wait_for_its_old_handshake() {
    let mut world = World::with_key(Settings { half_open: 1, ..Settings::default() });
    let mut peer = world.peer("192.0.2.1:1000", &dev1());
    for _ in 0..2 {
        for datagram in std::mem::take(&mut peer.output) {
            let answers = world.deliver(&datagram, peer.address);
            answers.iter().for_each(|(_, answer)| peer.take(answer, world.now));
        }
    }
    assert_eq!(world.engine.counts().half_open, 1);
    world.open("192.0.2.1:1000", &dev1());
    assert_eq!(world.engine.counts().half_open, 0);
}

#[test]
fn a_client_with_no_suite_in_common_is_told() {
    let mut world = World::with_key(Settings {
        cipher_suites: vec!["TLS_PSK_WITH_AES_128_CCM_8".to_owned()],
        ..Settings::default()
    });
    let wishes = Wishes { suite: Some("TLS_PSK_WITH_AES_128_GCM_SHA256"), ..dev1() };
    let mut peer = world.peer("192.0.2.1:1000", &wishes);
    world.settle(&mut peer);
    assert!(peer.failed);
    let refusal = Refusal::NothingInCommon;
    assert_eq!(world.events, [SessionEvent::Refused { address: peer.address, refusal }]);
}
