//! Subscriptions that ask something of a message's user properties.

mod common;

use broker::{Config, Hooks};
use bus::{Filter, Metadata, Publish, Qos, Reason, SubscriptionId, Unsubscribe};
use common::{Guest, World};

use Qos::{AtLeastOnce, AtMostOnce};

fn world() -> World {
    World::with(Config { property_filters: true, ..Config::default() }, Hooks::open())
}

fn subscribe(world: &World, guest: &mut Guest, id: u32, filter: &str) -> Result<Qos, Reason> {
    let filter = Filter::parse_with_condition(filter).unwrap();
    world.subscribe_to(guest, id, filter, AtLeastOnce)
}

fn with(topic: &str, properties: &[(&str, &str)]) -> Publish {
    let user_properties = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let metadata = Metadata { user_properties, ..Default::default() }.boxed();
    Publish { metadata, ..harness::publish(topic, "x", AtLeastOnce) }
}

#[test]
fn each_subscription_judges_a_message_by_itself() {
    let world = world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    subscribe(&world, &mut reader, 1, "room/#?site=a&temp>20").unwrap();
    subscribe(&world, &mut reader, 2, "room/+?temp>30").unwrap();
    let mut send = |properties| world.send(&mut writer, with("room/1", properties)).unwrap();
    assert_eq!(send(&[]), 0);
    assert_eq!(send(&[("temp", "9"), ("site", "a")]), 0);
    assert_eq!(world.broker.stats().filtered, 2);
    assert_eq!(send(&[("temp", "25"), ("site", "a")]), 1);
    assert_eq!(send(&[("temp", "35"), ("site", "b")]), 1);
    assert_eq!(send(&[("temp", "35"), ("site", "a")]), 1);
    let ids = |delivery: &bus::Delivery| {
        let mut ids = delivery.matched.as_slice().to_vec();
        ids.sort_unstable();
        ids
    };
    let matched: Vec<_> = world.deliveries(&mut reader).iter().map(ids).collect();
    let [one, two] = [SubscriptionId(1), SubscriptionId(2)];
    assert_eq!(matched, [vec![one], vec![two], vec![one, two]]);
    assert_eq!(world.broker.stats().dropped, []);

    subscribe(&world, &mut reader, 3, "room/1").unwrap();
    assert_eq!(world.send(&mut writer, with("room/1", &[])).unwrap(), 1, "one without a condition takes all");
}

#[test]
fn two_conditions_on_one_filter_are_two_subscriptions_and_each_ends_by_its_own_text() {
    let world = world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    for (one, other) in [(1, 2), (0, 0)] {
        subscribe(&world, &mut reader, one, "t?n=1").unwrap();
        subscribe(&world, &mut reader, other, "t?n=2").unwrap();
        for (gone, left) in [("2", 1), ("1", 0)] {
            let gone = Unsubscribe::Filter(Filter::parse_with_condition(&format!("t?n={gone}")).unwrap());
            let ended = reader.session.unsubscribe(vec![gone]);
            assert!(matches!(ended, Ok(bus::Reply::Unsubscribed(r)) if r == [Ok(())]));
            assert_eq!(world.send(&mut writer, with("t", &[("n", "1")])), Ok(left));
            assert_eq!(world.send(&mut writer, with("t", &[("n", "2")])), Ok(0));
        }
    }
}

#[test]
fn filters_that_differ_by_their_prefix_alone_end_each_by_itself() {
    let world = world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    for (one, other) in [("t", "$exclusive/t"), ("$queue/t", "$share/$queue/t")] {
        for (gone, left) in [(one, other), (other, one)] {
            for (filter, qos) in [(one, AtMostOnce), (other, AtLeastOnce)] {
                world.subscribe(&mut reader, 0, filter, qos).unwrap();
            }
            let end = |filter| vec![Unsubscribe::Filter(Filter::parse(filter).unwrap())];
            reader.session.unsubscribe(end(gone)).unwrap();
            assert_eq!(world.publish(&mut writer, "t", "x", AtLeastOnce), Ok(1));
            let qos = if left == one { AtMostOnce } else { AtLeastOnce };
            assert_eq!(world.deliveries(&mut reader)[0].qos, qos, "{left} is left");
            reader.session.unsubscribe(end(left)).unwrap();
            assert_eq!(world.publish(&mut writer, "t", "x", AtLeastOnce), Ok(0));
        }
    }
}

#[test]
fn only_members_whose_condition_holds_get_a_message_of_the_group() {
    let world = world();
    let (mut low, mut high, mut writer) =
        (world.connect("low"), world.connect("high"), world.connect("writer"));
    subscribe(&world, &mut low, 1, "$share/g/t/+?n<=5").unwrap();
    subscribe(&world, &mut high, 1, "$share/g/t/+?n>5").unwrap();
    for n in ["1", "2", "3", "7"] {
        assert_eq!(world.send(&mut writer, with("t/1", &[("n", n)])), Ok(1));
    }
    assert_eq!(world.send(&mut writer, with("t/1", &[])), Ok(0));
    assert_eq!((world.read(&mut low).len(), world.read(&mut high).len()), (3, 1));
}

#[test]
fn retained_messages_are_judged_too() {
    let world = world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    for n in ["1", "2"] {
        world.send(&mut writer, with(&format!("t/{n}"), &[("n", n)]).retained()).unwrap();
    }
    subscribe(&world, &mut reader, 1, "t/#?n>=2").unwrap();
    let replayed = world.deliveries(&mut reader);
    assert_eq!(replayed.iter().map(|delivery| delivery.message.topic.as_str()).collect::<Vec<_>>(), ["t/2"]);
}

#[test]
fn a_question_mark_is_an_ordinary_character_unless_conditions_are_switched_on() {
    let plain = World::new();
    let (mut reader, mut writer) = (plain.connect("reader"), plain.connect("writer"));
    subscribe(&plain, &mut reader, 1, "t?n=1").unwrap();
    assert_eq!(plain.publish(&mut writer, "t?n=1", "x", AtMostOnce), Ok(1));
    assert_eq!(plain.send(&mut writer, with("t", &[("n", "1")])), Ok(0));
    assert_eq!(subscribe(&plain, &mut reader, 1, "t/#?n=1"), Err(Reason::FilterInvalid));

    let world = world();
    let mut reader = world.connect("reader");
    for wrong in ["t?", "t?n", "t?n>x", "?n=1"] {
        assert_eq!(subscribe(&world, &mut reader, 1, wrong), Err(Reason::FilterInvalid), "{wrong}");
    }
}
