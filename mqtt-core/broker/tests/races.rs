//! Two connections of one client at once, on two threads.

mod common;

use std::sync::Barrier;
use std::time::Duration;

use bus::{ConditionalPublish, Message, Precondition, Publish, Qos, Reason, Reply, Topic};
use common::{World, now};

/// What went wrong: a publish that looked for its id before a take-over, and was routed after it, was doubled
/// by its repetition on the new connection.
#[test]
fn an_exactly_once_publish_that_races_its_own_repetition_on_a_new_connection_is_routed_once() {
    let world = World::new();
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "t", Qos::AtLeastOnce).unwrap();
    for round in 0..2_000 {
        let mut old = world.resume("c");
        let start = Barrier::new(2);
        let publish = || harness::publish("t", "x", Qos::ExactlyOnce);
        std::thread::scope(|scope| {
            let (start, at) = (&start, world.now);
            let first = scope.spawn(move || {
                start.wait();
                now(old.session.publish(publish(), at)).map(|_| old)
            });
            start.wait();
            let mut new = world.resume("c");
            let second = now(new.session.publish(publish(), world.now));
            assert!(matches!(second, Ok(Reply::Published { .. })), "round {round}: {second:?}");
            let first = first.join().unwrap();
            assert!(matches!(first, Ok(_) | Err(Reason::TakenOver)), "round {round}");
            assert_eq!(world.read(&mut reader), ["x"], "round {round}");
            new.session.release(1).unwrap();
        });
    }
}

/// What went wrong: a session whose time was over, and whose client came back at that moment, was taken off the
/// number of sessions though another one had taken its place.
#[test]
fn a_session_that_ends_while_its_client_comes_back_is_counted_right() {
    let mut world = World::new();
    for round in 0..5_000 {
        world.resume("c").session.close(Reason::PeerClosed, world.now);
        world.now += Duration::from_secs(3_600);
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                world.broker.tick(world.now);
            });
            start.wait();
            let guest = world.resume("c");
            guest.session.close(Reason::PeerClosed, world.now);
        });
        let stats = world.broker.stats();
        assert_eq!((stats.connections, stats.sessions), (0, 1), "round {round}");
    }
}

/// A message is retained, and it is this one; or none is.
#[derive(Debug)]
struct Is(Option<&'static str>);

impl Precondition for Is {
    fn holds(&self, retained: Option<&Message>) -> bool {
        retained.map(|message| &message.payload[..]) == self.0.map(str::as_bytes)
    }
}

fn on_condition(publish: Publish, is: Option<&'static str>) -> ConditionalPublish {
    ConditionalPublish { publish: publish.retained(), precondition: Box::new(Is(is)) }
}

#[test]
fn of_two_who_publish_on_the_same_condition_at_once_exactly_one_does() {
    let world = World::new();
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "#", Qos::AtMostOnce).unwrap();
    let mut guests = [world.connect("one"), world.connect("other")];
    for round in 0..2_000 {
        let topic = format!("t/{}", round / 3);
        // Nothing is retained; then "a" is, which one of them changes; then one of them removes it.
        let (is, payload) = [(None, "a"), (Some("a"), "b"), (Some("b"), "")][round % 3];
        let start = Barrier::new(2);
        let done = std::thread::scope(|scope| {
            let (start, at, topic) = (&start, world.now, &topic);
            let threads = guests.each_mut().map(|guest| {
                scope.spawn(move || {
                    let wish = on_condition(harness::publish(topic, payload, Qos::AtMostOnce), is);
                    start.wait();
                    now(guest.session.publish_if(wish, at)).unwrap()
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        let published = done.iter().filter(|reply| matches!(reply, Reply::Published { .. })).count();
        let refused = done.iter().filter(|reply| matches!(reply, Reply::Unfulfilled)).count();
        assert_eq!((published, refused), (1, 1), "round {round}");
        assert_eq!(world.read(&mut reader), [payload], "round {round}");
    }
}

#[test]
fn a_condition_is_judged_by_what_a_reader_would_find() {
    let mut world = World::new();
    let mut guest = world.connect("guest");
    let mut lasting = harness::publish("t", "a", Qos::AtMostOnce).retained();
    lasting.expiry = Some(Duration::from_secs(10));
    world.send(&mut guest, lasting).unwrap();
    let mut ask = |world: &World, is, payload: &str, retain| {
        let wish = on_condition(harness::publish("t", payload, Qos::AtMostOnce), is);
        let wish = ConditionalPublish { publish: Publish { retain, ..wish.publish }, ..wish };
        matches!(now(guest.session.publish_if(wish, world.now)).unwrap(), Reply::Published { .. })
    };
    assert!(!ask(&world, None, "b", true));
    assert!(ask(&world, Some("a"), "passing", false), "what is not retained takes no message's place");
    assert!(ask(&world, Some("a"), "passing", false));
    world.now += Duration::from_secs(11);
    assert!(!ask(&world, Some("a"), "b", true), "it has expired");
    assert!(ask(&world, None, "b", true));
    let found = now(guest.session.read(Topic::parse("t").unwrap(), world.now)).unwrap();
    assert!(matches!(found, Reply::Read(Some(message)) if message.payload == "b"));
}
