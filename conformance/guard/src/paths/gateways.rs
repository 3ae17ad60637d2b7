use bus::Qos;
use coap::{Code, Message};
use mqtt::Version;
use mqtt_sn::{Packet, Publish, PublishQos, TopicId};

use super::mqtt::subscriber;
use super::{Path, Round};
use crate::frames::{PAYLOAD, PUBLISH};
use crate::world::{Speaks, World};

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
    let request = Message::request(Code::PUT).with_path(["ps", "from", "gateway"]).with_payload(PAYLOAD);
    let mut datagram = request.encode();
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
    let connect = mqtt_sn::Connect {
        will: false,
        clean_session: true,
        protocol_id: 1,
        duration: 600,
        client_id: "device",
    };
    let register = Packet::Register { topic_id: 0, msg_id: 1, topic: "from/gateway" };
    let publish = Publish {
        dup: false,
        qos: PublishQos::Session(Qos::AtMostOnce),
        retain: false,
        topic: TopicId::Normal(1),
        msg_id: 0,
        data: &PAYLOAD,
    };
    let peer = world.open_with(Speaks::MqttSn, &encoded(&Packet::Connect(connect)));
    world.send(peer, &encoded(&register));
    again_and_again(world, peer, encoded(&Packet::Publish(publish)))
}

fn stomp() -> Round {
    let mut world = world();
    let peer = world.open_with(Speaks::Stomp, b"CONNECT\naccept-version:1.2\nhost:h\n\n\0");
    let header = "SEND\ndestination:from/gateway\ncontent-type:text/plain\n\n";
    again_and_again(world, peer, [header.as_bytes(), &PAYLOAD, b"\0"].concat())
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

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    packet.encode(&mut datagram).expect("a short packet");
    datagram
}
