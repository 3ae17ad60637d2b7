//! CONNECT and CONNACK: who is let in, and under which name.

use suite::for_both;
use suite::mqtt::wire::{DISCONNECT, PINGREQ, packet, properties, pubrel, subscribe, text, unsubscribe};
use suite::mqtt::{Connect, Packet, Peer, Publish, Version, property, unique};

use super::ended;

for_both!(
    a_connect_is_answered_with_a_connack_of_code_0,
    what_follows_a_connect_is_answered_after_the_connack,
    anything_before_connect_ends_the_connection,
    a_second_connect_ends_the_connection,
    a_foreign_protocol_name_is_not_let_in,
    a_set_reserved_flag_ends_the_connection,
    a_connect_that_breaks_its_format_ends_the_connection,
    client_ids_of_letters_and_digits_are_taken,
    a_very_long_client_id_is_taken_or_refused_with_its_code,
    a_client_without_a_client_id_is_given_one_of_its_own,
    the_same_client_id_pushes_the_older_connection_out,
    different_client_ids_do_not_disturb_each_other,
    wrong_credentials_are_refused_and_nothing_after_them_counts,
    right_credentials_are_let_in,
);

/// 3.1.1 [MQTT-3.1.4-4] [MQTT-3.2.0-1] [MQTT-7.1.1-1], 5 [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-3.2.2-8]
/// [MQTT-4.2-1]
fn a_connect_is_answered_with_a_connack_of_code_0(v: Version) {
    let mut peer = Peer::open(v);
    let answer = peer.ask(&Connect::new(v, &unique("c")).bytes());
    assert_eq!(answer.first(), 0x20);
    assert_eq!(answer.body()[..2], [0, 0]);
    peer.leave();
}

/// 3.1.1 [MQTT-3.2.0-1] [MQTT-7.0.0-2], 5 [MQTT-3.2.0-1]
fn what_follows_a_connect_is_answered_after_the_connack(v: Version) {
    let name = unique("c");
    let together = [Connect::new(v, &name).bytes(), subscribe(v, 7, &[(&name, 0)]), PINGREQ.to_vec()];
    let mut peer = Peer::sending(v, &together.concat());
    let kinds = [peer.next().kind(), peer.next().kind(), peer.next().kind()];
    assert!(matches!(kinds, [2, 9, 13] | [2, 13, 9]), "{kinds:?}");
}

/// 3.1.1 [MQTT-3.1.0-1] [MQTT-3.2.0-1] [MQTT-4.8.0-1],
/// 5 [MQTT-3.1.0-1] [MQTT-3.2.0-1] [MQTT-3.14.0-1] [MQTT-4.13.1-1]
fn anything_before_connect_ends_the_connection(v: Version) {
    let first = [
        PINGREQ.to_vec(),
        DISCONNECT.to_vec(),
        Publish::new(v, "early", "bird").bytes(),
        Publish::new(v, "early", "bird").qos(1, 1).bytes(),
        subscribe(v, 1, &[("early", 0)]),
        unsubscribe(v, 1, &["early"]),
        pubrel(1),
    ];
    for bytes in first {
        let answers = Peer::sending(v, &bytes).end();
        assert!(answers.is_empty(), "{bytes:02X?} was answered with {answers:?}");
    }
}

/// 3.1.1 [MQTT-3.1.0-2] [MQTT-4.8.0-1], 5 [MQTT-3.1.0-2] [MQTT-3.2.0-2] [MQTT-4.13.1-1]
fn a_second_connect_ends_the_connection(v: Version) {
    let connect = Connect::new(v, &unique("c"));
    let (mut peer, _) = Peer::accepted(connect.clone());
    peer.send(&connect.bytes());
    ended("a second CONNECT", v, &peer.end(), &[0x82]);
}

/// 3.1.1 [MQTT-3.1.2-1], 5 [MQTT-3.1.2-1]
fn a_foreign_protocol_name_is_not_let_in(v: Version) {
    for name in ["MQTX", "mqtt", "MQT", "MQTTT", ""] {
        not_let_in(v, &connect_by_hand(v, name, level(v), 0x02, &text(unique("c"))));
    }
}

/// 3.1.1 [MQTT-3.1.2-3] [MQTT-3.1.4-1], 5 [MQTT-3.1.2-3] [MQTT-3.1.4-1] [MQTT-2.1.3-1]
fn a_set_reserved_flag_ends_the_connection(v: Version) {
    not_let_in(v, &connect_by_hand(v, "MQTT", level(v), 0x03, &text(unique("c"))));
}

