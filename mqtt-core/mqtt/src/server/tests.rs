use std::time::Duration;

use bus::{Limits, Qos, Reason, Reply, Request, Ticket, Transport};
use harness::{Bench, delivery};

use super::*;

mod aliases;
mod authentication;
mod connecting;
mod delivering;
mod ending;
mod foreign_input;
mod lanes;
mod publishing;
mod states;
mod subscribing;
mod table;

/// A CONNECT of MQTT 3.1: clean session, keep alive 10 s, client id `c`.
const CONNECT_31: &[u8] = b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x0A\x00\x01c";
/// The same of MQTT 3.1.1.
const CONNECT_311: &[u8] = b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x0A\x00\x01c";
/// The same of MQTT 5.
const CONNECT_5: &[u8] = b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x0A\x00\x00\x01c";

fn bench() -> Bench {
    bench_with(Config::default(), Limits::default())
}

fn bench_with(config: Config, limits: Limits) -> Bench {
    Bench::new(&Mqtt::new(config, limits), Transport::Stream)
}

/// A bench whose client is connected, with the CONNACK taken.
fn connected(connect: &[u8]) -> Bench {
    connected_on(bench(), connect)
}

fn connected_on(mut bench: Bench, connect: &[u8]) -> Bench {
    bench.receive(connect);
    bench.accept_connect(false);
    bench.take_sent();
    bench
}

/// A CONNECT of MQTT 5 with a clean start, no keep alive and these properties, client id `c`.
fn connect_5(properties: &[u8]) -> Vec<u8> {
    connect(5, 2, &[&[properties.len() as u8][..], properties, b"\x00\x01c"].concat())
}

/// A CONNECT `MQTT` without keep alive: `rest` is what follows it.
fn connect(level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let body = [b"\x00\x04MQTT", &[level, flags, 0, 0][..], rest].concat();
    [&[0x10, body.len() as u8][..], &body].concat()
}

/// The code of the CONNACK, DISCONNECT or acknowledgement that was sent last, and that it was the only one.
fn sent_code(bench: &mut Bench) -> u8 {
    let sent = bench.take_sent();
    assert_eq!(usize::from(sent[1]) + 2, sent.len(), "one packet: {sent:02X?}");
    match sent[0] >> 4 {
        2 => sent[3],
        4..=7 => sent.get(4).copied().unwrap_or(0),
        14 => sent[2],
        _ => panic!("no packet with a code: {sent:02X?}"),
    }
}

fn next_publish(bench: &mut Bench) -> (Ticket, bus::Publish) {
    let (ticket, request) = bench.request();
    let Request::Publish(publish) = request else { panic!("expected a publish, found {request:?}") };
    (ticket, publish)
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<MqttConnection>() <= 64, "{} bytes", size_of::<MqttConnection>());
}
