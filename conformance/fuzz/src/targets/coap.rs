use std::time::{Duration, Instant};

use bus::{ContentFormat, Outbox, Transport};
use coap::{Block, Coap, Code, Config, Endpoint, Message, OptionNumber, Token, Transmission};

use crate::Target;
use crate::conversation::{converse, converse_knowing, datagrams, joined, small_limits};
use crate::target::owned;

/// The number of the Echo option [RFC9175 2.2].
const ECHO: OptionNumber = OptionNumber(252);

pub(crate) const TARGETS: [Target; 5] = [
    Target { name: "coap_decode", run: decode, seeds: messages },
    Target { name: "coap_endpoint", run: endpoint, seeds: conversations },
    Target { name: "coap_connection", run: connection, seeds: conversations },
    Target { name: "coap_transfers", run: transfers, seeds: transfer_seeds },
    Target { name: "coap_collection", run: collection, seeds: collection_seeds },
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

/// Requests that are well-formed one by one, and blocks of bodies in any order: each eight bytes are one. The client
/// echoes what it is told to.
fn transfers(input: &[u8]) {
    let config = Config { publish_qos: coap::DefaultQos::Qos1, ..Config::default() };
    let mut choices = (1..).zip(input.as_chunks::<8>().0);
    let mut echo = None;
    converse_knowing(&Coap::new(config, small_limits()), Transport::Datagram, |heard| {
        for answer in heard {
            let answer = Message::decode(answer).expect("what is sent is well-formed");
            assert_eq!(answer.unknown_beside_q_block(), None, "{answer:?}");
            echo = answer.option(ECHO).map(<[u8]>::to_vec).or(echo.take());
        }
        choices.next().map(|(id, choice)| block(id, *choice, echo.as_deref()))
    });
}

/// What is asked of the topic collection: each piece is a byte that tells the request, and a payload.
fn collection(input: &[u8]) {
    const PUBSUB: ContentFormat = ContentFormat(606);
    let mut pieces = (1..).zip(datagrams(input));
    let mut path = vec!["pubsub".to_owned(), "1".to_owned()];
    converse_knowing(&Coap::new(Config::default(), small_limits()), Transport::Datagram, |heard| {
        for answer in heard {
            let answer = Message::decode(answer).expect("what is sent is well-formed");
            if let [first, last] = answer.location_path()[..] {
                path = vec![first.to_owned(), last.to_owned()];
            }
        }
        let (id, piece): (u16, _) = pieces.next()?;
        let (what, payload) = piece.split_first().unwrap_or((&0, b""));
        let topic: Vec<&str> = path.iter().map(String::as_str).collect();
        let method = [
            Code::POST,
            Code::FETCH,
            Code::GET,
            Code::FETCH,
            Code::IPATCH,
            Code::POST,
            Code::GET,
            Code::DELETE,
            Code::PUT,
            Code::DELETE,
        ][usize::from(what % 10)];
        let path: &[&str] = match what % 10 {
            0..3 => &["pubsub"],
            3..8 => &topic,
            _ => &["ps", "a"],
        };
        let request = Message::request(method).with_path(path.iter().copied());
        let request = request.with_content_format(PUBSUB).with_payload(payload);
        let mut datagram = request.encode();
        datagram[2..4].copy_from_slice(&id.to_be_bytes());
        Some(datagram)
    });
}

fn collection_seeds() -> Vec<Vec<u8>> {
    let made = b"\x00\xA2\x00\x61a\x02\x6Ccore.ps.data";
    let full = b"\x00\xA7\x00\x61a\x02\x6Ccore.ps.data\x03\x18\x28\x05\xC1\x1A\x77\x35\x94\x00\x06\x05\x07\x18\x3C\x0B\x41x";
    let several: [&[&[u8]]; 6] = [
        &[made, b"\x02", b"\x06", b"\x03\x83\x00\x01\x02", b"\x07"],
        &[full, b"\x01\xA1\x02\x6Ccore.ps.data", b"\x04\xA1\x06\x07", b"\x08x", b"\x09"],
        &[made, b"\x05\xA3\x00\x61a\x02\x6Ccore.ps.data\x06\x09", b"\x06"],
        &[made, b"\x04\xBF\x06\x03\xFF", b"\x03\x9F\x00\xFF"],
        &[b"\x00\xA1\x00\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F"],
        &[b"\x00\xBB\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", b"\x01\xDB\x81\xC1\xC1\xC1"],
    ];
    several.iter().map(|pieces| joined(pieces)).collect()
}

/// One request, or what a client says to an answer.
fn block(
    id: u16,
    [what, how, token, number, size, length, more, tag]: [u8; 8],
    echo: Option<&[u8]>,
) -> Vec<u8> {
    const METHODS: [Code; 8] =
        [Code::GET, Code::PUT, Code::POST, Code::DELETE, Code::FETCH, Code::PATCH, Code::IPATCH, Code::PUT];
    let has = |bit: u8| how & 1 << bit != 0;
    let id = if what & 0x40 != 0 { u16::from(number) } else { id };
    if what & 0xB0 == 0xB0 {
        // An acknowledgement or a Reset of what the server may have sent.
        return [&[0x60 | what & 0x10, 0][..], &u16::from_be_bytes([number, length]).to_be_bytes()].concat();
    }
    let path = ["a", "b", "a/b", "+"][usize::from(what >> 4) % 4];
    let mut message = Message::request(METHODS[usize::from(what) % 8])
        .with_path(["ps", path])
        .with_token(Token::new(&vec![token; usize::from(token % 20)]));
    let block = Block { number: number.into(), more: more & 1 != 0, exponent: size % 8 };
    let mut with = |wanted: bool, option: u16, value: u32| {
        if wanted {
            message = message.clone().with_uint(OptionNumber(option), value);
        }
    };
    with(has(0), 27, block.to_uint()); // Block1
    with(has(1), 23, block.to_uint()); // Block2
    with(has(2), 19, block.to_uint()); // Q-Block1
    with(has(3), 31, block.to_uint()); // Q-Block2
    with(has(3) && more & 2 != 0, 31, block.to_uint() + 16);
    with(has(4), 60, u32::from(length) * 64); // Size1
    with(has(5), 292, tag.into()); // Request-Tag
    with(has(6), 6, (tag & 1).into()); // Observe
    with(has(7), 12, (tag % 4 * 10).into()); // Content-Format
    with(more & 4 != 0, 258, tag.into()); // No-Response
    with(more & 16 != 0, 5, 0); // If-None-Match
    with(more & 32 != 0, 28, 0); // Size2
    if let Some(echo) = echo.filter(|_| more & 8 != 0) {
        message = message.with_option(ECHO, echo);
    }
    let fill = 16_usize << (size % 8).min(6);
    let length = if more & 64 == 0 { fill } else { usize::from(length) };
    let payload = if what % 8 == 0 { 0 } else { length };
    let mut datagram = message.with_payload(vec![tag; payload]).encode();
    datagram[2..4].copy_from_slice(&id.to_be_bytes());
    datagram[0] |= (more & 128) >> 3; // non-confirmable
    datagram
}

/// Uploads, downloads and both, in order and not, whole and broken off.
fn transfer_seeds() -> Vec<Vec<u8>> {
    let put = |number, more| [0x01, 0x01, 3, number, 2, 40, more, 7];
    let tagged = |number, more, tag| [0x01, 0x21, 3, number, 2, 40, more, tag];
    let get = |number| [0x00, 0x02, 4, number, 2, 0, 0, 0];
    let fast = |number: u8, more: u8| [0x01, 0x34, 5, number, 2, 10, more | 128, 9];
    let observing = |number: u8, more: u8| [0x00, 0x48, 6, number, 0, 0, more | 128, 0];
    let missing = |number: u8, more: u8| [0x00, 0x08, 9, number, 0, 0, more | 128, 0];
    let several: [&[[u8; 8]]; 12] = [
        &[put(0, 1), put(1, 1), put(2, 0)],
        &[put(0, 1), put(2, 1), put(1, 0)],
        &[put(0, 1), put(0, 1), put(1, 64), get(0), get(1), get(2)],
        &[tagged(0, 1, 1), tagged(0, 1, 2), tagged(1, 0, 1), tagged(1, 0, 2)],
        &[[0x00, 0x42, 4, 0, 0, 0, 0, 0], get(1), get(2), [0x00, 0x42, 4, 0, 0, 0, 0, 1]],
        &[fast(0, 1), fast(1, 1), fast(3, 1), fast(2, 1), fast(4, 0)],
        &[
            fast(8, 1),
            fast(0, 1),
            fast(2, 1),
            fast(1, 1),
            fast(1, 1),
            fast(7, 1),
            fast(6, 1),
            fast(5, 1),
            fast(9, 0),
            fast(4, 1),
            fast(3, 1),
            fast(9, 0),
        ],
        &[fast(0, 1), fast(9, 0), missing(0, 1), fast(5, 1), missing(1, 2), missing(10, 1)],
        &[put(0, 1), put(1, 1), put(2, 64), observing(0, 1), missing(1, 2), missing(2, 1), missing(10, 1)],
        &[observing(0, 1), missing(0, 0), observing(0, 1), missing(1, 1), [0x00, 0x48, 6, 0, 0, 0, 129, 1]],
        &[[0x00, 0x08, 6, 0, 2, 0, 1, 0], [0x00, 0x08, 6, 3, 2, 0, 2, 0], [0xB0, 0, 0, 1, 0, 2, 0, 0]],
        &[[0x04, 0x83, 3, 0, 1, 9, 1, 1], [0x04, 0x83, 3, 1, 1, 9, 0, 1], [0x06, 0x81, 3, 0, 1, 9, 1, 2]],
    ];
    several.iter().map(|blocks| blocks.concat()).collect()
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
        b"\x41\x02\x00\x0C\xAA\xB6pubsub\x12\x02\x5E\xFF\xA5\x00\x61a\x02\x6Ccore.ps.data\x03\x18\x3C\x06\x02\x08\x41\x80",
        b"\x41\x05\x00\x0D\xAA\xB6pubsub\x12\x02\x5E\xFF\xA2\x00\x61a\x05\xC1\x1A\x70\x00\x00\x00",
        b"\x41\x05\x00\x0E\xAA\xB6pubsub\x011\x11\x3C\xFF\x83\x00\x03\x05",
        b"\x41\x07\x00\x0F\xAA\xB6pubsub\x011\x12\x02\x5E\xFF\xA1\x07\x0A",
    ])
}

/// The same as datagrams of one peer.
pub(super) fn conversations() -> Vec<Vec<u8>> {
    let messages = messages();
    let all: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let pairs = all.windows(2).map(joined);
    std::iter::once(joined(&all)).chain(pairs).collect()
}
