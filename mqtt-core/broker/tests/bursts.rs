//! What was published together is handed over together, where nobody can tell.

mod common;

use std::collections::VecDeque;
use std::time::Duration;

use broker::{Config, Handed, Hooks, PriorityConfig};
use bus::{Event, Publish, Qos, Ticket};
use common::{Guest, World, text};

use Qos::{AtLeastOnce, AtMostOnce};

/// How many messages each burst has, and the lengths of what came alone.
fn handed(handed: &Handed) -> (Vec<usize>, usize) {
    (handed.bursts.iter().map(|burst| burst.len()).collect(), handed.events.len())
}

/// The payloads, in the order in which a connection sends them.
fn read(handed: &Handed) -> Vec<String> {
    let whole = handed.bursts.iter().flat_map(|burst| burst.iter());
    let alone = handed.events.iter().map(|event| match event {
        Event::Deliver(delivery) => delivery.clone(),
        other => panic!("{other:?}"),
    });
    whole.chain(alone).map(|delivery| text(&delivery)).collect()
}

fn numbered(topic: &str, numbers: std::ops::Range<usize>, qos: Qos) -> Vec<Publish> {
    numbers.map(|number| harness::publish(topic, &number.to_string(), qos)).collect()
}

/// A publisher whose last publish was like those that come; nobody was there to receive it.
fn writer(world: &World, topic: &str, qos: Qos) -> Guest {
    let mut writer = world.connect("writer");
    world.publish(&mut writer, topic, "before", qos).unwrap();
    writer
}

fn publish_together(world: &World, writer: &mut Guest, publishes: Vec<Publish>) {
    let mut run: VecDeque<_> = publishes.into_iter().map(|publish| (Ticket::NONE, publish)).collect();
    let mut settled = Vec::new();
    writer.session.publish_run(&mut run, &mut settled, world.now);
    assert!(run.is_empty() && settled.is_empty(), "they are alike, and nobody waits for an answer");
}

#[test]
fn who_is_owed_a_burst_at_most_once_is_handed_it_whole() {
    let world = World::new();
    let mut writer = writer(&world, "a", AtMostOnce);
    let (mut whole, mut surely) = (world.connect("whole"), world.connect("surely"));
    world.subscribe(&mut whole, 7, "#", AtLeastOnce).unwrap();
    world.subscribe(&mut surely, 0, "a", AtLeastOnce).unwrap();
    publish_together(&world, &mut writer, numbered("a", 0..3, AtMostOnce));
    let got = world.pull_whole(&mut whole, usize::MAX);
    assert_eq!(handed(&got), (vec![3], 0));
    assert_eq!(got.bursts[0].matched.as_slice(), [bus::SubscriptionId(7)]);
    assert_eq!(read(&got), ["0", "1", "2"]);
    assert!(world.pull_whole(&mut whole, usize::MAX).is_empty());
    // With a guarantee each has a number of its own.
    world.publish(&mut writer, "a", "last", AtLeastOnce).unwrap();
    publish_together(&world, &mut writer, numbered("a", 3..5, AtLeastOnce));
    let got = world.pull_whole(&mut surely, usize::MAX);
    assert_eq!((got.bursts.len(), got.events.len()), (1, 3));
    assert_eq!(read(&got), ["0", "1", "2", "last", "3", "4"]);
}

#[test]
fn a_burst_that_does_not_fit_the_room_is_taken_apart_in_order() {
    let world = World::new();
    let mut writer = writer(&world, "a", AtMostOnce);
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 0, "a", AtMostOnce).unwrap();
    publish_together(&world, &mut writer, numbered("a", 0..4, AtMostOnce));
    publish_together(&world, &mut writer, numbered("a", 4..8, AtMostOnce));
    let mut seen = Vec::new();
    for (room, shape) in [(5, (vec![4], 1)), (2, (vec![], 2)), (9, (vec![], 1))] {
        let got = world.pull_whole(&mut reader, room);
        assert_eq!(handed(&got), shape);
        seen.extend(read(&got));
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn what_comes_alone_between_bursts_keeps_its_place() {
    let world = World::new();
    let mut writer = writer(&world, "a", AtMostOnce);
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 0, "#", AtMostOnce).unwrap();
    let mut number = 0;
    for _ in 0..40 {
        publish_together(&world, &mut writer, numbered("a", number..number + 3, AtMostOnce));
        number += 3;
        if number % 9 == 0 {
            world.publish(&mut writer, "a", &number.to_string(), AtMostOnce).unwrap();
            number += 1;
        }
    }
    let mut seen = Vec::new();
    while seen.len() < number {
        let got = read(&world.pull_whole(&mut reader, usize::MAX));
        assert!(!got.is_empty());
        seen.extend(got);
    }
    assert_eq!(seen, (0..number).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn an_urgent_message_goes_before_the_bursts_that_wait() {
    let priorities =
        PriorityConfig { topics: [("hot".to_owned(), 5.try_into().unwrap())].into(), ..Default::default() };
    let world = World::with(Config { priorities, ..Config::default() }, Hooks::open());
    let mut writer = writer(&world, "a", AtMostOnce);
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 0, "#", AtMostOnce).unwrap();
    publish_together(&world, &mut writer, numbered("a", 0..2, AtMostOnce));
    let mut other = world.connect("other");
    world.publish(&mut other, "hot", "now", AtMostOnce).unwrap();
    publish_together(&world, &mut writer, numbered("a", 2..4, AtMostOnce));
    assert_eq!(read(&world.pull_whole(&mut reader, usize::MAX)), ["now", "0", "1", "2", "3"]);
}

#[test]
fn messages_that_expire_are_looked_at_one_by_one() {
    let mut world = World::new();
    let mut writer = writer(&world, "a", AtMostOnce);
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 0, "a", AtMostOnce).unwrap();
    let mut publishes = numbered("a", 0..3, AtMostOnce);
    publishes[1].expiry = Some(Duration::from_secs(1));
    publish_together(&world, &mut writer, publishes);
    world.advance(Duration::from_secs(2));
    assert_eq!(read(&world.pull_whole(&mut reader, usize::MAX)), ["0", "2"]);
}

#[test]
fn bursts_that_wait_are_counted_and_bounded_as_messages() {
    let world = World::with(Config { queue_messages: 5, ..Config::default() }, Hooks::open());
    let mut writer = writer(&world, "a", AtMostOnce);
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 0, "a", AtMostOnce).unwrap();
    publish_together(&world, &mut writer, numbered("a", 0..3, AtMostOnce));
    let holdings = world.broker.holdings();
    assert_eq!((holdings.queued, holdings.queued_bytes), (3, 6));
    publish_together(&world, &mut writer, numbered("a", 3..7, AtMostOnce));
    let holdings = world.broker.holdings();
    assert_eq!((holdings.queued, holdings.queued_bytes), (5, 10));
    let got = read(&world.pull_whole(&mut reader, usize::MAX));
    assert_eq!(got.len(), 5);
    assert_eq!(world.broker.holdings().queued_bytes, 0);
}
