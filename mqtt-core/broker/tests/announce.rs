//! What the server itself says, and that nobody else says it.

mod common;

use std::sync::Arc;

use broker::{Answer, Client, Config, Hooks, Interceptor};
use bus::{Connect, Publish, Qos, Reason, Topic};
use common::{World, text, will};

#[test]
fn the_server_announces_to_those_who_subscribed_and_to_those_who_subscribe_later() {
    let world = World::new();
    let (mut early, mut late) = (world.connect("early"), world.connect("late"));
    world.subscribe(&mut early, 1, "$SYS/#", Qos::AtLeastOnce).unwrap();
    let uptime = harness::publish("$SYS/uptime", "1", Qos::AtLeastOnce).retained();
    assert_eq!(world.broker.announce(uptime, world.now), Ok(1));
    let heard = world.deliveries(&mut early);
    assert_eq!((text(&heard[0]), heard[0].message.origin.as_str()), ("1".to_owned(), ""));
    world.subscribe(&mut late, 1, "$SYS/+", Qos::AtLeastOnce).unwrap();
    assert_eq!(world.read(&mut late), ["1"]);
    let stats = world.broker.stats();
    assert_eq!((stats.received, stats.allowed, stats.retained), ([0; 3], 2, 1));
}

#[test]
fn where_nothing_may_be_retained_an_announcement_is_not() {
    let world = World::with(Config { retain: false, ..Config::default() }, Hooks::open());
    let uptime = harness::publish("$SYS/uptime", "1", Qos::AtMostOnce).retained();
    assert_eq!(world.broker.announce(uptime, world.now), Ok(0));
    assert_eq!(world.broker.stats().retained, 0);
}

/// Makes every topic one of the server's.
struct Usurper;

impl Interceptor for Usurper {
    fn publish(&self, _client: &Client, publish: Publish) -> Answer<Result<Publish, Reason>> {
        let topic = Topic::parse(&format!("$SYS/{}", publish.topic)).expect("a topic");
        Answer::Now(Ok(Publish { topic, ..publish }))
    }
}

#[test]
fn no_client_speaks_for_the_server_not_even_where_everything_is_allowed() {
    let world = World::new();
    let mut guest = world.connect("c");
    for topic in ["$SYS/uptime", "$SYS"] {
        assert_eq!(world.publish(&mut guest, topic, "x", Qos::AtMostOnce), Err(Reason::NotAuthorized));
    }
    assert_eq!(world.publish(&mut guest, "$SYSTEM/x", "x", Qos::AtMostOnce), Ok(0));
    let with_will = Connect { will: will("$SYS/x", "x", 0), ..harness::connect("d") };
    assert!(matches!(world.open(with_will), Err(Reason::NotAuthorized)));
    let set = common::now(guest.session.set_will(will("$SYS/x", "x", 0), world.now));
    assert_eq!(set.unwrap_err(), Reason::NotAuthorized);

    let world =
        World::with(Config::default(), Hooks { interceptors: vec![Arc::new(Usurper)], ..Hooks::open() });
    let mut guest = world.open(Connect { will: will("x", "x", 0), ..harness::connect("c") }).unwrap();
    assert_eq!(world.publish(&mut guest, "x", "x", Qos::AtMostOnce), Err(Reason::NotAuthorized));
    let mut watcher = world.connect("w");
    world.subscribe(&mut watcher, 1, "$SYS/#", Qos::AtMostOnce).unwrap();
    guest.session.close(Reason::PeerClosed, world.now);
    assert!(world.read(&mut watcher).is_empty());
}
