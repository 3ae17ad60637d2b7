//! Which member of a share group gets a message, and who has a filter alone.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use broker::{Config, Hooks, ShareStrategy};
use bus::{Ack, Filter, Qos, Reason, Unsubscribe};
use common::{Guest, World};

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn world(share_strategy: ShareStrategy) -> World {
    World::with(Config { share_strategy, ..Config::default() }, Hooks::open())
}

fn members(world: &World, filter: &str) -> [Guest; 3] {
    ["a", "b", "c"].map(|name| {
        let mut guest = world.resume(name);
        world.subscribe(&mut guest, 1, filter, ExactlyOnce).unwrap();
        guest
    })
}

fn counts(world: &World, members: &mut [Guest]) -> Vec<usize> {
    let all =
        |member: &mut Guest| std::iter::repeat_with(|| world.read(member).len()).take_while(|n| *n > 0).sum();
    members.iter_mut().map(all).collect()
}

#[test]
fn each_strategy_spreads_messages_in_its_way() {
    for strategy in [
        ShareStrategy::RoundRobin,
        ShareStrategy::Random,
        ShareStrategy::Sticky,
        ShareStrategy::HashClientId,
        ShareStrategy::HashTopic,
    ] {
        let world = world(strategy);
        let mut members = members(&world, "$share/g/#");
        let mut writers: Vec<_> = (0..30).map(|n| world.connect(&format!("writer {n}"))).collect();
        for writer in &mut writers {
            for n in 0..10 {
                assert_eq!(world.publish(writer, &format!("topic/{n}"), "x", AtLeastOnce), Ok(1));
            }
        }
        let counts = counts(&world, &mut members);
        assert_eq!(counts.iter().sum::<usize>(), 300, "{strategy:?}");
        match strategy {
            ShareStrategy::RoundRobin => assert_eq!(counts, [100, 100, 100]),
            ShareStrategy::Random => {
                assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}")
            }
            ShareStrategy::Sticky => assert!(counts.contains(&300), "{counts:?}"),
            ShareStrategy::HashClientId => {
                assert!(counts.iter().all(|n| *n > 0 && n % 10 == 0), "{counts:?}")
            }
            ShareStrategy::HashTopic => assert!(counts.iter().all(|n| n % 30 == 0), "{counts:?}"),
        }
    }
}

#[test]
fn a_hash_moves_no_more_than_the_share_of_the_member_that_leaves() {
    let world = world(ShareStrategy::HashTopic);
    let mut members = members(&world, "$share/g/#");
    let mut writer = world.connect("writer");
    let mut owners = |members: &mut [Guest]| -> Vec<BTreeSet<String>> {
        for n in 0..40 {
            let topic = format!("topic/{n}");
            world.publish(&mut writer, &topic, &topic, AtLeastOnce).unwrap();
        }
        members.iter_mut().map(|member| world.read(member).into_iter().collect()).collect()
    };
    let before = owners(&mut members);
    let gone = Unsubscribe::Filter(Filter::parse("$share/g/#").unwrap());
    members[0].session.unsubscribe(vec![gone]).unwrap();
    let after = owners(&mut members);
    assert!(after[0].is_empty() && before[1].is_subset(&after[1]) && before[2].is_subset(&after[2]));
}

#[test]
fn a_group_may_have_a_strategy_of_its_own_and_queue_is_a_group() {
    let share_groups = [("$queue".to_owned(), ShareStrategy::Sticky)].into();
    let world = World::with(Config { share_groups, ..Config::default() }, Hooks::open());
    let mut queue = members(&world, "$queue/t");
    let mut group = members(&world, "$share/g/t");
    let mut writer = world.connect("writer");
    for _ in 0..6 {
        assert_eq!(world.publish(&mut writer, "t", "x", AtLeastOnce), Ok(2));
    }
    // The second subscription of each session took its connection over.
    let mut counts = counts(&world, &mut group);
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 8], "two each of the group, and six to one of the queue");
    assert!(matches!(world.events(&mut queue[0])[..], [bus::Event::Close(Reason::TakenOver)]));
}

#[test]
fn a_member_with_a_full_queue_and_one_that_is_away_are_passed_over() {
    let world = World::with(Config { queue_messages: 1, ..Config::default() }, Hooks::open());
    let [a, mut b, mut c] = members(&world, "$share/g/t");
    let mut writer = world.connect("writer");
    a.session.close(Reason::PeerClosed, world.now);
    for payload in ["1", "2", "3"] {
        world.publish(&mut writer, "t", payload, AtLeastOnce).unwrap();
    }
    assert_eq!((world.read(&mut b).len(), world.read(&mut c).len()), (1, 1));
    assert_eq!(world.broker.stats().dropped, []);
    assert_eq!(
        world.read(&mut world.resume("a")),
        ["3"],
        "kept by the one that is away, as the others were full"
    );
}

#[test]
fn when_all_members_are_away_one_keeps_the_message_until_a_member_is_back() {
    let mut world = World::new();
    let [a, b, c] = members(&world, "$share/g/t");
    let mut writer = world.connect("writer");
    for member in [a, b, c] {
        member.session.close(Reason::PeerClosed, world.now);
    }
    for payload in ["1", "2", "3", "4"] {
        assert_eq!(world.publish(&mut writer, "t", payload, AtLeastOnce), Ok(1));
    }
    world.advance(Duration::from_secs(300));
    let mut b = world.resume("b");
    let own = world.read(&mut b);
    world.advance(Duration::from_secs(59));
    world.advance(Duration::from_secs(1));
    let mut all = [own, world.read(&mut b)].concat();
    all.sort_unstable();
    assert_eq!(all, ["1", "2", "3", "4"], "each once");
    assert!(world.read(&mut world.resume("a")).is_empty() && world.read(&mut world.resume("c")).is_empty());
}

