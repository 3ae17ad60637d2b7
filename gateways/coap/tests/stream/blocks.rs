//! Bodies in blocks of several times 1,024 bytes [RFC8323 6].

use bus::{Qos, Reply};
use coap::{Block, Code, Framing, Message, OptionNumber, Token};
use harness::Bench;

use crate::common::published;
use crate::peer::{answer, answers, framed, in_session};

const BERT: u8 = 7;

fn block(number: u32, more: bool) -> u32 {
    Block { number, more, exponent: BERT }.to_uint()
}

/// A GET of `ps/a`, with Block2 for this block of any length if one is named.
fn get(number: Option<u32>) -> Vec<u8> {
    let message = Message::request(Code::GET).with_path(["ps", "a"]);
    let message = match number {
        Some(number) => message.with_uint(OptionNumber::BLOCK2, block(number, false)),
        None => message,
    };
    framed(Framing::Tcp, b"t", &message)
}

fn part(number: u32, more: bool, payload: Vec<u8>) -> Vec<u8> {
    let message = Message::request(Code::PUT).with_path(["ps", "a"]).with_payload(payload);
    framed(Framing::Tcp, b"t", &message.with_uint(OptionNumber::BLOCK1, block(number, more)))
}

/// A body in which every block of 1,024 bytes has other bytes.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at / 1024 % 26) as u8).collect()
}

/// Answers the request for what is retained, if there is one.
fn retained(bench: &mut Bench, body: &[u8]) {
    if let Some((ticket, _)) = bench.requests.pop_front() {
        let text = std::str::from_utf8(body).unwrap();
        let message = harness::message("a", text, Qos::AtMostOnce, bench.now);
        bench.reply(ticket, Reply::Read(Some(message)));
    }
}

#[test]
fn a_body_is_fetched_in_blocks_of_several_times_1024_bytes() {
    let mut bench = in_session();
    bench.receive(b"\x40\xE1\x22\x17\x70\x20"); // CSM: 6,000 bytes, Block-Wise-Transfer
    let body = body(12_903);
    let (mut fetched, mut next) = (Vec::new(), None);
    for expected in [(0, true, 5_120), (5, true, 5_120), (10, false, 2_663)] {
        bench.receive(&get(next));
        retained(&mut bench, &body);
        let part = answer(&mut bench);
        assert!(framed(Framing::Tcp, b"t", &part).len() <= 6_000);
        let block = part.block2().unwrap();
        assert_eq!((block.number, block.more, part.payload().len()), expected);
        assert_eq!((part.code(), part.token(), block.exponent), (Code::CONTENT, Token::new(b"t"), BERT));
        fetched.extend_from_slice(part.payload());
        next = Some(block.number + (part.payload().len() / 1024) as u32);
    }
    assert_eq!(fetched, body);
}

#[test]
fn a_body_comes_in_blocks_of_several_times_1024_bytes() {
    let mut bench = in_session();
    let whole = body(8_192 + 16_384 + 5_683);
    for (number, from, to, more) in
        [(0, 0, 8_192, true), (8, 8_192, 24_576, true), (24, 24_576, 30_259, false)]
    {
        bench.receive(&part(number, more, whole[from..to].to_vec()));
        if more {
            let answer = answer(&mut bench);
            assert_eq!(
                (answer.code(), answer.block1().unwrap().to_uint()),
                (Code::CONTINUE, block(number, true))
            );
        }
    }
    let (ticket, publish) = published(&mut bench);
    assert_eq!(publish.payload, whole);
    bench.reply(ticket, Reply::Published { matched: 1 });
    let answer = answer(&mut bench);
    assert_eq!((answer.code(), answer.block1().unwrap().to_uint()), (Code::CHANGED, block(24, false)));
}

#[test]
fn a_block_of_another_length_is_refused_unless_it_is_the_last() {
    for length in [0, 1, 1_023, 1_025, 3_000] {
        let mut bench = in_session();
        bench.receive(&part(0, true, body(length)));
        assert_eq!(answer(&mut bench).code(), Code::BAD_REQUEST, "{length}");
    }
}

#[test]
fn a_peer_that_says_nothing_of_blocks_gets_no_several_of_them() {
    for csm in [&b"\x30\xE1\x22\x17\x70"[..], b"\x10\xE1\x40"] {
        let mut bench = in_session();
        bench.receive(csm); // 6,000 bytes and no blocks, or blocks and no larger messages
        bench.receive(&get(None));
        retained(&mut bench, &body(12_903));
        let part = answer(&mut bench);
        assert_eq!((part.block2().unwrap().exponent < BERT, part.payload().len() <= 1_024), (true, true));
    }
}

#[test]
fn what_fits_a_message_is_not_cut_into_blocks() {
    let mut bench = in_session();
    bench.receive(b"\x50\xE1\x23\x10\x00\x00\x20"); // CSM: 1,048,576 bytes, Block-Wise-Transfer
    bench.receive(&get(None));
    retained(&mut bench, &body(200_000));
    let whole = answers(&mut bench).remove(0);
    assert_eq!((whole.block2(), whole.payload().len()), (None, 200_000));
}
