//! The topic collection and the configurations of topics [PUBSUB 2].

#[path = "common/mod.rs"]
mod common;
#[path = "common/world.rs"]
mod world;

use std::time::Duration;

use bus::{ContentFormat, Right, Topic};
use coap::{Code, Config, OptionNumber, TopicsConfig};
use common::text;
use world::*;

const TEXT: ContentFormat = ContentFormat::TEXT;

#[test]
fn a_topic_is_created_with_a_name_and_a_type_and_told_where_its_data_is() {
    let mut world = World::new();
    let peer = world.peer();
    // {0: "living-room", 2: "core.ps.data"}
    let payload = b"\xA2\x00\x6Bliving-room\x02\x6Ccore.ps.data";
    let created = world.send(peer, Code::POST, "pubsub", PUBSUB, payload);
    assert_eq!((created.code(), created.content_format()), (Code::CREATED, Some(PUBSUB)));
    // {0: "living-room", 1: "/ps/living-room", 2: "core.ps.data"}
    assert_eq!(created.payload(), b"\xA3\x00\x6Bliving-room\x01\x6F/ps/living-room\x02\x6Ccore.ps.data");
    let path = location(&created);
    assert!(path.starts_with("pubsub/"), "{path}");
    let read = world.ask(peer, Code::GET, &path);
    assert_eq!((read.code(), read.content_format()), (Code::CONTENT, Some(PUBSUB)));
    assert_eq!(read.payload(), created.payload());
    assert!(world.published.is_empty(), "nobody has published yet");
}

#[test]
fn the_collection_lists_its_topics_and_their_data() {
    let mut world = World::new();
    let (peer, empty) = (world.peer(), ("", Some(ContentFormat::LINK_FORMAT)));
    let listed = world.ask(peer, Code::GET, "pubsub");
    assert_eq!((listed.code(), (text(&listed), listed.content_format())), (Code::CONTENT, empty));
    let first = make(&mut world, peer, "a b", &[]);
    let second = location(&world.send(
        peer,
        Code::POST,
        "pubsub",
        PUBSUB,
        &map(&[entry(0, &tstr("x/y")), entry(2, &tstr("other.type"))]),
    ));
    let mut both = [format!("</{first}>"), format!("</{second}>")];
    both.sort();
    let mut listed: Vec<String> =
        text(&world.ask(peer, Code::GET, "pubsub")).split(',').map(Into::into).collect();
    listed.sort();
    assert_eq!(listed, both);
    for (uri, expected) in [
        ("pubsub?rt=core.ps.data", "</ps/a%20b>".to_owned()),
        ("pubsub?rt=other.type", "</ps/x/y>".to_owned()),
        ("pubsub?rt=nothing", String::new()),
        ("pubsub?href=/ps/x/*", "</ps/x/y>".to_owned()),
        (".well-known/core?rt=core.ps.data", "</ps/a%20b>;rt=\"core.ps.data\"".to_owned()),
        (
            &format!(".well-known/core?rt=core.ps.conf&href=/{first}"),
            format!("</{first}>;rt=\"core.ps.conf\""),
        ),
        (".well-known/core?rt=core.ps", "</pubsub>;rt=\"core.ps core.ps.coll\";ct=40".to_owned()),
        (".well-known/core?rt=core.ps.coll", "</pubsub>;rt=\"core.ps core.ps.coll\";ct=40".to_owned()),
    ] {
        let answer = world.ask(peer, Code::GET, uri);
        assert_eq!((answer.code(), text(&answer)), (Code::CONTENT, expected.as_str()), "{uri}");
    }
}

#[test]
fn a_fetch_on_the_collection_finds_topics_by_their_properties() {
    let mut world = World::new();
    let peer = world.peer();
    let warm = make(&mut world, peer, "warm", &[entry(4, &tstr("temperature")), entry(6, &uint(5))]);
    make(&mut world, peer, "wet", &[entry(4, &tstr("humidity")), entry(6, &uint(5))]);
    let mut find = |filter: &[Vec<u8>]| {
        let found = world.send(peer, Code::FETCH, "pubsub", PUBSUB, &map(filter));
        assert_eq!(found.content_format(), Some(ContentFormat::LINK_FORMAT));
        text(&found).to_owned()
    };
    assert_eq!(find(&[entry(4, &tstr("temperature")), entry(6, &uint(5))]), format!("</{warm}>"));
    assert_eq!(find(&[entry(4, &tstr("temperature")), entry(6, &uint(6))]), "");
    assert_eq!(find(&[entry(6, &uint(5))]).split(',').count(), 2);
    assert_eq!(find(&[]).split(',').count(), 2, "no property is asked for");
    assert_eq!(find(&[entry(15, &tstr("x"))]), "", "no topic has a property that nobody knows");
}