#[test]
fn after_the_grace_what_waits_for_a_lost_member_goes_to_another_but_not_what_was_begun_exactly_once() {
    let mut world = World::new();
    let mut first = world.resume("first");
    let mut writer = world.connect("writer");
    world.subscribe(&mut first, 1, "$share/g/t", ExactlyOnce).unwrap();
    world.subscribe(&mut first, 2, "own", AtLeastOnce).unwrap();
    world.publish(&mut writer, "t", "begun twice", ExactlyOnce).unwrap();
    writer.session.release(1).unwrap();
    world.publish(&mut writer, "t", "begun once", AtLeastOnce).unwrap();
    let begun = world.pull(&mut first, 2).len();
    world.publish(&mut writer, "t", "waiting", ExactlyOnce).unwrap();
    world.publish(&mut writer, "own", "mine", AtLeastOnce).unwrap();
    let mut second = world.resume("second");
    world.subscribe(&mut second, 1, "$share/g/t", ExactlyOnce).unwrap();
    first.session.close(Reason::PeerClosed, world.now);
    world.advance(Duration::from_secs(59));
    assert_eq!((begun, world.read(&mut second)), (2, vec![]), "the client may come back");
    world.advance(Duration::from_secs(1));
    assert_eq!(world.read(&mut second), ["begun once", "waiting"]);
    assert_eq!(world.read(&mut world.resume("first")), ["begun twice", "mine"]);
    world.advance(Duration::from_secs(600));
    assert!(world.read(&mut second).is_empty());
}

#[test]
fn a_member_that_comes_back_within_the_grace_keeps_what_waits() {
    let mut world = World::new();
    let [mut a, b, c] = members(&world, "$share/g/t");
    let mut writer = world.connect("writer");
    b.session.close(Reason::PeerClosed, world.now);
    c.session.close(Reason::PeerClosed, world.now);
    world.publish(&mut writer, "t", "x", AtLeastOnce).unwrap();
    let id = world.deliveries(&mut a)[0].id;
    a.session.close(Reason::PeerClosed, world.now);
    let _b = world.resume("b");
    world.advance(Duration::from_secs(30));
    let mut a = world.resume("a");
    world.advance(Duration::from_secs(60));
    let again = world.deliveries(&mut a);
    assert_eq!((again[0].id, again[0].duplicate), (id, true));
    a.session.ack(id.unwrap(), Ack::Complete);
}

/// [MQTT-3.10.4-3] lets what waits be delivered, and what was begun must be.
#[test]
fn what_a_member_was_owed_before_it_unsubscribed_still_comes() {
    let world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    for filter in ["t", "$share/g/t"] {
        world.subscribe(&mut reader, 1, filter, AtLeastOnce).unwrap();
        world.publish(&mut writer, "t", filter, AtLeastOnce).unwrap();
        let gone = Unsubscribe::Filter(Filter::parse(filter).unwrap());
        reader.session.unsubscribe(vec![gone]).unwrap();
        world.publish(&mut writer, "t", "late", AtLeastOnce).unwrap();
        assert_eq!(world.read(&mut reader), [filter]);
    }
}

#[test]
fn an_exclusive_filter_is_one_sessions_until_it_unsubscribes_or_ends() {
    let mut world = World::new();
    let (mut first, mut second) = (world.resume("first"), world.connect("second"));
    let filter = "$exclusive/valve/+";
    world.subscribe(&mut first, 1, filter, AtLeastOnce).unwrap();
    world.subscribe(&mut first, 2, filter, AtLeastOnce).unwrap();
    assert_eq!(world.subscribe(&mut second, 1, filter, AtLeastOnce), Err(Reason::ExclusiveTaken));
    assert!(world.subscribe(&mut second, 1, "valve/+", AtLeastOnce).is_ok(), "the plain filter is another");
    assert_eq!(world.publish(&mut second, "valve/1", "x", AtMostOnce), Ok(2));
    assert_eq!(world.read(&mut first), ["x"]);

    let gone = Unsubscribe::Filter(Filter::parse(filter).unwrap());
    first.session.unsubscribe(vec![gone]).unwrap();
    assert!(world.subscribe(&mut second, 1, filter, AtLeastOnce).is_ok());
    assert_eq!(world.subscribe(&mut first, 1, filter, AtLeastOnce), Err(Reason::ExclusiveTaken));
    second.session.close(Reason::PeerClosed, world.now);
    world.subscribe(&mut first, 1, filter, AtLeastOnce).unwrap();
    first.session.close(Reason::PeerClosed, world.now);
    let mut third = world.connect("third");
    assert_eq!(
        world.subscribe(&mut third, 1, filter, AtLeastOnce),
        Err(Reason::ExclusiveTaken),
        "it is only away"
    );
    world.advance(Duration::from_secs(3_601));
    assert!(world.subscribe(&mut third, 1, filter, AtLeastOnce).is_ok());
}

#[test]
fn exclusive_filters_can_be_switched_off() {
    let world = World::with(Config { exclusive_subscriptions: false, ..Config::default() }, Hooks::open());
    let mut guest = world.connect("c");
    assert_eq!(world.subscribe(&mut guest, 1, "$exclusive/a", AtMostOnce), Err(Reason::UnsupportedFeature));
}
