//! Who comes and goes, on topics.

mod common;

use std::sync::Arc;
use std::time::Duration;

use bus::Reason;
use common::World;
use operators::{Announcements, Config, Presence};
use serde_json::Value;

const A: &str = "10.0.0.1:5000";

fn watched(config: &Config) -> (World, Announcements) {
    let (presence, announcements) = Presence::new(config).unwrap();
    (World::watched_by(vec![Arc::new(presence)]), announcements)
}

#[test]
fn a_client_that_comes_and_goes_is_told_of_as_emqx_tells_it() {
    let (mut world, mut announcements) = watched(&Config::default());
    let mut watcher = world.connect("watcher", A);
    world.subscribe(&mut watcher, "$SYS/brokers/+/clients/#");
    announcements.flush(&world.broker);
    world.read(&mut watcher);

    let connect = bus::Connect { keep_alive: Some(Duration::from_secs(30)), ..harness::connect("a/b") };
    let session = world.open(connect, A).unwrap();
    world.now += Duration::from_millis(1_500);
    session.close(Reason::KeepAliveTimeout, world.now);
    announcements.flush(&world.broker);

    let told = world.read(&mut watcher);
    let topics: Vec<_> = told.iter().map(|(topic, _)| topic.as_str()).collect();
    let base = "$SYS/brokers/watersmeet/clients/a%2Fb";
    assert_eq!(topics, [format!("{base}/connected"), format!("{base}/disconnected")]);
    let [connected, disconnected] =
        [0, 1].map(|row: usize| serde_json::from_str::<Value>(&told[row].1).unwrap());
    assert_eq!(connected["clientid"], "a/b");
    assert_eq!(connected["ipaddress"], "10.0.0.1");
    assert_eq!((&connected["keepalive"], &connected["clean_start"]), (&30.into(), &true.into()));
    assert_eq!(connected["username"], Value::Null);
    assert_eq!(disconnected["reason"], "keep_alive_timeout");
    let span =
        disconnected["disconnected_at"].as_u64().unwrap() - disconnected["connected_at"].as_u64().unwrap();
    assert!((1_499..=1_501).contains(&span), "{span}");
}

#[test]
fn subscriptions_are_told_of_only_if_that_is_wanted() {
    let config = Config { presence: false, presence_subscriptions: true, ..Config::default() };
    let (world, mut announcements) = watched(&config);
    let mut watcher = world.connect("watcher", A);
    world.subscribe(&mut watcher, "$SYS/brokers/#");
    announcements.flush(&world.broker);
    let told = world.read(&mut watcher);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "$SYS/brokers/watersmeet/clients/watcher/subscribed");
    assert!(told[0].1.contains("\"topic\":\"$SYS/brokers/#\""), "{}", told[0].1);
    assert!(Presence::new(&Config { presence: false, ..Config::default() }).is_none());
}

#[test]
fn a_retained_topic_says_whether_a_client_is_there_and_a_take_over_does_not_confuse_it() {
    let config = Config { presence: false, presence_topic: "presence/%c".into(), ..Config::default() };
    let (world, mut announcements) = watched(&config);
    let first = world.connect("c1", A);
    let second = world.connect("c1", A);
    first.close(Reason::TakenOver, world.now);
    announcements.flush(&world.broker);

    let mut late = world.connect("late", A);
    world.subscribe(&mut late, "presence/#");
    let online = |id: &str| (format!("presence/{id}"), "online".to_owned());
    assert_eq!(world.read(&mut late), [online("c1")]);

    second.close(Reason::PeerClosed, world.now);
    announcements.flush(&world.broker);
    let told = world.read(&mut late);
    assert_eq!(told, [online("late"), ("presence/c1".to_owned(), "offline".to_owned())]);
}
