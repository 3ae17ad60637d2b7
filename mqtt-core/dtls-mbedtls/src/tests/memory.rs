//! What sessions cost. The figures are printed: `cargo test -p dtls-mbedtls memory -- --nocapture`.

use std::time::{Duration, Instant};

use dtls::{Engine, Settings};

use super::world::{World, dev1};
use crate::ffi::testing::{Wishes, memory_held};

/// How many sessions are made.
const SESSIONS: usize = 10_000;

/// The most bytes that C may hold for a session.
const LIVE: usize = 28_000;

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn ten_thousand_sessions_cost_little_and_less_when_they_are_parked() {
    let mut world = World::with_key(Settings { live_sessions: SESSIONS, ..Settings::default() });
    let wishes =
        Wishes { suite: Some("TLS_PSK_WITH_AES_128_CCM_8"), connection_id: true, no_tickets: true, ..dev1() };
    let (before, resident_before, began) = (memory_held(), resident(), Instant::now());
    for number in 0..SESSIONS {
        let (mut peer, _) = world.open(&format!("10.0.{}.{}:5684", number / 256, number % 256), &wishes);
        world.deliver(&peer.encrypt(b"x", world.now), peer.address);
        world.events.clear();
    }
    let (live, resident_live) =
        ((memory_held() - before) / SESSIONS, resident().saturating_sub(resident_before));
    println!("{SESSIONS} handshakes, both sides: {:?}", began.elapsed());
    println!("a live session: {live} bytes asked of the heap by C, {} resident", resident_live / SESSIONS);
    let began = Instant::now();
    world.wait(Duration::from_secs(61));
    println!("all parked in {:?}", began.elapsed());
    assert_eq!(world.engine.counts().parked, SESSIONS);
    assert!(memory_held() - before < 1_000_000, "{}", memory_held() - before);
    let saved = world.engine.save();
    let bytes: usize = saved.iter().map(|saved| saved.state.len()).sum();
    println!("a parked session: {} bytes", bytes / SESSIONS);
    assert!(live < LIVE && bytes / SESSIONS < 400, "{live} {bytes}");
}

/// How many bytes of the process are in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4_096
}
