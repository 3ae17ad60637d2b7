use bus::Transport;
use coap::{Capabilities, Coap, Code, Config, Frame, Framing, Message, Signal, Token};

use crate::Target;
use crate::conversation::{converse, pieces, small_limits};
use crate::target::owned;

pub(crate) const TARGETS: [Target; 4] = [
    Target { name: "coap_stream_frames", run: frames, seeds: streams },
    Target { name: "coap_stream_signals", run: signals, seeds: signal_seeds },
    Target { name: "coap_stream_connection", run: connection, seeds: streams },
    Target { name: "coap_stream_connected", run: connected, seeds: streams },
];

/// Each message has one form only, and none is longer than the limit.
fn frames(input: &[u8]) {
    const MOST: usize = 300;
    for framing in [Framing::Tcp, Framing::WebSocket] {
        let mut rest = input;
        while let Ok(Some((frame, taken))) = framing.decode(rest, MOST) {
            assert!(framing.length(&frame) <= MOST && taken <= rest.len(), "{frame:?}");
            let mut again = Vec::new();
            framing.encode(&frame, &mut again);
            assert_eq!(again, rest[..taken]);
            let begun = framing.decode(&rest[..taken - 1], MOST);
            assert_eq!(begun, Ok(None), "a message that is not whole is no error");
            rest = &rest[taken..];
        }
    }
}

/// What a signal says, it says again when it is written.
fn signals(input: &[u8]) {
    let Some((code, body)) = input.split_first() else { return };
    let code = Code::new(7, *code);
    let Ok(message) = Message::from_parts(code, Token::default(), body) else { return };
    let Ok(signal) = Signal::read(&message) else { return };
    if let Signal::Csm(csm) = &signal {
        let mut peer = Capabilities::default();
        peer.apply(csm);
        assert!(peer.max_message_size >= 64 && (8..=65_804).contains(&peer.token_length));
    }
    let written = signal.write(Token::default());
    let parts = written.encode_options_and_payload();
    let again = Message::from_parts(written.code(), Token::default(), &parts).expect("what was written");
    assert_eq!(Signal::read(&again), Ok(signal));
}

fn connection(input: &[u8]) {
    converse(&Coap::new(Config::default(), small_limits()), Transport::Stream, pieces(input));
}

fn connected(input: &[u8]) {
    let frames = [&b"\x30\xE1\x22\x20\x00"[..]].into_iter().chain(pieces(input));
    converse(&Coap::new(Config::default(), small_limits()), Transport::Stream, frames);
}

fn signal_seeds() -> Vec<Vec<u8>> {
    owned(&[
        &b"\x01\x23\x01\x00\x00\x20\x21\x40"[..],
        b"\x02\x20",
        b"\x03",
        b"\x04\x2D\x00other.example\x21\x3C\xFFBye.",
        b"\x05\x21\x04\xFFNo.",
    ])
}

/// The messages of single requests, as datagrams have them, on a stream; and signals between them.
fn streams() -> Vec<Vec<u8>> {
    let framed = |framing: Framing, message: &Message| {
        let body = message.encode_options_and_payload();
        let mut bytes = Vec::new();
        let token = message.token();
        framing.encode(&Frame { code: message.code(), token: token.as_slice(), body: &body }, &mut bytes);
        bytes
    };
    let messages: Vec<Message> =
        super::coap::messages().iter().filter_map(|datagram| Message::decode(datagram).ok()).collect();
    let mut seeds: Vec<Vec<u8>> = messages.iter().map(|message| framed(Framing::Tcp, message)).collect();
    let csm = owned(&[&b"\x00\xE1"[..]]);
    seeds.push([csm.concat(), seeds.concat()].concat());
    seeds.push(messages.iter().flat_map(|message| framed(Framing::WebSocket, message)).collect());
    seeds.extend(owned(&[
        &b"\x60\xE1\x23\x01\x00\x00\x41\x40\x11\xE2p\x20\x01\xE2q"[..],
        b"\x00\xE1\xA1\x03\xBB\xB2ps\x01a\xFF21.5\x11\xE2p\x20\x00\xE4",
        b"\x00\xE1\x61\x01t\x60\x52ps\x01a\x00\x00\x71\x01t\x61\x01\x52ps\x01a\x50\xE5\xFFBye!",
        b"\xD1\x00\x01t\xB9some-path\x05thing",
        b"\x0D\x01\x070123456789abcdefghij",
    ]));
    seeds
}
