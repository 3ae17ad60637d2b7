//! Packets that break their format, and packets that may not come from a client.

use suite::for_both;
use suite::mqtt::wire::{
    DISCONNECT, PINGREQ, PINGRESP, packet, properties, puback, pubcomp, pubrec, pubrel, subscribe, text,
    unsubscribe,
};
use suite::mqtt::{Peer, Publish, Version, property, unique};

/// The reason codes of MQTT 5 for what broken packets are.
const CODES: [u8; 8] = [0x81, 0x82, 0x8F, 0x90, 0x94, 0x95, 0x99, 0xA2];

for_both!(
    a_pingreq_is_answered_with_a_pingresp,
    wrong_flags_of_a_request_end_the_connection,
    wrong_flags_of_an_acknowledgement_or_a_ping_end_the_connection,
    packets_only_a_server_sends_end_the_connection,
    a_packet_cut_short_ends_the_connection,
    a_publish_that_breaks_its_format_ends_the_connection,
    dup_at_qos_0_ends_the_connection,
    a_subscribe_that_breaks_its_format_ends_the_connection,
    an_unsubscribe_that_breaks_its_format_ends_the_connection,
    a_length_of_five_bytes_ends_the_connection,
    packets_may_come_in_pieces_and_together,
    a_byte_order_mark_stays_in_the_text,
    a_disconnect_with_flags_ends_the_connection,
    nothing_comes_after_a_disconnect,
);

/// [MQTT-3.12.4-1]
fn a_pingreq_is_answered_with_a_pingresp(v: Version) {
    let mut peer = Peer::new(v);
    for _ in 0..3 {
        assert_eq!(peer.ask(&PINGREQ).bytes(), PINGRESP);
    }
}

/// 3.1.1 [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-4.8.0-1],
/// 5 [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-4.13.1-1]
fn wrong_flags_of_a_request_end_the_connection(v: Version) {
    let name = unique("t");
    wrong_flags_end(v, &[subscribe(v, 1, &[(&name, 0)]), unsubscribe(v, 1, &[&name]), pubrel(1)]);
}

/// 3.1.1 [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-4.8.0-1], 5 [MQTT-2.1.3-1] [MQTT-4.13.1-1]
fn wrong_flags_of_an_acknowledgement_or_a_ping_end_the_connection(v: Version) {
    wrong_flags_end(v, &[PINGREQ.to_vec(), puback(1), pubrec(1), pubcomp(1)]);
}

fn wrong_flags_end(v: Version, right: &[Vec<u8>]) {
    let mut broken = Broken::new(v);
    for bytes in right {
        for flags in (0..16).filter(|flags| *flags != bytes[0] & 0x0F) {
            let mut wrong = bytes.clone();
            wrong[0] = wrong[0] & 0xF0 | flags;
            broken.ends("wrong flags", &wrong);
        }
    }
}

/// 3.1.1 [MQTT-4.8.0-1], 5 [MQTT-4.13.1-1]
fn packets_only_a_server_sends_end_the_connection(v: Version) {
    let mut broken = Broken::new(v);
    let none = properties(v, &[]);
    broken.ends("packet type 0", &[0x00, 0]);
    broken.ends("CONNACK", &packet(0x20, &[&[0, 0], &none]));
    broken.ends("SUBACK", &packet(0x90, &[&[0, 1], &none, &[0]]));
    broken.ends("UNSUBACK", &packet(0xB0, &[&[0, 1], &none]));
    broken.ends("PINGRESP", &PINGRESP);
    broken.ends("AUTH", &[0xF0, 0]);
}

/// 3.1.1 [MQTT-4.8.0-1], 5 [MQTT-4.13.1-1]
fn a_packet_cut_short_ends_the_connection(v: Version) {
    let mut broken = Broken::new(v);
    broken.ends("PUBACK without a packet id", &[0x40, 0]);
    broken.ends("PUBREC with half a packet id", &[0x50, 1, 0]);
    broken.ends("PUBREL without a packet id", &[0x62, 0]);
    broken.ends("PUBCOMP with half a packet id", &[0x70, 1, 1]);
    broken.ends("PUBLISH without a topic", &[0x30, 0]);
    broken.ends("PUBLISH at QoS 1 without a packet id", &[0x32, 3, 0, 1, b't']);
    broken.ends("SUBSCRIBE of nothing", &[0x82, 0]);
    broken.ends("UNSUBSCRIBE of nothing", &[0xA2, 0]);
}

