//! The gateway's side of MQTT-SN 1.2 on the bench: bytes in, bytes out.

mod config;
mod connect;
mod delivery;
mod moved;
mod publish;
mod robustness;
mod sleep;
mod subscribe;
mod table;
mod will;

use bus::{Limits, Publish, Reply, Request, Ticket, Transport};
use harness::Bench;
use mqtt_sn::{Config, MqttSn, Predefined};

/// A predefined id for everyone, one for `c1` alone, and the first registered id 43.
fn config() -> Config {
    let predefined = |id: u16, topic: &str, client_id: Option<&str>| Predefined {
        id: id.try_into().unwrap(),
        topic: bus::Topic::parse(topic).unwrap(),
        client_id: client_id.map(str::to_owned),
    };
    Config {
        predefined: vec![predefined(7, "pre/seven", None), predefined(8, "pre/eight", Some("c1"))],
        ..Config::default()
    }
}

fn bench() -> Bench {
    bench_with(config(), Limits::default())
}

fn bench_with(config: Config, limits: Limits) -> Bench {
    Bench::new(&MqttSn::new(config, limits), Transport::Datagram)
}

/// CONNECT with these flags, a keep alive of 60 s, and the client id `c1`.
fn connect(flags: u8) -> [u8; 8] {
    [8, 0x04, flags, 1, 0, 60, b'c', b'1']
}

const CLEAN: u8 = 0x04;
const WILL: u8 = 0x08;

/// `c1`, connected with a clean session and a keep alive of 60 s.
fn connected() -> Bench {
    let mut bench = bench();
    open(&mut bench, CLEAN);
    bench
}

fn open(bench: &mut Bench, flags: u8) {
    bench.receive(&connect(flags));
    bench.accept_connect(false);
    assert_eq!(bench.take_sent(), [3, 0x05, 0], "CONNACK");
}

/// `c1`, which asked for the topic and got id 43.
fn registered(topic: &str) -> Bench {
    let mut bench = connected();
    bench.receive(&register(1, topic));
    assert_eq!(bench.take_sent(), [7, 0x0B, 0, 43, 0, 1, 0], "REGACK");
    bench
}

fn register(msg_id: u8, topic: &str) -> Vec<u8> {
    [&[topic.len() as u8 + 6, 0x0A, 0, 0, 0, msg_id], topic.as_bytes()].concat()
}

/// The datagrams that were sent since last asked.
fn datagrams(bench: &mut Bench) -> Vec<Vec<u8>> {
    bench.sent.drain(..).map(|(_, bytes)| bytes).collect()
}

/// The next request, which must be a publish.
fn published(bench: &mut Bench) -> (Ticket, Publish) {
    match bench.request() {
        (ticket, Request::Publish(publish)) => (ticket, publish),
        (_, request) => panic!("expected a publish, found {request:?}"),
    }
}

fn take_published(bench: &mut Bench, ticket: Ticket) {
    bench.reply(ticket, Reply::Published { matched: 1 });
}
