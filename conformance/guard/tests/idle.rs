//! How much of the heap a connection or a session holds that rests.

#![allow(clippy::print_stdout, reason = "the table is what one looks at")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use broker::{Broker, Config, Hooks};
use bus::{Limits, Transport};
use guard::{Budgets, Idle, Verdict, World, idle, is_storing};
use mqtt::Mqtt;
use net::{Driver, ListenerConfig, Stop, bind};
use tokio::runtime::{Builder, Runtime};

/// How many rest beside each other: half-way between the sizes of a table that doubles, however many parts it has.
const PEERS: usize = 5_000;

/// How many of them have a socket.
const SOCKETS: usize = 375;

/// How long a hopeless run may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the tables make of a number, since chance decides how full their parts are; and what they make of small ones.
const SHARE: f64 = 0.03;
const BYTES: f64 = 16.0;

#[test]
fn nothing_that_rests_holds_more_than_its_budget() {
    let mut budgets = Budgets::load().unwrap();
    print_sizes();
    println!("{:<30} {:>12} {:>18}", "what rests", "allocations", "bytes (stored)");
    let in_process = idle::all().into_iter().map(|idle| (idle.name, resting(&idle)));
    let on_sockets = [
        ("tcp-mqtt-connected", on_sockets(0, false)),
        ("tcp-mqtt-subscribed", on_sockets(0, true)),
        ("tcp-mqtt-with-keep-alive", on_sockets(60, false)),
    ];
    let (mut exceeded, mut seen) = (Vec::new(), Vec::new());
    for (name, (allocations, bytes)) in in_process.chain(on_sockets) {
        let stored = budgets.idle.insert(name.to_owned(), bytes.round() as u64).unwrap_or_default();
        let row = format!("{name:<30} {allocations:>12.1} {bytes:>8.0} ({stored:>7})");
        let verdict = Verdict::new(bytes, stored as f64, SHARE, BYTES);
        println!("{row}{}", verdict.remark());
        if verdict == Verdict::Exceeded {
            exceeded.push(row);
        }
        seen.push(name);
    }
    if is_storing() {
        budgets.idle.retain(|name, _| seen.contains(&name.as_str()));
        return budgets.store().unwrap();
    }
    assert!(exceeded.is_empty(), "more than conformance/guard/budgets.toml allows:\n{}", exceeded.join("\n"));
    assert_eq!(budgets.idle.len(), seen.len(), "a budget is for nothing: {:?}", budgets.idle.keys());
}

/// The live allocations and bytes of one, beside many like it. A task holds the driver of its connection; here the
/// world does, and it is added.
fn resting(idle: &Idle) -> (f64, f64) {
    let mut world = World::without_history();
    world.reserve(PEERS);
    let held = measure(|| (0..PEERS).for_each(|number| (idle.arrange)(&mut world, number)));
    let sessions = if idle.session { PEERS } else { 0 };
    assert_eq!(world.broker.stats().sessions, sessions as u64, "{}", idle.name);
    let driver = if idle.connected { size_of::<Driver>() } else { 0 };
    let each = |held: i64| held as f64 / PEERS as f64;
    (each(held.count_current), each(held.bytes_current) + driver as f64)
}

/// The same over TCP, with everything that the runtime and the listener keep of a connection.
fn on_sockets(keep_alive: u16, subscribed: bool) -> (f64, f64) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let broker = Broker::new(Config::default(), Hooks::open(), Vec::new());
    let stop = Stop::new();
    let address = runtime.block_on(async { serve(&broker, &stop) });
    let mut clients = Vec::with_capacity(SOCKETS + 1);
    let open = |number| open(&runtime, address, number, keep_alive, subscribed);
    clients.push(open(SOCKETS));
    let held = measure(|| {
        clients.extend((0..SOCKETS).map(open));
    });
    assert_eq!(broker.stats().sessions, clients.len() as u64);
    let each = |held: i64| held as f64 / SOCKETS as f64;
    (each(held.count_current), each(held.bytes_current))
}

fn serve(broker: &Broker, stop: &Stop) -> SocketAddr {
    let bound = bind(([127, 0, 0, 1], 0).into(), Transport::Stream).unwrap();
    let (address, limits) = (bound.address, Limits::default());
    let protocol = Arc::new(Mqtt::new(mqtt::Config::default(), limits.clone()));
    bound.serve("guard".into(), protocol, broker.clone(), ListenerConfig::default(), limits, stop);
    address
}

/// A client that is served by a runtime of this thread: it says something, and asks for an answer once the runtime ran.
fn open(
    runtime: &Runtime,
    address: SocketAddr,
    number: usize,
    keep_alive: u16,
    subscribed: bool,
) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    ask(runtime, &mut socket, &idle::mqtt_connect(number, keep_alive), b"\x20\x02\0\0");
    if subscribed {
        ask(runtime, &mut socket, &idle::mqtt_subscribe(number), b"\x90\x03\0\x01\0");
    }
    socket
}

fn ask(runtime: &Runtime, socket: &mut TcpStream, request: &[u8], expected: &[u8]) {
    socket.write_all(request).unwrap();
    let (mut answer, mut length, began) = ([0; 8], 0, Instant::now());
    while length < expected.len() {
        assert!(began.elapsed() < PATIENCE, "no answer");
        runtime.block_on(tokio::task::yield_now());
        length += socket.read(&mut answer[length..]).unwrap_or_default();
    }
    assert_eq!(answer[..length], *expected);
}

/// What the parts are as types, those of the broker and of net that are nobody else's business only as a sum.
fn print_sizes() {
    let sizes = [
        ("net::Driver", size_of::<Driver>()),
        ("mqtt::MqttConnection", size_of::<mqtt::MqttConnection>()),
        ("bus::Peer", size_of::<bus::Peer>()),
        ("broker::Session", size_of::<broker::Session>()),
        ("broker::Client", size_of::<broker::Client>()),
        ("broker::Course", size_of::<broker::Course>()),
        ("bus::Subscription", size_of::<bus::Subscription>()),
        ("bus::Message", size_of::<bus::Message>()),
        ("bus::Delivery", size_of::<bus::Delivery>()),
    ];
    println!("{:<30} {:>12}", "a type", "bytes");
    for (name, bytes) in sizes {
        println!("{name:<30} {bytes:>12}");
    }
    println!();
}