/// 3.1.1 [MQTT-3.3.1-4] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-2.3.1-1] [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-4.7.1-1]
/// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.8.0-1],
/// 5 [MQTT-3.3.1-4] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-2.2.1-3] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-4.7.0-1]
/// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.13.1-1]
fn a_publish_that_breaks_its_format_ends_the_connection(v: Version) {
    let mut broken = Broken::new(v);
    let name = unique("t");
    let none = properties(v, &[]);
    let publish = |first: u8, topic: &[u8], id: &[u8]| packet(first, &[&text(topic), id, &none, b"payload"]);
    broken.ends("QoS 3", &publish(0x36, name.as_bytes(), &[0, 1]));
    broken.ends("packet id 0 at QoS 1", &publish(0x32, name.as_bytes(), &[0, 0]));
    broken.ends("packet id 0 at QoS 2", &publish(0x34, name.as_bytes(), &[0, 0]));
    broken.ends("# in the topic", &publish(0x30, format!("{name}/#").as_bytes(), &[]));
    broken.ends("# within a level", &publish(0x30, format!("{name}#").as_bytes(), &[]));
    broken.ends("+ in the topic", &publish(0x30, format!("{name}/+/x").as_bytes(), &[]));
    broken.ends("+ within a level", &publish(0x30, format!("{name}+").as_bytes(), &[]));
    broken.ends("an empty topic", &publish(0x30, b"", &[]));
    broken.ends("U+0000 in the topic", &publish(0x30, b"a\0b", &[]));
    broken.ends("a topic that is not UTF-8", &publish(0x30, b"a\xC3\x28", &[]));
    broken.ends("an overlong form in the topic", &publish(0x30, b"a\xC0\xAF", &[]));
    broken.ends("a surrogate in the topic", &publish(0x30, b"a\xED\xA0\x80", &[]));
    broken.ends("a code point above U+10FFFF", &publish(0x30, b"a\xF4\x90\x80\x80", &[]));
    broken.ends("a topic longer than the packet", &[0x30, 3, 0, 9, b't']);
}

/// 3.1.1 [MQTT-3.3.1-2] [MQTT-4.8.0-1], 5 [MQTT-3.3.1-2] [MQTT-4.13.1-1]
fn dup_at_qos_0_ends_the_connection(v: Version) {
    Broken::new(v).ends("DUP at QoS 0", &Publish::new(v, &unique("t"), "x").dup().bytes());
}

/// 3.1.1 [MQTT-2.3.1-1] [MQTT-3.8.3-1] [MQTT-3.8.3-3] [MQTT-3.8.3-4] [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1]
/// [MQTT-4.7.3-2] [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-4.8.0-1],
/// 5 [MQTT-2.2.1-3] [MQTT-3.8.3-1] [MQTT-3.8.3-2] [MQTT-3.8.3-5] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-4.13.1-1]
fn a_subscribe_that_breaks_its_format_ends_the_connection(v: Version) {
    let mut broken = Broken::new(v);
    let name = unique("t");
    let by_hand = |id: u16, payload: &[u8]| packet(0x82, &[&id.to_be_bytes(), &properties(v, &[]), payload]);
    broken.ends("packet id 0", &subscribe(v, 0, &[(&name, 0)]));
    broken.ends("no filter", &subscribe(v, 1, &[]));
    broken.ends("QoS 3", &subscribe(v, 1, &[(&name, 3)]));
    broken.ends("reserved bit 7", &subscribe(v, 1, &[(&name, 0x80)]));
    broken.ends("reserved bit 6", &subscribe(v, 1, &[(&name, 0x40)]));
    broken.ends("a filter without its QoS", &by_hand(1, &text(&name)));
    broken.ends("a filter longer than the packet", &by_hand(1, &[0, 9, b't', 0]));
    broken.ends("a filter that is not UTF-8", &by_hand(1, &[&text(b"\xC3\x28")[..], &[0]].concat()));
    broken.ends("a filter with a surrogate", &by_hand(1, &[&text(b"\xED\xBF\xBF")[..], &[0]].concat()));
    broken.ends("a filter with U+0000", &by_hand(1, &[&text(b"a\0b")[..], &[0]].concat()));
    if v == Version::V3 {
        broken.ends("reserved bit 2", &subscribe(v, 1, &[(&name, 0x04)]));
    } else {
        broken.ends("Retain Handling 3", &subscribe(v, 1, &[(&name, 0x30)]));
    }
}

