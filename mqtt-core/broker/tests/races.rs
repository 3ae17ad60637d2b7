//! Two connections of one client at once, on two threads.

mod common;

use std::sync::Barrier;
use std::time::Duration;

use bus::{Qos, Reason, Reply};
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
