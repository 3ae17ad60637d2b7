//! Clients that do not know where their topics really are.

mod common;

use std::sync::Arc;

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Client, Config, Hooks, Identity,
    Permission, Rewriter,
};
use bus::{Connect, Credentials, Filter, Metadata, Publish, Qos, Reason, Reply, Right, Topic, Unsubscribe};
use common::{Guest, World, will};

use Qos::{AtLeastOnce, AtMostOnce};

/// A user called `acme` is mounted at `acme/`; who has no name sees everything.
struct Tenants;

impl Authenticator for Tenants {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let username = attempt.credentials.username.clone();
        Answer::Now(Authentication::Accept(Identity {
            mountpoint: username.clone(),
            username,
            ..Identity::default()
        }))
    }
}

/// Denies what, with its mountpoint, begins with `acme/secret`.
impl Authorizer for Tenants {
    fn authorize(&self, _client: &Client, access: Access<'_>) -> Answer<Permission> {
        let on = match access {
            Access::Publish { topic, .. } | Access::Read { topic } | Access::Receive { topic } => {
                topic.as_str()
            }
            Access::Subscribe { filter, .. } => filter.pattern(),
        };
        Answer::Now(if on.starts_with("acme/secret") { Permission::Deny } else { Permission::Allow })
    }
}

/// Takes `old` for `new`, and calls a client's own topic `me`.
struct Renamed;

impl Renamed {
    fn name(client: &Client, text: &str) -> Option<String> {
        text.strip_prefix("old/")
            .map(|rest| format!("new/{rest}"))
            .or_else(|| (text == "me").then(|| client.id.to_string()))
    }
}

impl Rewriter for Renamed {
    fn publish(&self, client: &Client, topic: &Topic) -> Option<Topic> {
        Topic::parse(&Self::name(client, topic.as_str())?).ok()
    }

    fn subscribe(&self, client: &Client, filter: &Filter) -> Option<Filter> {
        filter.with_pattern(&Self::name(client, filter.pattern())?).ok()
    }
}

fn tenants() -> World {
    let hooks = Hooks { authenticator: Arc::new(Tenants), authorizer: Arc::new(Tenants), ..Hooks::open() };
    World::with(Config::default(), hooks)
}

fn of(tenant: &str, client_id: &str) -> Connect {
    let credentials = Credentials { username: Some(tenant.into()), ..Credentials::default() };
    Connect { credentials, ..common::durable(client_id) }
}

/// The topics delivered now.
fn topics(world: &World, guest: &mut Guest) -> Vec<String> {
    world.deliveries(guest).iter().map(|delivery| delivery.message.topic.to_string()).collect()
}

