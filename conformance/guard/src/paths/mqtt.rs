use bus::Qos;
use mqtt::Version;

use super::{Path, Round};
use crate::frames::{
    CONNACK, Message, PUBLISH, SUBACK, connect, disconnect, message, subscribe, unsubscribe,
};
use crate::world::{Speaks, World};

const V3: Version = Version::V311;
const V5: Version = Version::V5;

/// How many publish, or how many pairs of a publisher and a subscriber there are.
const PEERS: u64 = 10;

/// How many messages a write has, where it has many.
const BURST: u64 = 16;

/// How many receive each message of a fan-out.
const CROWD: u64 = 100;

/// How many filters there are, where there are many, and how many of them each client has.
const FILTERS: usize = 100_000;
const FILTERS_EACH: usize = 10_000;

/// How many messages go through the filters, each on another topic.
const TOPICS: u64 = 2_000;

/// How many retained messages one subscription brings.
const RETAINED: u64 = 1_000;

pub(super) fn paths() -> Vec<Path> {
    let path = |name, messages, rounds, set_out| Path { name, messages, rounds, set_out };
    vec![
        path("fan-in-qos0-burst16", PEERS * BURST, 50, || fan_in(BURST)),
        path("fan-in-qos0", PEERS, 500, || fan_in(1)),
        path("pairs-qos0", PEERS, 500, || pairs(V3, Qos::AtMostOnce, 1)),
        path("pairs-qos0-burst16", PEERS * BURST, 50, || pairs(V3, Qos::AtMostOnce, BURST)),
        path("pairs-qos1", PEERS, 500, || pairs(V3, Qos::AtLeastOnce, 1)),
        path("pairs-qos2", PEERS, 500, || pairs(V3, Qos::ExactlyOnce, 1)),
        path("pairs-v5-qos1-properties", PEERS, 500, || pairs(V5, Qos::AtLeastOnce, 1)),
        path("fan-out-100-qos0", CROWD, 50, || fan_out(Qos::AtMostOnce, 1)),
        path("fan-out-100-qos0-burst16", CROWD * BURST, 20, || fan_out(Qos::AtMostOnce, BURST)),
        path("fan-out-100-qos1", CROWD, 50, || fan_out(Qos::AtLeastOnce, 1)),
        path("shared-qos0", 1, 2_000, shared),
        path("filters-100000-qos0", 1, TOPICS, filters),
        path("connect-disconnect", 1, 1_000, connects),
        path("subscribe-unsubscribe", 1, 1_000, subscribes),
        path("retained-set", 1, TOPICS, retained_set),
        path("retained-replay", RETAINED, 5, retained_replay),
    ]
}

/// Many publish on topics of their own, one receives all.
fn fan_in(burst: u64) -> Round {
    let mut world = World::new();
    subscriber(&mut world, V3, "subscriber", "in/#", Qos::AtMostOnce);
    let mut publishers = publishers(&mut world, V3, Qos::AtMostOnce, burst, |number| format!("in/{number}"));
    Box::new(move || {
        for (peer, message) in &mut publishers {
            world.send(*peer, message.next());
        }
        world.sent.take(PUBLISH)
    })
}

/// Each publishes to one, who acknowledges at once.
fn pairs(version: Version, qos: Qos, burst: u64) -> Round {
    let mut world = World::new();
    for number in 0..PEERS {
        subscriber(&mut world, version, &format!("subscriber-{number}"), &format!("pair/{number}"), qos);
    }
    let topic = |number| format!("pair/{number}");
    let mut publishers = publishers(&mut world, version, qos, burst, topic);
    Box::new(move || {
        for (peer, message) in &mut publishers {
            world.send(*peer, message.next());
        }
        world.sent.take(PUBLISH)
    })
}

fn fan_out(qos: Qos, burst: u64) -> Round {
    let mut world = World::new();
    for number in 0..CROWD {
        subscriber(&mut world, V3, &format!("subscriber-{number}"), "out/all", qos);
    }
    one_publisher(world, Message::new(V3, "out/all", qos, burst))
}

/// Four share what one publishes.
fn shared() -> Round {
    let mut world = World::new();
    for number in 0..4 {
        let filter = "$share/group/shared/#";
        subscriber(&mut world, V3, &format!("subscriber-{number}"), filter, Qos::AtMostOnce);
    }
    one_publisher(world, Message::new(V3, "shared/topic", Qos::AtMostOnce, 1))
}

