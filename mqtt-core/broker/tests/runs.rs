//! Publishes that are alike are taken together, and nobody can tell.

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Client, Config, Hooks, Identity,
    Permission, PriorityConfig, WhenFull,
};
use bus::{Ack, Event, Publish, Qos, Reason, Reply, Ticket};
use common::{Guest, World, now, text};
use parking_lot::RwLock;

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

type Outcomes = Vec<(Ticket, Result<Reply, Reason>)>;

/// A generator of numbers that a seed determines.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// As a driver does it: what is alike together, and the rest one by one.
fn publish_all(world: &World, guest: &mut Guest, publishes: Vec<(Ticket, Publish)>) -> (Outcomes, usize) {
    let (mut run, mut outcomes, mut together) = (VecDeque::from(publishes), Vec::new(), 0);
    loop {
        let before = run.len();
        guest.session.publish_run(&mut run, &mut outcomes, world.now);
        together += before - run.len();
        let Some((ticket, publish)) = run.pop_front() else { return (outcomes, together) };
        outcomes.push((ticket, now(guest.session.publish(publish, world.now))));
    }
}

fn publish_each(world: &World, guest: &mut Guest, publishes: Vec<(Ticket, Publish)>) -> Outcomes {
    let publish = |(ticket, publish)| (ticket, now(guest.session.publish(publish, world.now)));
    publishes.into_iter().map(publish).collect()
}

/// Some publishes, mostly alike, with ids that come again.
fn publishes(dice: &mut Dice, step: u64) -> Vec<(Ticket, Publish)> {
    let (topic, qos) = (dice.below(3) as usize, dice.below(3) as u8);
    let make = |number| {
        let changes = dice.below(6) == 0;
        let topic = if changes { dice.below(3) as usize } else { topic };
        let payload = format!("{step}.{number}.{}", "x".repeat(dice.below(60) as usize));
        let qos = Qos::from_level(qos).unwrap();
        let mut publish = harness::publish(["a", "a/b", "$delayed/1/a"][topic], &payload, qos);
        publish.once = (qos == ExactlyOnce).then(|| 1 + dice.below(9) as u16);
        let expires = step.is_multiple_of(2) && dice.below(4) == 0;
        publish.expiry = expires.then(|| Duration::from_secs(1 + dice.below(3)));
        publish.retain = dice.below(20) == 0;
        (Ticket(number), publish)
    };
    (0..9).map(make).collect()
}

fn config(dice: &mut Dice) -> Config {
    let hot = [("a/b".to_owned(), 5.try_into().unwrap())].into();
    Config {
        queue_messages: 2 + dice.below(12) as usize,
        queue_bytes: 300 + dice.below(3_000) as usize,
        when_full: if dice.below(2) == 0 { WhenFull::DropOldest } else { WhenFull::DropNewest },
        max_received: 1 + dice.below(8) as usize,
        max_inflight: 1 + dice.below(4) as u16,
        priorities: PriorityConfig { topics: hot, ..PriorityConfig::default() },
        ..Config::default()
    }
}

/// What a client sees of deliveries; it acknowledges every other one.
fn receive(world: &World, guest: &mut Guest, room: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for event in world.pull(guest, room) {
        let Event::Deliver(delivery) = event else { panic!("{event:?}") };
        seen.push(format!("{} {:?} {:?} {:?}", text(&delivery), delivery.id, delivery.qos, delivery.matched));
        if let Some(id) = delivery.id.filter(|id| id.get() % 2 == 0) {
            guest.session.ack(id, Ack::Complete);
        }
    }
    seen
}

