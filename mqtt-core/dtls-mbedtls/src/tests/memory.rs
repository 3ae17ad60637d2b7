//! What sessions cost. The figures are printed: `cargo test -p dtls-mbedtls memory -- --nocapture`.

use std::time::{Duration, Instant};

use dtls::{ClientCertificate, Engine, Settings};

use super::world::{Authority, TestKeys, World, dev1};
use crate::engine::MbedEngine;
use crate::ffi::testing::{Wishes, held, held_by_c};

/// How many sessions are made.
const SESSIONS: usize = 10_000;

/// The most bytes of the heap that a session may hold.
const LIVE: usize = 28_000;

/// The same once it is parked.
const PARKED: usize = 1_000;

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn ten_thousand_sessions_cost_little_and_less_when_they_are_parked() {
    let resumption = Duration::ZERO;
    let mut world = World::with_key(Settings { live_sessions: SESSIONS, resumption, ..Settings::default() });
    let wishes =
        Wishes { suite: Some("TLS_PSK_WITH_AES_128_CCM_8"), connection_id: true, no_tickets: true, ..dev1() };
    let (before, began) = (held(), Instant::now());
    for number in 0..SESSIONS {
        let (mut peer, _) = world.open(&format!("10.0.{}.{}:5684", number / 256, number % 256), &wishes);
        world.deliver(&peer.encrypt(b"x", world.now), peer.address);
        world.events.clear();
    }
    let live = (held() - before) / SESSIONS;
    println!("{SESSIONS} handshakes, both sides: {:?}", began.elapsed());
    println!("a live session: {live} bytes of the heap, {} of them C's", held_by_c() / SESSIONS);
    let began = Instant::now();
    world.wait(Duration::from_secs(61));
    println!("all parked in {:?}", began.elapsed());
    assert_eq!(world.engine.counts().parked, SESSIONS);
    let parked = (held() - before) / SESSIONS;
    println!("a parked session: {parked} bytes of the heap, {} of them C's", held_by_c() / SESSIONS);
    assert!(live < LIVE && parked < PARKED, "{live} {parked}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn what_the_engine_spends_is_told() {
    let authority = Authority::new("CA");
    let certificates = vec![authority.issue("server")];
    let mut world = World::with_key(Settings { certificates, park_after: None, ..Settings::default() });
    let suites = [
        "TLS_PSK_WITH_AES_128_CCM_8",
        "TLS_PSK_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
    ];
    for (place, suite) in suites.into_iter().enumerate() {
        let wishes = Wishes { suite: Some(suite), ca: Some(authority.pem.clone()), ..dev1() };
        // The shortest of several: others want the processor too.
        let mut shortest = |rounds: u16, act: &mut dyn FnMut(&mut World, u16)| {
            let spent = (0..rounds).map(|round| {
                world.spent = Duration::ZERO;
                act(&mut world, round);
                world.spent
            });
            spent.min().unwrap_or_default()
        };
        let handshake = shortest(20, &mut |world, round| {
            world.open(&format!("10.{place}.0.{round}:1"), &wishes);
        });
        let (mut peer, _) = world.open(&format!("10.{place}.1.0:1"), &wishes);
        let mut shortest = Duration::MAX;
        for _ in 0..200 {
            let record = peer.encrypt(&[7; 100], world.now);
            world.spent = Duration::ZERO;
            world.deliver(&record, peer.address);
            shortest = shortest.min(world.spent);
        }
        println!("{suite}: a handshake {handshake:?}, a record of 100 bytes {shortest:?}");
    }
    // Where the client shows a certificate too.
    let both = |certificates| Settings {
        certificates,
        client_ca: vec![authority.pem.clone()],
        client_certificate: ClientCertificate::Required,
        ..Settings::default()
    };
    world.engine = MbedEngine::new(&both(vec![authority.issue("server")]), world.now).unwrap();
    let (ca, certificate) = (Some(authority.pem.clone()), Some(authority.issue("device")));
    let wishes = Wishes { ca, certificate, ..Wishes::default() };
    let costs = (0..20).map(|round| {
        (world.spent, world.longest) = (Duration::ZERO, Duration::ZERO);
        world.open(&format!("10.8.0.{round}:1"), &wishes);
        (world.spent, world.longest)
    });
    let (spent, longest) = costs.min().unwrap();
    println!("certificates on both sides: a handshake {spent:?}, its longest step {longest:?}");
    // A record that was forged wakes its session in vain.
    world.engine =
        MbedEngine::new(&Settings { psk: Some(TestKeys::with(&["dev1"])), ..Settings::default() }, world.now)
            .unwrap();
    let (mut peer, _) = world.open("10.9.0.0:1", &dev1());
    let mut shortest = Duration::MAX;
    for _ in 0..200 {
        world.wait(Duration::from_secs(61));
        let mut record = peer.encrypt(&[7; 100], world.now);
        *record.last_mut().unwrap() ^= 1;
        world.spent = Duration::ZERO;
        world.deliver(&record, peer.address);
        world.now += Duration::from_secs(1);
        let began = Instant::now();
        world.wait(Duration::ZERO);
        shortest = shortest.min(world.spent + began.elapsed());
    }
    println!("a session that is woken in vain and parked again: {shortest:?}");
}
