//! What CoAP promises holds on a network that loses, doubles and reorders nearly a third of everything.
//!
//! `SIM_SEED=7` plays one seed alone.

mod common;

use bus::Transport::Datagram;
use common::*;
use sim::{CoapObserver, CoapSensor};

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
