//! A server that offers no QoS above 0, retains nothing and shares nothing.

use suite::for_both;
use suite::mqtt::{Connect, Peer, Publish, Version, Will, unique, wire};

for_both!(a_will_that_is_not_offered_is_refused, a_subscription_is_granted_what_is_offered);

const V5: Version = Version::V5;

/// 5 [MQTT-3.2.2-9]
#[test]
fn the_connack_tells_what_is_not_offered() {
    let (_, connack) = Peer::modest(Connect::new(V5, &unique("c")).keep_alive(120));
    let properties = connack.connack().properties;
    let told = [0x24, 0x25, 0x2A, 0x13].map(|id| properties.number(id));
    assert_eq!(told, [Some(0), Some(0), Some(0), Some(60)], "Maximum QoS, Retain, Shared, Server Keep Alive");
}

/// 5 [MQTT-3.2.2-12] [MQTT-3.2.2-13]
fn a_will_that_is_not_offered_is_refused(v: Version) {
    let wills = [(Will::new("t", "will").qos(1), 0x9B), (Will::new("t", "will").retain(), 0x9A)];
    for (will, code) in wills {
        let (mut peer, connack) = Peer::modest(Connect::new(v, &unique("c")).will(will));
        assert_eq!(connack.connack().code, if v == V5 { code } else { 5 });
        assert_eq!(peer.end(), []);
    }
    let (_, connack) = Peer::modest(Connect::new(v, &unique("c")).will(Will::new("t", "will")));
    assert_eq!(connack.connack().code, 0);
}

/// 5 [MQTT-3.2.2-10], 3.1.1 [MQTT-3.8.4-6]
fn a_subscription_is_granted_what_is_offered(v: Version) {
    let topic = unique("t");
    let (mut peer, _) = Peer::modest(Connect::new(v, &unique("c")));
    for asked in [0, 1, 2] {
        let suback = peer.ask(&wire::subscribe(v, 7, &[(&topic, asked)]));
        assert_eq!(suback.codes().2, [0]);
    }
}

/// 5 [MQTT-3.2.2-11] [MQTT-3.2.2-14]
#[test]
fn what_the_connack_ruled_out_ends_the_connection() {
    let topic = unique("t");
    let packets = [
        (Publish::new(V5, &topic, "x").qos(1, 1).bytes(), 0x9B),
        (Publish::new(V5, &topic, "x").qos(2, 1).bytes(), 0x9B),
        (Publish::new(V5, &topic, "x").retain().bytes(), 0x9A),
        (wire::subscribe(V5, 1, &[(&format!("$share/g/{topic}"), 0)]), 0x9E),
    ];
    for (packet, code) in packets {
        let (mut peer, _) = Peer::modest(Connect::new(V5, &unique("c")));
        peer.send(&packet);
        super::ended("what is not offered", V5, &peer.end(), &[code]);
    }
}