/// 3.1.1 [MQTT-3.1.4-1] [MQTT-3.2.2-6] [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-13]
/// [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21] [MQTT-3.1.3-1]
/// [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11] [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
/// [MQTT-4.8.0-1],
/// 5 [MQTT-3.1.4-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]
/// [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4]
/// [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.13.1-1]
fn a_connect_that_breaks_its_format_ends_the_connection(v: Version) {
    let id = || text(unique("c"));
    let will = |topic: &[u8]| [id(), properties(v, &[]), text(topic), text("gone")].concat();
    let broken: &[(&str, u8, Vec<u8>)] = &[
        ("no client id", 0x02, vec![]),
        ("a client id cut off", 0x02, vec![0, 9, b'c']),
        ("a client id that is not UTF-8", 0x02, text(b"c\xC3\x28")),
        ("a client id with a surrogate", 0x02, text(b"c\xED\xA0\x80")),
        ("a client id with U+0000", 0x02, text(b"c\0d")),
        ("something after the client id", 0x02, [id(), text("name")].concat()),
        ("will QoS without a will", 0x0A, id()),
        ("will retain without a will", 0x22, id()),
        ("will QoS 3", 0x1E, will(b"w")),
        ("a will flag without a will", 0x06, id()),
        ("a will without a payload", 0x06, [id(), properties(v, &[]), text("w")].concat()),
        ("a will topic that is not UTF-8", 0x06, will(b"w\xC3\x28")),
        ("a will topic with U+0000", 0x06, will(b"w\0")),
        ("an empty will topic", 0x06, will(b"")),
        ("a will topic with #", 0x06, will(b"w/#")),
        ("a will topic with +", 0x06, will(b"+/w")),
        ("a user name flag without a user name", 0x82, id()),
        ("a user name that is not UTF-8", 0x82, [id(), text(b"\xFF")].concat()),
        ("a password flag without a password", 0xC2, [id(), text("name")].concat()),
        ("a password without its flag", 0x82, [id(), text("name"), text("password")].concat()),
    ];
    for (what, flags, payload) in broken {
        let answers = answers_to(v, &connect_by_hand(v, "MQTT", level(v), *flags, payload));
        match v {
            Version::V3 => assert!(answers.is_empty(), "{what} was answered with {answers:02X?}"),
            Version::V5 => assert!(is_refusal(v, &answers), "{what} was answered with {answers:02X?}"),
        }
    }
}

/// 3.1.1 [MQTT-3.1.2-22] [MQTT-3.1.4-1]
#[test]
fn a_password_without_a_user_name_is_not_let_in_by_mqtt_3_1_1() {
    let payload = [text(unique("c")), text("secret")].concat();
    let answers = answers_to(Version::V3, &connect_by_hand(Version::V3, "MQTT", 4, 0x42, &payload));
    assert!(answers.is_empty(), "it was answered with {answers:02X?}");
}

/// 3.1.1 [MQTT-3.1.2-2] [MQTT-3.2.2-4] [MQTT-3.2.2-5]
#[test]
fn an_old_protocol_level_is_answered_with_code_1() {
    for level in [0, 1, 2] {
        let bytes = connect_by_hand(Version::V3, "MQTT", level, 0x02, &text(unique("c")));
        assert_eq!(answers_to(Version::V3, &bytes), [0x20, 2, 0, 1], "level {level}");
    }
}

/// 5 [MQTT-3.1.2-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7]
#[test]
fn a_protocol_level_to_come_is_not_let_in() {
    for level in [6, 0x7F] {
        not_let_in(Version::V5, &connect_by_hand(Version::V5, "MQTT", level, 0x02, &text(unique("c"))));
    }
}

/// MQTT 3.1, whose CONNECT differs from that of 3.1.1 in the protocol name and level only.
#[test]
fn a_client_of_mqtt_3_1_is_let_in() {
    let v = Version::V3;
    let topic = unique("t");
    let mut peer = Peer::open(v);
    let connack = peer.ask(&connect_by_hand(v, "MQIsdp", 3, 0x02, &text(unique("c")))).connack();
    assert_eq!((connack.session_present, connack.code), (false, 0));
    peer.subscribe(&topic, 2);
    Peer::new(Version::V5).publish(Publish::new(Version::V5, &topic, "from a later version").qos(2, 1));
    assert_eq!(peer.receive().text(), "from a later version");
    peer.leave();
}

/// [MQTT-3.1.3-5]
fn client_ids_of_letters_and_digits_are_taken(v: Version) {
    let short = ["0", "Z", "q"];
    let long = ["0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ0123456"];
    for id in short.into_iter().chain(long) {
        Peer::accepted(Connect::new(v, id)).0.leave();
    }
}

/// 3.1.1 [MQTT-3.1.3-9], 5 [MQTT-3.1.3-8]
fn a_very_long_client_id_is_taken_or_refused_with_its_code(v: Version) {
    let mut peer = Peer::sending(v, &Connect::new(v, &"long".repeat(4_000)).bytes());
    let connack = peer.next().connack();
    if connack.code != 0 {
        assert!(matches!((v, connack.code), (Version::V3, 2) | (Version::V5, 0x85)), "{connack:?}");
        assert_eq!(peer.end(), []);
    }
}

