//! Who publishes and is owed nothing does not look again: whatever concerns it must end that.

mod common;

use bus::{Event, Qos, Reason, SubscriptionId};
use common::{Guest, World};

use Qos::{AtLeastOnce, AtMostOnce};

/// A client that has published, and has found since that nothing waits.
fn at_rest(world: &World) -> Guest {
    let mut guest = world.resume("resting");
    world.subscribe(&mut guest, 1, "to/resting", AtLeastOnce).unwrap();
    world.publish(&mut guest, "elsewhere", "", AtMostOnce).unwrap();
    for _ in 0..2 {
        assert!(world.events(&mut guest).is_empty());
    }
    guest
}

#[test]
fn a_message_is_found_by_who_was_at_rest() {
    let world = World::new();
    let (mut guest, mut writer) = (at_rest(&world), world.connect("writer"));
    for text in ["1", "2"] {
        world.publish(&mut writer, "to/resting", text, AtLeastOnce).unwrap();
        assert_eq!(world.read(&mut guest), [text]);
        assert!(world.events(&mut guest).is_empty());
    }
}

#[test]
fn an_own_message_is_found_by_who_was_at_rest() {
    let world = World::new();
    let mut guest = at_rest(&world);
    world.publish(&mut guest, "to/resting", "1", AtMostOnce).unwrap();
    assert_eq!(world.read(&mut guest), ["1"]);
}

#[test]
fn a_retained_message_is_found_by_who_was_at_rest_and_subscribes() {
    let world = World::new();
    let (mut guest, mut writer) = (at_rest(&world), world.connect("writer"));
    let retained = bus::Publish { retain: true, ..harness::publish("kept", "1", AtMostOnce) };
    world.send(&mut writer, retained).unwrap();
    assert!(world.events(&mut guest).is_empty());
    world.subscribe(&mut guest, 2, "kept", AtMostOnce).unwrap();
    let read = world.deliveries(&mut guest);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].matched.as_slice(), [SubscriptionId(2)]);
}

#[test]
fn who_was_at_rest_hears_that_another_has_its_session() {
    let world = World::new();
    let mut guest = at_rest(&world);
    let mut heir = world.resume("resting");
    assert!(world.events(&mut heir).is_empty());
    let heard = world.pull(&mut guest, usize::MAX);
    assert!(matches!(heard[..], [Event::Close(Reason::TakenOver)]), "{heard:?}");
}

#[test]
fn who_was_at_rest_hears_that_it_is_sent_away() {
    let world = World::new();
    let mut guest = at_rest(&world);
    let id = bus::ClientId::parse("resting").unwrap();
    assert!(world.broker.kick(&id, Reason::Kicked));
    let heard = world.pull(&mut guest, usize::MAX);
    assert!(matches!(heard[..], [Event::Close(Reason::Kicked)]), "{heard:?}");
}

#[test]
fn room_that_an_acknowledgement_makes_is_used_by_who_was_at_rest() {
    let world = World::new();
    let (mut guest, mut writer) = (at_rest(&world), world.connect("writer"));
    world.publish(&mut writer, "to/resting", "1", AtLeastOnce).unwrap();
    let first = world.pull(&mut guest, 1);
    let [Event::Deliver(first)] = &first[..] else { panic!("{first:?}") };
    assert!(world.events(&mut guest).is_empty());
    guest.session.ack(first.id.unwrap(), bus::Ack::Resend);
    let again = world.deliveries(&mut guest);
    assert_eq!((again.len(), again[0].id), (1, first.id));
}
