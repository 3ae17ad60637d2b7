//! Messages that are published later, subscriptions nobody asked for, and the order in queues.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, AutoRetain, AutoSubscribe, Client,
    Config, DefaultPriority, DelayedConfig, Hooks, Identity, Permission, PriorityConfig, WhenFull,
};
use bus::{Connect, Credentials, Publish, Qos, Reason, Unsubscribe, Will};
use common::{World, durable, secretive};

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_delayed_message_comes_when_it_is_due_though_its_publisher_is_gone() {
    let mut world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", ExactlyOnce).unwrap();
    world.subscribe(&mut reader, 2, "$delayed/#", AtMostOnce).unwrap();
    let metadata = bus::Metadata { user_properties: vec![("k".into(), "v".into())], ..Default::default() };
    let publish = harness::publish("$delayed/10/a/b", "x", ExactlyOnce).retained();
    let publish = Publish { metadata: metadata.boxed(), expiry: Some(secs(30)), ..publish };
    assert_eq!(world.send(&mut writer, publish.clone()), Ok(1));
    assert_eq!(world.send(&mut writer, publish), Ok(1), "the same again, as it was not released");
    world.publish(&mut writer, "$delayed/0/now", "at once", AtMostOnce).unwrap();
    assert_eq!(world.broker.stats().delayed, 2);
    writer.session.close(Reason::PeerClosed, world.now);
    world.advance(secs(9));
    assert_eq!(world.read(&mut reader), ["at once"]);
    world.advance(secs(1));
    let delivery = &world.deliveries(&mut reader)[0];
    let message = &delivery.message;
    assert_eq!((message.topic.as_str(), delivery.qos, message.retain), ("a/b", ExactlyOnce, true));
    assert_eq!(message.remaining(world.now), Some(secs(20)), "it counts from when it was published");
    assert_eq!(message.metadata.as_ref().unwrap().user_properties.len(), 1);
    let stats = world.broker.stats();
    assert_eq!((stats.delayed, stats.delayed_bytes, stats.retained, stats.received), (0, 0, 1, [1, 0, 1]));
}

#[test]
fn a_delayed_message_that_expires_before_it_is_due_is_dropped() {
    let mut world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtMostOnce).unwrap();
    let publish = harness::publish("$delayed/10/t", "x", AtMostOnce);
    world.send(&mut writer, Publish { expiry: Some(secs(10)), ..publish }).unwrap();
    world.advance(secs(10));
    assert!(world.read(&mut reader).is_empty());
    assert_eq!(world.broker.stats().dropped, [(Reason::MessageExpired, 1)]);
}

#[test]
fn a_message_may_be_delayed_until_a_time_of_day_once_the_broker_knows_it() {
    let mut world = World::new();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "t", AtMostOnce).unwrap();
    let until = "$delayed/1700000060/t";
    assert_eq!(world.publish(&mut writer, until, "x", AtMostOnce), Err(Reason::TopicInvalid));
    world.broker.tell_time(world.now, SystemTime::UNIX_EPOCH + secs(1_700_000_000));
    world.publish(&mut writer, until, "x", AtMostOnce).unwrap();
    world.advance(secs(59));
    assert!(world.read(&mut reader).is_empty());
    world.advance(secs(1));
    assert_eq!(world.read(&mut reader), ["x"]);
}

