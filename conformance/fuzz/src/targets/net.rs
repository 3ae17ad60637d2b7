use std::time::Duration;

use bus::Address;
use net::web_socket::{Config, Decoder, Said, handshake};
use net::{Progress, ProxyConfig};

use crate::Target;
use crate::target::owned;

pub(crate) const TARGETS: [Target; 4] = [
    Target { name: "net_web_socket_frames", run: frames, seeds: frame_seeds },
    Target { name: "net_web_socket_messages", run: messages, seeds: frame_seeds },
    Target { name: "net_web_socket_handshake", run: requests, seeds: request_seeds },
    Target { name: "net_proxy_header", run: header, seeds: header_seeds },
];

/// The longest frame that is taken here.
const FRAME: u64 = 4096;

/// A client's frames, whole and byte by byte: both must come to the same, but for how much of a text is had before its
/// fault shows.
fn frames(input: &[u8]) {
    for takes_text in [false, true] {
        let whole = decoded(input, input.len().max(1), takes_text);
        for step in [1, 3] {
            let pieces = decoded(input, step, takes_text);
            assert_eq!((&whole.1, whole.2), (&pieces.1, pieces.2));
            assert!(pieces.0 == whole.0 || whole.2 == Some(1007) && pieces.0.starts_with(&whole.0));
        }
    }
}

/// The payload, what was said, and whether there was a fault.
/// Messages end where they end however the bytes are cut, and none is longer than the limit.
fn messages(input: &[u8]) {
    const MOST: usize = 100;
    let lengths = |step: usize| {
        let mut decoder = Decoder::new(false, FRAME).by_message(MOST as u64);
        let (mut lengths, mut begun) = (Vec::new(), 0);
        for piece in input.chunks(step) {
            let mut piece = piece.to_vec();
            let decoded = decoder.decode(&mut piece);
            let mut start = 0;
            for end in decoded.ends {
                assert!(start <= end && end <= decoded.payload, "a message ends outside of the payload");
                lengths.push(begun + end - start);
                (start, begun) = (end, 0);
            }
            begun += decoded.payload - start;
            if decoded.fault.is_some() || decoded.said.last() == Some(&Said::Close) {
                break;
            }
            assert!(begun <= MOST, "more than a message is kept");
        }
        assert!(lengths.iter().all(|length| *length <= MOST), "a message is too long");
        lengths
    };
    assert_eq!(lengths(input.len().max(1)), lengths(1));
}

fn decoded(input: &[u8], step: usize, takes_text: bool) -> (Vec<u8>, Vec<Said>, Option<u16>) {
    let mut decoder = Decoder::new(takes_text, FRAME);
    let (mut payload, mut said) = (Vec::new(), Vec::new());
    for piece in input.chunks(step) {
        let mut piece = piece.to_vec();
        let decoded = decoder.decode(&mut piece);
        payload.extend_from_slice(&piece[..decoded.payload]);
        said.extend(decoded.said);
        if decoded.fault.is_some() || said.contains(&Said::Close) {
            return (payload, said, decoded.fault.map(|fault| fault.code));
        }
    }
    (payload, said, None)
}

fn frame_seeds() -> Vec<Vec<u8>> {
    owned(&[
        b"\x82\x8f\x01\x02\x03\x04\x11\x0f\x03\x00LSWP\x05\x00\x03\x38\x01\x03`".as_slice(),
        b"\x02\x82\0\0\0\0\xc0\0\x89\x85\0\0\0\0hello\x80\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8",
        b"\x01\x83\0\0\0\0a\xe2\x82\x80\x81\0\0\0\0\xac",
        b"\x82\xfe\0\x80\x01\x02\x03\x04",
        b"\x82\xff\0\0\0\0\0\x01\0\0\x01\x02\x03\x04",
        b"\x8a\x80\0\0\0\0",
    ])
}

/// A request of HTTP, from a proxy and from somebody else.
fn requests(input: &[u8]) {
    let config = Config {
        paths: vec!["/mqtt".to_owned()],
        subprotocols: vec!["mqtt".to_owned(), String::new()],
        origins: Vec::new(),
        max_frame: 4096,
        takes_text: false,
        max_message: None,
        max_message_before: 4096,
    };
    let proxies = ["10.0.0.0/8".parse().expect("a network")];
    for address in ["127.0.0.1:1", "10.0.0.1:1", "192.0.2.7:1"] {
        let address = Address::Socket(address.parse().expect("an address"));
        match handshake(input, address, &config, &proxies) {
            Ok(Some(accepted)) => {
                assert!(accepted.length <= input.len() && accepted.answer.starts_with(b"HTTP/1.1 101 "));
            }
            Ok(None) => assert!(input.len() < 8 * 1024),
            Err(refusal) => assert!(refusal.answer.is_none_or(|answer| answer.starts_with("HTTP/1.1 4"))),
        }
    }
}

fn request_seeds() -> Vec<Vec<u8>> {
    let head = "GET /mqtt HTTP/1.1\r\nHost: broker.example:8083\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let with = |more: &str| format!("{head}{more}\r\n");
    owned(&[
        with("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n"),
        with("Origin: http://localhost:3000\r\n"),
        with("X-Forwarded-For: 203.0.113.9, 10.1.1.1\r\nOrigin: https://broker.example\r\n"),
        "GET / HTTP/1.1\r\nHost: [::1]:8083\r\n\r\n".to_owned(),
    ])
}

/// A header of the PROXY protocol, read as from a socket: it never wants more than is its own.
fn header(input: &[u8]) {
    for (v1, v2) in [(true, true), (true, false), (false, true)] {
        let config = ProxyConfig { v1, v2, sources: Vec::new(), timeout: Duration::ZERO };
        let mut taken = 0;
        while let Ok(Progress::More(more)) = config.parse(&input[..taken]) {
            assert!(more > 0 && taken + more <= 4096);
            taken += more;
            if taken > input.len() {
                break;
            }
        }
    }
}

fn header_seeds() -> Vec<Vec<u8>> {
    owned(&[
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n".as_slice(),
        b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 1883\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x07\x5b",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x26\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x07\x5b\
          \x02\0\x03a.b\x20\0\x11\x03\0\0\0\0\x21\0\x03TLS\x22\0\x03dev",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ])
}
