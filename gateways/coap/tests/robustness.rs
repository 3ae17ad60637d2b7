//! No byte sequence panics, closes the connection, or makes it grow.

mod common;

use bus::{Ack, Chance, Qos, Reply, Request};
use coap::{Code, Message, OptionNumber};
use common::*;
use harness::{Bench, delivery};

/// Messages of every kind that a peer may send.
fn messages() -> Vec<Vec<u8>> {
    vec![
        con(Code::PUT, 1, b"tok", "ps/a/b?qos=1&retain=true&expiry=60&c=dev&u=joe&p=x"),
        con(Code::GET, 2, b"t", "ps/a"),
        observe(3, b"12345678", "ps/+/b?rh=1&nl=1"),
        request(coap::Kind::Confirmable, Code::GET, 4, b"12345678", "ps/+/b").with_observe(1).encode(),
        non(Code::DELETE, 5, b"", "ps/a"),
        con(Code::GET, 6, b"t", ".well-known/core?rt=core.ps"),
        con(Code::POST, 7, b"t", "mqtt/connection?clientid=dev&username=u&password=p"),
        Message::request(Code::PUT)
            .with_path(["ps", &"long".repeat(60)])
            .with_content_format(bus::ContentFormat::LWM2M_TLV)
            .with_uint(OptionNumber::BLOCK1, 6)
            .with_uint(OptionNumber::SIZE1, 5)
            .with_option(OptionNumber(2_000), vec![7; 300])
            .with_payload("hello")
            .encode(),
        // {0: "a/b", 2: "x", 3: 60, 5: 1(2000000000), 6: 2, 8: h'80'}
        b"\x41\x02\x00\x11t\xB6pubsub\x12\x02\x5E\xFF\xA6\x00\x63a/b\x02\x61x\x03\x18\x3C\x05\xC1\x1A\x77\x35\x94\x00\x06\x02\x08\x41\x80".to_vec(),
        b"\x41\x05\x00\x12t\xB6pubsub\x12\x02\x5E\xFF\xA2\x00\x63a/b\x06\x02".to_vec(),
        b"\x40\x00\x00\x08".to_vec(),
        acknowledgement(9),
        reset(10),
        b"\x42\x45\x00\x0Bab\x60\xFFanswer".to_vec(),
    ]
}

/// Feeds a datagram and answers as a willing broker would.
fn feed(bench: &mut Bench, datagram: &[u8]) {
    bench.receive(datagram);
    let subscription = serve(bench, None);
    if let Some(id) = subscription.filter(|_| bench.connection.room() > 0) {
        bench.deliver(delivery(1, id, "a/b", "x", Qos::AtLeastOnce, bench.now));
        serve(bench, None);
    }
    let answers = bench.sent.drain(..).count();
    assert!(answers <= 16, "{answers} answers to {datagram:02x?}");
    assert_eq!(bench.closed, None, "{datagram:02x?}");
}

#[test]
fn every_prefix_of_every_message_is_survived() {
    for message in messages() {
        let mut bench = bench();
        for end in 0..=message.len() {
            feed(&mut bench, &message[..end]);
        }
    }
}

#[test]
fn every_change_of_one_byte_is_survived() {
    for message in messages() {
        let mut bench = bench();
        for at in 0..message.len() {
            // Every value where the header and the first options are, every bit behind that.
            let values: Vec<u8> = match at {
                0..16 => (0..=255).collect(),
                _ => (0..8).map(|bit| message[at] ^ 1 << bit).collect(),
            };
            for value in values {
                let mut changed = message.clone();
                changed[at] = value;
                feed(&mut bench, &changed);
            }
        }
        bench.advance(300 * SECOND);
    }
}

#[test]
fn chance_bytes_are_survived() {
    let mut chance = Chance::new(1);
    let mut bench = bench();
    for _ in 0..20_000 {
        let length = chance.below(40);
        let mut datagram: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        if let Some(first) = datagram.first_mut() {
            *first = *first & 0x3F | 0x40;
        }
        feed(&mut bench, &datagram);
    }
}

/// A message, and the beginning of what it gets in each state.
type Case = (&'static str, Vec<u8>, [&'static [u8]; 3]);

/// What each message gets before there is a session, while it opens, and when it is open.
#[test]
fn every_message_has_its_answer_in_every_state() {
    const NOTHING: &[u8] = b"";
    let cases: [Case; 10] = [
        ("ping", b"\x40\x00\x00\x50".to_vec(), [b"\x70\x00\x00\x50"; 3]),
        ("acknowledgement", acknowledgement(0x50), [NOTHING; 3]),
        ("reset", reset(0x50), [NOTHING; 3]),
        ("response", b"\x40\x45\x00\x50".to_vec(), [b"\x70\x00\x00\x50"; 3]),
        ("broken", b"\x40\x01\x00\x50\xFF".to_vec(), [b"\x70\x00\x00\x50"; 3]),
        ("discovery", con(Code::POST, 0x50, b"", ".well-known/core"), [b"\x60\x85\x00\x50"; 3]),
        ("elsewhere", con(Code::GET, 0x50, b"", "x"), [b"\x60\x84\x00\x50"; 3]),
        ("publish", con(Code::PUT, 0x50, b"", "ps/a"), [NOTHING, NOTHING, b"\x60\x44\x00\x50"]),
        ("read", con(Code::GET, 0x50, b"", "ps/a"), [NOTHING, NOTHING, b"\x60\x84\x00\x50"]),
        (
            "heartbeat",
            con(Code::PUT, 0x50, b"", "mqtt/connection?t=1"),
            [b"\x60\x81\x00\x50", NOTHING, b"\x60\x81\x00\x50"],
        ),
    ];
    for (name, datagram, answers) in cases {
        for (state, answer) in answers.into_iter().enumerate() {
            let mut bench = bench();
            if state > 0 {
                bench.receive(&con(Code::PUT, 1, b"", "ps/first"));
            }
            if state > 1 {
                accept(&mut bench);
                done(&mut bench);
                bench.take_sent();
            }
            bench.receive(&datagram);
            if let Some((ticket, request)) = bench.requests.pop_back().filter(|_| state > 1) {
                let reply = match request {
                    Request::Publish(_) => Reply::Published { matched: 0 },
                    _ => Reply::Read(None),
                };
                bench.reply(ticket, reply);
            }
            let sent = bench.take_sent();
            assert_eq!(&sent[..sent.len().min(4)], answer, "{name} in state {state}");
            assert_eq!(bench.closed, None);
        }
    }
}

#[test]
fn a_flood_of_observations_and_requests_stays_within_the_limits() {
    let limits = bus::Limits { subscriptions: 5, outstanding: 10, ..bus::Limits::default() };
    let coap = coap::Coap::new(coap::Config::default(), limits);
    let mut bench = Bench::new(&coap, bus::Transport::Datagram);
    for id in 1..200_u16 {
        bench.receive(&observe(id, &id.to_be_bytes(), "ps/a"));
    }
    accept(&mut bench);
    let subscribed = bench.requests.iter().filter(|(_, request)| matches!(request, Request::Subscribe(_)));
    assert_eq!(subscribed.count(), 5);
    assert_eq!(bench.requests.len(), 10, "the rest was lost");
    assert!(bench.acks.iter().all(|(_, ack)| *ack == Ack::Complete));
}