#[test]
fn what_is_no_delay_is_refused_and_so_is_what_exceeds_the_bounds() {
    let delayed = DelayedConfig { messages: 2, bytes: 100 };
    let world = World::with(Config { delayed, ..Config::default() }, Hooks::open());
    let mut writer = world.connect("writer");
    for wrong in ["$delayed/t", "$delayed/x/t", "$delayed/-1/t", "$delayed/1/", "$delayed/1/$delayed/1/t"] {
        assert_eq!(world.publish(&mut writer, wrong, "x", AtMostOnce), Err(Reason::TopicInvalid), "{wrong}");
    }
    let long = "x".repeat(100);
    assert_eq!(world.publish(&mut writer, "$delayed/9/t", &long, AtMostOnce), Err(Reason::QuotaExceeded));
    let two = ["$delayed/9/t", "now"].map(|topic| harness::publish(topic, "x", AtLeastOnce)).to_vec();
    assert!(common::now(writer.session.publish_all(two, world.now)).is_ok());
    let three =
        ["$delayed/9/t", "$delayed/9/t", "r"].map(|t| harness::publish(t, "x", AtLeastOnce).retained());
    let refused = common::now(writer.session.publish_all(three.to_vec(), world.now));
    assert!(matches!(refused, Err(Reason::QuotaExceeded)));
    assert_eq!((world.broker.stats().delayed, world.broker.stats().retained), (1, 0), "all or nothing");
}

#[test]
fn one_client_may_have_a_quarter_of_what_is_delayed() {
    let delayed = DelayedConfig { messages: 8, bytes: 400 };
    let mut world = World::with(Config { delayed, ..Config::default() }, Hooks::open());
    let (mut greedy, mut other) = (world.connect("greedy"), world.connect("other"));
    let full = Err(Reason::QuotaExceeded);
    let long = "x".repeat(99);
    assert_eq!(world.publish(&mut greedy, "$delayed/9/t", &long, AtMostOnce), Ok(1));
    assert_eq!(world.publish(&mut greedy, "$delayed/9/t", "", AtMostOnce), full, "no bytes are left");
    for result in [Ok(1), Ok(1), full] {
        assert_eq!(world.publish(&mut other, "$delayed/9/t", "x", AtMostOnce), result);
    }
    other.session.close(Reason::PeerClosed, world.now);
    let mut other = world.connect("other");
    assert_eq!(world.publish(&mut other, "$delayed/9/t", "x", AtMostOnce), full, "the same client");
    let two = vec![harness::publish("$delayed/9/t", "x", AtMostOnce); 3];
    let mut third = world.connect("third");
    assert!(matches!(common::now(third.session.publish_all(two, world.now)), Err(Reason::QuotaExceeded)));
    world.advance(secs(9));
    for guest in [&mut greedy, &mut other, &mut third] {
        assert_eq!(world.publish(guest, "$delayed/9/t", "x", AtMostOnce), Ok(1));
    }
}

#[test]
fn the_rights_of_a_delayed_message_are_those_of_its_topic_and_a_will_may_be_delayed() {
    let mut world = World::with(Config::default(), secretive());
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtMostOnce).unwrap();
    let denied = world.publish(&mut writer, "$delayed/1/secret/x", "x", AtMostOnce);
    assert_eq!(denied, Err(Reason::NotAuthorized));
    let will =
        |topic: &str| Will { publish: harness::publish(topic, "will", AtMostOnce), delay: Duration::ZERO };
    let connect = |topic| Connect { will: Some(will(topic)), ..harness::connect("c") };
    assert!(matches!(world.open(connect("$delayed/1/secret")), Err(Reason::NotAuthorized)));
    assert!(matches!(world.open(connect("$delayed/secret")), Err(Reason::TopicInvalid)));
    let system = world.publish(&mut writer, "$delayed/1/$SYS/x", "x", AtMostOnce);
    assert_eq!(system, world.publish(&mut writer, "$SYS/x", "x", AtMostOnce));
    assert!(system.is_err() && world.open(connect("$delayed/1/$SYS/x")).is_err());
    let set = common::now(writer.session.set_will(Some(will("$delayed/1/secret")), world.now));
    assert!(matches!(set, Err(Reason::NotAuthorized)));
    let set = common::now(writer.session.set_will(Some(will("$delayed/1/$SYS/x")), world.now));
    assert!(matches!(set, Err(Reason::NotAuthorized)));
    world.open(connect("$delayed/5/t")).unwrap().session.close(Reason::PeerClosed, world.now);
    assert!(world.read(&mut reader).is_empty());
    world.advance(secs(5));
    assert_eq!(world.read(&mut reader), ["will"]);
}