/// 3.1.1 [MQTT-2.3.1-1] [MQTT-3.10.3-1] [MQTT-3.10.3-2] [MQTT-4.8.0-1],
/// 5 [MQTT-2.2.1-3] [MQTT-3.10.3-1] [MQTT-3.10.3-2] [MQTT-4.13.1-1]
fn an_unsubscribe_that_breaks_its_format_ends_the_connection(v: Version) {
    let mut broken = Broken::new(v);
    let by_hand = |id: u16, payload: &[u8]| packet(0xA2, &[&id.to_be_bytes(), &properties(v, &[]), payload]);
    broken.ends("packet id 0", &unsubscribe(v, 0, &["t"]));
    broken.ends("no filter", &unsubscribe(v, 1, &[]));
    broken.ends("a filter longer than the packet", &by_hand(1, &[0, 9, b't']));
    broken.ends("a filter that is not UTF-8", &by_hand(1, &text(b"\xC3\x28")));
    broken.ends("a filter with U+0000", &by_hand(1, &text(b"a\0b")));
}

/// 3.1.1 [MQTT-4.8.0-1], 5 [MQTT-1.5.5-1] [MQTT-4.13.1-1]
fn a_length_of_five_bytes_ends_the_connection(v: Version) {
    let mut broken = Broken::new(v);
    broken.ends("a length of five bytes", &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    let answers = Peer::sending(v, &[0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]).end();
    assert!(answers.is_empty(), "{answers:?}");
}

/// 3.1.1 [MQTT-7.1.1-1], 5 [MQTT-4.2-1]
fn packets_may_come_in_pieces_and_together(v: Version) {
    let topic = unique("t");
    let mut peer = Peer::new(v);
    let publish = Publish::new(v, &topic, "whole").qos(1, 9).bytes();
    for byte in [subscribe(v, 1, &[(&topic, 1)]), publish].concat() {
        peer.send(&[byte]);
    }
    assert_eq!(peer.next().kind(), 9);
    let mut kinds = [peer.next().kind(), peer.next().kind()];
    kinds.sort_unstable();
    assert_eq!(kinds, [3, 4]);
    peer.send(&PINGREQ.repeat(50));
    assert!((0..50).all(|_| peer.next().bytes() == PINGRESP));
}

/// 3.1.1 [MQTT-1.5.3-3] [MQTT-4.7.3-4], 5 [MQTT-1.5.4-3] [MQTT-4.7.3-4]
fn a_byte_order_mark_stays_in_the_text(v: Version) {
    let name = unique("t");
    let (front, middle) = (format!("\u{FEFF}{name}"), format!("{name}\u{FEFF}x"));
    let mut peer = Peer::new(v);
    for topic in [&name, &front, &middle] {
        peer.subscribe(topic, 0);
    }
    let mut publisher = Peer::new(v);
    for topic in [&front, &middle] {
        publisher.publish(Publish::new(v, topic, "marked"));
        assert_eq!(&peer.delivery().topic, topic);
    }
    peer.nothing_from(&mut publisher);
}

/// 3.1.1 [MQTT-3.14.1-1] [MQTT-2.2.2-2], 5 [MQTT-3.14.1-1] [MQTT-4.13.1-1]
fn a_disconnect_with_flags_ends_the_connection(v: Version) {
    let mut broken = Broken::new(v);
    for first in [0xE1, 0xE2, 0xE8, 0xEF] {
        broken.ends("flags of DISCONNECT", &[first, 0]);
    }
}

/// 3.1.1 [MQTT-3.14.4-1] [MQTT-3.14.4-2], 5 [MQTT-3.14.4-1] [MQTT-3.14.4-2]
fn nothing_comes_after_a_disconnect(v: Version) {
    let topic = unique("t");
    let mut watcher = Peer::new(v);
    watcher.subscribe(&topic, 0);
    let mut peer = Peer::new(v);
    let after = Publish::new(v, &topic, "too late").qos(1, 1).bytes();
    peer.send(&[DISCONNECT.to_vec(), after, PINGREQ.to_vec()].concat());
    assert_eq!(peer.end(), []);
    watcher.nothing_from(&mut Peer::new(v));
}

/// 5 [MQTT-3.14.1-1] [MQTT-3.14.2-1] [MQTT-4.13.1-1]
#[test]
fn a_malformed_packet_is_told_by_its_code_in_mqtt_5() {
    let mut peer = Peer::new(Version::V5);
    peer.send(&[0xE1, 0]);
    let codes: Vec<_> = peer.end().iter().map(|packet| (packet.kind(), packet.code())).collect();
    assert_eq!(codes, [(14, 0x81)]);
}

/// 5 [MQTT-3.15.1-1] [MQTT-4.12.0-7] [MQTT-4.12.1-2] [MQTT-4.13.1-1]
#[test]
fn an_auth_ends_a_connection_that_named_no_method() {
    let v = Version::V5;
    let mut broken = Broken::new(v);
    let again = [&[0x19][..], &properties(v, &property::authentication_method("m"))].concat();
    broken.ends("AUTH with flags", &packet(0xF1, &[&again]));
    broken.ends("AUTH of a method never named", &packet(0xF0, &[&again]));
    broken.ends("AUTH without a method", &packet(0xF0, &[&[0x18, 0]]));
}

/// 5 [MQTT-1.5.5-1] [MQTT-1.5.7-1] [MQTT-2.2.2-1] [MQTT-3.3.2-8] [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19]
/// [MQTT-3.3.4-6] [MQTT-4.13.1-1]
#[test]
fn a_publish_with_broken_properties_ends_the_connection() {
    let v = Version::V5;
    let mut broken = Broken::new(v);
    let cases: &[(&str, Vec<u8>)] = &[
        ("properties longer than the packet", vec![0x7F]),
        ("a length of more bytes than needed", vec![0x80, 0x00]),
        ("an unknown property", vec![2, 0x7E, 0]),
        ("a property of CONNECT", vec![5, 0x11, 0, 0, 0, 1]),
        ("a property cut off", vec![2, 0x02, 0]),
        ("Payload Format Indicator 2", vec![2, 0x01, 2]),
        ("Payload Format Indicator twice", vec![4, 0x01, 1, 0x01, 1]),
        ("Topic Alias 0", vec![3, 0x23, 0, 0]),
        ("a Subscription Identifier", vec![2, 0x0B, 1]),
        ("a Response Topic with #", vec![6, 0x08, 0, 3, b'a', b'/', b'#']),
        ("a Response Topic with +", vec![4, 0x08, 0, 1, b'+']),
        ("a Response Topic that is not UTF-8", vec![5, 0x08, 0, 2, 0xC3, 0x28]),
        ("a Content Type that is not UTF-8", vec![4, 0x03, 0, 1, 0xFF]),
        ("a User Property that is not UTF-8", vec![7, 0x26, 0, 1, b'a', 0, 1, 0xFF]),
    ];
    for (what, properties) in cases {
        broken.ends(what, &packet(0x32, &[&text(unique("t")), &[0, 1], properties, b"payload"]));
    }
    broken.ends("no properties at all", &packet(0x30, &[&text(unique("t"))]));
}

/// 5 [MQTT-1.5.5-1] [MQTT-3.8.3-4] [MQTT-4.13.1-1]
#[test]
fn a_subscribe_with_broken_properties_ends_the_connection() {
    let v = Version::V5;
    let mut broken = Broken::new(v);
    let filter = [text(unique("t")), vec![0]].concat();
    let cases: &[(&str, Vec<u8>)] = &[
        ("properties longer than the packet", vec![0x7F]),
        ("a property of PUBLISH", vec![2, 0x01, 1]),
        ("Subscription Identifier 0", vec![2, 0x0B, 0]),
        ("Subscription Identifier twice", vec![4, 0x0B, 1, 0x0B, 2]),
    ];
    for (what, properties) in cases {
        broken.ends(what, &packet(0x82, &[&[0, 1], properties, &filter]));
    }
    broken.ends("No Local on a shared subscription", &subscribe(v, 1, &[("$share/g/t", 0x04)]));
}

/// Broken packets, each tried on a connection of its own; what went wrong is told for all of them together.
struct Broken {
    version: Version,
    survived: Vec<String>,
}

impl Broken {
    fn new(version: Version) -> Self {
        Self { version, survived: Vec::new() }
    }

    /// Sends bytes, after which the connection has to end with nothing but a DISCONNECT of a fitting code.
    fn ends(&mut self, what: &str, bytes: &[u8]) {
        let end = Peer::new(self.version).end_after(bytes);
        let fits = match &end {
            Ok(answers) => match &answers[..] {
                [] => true,
                [packet] => packet.kind() == 14 && CODES.contains(&packet.code()),
                _ => false,
            },
            Err(_) => false,
        };
        if !fits {
            self.survived.push(format!("{what}: {bytes:02X?} led to {end:?}"));
        }
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        assert!(self.survived.is_empty() || std::thread::panicking(), "{:#?}", self.survived);
    }
}
