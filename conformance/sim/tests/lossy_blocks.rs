//! Bodies in blocks arrive whole, or not at all, on a network that loses, doubles and reorders nearly a third.
//!
//! `SIM_SEED=7` plays one seed alone.

mod common;

use bus::Transport::Datagram;
use common::*;
use sim::{CoapDownloader, CoapObserver, CoapSensor, CoapUploader};

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
        let bodies: Vec<Vec<u8>> = (0..5)
            .map(|number| body(number, (16 << exponent) * (number % 3 + 2) - number).into_bytes())
            .collect();
        let uploader = CoapUploader::new(seed, "t", exponent, seed % 2 == 0, bodies.clone());
        let uploader = world.add(coap(), Datagram, uploader);
        assert!(world.run_until(DAY, || uploader.borrow().is_done()));
        settle(&mut world);
        arrived_once(&bus.borrow().received, &bodies, &uploader.borrow().outcomes)
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
