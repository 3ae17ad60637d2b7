use suite::mqtt::{Connect, Packet, Peer, Publish, Version, Will, property, unique};

mod connect;
mod expiry;
mod flow;
mod format;
mod load;
mod lossy;
mod modest;
mod properties;
mod publish;
mod retain;
mod robust;
mod scram;
mod session;
mod shared;
mod subscribe;
mod will;

/// Removes what is retained for the topic.
fn forget(v: Version, topic: &str) {
    Peer::new(v).publish(Publish::new(v, topic, "").qos(1, 1).retain());
}

/// Returns once the subject's clock has gone on by so many seconds: a will that is delayed for them tells.
fn passed(seconds: u32) {
    let (v, topic) = (Version::V5, unique("t"));
    let mut watcher = Peer::new(v);
    watcher.subscribe(&topic, 0);
    let will = Will::new(&topic, "time").property(property::will_delay(seconds));
    Peer::accepted(Connect::to_session(v, &unique("c")).will(will)).0.vanish();
    watcher.delivery();
}

/// Checks that an open connection ended without an answer, or in MQTT 5 with a DISCONNECT of one of these codes.
fn ended(what: &str, v: Version, answers: &[Packet], codes: &[u8]) {
    match (v, answers) {
        (_, []) => {}
        (Version::V5, [packet]) if packet.kind() == 14 && codes.contains(&packet.code()) => {}
        _ => panic!("{what}: {answers:?}"),
    }
}
