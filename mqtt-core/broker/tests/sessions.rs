//! How sessions begin, move between connections, and end.

mod common;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use broker::{Answer, Attempt, Authentication, Authenticator, Config, Hooks, Identity, Opened};
use bus::{Connect, Disconnect, Event, Qos, Reason, SessionExpiry};
use common::{Guest, World, durable, peer, will};

use Qos::{AtLeastOnce, AtMostOnce};

#[test]
fn a_second_connection_takes_the_session_over_and_the_first_hears_of_it() {
    let world = World::new();
    let mut first = world.resume("c");
    world.subscribe(&mut first, 1, "t", AtLeastOnce).unwrap();
    let mut second = world.resume("c");
    assert!(second.connected.session_present);
    assert!(matches!(world.pull(&mut first, 0)[..], [Event::Close(Reason::TakenOver)]), "even without room");
    assert_eq!(world.publish(&mut first, "t", "x", AtMostOnce), Err(Reason::TakenOver));
    world.publish(&mut second, "t", "y", AtLeastOnce).unwrap();
    first.session.close(Reason::TakenOver, world.now);
    assert_eq!(world.read(&mut second), ["y"]);
    assert_eq!(world.broker.stats().connections, 1);
}

#[test]
fn a_clean_start_finds_nothing_of_the_old_session() {
    let world = World::new();
    let mut old = world.resume("c");
    world.subscribe(&mut old, 1, "t", AtLeastOnce).unwrap();
    world.publish(&mut old, "t", "x", AtLeastOnce).unwrap();
    let mut new = world.open(Connect { clean_start: true, ..durable("c") }).unwrap();
    assert!(!new.connected.session_present);
    assert_eq!(world.publish(&mut new, "t", "y", AtLeastOnce), Ok(0));
    assert!(world.read(&mut new).is_empty());
    let stats = world.broker.stats();
    assert_eq!((stats.sessions, stats.subscriptions, stats.connections), (1, 0, 1));
}

#[test]
fn a_session_ends_when_its_expiry_has_passed_and_not_before() {
    let mut world = World::new();
    let mut guest = world.resume("c");
    world.subscribe(&mut guest, 1, "t", AtLeastOnce).unwrap();
    guest.session.close(Reason::PeerClosed, world.now);
    world.advance(Duration::from_secs(3_599));
    let back = world.resume("c");
    assert!(back.connected.session_present);
    back.session.close(Reason::PeerClosed, world.now);
    world.advance(Duration::from_secs(3_601));
    assert_eq!((world.broker.stats().sessions, world.broker.stats().subscriptions), (0, 0));
    assert!(!world.resume("c").connected.session_present);
}

#[test]
fn a_session_may_not_outlive_its_connection_longer_than_the_broker_allows() {
    let config = Config { max_session_expiry: Duration::from_secs(60), ..Config::default() };
    let world = World::with(config, Hooks::open());
    let guest =
        world.open(Connect { session_expiry: SessionExpiry::Never, ..harness::connect("c") }).unwrap();
    assert_eq!(guest.connected.session_expiry, SessionExpiry::After(Duration::from_secs(60)));
}

#[test]
fn a_client_changes_its_session_expiry_when_it_leaves() {
    let mut world = World::new();
    let mut guest = world.resume("c");
    let leave = Disconnect { publish_will: false, session_expiry: Some(SessionExpiry::AtOnce) };
    guest.session.leave(leave, world.now).unwrap();
    world.advance(Duration::ZERO);
    assert_eq!(world.broker.stats().sessions, 0);
}

#[test]
fn the_will_of_a_lost_client_is_published_and_that_of_one_that_left_is_not() {
    let world = World::new();
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "will/#", AtMostOnce).unwrap();
    let lost = world.open(Connect { will: will("will/1", "lost", 0), ..harness::connect("1") }).unwrap();
    let mut left = world.open(Connect { will: will("will/2", "left", 0), ..harness::connect("2") }).unwrap();
    let mut wished =
        world.open(Connect { will: will("will/3", "wished", 0), ..harness::connect("3") }).unwrap();
    lost.session.close(Reason::KeepAliveTimeout, world.now);
    left.session.leave(Disconnect { publish_will: false, session_expiry: None }, world.now).unwrap();
    wished.session.leave(Disconnect { publish_will: true, session_expiry: None }, world.now).unwrap();
    let dropped =
        world.open(Connect { will: will("will/4", "dropped", 0), ..harness::connect("4") }).unwrap();
    drop(dropped);
    assert_eq!(world.read(&mut reader), ["lost", "wished", "dropped"]);
}

#[test]
fn a_delayed_will_waits_and_is_cancelled_by_a_return() {
    let mut world = World::new();
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "will", AtMostOnce).unwrap();
    let delayed = || Connect { will: will("will", "lost", 30), ..durable("c") };
    let guest = world.open(delayed()).unwrap();
    guest.session.close(Reason::PeerClosed, world.now);
    world.advance(Duration::from_secs(20));
    let guest = world.open(delayed()).unwrap();
    world.advance(Duration::from_secs(20));
    assert!(world.read(&mut reader).is_empty());
    guest.session.close(Reason::PeerClosed, world.now);
    world.advance(Duration::from_secs(31));
    assert_eq!(world.read(&mut reader), ["lost"]);
    world.advance(Duration::from_secs(7_200));
    assert!(world.read(&mut reader).is_empty(), "a will is published once");
}