/// 3.1.1 [MQTT-3.1.3-6] [MQTT-3.2.2-1], 5 [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT-3.2.2-2]
fn a_client_without_a_client_id_is_given_one_of_its_own(v: Version) {
    let (mut one, told_one) = Peer::accepted(Connect::new(v, ""));
    let (mut other, told_other) = Peer::accepted(Connect::new(v, ""));
    one.idle();
    other.idle();
    if v == Version::V5 {
        let id = |connack: &suite::mqtt::Connack| {
            let id = connack.properties.one(0x12).expect("an Assigned Client Identifier");
            String::from_utf8(id.to_vec()).unwrap()
        };
        let (id, other_id) = (id(&told_one), id(&told_other));
        assert_ne!(id, other_id);
        assert!(!id.is_empty());
        Peer::accepted(Connect::new(v, &id));
        assert_eq!(one.end().last().map(Packet::code), Some(0x8E), "the id did not name the connection");
        other.idle();
    }
}

/// 3.1.1 [MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.1.3-9] [MQTT-3.2.2-4] [MQTT-3.2.2-5]
#[test]
fn an_empty_client_id_cannot_keep_a_session_in_mqtt_3_1_1() {
    let connect = Connect::to_session(Version::V3, "").bytes();
    assert_eq!(answers_to(Version::V3, &connect), [0x20, 2, 0, 2]);
}

/// 3.1.1 [MQTT-3.1.4-2] [MQTT-3.1.3-2], 5 [MQTT-3.1.4-3] [MQTT-3.1.3-2] [MQTT-3.14.4-2] [MQTT-3.14.2-1] [MQTT-3.14.2-2]
fn the_same_client_id_pushes_the_older_connection_out(v: Version) {
    let connect = Connect::new(v, &unique("c"));
    let (mut old, _) = Peer::accepted(connect.clone());
    let (mut new, _) = Peer::accepted(connect);
    let farewell = old.end();
    match v {
        Version::V3 => assert_eq!(farewell, []),
        Version::V5 => assert_eq!(farewell.iter().map(Packet::code).collect::<Vec<_>>(), [0x8E]),
    }
    new.idle();
}

/// [MQTT-3.1.3-2] [MQTT-4.7.3-4]
fn different_client_ids_do_not_disturb_each_other(v: Version) {
    let name = unique("c");
    let ids = [name.clone(), name.to_uppercase(), format!("{name}x"), format!("{name} ")];
    let mut peers: Vec<_> = ids.iter().map(|id| Peer::accepted(Connect::new(v, id)).0).collect();
    peers.iter_mut().for_each(Peer::idle);
}

/// 3.1.1 [MQTT-3.1.4-5] [MQTT-3.2.2-4] [MQTT-3.2.2-5],
/// 5 [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-3.14.0-1] [MQTT-4.13.2-1]
fn wrong_credentials_are_refused_and_nothing_after_them_counts(v: Version) {
    let topic = unique("t");
    let mut watcher = Peer::new(v);
    watcher.subscribe(&topic, 1);
    let connect = Connect::new(v, &unique("c")).user_name("alice").password("wrong").bytes();
    let publish = Publish::new(v, &topic, "let me in").qos(1, 1).bytes();
    let answers = Peer::sending(v, &[connect, publish, PINGREQ.to_vec()].concat()).end();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let code = answers[0].connack().code;
    assert!(matches!((v, code), (Version::V3, 4 | 5) | (Version::V5, 0x86 | 0x87)), "{answers:?}");
    watcher.nothing_from(&mut Peer::new(v));
}

/// 3.1.1 [MQTT-3.1.4-4], 5 [MQTT-3.1.4-5]
fn right_credentials_are_let_in(v: Version) {
    Peer::accepted(Connect::new(v, &unique("c")).user_name("alice").password("secret")).0.idle();
}

/// 5 [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24]
#[test]
fn a_refusal_fits_into_the_largest_packet_the_client_takes() {
    let connect = Connect::new(Version::V5, &unique("c")).user_name("alice").password("wrong");
    let connect = connect.property(property::maximum_packet_size(6));
    let answers = Peer::sending(Version::V5, &connect.bytes()).end();
    assert!(answers.iter().all(|answer| answer.bytes().len() <= 6), "{answers:?}");
}