#[test]
fn tenants_publish_subscribe_and_read_the_same_names_and_do_not_meet() {
    let world = tenants();
    let (mut acme, mut other) =
        (world.open(of("acme", "a")).unwrap(), world.open(of("other/", "o")).unwrap());
    let mut all = world.connect("all");
    for guest in [&mut acme, &mut other, &mut all] {
        world.subscribe(guest, 1, "#", AtMostOnce).unwrap();
    }
    world.send(&mut acme, harness::publish("t", "x", AtMostOnce).retained()).unwrap();
    assert_eq!((topics(&world, &mut acme), topics(&world, &mut other)), (vec!["t".to_owned()], vec![]));
    assert_eq!(topics(&world, &mut all), ["acme/t"]);
    let read =
        |guest: &mut Guest| match common::now(guest.session.read(Topic::parse("t").unwrap(), world.now)) {
            Ok(Reply::Read(found)) => found.map(|message| message.topic.to_string()),
            other => panic!("{other:?}"),
        };
    assert_eq!((read(&mut acme), read(&mut other), read(&mut all)), (Some("t".to_owned()), None, None));
    let judged = |guest: &mut Guest| {
        let rights =
            [Right::Publish, Right::Read, Right::Name].map(|right| right(Topic::parse("t").unwrap()));
        match common::now(guest.session.judge(rights.to_vec(), world.now)) {
            Ok(Reply::Judged { judgements, .. }) => judgements
                .iter()
                .map(|judged| (judged.topic.to_string(), judged.retained))
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(judged(&mut acme), [(); 3].map(|()| ("acme/t".to_owned(), true)));
    assert_eq!(judged(&mut all), [(); 3].map(|()| ("t".to_owned(), false)));
    world.publish(&mut all, "acme/down", "x", AtMostOnce).unwrap();
    assert_eq!((topics(&world, &mut acme), topics(&world, &mut other).len()), (vec!["down".to_owned()], 0));
}

#[test]
fn share_groups_and_exclusive_filters_are_mounted_behind_their_prefix() {
    let world = tenants();
    let mut acme = world.open(of("acme", "a")).unwrap();
    let mut all = world.connect("all");
    for filter in ["$share/g/t/1", "$queue/t/2", "$exclusive/t/3"] {
        world.subscribe(&mut acme, 1, filter, AtMostOnce).unwrap();
    }
    for n in 1..=3 {
        assert_eq!(world.publish(&mut all, &format!("acme/t/{n}"), "x", AtMostOnce), Ok(1), "{n}");
        assert_eq!(world.publish(&mut all, &format!("t/{n}"), "x", AtMostOnce), Ok(0), "{n}");
    }
    assert_eq!(topics(&world, &mut acme), ["t/1", "t/2", "t/3"]);
    let which = ["$share/g/t/1", "$queue/t/2", "$exclusive/t/3"];
    let which = which.map(|filter| Unsubscribe::Filter(Filter::parse(filter).unwrap()));
    let ended = acme.session.unsubscribe(which.to_vec()).unwrap();
    assert!(matches!(ended, Reply::Unsubscribed(results) if results == [Ok(()), Ok(()), Ok(())]));
    assert_eq!(world.broker.stats().subscriptions, 0);
}

#[test]
fn a_will_is_mounted_and_rules_see_the_whole_topic() {
    let world = tenants();
    let mut all = world.connect("all");
    world.subscribe(&mut all, 1, "#", AtMostOnce).unwrap();
    let mut acme = world.open(Connect { will: will("w", "x", 0), ..of("acme", "a") }).unwrap();
    assert_eq!(world.publish(&mut acme, "secret", "x", AtMostOnce), Err(Reason::NotAuthorized));
    assert_eq!(world.subscribe(&mut acme, 1, "secret/#", AtMostOnce), Err(Reason::NotAuthorized));
    let secret = Connect { will: will("secret", "x", 0), ..of("acme", "b") };
    assert!(matches!(world.open(secret), Err(Reason::NotAuthorized)));
    acme.session.close(Reason::PeerClosed, world.now);
    assert_eq!(topics(&world, &mut all), ["acme/w"]);
}

#[test]
fn an_answer_finds_its_way_through_the_mountpoint_and_back() {
    let world = tenants();
    let (mut asking, mut answering) =
        (world.open(of("acme", "a")).unwrap(), world.open(of("acme", "b")).unwrap());
    let mut service = world.connect("service");
    world.subscribe(&mut answering, 1, "ask", AtMostOnce).unwrap();
    world.subscribe(&mut service, 1, "acme/ask", AtMostOnce).unwrap();
    let metadata = Metadata { response_topic: Topic::parse("answer").ok(), ..Metadata::default() };
    let ask = Publish { metadata: metadata.boxed(), ..harness::publish("ask", "?", AtMostOnce) };
    world.send(&mut asking, ask).unwrap();
    let response = |guest: &mut Guest| {
        let delivery = world.deliveries(guest).remove(0);
        delivery.message.metadata.as_ref().unwrap().response_topic.as_ref().unwrap().to_string()
    };
    assert_eq!(
        (response(&mut answering), response(&mut service)),
        ("answer".to_owned(), "acme/answer".to_owned())
    );
}

#[test]
fn where_an_answer_is_awaited_is_told_only_to_who_can_reach_it() {
    let world = tenants();
    let (mut acme, mut all) = (world.open(of("acme", "a")).unwrap(), world.connect("all"));
    world.subscribe(&mut acme, 1, "t", AtMostOnce).unwrap();
    for (response, known) in [
        ("acme/answer", Some("answer")),
        ("other/answer", None),
        ("acme/$SYS/x", None),
        ("acme", None),
        ("$SYS/x", Some("$SYS/x")),
    ] {
        let metadata = Metadata { response_topic: Topic::parse(response).ok(), ..Metadata::default() };
        let publish = Publish { metadata: metadata.boxed(), ..harness::publish("acme/t", "?", AtMostOnce) };
        world.send(&mut all, publish).unwrap();
        let told =
            world.deliveries(&mut acme).remove(0).message.metadata.as_ref().unwrap().response_topic.clone();
        assert_eq!(told.as_ref().map(Topic::as_str), known, "{response}");
    }
}

#[test]
fn the_servers_own_topics_are_the_same_for_all_and_nobody_can_pass_for_the_server() {
    let world = tenants();
    let mut acme = world.open(of("acme", "a")).unwrap();
    let mut all = world.connect("all");
    for filter in ["$SYS/#", "#", "$SYS"] {
        world.subscribe(&mut acme, 1, filter, AtLeastOnce).unwrap();
    }
    world.broker.announce(harness::publish("$SYS/uptime", "1", AtMostOnce), world.now).unwrap();
    world.publish(&mut all, "acme/$SYS/uptime", "2", AtLeastOnce).unwrap();
    world.publish(&mut all, "acme", "3", AtLeastOnce).unwrap();
    assert_eq!(world.read(&mut acme), ["1"]);
    assert_eq!(world.broker.stats().dropped, [(Reason::TopicInvalid, 2)]);
    assert_eq!(world.publish(&mut acme, "$SYS/x", "x", AtMostOnce), Err(Reason::NotAuthorized));
}

#[test]
fn a_mountpoint_that_would_reach_into_what_is_others_is_not_let_in() {
    let world = tenants();
    for wrong in ["+", "a/#", "$SYS", "$share/g", "a\0"] {
        assert!(matches!(world.open(of(wrong, "a")), Err(Reason::NotAuthorized)), "{wrong}");
    }
}

#[test]
fn what_is_too_long_with_its_mountpoint_is_refused() {
    let world = tenants();
    let mut acme = world.open(of("acme", "a")).unwrap();
    let long = "t".repeat(65_535);
    assert_eq!(world.publish(&mut acme, &long, "x", AtMostOnce), Err(Reason::TopicInvalid));
    assert_eq!(world.subscribe(&mut acme, 1, &long, AtMostOnce), Err(Reason::FilterInvalid));
    assert_eq!(world.publish(&mut acme, &long[5..], "x", AtMostOnce), Ok(0));
}

/// Mounts by the password, as if the user had moved to another tenant.
struct Moving;

impl Authenticator for Moving {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let mountpoint = attempt.credentials.password.as_deref().map(|at| String::from_utf8_lossy(at).into());
        Answer::Now(Authentication::Accept(Identity { mountpoint, ..Identity::default() }))
    }
}

#[test]
fn a_session_does_not_go_on_at_another_mountpoint() {
    let hooks = Hooks { authenticator: Arc::new(Moving), ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    let at = |place: &'static str| {
        let credentials = Credentials { password: Some(place.into()), ..Credentials::default() };
        world.open(Connect { credentials, ..common::durable("c") }).unwrap()
    };
    let mut there = at("acme");
    world.subscribe(&mut there, 1, "#", AtLeastOnce).unwrap();
    assert!(at("acme/").connected.session_present);
    assert!(!at("other").connected.session_present);
    assert_eq!(world.broker.stats().subscriptions, 0);
}

#[test]
fn topics_are_rewritten_first_then_mounted_then_judged() {
    let hooks = Hooks {
        authenticator: Arc::new(Tenants),
        authorizer: Arc::new(Tenants),
        rewriter: Some(Arc::new(Renamed)),
        ..Hooks::open()
    };
    let world = World::with(Config::default(), hooks);
    let mut acme = world.open(Connect { will: will("old/w", "x", 0), ..of("acme", "a") }).unwrap();
    let mut all = world.connect("all");
    world.subscribe(&mut all, 1, "#", AtMostOnce).unwrap();
    world.subscribe(&mut acme, 1, "$share/g/old/+", AtMostOnce).unwrap();
    world.send(&mut acme, harness::publish("old/t", "x", AtMostOnce).retained()).unwrap();
    assert_eq!(
        (topics(&world, &mut acme), topics(&world, &mut all)),
        (vec!["new/t".to_owned()], vec!["acme/new/t".to_owned()])
    );
    let read = common::now(acme.session.read(Topic::parse("old/t").unwrap(), world.now)).unwrap();
    assert!(matches!(read, Reply::Read(Some(message)) if message.topic.as_str() == "new/t"));
    world.publish(&mut acme, "me", "x", AtMostOnce).unwrap();
    assert_eq!(topics(&world, &mut all), ["acme/a"]);
    let which = vec![Unsubscribe::Filter(Filter::parse("$share/g/old/+").unwrap())];
    assert!(
        matches!(acme.session.unsubscribe(which).unwrap(), Reply::Unsubscribed(results) if results == [Ok(())])
    );
    acme.session.close(Reason::PeerClosed, world.now);
    assert_eq!(topics(&world, &mut all), ["acme/new/w"]);
}

#[test]
fn a_delay_stays_before_the_mountpoint() {
    let hooks = Hooks {
        authenticator: Arc::new(Tenants),
        authorizer: Arc::new(Tenants),
        rewriter: Some(Arc::new(Renamed)),
        ..Hooks::open()
    };
    let mut world = World::with(Config::default(), hooks);
    let (mut acme, mut all) = (world.open(of("acme", "a")).unwrap(), world.connect("all"));
    world.subscribe(&mut all, 1, "#", AtMostOnce).unwrap();
    assert_eq!(world.publish(&mut acme, "$delayed/5/secret", "x", AtMostOnce), Err(Reason::NotAuthorized));
    assert_eq!(world.publish(&mut acme, "$delayed/5/$SYS/x", "x", AtMostOnce), Err(Reason::NotAuthorized));
    world.publish(&mut acme, "$delayed/5/old/t", "x", AtMostOnce).unwrap();
    assert!(topics(&world, &mut all).is_empty());
    world.advance(std::time::Duration::from_secs(5));
    assert_eq!(topics(&world, &mut all), ["acme/new/t"]);
}