#[test]
fn a_fetch_on_a_topic_tells_the_properties_that_it_names() {
    let mut world = World::new();
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[entry(3, &uint(112))]);
    // [1, 3, 6, 99]
    let part = world.send(peer, Code::FETCH, &path, ContentFormat::CBOR, b"\x84\x01\x03\x06\x18\x63");
    assert_eq!((part.code(), part.content_format()), (Code::CONTENT, Some(PUBSUB)));
    assert_eq!(part.payload(), b"\xA2\x01\x65/ps/t\x03\x18\x70");
    let none = world.send(peer, Code::FETCH, &path, ContentFormat::CBOR, b"\x80");
    assert_eq!(none.payload(), b"\xA0");
    let wrong = world.send(peer, Code::FETCH, &path, PUBSUB, b"\x81\x01");
    assert_eq!(wrong.code(), Code::UNSUPPORTED_CONTENT_FORMAT);
    let bad = world.send(peer, Code::FETCH, &path, ContentFormat::CBOR, b"\xA1\x01\x03");
    assert_eq!(bad.code(), Code::BAD_REQUEST);
}

#[test]
fn a_topic_that_says_too_little_or_something_wrong_is_not_created() {
    let mut world = World::new();
    let peer = world.peer();
    make(&mut world, peer, "taken", &[]);
    let first = |value: &[u8]| entry(8, &[&[0x40 | value.len() as u8], value].concat());
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"x".to_vec(), "CBOR"),
        (map(&[]), "topic-name"),
        (map(&[entry(0, &tstr("t"))]), "resource-type"),
        (map(&[entry(2, &tstr("core.ps.data"))]), "topic-name"),
        (topic("taken", &[]), "already"),
        (topic("a/+", &[]), "wildcard"),
        (topic("$SYS/x", &[]), "server's"),
        (topic("a/../b", &[]), "path"),
        (topic("t", &[entry(9, &[0])]), "key 9"),
        (topic("t", &[entry(7, &uint(0))]), "observer-check"),
        (topic("t", &[entry(6, &[0x20])]), "max-subscribers"),
        (topic("t", &[entry(5, &[0x18, 100])]), "expiration-date"),
        (topic("t", &[date(0)]), "over"),
        (topic("t", &[first(b"\x80")]), "topic-content-format"),
        (topic("t", &[entry(3, &uint(60)), first(b"\x82")]), "not of the topic-content-format"),
        (topic("t", &[entry(3, &uint(0)), first(b"")]), "empty"),
        (topic("t", &[entry(1, &tstr("/data/1"))]), "/ps/{topic}"),
        (topic("t", &[entry(1, &tstr("/ps/taken"))]), "another topic"),
        (topic("t", &[entry(1, &tstr("coap://h/x")), entry(3, &uint(0)), first(b"x")]), "another server"),
    ];
    for (payload, why) in cases {
        let answer = world.send(peer, Code::POST, "pubsub", PUBSUB, &payload);
        let said = text(&answer);
        assert!(
            answer.code() == Code::BAD_REQUEST && said.contains(why),
            "{payload:02X?}: {} {said}",
            answer.code()
        );
    }
    assert_eq!(text(&world.ask(peer, Code::GET, "pubsub")).split(',').count(), 1);
    assert!(world.published.is_empty());
}

#[test]
fn formats_are_minded_in_requests_and_answers() {
    let mut world = World::new();
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[]);
    for (method, uri) in [
        (Code::POST, "pubsub"),
        (Code::FETCH, "pubsub"),
        (Code::POST, path.as_str()),
        (Code::IPATCH, path.as_str()),
        (Code::FETCH, path.as_str()),
    ] {
        let answer = world.send(peer, method, uri, ContentFormat::JSON, b"{}");
        assert_eq!(answer.code(), Code::UNSUPPORTED_CONTENT_FORMAT, "{method} {uri}");
        let answer = world.ask_with(peer, method, uri, |message| message.with_payload(b"\xA0".to_vec()));
        assert_eq!(
            answer.code(),
            Code::UNSUPPORTED_CONTENT_FORMAT,
            "{method} {uri} without a format [RFC8132 2.3.1]"
        );
    }
    for uri in ["pubsub", path.as_str(), ".well-known/core?rt=core.ps.conf"] {
        let answer = world.ask_with(peer, Code::GET, uri, |message| message.with_accept(ContentFormat::JSON));
        assert_eq!(answer.code(), Code::NOT_ACCEPTABLE, "{uri}");
    }
    let accepted = world.ask_with(peer, Code::GET, &path, |message| message.with_accept(PUBSUB));
    assert_eq!(accepted.code(), Code::CONTENT);
}

