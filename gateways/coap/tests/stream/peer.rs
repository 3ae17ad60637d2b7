//! A peer whose bytes come on a stream.

use bus::{Carrier, Limits, Link, Transport};
use coap::{Coap, Code, Config, Frame, Framing, Message, Token};
use harness::Bench;

use super::common::{done, let_in};

/// The first CSM of the server: Max-Message-Size 65,536, Block-Wise-Transfer, Extended-Token-Length 64.
pub(crate) const OURS: &[u8] = b"\x70\xE1\x23\x01\x00\x00\x20\x21\x40";

/// The second one, once the peer has a session: Max-Message-Size 1,048,576.
pub(crate) const LET_IN: &[u8] = b"\x40\xE1\x23\x10\x00\x00";

/// A CSM without options.
pub(crate) const CSM: &[u8] = b"\x00\xE1";

pub(crate) fn over(carrier: Carrier, config: Config, limits: Limits) -> Bench {
    let link = Link { carrier, secured: None };
    Bench::over(&Coap::new(config, limits), Transport::Stream, link)
}

/// A peer that has said nothing yet.
pub(crate) fn stranger() -> Bench {
    over(Carrier::Tcp, Config::default(), Limits::default())
}

/// A peer with which CSMs were exchanged.
pub(crate) fn open() -> Bench {
    open_with(Config::default())
}

pub(crate) fn open_with(config: Config) -> Bench {
    let mut bench = over(Carrier::Tcp, config, Limits::default());
    bench.receive(CSM);
    assert_eq!(bench.take_sent(), OURS);
    bench
}

/// A peer that has a session too.
pub(crate) fn in_session() -> Bench {
    let mut bench = open();
    publish(&mut bench, b"\x00");
    bench
}

/// Lets the peer publish, which opens its session if there is none.
pub(crate) fn publish(bench: &mut Bench, token: &[u8]) {
    bench.receive(&tcp(Code::PUT, token, "ps/a", "x"));
    let_in(bench);
    done(bench);
    let answers = answers(bench);
    let answer = answers.last().expect("an answer");
    assert_eq!((answer.code(), answer.token()), (Code::CHANGED, Token::new(token)));
}

/// A request as it stands in a stream of TCP.
pub(crate) fn tcp(method: Code, token: &[u8], path: &str, payload: &str) -> Vec<u8> {
    framed(Framing::Tcp, token, &Message::request(method).with_path(path.split('/')).with_payload(payload))
}

pub(crate) fn framed(framing: Framing, token: &[u8], message: &Message) -> Vec<u8> {
    let body = message.encode_options_and_payload();
    let mut bytes = Vec::new();
    framing.encode(&Frame { code: message.code(), token, body: &body }, &mut bytes);
    bytes
}

/// All messages that were sent over TCP since last asked.
pub(crate) fn answers(bench: &mut Bench) -> Vec<Message> {
    read_all(Framing::Tcp, &bench.take_sent())
}

pub(crate) fn read_all(framing: Framing, mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some((frame, length)) = framing.decode(bytes, usize::MAX).unwrap() {
        messages.push(Message::from_parts(frame.code, Token::new(frame.token), frame.body).unwrap());
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "half a message was sent: {bytes:02x?}");
    messages
}

/// The one message that was sent.
pub(crate) fn answer(bench: &mut Bench) -> Message {
    let mut answers = answers(bench);
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// The diagnostic of the Abort that ended the connection.
pub(crate) fn aborted(bench: &mut Bench) -> String {
    let answers = answers(bench);
    let abort = answers.last().expect("an Abort");
    assert_eq!(abort.code(), Code::ABORT, "{answers:?}");
    assert!(bench.closed.is_some(), "the connection goes on");
    String::from_utf8(abort.payload().to_vec()).unwrap()
}
