//! Any bytes at any time: no panic, no growth, no wrong turn.

use std::fmt::Write as _;
use std::time::Duration;

use crate::story::*;
use bus::{Chance, Limits, Reason};
use harness::Bench;
use stomp::{Command, DecodeError, Decoder, Frame, FrameLimits, Version, newlines};

const LIMITS: FrameLimits = FrameLimits { frame: 1 << 20, head: 64 << 10, headers: 100 };

/// One conversation with every client command in it.
const STORY: &[u8] = b"CONNECT\naccept-version:1.2\nheart-beat:1000,1000\n\n\0\n\r\n\
    SUBSCRIBE\nid:0\ndestination:#\nack:client\n\n\0SEND\ndestination:t\ncontent-length:3\nk:\\c\n\na\0b\0\n\
    BEGIN\ntransaction:x\n\n\0SEND\ntransaction:x\ndestination:t\n\nbody\0ACK\nid:2a-1\ntransaction:x\n\n\0\
    COMMIT\ntransaction:x\nreceipt:1\n\n\0NACK\nid:2a-1\n\n\0BEGIN\ntransaction:y\n\n\0ABORT\ntransaction:y\n\n\0\
    UNSUBSCRIBE\nid:0\n\n\0DISCONNECT\nreceipt:2\n\n\0";

/// Sends a conversation, with time for the first MESSAGE before what acknowledges it.
fn converse(bench: &mut Bench, bytes: &[u8]) {
    let first = STORY.windows(5).position(|window| window == b"SEND\n").expect("a SEND").min(bytes.len());
    for part in [&bytes[..first], &bytes[first..]] {
        bench.receive(part);
        play(bench);
    }
}

/// A driver and broker that answer everything at once.
fn play(bench: &mut Bench) {
    for _ in 0..100 {
        let Some((ticket, request)) = bench.requests.pop_front() else { return };
        match request {
            bus::Request::Connect(_) => {
                bench.requests.push_front((ticket, request));
                bench.accept_connect(false);
            }
            bus::Request::Publish(_) | bus::Request::PublishAll(_) | bus::Request::PublishIf(_) => {
                bench.reply(ticket, bus::Reply::Published { matched: 1 })
            }
            bus::Request::Subscribe(wanted) => {
                bench.reply(ticket, bus::Reply::Subscribed(vec![Ok(bus::Qos::AtLeastOnce)]));
                if bench.connection.room() > 0 {
                    deliver(bench, 1, wanted[0].id.0, "t", "x");
                }
            }
            bus::Request::Unsubscribe(_) => bench.reply(ticket, bus::Reply::Unsubscribed(vec![Ok(())])),
            bus::Request::Disconnect(_) => bench.reply(ticket, bus::Reply::Disconnected),
            other => panic!("STOMP has no use for {other:?}"),
        }
        bench.receive(b"");
    }
}

#[test]
fn a_conversation_in_single_bytes_is_the_same_as_in_one_piece() {
    let mut whole = stranger();
    converse(&mut whole, STORY);
    let mut bytes = stranger();
    for byte in STORY {
        bytes.receive(&[*byte]);
        play(&mut bytes);
    }
    assert_eq!(whole.closed, Some(Reason::Disconnected));
    assert_eq!(bytes.closed, Some(Reason::Disconnected));
    assert_eq!(whole.take_sent(), bytes.take_sent());
}

#[test]
fn every_prefix_and_every_mutation_of_a_conversation_is_survived() {
    for end in 0..STORY.len() {
        let mut bench = stranger();
        converse(&mut bench, &STORY[..end]);
        assert_eq!(bench.closed, None, "a prefix is no error");
        bench.advance(Duration::from_secs(100));
    }
    for position in 0..STORY.len() {
        for byte in [0, b'\n', b'\r', b':', b'\\', b'A', b'9', 0x80, 0xFF] {
            let mut changed = STORY.to_vec();
            changed[position] = byte;
            let mut bench = stranger();
            converse(&mut bench, &changed);
            if bench.closed.is_some() {
                assert_eq!(bench.connection.room(), 0);
                assert_eq!(bench.connection.deadline(), None);
            }
        }
    }
}

