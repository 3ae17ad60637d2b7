//! What a configuration means for a topic's data [PUBSUB 3].

#[path = "common/mod.rs"]
mod common;
#[path = "common/world.rs"]
mod world;

use std::time::Duration;

use bus::{ContentFormat, Right, Topic};
use coap::{Code, Config, Kind, TopicsConfig};
use common::text;
use world::*;

const TEXT: ContentFormat = ContentFormat::TEXT;

#[test]
fn the_first_publication_is_2_01_and_the_next_2_04() {
    let mut world = World::new();
    let (peer, other) = (world.peer(), world.peer());
    make(&mut world, peer, "t", &[]);
    assert_eq!(world.ask(peer, Code::GET, "ps/t").code(), Code::NOT_FOUND, "half created");
    assert_eq!(world.observe(peer, 1, "ps/t").code(), Code::NOT_FOUND, "half created");
    assert_eq!(world.send(other, Code::PUT, "ps/t", TEXT, b"21").code(), Code::CREATED);
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"22").code(), Code::CHANGED);
    let read = world.ask(other, Code::GET, "ps/t");
    assert_eq!((read.code(), text(&read), read.content_format()), (Code::CONTENT, "22", Some(TEXT)));
    assert_eq!(world.published, [("t".into(), b"21".to_vec(), true), ("t".into(), b"22".to_vec(), true)]);
}

#[test]
fn a_topic_with_a_first_value_is_fully_created_at_once() {
    let mut world = World::new();
    let peer = world.peer();
    // {0: "t", 2: "core.ps.data", 3: 112, 8: << [] >>}
    make(&mut world, peer, "t", &[entry(3, &uint(112)), entry(8, &[0x41, 0x80])]);
    let first = world.observe(peer, 1, "ps/t");
    assert_eq!((first.code(), first.payload(), first.observe()), (Code::CONTENT, &b"\x80"[..], Some(1)));
    assert_eq!(first.content_format(), Some(ContentFormat::SENML_CBOR));
    let next = world.send(peer, Code::PUT, "ps/t", ContentFormat::SENML_CBOR, b"\x81\xA0");
    assert_eq!(next.code(), Code::CHANGED, "the first value was the first publication");
    let told = world.told(peer);
    assert_eq!((told.len(), told[0].payload()), (1, &b"\x81\xA0"[..]));
}

#[test]
fn a_first_value_that_may_not_be_published_makes_no_topic() {
    let mut world = World::new();
    let peer = world.peer();
    world.denied = vec![Right::Publish(Topic::parse("t").unwrap())];
    let first = [entry(3, &uint(0)), entry(8, &[0x41, b'x'])];
    assert_eq!(world.send(peer, Code::POST, "pubsub", PUBSUB, &topic("t", &first)).code(), Code::FORBIDDEN);
    world.denied.clear();
    make(&mut world, peer, "t", &first);
}

#[test]
fn a_retained_message_of_another_protocol_makes_a_topic_fully_created() {
    let mut world = World::new();
    let peer = world.peer();
    make(&mut world, peer, "t", &[]);
    world.publish("t", "passing", false);
    assert_eq!(world.observe(peer, 1, "ps/t").code(), Code::NOT_FOUND, "it was not kept");
    world.publish("t", "kept", true);
    assert_eq!(world.observe(peer, 1, "ps/t").observe(), Some(1));
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"x").code(), Code::CHANGED);
    world.told(peer);
    world.publish("t", "", true);
    let told = world.told(peer);
    assert_eq!((told.len(), told[0].code(), told[0].observe()), (1, Code::NOT_FOUND, None));
    assert_eq!(
        world.send(peer, Code::PUT, "ps/t", TEXT, b"x").code(),
        Code::CREATED,
        "it was half created again"
    );
}

