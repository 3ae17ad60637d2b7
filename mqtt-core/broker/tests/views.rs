//! What operators see of sessions.

mod common;

use std::time::Duration;

use broker::Holdings;
use bus::{ClientId, Qos};
use common::World;

fn id(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

#[test]
fn a_session_tells_what_it_holds_and_who_held_it_last() {
    let mut world = World::new();
    let began = world.now;
    let mut sub = world.resume("sub");
    world.subscribe(&mut sub, 1, "a/#", Qos::AtLeastOnce).unwrap();
    let mut publisher = world.connect("pub");
    world.publish(&mut publisher, "a/1", "one", Qos::AtLeastOnce).unwrap();
    assert_eq!(world.deliveries(&mut sub).len(), 1);
    world.publish(&mut publisher, "a/2", "two", Qos::AtLeastOnce).unwrap();

    let view = world.broker.session(&id("sub")).unwrap();
    assert_eq!((view.subscriptions, view.inflight, view.queued), (1, 1, 1));
    assert!(view.connected && view.since == Some(began));
    assert_eq!(view.client.unwrap().id, id("sub"));
    let held = world.broker.holdings();
    assert_eq!((held.queued, held.inflight), (1, 1));
    assert!(held.queued_bytes >= 6);
    assert_eq!(world.broker.subscriptions(&id("sub"), 10)[0].filter.as_str(), "a/#");

    world.advance(Duration::from_secs(5));
    sub.session.close(bus::Reason::PeerClosed, world.now);
    let view = world.broker.session(&id("sub")).unwrap();
    assert!(!view.connected && view.since == Some(world.now) && view.client.is_some());
    assert!(world.broker.session(&id("nobody")).is_none());
}

#[test]
fn sessions_are_listed_in_order_page_by_page() {
    let world = World::new();
    let _guests: Vec<_> = ["d", "b", "e", "a", "c"].map(|name| world.connect(name)).into();
    let page = |after: Option<&str>| -> Vec<String> {
        let after = after.map(id);
        let page = world.broker.sessions(after.as_ref(), 2);
        page.iter().map(|view| view.client_id.to_string()).collect()
    };
    assert_eq!(page(None), ["a", "b"]);
    assert_eq!(page(Some("b")), ["c", "d"]);
    assert_eq!(page(Some("d")), ["e"]);
    assert_eq!(page(Some("e")), [""; 0]);
}

#[test]
fn shared_subscriptions_and_expired_sessions_are_counted() {
    let mut world = World::new();
    let mut sub = world.resume("sub");
    world.subscribe(&mut sub, 1, "$share/g/a", Qos::AtMostOnce).unwrap();
    world.subscribe(&mut sub, 1, "$share/g/a", Qos::AtLeastOnce).unwrap();
    world.subscribe(&mut sub, 2, "b", Qos::AtMostOnce).unwrap();
    let stats = world.broker.stats();
    assert_eq!((stats.subscriptions, stats.shared_subscriptions, stats.opened), (2, 1, 1));

    sub.session.close(bus::Reason::PeerClosed, world.now);
    world.connect("gone at once").session.close(bus::Reason::PeerClosed, world.now);
    assert_eq!(world.broker.stats().expired, 0);
    world.advance(Duration::from_secs(3_601));
    let stats = world.broker.stats();
    assert_eq!((stats.subscriptions, stats.shared_subscriptions, stats.expired), (0, 0, 1));
    assert_eq!(world.broker.holdings(), Holdings::default());
}
