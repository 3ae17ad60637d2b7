//! Many messages at once.

use std::collections::BTreeMap;
use std::thread;

use suite::for_both;
use suite::mqtt::wire::puback;
use suite::mqtt::{Connect, Peer, Publish, Version, property, unique};

for_both!(many_publishers_and_subscribers_lose_nothing_and_keep_their_order);

const PUBLISHERS: u16 = 6;
const MESSAGES: u16 = 300;

/// 3.1.1 [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.5.0-1] [MQTT-4.3.2-1] [MQTT-4.3.2-2],
/// 5 [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.5.0-1] [MQTT-4.3.2-1] [MQTT-4.9.0-2] [MQTT-3.3.4-9]
fn many_publishers_and_subscribers_lose_nothing_and_keep_their_order(v: Version) {
    let topic = unique("t");
    // MQTT 3.1.1 has no window of its own, so there every third message at the latest is acknowledged.
    let windows = match v {
        Version::V3 => [1, 2, 3],
        Version::V5 => [1, 7, 15],
    };
    let watchers = windows.map(|window| {
        let connect = Connect::new(v, &unique("c")).property(property::receive_maximum(window));
        let (mut watcher, _) = Peer::accepted(connect);
        watcher.subscribe(&topic, 1);
        thread::spawn(move || watch(watcher, window))
    });
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let topic = topic.clone();
            thread::spawn(move || {
                let mut publisher = Peer::new(v);
                for count in 1..=MESSAGES {
                    publisher.publish(Publish::new(v, &topic, format!("{number} {count}")).qos(1, count));
                }
                publisher.leave();
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().expect("every message was acknowledged");
    }
    for watcher in watchers {
        watcher.join().expect("every message came in its order");
    }
}

/// Takes all messages, and acknowledges as late as the window allows.
fn watch(mut watcher: Peer, window: u16) {
    let mut last = BTreeMap::new();
    let mut open = Vec::new();
    for _ in 0..PUBLISHERS * MESSAGES {
        let delivery = watcher.delivery();
        let (number, count) = delivery.text().split_once(' ').expect("two numbers");
        let count: u16 = count.parse().expect("a number");
        let before = last.insert(number.to_owned(), count).unwrap_or(0);
        assert_eq!(count, before + 1, "from publisher {number}");
        open.push(delivery.id);
        if open.len() == usize::from(window) {
            watcher.send(&open.drain(..).flat_map(puback).collect::<Vec<_>>());
        }
    }
}
