use std::time::Duration;

use bus::{Limits, Transport};
use harness::Bench;

use super::*;

mod opening;

/// A CONNECT of MQTT 3.1.1: clean session, keep alive 10 s, client id `c`.
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
