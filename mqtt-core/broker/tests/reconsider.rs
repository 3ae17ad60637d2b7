//! A right that is taken away is gone, whatever is on its way because of it.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Client, Config, Hooks, Identity,
    Interceptor, Later, Permission,
};
use bus::{Ack, Connect, Event, Matched, Publish, Qos, Reason, Reply, Subscription, SubscriptionId};
use common::{World, durable, text, will};
use parking_lot::RwLock;

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// What is allowed and who is welcome, until it is changed.
#[derive(Default)]
struct Ruler {
    /// Beginnings of topics: `secret`, for everybody, or `secret to c`.
    denied: RwLock<Vec<&'static str>>,
    unwelcome: RwLock<Vec<&'static str>>,
    /// Who would have to prove itself anew.
    outdated: RwLock<Vec<&'static str>>,
    slow: AtomicBool,
    epoch: AtomicU64,
}

impl Authenticator for Ruler {
    fn authenticate(&self, _attempt: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Accept(Identity::default()))
    }

    fn still_valid(&self, client: &Client) -> bool {
        !self.unwelcome.read().contains(&client.id.as_str())
    }

    fn still_proved(&self, client: &Client) -> bool {
        !self.outdated.read().contains(&client.id.as_str())
    }
}

impl Authorizer for Ruler {
    fn authorize(&self, client: &Client, access: Access<'_>) -> Answer<Permission> {
        let on = match access {
            Access::Publish { retain: true, topic, .. } if client.id.as_str() == "keeper" => topic.as_str(),
            Access::Publish { .. } => return Answer::Now(Permission::Allow),
            Access::Read { topic } | Access::Receive { topic } => topic.as_str(),
            Access::Subscribe { filter, .. } => filter.pattern(),
        };
        let denied = self.denied.read().iter().any(|denied| {
            let (topics, who) = denied.split_once(" to ").unwrap_or((denied, client.id.as_str()));
            on.starts_with(topics) && who == client.id.as_str()
        });
        let permission = if denied { Permission::Deny } else { Permission::Allow };
        match self.slow.load(Ordering::Relaxed) {
            true => Answer::later(async move { permission }),
            false => Answer::Now(permission),
        }
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }
}

impl Ruler {
    fn world() -> (Arc<Self>, World) {
        Self::world_with(Config::default())
    }

    fn world_with(config: Config) -> (Arc<Self>, World) {
        let ruler = Arc::new(Self::default());
        let hooks = Hooks { authenticator: ruler.clone(), authorizer: ruler.clone(), ..Hooks::open() };
        (ruler, World::with(config, hooks))
    }

