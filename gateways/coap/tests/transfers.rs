//! Bodies in blocks (RFC 7959), as a client sees them that keeps to the standard, and as one that does not.

mod common;

use std::sync::Arc;

use bus::{ContentFormat, Limits, Metadata, Outbox, Qos, Reason, Reply, Request, Ticket, Transport};
use coap::{Block, Code, Config, Endpoint, Incoming, Kind, Message, OptionNumber, Transmission};
use common::*;
use harness::Bench;

const SIXTEEN: &[u8] = b"0123456789abcdef";
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";

/// `CON PUT ps/a` with Block1 and a token, in blocks of 16 bytes.
fn put(id: u16, number: u32, more: bool, payload: &[u8]) -> Message {
    let block = Block { number, more, exponent: 0 };
    let put = request(Kind::Confirmable, Code::PUT, id, b"t", "ps/a");
    put.with_uint(OptionNumber::BLOCK1, block.to_uint()).with_payload(payload)
}

fn get(id: u16, number: u32, exponent: u8) -> Message {
    let block = Block { number, more: false, exponent };
    request(Kind::Confirmable, Code::GET, id, b"t", "ps/a").with_uint(OptionNumber::BLOCK2, block.to_uint())
}

/// Sends it, lets a session be opened, and takes the one answer if there is one.
fn ask(bench: &mut Bench, message: &Message) -> Option<Message> {
    bench.receive(&message.encode());
    let_in(bench);
    assert!(bench.sent.len() <= 1, "{} answers", bench.sent.len());
    bench.sent.pop_front().map(|(_, datagram)| Message::decode(&datagram).unwrap())
}

/// The code of the answer that comes at once.
fn code(bench: &mut Bench, message: &Message) -> Code {
    ask(bench, message).expect("an answer").code()
}

/// Answers what was asked to read.
fn tell(bench: &mut Bench, payload: &str) -> Message {
    found_text(bench, payload);
    sent(bench)
}

/// Gets a block, whether or not the broker is asked again.
fn block(bench: &mut Bench, message: &Message, payload: &str) -> Message {
    ask(bench, message).unwrap_or_else(|| tell(bench, payload))
}

#[test]
fn a_body_is_published_when_its_last_block_is_there_and_not_before() {
    let mut bench = bench();
    // CON PUT, id 1, token "t", Uri-Path "ps" "a", Block1 0/more/16
    bench.receive(b"\x41\x03\x00\x01t\xB2ps\x01a\xD1\x03\x08\xFF0123456789abcdef");
    let_in(&mut bench);
    // ACK 2.31, id 1, token "t", Block1 0/more/16, and nothing else
    assert_eq!(bench.take_sent(), b"\x61\x5F\x00\x01t\xD1\x0E\x08");
    assert_eq!(code(&mut bench, &put(2, 1, true, SIXTEEN)), Code::CONTINUE);
    assert!(bench.requests.is_empty(), "nothing is done before the last block is there");
    assert_eq!(ask(&mut bench, &put(3, 2, false, b"the end")), None);
    let (ticket, publish) = published(&mut bench);
    assert_eq!(&publish.payload[..], b"0123456789abcdef0123456789abcdefthe end");
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(bench.take_sent(), b"\x61\x44\x00\x03t\xD1\x0E\x20"); // ACK 2.04, Block1 2/16
}

#[test]
fn the_reserved_block_size_is_a_bad_request() {
    for number in [OptionNumber::BLOCK1, OptionNumber::BLOCK2] {
        let message = request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a").with_uint(number, 0x07);
        assert_eq!(code(&mut bench(), &message.with_payload("x")), Code::BAD_REQUEST, "{number:?}");
    }
}

#[test]
fn a_block_option_that_comes_twice_is_a_bad_option() {
    for number in [OptionNumber::BLOCK1, OptionNumber::BLOCK2] {
        let message = request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a");
        let twice = message.with_uint(number, 0).with_uint(number, 0x10).with_payload("x");
        assert_eq!(code(&mut bench(), &twice), Code::BAD_OPTION, "{number:?}");
    }
}

