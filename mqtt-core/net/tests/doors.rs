//! Every request a connection can make is authenticated or authorized: the list is the enum itself.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Instant;

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Broker, Client, Config, Hooks,
    Identity, Open, Permission,
};
use bus::{
    Address, ConditionalPublish, Connection, Disconnect, EnhancedAuthentication, Event, Filter, Message,
    Outbox, Peer, Precondition, Protocol, ProtocolError, Qos, Reason, Reply, Request, Right, Subscription,
    SubscriptionId, Ticket, Topic, Transport, Unsubscribe, Will,
};
use net::{Driver, House};

/// A protocol whose peers ask for whatever the test puts in its hand.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    request: Option<Request>,
    replies: Vec<Result<&'static str, Reason>>,
}

impl Protocol for Scripted {
    fn label(&self) -> &'static str {
        "scripted"
    }

    fn accept(&self, _peer: Peer) -> Box<dyn Connection> {
        Box::new(self.clone())
    }
}

impl Connection for Scripted {
    fn receive(&mut self, input: &[u8], _: Instant, out: &mut Outbox) -> Result<usize, ProtocolError> {
        let request = self.0.lock().unwrap().request.take().unwrap();
        out.request(Ticket(1), request);
        Ok(input.len())
    }

    fn handle(&mut self, event: Event, _: Instant, _: &mut Outbox) {
        if let Event::Reply(_, result) = event {
            self.0.lock().unwrap().replies.push(result.and_then(|reply| outcome(&reply)));
        }
    }

    fn room(&self) -> usize {
        0
    }
}

/// Lets nobody in.
struct Closed;

impl Authenticator for Closed {
    fn authenticate(&self, _: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Refuse(Reason::BadCredentials))
    }
}

/// Lets in who has this client id.
struct Known(&'static [&'static str]);

impl Authenticator for Known {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let known = attempt.client_id.as_ref().is_some_and(|id| self.0.contains(&id.as_str()));
        Answer::Now(match known {
            true => Authentication::Accept(Identity::default()),
            false => Authentication::Refuse(Reason::BadCredentials),
        })
    }
}

/// Allows everything to one client.
struct Only(&'static str);

impl Authorizer for Only {
    fn authorize(&self, client: &Client, _: Access<'_>) -> Answer<Permission> {
        Answer::Now(if client.id.as_str() == self.0 { Permission::Allow } else { Permission::Deny })
    }
}

/// Allows nothing.
struct Nothing;

impl Authorizer for Nothing {
    fn authorize(&self, _: &Client, _: Access<'_>) -> Answer<Permission> {
        Answer::Now(Permission::Deny)
    }
}

/// Lets everybody in under one name.
struct Everybody;

impl Authenticator for Everybody {
    fn authenticate(&self, _: &Attempt) -> Answer<Authentication> {
        Answer::Now(Authentication::Accept(Identity::default()))
    }
}

/// Asks nothing of what is retained.
#[derive(Debug)]
struct Whatever;

impl Precondition for Whatever {
    fn holds(&self, _: Option<&Message>) -> bool {
        true
    }
}

/// Every kind of request. A new kind does not compile until it is listed here.
fn every_request() -> Vec<Request> {
    let topic = || Topic::parse("t").unwrap();
    let will = || Will { publish: harness::publish("t", "x", Qos::AtMostOnce), delay: Default::default() };
    let all = vec![
        Request::Connect(Box::new(bus::Connect { will: Some(will()), ..harness::connect("c") })),
        Request::Authenticate(EnhancedAuthentication { method: "m".into(), data: Default::default() }),
        Request::Publish(harness::publish("t", "x", Qos::AtMostOnce).retained()),
        Request::PublishAll(vec![harness::publish("t", "x", Qos::AtMostOnce).retained()]),
        Request::PublishIf(Box::new(ConditionalPublish {
            publish: harness::publish("t", "x", Qos::AtMostOnce).retained(),
            precondition: Box::new(Whatever),
        })),
        Request::Release(1),
        Request::Subscribe(vec![Subscription {
            id: SubscriptionId(1),
            filter: Filter::parse("#").unwrap(),
            options: Default::default(),
            keyed: Default::default(),
        }]),
        Request::Unsubscribe(vec![Unsubscribe::Id(SubscriptionId(1))]),
        Request::Read(topic()),
        Request::Judge(vec![Right::Publish(topic())]),
        Request::SetWill(Some(Box::new(will()))),
        Request::Disconnect(Disconnect { publish_will: true, session_expiry: None }),
    ];
    let mut kinds: Vec<usize> = all.iter().map(kind).collect();
    kinds.dedup();
    assert_eq!(kinds, (0..all.len()).collect::<Vec<_>>());
    all
}

fn kind(request: &Request) -> usize {
    match request {
        Request::Connect(_) => 0,
        Request::Authenticate(_) => 1,
        Request::Publish(_) => 2,
        Request::PublishAll(_) => 3,
        Request::PublishIf(_) => 4,
        Request::Release(_) => 5,
        Request::Subscribe(_) => 6,
        Request::Unsubscribe(_) => 7,
        Request::Read(_) => 8,
        Request::Judge(_) => 9,
        Request::SetWill(_) => 10,
        Request::Disconnect(_) => 11,
    }
}

/// What a reply grants; a refusal inside it is a refusal.
fn outcome(reply: &Reply) -> Result<&'static str, Reason> {
    match reply {
        Reply::Connected(_) => Ok("connected"),
        Reply::Challenge(_) => Ok("challenged"),
        Reply::Authenticated(_) => Ok("authenticated"),
        Reply::Published { .. } => Ok("published"),
        Reply::Unfulfilled => Ok("unfulfilled"),
        Reply::Released { .. } => Ok("released"),
        Reply::Subscribed(results) => results[0].map(|_| "subscribed"),
        Reply::Unsubscribed(results) => results[0].map(|()| "unsubscribed"),
        Reply::Read(_) => Ok("read"),
        Reply::Judged { judgements, .. } => judgements[0].allowed.map(|()| "allowed"),
        Reply::WillSet => Ok("will set"),
        Reply::Disconnected => Ok("disconnected"),
    }
}

