//! Two connections of one client at once, on two threads.

mod common;

use std::sync::Barrier;

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
