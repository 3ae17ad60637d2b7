use std::time::{Duration, Instant};

use bus::{Outbox, Transport};
use coap::{Coap, Config, Endpoint, Message, Transmission};

use crate::Target;
use crate::conversation::{converse, datagrams, joined, small_limits};
use crate::target::owned;

pub(crate) const TARGETS: [Target; 3] = [
    Target { name: "coap_decode", run: decode, seeds: messages },
    Target { name: "coap_endpoint", run: endpoint, seeds: conversations },
    Target { name: "coap_connection", run: connection, seeds: conversations },
];

/// Whatever can be read is written so that it reads the same.
fn decode(input: &[u8]) {
    let Ok(message) = Message::decode(input) else { return };
    let (_, _, _) = (message.uri_path(), message.location_path(), message.unknown_critical_option());
    let (_, _, _) = (message.observe(), message.block1(), message.block2());
    let again = Message::decode(&message.encode()).expect("what was encoded is a message");
    assert_eq!((again.code(), again.id(), again.token()), (message.code(), message.id(), message.token()));
    assert_eq!((again.payload(), again.uri_path()), (message.payload(), message.uri_path()));
}

fn endpoint(input: &[u8]) {
    let mut endpoint = Endpoint::new(42, Transmission::default(), &small_limits(), 1152);
    let mut now = Instant::now();
    for datagram in datagrams(input) {
        let mut out = Outbox::new(Transport::Datagram);
        endpoint.receive(datagram, now, &mut out);
        now += Duration::from_millis(u64::from(datagram.first().copied().unwrap_or(1)) * 17);
        if endpoint.deadline().is_some_and(|deadline| deadline <= now) {
            endpoint.expire(now, &mut out);
        }
        assert!(out.pending_bytes() <= 4 << 10, "{} bytes for one datagram", out.pending_bytes());
    }
}

fn connection(input: &[u8]) {
    converse(&Coap::new(Config::default(), small_limits()), Transport::Datagram, datagrams(input));
}

/// Single messages.
pub(super) fn messages() -> Vec<Vec<u8>> {
    owned(&[
        &b"\x41\x01\x00\x01\xAA\xB2ps\x01a\x01b"[..],
        b"\x41\x01\x00\x02\xAA\x60\x52ps\x01a",
        b"\x44\x02\x00\x03abcd\xB2ps\x04temp\x11\x32\x3Dhretain=true\xFF{\"v\":1}",
        b"\x51\x03\x00\x04\xAA\xB2ps\x01a\xC0\xFF21.5",
        b"\x41\x02\x00\x05\xAA\xB2rd\x3D\x01ep=urn:dev:1\x04lt=9\xFF</3/0>",
        b"\x41\x03\x00\x06\xAA\xB2ps\x01b\xD1\x03\x08\xFF0123456789abcdef",
        b"\x41\x01\x00\x07\xAA\xBB.well-known\x04core",
        b"\x60\x00\x00\x07",
        b"\x70\x00\x00\x08",
        b"\x40\x00\x00\x09",
        b"\x61\x45\x00\x0A\xAA\x61\x05\xFFhello",
        b"\x41\x04\x00\x0B\xAA\xB2ps\x01a",
    ])
}

/// The same as datagrams of one peer.
pub(super) fn conversations() -> Vec<Vec<u8>> {
    let messages = messages();
    let all: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let pairs = all.windows(2).map(joined);
    std::iter::once(joined(&all)).chain(pairs).collect()
}