#[test]
fn other_methods_paths_and_arguments_are_refused() {
    let mut world = World::new();
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[]);
    let with_query = format!("{path}?x=1");
    let upper = path.to_uppercase().replace("PUBSUB", "pubsub");
    for (method, uri, code) in [
        (Code::PUT, "pubsub", Code::METHOD_NOT_ALLOWED),
        (Code::DELETE, "pubsub", Code::METHOD_NOT_ALLOWED),
        (Code::PUT, path.as_str(), Code::METHOD_NOT_ALLOWED),
        (Code::PATCH, path.as_str(), Code::METHOD_NOT_ALLOWED),
        (Code::GET, "pubsub/nothing", Code::NOT_FOUND),
        (Code::GET, "pubsub/1", Code::NOT_FOUND),
        (Code::DELETE, "pubsub/1", Code::NOT_FOUND),
        (Code::GET, "pubsub/1/2", Code::NOT_FOUND),
        (Code::GET, "pubsub/", Code::NOT_FOUND),
        (Code::GET, with_query.as_str(), Code::BAD_REQUEST),
        (Code::GET, "pubsub?c=", Code::BAD_REQUEST),
    ] {
        assert_eq!(world.ask(peer, method, uri).code(), code, "{method} {uri}");
    }
    if upper != path {
        assert_eq!(world.ask(peer, Code::GET, &upper).code(), Code::NOT_FOUND, "one resource has one path");
    }
}

#[test]
fn a_post_replaces_the_configuration_and_an_ipatch_changes_part_of_it() {
    let mut world = World::new();
    let peer = world.peer();
    let path =
        make(&mut world, peer, "t", &[entry(4, &tstr("heat")), entry(6, &uint(9)), entry(7, &uint(60))]);
    // {5: 1(...), 6: 5}
    let patched = world.send(peer, Code::IPATCH, &path, PUBSUB, &map(&[date(100), entry(6, &uint(5))]));
    assert_eq!((patched.code(), patched.content_format()), (Code::CHANGED, Some(PUBSUB)));
    let whole = [entry(0, &tstr("t")), entry(1, &tstr("/ps/t")), entry(2, &tstr("core.ps.data"))];
    let rest = [entry(4, &tstr("heat")), date(100), entry(6, &uint(5)), entry(7, &uint(60))];
    assert_eq!(patched.payload(), map(&[&whole[..], &rest].concat()), "what was not named has stayed");
    let same = map(&[&whole[..], &[entry(7, &uint(30))]].concat());
    let replaced = world.send(peer, Code::POST, &path, PUBSUB, &same);
    assert_eq!(
        (replaced.code(), replaced.payload()),
        (Code::CHANGED, &same[..]),
        "what was not named is gone"
    );
    assert_eq!(world.ask(peer, Code::GET, &path).payload(), same);
    let nothing = world.send(peer, Code::POST, &path, PUBSUB, b"\xA0");
    assert_eq!(nothing.payload(), map(&whole), "name, data and type need not be said again");
}