/// Among many filters one matches, and every message has another topic, so that nothing is remembered.
fn filters() -> Round {
    let mut world = World::new();
    for first in (0..FILTERS).step_by(FILTERS_EACH) {
        let id = format!("subscriber-{first}");
        let peer = world.open_with(Speaks::Mqtt, &connect(V3, &id));
        let filters: Vec<String> =
            (first..first + FILTERS_EACH).map(|number| format!("site/{number}/+/value")).collect();
        for some in filters.chunks(500) {
            world.send(peer, &subscribe(V3, some.iter().map(String::as_str), Qos::AtMostOnce));
        }
    }
    let publisher = world.open_with(Speaks::Mqtt, &connect(V3, "publisher"));
    // A stride that shares no factor with the number of filters comes to none of them twice.
    let topics = (0..2 * TOPICS as usize).map(|at| format!("site/{}/sensor/value", at * 37 % FILTERS));
    each_once(world, publisher, topics.map(|topic| message(&topic, false)).collect(), PUBLISH)
}

fn connects() -> Round {
    let mut world = World::new();
    let connect = connect(V3, "client");
    Box::new(move || {
        let peer = world.open_with(Speaks::Mqtt, &connect);
        world.send(peer, &disconnect());
        world.sent.take(CONNACK)
    })
}

fn subscribes() -> Round {
    let mut world = World::new();
    let peer = world.open_with(Speaks::Mqtt, &connect(V3, "client"));
    let subscribe = subscribe(V3, ["site/1/+/value"], Qos::AtMostOnce);
    let unsubscribe = unsubscribe(V3, "site/1/+/value");
    Box::new(move || {
        world.send(peer, &subscribe);
        world.send(peer, &unsubscribe);
        world.sent.take(SUBACK)
    })
}

/// Every message is retained on a topic that had none. It goes to nobody, but to one who hears that it came.
fn retained_set() -> Round {
    let mut world = World::new();
    subscriber(&mut world, V3, "subscriber", "retained/#", Qos::AtMostOnce);
    let publisher = world.open_with(Speaks::Mqtt, &connect(V3, "publisher"));
    let topics = (0..2 * TOPICS).map(|number| format!("retained/{number}"));
    each_once(world, publisher, topics.map(|topic| message(&topic, true)).collect(), PUBLISH)
}

fn retained_replay() -> Round {
    let mut world = World::new();
    let publisher = world.open_with(Speaks::Mqtt, &connect(V3, "publisher"));
    for number in 0..RETAINED {
        world.send(publisher, &message(&format!("retained/{number}"), true));
    }
    let peer = world.open_with(Speaks::Mqtt, &connect(V3, "subscriber"));
    let subscribe = subscribe(V3, ["retained/#"], Qos::AtMostOnce);
    let unsubscribe = unsubscribe(V3, "retained/#");
    Box::new(move || {
        world.send(peer, &subscribe);
        world.send(peer, &unsubscribe);
        world.sent.take(PUBLISH)
    })
}

/// A client with one subscription.
pub(super) fn subscriber(world: &mut World, version: Version, id: &str, filter: &str, qos: Qos) {
    let peer = world.open_with(Speaks::Mqtt, &connect(version, id));
    world.send(peer, &subscribe(version, [filter], qos));
    assert_eq!((world.sent.take(CONNACK), world.sent.take(SUBACK)), (1, 1), "{filter} is subscribed");
}

fn publishers(
    world: &mut World,
    version: Version,
    qos: Qos,
    burst: u64,
    topic: impl Fn(u64) -> String,
) -> Vec<(usize, Message)> {
    let mut open = |number| world.open_with(Speaks::Mqtt, &connect(version, &format!("publisher-{number}")));
    let publisher = |number| (open(number), Message::new(version, &topic(number), qos, burst));
    (0..PEERS).map(publisher).collect()
}

fn one_publisher(mut world: World, mut message: Message) -> Round {
    let publisher = world.open_with(Speaks::Mqtt, &connect(V3, "publisher"));
    Box::new(move || {
        world.send(publisher, message.next());
        world.sent.take(PUBLISH)
    })
}

/// Sends these, one in a round.
fn each_once(mut world: World, peer: usize, frames: Vec<Vec<u8>>, counted: u8) -> Round {
    let mut next = 0;
    Box::new(move || {
        world.send(peer, &frames[next]);
        next += 1;
        world.sent.take(counted)
    })
}