/// Lets everybody in and denies topics that are on its list.
#[derive(Default)]
struct Revoking(Mutex<BTreeSet<String>>);

impl Authorizer for Revoking {
    fn authorize(&self, _: &Client, access: Access<'_>) -> Answer<Permission> {
        let on = match access {
            Access::Publish { topic, .. } => topic.as_str(),
            Access::Subscribe { filter, .. } => filter.pattern(),
            _ => return Answer::Now(Permission::Allow),
        };
        let denied = self.0.lock().unwrap().contains(on);
        Answer::Now(if denied { Permission::Deny } else { Permission::Allow })
    }
}

#[test]
fn a_right_that_is_gone_when_a_message_is_due_stops_it() {
    let rights = Arc::new(Revoking::default());
    let hooks = Hooks { authorizer: rights.clone(), ..Hooks::open() };
    let mut world = World::with(Config::default(), hooks);
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtMostOnce).unwrap();
    world.publish(&mut writer, "$delayed/5/t", "x", AtMostOnce).unwrap();
    rights.0.lock().unwrap().insert("t".to_owned());
    world.advance(secs(5));
    assert!(world.read(&mut reader).is_empty());
    assert_eq!(world.broker.stats().dropped, [(Reason::NotAuthorized, 1)]);
}

/// Everybody is who they say.
struct Trusting;

impl Authenticator for Trusting {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let username = attempt.credentials.username.clone();
        Answer::Now(Authentication::Accept(Identity { username, ..Identity::default() }))
    }
}

fn auto(filter: &str) -> AutoSubscribe {
    AutoSubscribe {
        filter: filter.to_owned(),
        qos: 1,
        no_local: true,
        retain_as_published: false,
        retain_handling: AutoRetain::IfNew,
    }
}

fn auto_world(filters: &[&str], rights: &Arc<Revoking>) -> World {
    let auto_subscribe = filters.iter().map(|filter| auto(filter)).collect();
    let hooks = Hooks { authorizer: rights.clone(), authenticator: Arc::new(Trusting), ..Hooks::open() };
    World::with(Config { auto_subscribe, ..Config::default() }, hooks)
}

fn named(client_id: &str, username: &str) -> Connect {
    let credentials = Credentials { username: Some(username.into()), ..Default::default() };
    Connect { credentials, ..durable(client_id) }
}

#[test]
fn a_client_is_subscribed_when_it_connects_to_what_it_may_have() {
    let rights = Arc::new(Revoking::default());
    let world = auto_world(&["to/%c/%u", "to/%c", "100%/%%c", "denied"], &rights);
    rights.0.lock().unwrap().insert("denied".to_owned());
    let mut writer = world.open(Connect { takes_unasked: false, ..harness::connect("writer") }).unwrap();
    assert_eq!(world.broker.stats().subscriptions, 0, "its protocol needs an id of the client's");
    world.send(&mut writer, harness::publish("to/%u", "kept", AtLeastOnce).retained()).unwrap();

    let mut ann = world.open(named("%u", "ann")).unwrap();
    assert_eq!(world.broker.stats().subscriptions, 3);
    assert_eq!(world.read(&mut ann), ["kept"]);
    assert_eq!(world.publish(&mut writer, "to/%u/ann", "1", AtLeastOnce), Ok(1), "a name is no mark");
    assert_eq!(world.publish(&mut ann, "to/%u", "own", AtLeastOnce), Ok(0));
    assert_eq!(world.read(&mut ann), ["1"]);

    let _nameless = world.connect("c");
    assert_eq!(world.broker.stats().subscriptions, 5, "without a name there is no subscription by name");
    let _wild = world.open(named("d", "a/#")).unwrap();
    assert_eq!(world.broker.stats().subscriptions, 7);
}