#[test]
fn a_block_with_more_to_come_has_the_size_that_it_says() {
    for payload in [&b""[..], b"0123456789abcde", b"0123456789abcdefg"] {
        let refused = code(&mut bench(), &put(1, 0, true, payload));
        assert_eq!(refused, Code::BAD_REQUEST, "{} bytes", payload.len());
    }
}

#[test]
fn where_a_block_is_missing_the_transfer_is_incomplete_and_may_begin_again() {
    let mut bench = bench();
    assert_eq!(code(&mut bench, &put(1, 0, true, SIXTEEN)), Code::CONTINUE);
    assert_eq!(code(&mut bench, &put(2, 2, false, b"x")), Code::REQUEST_ENTITY_INCOMPLETE);
    // One that begins with a later block knows of no beginning.
    assert_eq!(code(&mut common::bench(), &put(4, 7, false, b"x")), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(code(&mut bench, &put(5, 0, true, b"fedcba9876543210")), Code::CONTINUE);
    assert_eq!(ask(&mut bench, &put(6, 1, false, b"!")), None);
    assert_eq!(&published(&mut bench).1.payload[..], b"fedcba9876543210!");
}

#[test]
fn blocks_of_another_content_format_are_of_another_body() {
    let mut bench = bench();
    let json = |message: Message| message.with_content_format(ContentFormat::JSON);
    assert_eq!(code(&mut bench, &json(put(1, 0, true, SIXTEEN))), Code::CONTINUE);
    let cbor = put(2, 1, false, b"x").with_content_format(ContentFormat::CBOR);
    assert_eq!(code(&mut bench, &cbor), Code::REQUEST_ENTITY_INCOMPLETE);
    assert!(bench.requests.is_empty(), "nothing is published");
}

#[test]
fn request_tags_keep_two_bodies_apart() {
    let tag = OptionNumber(292);
    let tagged = |id, number, more, payload: &[u8], value: &str| {
        put(id, number, more, payload).with_option(tag, value)
    };
    let mut bench = bench();
    assert_eq!(code(&mut bench, &tagged(1, 0, true, b"one one one one ", "1")), Code::CONTINUE);
    assert_eq!(code(&mut bench, &tagged(2, 0, true, b"two two two two ", "2")), Code::CONTINUE);
    assert_eq!(ask(&mut bench, &tagged(3, 1, false, b"1", "1")), None);
    assert_eq!(ask(&mut bench, &tagged(4, 1, false, b"2", "2")), None);
    let mut bodies = vec![published(&mut bench).1.payload, published(&mut bench).1.payload];
    bodies.sort();
    assert_eq!(bodies, [&b"one one one one 1"[..], b"two two two two 2"]);
    // Two tags are another list than one of them.
    assert_eq!(code(&mut bench, &tagged(5, 0, true, SIXTEEN, "3")), Code::CONTINUE);
    let both = tagged(6, 1, false, b"x", "3").with_option(tag, "4");
    assert_eq!(code(&mut bench, &both), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(code(&mut bench, &put(7, 1, false, b"x")), Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn a_body_that_is_too_large_is_refused_with_the_size_that_is_not() {
    let config = Config { largest_body: 64, ..Config::default() };
    let mut bench = bench_with(config);
    let announced = put(1, 0, true, SIXTEEN).with_uint(OptionNumber::SIZE1, 65);
    let answer = ask(&mut bench, &announced).unwrap();
    assert_eq!(
        (answer.code(), uint(&answer, OptionNumber::SIZE1)),
        (Code::REQUEST_ENTITY_TOO_LARGE, Some(64))
    );
    for (id, number) in (2..).zip(0..4) {
        assert_eq!(code(&mut bench, &put(id, number, true, SIXTEEN)), Code::CONTINUE);
    }
    let answer = ask(&mut bench, &put(6, 4, false, b"x")).unwrap();
    assert_eq!(
        (answer.code(), uint(&answer, OptionNumber::SIZE1)),
        (Code::REQUEST_ENTITY_TOO_LARGE, Some(64))
    );
    assert!(bench.requests.is_empty());
}

#[test]
fn an_answer_comes_in_blocks_as_large_as_was_asked_for_and_all_alike() {
    for (exponent, sizes) in [(0, vec![16, 10]), (1, vec![26]), (6, vec![26])] {
        let mut bench = bench();
        let mut body = Vec::new();
        let mut tags = Vec::new();
        for (number, size) in (0..).zip(&sizes) {
            let answer = block(&mut bench, &get(number as u16 + 1, number, exponent), ALPHABET);
            assert_eq!((answer.code(), answer.payload().len()), (Code::CONTENT, *size));
            if sizes.len() > 1 {
                let said = answer.block2().unwrap();
                assert_eq!((said.number, said.exponent), (number, exponent));
                assert_eq!(said.more, number == 0, "more is to come but for the last");
            }
            tags.push(answer.option(OptionNumber::ETAG).expect("an ETag").to_vec());
            body.extend_from_slice(answer.payload());
        }
        assert_eq!(body, ALPHABET.as_bytes());
        assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    }
}

/// The M bit means nothing in a request for a block.
#[test]
fn the_more_bit_of_a_request_for_a_block_is_ignored() {
    let more = Block { number: 1, more: true, exponent: 0 };
    let plain = get(1, 1, 0);
    let set = request(Kind::Confirmable, Code::GET, 1, b"t", "ps/a")
        .with_uint(OptionNumber::BLOCK2, more.to_uint());
    let answers = [plain, set].map(|message| {
        let mut bench = bench();
        block(&mut bench, &get(9, 0, 0), ALPHABET);
        block(&mut bench, &message, ALPHABET).encode()
    });
    assert_eq!(answers[0], answers[1]);
}

/// Blocks of what a password protects are for whoever has it.
#[test]
fn no_block_is_told_to_who_may_not_have_the_body() {
    let mut bench = bench();
    let get = |id, number, query: &str| {
        let block = Block { number, more: false, exponent: 0 };
        let get = request(Kind::Confirmable, Code::GET, id, b"t", &format!("ps/a{query}"));
        get.with_uint(OptionNumber::BLOCK2, block.to_uint())
    };
    let first = block(&mut bench, &get(1, 0, "?c=dev&u=joe&p=x"), ALPHABET);
    assert_eq!(first.code(), Code::CONTENT);
    for (id, query) in [(2, ""), (3, "?c=dev&u=joe&p=y"), (4, "?c=dev")] {
        bench.receive(&get(id, 1, query).encode());
        while let Some((ticket, asked)) = bench.requests.pop_front() {
            if ticket != Ticket::NONE {
                assert!(matches!(asked, Request::Connect(_)), "{query} leads to {asked:?}");
                bench.refuse(ticket, Reason::BadCredentials);
            }
        }
        let answer = sent(&mut bench);
        assert!(answer.code() >= Code::BAD_REQUEST, "{query} is told {answer:?}");
    }
}

/// Only the first block says If-None-Match.
#[test]
fn a_later_block_with_if_none_match_is_refused() {
    let mut bench = bench();
    assert_eq!(code(&mut bench, &put(1, 0, true, SIXTEEN)), Code::CONTINUE);
    let later = put(2, 1, false, b"x").with_option(OptionNumber::IF_NONE_MATCH, "");
    let answer = ask(&mut bench, &later).unwrap();
    assert!(answer.code() >= Code::BAD_REQUEST);
    assert!(bench.requests.is_empty());
}

#[test]
fn every_block_of_an_answer_tells_the_format_of_the_whole() {
    let mut bench = bench();
    let metadata = Metadata { content_format: Some(ContentFormat::JSON), ..Metadata::default() };
    let message = harness::message("a", ALPHABET, Qos::AtLeastOnce, bench.now);
    let retained = Arc::new(bus::Message { metadata: metadata.boxed(), ..Arc::into_inner(message).unwrap() });
    for number in 0..2 {
        let answer = ask(&mut bench, &get(number as u16 + 1, number, 0)).unwrap_or_else(|| {
            found(&mut bench, retained.clone());
            sent(&mut bench)
        });
        assert_eq!(answer.content_format(), Some(ContentFormat::JSON), "block {number}");
    }
}

/// An endpoint of ours asks, and gets these blocks of 16 bytes, each a number, whether more follows, an ETag and a size;
/// returns what became of it, and what was asked for last.
fn fetched(blocks: &[(u32, bool, &str, u8)]) -> (Option<Incoming>, Message) {
    let limits = Limits::default();
    let mut endpoint = Endpoint::new(7, Transmission::default(), &limits, 1_152);
    let now = common::bench().now;
    let mut out = Outbox::new(Transport::Datagram);
    endpoint.request(Message::request(Code::GET).with_path(["a"]), now, &mut out).unwrap();
    let mut asked = Message::decode(out.chunks().next().unwrap().bytes).unwrap();
    let mut incoming = None;
    for (number, more, tag, exponent) in blocks {
        let block = Block { number: *number, more: *more, exponent: *exponent };
        let answer = Message::response(Code::CONTENT).with_token(asked.token());
        let answer =
            answer.with_uint(OptionNumber::BLOCK2, block.to_uint()).with_option(OptionNumber::ETAG, *tag);
        let length = if *exponent == 7 { 1_024 } else { 16 };
        let answer = numbered(answer.with_payload(vec![b'x'; length]), Kind::Acknowledgement, asked.id());
        let mut out = Outbox::new(Transport::Datagram);
        incoming = endpoint.receive(&answer.encode(), now, &mut out);
        if let Some(chunk) = out.chunks().next() {
            asked = Message::decode(chunk.bytes).unwrap();
        }
    }
    (incoming, asked)
}

#[test]
fn blocks_with_different_etags_are_not_put_together() {
    let (whole, asked) = fetched(&[(0, true, "A", 0), (1, true, "A", 0), (2, false, "A", 0)]);
    assert_eq!(asked.block2(), Some(Block { number: 2, more: false, exponent: 0 }));
    let Some(Incoming::Response { message, .. }) = whole else { panic!("{whole:?}") };
    assert_eq!(message.payload(), [b'x'; 48]);
    for wrong in [(1, false, "B", 0), (2, false, "A", 0), (0, true, "A", 0)] {
        let (mixed, _) = fetched(&[(0, true, "A", 0), wrong]);
        assert!(!matches!(mixed, Some(Incoming::Response { .. })), "{mixed:?}");
    }
}

/// The size 7 has a meaning on streams alone.
#[test]
fn a_block_of_the_reserved_size_is_not_taken_and_none_is_asked_for() {
    let (taken, asked) = fetched(&[(0, true, "A", 7)]);
    assert!(!matches!(taken, Some(Incoming::Response { .. })), "{taken:?}");
    assert_eq!(asked.block2(), None, "nothing more was asked for");
}

/// What went wrong: every notification that came with its first block alone left a transfer behind.
#[test]
fn a_newer_notification_ends_the_fetching_of_an_older_one() {
    let limits = Limits::default();
    let mut endpoint = Endpoint::new(7, Transmission::default(), &limits, 1_152);
    let now = common::bench().now;
    let mut out = Outbox::new(Transport::Datagram);
    let observe = Message::request(Code::GET).with_path(["a"]).with_observe(0);
    endpoint.request(observe, now, &mut out).unwrap();
    let asked = Message::decode(out.chunks().next().unwrap().bytes).unwrap();
    let first = Message::response(Code::CONTENT).with_token(asked.token()).with_observe(1);
    let mut out = Outbox::new(Transport::Datagram);
    endpoint.receive(&numbered(first, Kind::Acknowledgement, asked.id()).encode(), now, &mut out);
    for number in 2..200 {
        let block = Block { number: 0, more: true, exponent: 0 };
        let notification = Message::response(Code::CONTENT).with_token(asked.token()).with_observe(number);
        let notification = notification.with_uint(OptionNumber::BLOCK2, block.to_uint());
        let notification =
            numbered(notification.with_payload(vec![b'x'; 16]), Kind::NonConfirmable, number as u16);
        let mut out = Outbox::new(Transport::Datagram);
        endpoint.receive(&notification.encode(), now, &mut out);
        let fetch = Message::decode(out.chunks().next().expect("the rest is asked for").bytes).unwrap();
        assert_eq!(fetch.block2().map(|block| block.number), Some(1));
        let [high, low] = fetch.id().to_be_bytes();
        endpoint.receive(&[0x60, 0, high, low], now, &mut out);
    }
    let mut out = Outbox::new(Transport::Datagram);
    let other = endpoint.request(Message::request(Code::GET).with_path(["b"]), now, &mut out);
    assert!(other.is_ok(), "what nobody answers is in nobody's way");
}