    fn deny(&self, denied: &[&'static str]) {
        *self.denied.write() = denied.to_vec();
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_revoked_subscription_goes_from_sessions_that_are_there_and_from_those_that_are_away() {
    let (ruler, world) = Ruler::world();
    let (mut here, mut away) = (world.resume("here"), world.resume("away"));
    for guest in [&mut here, &mut away] {
        world.subscribe(guest, 1, "secret/#", AtLeastOnce).unwrap();
        world.subscribe(guest, 2, "open/#", AtLeastOnce).unwrap();
    }
    away.session.close(Reason::PeerClosed, world.now);
    let mut writer = world.connect("writer");
    for topic in ["secret/a", "open/a"] {
        assert_eq!(world.publish(&mut writer, topic, topic, AtLeastOnce), Ok(2));
    }
    ruler.deny(&["secret"]);
    world.broker.reconsider(world.now);
    assert_eq!(world.publish(&mut writer, "secret/b", "secret/b", AtLeastOnce), Ok(0));
    assert_eq!(world.broker.stats().subscriptions, 2);
    assert_eq!(world.read(&mut here), ["open/a"]);
    assert_eq!(world.broker.stats().dropped, [(Reason::NotAuthorized, 2)]);
    ruler.deny(&[]);
    world.broker.reconsider(world.now);
    let mut away = world.resume("away");
    assert_eq!((away.connected.session_present, world.read(&mut away)), (true, vec!["open/a".to_owned()]));
}

#[test]
fn a_message_that_matched_another_subscription_too_stays_for_that_one() {
    let (ruler, world) = Ruler::world();
    let mut reader = world.connect("reader");
    for (id, filter) in [(1, "secret/#"), (2, "+/a"), (0, "secret/b"), (0, "+/b/#")] {
        world.subscribe(&mut reader, id, filter, AtLeastOnce).unwrap();
    }
    let mut writer = world.connect("writer");
    for topic in ["secret/a", "secret/b", "secret/c"] {
        world.publish(&mut writer, topic, topic, AtLeastOnce).unwrap();
    }
    ruler.deny(&["secret"]);
    world.broker.reconsider(world.now);
    let got = world.deliveries(&mut reader);
    let got: Vec<_> = got.iter().map(|delivery| (text(delivery), delivery.matched.clone())).collect();
    let only = |id| Matched::One(SubscriptionId(id));
    assert_eq!(got, [("secret/a".to_owned(), only(2)), ("secret/b".to_owned(), only(0))]);
}

#[test]
fn retained_messages_that_wait_for_a_revoked_subscription_are_taken_back() {
    let (ruler, world) = Ruler::world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.send(&mut writer, harness::publish("secret/a", "x", AtLeastOnce).retained()).unwrap();
    world.subscribe(&mut reader, 1, "secret/#", AtLeastOnce).unwrap();
    ruler.deny(&["secret"]);
    world.broker.reconsider(world.now);
    assert!(world.read(&mut reader).is_empty());
}

#[test]
fn what_a_client_has_not_acknowledged_does_not_come_again_once_the_right_is_gone() {
    let (ruler, world) = Ruler::world();
    let (mut reader, mut writer) = (world.resume("reader"), world.connect("writer"));
    for filter in ["secret/#", "open/#"] {
        world.subscribe(&mut reader, 1, filter, ExactlyOnce).unwrap();
    }
    let sent = [
        ("secret/1", AtLeastOnce),
        ("secret/2", ExactlyOnce),
        ("open/1", AtLeastOnce),
        ("secret/3", ExactlyOnce),
    ];
    for (topic, qos) in sent {
        world.publish(&mut writer, topic, topic, qos).unwrap();
        writer.session.release(1).unwrap();
    }
    let ids: Vec<_> = world.deliveries(&mut reader).iter().filter_map(|delivery| delivery.id).collect();
    reader.session.ack(ids[3], Ack::Received);
    ruler.deny(&["secret"]);
    world.broker.reconsider(world.now);
    // What is on the wire is acknowledged as ever.
    reader.session.ack(ids[0], Ack::Complete);
    reader.session.close(Reason::PeerClosed, world.now);
    let mut reader = world.resume("reader");
    let events = world.events(&mut reader);
    let released = |event: &Event| match event {
        Event::Release(id) => Some(*id),
        _ => None,
    };
    // The ids of exactly-once deliveries are let go of in the peer too, whether or not it had them.
    assert_eq!(events.iter().filter_map(released).collect::<Vec<_>>(), [ids[1], ids[3]]);
    let delivered = |event: &Event| matches!(event, Event::Deliver(again) if text(again) == "open/1");
    assert_eq!((events.len(), events.iter().any(delivered)), (3, true));
    ids.iter().for_each(|id| reader.session.ack(*id, Ack::Complete));
    assert_eq!(world.publish(&mut writer, "open/2", "open/2", AtLeastOnce), Ok(1));
    assert_eq!(world.read(&mut reader), ["open/2"]);
}

#[test]
fn a_message_of_a_share_group_goes_to_a_member_that_may_still_have_it() {
    let (ruler, world) = Ruler::world();
    let mut members = [world.resume("first"), world.resume("second")];
    for member in &mut members {
        world.subscribe(member, 1, "$share/g/secret/a", ExactlyOnce).unwrap();
    }
    let mut writer = world.connect("writer");
    let mut send = |qos| {
        for _ in 0..2 {
            world.publish(&mut writer, "secret/a", "x", qos).unwrap();
            writer.session.release(1).unwrap();
        }
    };
    send(ExactlyOnce);
    for member in &mut members {
        assert_eq!(world.deliveries(member).len(), 1);
    }
    send(AtLeastOnce);
    ruler.deny(&["secret to first"]);
    world.broker.reconsider(world.now);
    // What the first may have seen of the exactly-once messages goes to nobody else; what only waited does.
    assert_eq!(world.broker.stats().dropped, [(Reason::NotAuthorized, 1)]);
    assert_eq!((world.read(&mut members[0]).len(), world.read(&mut members[1]).len()), (0, 2));
    ruler.deny(&["secret"]);
    send(AtLeastOnce);
    world.broker.reconsider(world.now);
    assert!(world.read(&mut members[1]).is_empty());
    assert_eq!(world.broker.stats().dropped, [(Reason::NotAuthorized, 4)]);
}

#[test]
fn a_client_that_would_not_be_let_in_any_more_is_closed_and_its_session_and_will_are_gone() {
    let (ruler, world) = Ruler::world();
    let mut watcher = world.connect("watcher");
    world.subscribe(&mut watcher, 1, "#", AtLeastOnce).unwrap();
    let with_will = |id| Connect { will: will("w", id, 60), ..durable(id) };
    let mut here = world.open(with_will("here")).unwrap();
    let away = world.open(with_will("away")).unwrap();
    away.session.close(Reason::PeerClosed, world.now);
    *ruler.unwelcome.write() = vec!["here", "away"];
    world.broker.reconsider(world.now);
    assert_eq!(world.broker.stats().sessions, 2, "the session of the client that is away has ended");
    assert_eq!(world.publish(&mut here, "t", "x", AtLeastOnce), Err(Reason::NotAuthorized));
    assert_eq!(world.subscribe(&mut here, 1, "t", AtLeastOnce), Err(Reason::NotAuthorized));
    assert!(matches!(*world.events(&mut here), [Event::Close(Reason::NotAuthorized)]));
    here.session.close(Reason::NotAuthorized, world.now);
    assert_eq!(world.broker.stats().sessions, 1);
    let mut world = world;
    world.advance(std::time::Duration::from_secs(61));
    assert!(world.read(&mut watcher).is_empty());
    assert!(!world.resume("here").connected.session_present);
}

#[test]
fn a_client_with_an_outdated_proof_is_closed_and_its_session_goes_on() {
    let (ruler, world) = Ruler::world();
    let (mut here, away, mut writer) = (world.resume("here"), world.resume("away"), world.connect("writer"));
    world.subscribe(&mut here, 1, "t", AtLeastOnce).unwrap();
    away.session.close(Reason::PeerClosed, world.now);
    *ruler.outdated.write() = vec!["here", "away"];
    world.broker.reconsider(world.now);
    assert_eq!(world.publish(&mut here, "t", "forged", AtLeastOnce), Err(Reason::NotAuthorized));
    assert_eq!(world.publish(&mut writer, "t", "kept", AtLeastOnce), Ok(1));
    assert!(matches!(*world.events(&mut here), [Event::Close(Reason::NotAuthorized)]));
    here.session.close(Reason::NotAuthorized, world.now);
    ruler.outdated.write().clear();
    let mut here = world.resume("here");
    assert_eq!((here.connected.session_present, world.read(&mut here)), (true, vec!["kept".to_owned()]));
    assert!(world.resume("away").connected.session_present);
}

#[test]
fn a_new_client_does_not_go_on_with_the_session_of_one_that_is_being_closed() {
    let (ruler, world) = Ruler::world();
    let mut old = world.resume("c");
    world.subscribe(&mut old, 1, "t", AtLeastOnce).unwrap();
    *ruler.unwelcome.write() = vec!["c"];
    world.broker.reconsider(world.now);
    ruler.unwelcome.write().clear();
    let new = world.resume("c");
    assert_eq!((new.connected.session_present, world.broker.stats().subscriptions), (false, 0));
}

#[test]
fn among_many_sessions_none_gets_anything_before_it_was_judged() {
    let (ruler, world) = Ruler::world();
    let mut guests: Vec<_> = (0..3_000).map(|n| world.connect(&n.to_string())).collect();
    for guest in &mut guests {
        world.subscribe(guest, 1, "secret/a", AtMostOnce).unwrap();
    }
    let mut writer = world.connect("writer");
    ruler.deny(&["secret"]);
    world.broker.reconsider(world.now);
    let left = world.broker.stats().subscriptions;
    assert!((1..3_000).contains(&left), "{left}: some are judged at once, the others later");
    assert_eq!(world.publish(&mut writer, "secret/a", "x", AtMostOnce), Ok(left as usize));
    for guest in guests.iter_mut().step_by(7) {
        assert!(world.events(guest).is_empty());
    }
    let mut ticks = 0;
    while world.broker.tick(world.now).0 == Some(world.now) {
        ticks += 1;
    }
    assert!(ticks > 0);
    assert_eq!(world.broker.stats().subscriptions, 0);
    assert!(guests.iter_mut().all(|guest| world.events(guest).is_empty()));
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn finish(work: Vec<Later<()>>) {
    for mut work in work {
        assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}

#[test]
fn while_an_authorizer_takes_its_time_nothing_is_handed_over_and_then_it_is() {
    let (ruler, world) = Ruler::world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    for filter in ["secret/#", "open/#"] {
        world.subscribe(&mut reader, 1, filter, AtMostOnce).unwrap();
    }
    ruler.deny(&["secret"]);
    ruler.slow.store(true, Ordering::Relaxed);
    world.broker.reconsider(world.now);
    for topic in ["secret/a", "open/a"] {
        world.publish(&mut writer, topic, topic, AtMostOnce).unwrap();
    }
    let bell = Arc::new(Bell::default());
    let mut events = Vec::new();
    assert!(!reader.session.pull(10, world.now, &Waker::from(bell.clone()), &mut events));
    assert!(events.is_empty());
    finish(world.broker.tick(world.now).1);
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    assert_eq!(world.read(&mut reader), ["open/a"]);
}

#[test]
fn a_subscription_that_was_allowed_just_before_the_right_was_taken_away_does_not_outlive_it() {
    let (ruler, world) = Ruler::world();
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    ruler.slow.store(true, Ordering::Relaxed);
    let filter = bus::Filter::parse("secret/a").unwrap();
    let subscription = Subscription {
        id: SubscriptionId(1),
        filter,
        options: Default::default(),
        keyed: Default::default(),
    };
    let Answer::Later(mut allowed) = reader.session.subscribe(vec![subscription], world.now) else {
        panic!("the authorizer takes its time");
    };
    ruler.slow.store(false, Ordering::Relaxed);
    ruler.deny(&["secret"]);
    world.broker.reconsider(world.now);
    let answer = allowed.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(answer, std::task::Poll::Ready(Ok(Reply::Subscribed(results))) if results[0].is_ok()));
    world.publish(&mut writer, "secret/a", "x", AtMostOnce).unwrap();
    assert!(world.read(&mut reader).is_empty());
    assert_eq!(world.broker.stats().subscriptions, 0);
}

#[test]
fn whoever_publishes_while_a_right_is_taken_away_does_not_get_past_it() {
    let (ruler, world) = Ruler::world();
    let mut writers: Vec<_> = (0..3).map(|n| world.connect(&format!("writer{n}"))).collect();
    for round in 0..300 {
        ruler.deny(&[]);
        world.broker.reconsider(world.now);
        let mut reader = world.connect("reader");
        world.subscribe(&mut reader, 1, "secret/a", AtLeastOnce).unwrap();
        world.subscribe(&mut reader, 2, "open/#", AtLeastOnce).unwrap();
        let start = Barrier::new(writers.len() + 1);
        std::thread::scope(|scope| {
            for writer in &mut writers {
                let (start, world) = (&start, &world);
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..20 {
                        world.publish(writer, "secret/a", "secret", AtLeastOnce).unwrap();
                        world.publish(writer, "open/a", "open", AtLeastOnce).unwrap();
                    }
                });
            }
            start.wait();
            ruler.deny(&["secret"]);
            world.broker.reconsider(world.now);
            let secrets = world.read(&mut reader).into_iter().filter(|payload| payload == "secret").count();
            assert_eq!(secrets, 0, "round {round}");
        });
        let late = world.read(&mut reader);
        assert!(late.iter().all(|payload| payload == "open"), "round {round}: {late:?}");
    }
}

#[test]
fn a_retained_message_whose_publisher_lost_its_right_is_delivered_only_where_nobody_asks_for_that() {
    for (checked, expected) in [(true, vec!["open"]), (false, vec!["open", "secret"])] {
        let (ruler, world) =
            Ruler::world_with(Config { check_retained_source: checked, ..Config::default() });
        let mut keeper = world.connect("keeper");
        for topic in ["secret", "open"] {
            world.send(&mut keeper, harness::publish(topic, topic, AtLeastOnce).retained()).unwrap();
        }
        keeper.session.close(Reason::PeerClosed, world.now);
        world
            .broker
            .announce(harness::publish("$SYS/x", "server", AtMostOnce).retained(), world.now)
            .unwrap();
        let get = |id: &str, filter: &str| {
            let mut reader = world.connect(id);
            world.subscribe(&mut reader, 1, filter, AtMostOnce).unwrap();
            let mut got = world.read(&mut reader);
            got.sort_unstable();
            got
        };
        assert_eq!(get("before", "#"), ["open", "secret"]);
        ruler.deny(&["secret to keeper"]);
        assert_eq!(get("after", "#"), expected);
        assert_eq!(get("system", "$SYS/#"), ["server"]);
        let mut reader = world.connect("reader");
        let read = common::now(reader.session.read(bus::Topic::parse("secret").unwrap(), world.now)).unwrap();
        assert!(matches!(read, Reply::Read(found) if found.is_some() != checked));
        *ruler.unwelcome.write() = vec!["keeper"];
        assert_eq!(get("at last", "open").is_empty(), checked);
    }
}

/// Never says that it changed its mind.
struct Silent(AtomicBool);

impl Authorizer for Silent {
    fn authorize(&self, _client: &Client, _access: Access<'_>) -> Answer<Permission> {
        Answer::Now(if self.0.load(Ordering::Relaxed) { Permission::Deny } else { Permission::Allow })
    }
}

#[test]
fn an_answer_is_not_used_again_once_rights_are_reconsidered() {
    let silent = Arc::new(Silent(AtomicBool::new(false)));
    let world = World::with(Config::default(), Hooks { authorizer: silent.clone(), ..Hooks::open() });
    let mut writer = world.connect("writer");
    assert_eq!(world.publish(&mut writer, "t", "x", AtMostOnce), Ok(0));
    silent.0.store(true, Ordering::Relaxed);
    world.broker.reconsider(world.now);
    assert_eq!(world.publish(&mut writer, "t", "x", AtMostOnce), Err(Reason::NotAuthorized));
}

/// Looks at the session while it is asked, as a hook might that has the broker.
struct Curious(std::sync::Mutex<Option<broker::Broker>>);

impl Authorizer for Curious {
    fn authorize(&self, client: &Client, _access: Access<'_>) -> Answer<Permission> {
        if let Some(broker) = &*self.0.lock().unwrap() {
            assert!(broker.session(&client.id).is_some());
        }
        Answer::Now(Permission::Allow)
    }
}

#[test]
fn whether_a_retained_message_is_rightful_is_not_asked_while_the_session_is_locked() {
    let curious = Arc::new(Curious(Default::default()));
    let config = Config { check_retained_source: true, ..Config::default() };
    let world = World::with(config, Hooks { authorizer: curious.clone(), ..Hooks::open() });
    let mut guest = world.connect("c");
    world.send(&mut guest, harness::publish("t", "x", AtMostOnce).retained()).unwrap();
    *curious.0.lock().unwrap() = Some(world.broker.clone());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        world.subscribe(&mut guest, 1, "t", AtMostOnce).unwrap();
        sender.send(world.read(&mut guest)).unwrap();
    });
    assert_eq!(receiver.recv_timeout(Duration::from_secs(60)).unwrap(), ["x"]);
}

