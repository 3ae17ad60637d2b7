use super::*;
use crate::codec::Version;
use crate::samples::{Chance, VERSIONS};

#[test]
fn tls_and_other_protocols_on_the_plain_port_are_named() {
    let cases: [(&[u8], Reason); 6] = [
        (b"\x16\x03\x01\x02\x00\x01", Reason::TlsOnPlainPort),
        (b"GET / HTTP/1.1\r\n", Reason::WrongProtocol),
        (b"PRI * HTTP/2.0\r\n", Reason::WrongProtocol),
        (b"CONNECT\naccept-version:1.2\n\n\0", Reason::WrongProtocol),
        (b"PROXY TCP4", Reason::WrongProtocol),
        (b"SSH-2.0-", Reason::WrongProtocol),
    ];
    for (bytes, reason) in cases {
        let mut whole = bench();
        whole.receive(bytes);
        let mut bytewise = bench();
        bytes.iter().for_each(|byte| bytewise.receive(&[*byte]));
        assert_eq!((whole.closed, bytewise.closed), (Some(reason), Some(reason)), "{bytes:02X?}");
        assert!(whole.take_sent().is_empty());
    }
}

/// One packet after another, each with every end and many changed bytes, on a connection in each state.
#[test]
fn no_bytes_make_a_connection_panic() {
    let mut chance = Chance::new(5);
    for (version, last) in VERSIONS {
        for kind in 1..=last {
            let original = chance.encoded(kind, version);
            for index in 0..original.len() {
                feed(&original[..index], version);
                for value in [0, 0x7F, 0xFF, original[index] ^ 1] {
                    let mut bytes = original.clone();
                    bytes[index] = value;
                    feed(&bytes, version);
                }
            }
        }
    }
}

fn feed(bytes: &[u8], version: Version) {
    bench().receive(bytes);
    let mut bench = connected(match version {
        Version::V31 => CONNECT_31,
        Version::V311 => CONNECT_311,
        Version::V5 => CONNECT_5,
    });
    bench.receive(&[b"\xC0\x00", bytes, b"\xC0\x00"].concat());
    while let Some((ticket, _)) = bench.requests.pop_front() {
        bench.refuse(ticket, Reason::NotAuthorized);
    }
    bench.handle(bus::Event::Close(Reason::ShuttingDown));
    assert!(bench.closed.is_some());
}
