//! A CoAP peer on the bench.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus::{
    Address, Carrier, Judgement, Limits, Link, Peer, Qos, Reason, Reply, Request, Right, Secured, Ticket,
    Transport,
};
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

/// A peer on UDP at 203.0.113.7, an address that may be forged.
pub fn far_away(config: Config, secured: Option<Arc<Secured>>) -> Bench {
    let link = Link { carrier: Carrier::Udp, secured };
    let address = ([203, 0, 113, 7], 5_683).into();
    Bench::with_peer_at(address, &Coap::new(config, Limits::default()), Transport::Datagram, link)
}

/// A peer within the server.
pub fn internal_peer() -> Peer {
    Peer {
        address: Address::Internal,
        listener: "bench".into(),
        transport: Transport::Datagram,
        seed: 7,
        link: Link::default(),
    }
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

/// The same, if one was asked for.
pub fn let_in(bench: &mut Bench) {
    if matches!(bench.requests.front(), Some((_, Request::Connect(_)))) {
        accept(bench);
    }
}

/// Lets the peer observe `uri` with a token; nothing is retained. Returns the subscription's id.
pub fn observing(bench: &mut Bench, id: u16, token: &[u8], uri: &str) -> u32 {
    bench.receive(&observe(id, token, uri));
    let_in(bench);
    let subscription = granted(bench);
    if matches!(bench.requests.front(), Some((_, Request::Read(_)))) {
        found_nothing(bench);
    }
    let answer = sent(bench);
    assert_eq!((answer.code(), answer.observe().is_some()), (Code::CONTENT, true));
    subscription
}

/// Lets a peer on a stream observe `ps/a` with a token of one byte; returns the subscription's id.
pub fn observing_on_stream(bench: &mut Bench, token: &[u8; 1]) -> u32 {
    // Len 6, TKL 1, GET; Observe 0 (empty), Uri-Path "ps" "a"
    bench.receive(&[b"\x61\x01", &token[..], b"\x60\x52ps\x01a"].concat());
    let_in(bench);
    let subscription = granted(bench);
    found_nothing(bench);
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

/// Does what was asked to publish.
pub fn done(bench: &mut Bench) {
    let (ticket, _) = published(bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
}

/// Brings the retained message that was asked for.
pub fn found(bench: &mut Bench, message: impl Into<Option<Arc<bus::Message>>>) {
    let (ticket, request) = bench.request();
    assert!(matches!(request, Request::Read(_)), "expected a read, found {request:?}");
    bench.reply(ticket, Reply::Read(message.into()));
}

pub fn found_nothing(bench: &mut Bench) {
    found(bench, None);
}

pub fn found_text(bench: &mut Bench, payload: &str) {
    found(bench, harness::message("a", payload, Qos::AtMostOnce, bench.now));
}

/// Answers the question what the client may do; returns what was asked.
pub fn judge(bench: &mut Bench, allowed: Result<(), Reason>) -> Vec<Right> {
    let (ticket, asked) = bench.request();
    let Request::Judge(rights) = asked else { panic!("expected a question, found {asked:?}") };
    let judgements = rights.iter().map(|right| judgement(right, allowed)).collect();
    bench.reply(ticket, Reply::Judged { judgements, time: None });
    rights
}

fn judgement(right: &Right, allowed: Result<(), Reason>) -> Judgement {
    let (Right::Publish(topic) | Right::Read(topic) | Right::Name(topic)) = right;
    Judgement { topic: topic.clone(), allowed, retained: false }
}

/// Does what is asked, with this on every topic; returns the subscription that was made last.
pub fn serve(bench: &mut Bench, retained: Option<&Arc<bus::Message>>) -> Option<u32> {
    let mut subscription = None;
    while let Some((ticket, request)) = bench.requests.pop_front() {
        match request {
            _ if ticket == Ticket::NONE => {}
            Request::Connect(_) => {
                bench.requests.push_front((ticket, request));
                accept(bench);
            }
            Request::Publish(_) => bench.reply(ticket, Reply::Published { matched: 1 }),
            Request::Read(_) => bench.reply(ticket, Reply::Read(retained.cloned())),
            Request::Unsubscribe(_) => bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())])),
            Request::Subscribe(wishes) => {
                subscription = Some(wishes[0].id.0);
                bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
            }
            Request::Judge(rights) => {
                let judgements = rights.iter().map(|right| judgement(right, Ok(()))).collect();
                let time = Some(SystemTime::UNIX_EPOCH + 1_700_000_000 * SECOND);
                bench.reply(ticket, Reply::Judged { judgements, time });
            }
            request => panic!("asked {request:?}"),
        }
    }
    subscription
}

/// The peer answers what it was asked, in the acknowledgement.
pub fn answer(bench: &mut Bench, to: &Message, answer: Message) {
    let answer = numbered(answer.with_token(to.token()), Kind::Acknowledgement, to.id());
    bench.receive(&answer.encode());
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
