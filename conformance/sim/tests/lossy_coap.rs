//! What CoAP promises holds on a network that loses, doubles and reorders nearly a third of everything.
//!
//! `SIM_SEED=7` plays one seed alone.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bus::{Limits, Protocol, Qos, Transport};
use coap::Coap;
use mqtt::{Mqtt, Version};
use sim::{
    CoapDownloader, CoapObserver, CoapSensor, CoapUploader, Faults, MqttDevice, Outcome, Shared, World,
};

use Transport::{Datagram, Stream};

const SEEDS: std::ops::Range<u64> = 0..300;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Blocks of 1,024 bytes.
const LARGEST_BLOCK: u8 = 6;

#[test]
fn no_publish_is_doubled_and_none_that_was_confirmed_is_lost() {
    let retransmissions: usize = for_every_seed(|seed| {
        let (mut world, bus) = world(seed);
        let sensor = world.add(coap(), Datagram, CoapSensor::new(seed, "t", values(12, 10)));
        assert!(world.run_until(DAY, || sensor.borrow().is_done()));
        settle(&mut world);
        let (sensor, bus) = (sensor.borrow(), bus.borrow());
        assert_eq!(distinct(&bus.received).len(), bus.received.len(), "something was published twice");
        for value in &sensor.confirmed {
            assert!(bus.received.contains(value), "{value} was confirmed and is lost");
        }
        let order: Vec<_> = values(12, 10).into_iter().filter(|value| bus.received.contains(value)).collect();
        assert_eq!(bus.received, order, "one overtook another");
        sensor.retransmissions()
    })
    .into_iter()
    .sum();
    assert!(
        retransmissions > 12 * SEEDS.count() / 10 || single(),
        "the network was too good to show anything"
    );
}

#[test]
fn an_observer_ends_up_at_the_last_value_and_never_goes_back() {
    for_every_seed(|seed| {
        let (mut world, bus) = world(seed);
        let observer = world.add(coap(), Datagram, CoapObserver::new(seed, "t", LARGEST_BLOCK));
        let sensor = world.add(coap(), Datagram, CoapSensor::new(seed + 1, "t", values(12, 10)));
        assert!(world.run_until(DAY, || sensor.borrow().is_done()));
        arrives_at_the_last(&mut world, &observer, &bus);
        never_goes_back(&observer.borrow(), &values(12, 10));
    });
}

#[test]
fn an_observer_of_bodies_in_blocks_ends_up_at_the_last_one_and_mixes_none() {
    for_every_seed(|seed| {
        let (mut world, bus) = world(seed);
        let exponent = 2 + (seed % 4) as u8;
        let observer = world.add(coap(), Datagram, CoapObserver::new(seed, "t", exponent));
        let sensor = world.add(coap(), Datagram, CoapSensor::new(seed + 1, "t", values(6, 700)));
        assert!(world.run_until(DAY, || sensor.borrow().is_done()));
        arrives_at_the_last(&mut world, &observer, &bus);
        never_goes_back(&observer.borrow(), &values(6, 700));
    });
}

#[test]
fn an_upload_in_blocks_arrives_whole_and_once_or_not_at_all() {
    let done: usize = for_every_seed(|seed| {
        let (mut world, bus) = world(seed);
        let exponent = 2 + (seed % 4) as u8;
        let bodies: Vec<Vec<u8>> =
            (0..5).map(|number| body(number, (16 << exponent) * (number % 3 + 2) - number).into_bytes()).collect();
        let uploader = CoapUploader::new(seed, "t", exponent, seed % 2 == 0, bodies.clone());
        let uploader = world.add(coap(), Datagram, uploader);
        assert!(world.run_until(DAY, || uploader.borrow().is_done()));
        settle(&mut world);
        let bus = bus.borrow();
        assert_eq!(distinct(&bus.received).len(), bus.received.len(), "something was published twice");
        for received in &bus.received {
            assert!(bodies.iter().any(|body| body == received.as_bytes()), "mixed or cut: {received}");
        }
        let mut done = 0;
        for (body, outcome) in &uploader.borrow().outcomes {
            let arrived = bus.received.iter().any(|received| received.as_bytes() == body);
            match outcome {
                Outcome::Done => assert!(arrived, "a body was confirmed and is lost"),
                Outcome::Refused(code) => assert!(!arrived, "a body was refused by {code} and is there"),
                Outcome::GivenUp => {}
            }
            done += usize::from(*outcome == Outcome::Done);
        }
        done
    })
    .into_iter()
    .sum();
    assert!(done > 3 * SEEDS.count() || single(), "only {done} uploads came through, which shows little");
}

