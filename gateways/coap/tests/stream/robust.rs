//! Any bytes at any time: no panic, no growth, no wrong turn.

use std::time::Duration;

use bus::{Carrier, Limits, Qos, Reason, Reply, Request};
use coap::{Code, Config, Framing, Message};
use harness::{Bench, delivery};
use proptest::prelude::*;

use crate::peer::{framed, over, read_all};

/// One conversation with every kind of message in it.
fn story(framing: Framing) -> Vec<u8> {
    let say = |token: &[u8], message: Message| framed(framing, token, &message);
    let request = |method| Message::request(method).with_path(["ps", "a"]);
    [
        say(b"", Message::response(Code::CSM).with_uint(coap::OptionNumber(2), 4000)),
        say(b"", Message::response(Code::EMPTY)),
        say(b"1", request(Code::PUT).with_payload("x")),
        say(b"2", request(Code::GET).with_observe(0)),
        say(b"3", Message::response(Code::PING).with_option(coap::OptionNumber(2), "")),
        say(b"4", Message::request(Code::GET).with_path([".well-known", "core"])),
        say(b"2", request(Code::GET).with_observe(1)),
        say(b"5", request(Code::DELETE)),
        say(b"", Message::response(Code::PONG)),
        say(b"6", Message::response(Code::CONTENT)),
        say(b"", Message::response(Code::RELEASE)),
    ]
    .concat()
}

/// A driver and broker that answer everything at once.
fn play(bench: &mut Bench) {
    for _ in 0..100 {
        let Some((ticket, request)) = bench.requests.pop_front() else { return };
        match request {
            Request::Connect(_) => {
                bench.requests.push_front((ticket, request));
                bench.accept_connect(false);
            }
            Request::Publish(_) => bench.reply(ticket, Reply::Published { matched: 1 }),
            Request::Subscribe(wanted) => {
                bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
                if bench.connection.room() > 0 {
                    bench.deliver(delivery(1, wanted[0].id.0, "a", "x", Qos::AtLeastOnce, bench.now));
                }
            }
            Request::Read(_) => bench.reply(ticket, Reply::Read(None)),
            Request::Unsubscribe(_) => bench.reply(ticket, Reply::Unsubscribed(vec![Ok(())])),
            Request::Disconnect(_) | Request::Release(_) => {}
            other => panic!("CoAP has no use for {other:?}"),
        }
        bench.receive(b"");
    }
}

fn stranger(framing: Framing) -> Bench {
    let carrier = if framing == Framing::Tcp { Carrier::Tcp } else { Carrier::WebSocket };
    over(carrier, Config::default(), Limits::default())
}

const BOTH: [Framing; 2] = [Framing::Tcp, Framing::WebSocket];

#[test]
fn a_conversation_in_single_bytes_is_the_same_as_in_one_piece() {
    for framing in BOTH {
        let (mut whole, mut bytes) = (stranger(framing), stranger(framing));
        whole.receive(&story(framing));
        play(&mut whole);
        for byte in story(framing) {
            bytes.receive(&[byte]);
            play(&mut bytes);
        }
        assert_eq!((whole.closed, bytes.closed), (Some(Reason::Disconnected), Some(Reason::Disconnected)));
        let told = read_all(framing, &whole.take_sent());
        assert_eq!(told.len(), read_all(framing, &bytes.take_sent()).len());
    }
}

#[test]
fn every_prefix_and_every_mutation_of_a_conversation_is_survived() {
    for framing in BOTH {
        let story = story(framing);
        for end in 0..story.len() {
            let mut bench = stranger(framing);
            bench.receive(&story[..end]);
            play(&mut bench);
            assert_eq!(bench.closed, None, "a prefix is no error");
            bench.advance(Duration::from_secs(100_000));
            assert!(bench.closed.is_some(), "nobody is silent for so long");
        }
        for position in 0..story.len() {
            for byte in [0, 1, 0x0D, 0x0F, 0x10, 0x7F, 0xE1, 0xE5, 0xF0, 0xFF] {
                let mut changed = story.clone();
                changed[position] = byte;
                let mut bench = stranger(framing);
                bench.receive(&changed);
                play(&mut bench);
                read_all(framing, &bench.take_sent());
            }
        }
    }
}

#[test]
fn pings_that_ask_for_custody_are_not_kept_without_end() {
    let limits = Limits { outstanding: 10, ..Limits::default() };
    let mut bench = over(Carrier::Tcp, Config::default(), limits);
    bench.receive(b"\x00\xE1");
    bench.receive(&framed(Framing::Tcp, b"t", &Message::request(Code::PUT).with_path(["ps", "a"])));
    bench.accept_connect(false);
    let pings = b"\x11\xE2p\x20".repeat(1000);
    bench.receive(&pings);
    bench.take_sent();
    play(&mut bench);
    let told = read_all(Framing::Tcp, &bench.take_sent());
    assert_eq!(told.len(), 1 + 1000, "each is answered, in its time");
}

#[test]
fn too_much_that_is_owed_stops_the_peer_and_not_for_ever() {
    let limits = Limits { outstanding: 2, ..Limits::default() };
    let mut bench =
        over(Carrier::Tcp, Config { idle: Duration::from_secs(1000), ..Config::default() }, limits);
    let put = framed(Framing::Tcp, b"t", &Message::request(Code::PUT).with_path(["ps", "a"]));
    bench.receive(&[b"\x00\xE1", &put[..]].concat());
    bench.accept_connect(false);
    bench.receive(&put.repeat(2));
    assert_eq!(bench.requests.len(), 2, "the third is left unread");
    bench.requests.clear();
    bench.advance(Duration::from_secs(247));
    bench.receive(b"");
    assert_eq!(bench.requests.len(), 1, "two answers will never come");
}

proptest! {
    #[test]
    fn whatever_comes_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), web_socket: bool, begun: bool) {
        let framing = if web_socket { Framing::WebSocket } else { Framing::Tcp };
        let mut bench = stranger(framing);
        if begun {
            bench.receive(&framed(framing, b"", &Message::response(Code::CSM)));
        }
        bench.receive(&bytes);
        play(&mut bench);
        bench.advance(Duration::from_secs(1000));
        read_all(framing, &bench.take_sent());
    }
}
