//! What a peer says and hears in Q-Blocks of 16 bytes, ten at a time.

use std::sync::Arc;

use bus::{ContentFormat, Qos};
use coap::{Block, Code, Config, Kind, Message, OptionNumber, Token, Transmission};
use harness::Bench;

use crate::common::{accept, bench_with, found, granted, numbered, request, serve, unasked};

pub(crate) const MISSING_BLOCKS: ContentFormat = ContentFormat(272);

/// A server whose lists of missing blocks come at the times of the standard's figures, however little the peer says.
pub(crate) fn bench() -> Bench {
    bench_with(talkative(Config::default()))
}

pub(crate) fn talkative(config: Config) -> Config {
    unasked(Config {
        transmission: Transmission { probing_rate: 1_000, ..Transmission::default() },
        ..config
    })
}

pub(crate) fn block(number: u32, more: bool, exponent: u8) -> u32 {
    Block { number, more, exponent }.to_uint()
}

/// So many bytes, of which each block of 16 is different.
pub(crate) fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 16) as u8).collect()
}

/// `NON PUT ps/a` with a block of a body, and a token that no other block has.
pub(crate) fn put(id: u16, number: u32, body: &[u8]) -> Message {
    let start = number as usize * 16;
    let end = body.len().min(start + 16);
    let message = request(Kind::NonConfirmable, Code::PUT, id, &token(id), "ps/a");
    let message = message.with_uint(OptionNumber::Q_BLOCK1, block(number, end < body.len(), 0));
    let message = message.with_uint(OptionNumber::SIZE1, body.len() as u32);
    message.with_option(OptionNumber::REQUEST_TAG, "RT").with_payload(&body[start..end])
}

/// The same, confirmable.
pub(crate) fn confirmable(message: Message) -> Message {
    let id = message.id();
    numbered(message, Kind::Confirmable, id)
}

pub(crate) fn token(id: u16) -> [u8; 3] {
    let [high, low] = id.to_be_bytes();
    [0xF0, high, low]
}

/// `NON GET ps/a` that asks for blocks of 16 bytes: their numbers, and the M bits.
pub(crate) fn get(id: u16, blocks: &[(u32, bool)]) -> Message {
    let message = request(Kind::NonConfirmable, Code::GET, id, &token(id), "ps/a");
    blocks.iter().fold(message, |message, (number, more)| {
        message.with_uint(OptionNumber::Q_BLOCK2, block(*number, *more, 0))
    })
}

/// Sends these blocks of a body, each as a message of its own; what the server says to that.
pub(crate) fn send(bench: &mut Bench, first_id: u16, numbers: &[u32], body: &[u8]) -> Vec<Message> {
    for (id, number) in (first_id..).zip(numbers) {
        bench.receive(&put(id, *number, body).encode());
        if matches!(bench.requests.front(), Some((_, bus::Request::Connect(_)))) {
            accept(bench);
        }
    }
    heard(bench)
}

/// All that was sent.
pub(crate) fn heard(bench: &mut Bench) -> Vec<Message> {
    bench.sent.drain(..).map(|(_, datagram)| Message::decode(&datagram).unwrap()).collect()
}

/// Sends a request and lets the broker answer with this on every topic; what the peer hears.
pub(crate) fn ask(bench: &mut Bench, message: &Message, retained: &[u8]) -> Vec<Message> {
    bench.receive(&message.encode());
    let retained = shared(retained, bench);
    serve(bench, Some(&retained));
    heard(bench)
}

/// Observes `ps/a` with the first block size as 16 bytes; what was retained goes in the answer.
pub(crate) fn observe(bench: &mut Bench, id: u16, retained: &[u8]) -> (u32, Vec<Message>) {
    bench.receive(&get(id, &[(0, true)]).with_observe(0).encode());
    if matches!(bench.requests.front(), Some((_, bus::Request::Connect(_)))) {
        accept(bench);
    }
    let subscription = granted(bench);
    found(bench, shared(retained, bench));
    (subscription, heard(bench))
}

/// Notifies of a body, at most once.
pub(crate) fn notify(bench: &mut Bench, subscription: u32, body: &[u8], qos: Qos) -> Vec<Message> {
    let id = u16::from(qos > Qos::AtMostOnce);
    let delivery = harness::delivery(id, subscription, "a", "", qos, bench.now);
    bench.deliver(bus::Delivery { message: shared(body, bench), ..delivery });
    heard(bench)
}

/// Number and M bit of each block, which all are of the same body: 2.05 with ETag, Size2 and Observe.
pub(crate) fn numbers(messages: &[Message]) -> Vec<(u32, bool)> {
    let first = messages.first().expect("a block");
    assert!(first.option(OptionNumber::ETAG).is_some() && first.uint(OptionNumber::SIZE2).is_some());
    for message in messages {
        assert_eq!(message.code(), Code::CONTENT, "{message:?}");
        assert_eq!(message.kind(), first.kind(), "{message:?}"); // [RFC9177 7]
        for same in [OptionNumber::ETAG, OptionNumber::SIZE2, OptionNumber::OBSERVE] {
            assert_eq!(message.option(same), first.option(same), "{message:?}");
        }
        assert_eq!(message.token(), first.token(), "{message:?}");
    }
    messages.iter().map(number).collect()
}

pub(crate) fn number(message: &Message) -> (u32, bool) {
    let block = Block::from_uint(message.uint(OptionNumber::Q_BLOCK2).expect("a Q-Block2"));
    assert_eq!(block.exponent, 0);
    (block.number, block.more)
}

/// What the payloads of blocks in order make together.
pub(crate) fn joined(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(|message| message.payload().to_vec()).collect()
}

pub(crate) fn token_of(id: u16) -> Token {
    Token::new(&token(id))
}

/// The blocks from one to before another, all of which have others behind them.
pub(crate) fn with_more(numbers: std::ops::Range<u32>) -> Vec<(u32, bool)> {
    numbers.map(|number| (number, true)).collect()
}

/// What was published on `a`.
pub(crate) fn shared(payload: &[u8], bench: &Bench) -> Arc<bus::Message> {
    let text = Arc::into_inner(harness::message("a", "", Qos::AtMostOnce, bench.now)).unwrap();
    Arc::new(bus::Message { payload: payload.to_vec().into(), ..text })
}