#[test]
fn a_delayed_will_does_not_outlive_the_session() {
    let mut world = World::new();
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "will", AtMostOnce).unwrap();
    let short = Connect { session_expiry: SessionExpiry::After(Duration::from_secs(5)), ..durable("c") };
    let guest = world.open(Connect { will: will("will", "lost", 600), ..short }).unwrap();
    guest.session.close(Reason::PeerClosed, world.now);
    world.advance(Duration::from_secs(6));
    assert_eq!(world.read(&mut reader), ["lost"]);
}

#[test]
fn a_client_that_is_taken_over_leaves_its_will_unless_the_session_goes_on_within_the_delay() {
    let world = World::new();
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "will", AtMostOnce).unwrap();
    for (delay, clean_start, expected) in [(0, false, 1), (30, false, 0), (0, true, 1), (30, true, 1)] {
        let _first = world.open(Connect { will: will("will", "x", delay), ..durable("c") }).unwrap();
        let _second = world.open(Connect { clean_start, ..durable("c") }).unwrap();
        assert_eq!(world.read(&mut reader).len(), expected, "delay {delay}, clean start {clean_start}");
    }
}

#[test]
fn a_client_without_an_id_gets_one_of_its_own() {
    let world = World::new();
    let nameless = || Connect { client_id: None, ..harness::connect("x") };
    let (a, b) = (world.open(nameless()).unwrap(), world.open(nameless()).unwrap());
    assert!(a.connected.assigned && b.connected.assigned);
    assert_ne!(a.connected.client_id, b.connected.client_id);
}

#[test]
fn everybody_is_told_to_go_when_the_broker_drains_and_nobody_is_let_in() {
    let world = World::new();
    let mut guest = world.connect("c");
    world.broker.drain();
    assert!(matches!(world.pull(&mut guest, 0)[..], [Event::Close(Reason::ShuttingDown)]));
    assert!(matches!(world.open(durable("d")), Err(Reason::ShuttingDown)));
}

#[test]
fn the_number_of_sessions_is_bounded() {
    let world = World::with(Config { max_sessions: 2, ..Config::default() }, Hooks::open());
    let _two = (world.connect("1"), world.connect("2"));
    assert!(matches!(world.open(durable("3")), Err(Reason::QuotaExceeded)));
    assert!(world.open(harness::connect("2")).is_ok(), "a known client may come again");
}

#[test]
fn the_subscriptions_of_a_session_are_bounded_by_count_and_by_bytes() {
    let config = Config { max_subscriptions: 3, subscription_bytes: 20, ..Config::default() };
    let world = World::with(config, Hooks::open());
    let mut guest = world.connect("c");
    for filter in ["1", "2", "3"] {
        world.subscribe(&mut guest, 1, filter, AtMostOnce).unwrap();
    }
    assert_eq!(world.subscribe(&mut guest, 1, "4", AtMostOnce), Err(Reason::QuotaExceeded));
    guest.session.unsubscribe(vec![bus::Unsubscribe::Filter(bus::Filter::parse("3").unwrap())]).unwrap();
    let long = "a/very/long/filter/1";
    assert_eq!(world.subscribe(&mut guest, 1, long, AtMostOnce), Err(Reason::QuotaExceeded));
    assert!(world.subscribe(&mut guest, 1, &long[..18], AtMostOnce).is_ok());
    assert!(world.subscribe(&mut guest, 2, &long[..18], AtMostOnce).is_ok(), "it replaces itself");
}

/// Lets everybody in, but not at once.
struct Late;

impl Authenticator for Late {
    fn authenticate(&self, _: &Attempt) -> Answer<Authentication> {
        Answer::later(async { Authentication::Accept(Identity::default()) })
    }
}

/// What went wrong: a client whose password was being checked when the broker was drained stayed connected.
#[test]
fn a_client_that_is_let_in_after_a_drain_is_told_to_go() {
    let hooks = Hooks { authenticator: Arc::new(Late), ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    let Answer::Later(mut opening) = world.broker.connect(harness::connect("c"), peer(), world.now) else {
        panic!("it answers later");
    };
    world.broker.drain();
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(Opened::Session(session, connected))) = opening.as_mut().poll(&mut cx) else {
        panic!("not let in");
    };
    let mut guest = Guest { session: *session, connected: *connected };
    assert!(matches!(world.events(&mut guest)[..], [Event::Close(Reason::ShuttingDown)]));
}

#[test]
fn an_operator_closes_a_clients_connection_and_is_told_when_there_is_none() {
    let world = World::new();
    let mut guest = world.resume("c");
    assert!(world.broker.kick(&guest.connected.client_id, Reason::Kicked));
    assert!(matches!(world.pull(&mut guest, 0)[..], [Event::Close(Reason::Kicked)]));
    let client_id = guest.connected.client_id.clone();
    guest.session.close(Reason::Kicked, world.now);
    assert!(!world.broker.kick(&client_id, Reason::Kicked));
    assert!(world.resume("c").connected.session_present, "the session itself stays");
}