#[test]
fn what_is_taken_together_comes_out_as_if_each_had_come_alone() {
    let mut together = 0;
    for seed in 1..300 {
        let config = config(&mut Dice(seed));
        let (each, mut all) =
            (World::with(config.clone(), Hooks::open()), World::with(config, Hooks::open()));
        all.now = each.now;
        let guests = |world: &World| {
            let mut guests: Vec<_> = ["writer", "one", "two"].map(|id| world.connect(id)).into();
            world.subscribe(&mut guests[1], 1, "a/#", AtLeastOnce).unwrap();
            world.subscribe(&mut guests[1], 2, "+", ExactlyOnce).unwrap();
            world.subscribe(&mut guests[2], 3, ["a", "$share/g/a"][seed as usize % 2], ExactlyOnce).unwrap();
            world.subscribe(&mut guests[0], 4, "$share/g/a", AtMostOnce).unwrap();
            guests
        };
        let (mut alone, mut joined) = (guests(&each), guests(&all));
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9));
        for step in 0..12 {
            let what = publishes(&mut dice, step);
            let one = publish_each(&each, &mut alone[0], what.clone());
            let (other, count) = publish_all(&all, &mut joined[0], what);
            assert_eq!(format!("{one:?}"), format!("{other:?}"), "seed {seed}, step {step}");
            together += count;
            let (who, room) = (dice.below(3) as usize, 1 + dice.below(12) as usize);
            let (one, other) = (receive(&each, &mut alone[who], room), receive(&all, &mut joined[who], room));
            assert_eq!(one, other, "seed {seed}, step {step}");
            assert_eq!(each.broker.stats(), all.broker.stats(), "seed {seed}, step {step}");
        }
    }
    assert!(together > 1_000);
}

/// Allows nothing any more once it is told so, and has no number for what it says.
#[derive(Default)]
struct Plain {
    denies: RwLock<bool>,
}

impl Authenticator for Plain {
    fn authenticate(&self, _attempt: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Accept(Identity::default()))
    }
}

impl Authorizer for Plain {
    fn authorize(&self, _client: &Client, access: Access<'_>) -> Answer<Permission> {
        let denies = matches!(access, Access::Publish { .. }) && *self.denies.read();
        Answer::Now(if denies { Permission::Deny } else { Permission::Allow })
    }
}

#[test]
fn a_run_is_judged_by_the_rights_in_force_and_not_by_those_of_the_publish_before() {
    let plain = Arc::new(Plain::default());
    let hooks = Hooks { authenticator: plain.clone(), authorizer: plain.clone(), ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    let mut writer = world.connect("writer");
    world.publish(&mut writer, "t", "before", AtLeastOnce).unwrap();
    *plain.denies.write() = true;
    world.broker.reconsider(world.now);
    let after = (0..3).map(|number| (Ticket(number), harness::publish("t", "after", AtLeastOnce))).collect();
    let (outcomes, _) = publish_all(&world, &mut writer, after);
    assert_eq!(outcomes.len(), 3);
    assert!(
        outcomes.iter().all(|(_, outcome)| matches!(outcome, Err(Reason::NotAuthorized))),
        "{outcomes:?}"
    );
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What went wrong: a session whose window was full was woken by nothing, though what is at most once needs no room.
#[test]
fn an_urgent_message_that_needs_no_room_is_not_held_up_by_a_full_window() {
    let hot = [("hot".to_owned(), 5.try_into().unwrap())].into();
    let priorities = PriorityConfig { topics: hot, ..PriorityConfig::default() };
    let world = World::with(Config { max_inflight: 1, priorities, ..Config::default() }, Hooks::open());
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
    for text in ["1", "2"] {
        world.publish(&mut writer, "cold", text, AtLeastOnce).unwrap();
    }
    let bell = Arc::new(Bell::default());
    let (waker, mut events) = (Waker::from(bell.clone()), Vec::new());
    while reader.session.pull(usize::MAX, world.now, &waker, &mut events) {}
    assert_eq!((events.len(), bell.0.load(Ordering::Relaxed)), (1, 0));
    world.publish(&mut writer, "hot", "3", AtMostOnce).unwrap();
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    let read = world.pull(&mut reader, usize::MAX);
    assert!(matches!(&read[..], [Event::Deliver(delivery)] if text(delivery) == "3"), "{read:?}");
}