#[test]
fn deleted_data_is_told_to_all_subscribers_and_leaves_the_topic_half_created() {
    let mut world = World::new();
    let (peer, other) = (world.peer(), world.peer());
    let path = make(&mut world, peer, "t", &[entry(3, &uint(0)), entry(8, &[0x41, b'x'])]);
    let before = world.ask(peer, Code::GET, &path);
    for (of, token) in [(peer, 1), (other, 2), (other, 3)] {
        assert_eq!(world.observe(of, token, "ps/t").code(), Code::CONTENT);
    }
    assert_eq!(world.ask(peer, Code::DELETE, "ps/t").code(), Code::DELETED);
    for (of, count) in [(peer, 1), (other, 2)] {
        let told = world.told(of);
        assert_eq!(told.len(), count);
        for last in told {
            assert_eq!(
                (last.code(), last.observe(), last.kind()),
                (Code::NOT_FOUND, None, Kind::Confirmable)
            );
        }
    }
    assert_eq!(world.ask(peer, Code::DELETE, "ps/t").code(), Code::NOT_FOUND);
    assert_eq!(world.ask(peer, Code::GET, "ps/t").code(), Code::NOT_FOUND, "whatever its first value was");
    assert_eq!(world.observe(peer, 1, "ps/t").code(), Code::NOT_FOUND);
    assert_eq!(world.ask(peer, Code::GET, &path).payload(), before.payload());
    assert_eq!(world.send(other, Code::PUT, "ps/t", TEXT, b"y").code(), Code::CREATED);
    assert!(world.told(other).is_empty(), "nobody observes any more");
    assert_eq!(world.observe(peer, 1, "ps/t").code(), Code::CONTENT);
}

#[test]
fn a_deleted_topic_has_no_subscribers_any_more() {
    let mut world = World::new();
    let (peer, other) = (world.peer(), world.peer());
    let path = make(&mut world, peer, "t", &[]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    world.observe(other, 2, "ps/t");
    assert_eq!(world.ask(peer, Code::DELETE, &path).code(), Code::DELETED);
    let told = world.told(other);
    assert_eq!((told.len(), told[0].code()), (1, Code::NOT_FOUND));
    world.publish("t", "x", true);
    assert!(world.told(other).is_empty());
}

#[test]
fn an_expired_topic_has_no_subscribers_any_more() {
    let mut world = World::new();
    let (peer, other) = (world.peer(), world.peer());
    make(&mut world, peer, "t", &[date(100)]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    world.observe(other, 2, "ps/t");
    world.advance(Duration::from_secs(99));
    assert!(world.told(other).is_empty());
    world.advance(Duration::from_secs(1));
    let told = world.told(other);
    assert_eq!((told.len(), told[0].code(), told[0].observe()), (1, Code::NOT_FOUND, None));
}

#[test]
fn a_publication_of_another_format_is_4_15() {
    let mut world = World::new();
    let peer = world.peer();
    make(&mut world, peer, "t", &[entry(3, &uint(50))]);
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"21").code(), Code::UNSUPPORTED_CONTENT_FORMAT);
    let none = world.ask_with(peer, Code::PUT, "ps/t", |message| message.with_payload("21"));
    assert_eq!(none.code(), Code::UNSUPPORTED_CONTENT_FORMAT);
    assert_eq!(world.send(peer, Code::PUT, "ps/t", ContentFormat::JSON, b"21").code(), Code::CREATED);
    assert_eq!(world.send(peer, Code::PUT, "ps/t", ContentFormat::JSON, b"").code(), Code::BAD_REQUEST);
    assert_eq!(text(&world.ask(peer, Code::GET, "ps/t")), "21");
    assert_eq!(
        world.send(peer, Code::PUT, "ps/other", TEXT, b"x").code(),
        Code::CHANGED,
        "a topic of no format"
    );
}

#[test]
fn too_many_publications_are_4_29_with_the_time_to_wait() {
    let topics = TopicsConfig { publish_rate: 2, ..TopicsConfig::default() };
    let mut world = World::with(Config { topics, ..Config::default() });
    let (peer, other) = (world.peer(), world.peer());
    make(&mut world, peer, "t", &[]);
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"1").code(), Code::CREATED);
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"2").code(), Code::CHANGED);
    let refused = world.send(peer, Code::PUT, "ps/t", TEXT, b"3");
    assert_eq!((refused.code(), max_age(&refused)), (Code::TOO_MANY_REQUESTS, Some(1)));
    assert_eq!(
        world.send(other, Code::PUT, "ps/t", TEXT, b"4").code(),
        Code::CHANGED,
        "only who is too fast"
    );
    world.advance(Duration::from_secs(1));
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"5").code(), Code::CHANGED);
    assert_eq!(world.published.len(), 4);
}