#[test]
fn name_data_and_type_stay_and_what_cannot_be_is_refused() {
    let mut world = World::new();
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[entry(3, &uint(0)), entry(8, &[0x41, b'x'])]);
    let before = world.ask(peer, Code::GET, &path);
    let cases: [(Vec<u8>, Code, Code); 8] = [
        (entry(0, &tstr("u")), Code::BAD_REQUEST, Code::UNPROCESSABLE_ENTITY),
        (entry(1, &tstr("/ps/u")), Code::BAD_REQUEST, Code::UNPROCESSABLE_ENTITY),
        (entry(2, &tstr("other")), Code::BAD_REQUEST, Code::UNPROCESSABLE_ENTITY),
        (entry(10, &[0]), Code::BAD_REQUEST, Code::UNPROCESSABLE_ENTITY),
        (entry(7, &uint(0)), Code::BAD_REQUEST, Code::UNPROCESSABLE_ENTITY),
        (date(0), Code::BAD_REQUEST, Code::UNPROCESSABLE_ENTITY),
        // The first value is no CBOR, and would have no format at all in place of the one it has.
        (entry(3, &uint(60)), Code::CHANGED, Code::CONFLICT),
        (entry(8, &[0x40]), Code::BAD_REQUEST, Code::CONFLICT),
    ];
    for (property, _, patched) in &cases {
        let answer = world.send(peer, Code::IPATCH, &path, PUBSUB, &map(std::slice::from_ref(property)));
        assert_eq!(answer.code(), *patched, "{property:02X?} {}", text(&answer));
        assert!(!answer.payload().is_empty(), "{property:02X?} is refused without a word");
    }
    assert_eq!(world.send(peer, Code::IPATCH, &path, PUBSUB, b"\xA1").code(), Code::BAD_REQUEST);
    assert_eq!(world.ask(peer, Code::GET, &path).payload(), before.payload());
    for (property, replaced, _) in &cases {
        let answer = world.send(peer, Code::POST, &path, PUBSUB, &map(std::slice::from_ref(property)));
        assert_eq!(answer.code(), *replaced, "{property:02X?}");
    }
}

#[test]
fn a_deleted_topic_is_gone_with_its_data() {
    let mut world = World::new();
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    assert!(world.kept("t").is_some());
    assert_eq!(world.ask(peer, Code::DELETE, &path).code(), Code::DELETED);
    assert!(world.kept("t").is_none());
    assert_eq!(world.ask(peer, Code::GET, "ps/t").code(), Code::NOT_FOUND);
    for method in [Code::DELETE, Code::GET, Code::POST] {
        let answer = world.send(peer, method, &path, PUBSUB, b"\xA0");
        assert_eq!(answer.code(), Code::NOT_FOUND, "{method}");
    }
    let again = make(&mut world, peer, "t", &[]);
    world.published.clear();
    assert_eq!(world.ask(peer, Code::DELETE, &again).code(), Code::DELETED);
    assert!(world.published.is_empty(), "where nothing is kept nobody hears of it");
}

#[test]
fn who_may_publish_may_configure_and_who_may_read_may_know() {
    let mut world = World::new();
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[]);
    let shown = make(&mut world, peer, "shown", &[]);
    let name = || Topic::parse("t").unwrap();
    world.denied = vec![Right::Publish(name()), Right::Publish(Topic::parse("u").unwrap())];
    assert_eq!(world.send(peer, Code::POST, "pubsub", PUBSUB, &topic("u", &[])).code(), Code::FORBIDDEN);
    for (method, payload) in
        [(Code::POST, &b"\xA0"[..]), (Code::IPATCH, b"\xA1\x06\x01"), (Code::DELETE, b"")]
    {
        assert_eq!(world.send(peer, method, &path, PUBSUB, payload).code(), Code::FORBIDDEN, "{method}");
    }
    assert_eq!(world.ask(peer, Code::GET, &path).code(), Code::CONTENT);
    let by_data = map(&[entry(0, &tstr("v")), entry(1, &tstr("/ps/u")), entry(2, &tstr("core.ps.data"))]);
    assert_eq!(world.send(peer, Code::POST, "pubsub", PUBSUB, &by_data).code(), Code::FORBIDDEN);
    world.denied = vec![Right::Read(name())];
    assert_eq!(world.ask(peer, Code::GET, &path).code(), Code::FORBIDDEN);
    assert_eq!(world.send(peer, Code::FETCH, &path, ContentFormat::CBOR, b"\x80").code(), Code::FORBIDDEN);
    assert_eq!(text(&world.ask(peer, Code::GET, "pubsub")), format!("</{shown}>"));
    assert_eq!(text(&world.send(peer, Code::FETCH, "pubsub", PUBSUB, b"\xA0")), format!("</{shown}>"));
}