#[test]
fn a_judgement_is_for_the_session_that_was_looked_at_and_no_other() {
    let (ruler, world) = Ruler::world_with(Config { bind_sessions: false, ..Config::default() });
    let mut first = world.resume("c");
    world.subscribe(&mut first, 1, "open", AtLeastOnce).unwrap();
    first.session.close(Reason::PeerClosed, world.now);
    ruler.slow.store(true, Ordering::Relaxed);
    let Answer::Later(opening) = world.broker.connect(durable("c"), common::peer(), world.now) else {
        panic!("it should take time");
    };
    ruler.slow.store(false, Ordering::Relaxed);
    let mut second = world.open(Connect { clean_start: true, ..durable("c") }).unwrap();
    world.subscribe(&mut second, 1, "secret", AtLeastOnce).unwrap();
    ruler.deny(&["secret"]);
    let mut opening = std::pin::pin!(opening);
    let opened = opening.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(broker::Opened::Session(mut session, connected))) = opened else { panic!("refused") };
    assert!(connected.session_present);
    let mut writer = world.connect("writer");
    world.publish(&mut writer, "secret", "x", AtLeastOnce).unwrap();
    let mut events = Vec::new();
    session.pull(9, world.now, Waker::noop(), &mut events);
    assert!(events.is_empty(), "{events:?}");
}

