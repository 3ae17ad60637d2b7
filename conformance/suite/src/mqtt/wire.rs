//! Packets as bytes.

use super::Version;

/// PINGREQ.
pub const PINGREQ: [u8; 2] = [0xC0, 0];
/// PINGRESP.
pub const PINGRESP: [u8; 2] = [0xD0, 0];
/// DISCONNECT with the code 0, which both versions may leave out.
pub const DISCONNECT: [u8; 2] = [0xE0, 0];

/// A packet: its first byte, the length of what follows, and that.
pub fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[first][..], &length(body.len()), &body].concat()
}

/// A variable byte integer.
pub fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Text, or any bytes, behind their length in two bytes.
pub fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

/// The properties behind their length; nothing in MQTT 3.1.1.
pub fn properties(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V3 => Vec::new(),
        Version::V5 => [&length(properties.len())[..], properties].concat(),
    }
}

/// A SUBSCRIBE for filters, each with its options byte.
pub fn subscribe(version: Version, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    subscribe_with(version, id, &[], filters)
}

/// A SUBSCRIBE with properties.
pub fn subscribe_with(version: Version, id: u16, with: &[u8], filters: &[(&str, u8)]) -> Vec<u8> {
    let filters: Vec<u8> =
        filters.iter().flat_map(|(filter, options)| [text(filter), vec![*options]].concat()).collect();
    packet(0x82, &[&id.to_be_bytes(), &properties(version, with), &filters])
}

/// An UNSUBSCRIBE.
pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<u8> = filters.iter().flat_map(text).collect();
    packet(0xA2, &[&id.to_be_bytes(), &properties(version, &[]), &filters])
}

/// A PUBACK.
pub fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &[&id.to_be_bytes()])
}

/// A PUBREC.
pub fn pubrec(id: u16) -> Vec<u8> {
    packet(0x50, &[&id.to_be_bytes()])
}

/// A PUBREL.
pub fn pubrel(id: u16) -> Vec<u8> {
    packet(0x62, &[&id.to_be_bytes()])
}

/// A PUBCOMP.
pub fn pubcomp(id: u16) -> Vec<u8> {
    packet(0x70, &[&id.to_be_bytes()])
}