/// 5 [MQTT-1.5.5-1] [MQTT-1.5.7-1] [MQTT-3.1.4-1] [MQTT-4.13.1-1]
#[test]
fn a_connect_with_broken_properties_ends_the_connection() {
    let broken: &[(&str, Vec<u8>)] = &[
        ("properties longer than the packet", vec![0x7F]),
        ("a length of more bytes than needed", vec![0x80, 0x00]),
        ("a length without an end", vec![0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
        ("a property cut off", vec![3, 0x11, 0, 0]),
        ("an unknown property", vec![2, 0x7E, 0]),
        ("a property of PUBLISH", vec![2, 0x01, 0]),
        ("Session Expiry Interval twice", [vec![10], property::session_expiry(1).repeat(2)].concat()),
        ("Receive Maximum 0", [vec![3], property::receive_maximum(0)].concat()),
        ("Maximum Packet Size 0", [vec![5], property::maximum_packet_size(0)].concat()),
        ("Request Problem Information 2", vec![2, 0x17, 2]),
        ("Request Response Information 2", vec![2, 0x19, 2]),
        ("a User Property that is not UTF-8", vec![7, 0x26, 0, 1, b'a', 0, 1, 0xFF]),
        ("a User Property with U+0000", vec![7, 0x26, 0, 1, 0, 0, 1, b'a']),
    ];
    for (what, properties) in broken {
        let head = [&text("MQTT")[..], &[5, 0x02, 0, 60]].concat();
        let bytes = packet(0x10, &[&head, properties, &text(unique("c"))]);
        let answers = answers_to(Version::V5, &bytes);
        assert!(is_refusal(Version::V5, &answers), "{what} was answered with {answers:02X?}");
    }
}

/// 5 [MQTT-3.1.4-1] [MQTT-4.13.1-1]
#[test]
fn authentication_data_without_a_method_end_the_connection() {
    let connect = Connect::new(Version::V5, &unique("c")).property(vec![0x16, 0, 1, 9]);
    not_let_in(Version::V5, &connect.bytes());
}

/// 5 [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-3.2.2-7] [MQTT-4.13.2-1]
#[test]
fn an_authentication_method_nobody_offers_ends_the_connection() {
    let method = property::authentication_method("no such method");
    let connect = Connect::new(Version::V5, &unique("c")).property(method);
    let answers = Peer::sending(Version::V5, &connect.bytes()).end();
    let codes: Vec<_> = answers.iter().map(|answer| answer.connack().code).collect();
    assert!(matches!(codes[..], [] | [0x8C | 0x87]), "{answers:?}");
}

/// 5 [MQTT-4.12.0-6] [MQTT-3.1.2-28]
#[test]
fn a_connack_tells_nothing_that_was_not_asked_for() {
    let (_, connack) = Peer::accepted(Connect::new(Version::V5, &unique("c")));
    for (name, id) in
        [("Authentication Method", 0x15), ("Authentication Data", 0x16), ("Response Information", 0x1A)]
    {
        assert_eq!(connack.properties.one(id), None, "{name}");
    }
}

#[test]
fn what_the_connack_does_not_rule_out_is_there() {
    let v = Version::V5;
    let topic = unique("t");
    let will = suite::mqtt::Will::new(&topic, "will").qos(2).retain();
    let (mut peer, connack) = Peer::accepted(Connect::new(v, &unique("c")).will(will));
    let ruled_out =
        [0x24, 0x25, 0x28, 0x29, 0x2A].map(|id| connack.properties.number(id).filter(|value| *value == 0));
    assert_eq!(ruled_out, [None; 5], "Maximum QoS, Retain, Wildcard, Identifiers or Shared not available");
    peer.subscribe(&format!("$share/group/{topic}/+"), 2);
    peer.subscribe_with(&property::subscription_identifier(1), &topic, 2);
    Peer::new(v).publish(Publish::new(v, &topic, "kept").qos(2, 1).retain());
    assert_eq!(peer.receive().qos, 2);
    peer.leave();
    super::forget(v, &topic);
}

/// A CONNECT with any protocol name, level, flags and payload; the keep alive is a minute.
fn connect_by_hand(v: Version, name: &str, level: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    packet(0x10, &[&text(name), &[level, flags, 0, 60], &properties(v, &[]), payload])
}

fn level(v: Version) -> u8 {
    match v {
        Version::V3 => 4,
        Version::V5 => 5,
    }
}

/// All that comes back on a new connection until the server closes it.
fn answers_to(v: Version, bytes: &[u8]) -> Vec<u8> {
    Peer::sending(v, bytes).rest()
}

fn not_let_in(v: Version, bytes: &[u8]) {
    let answers = answers_to(v, bytes);
    assert!(is_refusal(v, &answers), "{bytes:02X?} was answered with {answers:02X?}");
}

/// Nothing, or one CONNACK with a code other than 0, in the form of either version.
fn is_refusal(v: Version, answers: &[u8]) -> bool {
    match answers {
        [] => true,
        [0x20, 2, 0, code] => *code != 0,
        [0x20, length, 0, code, ..] => {
            v == Version::V5 && *code >= 0x80 && usize::from(*length) + 2 == answers.len()
        }
        _ => false,
    }
}
