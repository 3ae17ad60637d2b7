//! What a session is handed, and when again.

mod common;

use std::time::Duration;

use broker::{Config, Hooks, WhenFull};
use bus::{Ack, Event, Publish, Qos, Reason, RetainHandling, SubscribeOptions, SubscriptionId};
use common::{World, durable};

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn overlapping_subscriptions_share_one_delivery_at_the_best_guarantee() {
    let world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 3, "room/+", AtMostOnce).unwrap();
    world.subscribe(&mut reader, 4, "room/#", AtLeastOnce).unwrap();
    world.subscribe(&mut reader, 5, "room/7", AtMostOnce).unwrap();
    assert_eq!(world.publish(&mut writer, "room/7", "x", ExactlyOnce), Ok(1));
    let deliveries = world.deliveries(&mut reader);
    assert_eq!(deliveries.len(), 1);
    let mut ids = deliveries[0].matched.as_slice().to_vec();
    ids.sort_unstable();
    assert_eq!(ids, [SubscriptionId(3), SubscriptionId(4), SubscriptionId(5)]);
    assert_eq!(deliveries[0].qos, AtLeastOnce);
}

#[test]
fn a_topic_that_begins_with_a_dollar_is_hidden_from_leading_wildcards() {
    let world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtMostOnce).unwrap();
    world.subscribe(&mut reader, 1, "+/x", AtMostOnce).unwrap();
    assert_eq!(world.publish(&mut writer, "$own/x", "hidden", AtMostOnce), Ok(0));
    world.subscribe(&mut reader, 1, "$own/#", AtMostOnce).unwrap();
    assert_eq!(world.publish(&mut writer, "$own/x", "seen", AtMostOnce), Ok(1));
    assert_eq!(world.read(&mut reader), ["seen"]);
}

#[test]
fn subscribing_to_a_filter_again_replaces_the_subscription() {
    let world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "a/+", AtMostOnce).unwrap();
    world.subscribe(&mut reader, 2, "a/+", ExactlyOnce).unwrap();
    world.publish(&mut writer, "a/b", "x", ExactlyOnce).unwrap();
    let deliveries = world.deliveries(&mut reader);
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].matched.as_slice(), [SubscriptionId(2)]);
    assert_eq!(deliveries[0].qos, ExactlyOnce);
}

#[test]
fn nothing_published_by_the_session_itself_comes_through_a_no_local_subscription() {
    let world = World::new();
    let mut both = world.connect("both");
    let no_local = SubscribeOptions { no_local: true, qos: AtLeastOnce, ..Default::default() };
    world.subscribe_with(&mut both, 1, "a/#", no_local).unwrap();
    world.publish(&mut both, "a/b", "own", AtMostOnce).unwrap();
    assert!(world.read(&mut both).is_empty());
    world.subscribe(&mut both, 2, "a/b", AtMostOnce).unwrap();
    world.publish(&mut both, "a/b", "own", AtLeastOnce).unwrap();
    let deliveries = world.deliveries(&mut both);
    assert_eq!(deliveries[0].matched.as_slice(), [SubscriptionId(2)]);
    assert_eq!(deliveries[0].qos, AtMostOnce);
}

#[test]
fn no_more_than_the_window_is_unacknowledged_and_order_is_kept() {
    let world = World::new();
    let mut reader = world.open(bus::Connect { receive_maximum: 2, ..harness::connect("reader") }).unwrap();
    let mut writer = world.connect("writer");
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    for payload in ["1", "2", "3"] {
        world.publish(&mut writer, "t", payload, AtLeastOnce).unwrap();
    }
    world.publish(&mut writer, "t", "4", AtMostOnce).unwrap();
    let first = world.deliveries(&mut reader);
    assert_eq!(first.iter().map(common::text).collect::<Vec<_>>(), ["1", "2"]);
    assert!(world.deliveries(&mut reader).is_empty(), "even what needs no window waits its turn");
    reader.session.ack(first[1].id.unwrap(), Ack::Complete);
    assert_eq!(world.read(&mut reader), ["3", "4"]);
}

