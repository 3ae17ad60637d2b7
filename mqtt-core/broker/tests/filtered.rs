//! A subscription that is allowed on condition: each message is judged when it is handed over.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::{Access, Answer, Authorizer, Client, Config, Hooks, Permission};
use bus::{Ack, Event, Qos, Reason};
use common::World;
use parking_lot::RwLock;

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// Every subscription is allowed on condition; of the messages those are denied whose topic begins so.
struct Sieve {
    denied: RwLock<&'static str>,
    epoch: AtomicU64,
    asked: AtomicU64,
}

impl Authorizer for Sieve {
    fn authorize(&self, _client: &Client, access: Access<'_>) -> Answer<Permission> {
        let Access::Receive { topic } = access else { return Answer::Now(Permission::AllowFiltered) };
        self.asked.fetch_add(1, Ordering::Relaxed);
        let topic = topic.as_str();
        if topic.starts_with("slow") {
            return Answer::later(async { Permission::Allow });
        }
        Answer::Now(if topic.starts_with(*self.denied.read()) { Permission::Deny } else { Permission::Allow })
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }
}

impl Sieve {
    fn world() -> (Arc<Self>, World) {
        let sieve = Arc::new(Self {
            denied: RwLock::new("secret"),
            epoch: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        });
        let hooks = Hooks { authorizer: sieve.clone(), ..Hooks::open() };
        (sieve, World::with(Config::default(), hooks))
    }

    fn deny(&self, denied: &'static str) {
        *self.denied.write() = denied;
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn of_a_wildcard_subscription_only_what_may_be_received_is_delivered_live_retained_or_shared() {
    let (_, world) = Sieve::world();
    let mut writer = world.connect("writer");
    for topic in ["secret/r", "open/r"] {
        world.send(&mut writer, harness::publish(topic, topic, AtLeastOnce).retained()).unwrap();
    }
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
    for topic in ["open/a", "secret/a", "slow/a", "open/b"] {
        world.publish(&mut writer, topic, topic, AtLeastOnce).unwrap();
    }
    assert_eq!(world.read(&mut reader), ["open/r", "open/a", "open/b"]);
    assert_eq!(world.broker.stats().dropped, [(Reason::NotAuthorized, 3)]);
    let mut member = world.connect("member");
    world.subscribe(&mut member, 1, "$share/g/+/c", AtMostOnce).unwrap();
    for topic in ["secret/c", "open/c"] {
        world.publish(&mut writer, topic, topic, AtLeastOnce).unwrap();
    }
    assert_eq!(world.read(&mut member), ["open/c"]);
}

#[test]
fn what_was_said_of_a_topic_is_remembered_until_the_authorizer_changes_its_mind() {
    let (sieve, world) = Sieve::world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtMostOnce).unwrap();
    let mut send = |world: &World, reader: &mut _| {
        for _ in 0..10 {
            world.publish(&mut writer, "t", "x", AtMostOnce).unwrap();
        }
        world.read(reader).len()
    };
    assert_eq!((send(&world, &mut reader), sieve.asked.load(Ordering::Relaxed)), (10, 1));
    sieve.deny("t");
    assert_eq!((send(&world, &mut reader), sieve.asked.load(Ordering::Relaxed)), (0, 2));
}

#[test]
fn a_resumed_session_is_judged_message_by_message_too() {
    let (sieve, world) = Sieve::world();
    sieve.deny("nothing");
    let (mut reader, mut writer) = (world.resume("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", ExactlyOnce).unwrap();
    let mut send = |topic: &str, qos| {
        world.publish(&mut writer, topic, topic, qos).unwrap();
        writer.session.release(1).unwrap();
    };
    for (topic, qos) in [("secret/1", AtLeastOnce), ("secret/2", ExactlyOnce), ("open/1", AtLeastOnce)] {
        send(topic, qos);
    }
    let ids: Vec<_> = world.deliveries(&mut reader).iter().filter_map(|delivery| delivery.id).collect();
    reader.session.close(Reason::PeerClosed, world.now);
    send("secret/3", AtLeastOnce);
    send("open/2", AtLeastOnce);
    sieve.deny("secret");
    let mut reader = world.resume("reader");
    let events = world.events(&mut reader);
    let told: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Release(id) => format!("release {id:?}"),
            Event::Deliver(delivery) => common::text(delivery),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [format!("release {:?}", ids[1]), "open/1".to_owned(), "open/2".to_owned()]);
    reader.session.ack(ids[1], Ack::Complete);
}

#[test]
fn many_messages_that_may_not_be_received_do_not_hide_the_one_that_may() {
    let (_, world) = Sieve::world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtMostOnce).unwrap();
    for n in 0..2_000 {
        world.publish(&mut writer, &format!("secret/{n}"), "x", AtMostOnce).unwrap();
    }
    world.publish(&mut writer, "open", "open", AtMostOnce).unwrap();
    assert_eq!(world.read(&mut reader), ["open"]);
    assert_eq!(world.broker.stats().dropped, [(Reason::NotAuthorized, 2_000)]);
}

/// Lets `a` and `b` receive nothing of a group, and others everything.
struct Choosy;

impl Authorizer for Choosy {
    fn authorize(&self, client: &Client, access: Access<'_>) -> Answer<Permission> {
        let denied = matches!(access, Access::Receive { .. }) && ["a", "b"].contains(&client.id.as_str());
        Answer::Now(if denied { Permission::Deny } else { Permission::AllowFiltered })
    }
}

#[test]
fn what_a_member_of_a_group_may_not_receive_goes_to_one_that_may_and_not_round_for_ever() {
    let world = World::with(Config::default(), Hooks { authorizer: Arc::new(Choosy), ..Hooks::open() });
    let [mut a, mut b, mut c, mut writer] = ["a", "b", "c", "writer"].map(|id| world.connect(id));
    for guest in [&mut a, &mut b, &mut c] {
        world.subscribe(guest, 1, "$share/g/t", ExactlyOnce).unwrap();
    }
    for _ in 0..9 {
        world.publish(&mut writer, "t", "x", AtLeastOnce).unwrap();
    }
    let read_all =
        |a: &mut _, b: &mut _| (0..20).all(|_| world.read(a).is_empty() && world.read(b).is_empty());
    assert!(read_all(&mut a, &mut b));
    assert_eq!(world.read(&mut c).len(), 9);
    assert_eq!(world.broker.stats().dropped, []);
    c.session.close(Reason::PeerClosed, world.now);
    world.publish(&mut writer, "t", "x", AtLeastOnce).unwrap();
    assert!(read_all(&mut a, &mut b));
    assert_eq!(world.broker.stats().dropped, [(Reason::NotAuthorized, 1)]);
}
