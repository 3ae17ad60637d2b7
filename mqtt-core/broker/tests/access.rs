//! Nothing gets past the hooks, wherever it comes from.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Client, Config, Hooks, Identity,
    Interceptor, Permission,
};
use bus::{
    ConditionalPublish, Connect, Judgement, Message, Precondition, Publish, Qos, Reason, Reply, Right, Topic,
};
use common::{Secretive, World, durable, secretive, will};

use Qos::AtLeastOnce;

#[test]
fn what_the_authorizer_denies_is_not_published_subscribed_read_or_left_as_will() {
    let world = World::with(Config::default(), secretive());
    let mut guest = world.connect("c");
    let topic = || Topic::parse("secret/x").unwrap();
    assert_eq!(world.publish(&mut guest, "secret/x", "x", AtLeastOnce), Err(Reason::NotAuthorized));
    assert_eq!(world.subscribe(&mut guest, 1, "secret/#", AtLeastOnce), Err(Reason::NotAuthorized));
    assert_eq!(world.subscribe(&mut guest, 1, "$share/g/secret/#", AtLeastOnce), Err(Reason::NotAuthorized));
    let read = common::now(guest.session.read(topic(), world.now));
    assert_eq!(read.unwrap_err(), Reason::NotAuthorized);
    let set = common::now(guest.session.set_will(will("secret/x", "x", 0), world.now));
    assert_eq!(set.unwrap_err(), Reason::NotAuthorized);
    let with_will = Connect { will: will("secret/x", "x", 0), ..harness::connect("d") };
    assert!(matches!(world.open(with_will), Err(Reason::NotAuthorized)));
    assert_eq!(world.broker.stats().retained, 0);
    assert!(world.publish(&mut guest, "open/x", "x", AtLeastOnce).is_ok());
}

#[test]
fn of_several_messages_none_is_published_if_one_is_refused() {
    let config = Config { max_retained: 2, max_qos: 1, ..Config::default() };
    let world = World::with(config, secretive());
    let mut reader = world.connect("reader");
    world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
    let mut writer = world.connect("writer");
    world.send(&mut writer, harness::publish("a", "old", AtLeastOnce).retained()).unwrap();
    assert_eq!(world.read(&mut reader), ["old"]);
    let plain = |topic: &str| harness::publish(topic, "new", AtLeastOnce);
    let cases = [
        (vec![plain("a").retained(), plain("secret/x")], Reason::NotAuthorized),
        (vec![plain("a").retained(), harness::publish("b", "x", Qos::ExactlyOnce)], Reason::QosNotSupported),
        (vec![plain("a").retained(), plain("b").retained(), plain("c").retained()], Reason::QuotaExceeded),
    ];
    for (publishes, expected) in cases {
        let refused = common::now(writer.session.publish_all(publishes, world.now));
        assert_eq!(refused.unwrap_err(), expected);
        assert!(world.read(&mut reader).is_empty(), "{expected}");
        let kept = common::now(writer.session.read(Topic::parse("a").unwrap(), world.now)).unwrap();
        assert!(matches!(kept, Reply::Read(Some(kept)) if kept.payload == "old"), "{expected}");
        assert_eq!(world.broker.stats().retained, 1);
    }
    let both = vec![plain("a").retained(), plain("b").retained()];
    common::now(writer.session.publish_all(both, world.now)).unwrap();
    assert_eq!(
        (world.read(&mut reader), world.broker.stats().retained),
        (vec!["new".into(), "new".into()], 2)
    );
}

