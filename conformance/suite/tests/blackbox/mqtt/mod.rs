use suite::mqtt::{Packet, Peer, Publish, Version};

mod connect;
mod format;
mod publish;
mod retain;
mod session;
mod subscribe;
mod will;

/// Removes what is retained for the topic.
fn forget(v: Version, topic: &str) {
    Peer::new(v).publish(Publish::new(v, topic, "").qos(1, 1).retain());
}

/// Checks that an open connection ended without an answer, or in MQTT 5 with a DISCONNECT of one of these codes.
fn ended(what: &str, v: Version, answers: &[Packet], codes: &[u8]) {
    match (v, answers) {
        (_, []) => {}
        (Version::V5, [packet]) if packet.kind() == 14 && codes.contains(&packet.code()) => {}
        _ => panic!("{what}: {answers:?}"),
    }
}