#[test]
fn noise_is_survived() {
    let mut chance = Chance::new(1);
    let mut next = move || chance.next();
    let words: [&[u8]; 16] = [
        b"CONNECT\n",
        b"SEND\n",
        b"SUBSCRIBE\n",
        b"ACK\n",
        b"BEGIN\n",
        b"COMMIT\n",
        b"\n",
        b"\n\n",
        b"\0",
        b"destination:t\n",
        b"id:0\n",
        b"transaction:t\n",
        b"content-length:5\n",
        b"receipt:r\n",
        b"\r\n",
        b"\xff",
    ];
    for _ in 0..3_000 {
        let mut bench = if next() % 2 == 0 { stranger() } else { connected("1.2") };
        for _ in 0..next() % 30 {
            bench.receive(words[(next() % 16) as usize]);
            play(&mut bench);
        }
    }
}

/// What every client command does in every state: the table itself is the expectation.
#[test]
fn every_command_in_every_state() {
    let frames = |version: &str| {
        let ack = if version == "1.2" { "id:2a-1" } else { "message-id:2a-1\nsubscription:0" };
        [
            format!("CONNECT\naccept-version:{version}\n\n\0"),
            format!("STOMP\naccept-version:{version}\n\n\0"),
            "SEND\ndestination:t\n\nx\0".to_owned(),
            "SUBSCRIBE\nid:1\ndestination:t\n\n\0".to_owned(),
            "UNSUBSCRIBE\nid:0\n\n\0".to_owned(),
            format!("ACK\n{ack}\n\n\0"),
            format!("NACK\n{ack}\n\n\0"),
            "BEGIN\ntransaction:u\n\n\0".to_owned(),
            "COMMIT\ntransaction:t\n\n\0".to_owned(),
            "ABORT\ntransaction:t\n\n\0".to_owned(),
            "DISCONNECT\n\n\0".to_owned(),
            "CONNECTED\n\n\0".to_owned(),
            "MESSAGE\n\n\0".to_owned(),
            "RECEIPT\n\n\0".to_owned(),
            "ERROR\n\n\0".to_owned(),
        ]
    };
    let ready = |version: &str| {
        let mut bench = connected(version);
        let id = subscribe(&mut bench, "SUBSCRIBE\nid:0\ndestination:t\nack:client\n\n\0");
        deliver(&mut bench, 1, id, "t", "x");
        bench.receive(b"BEGIN\ntransaction:t\n\n\0");
        bench
    };
    let mut table = String::new();
    for version in ["1.0", "1.1", "1.2"] {
        for frame in frames(version) {
            let awaiting = || {
                let mut bench = stranger();
                bench.receive(b"CONNECT\naccept-version:1.2\n\n\0");
                bench.requests.clear();
                bench
            };
            let leaving = || {
                let mut bench = ready(version);
                bench.receive(b"DISCONNECT\n\n\0");
                bench.requests.clear();
                bench
            };
            let word = |mut bench: Bench| {
                bench.receive(frame.as_bytes());
                match (bench.closed, bench.requests.len() + bench.acks.len()) {
                    (Some(Reason::ProtocolViolation), 0) => "error",
                    (None, 0) => "-",
                    (None, _) => "acts",
                    _ => "?",
                }
            };
            let command = frame.lines().next().expect("a command");
            let states = [stranger(), awaiting(), ready(version), leaving()].map(word);
            writeln!(table, "{version} {command:<12}{}", states.join(" ")).expect("a string");
        }
    }
    let expected = ["1.0", "1.1", "1.2"].map(|version| {
        let nack = if version == "1.0" { "error" } else { "acts" };
        format!(
            "{version} CONNECT     acts - error -\n\
             {version} STOMP       acts - error -\n\
             {version} SEND        error - acts -\n\
             {version} SUBSCRIBE   error - acts -\n\
             {version} UNSUBSCRIBE error - acts -\n\
             {version} ACK         error - acts -\n\
             {version} NACK        error - {nack} -\n\
             {version} BEGIN       error - - -\n\
             {version} COMMIT      error - - -\n\
             {version} ABORT       error - - -\n\
             {version} DISCONNECT  error - acts -\n\
             {version} CONNECTED   error - error -\n\
             {version} MESSAGE     error - error -\n\
             {version} RECEIPT     error - error -\n\
             {version} ERROR       error - error -\n"
        )
    });
    assert_eq!(table, expected.concat());
}