/// What the client may do, asked without doing it.
fn judge(world: &World, guest: &mut common::Guest, rights: &[Right]) -> Vec<Judgement> {
    match common::now(guest.session.judge(rights.to_vec(), world.now)).unwrap() {
        Reply::Judged { judgements, .. } => judgements,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_client_may_do_is_told_without_doing_it() {
    let world = World::with(Config::default(), secretive());
    let mut guest = world.connect("c");
    world.send(&mut guest, harness::publish("open/x", "x", AtLeastOnce).retained()).unwrap();
    let topic = |name: &str| Topic::parse(name).unwrap();
    let rights = [
        Right::Publish(topic("open/x")),
        Right::Publish(topic("open/y")),
        Right::Publish(topic("secret/x")),
        Right::Read(topic("open/x")),
        Right::Read(topic("secret/x")),
        Right::Publish(topic("$SYS/x")),
        Right::Publish(topic("$delayed/5/open/x")),
        Right::Name(topic("secret/x")),
    ];
    let denied = Err(Reason::NotAuthorized);
    let expected = [
        ("open/x", Ok(()), true),
        ("open/y", Ok(()), false),
        ("secret/x", denied, false),
        ("open/x", Ok(()), true),
        ("secret/x", denied, false),
        ("$SYS/x", denied, false),
        ("$delayed/5/open/x", Err(Reason::TopicInvalid), false),
        ("secret/x", Ok(()), false),
    ];
    let before = world.broker.stats();
    let judged = judge(&world, &mut guest, &rights);
    let judged: Vec<_> =
        judged.iter().map(|judged| (judged.topic.as_str(), judged.allowed, judged.retained)).collect();
    assert_eq!(judged, expected);
    assert_eq!((world.broker.stats().received, world.broker.stats().retained), (before.received, 1));
    let world = World::with(Config { retain: false, ..Config::default() }, Hooks::open());
    let mut guest = world.connect("c");
    let judged = judge(&world, &mut guest, &rights[..1]);
    assert_eq!(judged[0].allowed, Err(Reason::RetainNotSupported));
}

/// Stops whatever is published below `frozen/`.
struct Frost;

impl Interceptor for Frost {
    fn publish(&self, _client: &Client, publish: Publish) -> Answer<Result<Publish, Reason>> {
        let frozen = publish.topic.as_str().starts_with("frozen/");
        Answer::Now(if frozen { Err(Reason::QuotaExceeded) } else { Ok(publish) })
    }
}

#[test]
fn interceptors_have_their_say_on_what_may_be_published() {
    let hooks = Hooks { rewriter: None, interceptors: vec![Arc::new(Frost)], ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    let mut guest = world.connect("c");
    let rights = ["frozen/x", "t"].map(|topic| Right::Publish(Topic::parse(topic).unwrap()));
    let judged = judge(&world, &mut guest, &rights);
    let allowed: Vec<_> = judged.iter().map(|judged| judged.allowed).collect();
    assert_eq!(allowed, [Err(Reason::QuotaExceeded), Ok(())]);
}

/// Denies everything once the switch is thrown, and says that it changed its mind.
#[derive(Default)]
struct Fickle(AtomicBool);

impl Authorizer for Fickle {
    fn authorize(&self, _client: &Client, _access: Access<'_>) -> Answer<Permission> {
        Answer::Now(if self.0.load(Ordering::Relaxed) { Permission::Deny } else { Permission::Allow })
    }

    fn epoch(&self) -> u64 {
        self.0.load(Ordering::Relaxed).into()
    }
}

#[test]
fn a_revoked_right_acts_at_once_on_publishes_on_resumed_subscriptions_and_on_wills() {
    let fickle = Arc::new(Fickle::default());
    let hooks = Hooks {
        authenticator: Arc::new(Secretive),
        authorizer: fickle.clone(),
        rewriter: None,
        interceptors: Vec::new(),
    };
    let world = World::with(Config::default(), hooks);
    let mut reader = world.resume("reader");
    world.subscribe(&mut reader, 1, "#", AtLeastOnce).unwrap();
    let mut writer = world.connect("writer");
    let mourned = world.open(Connect { will: will("w", "x", 0), ..harness::connect("m") }).unwrap();
    world.publish(&mut writer, "t", "1", AtLeastOnce).unwrap();
    fickle.0.store(true, Ordering::Relaxed);
    assert_eq!(world.publish(&mut writer, "t", "2", AtLeastOnce), Err(Reason::NotAuthorized));
    mourned.session.close(Reason::PeerClosed, world.now);
    assert_eq!(world.read(&mut reader), ["1"]);
    let reader = world.open(durable("reader")).unwrap();
    assert!(reader.connected.session_present);
    assert_eq!(world.broker.stats().subscriptions, 0);
}

/// Moves every publish below `moved/`, and stops those that say stop.
struct Mover;

impl Interceptor for Mover {
    fn publish(&self, _client: &Client, publish: Publish) -> Answer<Result<Publish, Reason>> {
        if publish.payload == "stop" {
            return Answer::Now(Err(Reason::PayloadInvalid));
        }
        let topic = Topic::parse(&format!("moved/{}", publish.topic)).expect("a topic");
        Answer::later(async move { Ok(Publish { topic, ..publish }) })
    }
}

#[test]
fn an_interceptor_changes_or_stops_a_publish_and_may_take_its_time() {
    let hooks = Hooks { rewriter: None, interceptors: vec![Arc::new(Mover)], ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    let (mut reader, mut writer) = (world.connect("reader"), world.connect("writer"));
    world.subscribe(&mut reader, 1, "moved/#", AtLeastOnce).unwrap();
    assert_eq!(world.publish(&mut writer, "t", "stop", AtLeastOnce), Err(Reason::PayloadInvalid));
    let Answer::Later(later) = writer.session.publish(harness::publish("t", "x", AtLeastOnce), world.now)
    else {
        panic!("the interceptor takes its time");
    };
    assert!(world.read(&mut reader).is_empty());
    let mut later = std::pin::pin!(later);
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(later.as_mut().poll(cx).is_ready());
    assert_eq!(world.read(&mut reader), ["x"]);
}

/// What does not matter, as long as it is asked.
#[derive(Debug)]
struct Anything;

impl Precondition for Anything {
    fn holds(&self, _: Option<&Message>) -> bool {
        true
    }
}

/// Lets nobody read what is below `moved/t`.
struct Discreet;

impl Authorizer for Discreet {
    fn authorize(&self, _: &Client, access: Access<'_>) -> Answer<Permission> {
        let denied = matches!(access, Access::Read { topic } if topic.as_str().starts_with("moved/t"));
        Answer::Now(if denied { Permission::Deny } else { Permission::Allow })
    }
}

/// A publish on condition told of a topic that its client may not read, where an interceptor had put that in the place of
/// one that it may.
#[test]
fn a_publish_on_condition_takes_the_right_to_read_the_topic_that_interceptors_have_chosen() {
    let interceptors: Vec<Arc<dyn Interceptor>> = vec![Arc::new(Mover)];
    let hooks = Hooks { authorizer: Arc::new(Discreet), interceptors, ..Hooks::open() };
    let world = World::with(Config::default(), hooks);
    let mut writer = world.connect("writer");
    for (topic, refused) in [("t", true), ("u", false)] {
        let publish = harness::publish(topic, "x", AtLeastOnce).retained();
        let wish = ConditionalPublish { publish, precondition: Box::new(Anything) };
        let Answer::Later(answer) = writer.session.publish_if(wish, world.now) else {
            panic!("the interceptor takes its time");
        };
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(reply) = std::pin::pin!(answer).as_mut().poll(cx) else {
            panic!("it has had its time");
        };
        assert_eq!(matches!(reply, Err(Reason::NotAuthorized)), refused, "{topic}: {reply:?}");
    }
    assert_eq!(world.broker.stats().retained, 1);
}

/// Lets superusers in, and denies everything that it is asked.
struct Strict;

impl Authenticator for Strict {
    fn authenticate(&self, _: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Accept(Identity { superuser: true, ..Identity::default() }))
    }
}

impl Authorizer for Strict {
    fn authorize(&self, _: &Client, _: Access<'_>) -> Answer<Permission> {
        Answer::Now(Permission::Deny)
    }
}

/// What went wrong: the authorizer was not asked about a superuser, and so could not keep `$SYS` for the server.
#[test]
fn a_superuser_may_do_everything_but_publish_below_sys_unasked() {
    let hooks = Hooks {
        authenticator: Arc::new(Strict),
        authorizer: Arc::new(Strict),
        rewriter: None,
        interceptors: Vec::new(),
    };
    let world = World::with(Config::default(), hooks);
    let mut root = world.connect("root");
    assert_eq!(world.publish(&mut root, "t", "x", AtLeastOnce), Ok(0));
    assert_eq!(world.publish(&mut root, "$SYS/uptime", "x", AtLeastOnce), Err(Reason::NotAuthorized));
}
