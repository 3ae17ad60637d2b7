//! What the stories share: a connected client, and short ways to play the broker.

use bus::{Limits, Publish, Qos, Reason, Reply, Request, Subscription, Ticket, Transport};
use harness::Bench;
use stomp::{Config, Stomp};

/// A client that has sent nothing yet.
pub(crate) fn stranger() -> Bench {
    stranger_within(Config::default(), Limits::default())
}

/// The same, with other grants.
pub(crate) fn stranger_within(config: Config, limits: Limits) -> Bench {
    Bench::new(&Stomp::new(config, limits), Transport::Stream)
}

/// A client that has its CONNECTED, which is taken off already.
pub(crate) fn connected(version: &str) -> Bench {
    connect(stranger(), version)
}

/// The same, with other limits.
pub(crate) fn connected_within(version: &str, limits: Limits) -> Bench {
    connect(stranger_within(Config::default(), limits), version)
}

/// A client of a durable session that goes on.
pub(crate) fn resumed() -> Bench {
    let mut bench = stranger();
    bench.receive(b"CONNECT\naccept-version:1.2\nclient-id:c\nsession-expiry:3600\n\n\0");
    bench.accept_connect(true);
    bench.take_sent();
    bench
}

fn connect(mut bench: Bench, version: &str) -> Bench {
    bench.receive(format!("CONNECT\naccept-version:{version}\nhost:h\n\n\0").as_bytes());
    bench.accept_connect(false);
    let answer = sent(&mut bench);
    assert!(answer.starts_with(&format!("CONNECTED\nversion:{version}\n")), "{answer}");
    bench
}

/// What was sent, as text.
pub(crate) fn sent(bench: &mut Bench) -> String {
    String::from_utf8(bench.take_sent()).expect("UTF-8")
}

/// The client subscribes and the broker grants it; returns the id on the bus.
pub(crate) fn subscribe(bench: &mut Bench, frame: &str) -> u32 {
    bench.receive(frame.as_bytes());
    let (ticket, subscription) = subscription(bench);
    bench.reply(ticket, Reply::Subscribed(vec![Ok(subscription.options.qos)]));
    subscription.id.0
}

/// The next request, which must be for one subscription.
pub(crate) fn subscription(bench: &mut Bench) -> (Ticket, Subscription) {
    let (ticket, request) = bench.request();
    let Request::Subscribe(mut wanted) = request else { panic!("expected a subscribe, found {request:?}") };
    (ticket, wanted.pop().expect("one subscription"))
}

/// The next request, which must be a publish.
pub(crate) fn publish(bench: &mut Bench) -> (Ticket, Publish) {
    let (ticket, request) = bench.request();
    let Request::Publish(publish) = request else { panic!("expected a publish, found {request:?}") };
    (ticket, publish)
}

/// The next request, which must be for several publishes.
pub(crate) fn publish_all(bench: &mut Bench) -> (Ticket, Vec<Publish>) {
    let (ticket, request) = bench.request();
    let Request::PublishAll(publishes) = request else { panic!("expected publishes, found {request:?}") };
    (ticket, publishes)
}

/// The broker delivers at least once.
pub(crate) fn deliver(bench: &mut Bench, id: u16, subscription: u32, topic: &str, payload: &str) {
    let delivery = harness::delivery(id, subscription, topic, payload, Qos::AtLeastOnce, bench.now);
    bench.deliver(delivery);
}

/// The acknowledgements since last asked, as numbers and words.
pub(crate) fn acks(bench: &mut Bench) -> Vec<(u16, bus::Ack)> {
    bench.acks.drain(..).map(|(id, ack)| (id.get(), ack)).collect()
}

/// The client was told what was wrong, and the connection ended for this reason.
#[track_caller]
pub(crate) fn assert_error(bench: &mut Bench, reason: Reason, part: &str) {
    let answer = sent(bench);
    assert_eq!(bench.closed, Some(reason), "{answer}");
    assert!(answer.contains("ERROR\nmessage:") && answer.ends_with('\0'), "no ERROR frame: {answer:?}");
    assert!(answer.contains(part), "{part:?} is not in {answer:?}");
    assert_eq!(bench.connection.room(), 0, "nothing is delivered to the closed");
}
