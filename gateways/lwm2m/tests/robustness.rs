//! Any bytes at any time: no panic, no growth, no wrong turn.

mod common;

use bus::{Chance, ContentFormat, Event, Qos, Reason, Reply, Request};
use coap::{Block, Code, Kind, Message, OptionNumber, Token};
use common::*;
use harness::{Bench, delivery};
use lwm2m::{Config, Lwm2mPath, ObjectModel, decode};
use serde_json::json;

/// The bytes with a few of them changed, left out, doubled or cut off.
fn mutate(chance: &mut Chance, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = chance.below(bytes.len());
        match chance.below(5) {
            0 => bytes[at] = chance.next() as u8,
            1 => bytes[at] ^= 1 << chance.below(8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, chance.next() as u8),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// One payload of every format, and its number.
const PAYLOADS: [(u16, &[u8]); 8] = [
    (60, b"\x1A\x65\x53\xF1\x00"),
    (112, b"\x83\xA3\x21\x65/3/0/\x00\x610\x03\x61A\xA2\x00\x619\x02\xF9\x3E\x00\xBF\x00\x611\x08\x41\xFF\xFF"),
    (0, b"95"),
    (42, b"\x00\xFF"),
    (11_542, b"\x08\x00\x15\xC8\x00\x08Maker ab\x86\x06\x41\x00\x01\x41\x01\x05\xC1\x09\x64"),
    (11_543, br#"{"bn":"/3/0/","bt":5,"e":[{"n":"0","sv":"x"},{"n":"9","v":1,"t":-2},{"n":"22/0","ov":"1:2"}]}"#),
    (110, br#"[{"bn":"/3/0/","bt":1,"n":"0","vs":"x"},{"n":"9","v":95,"bv":1},{"n":"13","vb":true},{"n":"1","vd":"AQ"}]"#),
    (40, br#"</lwm2m>;rt="oma.lwm2m";ct="110 112",</lwm2m/3/0>;ver=1.1,</4>;title="a,\"b\"""#),
];

#[test]
fn every_prefix_and_every_mutation_of_a_payload_is_read_or_refused() {
    let model = ObjectModel::standard();
    let mut chance = Chance::new(1);
    let check = |format: u16, bytes: &[u8]| {
        for path in ["/3", "/3/0", "/3/0/9", "/3/0/7/1", "/5/0/0"] {
            let path = Lwm2mPath::parse(path).unwrap();
            if let Ok(nodes) = decode(Some(ContentFormat(format)), path, bytes, &model) {
                assert!(nodes.len() <= bytes.len().max(1));
                nodes.iter().for_each(|node| drop(node.to_json().to_string()));
            }
        }
    };
    for (format, payload) in PAYLOADS {
        for end in 0..payload.len() {
            check(format, &payload[..end]);
        }
        for _ in 0..3_000 {
            check(format, &mutate(&mut chance, payload));
        }
    }
}

/// A broker that answers everything at once, or says no.
fn play(bench: &mut Bench, chance: &mut Chance) {
    for _ in 0..100 {
        let Some((ticket, request)) = bench.requests.pop_front() else { return };
        if chance.below(20) == 0 && ticket != bus::Ticket::NONE {
            bench.refuse(ticket, Reason::NotAuthorized);
            continue;
        }
        match request {
            Request::Connect(_) => {
                bench.requests.push_front((ticket, request));
                bench.accept_connect(chance.below(2) == 0);
            }
            _ if ticket == bus::Ticket::NONE => {}
            Request::Publish(_) | Request::PublishAll(_) | Request::PublishIf(_) => {
                bench.reply(ticket, Reply::Published { matched: 1 })
            }
            Request::Subscribe(wishes) => {
                bench.reply(ticket, Reply::Subscribed(wishes.iter().map(|_| Ok(Qos::AtLeastOnce)).collect()));
            }
            Request::Unsubscribe(wishes) => {
                bench.reply(ticket, Reply::Unsubscribed(wishes.iter().map(|_| Ok(())).collect()));
            }
            Request::Read(_) => bench.reply(ticket, Reply::Read(None)),
            Request::Disconnect(_) => bench.reply(ticket, Reply::Disconnected),
            Request::Authenticate(_) | Request::Release(_) | Request::SetWill(_) | Request::Judge(_) => {
                panic!("nobody asks for {request:?}")
            }
        }
    }
}

/// What the device says next: something of its own, or an answer to what it was asked last.
fn say(chance: &mut Chance, asked: &[Message], location: &str) -> Vec<u8> {
    let id = chance.next() as u16;
    let newest = asked.len().saturating_sub(1);
    let about = if chance.below(4) == 0 { chance.below(asked.len().max(1)) } else { newest };
    let last = asked.get(about);
    let message = match chance.below(10) {
        0 => return register(id, "ep=dev&lt=60&lwm2m=1.1&b=UQ", "</1/0>,</3/0>,</3303/0>"),
        1 => con(Code::POST, id, location),
        2 => con(Code::DELETE, id, location),
        3 => con(Code::PUT, id, "ps/a").with_payload("x"),
        4 => con(Code::GET, id, "ps/a").with_observe(0),
        5 => {
            let id = last.map_or(id, Message::id).to_be_bytes();
            return [&[[0x60, 0x00], [0x70, 0x00]][chance.below(2)][..], &id].concat();
        }
        _ => {
            let (format, payload) = PAYLOADS[chance.below(PAYLOADS.len())];
            let answer = Message::response(Code::CONTENT)
                .with_content_format(ContentFormat(format))
                .with_payload(payload)
                .with_token(last.map_or(Token::default(), Message::token));
            let answer = match chance.below(4) {
                0 => answer.with_observe(chance.next() as u32),
                1 => {
                    let block =
                        Block { number: chance.below(3) as u32, more: chance.below(2) == 0, exponent: 0 };
                    answer.with_uint(OptionNumber::BLOCK2, block.to_uint())
                }
                _ => answer,
            };
            let kinds = [Kind::Acknowledgement, Kind::Confirmable, Kind::NonConfirmable];
            let kind = kinds[chance.below(3)];
            let id = if kind == Kind::Acknowledgement { last.map_or(id, Message::id) } else { id };
            numbered(answer, kind, id)
        }
    };
    message.encode()
}

#[test]
fn any_datagram_command_and_time_in_any_order_do_no_harm() {
    let commands = [
        json!({"reqID": 1, "msgType": "read", "data": {"path": "/3/0"}}),
        json!({"reqID": 1, "msgType": "observe", "data": {"path": "/3303/0/5700"}}),
        json!({"msgType": "cancel-observe", "data": {"path": "/3303/0/5700"}}),
        json!({"msgType": "discover", "data": {"path": "/3"}}),
        json!({"msgType": "write", "data": {"path": "/5/0/0", "value": "A".repeat(2_000)}}),
        json!({"msgType": "write-attr", "data": {"path": "/3/0/9", "pmin": 1}}),
        json!({"msgType": "create", "data": {"basePath": "/9", "content": [{"path": "1/2", "value": 3}]}}),
    ];
    let mut ended = 0;
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let mut bench = bench_with(Config { auto_observe: vec![Lwm2mPath::object(3)], ..Config::default() });
        let (mut asked, mut location, mut next_id) = (Vec::new(), "rd/0".to_owned(), 0);
        for _ in 0..400 {
            let bytes = say(&mut chance, &asked, &location);
            match chance.below(8) {
                0 => bench.advance(SECOND * chance.below(40) as u32),
                1 => bench.receive(&mutate(&mut chance, &bytes)),
                2 if bench.connection.room() > 0 => {
                    next_id = next_id % 60_000 + 1;
                    let text = commands[chance.below(commands.len())].to_string();
                    let text = if chance.below(3) == 0 {
                        mutate(&mut chance, text.as_bytes())
                    } else {
                        text.into_bytes()
                    };
                    let text = String::from_utf8_lossy(&text).into_owned();
                    let now = bench.now;
                    bench.deliver(delivery(next_id, COMMANDS, "lwm2m/dev/dn", &text, Qos::AtLeastOnce, now));
                }
                _ => bench.receive(&bytes),
            }
            play(&mut bench, &mut chance);
            for (_, datagram) in bench.sent.drain(..) {
                let message = Message::decode(&datagram).expect("what is sent is valid");
                if message.code() == Code::CREATED {
                    location = message.location_path().join("/");
                }
                if message.code().is_request() {
                    asked.push(message);
                }
            }
            let mut acked: Vec<u16> = bench.acks.iter().map(|(id, _)| id.get()).collect();
            acked.sort_unstable();
            assert!(acked.windows(2).all(|pair| pair[0] != pair[1]), "a command ends once");
            if bench.closed.is_some() {
                break;
            }
        }
        ended += bench.acks.len();
        bench.handle(Event::Close(Reason::ShuttingDown));
    }
    assert!(ended > 100, "the test must get as far as commands; {ended} ended");
}

#[test]
fn a_device_that_answers_nothing_holds_nothing_for_ever() {
    let mut bench = bench();
    registered(&mut bench);
    for id in 1..20 {
        command(&mut bench, id, json!({"msgType": "observe", "data": {"path": format!("/3/0/{id}")}}));
        bench.advance(100 * SECOND);
        if bench.closed.is_some() {
            break;
        }
        assert_eq!(answered(&mut bench)["msgType"], "coap_timeout");
    }
    assert_eq!(bench.closed, Some(Reason::IdleTimeout), "its lifetime was 300 s");
}

/// Brackets and records within each other, as deep as a megabyte allows.
#[test]
fn what_is_nested_without_end_is_refused() {
    let model = ObjectModel::standard();
    let path = Lwm2mPath::parse("/3").unwrap();
    let deep = |open: &str| open.repeat((1 << 20) / open.len());
    let texts = [(11_543, "{\"e\":["), (110, "["), (110, "[{\"v\":"), (40, "<")];
    for (format, open) in texts {
        assert!(decode(Some(ContentFormat(format)), path, deep(open).as_bytes(), &model).is_err(), "{open}");
    }
    for (format, byte) in [(112, 0x81), (112, 0xA1), (112, 0x9F), (112, 0xDA), (60, 0x81), (60, 0xC1)] {
        let payload = vec![byte; 1 << 20];
        assert!(decode(Some(ContentFormat(format)), path, &payload, &model).is_err(), "{byte:#x}");
    }
    // Object instances within object instances, each with a length of 24 bits.
    let mut records = Vec::new();
    for _ in 0..10_000 {
        let length = (records.len() as u32).to_be_bytes();
        records = [&[0x18, 0, length[1], length[2], length[3]], &records[..]].concat();
    }
    assert!(decode(Some(ContentFormat::LWM2M_TLV), path, &records, &model).is_err());
    let many = b"\xC0\x01".repeat(1 << 19);
    assert!(
        decode(Some(ContentFormat::LWM2M_TLV), path, &many, &model).is_err(),
        "more values than are taken"
    );
}

#[test]
fn a_command_of_a_megabyte_is_answered_and_asks_nothing_of_the_device() {
    let long = "x".repeat(1 << 20);
    let many = format!("[{}0]", "0,".repeat(1 << 19));
    let commands = [
        "[".repeat(1 << 20),
        "{\"data\":".repeat(1 << 17),
        format!("{{\"msgType\":\"write\",\"data\":{}1{}}}", "[".repeat(1_000), "]".repeat(1_000)),
        format!("{{\"msgType\":\"{long}\",\"data\":{{}}}}"),
        format!("{{\"msgType\":\"read\",\"data\":{{\"path\":\"{long}\"}}}}"),
        format!("{{\"msgType\":\"read\",\"data\":{{\"path\":\"/3?{long}\"}}}}"),
        format!("{{\"msgType\":\"write\",\"data\":{{\"path\":\"/3/0/15\",\"value\":{many}}}}}"),
        format!("{{\"msgType\":\"execute\",\"data\":{{\"path\":\"/3/0/4\",\"args\":{many}}}}}"),
    ];
    for command in commands {
        let mut bench = bench();
        registered(&mut bench);
        let now = bench.now;
        bench.deliver(delivery(5, COMMANDS, "lwm2m/dev/dn", &command, Qos::AtLeastOnce, now));
        let answer = answered(&mut bench);
        assert_eq!(answer["data"]["code"], "4.00", "{}", &command[..40]);
        assert_eq!((bench.acks.len(), bench.sent.len()), (1, 0));
    }
}