#[test]
fn above_max_subscribers_the_answer_has_no_observe() {
    let mut world = World::new();
    let (peer, other) = (world.peer(), world.peer());
    make(&mut world, peer, "t", &[entry(6, &uint(1))]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    assert_eq!(world.observe(peer, 1, "ps/t").observe(), Some(1));
    let full = world.observe(other, 2, "ps/t");
    assert_eq!((full.code(), full.observe(), text(&full)), (Code::CONTENT, None, "21"));
    assert!(world.observe(peer, 1, "ps/t").observe().is_some(), "whoever renews keeps its place");
    world.send(other, Code::PUT, "ps/t", TEXT, b"22");
    assert_eq!((world.told(peer).len(), world.told(other).len()), (1, 0));
    let cancel = common::request(Kind::Confirmable, Code::GET, 900, &[1], "ps/t").with_observe(1);
    assert_eq!(world.exchange(peer, &cancel).observe(), None);
    assert!(world.observe(other, 2, "ps/t").observe().is_some(), "the place is free");
}

#[test]
fn the_latest_subscribers_are_told_4_04_when_fewer_are_allowed() {
    let mut world = World::new();
    let (peer, other) = (world.peer(), world.peer());
    let path = make(&mut world, peer, "t", &[entry(6, &uint(3))]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    world.observe(other, 1, "ps/t");
    world.observe(other, 2, "ps/t");
    world.observe(peer, 3, "ps/t");
    let patched = world.send(peer, Code::IPATCH, &path, PUBSUB, &map(&[entry(6, &uint(1))]));
    assert_eq!(patched.code(), Code::CHANGED);
    let told = world.told(peer);
    assert_eq!((told.len(), told[0].code()), (1, Code::NOT_FOUND), "at once, where it was changed");
    world.advance(Duration::from_secs(5));
    let told = world.told(other);
    assert_eq!((told.len(), told[0].code(), told[0].token().as_slice()), (1, Code::NOT_FOUND, &[2][..]));
    world.send(peer, Code::PUT, "ps/t", TEXT, b"22");
    let told = world.told(other);
    assert_eq!((told.len(), text(&told[0]), told[0].token().as_slice()), (1, "22", &[1][..]));
}

#[test]
fn observer_check_says_how_often_a_notification_must_be_acknowledged() {
    let mut world = World::new();
    let (peer, other) = (world.peer(), world.peer());
    make(&mut world, peer, "t", &[entry(7, &uint(10))]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"0");
    world.observe(other, 1, "ps/t");
    let mut kinds = Vec::new();
    for _ in 0..6 {
        world.advance(Duration::from_secs(4));
        world.send(peer, Code::PUT, "ps/t", TEXT, b"x");
        kinds.extend(world.told(other).iter().map(|message| message.kind() == Kind::Confirmable));
    }
    assert_eq!(kinds, [false, false, true, false, false, true], "at least every 10 s [PUBSUB 2.2.1]");
}

#[test]
fn notifications_keep_the_format_of_the_first_answer() {
    let mut world = World::new();
    let peer = world.peer();
    make(&mut world, peer, "t", &[]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    world.observe(peer, 1, "ps/t");
    world.send(peer, Code::PUT, "ps/t", ContentFormat::JSON, b"22");
    let told = world.told(peer);
    assert_eq!((told.len(), told[0].code()), (1, Code::NOT_ACCEPTABLE)); // [RFC7641 4.2]
    world.send(peer, Code::PUT, "ps/t", ContentFormat::JSON, b"23");
    assert!(world.told(peer).is_empty());
}

#[test]
fn who_may_not_read_cannot_subscribe_to_a_configured_topic() {
    let mut world = World::new();
    let peer = world.peer();
    make(&mut world, peer, "t", &[]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    world.denied = vec![Right::Read(Topic::parse("t").unwrap())];
    assert_eq!(world.observe(peer, 1, "ps/t").code(), Code::FORBIDDEN);
    assert_eq!(world.ask(peer, Code::GET, "ps/t").code(), Code::FORBIDDEN);
}

#[test]
fn as_long_as_no_topic_is_configured_nobody_asks_for_rights() {
    let mut world = World::new();
    let peer = world.peer();
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"x").code(), Code::CHANGED);
    assert_eq!(
        world.observe(peer, 1, "ps/t").code(),
        Code::CONTENT,
        "an empty one, as the topic is no resource of its own"
    );
    assert_eq!(world.judged, 0);
    let path = make(&mut world, peer, "other", &[]);
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"x").code(), Code::CHANGED);
    assert_eq!(world.published.last().map(|last| last.2), Some(false), "it is not kept unasked");
    world.ask(peer, Code::DELETE, &path);
    let before = world.judged;
    world.send(peer, Code::PUT, "ps/t", TEXT, b"x");
    assert_eq!(world.judged, before);
}