#[test]
fn a_clients_own_subscription_takes_the_place_of_the_one_it_was_given() {
    let world = auto_world(&["t"], &Arc::default());
    let mut guest = world.resume("c");
    world.subscribe(&mut guest, 9, "t", ExactlyOnce).unwrap();
    guest.session.close(Reason::PeerClosed, world.now);
    let mut guest = world.resume("c");
    assert_eq!(world.publish(&mut guest, "t", "x", ExactlyOnce), Ok(1), "it still has no no-local");
    let delivery = &world.deliveries(&mut guest)[0];
    assert_eq!((delivery.qos, delivery.matched.as_slice()[0].0), (ExactlyOnce, 9));
    let gone = Unsubscribe::Filter(bus::Filter::parse("t").unwrap());
    guest.session.unsubscribe(vec![gone]).unwrap();
    assert_eq!(world.broker.stats().subscriptions, 0);
    let _guest = world.resume("c");
    assert_eq!(world.broker.stats().subscriptions, 1, "it is given again");
}

fn priorities(default: DefaultPriority) -> PriorityConfig {
    let topics = [("low/#", 10), ("high/#", 20), ("high/top", 30)];
    let topics = topics.map(|(filter, priority)| (filter.to_owned(), priority.try_into().unwrap()));
    PriorityConfig { default, topics: topics.into() }
}

#[test]
fn what_waits_goes_by_priority_and_then_by_age() {
    for (default, expected) in [
        (DefaultPriority::Lowest, ["high/top", "high/1", "high/2", "low/1", "low/2", "none"]),
        (DefaultPriority::Highest, ["none", "high/top", "high/1", "high/2", "low/1", "low/2"]),
    ] {
        let world =
            World::with(Config { priorities: priorities(default), ..Config::default() }, Hooks::open());
        let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
        world.send(&mut writer, harness::publish("low/1", "low/1", AtLeastOnce).retained()).unwrap();
        world.send(&mut writer, harness::publish("high/1", "high/1", AtLeastOnce).retained()).unwrap();
        world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
        for topic in ["none", "low/2", "high/2", "high/top"] {
            world.publish(&mut writer, topic, topic, AtLeastOnce).unwrap();
        }
        let one = world.pull(&mut reader, 1);
        let bus::Event::Deliver(first) = &one[0] else { panic!("{one:?}") };
        reader.session.ack(first.id.unwrap(), bus::Ack::Return);
        assert_eq!(world.read(&mut reader), expected, "{default:?}");
    }
}

#[test]
fn at_a_full_queue_the_lowest_priority_goes_first() {
    for (when_full, expected) in [
        (WhenFull::DropNewest, ["high/2", "high/3", "low/1"]),
        (WhenFull::DropOldest, ["high/2", "high/3", "low/4"]),
    ] {
        let priorities = priorities(DefaultPriority::Lowest);
        let config = Config { queue_messages: 3, when_full, priorities, ..Config::default() };
        let world = World::with(config, Hooks::open());
        let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
        world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
        for topic in ["low/1", "high/2", "low/2", "high/3", "low/4", "none"] {
            world.publish(&mut writer, topic, topic, AtLeastOnce).unwrap();
        }
        assert_eq!(world.read(&mut reader), expected, "{when_full:?}");
        assert_eq!(world.broker.stats().dropped, [(Reason::QueueFull, 3)]);
    }
}

#[test]
fn less_urgent_messages_do_not_make_way_for_one_that_cannot_fit_all_the_same() {
    let priorities = priorities(DefaultPriority::Lowest);
    let world = World::with(Config { queue_bytes: 100, priorities, ..Config::default() }, Hooks::open());
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
    for (topic, length) in [("low/1", 30), ("high/1", 50), ("high/2", 50), ("high/3", 20)] {
        world.publish(&mut writer, topic, &topic[..1].repeat(length), AtLeastOnce).unwrap();
    }
    let read: Vec<_> =
        world.read(&mut reader).iter().map(|payload| (payload.len(), payload.starts_with('l'))).collect();
    assert_eq!(
        read,
        [(50, false), (20, false)],
        "the second goes itself, the third takes the place of the first"
    );
    assert_eq!(world.broker.stats().dropped, [(Reason::QueueFull, 2)]);
}