/// Takes its time.
struct Slow;

impl Interceptor for Slow {
    fn publish(&self, _client: &Client, publish: Publish) -> Answer<Result<Publish, Reason>> {
        Answer::later(async { Ok(publish) })
    }
}

#[test]
fn what_a_slow_hook_still_looks_at_is_not_published_for_a_client_that_is_not_welcome_any_more() {
    let ruler = Arc::new(Ruler::default());
    let hooks = Hooks { authenticator: ruler.clone(), interceptors: vec![Arc::new(Slow)], ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    for topic in ["t", "$delayed/1/t"] {
        let mut writer = world.connect("writer");
        let publish = harness::publish(topic, "x", AtMostOnce).retained();
        let begun = [
            writer.session.publish(publish.clone(), world.now),
            writer.session.publish_all(vec![publish], world.now),
        ];
        *ruler.unwelcome.write() = vec!["writer"];
        world.broker.reconsider(world.now);
        for answer in begun {
            let mut answer = std::pin::pin!(answer.finish());
            let done = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(done, Poll::Ready(Err(Reason::NotAuthorized))), "{done:?}");
        }
        writer.session.close(Reason::PeerClosed, world.now);
        ruler.unwelcome.write().clear();
    }
    assert_eq!((world.broker.stats().retained, world.broker.stats().delayed), (0, 0));
}