#[test]
fn a_download_in_blocks_is_of_one_version_however_often_it_changes() {
    let received: usize = for_every_seed(|seed| {
        let (mut world, _bus) = world(seed);
        let exponent = 2 + (seed % 4) as u8;
        let sensor = world.add(coap(), Datagram, CoapSensor::new(seed + 1, "t", values(8, 400)));
        world.run_until(DAY, || !sensor.borrow().confirmed.is_empty());
        let downloader = world.add(coap(), Datagram, CoapDownloader::new(seed, "t", exponent));
        world.run_until(DAY, || sensor.borrow().is_done());
        world.run(MINUTE);
        let versions = values(8, 400);
        for received in &downloader.borrow().received {
            assert!(versions.iter().any(|version| version.as_bytes() == received), "mixed: {received:?}");
        }
        downloader.borrow().received.len()
    })
    .into_iter()
    .sum();
    assert!(
        received > SEEDS.count() || single(),
        "only {received} downloads came through, which shows little"
    );
}

/// Plays every seed, and tells which one failed.
fn for_every_seed<R>(play: impl Fn(u64) -> R) -> Vec<R> {
    let one = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(SEEDS, |seed| seed..seed + 1);
    let played = |seed| {
        let result = catch_unwind(AssertUnwindSafe(|| play(seed)));
        result.unwrap_or_else(|_| panic!("seed {seed} failed; SIM_SEED={seed} plays it alone"))
    };
    seeds.map(played).collect()
}

/// Whether one seed is played alone, of which nothing can be counted.
fn single() -> bool {
    std::env::var_os("SIM_SEED").is_some()
}

/// A world in trouble, and somebody who hears over a spared stream what is published on the bus.
fn world(seed: u64) -> (World, Shared<MqttDevice>) {
    let mut world = World::new(seed, Faults::NONE);
    let mqtt: Arc<dyn Protocol> = Arc::new(Mqtt::new(mqtt::Config::default(), Limits::default()));
    let bus = world.add(mqtt, Stream, MqttDevice::subscriber(Version::V5, "bus", "t", Qos::AtLeastOnce));
    assert!(world.run_until(MINUTE, || bus.borrow().subscribed));
    world.set_faults(Faults::HEAVIER);
    world.spare_streams();
    (world, bus)
}

/// All that is under way arrives.
fn settle(world: &mut World) {
    world.run(Duration::from_secs(5));
}

fn arrives_at_the_last(world: &mut World, observer: &Shared<CoapObserver>, bus: &Shared<MqttDevice>) {
    settle(world);
    let last = bus.borrow().received.last().cloned().unwrap_or_default();
    let arrived = world.run_until(60 * MINUTE, || {
        observer.borrow().received.last().is_some_and(|received| received == last.as_bytes())
    });
    let observer = observer.borrow();
    assert!(arrived, "it stays at {:?} and not at {last}", observer.received.last());
}

fn never_goes_back(observer: &CoapObserver, values: &[String]) {
    let positions: Vec<_> = observer
        .received
        .iter()
        .map(|received| values.iter().position(|value| value.as_bytes() == received).expect("it was sent so"))
        .collect();
    assert!(positions.is_sorted(), "it went back: {positions:?}");
}

fn values(count: usize, length: usize) -> Vec<String> {
    (0..count).map(|number| body(number, length)).collect()
}

/// A body of this length, of which every sixteen bytes tell which body and which place they are of.
fn body(number: usize, length: usize) -> String {
    let pieces = (0..length.div_ceil(16)).map(|place| format!("<{number:05}.{place:08}>"));
    let mut text: String = pieces.collect();
    text.truncate(length);
    text
}

fn coap() -> Arc<dyn Protocol> {
    Arc::new(Coap::new(coap::Config::default(), Limits::default()))
}

fn distinct(payloads: &[String]) -> BTreeSet<&String> {
    payloads.iter().collect()
}