#[test]
fn a_retained_message_without_an_expiry_may_get_one_and_large_ones_are_refused() {
    let config = Config { retained_expiry: secs(60), max_retained_payload: 4, ..Config::default() };
    let mut world = World::with(config, Hooks::open());
    let (mut live, mut writer) = (world.resume("live"), world.connect("writer"));
    world.subscribe(&mut live, 1, "#", AtLeastOnce).unwrap();
    let large = world.send(&mut writer, harness::publish("t", "large", AtLeastOnce).retained());
    assert_eq!(large, Err(Reason::QuotaExceeded));
    world.send(&mut writer, harness::publish("t", "fits", AtLeastOnce).retained()).unwrap();
    let publish = harness::publish("u", "long", AtLeastOnce).retained();
    world.send(&mut writer, Publish { expiry: Some(secs(600)), ..publish }).unwrap();
    world.advance(secs(60));
    let mut late = world.connect("late");
    world.subscribe(&mut late, 1, "#", AtLeastOnce).unwrap();
    assert_eq!(world.read(&mut late), ["long"], "whose publisher set an expiry");
    assert_eq!(world.read(&mut live), ["fits", "long"], "a queued message is none the shorter");
}

#[test]
fn retained_messages_that_wait_are_bounded_over_all_sessions() {
    let world = World::with(Config { max_replay_total: 2, ..Config::default() }, Hooks::open());
    let (mut a, mut b, mut writer) = (world.resume("a"), world.connect("b"), world.connect("writer"));
    for topic in ["1", "2"] {
        world.send(&mut writer, harness::publish(topic, "x", AtLeastOnce).retained()).unwrap();
    }
    world.subscribe(&mut a, 1, "#", AtLeastOnce).unwrap();
    assert_eq!(world.subscribe(&mut b, 1, "#", AtLeastOnce), Err(Reason::QuotaExceeded));
    assert_eq!(world.read(&mut a).len(), 2);
    world.subscribe(&mut b, 1, "#", AtLeastOnce).unwrap();
    assert_eq!(world.subscribe(&mut a, 1, "+", AtLeastOnce), Err(Reason::QuotaExceeded));
    b.session.close(Reason::PeerClosed, world.now);
    assert!(world.subscribe(&mut a, 1, "+", AtLeastOnce).is_ok(), "they went with the session");
}

#[test]
fn a_name_does_not_turn_an_automatic_subscription_into_another_kind() {
    let rights = Arc::new(Revoking::default());
    let mut config = Config { property_filters: true, ..Config::default() };
    config.auto_subscribe = ["%c/g/t", "inbox/%c"].map(auto).to_vec();
    let hooks = Hooks { authorizer: rights.clone(), authenticator: Arc::new(Trusting), ..Hooks::open() };
    let world = World::with(config, hooks);
    for (id, subscriptions) in [("$share", 0), ("$SYS", 0), ("victim?a=b", 0), ("x", 2)] {
        let guest = world.connect(id);
        assert_eq!(world.broker.stats().subscriptions, subscriptions, "{id}");
        guest.session.close(Reason::PeerClosed, world.now);
    }
}

#[test]
fn a_will_that_could_not_be_published_is_not_set() {
    let config = Config { max_qos: 1, retain: false, ..Config::default() };
    let world = World::with(config, Hooks::open());
    let mut guest = world.connect("c");
    let retained = harness::publish("t", "x", AtMostOnce).retained();
    for (publish, reason) in [
        (harness::publish("t", "x", ExactlyOnce), Reason::QosNotSupported),
        (retained, Reason::RetainNotSupported),
    ] {
        let will = Will { publish, delay: Duration::ZERO };
        let set = common::now(guest.session.set_will(Some(will), world.now));
        assert!(matches!(set, Err(said) if said == reason), "{set:?}");
    }
}
