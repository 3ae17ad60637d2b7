//! A bad network, and what is seen on the bus behind it.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bus::{Limits, Protocol, Qos, Transport};
use coap::Coap;
use mqtt::{Mqtt, Version};
use sim::{CoapObserver, Faults, MqttDevice, Outcome, Shared, World};

pub const SEEDS: std::ops::Range<u64> = 0..300;
pub const MINUTE: Duration = Duration::from_secs(60);
pub const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Plays every seed, and tells which one failed.
pub fn for_every_seed<R>(play: impl Fn(u64) -> R) -> Vec<R> {
    let one = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(SEEDS, |seed| seed..seed + 1);
    let played = |seed| {
        let result = catch_unwind(AssertUnwindSafe(|| play(seed)));
        result.unwrap_or_else(|_| panic!("seed {seed} failed; SIM_SEED={seed} plays it alone"))
    };
    seeds.map(played).collect()
}

/// Whether one seed is played alone, of which nothing can be counted.
pub fn single() -> bool {
    std::env::var_os("SIM_SEED").is_some()
}

/// A world in trouble, and somebody who hears over a spared stream what is published on the bus.
pub fn world(seed: u64) -> (World, Shared<MqttDevice>) {
    let mut world = World::new(seed, Faults::NONE);
    let mqtt: Arc<dyn Protocol> = Arc::new(Mqtt::new(mqtt::Config::default(), Limits::default()));
    let bus =
        world.add(mqtt, Transport::Stream, MqttDevice::subscriber(Version::V5, "bus", "t", Qos::AtLeastOnce));
    assert!(world.run_until(MINUTE, || bus.borrow().subscribed));
    world.set_faults(Faults::HEAVIER);
    world.spare_streams();
    (world, bus)
}

/// All that is under way arrives.
pub fn settle(world: &mut World) {
    world.run(Duration::from_secs(5));
}

pub fn arrives_at_the_last(world: &mut World, observer: &Shared<CoapObserver>, bus: &Shared<MqttDevice>) {
    settle(world);
    let last = bus.borrow().received.last().cloned().unwrap_or_default();
    let arrived = world.run_until(60 * MINUTE, || {
        observer.borrow().received.last().is_some_and(|received| received == last.as_bytes())
    });
    let observer = observer.borrow();
    assert!(arrived, "it stays at {:?} and not at {last}", observer.received.last());
}

pub fn never_goes_back(observer: &CoapObserver, values: &[String]) {
    let positions: Vec<_> = observer
        .received
        .iter()
        .map(|received| values.iter().position(|value| value.as_bytes() == received).expect("it was sent so"))
        .collect();
    assert!(positions.is_sorted(), "it went back: {positions:?}");
}

pub fn values(count: usize, length: usize) -> Vec<String> {
    (0..count).map(|number| body(number, length)).collect()
}

/// A body of this length, of which every sixteen bytes tell which body and which place they are of.
pub fn body(number: usize, length: usize) -> String {
    let pieces = (0..length.div_ceil(16)).map(|place| format!("<{number:05}.{place:08}>"));
    let mut text: String = pieces.collect();
    text.truncate(length);
    text
}

pub fn coap() -> Arc<dyn Protocol> {
    Arc::new(Coap::new(coap::Config::default(), Limits::default()))
}

pub fn distinct(payloads: &[String]) -> BTreeSet<&String> {
    payloads.iter().collect()
}

/// Whatever was received is one of the bodies, and came once, and their sender knows what became of each; returns how many
/// it was told to be there.
pub fn arrived_once(received: &[String], bodies: &[Vec<u8>], outcomes: &[(Vec<u8>, Outcome)]) -> usize {
    assert_eq!(distinct(received).len(), received.len(), "something was published twice");
    for received in received {
        assert!(bodies.iter().any(|body| body == received.as_bytes()), "mixed or cut: {received}");
    }
    for (body, outcome) in outcomes {
        let arrived = received.iter().any(|received| received.as_bytes() == body);
        match outcome {
            Outcome::Done => assert!(arrived, "a body was confirmed and is lost"),
            Outcome::Refused(code) => assert!(!arrived, "a body was refused by {code} and is there"),
            Outcome::GivenUp => {}
        }
    }
    outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Done).count()
}
