use bus::Qos;
use coap::{Code, Message};
use mqtt::Version;
use mqtt_sn::{Connect, Packet, Publish, PublishQos, TopicId};

use super::mqtt::subscriber;
use super::{Path, Round};
use crate::frames::{PAYLOAD, PUBLISH};
use crate::world::{Speaks, World};

pub(crate) const STOMP_CONNECT: &[u8] = b"CONNECT\naccept-version:1.2\nhost:h\n\n\0";

pub(crate) const SEND: &[u8] = b"SEND\ndestination:from/gateway\ncontent-type:text/plain\n\n\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0";

/// Each ends at an MQTT subscriber.
pub(super) fn paths() -> Vec<Path> {
    let path = |name, set_out| Path { name, messages: 1, rounds: 2_000, set_out };
    vec![
        path("coap-put-to-mqtt", coap),
        path("mqtt-sn-publish-to-mqtt", mqtt_sn),
        path("stomp-send-to-mqtt", stomp),
    ]
}

/// Confirmable requests, each with a message id of its own.
fn coap() -> Round {
    let mut world = world();
    let mut datagram = put("from/gateway");
    let peer = world.open(Speaks::Coap);
    let mut id = 0_u16;
    Box::new(move || {
        id = id.wrapping_add(1);
        datagram[2..4].copy_from_slice(&id.to_be_bytes());
        world.send(peer, &datagram);
        world.sent.take(PUBLISH)
    })
}

fn mqtt_sn() -> Round {
    let mut world = world();
    let register = Packet::Register { topic_id: 0, msg_id: 1, topic: "from/gateway" };
    let publish = Publish {
        dup: false,
        qos: PublishQos::Session(Qos::AtMostOnce),
        retain: false,
        topic: TopicId::Normal(1),
        msg_id: 0,
        data: &PAYLOAD,
    };
    let peer = world.open_with(Speaks::MqttSn, &sn_encoded(&sn_connect("device")));
    world.send(peer, &sn_encoded(&register));
    again_and_again(world, peer, sn_encoded(&Packet::Publish(publish)))
}

fn stomp() -> Round {
    let mut world = world();
    let peer = world.open_with(Speaks::Stomp, STOMP_CONNECT);
    again_and_again(world, peer, SEND.to_vec())
}

fn world() -> World {
    let mut world = World::new();
    subscriber(&mut world, Version::V311, "subscriber", "from/#", Qos::AtMostOnce);
    world
}

fn again_and_again(mut world: World, peer: usize, bytes: Vec<u8>) -> Round {
    Box::new(move || {
        world.send(peer, &bytes);
        world.sent.take(PUBLISH)
    })
}

/// A confirmable PUT of a topic.
pub(crate) fn put(topic: &str) -> Vec<u8> {
    let path = std::iter::once("ps").chain(topic.split('/'));
    Message::request(Code::PUT).with_path(path).with_payload(PAYLOAD).encode()
}

pub(crate) fn sn_connect(client_id: &str) -> Packet<'_> {
    let (will, clean_session, protocol_id, duration) = (false, true, 1, 600);
    Packet::Connect(Connect { will, clean_session, protocol_id, duration, client_id })
}

pub(crate) fn sn_encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    packet.encode(&mut datagram).expect("a short packet");
    datagram
}
