//! What rests: connections and sessions that have nothing to do.

use bus::{Publish, Qos, Topic};
use coap::{Code, Message};
use mqtt::Version;
use mqtt_sn::{Packet, TopicFilter};

use crate::frames::{self, subscribe};
use crate::paths::gateways::{SEND, STOMP_CONNECT, put, sn_connect, sn_encoded};
use crate::world::{Speaks, World};

/// One thing that rests.
pub struct Idle {
    /// Its name in the budgets.
    pub name: &'static str,
    /// Whether it has a connection, which holds a `net::Driver` beside what is on the heap.
    pub connected: bool,
    /// Whether it has a session.
    pub session: bool,
    /// Brings one more about, with a number of its own.
    pub arrange: fn(&mut World, usize),
}

/// Everything that rests in a server.
pub fn all() -> Vec<Idle> {
    let idle = |name, connected, session, arrange| Idle { name, connected, session, arrange };
    vec![
        idle("mqtt-accepted", true, false, |world, _| {
            world.open(Speaks::Mqtt);
        }),
        idle("mqtt-connected", true, true, |world, number| {
            mqtt(world, number, true);
        }),
        idle("mqtt-subscribed", true, true, |world, number| {
            mqtt_subscribed(world, number, true);
        }),
        idle("mqtt-subscribed-after-message", true, true, after_message),
        idle("mqtt-connected-after-publish", true, true, after_publish),
        idle("session-away", false, true, |world, number| {
            let peer = mqtt(world, number, false);
            world.send(peer, &frames::disconnect());
        }),
        idle("session-away-subscribed", false, true, |world, number| {
            let peer = mqtt_subscribed(world, number, false);
            world.send(peer, &frames::disconnect());
        }),
        idle("mqtt-sn-connected", true, true, |world, number| {
            mqtt_sn(world, number);
        }),
        idle("mqtt-sn-subscribed", true, true, mqtt_sn_subscribed),
        idle("coap-after-put", true, true, |world, number| {
            world.open_with(Speaks::Coap, &put(&topic(number)));
        }),
        idle("coap-observing", true, true, coap_observing),
        idle("stomp-connected", true, true, |world, _| {
            world.open_with(Speaks::Stomp, STOMP_CONNECT);
        }),
        idle("stomp-subscribed", true, true, stomp_subscribed),
        idle("stomp-after-send", true, true, |world, _| {
            let peer = world.open_with(Speaks::Stomp, STOMP_CONNECT);
            world.send(peer, SEND);
        }),
    ]
}

/// The bytes of an MQTT 3.1.1 client's CONNECT, which has this number, and may be silent for so many seconds.
pub fn mqtt_connect(number: usize, keep_alive: u16) -> Vec<u8> {
    frames::connect_with(Version::V311, &client_id(number), keep_alive)
}

/// The bytes of its SUBSCRIBE to a topic of its own.
pub fn mqtt_subscribe(number: usize) -> Vec<u8> {
    subscribe(Version::V311, [topic(number).as_str()], Qos::AtMostOnce)
}

fn mqtt(world: &mut World, number: usize, clean: bool) -> usize {
    let connect = match clean {
        true => mqtt_connect(number, 60),
        false => frames::connect_to_stay(Version::V311, &client_id(number)),
    };
    world.open_with(Speaks::Mqtt, &connect)
}

fn mqtt_subscribed(world: &mut World, number: usize, clean: bool) -> usize {
    let peer = mqtt(world, number, clean);
    world.send(peer, &mqtt_subscribe(number));
    peer
}

/// It was sent a message, and that is over.
fn after_message(world: &mut World, number: usize) {
    mqtt_subscribed(world, number, true);
    let topic = Topic::parse(&topic(number)).expect("a topic");
    world.announce(Publish::new(topic, frames::PAYLOAD.to_vec(), Qos::AtMostOnce));
    assert_eq!(world.sent.take(frames::PUBLISH), 1);
}

/// It has sent one, which nobody wanted.
fn after_publish(world: &mut World, number: usize) {
    let peer = mqtt(world, number, true);
    world.send(peer, &frames::message(&topic(number), false));
}

fn mqtt_sn(world: &mut World, number: usize) -> usize {
    world.open_with(Speaks::MqttSn, &sn_encoded(&sn_connect(&client_id(number))))
}

fn mqtt_sn_subscribed(world: &mut World, number: usize) {
    let peer = mqtt_sn(world, number);
    let topic = topic(number);
    let qos = Some(Qos::AtMostOnce);
    let subscribe =
        mqtt_sn::Subscribe { dup: false, qos, msg_id: 1, topic: TopicFilter::Name(topic.as_str()) };
    world.send(peer, &sn_encoded(&Packet::Subscribe(subscribe)));
}

fn coap_observing(world: &mut World, number: usize) {
    let topic = topic(number);
    let path = std::iter::once("ps").chain(topic.split('/'));
    world.open_with(Speaks::Coap, &Message::request(Code::GET).with_path(path).with_observe(0).encode());
}

fn stomp_subscribed(world: &mut World, number: usize) {
    let peer = world.open_with(Speaks::Stomp, STOMP_CONNECT);
    world.send(peer, format!("SUBSCRIBE\nid:1\ndestination:{}\n\n\0", topic(number)).as_bytes());
}

fn client_id(number: usize) -> String {
    format!("client-{number:06}")
}

fn topic(number: usize) -> String {
    format!("site/{number:06}/value")
}
