use bus::Transport;
use mqtt_sn::{Config, MqttSn, decode};

use crate::Target;
use crate::conversation::{converse, datagrams, joined, small_limits};
use crate::target::owned;

pub(crate) const TARGETS: [Target; 3] = [
    Target { name: "mqtt_sn_decode", run: packets, seeds: messages },
    Target { name: "mqtt_sn_connection", run: connection, seeds: conversations },
    Target { name: "mqtt_sn_connected", run: connected, seeds: conversations },
];

/// CleanSession, 60 s, client id `c`.
const CONNECT: &[u8] = b"\x07\x04\x04\x01\0\x3Cc";

/// Whatever can be read is written so that it reads the same.
fn packets(input: &[u8]) {
    let Ok(packet) = decode(input) else { return };
    let mut written = Vec::new();
    if packet.encode(&mut written).is_ok() {
        assert_eq!(written.len(), packet.encoded_length());
        assert_eq!(decode(&written), Ok(packet), "written {written:02X?}");
    }
}

fn connection(input: &[u8]) {
    converse(&MqttSn::new(Config::default(), small_limits()), Transport::Datagram, datagrams(input));
}

fn connected(input: &[u8]) {
    let frames = [CONNECT].into_iter().chain(datagrams(input));
    converse(&MqttSn::new(Config::default(), small_limits()), Transport::Datagram, frames);
}

/// Single messages.
fn messages() -> Vec<Vec<u8>> {
    owned(&[
        CONNECT,
        b"\x07\x04\x0C\x01\0\x3Cc",
        b"\x05\x07\x10wt",
        b"\x05\x09bye",
        b"\x09\x0A\0\0\0\x01a/b",
        b"\x08\x12\x20\0\x02a/+",
        b"\x09\x12\x40\0\x03a/b",
        b"\x07\x12\x02\0\x04ab",
        b"\x09\x0C\x20\0\x01\0\x0521",
        b"\x09\x0C\x42\x61\x62\0\x0621",
        b"\x09\x0C\x61\0\x01\0\0\x3221",
        b"\x07\x0D\0\x01\0\x05\0",
        b"\x04\x10\0\x06",
        b"\x04\x0F\0\x01",
        b"\x04\x0E\0\x01",
        b"\x07\x0B\0\x01\0\x01\0",
        b"\x08\x14\0\0\x07a/b",
        b"\x02\x16",
        b"\x03\x16c",
        b"\x02\x18",
        b"\x04\x18\0\x0A",
        b"\x05\x1A\x10wu",
        b"\x03\x1Cx",
        b"\x03\x01\0",
        b"\x05\xFE\x01n1\x07\x04\x04\x01\0\x3Cc",
        b"\x01\0\x0B\x0C\x20\0\x01\0\x0521",
    ])
}

/// The same as datagrams of one peer.
fn conversations() -> Vec<Vec<u8>> {
    let messages = messages();
    let all: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let life = [0, 4, 5, 8, 6, 9, 7, 19, 18, 17].map(|index: usize| all[index]);
    std::iter::once(joined(&life)).chain(all.windows(3).map(joined)).collect()
}