#[test]
fn only_send_may_have_a_body_and_unknown_commands_are_refused() {
    for (frame, reason) in [
        (&b"SUBSCRIBE\nid:0\ndestination:t\n\nbody\0"[..], Reason::ProtocolViolation),
        (b"HELLO\n\n\0", Reason::Malformed),
        (b"send\ndestination:t\n\n\0", Reason::Malformed),
        (b"SENDSENDSENDSEND", Reason::Malformed),
        (b"SEND \ndestination:t\n\n\0", Reason::Malformed),
        (b"SEND\n\0", Reason::Malformed),
        (b"SEND\nkey:\xff\n\n\0", Reason::Malformed),
    ] {
        let mut bench = connected("1.2");
        bench.receive(frame);
        assert_error(&mut bench, reason, "ERROR");
    }
}

#[test]
fn frames_survive_the_way_through_encoder_and_decoder() {
    for version in Version::ALL {
        for command in Command::ALL {
            let mut frame = Frame::new(command).with("name", "value").with("name", "again");
            let escapes = !matches!(command, Command::Connect | Command::Stomp | Command::Connected);
            if version == Version::V1_2 && escapes {
                frame = frame.with("a:b\\c\nd\r", "e:f\\g\nh\r");
            }
            frame = frame.with_body(&b"with\0in"[..]).with("content-length", "7");
            let mut bytes = Vec::new();
            frame.encode(version, &mut bytes);
            bytes.extend_from_slice(b"\n\nrest");
            let (decoded, length) =
                Decoder::default().decode(&bytes, version, &LIMITS).expect("a frame").expect("whole");
            assert_eq!(decoded, frame);
            assert_eq!(newlines(&bytes[length..]), 2);
        }
    }
}

#[test]
fn the_decoder_tells_what_is_wrong() {
    let decode = |bytes: &[u8]| Decoder::default().decode(bytes, Version::V1_2, &LIMITS);
    assert_eq!(decode(b"SEND\na:b\n"), Ok(None));
    assert_eq!(decode(b"SEND\na:b\n\nno end"), Ok(None));
    assert_eq!(decode(b"WHAT\n"), Err(DecodeError::UnknownCommand));
    assert_eq!(decode(b"\n"), Err(DecodeError::UnknownCommand));
    assert_eq!(decode(b"SEND\nab\n"), Err(DecodeError::NoColon));
    assert_eq!(decode(b"SEND\n:b\n\n"), Err(DecodeError::NoName));
    assert_eq!(decode(b"SEND\na:\\x\n"), Err(DecodeError::UndefinedEscape));
    assert_eq!(decode(b"SEND\na\0"), Err(DecodeError::NulInHead));
    assert_eq!(decode(b"SEND\ncontent-length:-1\n\n"), Err(DecodeError::BadContentLength));
    assert_eq!(decode(b"SEND\ncontent-length:1\n\nab\0"), Err(DecodeError::BodyNotEnded));
    let many = [&b"SEND\n"[..], &b"a:b\n".repeat(101)].concat();
    assert_eq!(decode(&many), Err(DecodeError::TooManyHeaders));
    let long = [&b"SEND\na:"[..], &[b'x'; 65 << 10]].concat();
    assert_eq!(decode(&long), Err(DecodeError::HeadTooLarge));
}

#[test]
fn a_large_body_without_content_length_is_looked_at_once() {
    let limits = FrameLimits { frame: 16 << 20, ..LIMITS };
    let body = vec![b'x'; 8 << 20];
    let bytes = [&b"SEND\ndestination:t\n\n"[..], &body, b"\0"].concat();
    let mut decoder = Decoder::default();
    let mut frame = None;
    // looked at from the beginning each time, these pieces would add up to 500 GB, and this would not end
    for end in (64..bytes.len()).step_by(64).chain([bytes.len()]) {
        frame = decoder.decode(&bytes[..end], Version::V1_2, &limits).expect("no error");
    }
    assert_eq!(frame.expect("whole").0.body, body);
}

#[test]
fn heart_beats_do_not_pile_up() {
    let mut bench = connected_within("1.2", Limits { packet: 1_000, ..Limits::default() });
    for _ in 0..100 {
        bench.receive(&[b'\n'; 1_000]);
        bench.receive(b"\r\n\r\n\r");
        bench.receive(b"\n");
    }
    assert_eq!(bench.closed, None);
    bench.receive(b"SEND\ndestination:t\n\n\0");
    assert_eq!(bench.requests.len(), 1);
}
