//! A CoAP peer on the bench.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::time::Duration;

use bus::{Limits, Reply, Request, Ticket, Transport};
use coap::{Coap, Code, Config, Kind, Message, OptionNumber, RequestsConfig, Token};
use harness::Bench;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn bench() -> Bench {
    bench_with(unasked(Config::default()))
}

/// Nobody is asked by applications; what that takes of whoever names itself is told by the tests of it.
pub fn unasked(config: Config) -> Config {
    Config { requests: RequestsConfig { enabled: false, ..RequestsConfig::default() }, ..config }
}

pub fn bench_with(config: Config) -> Bench {
    Bench::new(&Coap::new(config, Limits::default()), Transport::Datagram)
}

/// A request as the peer sends it: `CON GET ps/a/b?qos=1` with a token and an id.
pub fn request(kind: Kind, method: Code, id: u16, token: &[u8], uri: &str) -> Message {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let message = Message::request(method).with_path(path.split('/')).with_token(Token::new(token));
    let queries = query.split('&').filter(|argument| !argument.is_empty());
    let message = queries.fold(message, |message, argument| message.with_query(argument));
    numbered(message, kind, id)
}

/// The same message with another kind and id.
pub fn numbered(message: Message, kind: Kind, id: u16) -> Message {
    let mut bytes = message.encode();
    let kind = match kind {
        Kind::Confirmable => 0,
        Kind::NonConfirmable => 1,
        Kind::Acknowledgement => 2,
        Kind::Reset => 3,
    };
    bytes[0] = bytes[0] & 0xCF | kind << 4;
    bytes[2..4].copy_from_slice(&id.to_be_bytes());
    Message::decode(&bytes).unwrap()
}

pub fn con(method: Code, id: u16, token: &[u8], uri: &str) -> Vec<u8> {
    request(Kind::Confirmable, method, id, token, uri).encode()
}

pub fn non(method: Code, id: u16, token: &[u8], uri: &str) -> Vec<u8> {
    request(Kind::NonConfirmable, method, id, token, uri).encode()
}

/// A GET that observes.
pub fn observe(id: u16, token: &[u8], uri: &str) -> Vec<u8> {
    let message = request(Kind::Confirmable, Code::GET, id, token, uri).with_observe(0);
    message.encode()
}

pub fn acknowledgement(id: u16) -> Vec<u8> {
    [&[0x60, 0x00][..], &id.to_be_bytes()].concat()
}

pub fn reset(id: u16) -> Vec<u8> {
    [&[0x70, 0x00][..], &id.to_be_bytes()].concat()
}

/// The one datagram that was sent.
pub fn sent(bench: &mut Bench) -> Message {
    let (_, datagram) = bench.sent.pop_front().expect("a datagram");
    assert!(bench.sent.is_empty(), "more than one datagram was sent");
    Message::decode(&datagram).unwrap()
}

/// Opens the session that a request asked for.
pub fn accept(bench: &mut Bench) {
    bench.accept_connect(false);
}

/// Lets the peer observe `uri` with a token; nothing is retained. Returns the subscription's id.
pub fn observing(bench: &mut Bench, id: u16, token: &[u8], uri: &str) -> u32 {
    bench.receive(&observe(id, token, uri));
    if matches!(bench.requests.front(), Some((_, Request::Connect(_)))) {
        accept(bench);
    }
    let subscription = granted(bench);
    if matches!(bench.requests.front(), Some((_, Request::Read(_)))) {
        let (ticket, _) = bench.request();
        bench.reply(ticket, Reply::Read(None));
    }
    let answer = sent(bench);
    assert_eq!((answer.code(), answer.observe().is_some()), (Code::CONTENT, true));
    subscription
}

/// Lets a peer on a stream observe `ps/a` with a token of one byte; returns the subscription's id.
pub fn observing_on_stream(bench: &mut Bench, token: &[u8; 1]) -> u32 {
    // Len 6, TKL 1, GET; Observe 0 (empty), Uri-Path "ps" "a"
    bench.receive(&[b"\x61\x01", &token[..], b"\x60\x52ps\x01a"].concat());
    if matches!(bench.requests.front(), Some((_, Request::Connect(_)))) {
        accept(bench);
    }
    let subscription = granted(bench);
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Read(None));
    let answer = bench.take_sent();
    // Len 2, TKL 1, 2.05; Observe with a number of one byte
    assert!(answer.ends_with(&[b"\x21\x45", &token[..], b"\x61\x01"].concat()), "{answer:02x?}");
    subscription
}

/// Grants the subscription that was asked for; returns its id.
pub fn granted(bench: &mut Bench) -> u32 {
    let (ticket, request) = bench.request();
    let Request::Subscribe(wishes) = request else { panic!("expected a subscribe, found {request:?}") };
    bench.reply(ticket, Reply::Subscribed(vec![Ok(wishes[0].options.qos)]));
    wishes[0].id.0
}

/// Takes the request to publish.
pub fn published(bench: &mut Bench) -> (Ticket, bus::Publish) {
    let (ticket, request) = bench.request();
    let Request::Publish(publish) = request else { panic!("expected a publish, found {request:?}") };
    (ticket, publish)
}

/// The ids of the subscriptions that the connection gave up.
pub fn unsubscribed(bench: &mut Bench) -> Vec<u32> {
    let mut ids = Vec::new();
    while let Some((_, request)) = bench.requests.pop_front() {
        let Request::Unsubscribe(wishes) = request else {
            panic!("expected an unsubscribe, found {request:?}")
        };
        ids.extend(wishes.iter().map(|wish| match wish {
            bus::Unsubscribe::Id(id) => id.0,
            bus::Unsubscribe::Filter(filter) => panic!("unsubscribed from {filter}"),
        }));
    }
    ids
}

pub fn text(message: &Message) -> &str {
    std::str::from_utf8(message.payload()).unwrap()
}

pub fn uint(message: &Message, number: OptionNumber) -> Option<u32> {
    message.uint(number)
}
