//! What each protocol promises holds on a network that loses, doubles and reorders a fifth of everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bus::{Limits, Protocol, Qos, Transport};
use mqtt::{Mqtt, Version};
use mqtt_sn::MqttSn;
use sim::{Faults, MqttDevice, SnDevice, World};

use Qos::{AtLeastOnce, ExactlyOnce};
use Transport::{Datagram, Stream};

const SEEDS: std::ops::Range<u64> = 0..100;
const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn mqtt_sn_at_least_once_loses_nothing() {
    for seed in SEEDS {
        let (sent, received) = mqtt_sn(seed, AtLeastOnce);
        assert_eq!(distinct(&received), distinct(&sent), "seed {seed}");
    }
}

#[test]
fn mqtt_sn_exactly_once_loses_nothing_doubles_nothing_and_keeps_the_order() {
    for seed in SEEDS {
        let (sent, received) = mqtt_sn(seed, ExactlyOnce);
        assert_eq!(received, sent, "seed {seed}");
    }
}

#[test]
fn mqtt_at_least_once_loses_nothing_over_streams_that_are_cut() {
    for (seed, version) in SEEDS.zip([Version::V311, Version::V5].into_iter().cycle()) {
        let (sent, received, cuts) = mqtt(seed, version, AtLeastOnce);
        assert_eq!(distinct(&received), distinct(&sent), "seed {seed}, {cuts} cuts");
        assert!(cuts > 0, "seed {seed} cut nothing, so that it shows nothing");
    }
}

#[test]
fn mqtt_exactly_once_loses_nothing_doubles_nothing_and_keeps_the_order_over_streams_that_are_cut() {
    for (seed, version) in SEEDS.zip([Version::V311, Version::V5].into_iter().cycle()) {
        let (sent, received, cuts) = mqtt(seed, version, ExactlyOnce);
        assert_eq!(received, sent, "seed {seed}, {cuts} cuts");
        assert!(cuts > 0, "seed {seed} cut nothing, so that it shows nothing");
    }
}

/// From one MQTT-SN client to another.
fn mqtt_sn(seed: u64, qos: Qos) -> (Vec<String>, Vec<String>) {
    let sent = payloads(20);
    let mut world = World::new(seed, Faults::NONE);
    let protocol: Arc<dyn Protocol> = Arc::new(MqttSn::new(patient(), Limits::default()));
    let reader = world.add(protocol.clone(), Datagram, SnDevice::subscriber("reader", "t/1", qos));
    world.run(Duration::from_secs(10));
    world.set_faults(Faults::HEAVY);
    let writer = world.add(protocol, Datagram, SnDevice::publisher("writer", "t/1", qos, sent.clone()));
    world.run_until(24 * HOUR, || {
        writer.borrow().published == sent.len() && distinct(&reader.borrow().received).len() == sent.len()
    });
    world.run(Duration::from_secs(300));
    assert_eq!(writer.borrow().published, sent.len(), "seed {seed}");
    let received = reader.borrow().received.clone();
    (sent, received)
}

/// From one MQTT client to another; returns how often streams were cut as well.
fn mqtt(seed: u64, version: Version, qos: Qos) -> (Vec<String>, Vec<String>, usize) {
    let sent = payloads(50);
    let mut world = World::new(seed, Faults::NONE);
    let reader = world.add(mqtt_protocol(), Stream, MqttDevice::subscriber(version, "reader", "t/+", qos));
    assert!(world.run_until(HOUR, || reader.borrow().subscribed));
    world.set_faults(Faults { loss: 0.02, ..Faults::HEAVY });
    let writer = MqttDevice::publisher(version, "writer", "t/1", qos, sent.clone());
    let writer = world.add(mqtt_protocol(), Stream, writer);
    world.run_until(24 * HOUR, || {
        writer.borrow().published == sent.len() && distinct(&reader.borrow().received).len() == sent.len()
    });
    world.run(Duration::from_secs(300));
    assert_eq!(writer.borrow().published, sent.len(), "seed {seed}");
    let cuts = (writer.borrow().connections + reader.borrow().connections).saturating_sub(2);
    let received = reader.borrow().received.clone();
    (sent, received, cuts)
}

/// A gateway that does not give a device up on this network.
fn patient() -> mqtt_sn::Config {
    mqtt_sn::Config { retries: 100, ..mqtt_sn::Config::default() }
}

fn mqtt_protocol() -> Arc<dyn Protocol> {
    Arc::new(Mqtt::new(mqtt::Config::default(), Limits::default()))
}

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("message {number}")).collect()
}

fn distinct(payloads: &[String]) -> BTreeSet<&String> {
    payloads.iter().collect()
}