#[test]
fn what_was_not_acknowledged_comes_again_with_the_same_id_as_duplicate() {
    let mut world = World::new();
    let mut reader = world.resume("reader");
    let mut writer = world.connect("writer");
    world.subscribe(&mut reader, 1, "t", ExactlyOnce).unwrap();
    for payload in ["1", "2", "3"] {
        world.publish(&mut writer, "t", payload, AtLeastOnce).unwrap();
    }
    let mut publish = harness::publish("t", "4", ExactlyOnce);
    publish.once = Some(9);
    world.send(&mut writer, publish).unwrap();
    let first = world.deliveries(&mut reader);
    reader.session.ack(first[1].id.unwrap(), Ack::Complete);
    reader.session.ack(first[3].id.unwrap(), Ack::Received);
    reader.session.close(Reason::PeerClosed, world.now);
    world.advance(Duration::from_secs(60));

    let mut reader = world.resume("reader");
    assert!(reader.connected.session_present);
    let again = world.events(&mut reader);
    match again.as_slice() {
        [Event::Deliver(one), Event::Deliver(three), Event::Release(four)] => {
            assert!(one.duplicate && three.duplicate);
            assert_eq!((one.id, three.id, Some(*four)), (first[0].id, first[2].id, first[3].id));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exactly_once_publish_is_routed_once_until_it_is_released() {
    let world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "t", ExactlyOnce).unwrap();
    for _ in 0..3 {
        world.publish(&mut writer, "t", "x", ExactlyOnce).unwrap();
    }
    assert_eq!(world.read(&mut reader), ["x"]);
    writer.session.release(1).unwrap();
    world.publish(&mut writer, "t", "y", ExactlyOnce).unwrap();
    assert_eq!(world.read(&mut reader), ["y"]);
}

#[test]
fn a_new_subscription_gets_the_retained_messages_as_its_options_say() {
    let world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.send(&mut writer, harness::publish("r/1", "one", AtLeastOnce).retained()).unwrap();
    world.send(&mut writer, harness::publish("r/2", "two", AtLeastOnce).retained()).unwrap();
    world.send(&mut writer, harness::publish("r/2", "", AtLeastOnce).retained()).unwrap();
    world.subscribe(&mut reader, 1, "r/+", AtMostOnce).unwrap();
    let deliveries = world.deliveries(&mut reader);
    assert_eq!((deliveries.len(), deliveries[0].retain, deliveries[0].qos), (1, true, AtMostOnce));

    let with = |retain_handling| SubscribeOptions { retain_handling, ..Default::default() };
    for (handling, filter, expected) in [
        (RetainHandling::IfNew, "r/+", 0),
        (RetainHandling::Never, "r/1", 0),
        (RetainHandling::IfNew, "r/#", 1),
        (RetainHandling::Always, "r/+", 1),
        (RetainHandling::Always, "$share/g/r/+", 0),
    ] {
        world.subscribe_with(&mut reader, 1, filter, with(handling)).unwrap();
        assert_eq!(world.read(&mut reader).len(), expected, "{handling:?} {filter}");
    }
}

#[test]
fn a_live_message_keeps_its_retain_flag_only_if_the_subscription_asks_for_it() {
    let world = World::new();
    let (mut plain, mut keeping) = (world.connect("plain"), world.connect("keeping"));
    let mut writer = world.connect("writer");
    world.subscribe(&mut plain, 1, "t", AtMostOnce).unwrap();
    let options = SubscribeOptions { retain_as_published: true, ..Default::default() };
    world.subscribe_with(&mut keeping, 1, "t", options).unwrap();
    world.send(&mut writer, harness::publish("t", "x", AtMostOnce).retained()).unwrap();
    assert!(!world.deliveries(&mut plain)[0].retain);
    assert!(world.deliveries(&mut keeping)[0].retain);
}

#[test]
fn an_expired_message_is_neither_delivered_nor_replayed_nor_read() {
    let mut world = World::new();
    let mut reader = world.resume("reader");
    let mut writer = world.connect("writer");
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    let mut publish = harness::publish("t", "old", AtLeastOnce).retained();
    publish.expiry = Some(Duration::from_secs(5));
    world.send(&mut writer, publish).unwrap();
    world.publish(&mut writer, "t", "kept", AtLeastOnce).unwrap();
    world.advance(Duration::from_secs(6));
    assert_eq!(world.read(&mut reader), ["kept"]);
    world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
    assert!(world.read(&mut reader).is_empty());
    assert!(matches!(
        common::now(reader.session.read(bus::Topic::parse("t").unwrap(), world.now)),
        Ok(bus::Reply::Read(None))
    ));
    assert_eq!(world.broker.stats().dropped, [(Reason::MessageExpired, 1)]);
    world.advance(Duration::from_secs(120));
    assert_eq!(world.broker.stats().retained, 0);
}

#[test]
fn a_full_queue_drops_the_newest_or_the_oldest_and_counts_it() {
    for (when_full, expected) in [(WhenFull::DropNewest, ["1", "2"]), (WhenFull::DropOldest, ["2", "3"])] {
        let world = World::with(Config { queue_messages: 2, when_full, ..Config::default() }, Hooks::open());
        let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
        world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
        for payload in ["1", "2", "3"] {
            world.publish(&mut writer, "t", payload, AtLeastOnce).unwrap();
        }
        assert_eq!(world.broker.stats().dropped, [(Reason::QueueFull, 1)]);
        assert_eq!(world.read(&mut reader), expected);
    }
}

#[test]
fn a_queue_is_bounded_by_bytes_too() {
    let world = World::with(Config { queue_bytes: 100, ..Config::default() }, Hooks::open());
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    for _ in 0..10 {
        world.publish(&mut writer, "t", &"x".repeat(40), AtLeastOnce).unwrap();
    }
    assert_eq!(world.read(&mut reader).len(), 2);
}

#[test]
fn at_most_once_messages_do_not_wait_for_a_client_that_is_away() {
    let world = World::new();
    let mut reader = world.resume("reader");
    let mut writer = world.connect("writer");
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    reader.session.close(Reason::PeerClosed, world.now);
    world.publish(&mut writer, "t", "lost", AtMostOnce).unwrap();
    world.publish(&mut writer, "t", "kept", AtLeastOnce).unwrap();
    assert_eq!(world.read(&mut world.open(durable("reader")).unwrap()), ["kept"]);
}

#[test]
fn one_member_of_a_share_group_gets_each_message_and_a_second_one_what_the_first_gives_back() {
    let world = World::new();
    let (mut a, mut b, mut writer) = (world.connect("a"), world.connect("b"), world.connect("writer"));
    for member in [&mut a, &mut b] {
        world.subscribe(member, 1, "$share/g/job/+", AtLeastOnce).unwrap();
    }
    for payload in ["1", "2", "3", "4"] {
        assert_eq!(world.publish(&mut writer, "job/x", payload, AtLeastOnce), Ok(1));
    }
    let (to_a, to_b) = (world.deliveries(&mut a), world.deliveries(&mut b));
    assert_eq!((to_a.len(), to_b.len()), (2, 2));
    a.session.ack(to_a[0].id.unwrap(), Ack::Return);
    let returned = world.deliveries(&mut b);
    assert_eq!((returned.len(), common::text(&returned[0])), (1, common::text(&to_a[0])));
    assert!(returned[0].duplicate);
    a.session.close(Reason::PeerClosed, world.now);
    assert_eq!(world.read(&mut b), [common::text(&to_a[1])], "what a lost member had goes to another");
}

#[test]
fn a_delivery_that_is_given_back_comes_again_before_what_waits() {
    let world = World::new();
    let mut reader = world.open(bus::Connect { receive_maximum: 1, ..harness::connect("reader") }).unwrap();
    let mut writer = world.connect("writer");
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    world.publish(&mut writer, "t", "1", AtLeastOnce).unwrap();
    world.publish(&mut writer, "t", "2", AtLeastOnce).unwrap();
    let first = world.deliveries(&mut reader);
    reader.session.ack(first[0].id.unwrap(), Ack::Return);
    let again = world.deliveries(&mut reader);
    assert_eq!((common::text(&again[0]).as_str(), again[0].duplicate), ("1", true));
}

/// What went wrong: a message larger than the whole queue threw away all that waited, and itself; of several that
/// had to go for one, one was counted.
#[test]
fn all_that_makes_way_is_counted_and_nothing_makes_way_for_what_never_fits() {
    let config = Config { queue_bytes: 100, when_full: WhenFull::DropOldest, ..Config::default() };
    let world = World::with(config, Hooks::open());
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    for payload in ["x".repeat(30), "y".repeat(30), "z".repeat(200)] {
        world.publish(&mut writer, "t", &payload, AtLeastOnce).unwrap();
    }
    assert_eq!(world.broker.stats().dropped, [(Reason::QueueFull, 1)]);
    world.publish(&mut writer, "t", &"z".repeat(90), AtLeastOnce).unwrap();
    assert_eq!(world.broker.stats().dropped, [(Reason::QueueFull, 3)]);
    assert_eq!(world.read(&mut reader), ["z".repeat(90)]);
}

/// What went wrong: messages whose time was over kept those that came later out of a full queue.
#[test]
fn expired_messages_make_way_in_a_full_queue() {
    let mut world = World::with(Config { queue_messages: 2, ..Config::default() }, Hooks::open());
    let (mut reader, mut writer) = (world.resume("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    reader.session.close(Reason::PeerClosed, world.now);
    for payload in ["1", "2"] {
        let publish = harness::publish("t", payload, AtLeastOnce);
        let publish = Publish { expiry: Some(Duration::from_secs(5)), ..publish };
        world.send(&mut writer, publish).unwrap();
    }
    world.advance(Duration::from_secs(5));
    for payload in ["3", "4", "5"] {
        world.publish(&mut writer, "t", payload, AtLeastOnce).unwrap();
    }
    assert_eq!(world.broker.stats().dropped, [(Reason::QueueFull, 1), (Reason::MessageExpired, 2)]);
    let mut reader = world.resume("reader");
    assert_eq!(world.read(&mut reader), ["3", "4"]);
}

/// What went wrong: when a session ended, exactly-once messages that its client might have seen went to another
/// member of the share group.
#[test]
fn an_exactly_once_message_that_was_begun_goes_to_no_other_member_when_the_session_ends() {
    let mut world = World::new();
    let (mut first, mut writer) = (world.resume("first"), world.connect("writer"));
    world.subscribe(&mut first, 1, "$share/g/t", ExactlyOnce).unwrap();
    world.publish(&mut writer, "t", "begun", ExactlyOnce).unwrap();
    writer.session.release(1).unwrap();
    world.publish(&mut writer, "t", "least", AtLeastOnce).unwrap();
    assert_eq!(world.pull(&mut first, 2).len(), 2);
    world.publish(&mut writer, "t", "waiting", ExactlyOnce).unwrap();
    first.session.close(Reason::PeerClosed, world.now);
    let mut second = world.connect("second");
    world.subscribe(&mut second, 1, "$share/g/t", ExactlyOnce).unwrap();
    assert_eq!(world.read(&mut second), [""; 0]);
    world.advance(Duration::from_secs(3_600));
    assert_eq!(world.read(&mut second), ["least", "waiting"]);
}

#[test]
fn a_delivery_that_a_connection_missed_comes_again_to_it_under_its_id() {
    let world = World::new();
    let mut reader = world.open(bus::Connect { receive_maximum: 2, ..harness::connect("reader") }).unwrap();
    let mut writer = world.connect("writer");
    world.subscribe(&mut reader, 1, "t", AtLeastOnce).unwrap();
    for payload in ["1", "2", "3"] {
        world.publish(&mut writer, "t", payload, AtLeastOnce).unwrap();
    }
    let first = world.deliveries(&mut reader);
    assert_eq!(first.len(), 2);
    let ids: Vec<_> = first.iter().map(|delivery| delivery.id.unwrap()).collect();
    for id in ids.iter().rev() {
        reader.session.ack(*id, Ack::Resend);
    }
    let again = world.deliveries(&mut reader);
    let seen: Vec<_> = again.iter().map(|one| (one.id.unwrap(), common::text(one), one.duplicate)).collect();
    assert_eq!(seen, [(ids[0], "1".to_owned(), true), (ids[1], "2".to_owned(), true)]);
    reader.session.ack(ids[0], Ack::Complete);
    assert_eq!(world.read(&mut reader), ["3"]);
}