#[test]
fn clients_with_different_mountpoints_have_topics_of_the_same_name_each() {
    let mut world = World::new();
    let (acme, other, nobody) = (world.peer_at("acme/"), world.peer_at("other/"), world.peer());
    let mine = make(&mut world, acme, "t", &[entry(3, &uint(50))]);
    assert_eq!(text(&world.ask(other, Code::GET, "pubsub")), "");
    assert_eq!(world.ask(other, Code::GET, &mine).code(), Code::NOT_FOUND);
    assert_eq!(world.ask(other, Code::DELETE, &mine).code(), Code::NOT_FOUND);
    let theirs = make(&mut world, other, "t", &[]);
    assert_ne!(mine, theirs);
    assert_eq!(text(&world.ask(acme, Code::GET, "pubsub")), format!("</{mine}>"));
    assert_eq!(text(&world.ask(nobody, Code::GET, "pubsub")), "");
    let wrong = world.send(acme, Code::PUT, "ps/t", TEXT, b"x");
    assert_eq!(wrong.code(), Code::UNSUPPORTED_CONTENT_FORMAT, "the format of its own");
    assert_eq!(world.send(other, Code::PUT, "ps/t", TEXT, b"x").code(), Code::CREATED);
    let whole = world.send(nobody, Code::PUT, "ps/acme/t", TEXT, b"x");
    assert_eq!(whole.code(), Code::UNSUPPORTED_CONTENT_FORMAT, "it is that topic, whatever it is called");
}

#[test]
fn a_topic_ends_at_its_expiration_date_with_what_was_published_on_it() {
    let mut world = World::new();
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[date(100)]);
    world.send(peer, Code::PUT, "ps/t", TEXT, b"21");
    assert_eq!(max_age(&world.ask(peer, Code::GET, "ps/t")), Some(100));
    world.advance(Duration::from_secs(99));
    assert_eq!(world.ask(peer, Code::GET, &path).code(), Code::CONTENT);
    assert_eq!(world.send(peer, Code::IPATCH, &path, PUBSUB, &map(&[date(200)])).code(), Code::CHANGED);
    world.advance(Duration::from_secs(100));
    assert_eq!(world.ask(peer, Code::GET, &path).code(), Code::CONTENT);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.ask(peer, Code::GET, &path).code(), Code::NOT_FOUND);
    assert_eq!((world.kept("t").is_none(), text(&world.ask(peer, Code::GET, "pubsub"))), (true, ""));
    world.time = false;
    let unknown = world.send(peer, Code::POST, "pubsub", PUBSUB, &topic("t", &[date(500)]));
    assert_eq!(unknown.code(), Code::BAD_REQUEST, "a date means nothing to who does not know the time");
}

#[test]
fn data_on_another_server_is_told_and_left_to_it() {
    let mut world = World::new();
    let peer = world.peer();
    let elsewhere = map(&[
        entry(0, &tstr("t")),
        entry(1, &tstr("coap://other/d")),
        entry(2, &tstr("core.ps.data")),
        entry(3, &uint(60)),
    ]);
    let created = world.send(peer, Code::POST, "pubsub", PUBSUB, &elsewhere);
    let path = location(&created);
    assert_eq!(created.payload(), elsewhere);
    assert_eq!(text(&world.ask(peer, Code::GET, "pubsub?rt=core.ps.data")), "<coap://other/d>");
    assert_eq!(world.send(peer, Code::PUT, "ps/t", TEXT, b"x").code(), Code::CHANGED, "another topic");
    assert_eq!(world.ask(peer, Code::DELETE, &path).code(), Code::DELETED);
    assert_eq!(world.published.len(), 1);
}

#[test]
fn the_collection_is_bounded_in_number_and_size() {
    let topics = TopicsConfig { most: 1, largest: 100, ..TopicsConfig::default() };
    let mut world = World::with(Config { topics, ..Config::default() });
    let peer = world.peer();
    let path = make(&mut world, peer, "t", &[]);
    let full = world.send(peer, Code::POST, "pubsub", PUBSUB, &topic("u", &[]));
    assert_eq!(full.code(), Code::SERVICE_UNAVAILABLE);
    let long = [&[4, 0x78, 90][..], &[b'x'; 90]].concat();
    let large = world.send(peer, Code::POST, "pubsub", PUBSUB, &topic("u", std::slice::from_ref(&long)));
    assert_eq!(large.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(large.uint(OptionNumber::SIZE1), Some(100));
    let grown = world.send(peer, Code::IPATCH, &path, PUBSUB, &map(&[long]));
    assert_eq!(grown.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(world.ask(peer, Code::DELETE, &path).code(), Code::DELETED);
    make(&mut world, peer, "u", &[]);
}
