use bus::Transport;
use mqtt::{Config, Mqtt, Packet, Version, decode, encode};

use crate::Target;
use crate::conversation::{converse, pieces, small_limits};
use crate::target::owned;

pub(crate) const TARGETS: [Target; 5] = [
    Target { name: "mqtt_decode", run: packets, seeds: every_packet },
    Target { name: "mqtt_connection", run: connection, seeds: connects },
    Target {
        name: "mqtt_connected_3_1",
        run: |input| connected(b"\x10\x0F\0\x06MQIsdp\x03\x02\0\x05\0\x01c", input),
        seeds: v3,
    },
    Target {
        name: "mqtt_connected_3_1_1",
        run: |input| connected(b"\x10\x0D\0\x04MQTT\x04\0\0\x05\0\x01c", input),
        seeds: v3,
    },
    Target { name: "mqtt_connected_5", run: |input| connected(CONNECT_5, input), seeds: v5 },
];

/// Topic alias maximum 2, receive maximum 4, session expiry 60 s.
const CONNECT_5: &[u8] = b"\x10\x19\0\x04MQTT\x05\x00\0\x05\x0B\x11\0\0\0\x3C\x21\0\x04\x22\0\x02\0\x01c";

/// Packets of either direction in every version; whatever can be read is written so that it reads the same.
fn packets(input: &[u8]) {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut rest = input;
        while let Ok(Some((packet, taken))) = decode(rest, version, 64 << 10) {
            assert!(taken > 0 && taken <= rest.len());
            let version = if let Packet::Connect(connect) = &packet { connect.version } else { version };
            let mut written = Vec::new();
            if encode(&packet, version, &mut written).is_ok() {
                let again = decode(&written, version, 64 << 10);
                assert_eq!(again, Ok(Some((packet, written.len()))), "written {written:02X?}");
            }
            rest = &rest[taken..];
        }
    }
}

fn connection(input: &[u8]) {
    converse(&Mqtt::new(config(input), small_limits()), Transport::Stream, pieces(input));
}

fn connected(connect: &[u8], input: &[u8]) {
    let frames = [connect].into_iter().chain(pieces(input));
    converse(&Mqtt::new(config(input), small_limits()), Transport::Stream, frames);
}

/// Every third length of input meets a server where everything is otherwise.
fn config(input: &[u8]) -> Config {
    if !input.len().is_multiple_of(3) {
        return Config::default();
    }
    Config {
        long_client_ids: false,
        response_information: "answers/%c".to_owned(),
        server_reference: "other:1883".to_owned(),
        tell_not_authorized: false,
        wildcard_subscriptions: false,
        subscription_identifiers: false,
        v3_no_local: true,
        keep_alive_multiplier: 1.0,
        topic_aliases_sent: 0,
        ..Config::default()
    }
}

fn connects() -> Vec<Vec<u8>> {
    owned(&[
        &b"\x10\x0F\0\x06MQIsdp\x03\x02\0\x05\0\x01c\xC0\0"[..],
        b"\x10\x0D\0\x04MQTT\x04\x02\0\x05\0\x01c\xE0\0",
        b"\x10\x1B\0\x04MQTT\x04\xC6\0\x05\0\x01c\0\x01w\0\x03bye\0\x01u\0\x01p\xC0\0",
        b"\x10\x10\0\x04MQTT\x05\x02\0\x05\x03\x21\0\x04\0\0\xC0\0",
        b"\x10\x21\0\x04MQTT\x05\x06\0\x05\0\0\x01c\x0A\x18\0\0\0\x05\x02\0\0\0\x09\0\x01w\0\x03bye\xC0\0",
        b"\x10\x16\0\x04MQTT\x05\x02\0\x05\x08\x15\0\x01m\x16\0\x01d\0\x01c\xF0\x0A\x18\x08\x15\0\x01m\x16\0\x01d",
        CONNECT_5,
    ])
}

fn v3() -> Vec<Vec<u8>> {
    owned(&[
        &b"\x82\x08\0\x01\0\x03a/b\x01"[..],
        b"\x82\x0D\0\x02\0\x03a/+\x02\0\x02a#\0\x82\x07\0\x03\0\x02+/\x01",
        b"\x30\x07\0\x03a/b21\x31\x05\0\x03a/b",
        b"\x32\x09\0\x03a/b\0\x0121\x3A\x09\0\x03a/b\0\x0121",
        b"\x34\x09\0\x03a/b\0\x0221\x62\x02\0\x02\x34\x09\0\x03a/b\0\x0221\x62\x02\0\x02",
        b"\x40\x02\0\x01\x50\x02\0\x02\x70\x02\0\x02",
        b"\xA2\x07\0\x04\0\x03a/b\xC0\0\xE0\0",
        b"\x33\x07\0\x03a/b\0\x05",
    ])
}

fn v5() -> Vec<Vec<u8>> {
    owned(&[
        &b"\x82\x0B\0\x01\x02\x0B\x07\0\x03a/b\x2D"[..],
        b"\x82\x12\0\x01\0\0\x0C$share/g/a/+\x01",
        b"\x30\x08\0\x03a/b\0\x32\x31",
        b"\x30\x0B\0\x03a/b\x03\x23\0\x0121\x30\x08\0\0\x03\x23\0\x0121",
        b"\x32\x2E\0\x03a/b\0\x01\x24\x01\x01\x03\0\x0Atext/plain\x08\0\x01r\x09\0\x02co\x02\0\0\0\x3C\x26\0\x01k\0\x01v21",
        b"\x34\x0A\0\x03a/b\0\x02\x0021\x62\x03\0\x02\0\x62\x04\0\x02\0\0",
        b"\x40\x02\0\x01\x40\x04\0\x02\x80\0\x50\x04\0\x03\x10\0\x70\x03\0\x03\x92",
        b"\xA2\x08\0\x04\0\0\x03a/b\xE0\x07\x04\x05\x11\0\0\0\x05",
        b"\xF0\x02\x19\0\xC0\0\xE0\x01\x8E\xE0\0",
    ])
}

/// What servers send, too.
fn every_packet() -> Vec<Vec<u8>> {
    let from_servers = [
        &b"\x20\x02\x01\0"[..],
        b"\x20\x02\0\x05",
        b"\x20\x16\0\0\x13\x21\0\x0A\x24\x01\x25\x01\x27\0\x01\0\0\x12\0\x04auto",
        b"\x90\x05\0\x02\x01\x02\x80",
        b"\x90\x04\0\x02\0\x01\xB0\x04\0\x04\0\x11",
        b"\xB0\x02\0\x04\xD0\0",
        b"\x32\x0B\0\x03a/b\0\x01\x02\x0B\x0721",
    ];
    [connects(), v3(), v5(), owned(&from_servers)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_packets() {
        let read = |input: &[u8], version| {
            let mut rest = input;
            while !rest.is_empty() {
                let (_, taken) =
                    decode(rest, version, 64 << 10).ok().flatten().unwrap_or_else(|| panic!("{input:02X?}"));
                rest = &rest[taken..];
            }
        };
        connects().iter().filter(|seed| seed[8] == 5).for_each(|seed| read(seed, Version::V5));
        connects().iter().filter(|seed| seed[8] != 5).for_each(|seed| read(seed, Version::V311));
        v5().iter().for_each(|seed| read(seed, Version::V5));
        v3().iter().filter(|seed| !seed.starts_with(b"\x82\x0D")).for_each(|seed| read(seed, Version::V311));
    }
}