/// Makes one request after the other on a fresh connection, and tells what each came to.
fn ask(broker: &Broker, requests: Vec<Request>) -> Vec<Result<&'static str, Reason>> {
    let scripted = Scripted::default();
    let protocol: Arc<dyn Protocol> = Arc::new(scripted.clone());
    let peer = Peer {
        address: Address::Internal,
        listener: "test".into(),
        transport: Transport::Stream,
        seed: 1,
        link: Default::default(),
    };
    let mut out = Outbox::new(Transport::Stream);
    let now = Instant::now();
    let place = House::new(protocol, broker.clone(), now).place();
    let mut driver = Driver::new(place, peer, now, &mut out);
    let cx = &mut Context::from_waker(Waker::noop());
    for request in requests {
        scripted.0.lock().unwrap().request = Some(request);
        driver.receive(b"!", now, &mut out, &mut (), cx);
    }
    driver.end(Reason::PeerClosed, now);
    let script = scripted.0.lock().unwrap();
    script.replies.clone()
}

fn broker(authenticator: impl Authenticator, authorizer: impl Authorizer) -> Broker {
    let hooks = Hooks {
        authenticator: Arc::new(authenticator),
        authorizer: Arc::new(authorizer),
        rewriter: None,
        interceptors: Vec::new(),
    };
    Broker::new(Config::default(), hooks, Vec::new())
}

#[test]
fn nothing_can_be_asked_without_a_session() {
    let broker = broker(Open, Open);
    for request in every_request().into_iter().skip(1) {
        let kind = kind(&request);
        assert_eq!(ask(&broker, vec![request]), [Err(Reason::NotConnected)], "request {kind}");
    }
    assert_eq!(broker.stats().received, [0; 3]);
}

#[test]
fn who_is_not_let_in_can_ask_for_nothing() {
    let broker = broker(Closed, Open);
    let results = ask(&broker, every_request());
    assert_eq!(results[0], Err(Reason::BadCredentials));
    assert!(results[1..].iter().all(|result| *result == Err(Reason::NotConnected)), "{results:?}");
    assert_eq!((broker.stats().sessions, broker.stats().received), (0, [0; 3]));
}

#[test]
fn who_may_do_nothing_publishes_subscribes_and_reads_nothing() {
    let broker = broker(Everybody, Nothing);
    let connect = || Request::Connect(Box::new(harness::connect("c")));
    let results: Vec<_> =
        every_request().into_iter().map(|request| ask(&broker, vec![connect(), request])[1]).collect();
    let denied = Err(Reason::NotAuthorized);
    let expected = [
        denied,                      // a connect with a will
        Ok("authenticated"),         // tells nothing and changes nothing
        denied,                      // publish
        denied,                      // publish several
        denied,                      // publish on condition
        Ok("released"),              // of its own ids
        denied,                      // subscribe
        Err(Reason::NoSubscription), // of its own subscriptions
        denied,                      // read
        denied,                      // ask for a right
        denied,                      // set the will
        Ok("disconnected"),
    ];
    assert_eq!(results, expected);
    let stats = broker.stats();
    assert_eq!((stats.received, stats.retained, stats.subscriptions), ([0; 3], 0, 0));
}

#[test]
fn a_session_stays_when_another_is_refused_and_gives_way_once_it_is_left() {
    let broker = broker(Known(&["a", "b"]), Only("b"));
    let connect = |id: &str| Request::Connect(Box::new(harness::connect(id)));
    let publish = || Request::Publish(harness::publish("t", "x", Qos::AtMostOnce));
    let leave = || Request::Disconnect(Disconnect { publish_will: false, session_expiry: None });
    let requests = vec![
        connect("a"),
        connect("c"),
        publish(),
        connect("b"),
        publish(),
        leave(),
        publish(),
        leave(),
        publish(),
    ];
    let expected = [
        Ok("connected"),
        Err(Reason::BadCredentials),
        Err(Reason::NotAuthorized), // of a, which is there still
        Ok("connected"),
        Err(Reason::NotAuthorized),
        Ok("disconnected"),
        Ok("published"), // of b
        Ok("disconnected"),
        Err(Reason::NotConnected),
    ];
    assert_eq!(ask(&broker, requests), expected);
    assert_eq!(ask(&broker, vec![connect("a"), connect("b")]), [Ok("connected"); 2]);
    assert_eq!(broker.stats().connections, 0, "both ended with the connection");
}
