//! Bodies in Q-Blocks (RFC 9177) arrive whole, or not at all, on a network that loses, doubles and reorders nearly a third.
//!
//! `SIM_SEED=7` plays one seed alone.

mod common;

use bus::Transport::Datagram;
use common::*;
use sim::{CoapQReader, CoapQUploader, CoapSensor};

#[test]
fn an_upload_in_q_blocks_arrives_whole_and_once_or_not_at_all() {
    let done: Vec<(usize, usize)> = for_every_seed(|seed| {
        let (mut world, bus) = world(seed);
        let exponent = 2 + (seed % 4) as u8;
        let bodies: Vec<Vec<u8>> = (0..4)
            .map(|number| body(number, (16 << exponent) * (number % 3 * 11 + 2) - number).into_bytes())
            .collect();
        let uploader = CoapQUploader::new(seed, "t", exponent, bodies.clone());
        let uploader = world.add(coap(), Datagram, uploader);
        assert!(world.run_until(DAY, || uploader.borrow().is_done()));
        settle(&mut world);
        let uploader = uploader.borrow();
        (arrived_once(&bus.borrow().received, &bodies, &uploader.outcomes), uploader.missing)
    });
    let (done, missing) = done.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(done * 10 > SEEDS.count() * 4 * 9 || single(), "only {done} uploads came through");
    assert!(missing > SEEDS.count() || single(), "only {missing} blocks were asked for again");
}

#[test]
fn a_download_in_q_blocks_is_of_one_version_however_often_it_changes() {
    let received: Vec<(usize, usize)> = for_every_seed(|seed| {
        let (mut world, _bus) = world(seed);
        let exponent = 2 + (seed % 4) as u8;
        let versions = values(8, (16 << exponent) * 14 - 3);
        let sensor = world.add(coap(), Datagram, CoapSensor::new(seed + 1, "t", versions.clone()));
        world.run_until(DAY, || !sensor.borrow().confirmed.is_empty());
        let reader = world.add(coap(), Datagram, CoapQReader::download(seed, "t", exponent));
        world.run_until(DAY, || sensor.borrow().is_done());
        world.run(5 * MINUTE);
        let reader = reader.borrow();
        for received in &reader.received {
            assert!(versions.iter().any(|version| version.as_bytes() == received), "mixed: {received:?}");
        }
        (reader.received.len(), reader.recoveries)
    });
    let (received, recoveries) = received.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(received > 3 * SEEDS.count() || single(), "only {received} downloads came through");
    assert!(recoveries > received / 2 || single(), "only {recoveries} times something was missing");
}

#[test]
fn an_observer_of_bodies_in_q_blocks_ends_up_at_the_last_one_and_mixes_none() {
    for_every_seed(|seed| {
        let (mut world, bus) = world(seed);
        let exponent = 2 + (seed % 4) as u8;
        let versions = values(3, (16 << exponent) * 12 - 3);
        let observer = world.add(coap(), Datagram, CoapQReader::observe(seed, "t", exponent));
        let sensor = world.add(coap(), Datagram, CoapSensor::new(seed + 1, "t", versions.clone()));
        assert!(world.run_until(DAY, || sensor.borrow().is_done()));
        settle(&mut world);
        let last = bus.borrow().received.last().cloned().unwrap_or_default();
        let arrived = world.run_until(60 * MINUTE, || {
            observer.borrow().received.last().is_some_and(|received| received == last.as_bytes())
        });
        let observer = observer.borrow();
        let place = |received: &Vec<u8>| {
            versions.iter().position(|version| version.as_bytes() == received).expect("it was sent so")
        };
        let places: Vec<usize> = observer.received.iter().map(place).collect();
        assert!(arrived, "it stays at {places:?}");
        assert!(places.is_sorted(), "it went back: {places:?}");
    });
}
