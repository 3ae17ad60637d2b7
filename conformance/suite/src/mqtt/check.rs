use super::{Packet, Version};

/// Panics if the packet is one that no server may send, whatever the test is about.
pub(super) fn check(packet: &Packet) {
    let (body, low) = (packet.body(), packet.first() & 0x0F);
    match (packet.kind(), packet.version()) {
        (2, version) => {
            assert!(body[0] <= 1, "reserved flags are set: {packet:?}");
            assert!(body[1] == 0 || body[0] == 0, "a refusal with session present: {packet:?}");
            one_of(packet, body[1], connack_codes(version));
        }
        (3, _) => check_publish(packet),
        (4..=7, version) => {
            assert_ne!(packet.id(), 0, "the packet id is 0: {packet:?}");
            assert!(version == Version::V5 || body.len() == 2, "too long: {packet:?}");
            one_of(packet, packet.code(), ack_codes(packet.kind()));
        }
        (9, version) => packet.codes().2.iter().for_each(|code| one_of(packet, *code, suback_codes(version))),
        (11, Version::V3) => assert_eq!(body.len(), 2, "an UNSUBACK without codes: {packet:?}"),
        (11, Version::V5) => {
            let codes = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
            packet.codes().2.iter().for_each(|code| one_of(packet, *code, codes));
        }
        (13, _) => assert!(body.is_empty(), "a PINGRESP is two bytes: {packet:?}"),
        (14, Version::V5) => {
            let codes = &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
                0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
            ];
            one_of(packet, packet.code(), codes);
            assert_eq!(packet.properties().one(0x11), None, "a session expiry from the server: {packet:?}");
        }
        (15, Version::V5) => one_of(packet, packet.code(), &[0x00, 0x18]),
        _ => panic!("a server may not send {packet:?}"),
    }
    let wanted = if packet.kind() == 6 { 2 } else { 0 };
    assert!(packet.kind() == 3 || low == wanted, "the low bits are not {wanted:#04X}: {packet:?}");
    check_properties(packet);
}

fn check_publish(packet: &Packet) {
    let delivery = packet.delivery();
    assert!(delivery.qos < 3, "both QoS bits are set: {packet:?}");
    assert!(delivery.qos > 0 || !delivery.dup, "QoS 0 with DUP: {packet:?}");
    assert!(delivery.qos == 0 || delivery.id != 0, "the packet id is 0: {packet:?}");
    let alias = delivery.properties.number(0x23);
    assert!(!delivery.topic.is_empty() || alias.is_some(), "neither topic nor alias: {packet:?}");
    assert_ne!(alias, Some(0), "an alias of 0: {packet:?}");
    assert!(!delivery.topic.contains(['#', '+', '\0']), "no topic name: {packet:?}");
}

/// Every property may stand in its packet, and only User Property and Subscription Identifier more than once.
fn check_properties(packet: &Packet) {
    if packet.version() == Version::V3 {
        return;
    }
    let (properties, allowed): (_, &[u8]) = match packet.kind() {
        2 => (
            packet.connack().properties,
            &[
                0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28,
                0x29, 0x2A,
            ],
        ),
        3 => (packet.delivery().properties, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
        4..=7 => (packet.properties(), &[0x1F, 0x26]),
        9 | 11 => (packet.codes().1, &[0x1F, 0x26]),
        14 => (packet.properties(), &[0x11, 0x1C, 0x1F, 0x26]),
        15 => (packet.properties(), &[0x15, 0x16, 0x1F, 0x26]),
        _ => return,
    };
    for (id, _) in &properties.0 {
        one_of(packet, *id, allowed);
        assert!(
            matches!(id, 0x0B | 0x26) || properties.all(*id).len() == 1,
            "{id:#04X} is there twice: {packet:?}"
        );
    }
}

fn connack_codes(version: Version) -> &'static [u8] {
    match version {
        Version::V3 => &[0, 1, 2, 3, 4, 5],
        Version::V5 => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
            0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
    }
}

fn ack_codes(kind: u8) -> &'static [u8] {
    match kind {
        4 | 5 => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        _ => &[0x00, 0x92],
    }
}

fn suback_codes(version: Version) -> &'static [u8] {
    match version {
        Version::V3 => &[0x00, 0x01, 0x02, 0x80],
        Version::V5 => &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
    }
}

fn one_of(packet: &Packet, value: u8, allowed: &[u8]) {
    assert!(allowed.contains(&value), "{value:#04X} may not stand in {packet:?}");
}
