use bus::{ClientId, Reason};

use crate::*;

/// Every message a peer can send, with its name.
const MESSAGES: [(&str, &[u8]); 34] = [
    ("ADVERTISE", &[5, 0x00, 9, 3, 0x84]),
    ("SEARCHGW", &[3, 0x01, 0]),
    ("GWINFO", &[3, 0x02, 9]),
    ("CONNECT", &[8, 0x04, 0x04, 1, 0, 60, b'c', b'1']),
    ("CONNECT with will", &[8, 0x04, 0x0C, 1, 0, 60, b'c', b'1']),
    ("CONNACK", &[3, 0x05, 0]),
    ("WILLTOPICREQ", &[2, 0x06]),
    ("WILLTOPIC", &[4, 0x07, 0, b'w']),
    ("WILLTOPIC empty", &[2, 0x07]),
    ("WILLMSGREQ", &[2, 0x08]),
    ("WILLMSG", &[5, 0x09, b'b', b'y', b'e']),
    ("REGISTER", &[9, 0x0A, 0, 0, 0, 1, b'a', b'/', b'b']),
    ("REGACK", &[7, 0x0B, 0, 43, 0, 1, 0]),
    ("PUBLISH 0", &[8, 0x0C, 0x02, b'a', b'b', 0, 0, b'x']),
    ("PUBLISH 1", &[8, 0x0C, 0x22, b'a', b'b', 0, 1, b'x']),
    ("PUBLISH 2", &[8, 0x0C, 0x42, b'a', b'b', 0, 2, b'x']),
    ("PUBLISH -1", &[8, 0x0C, 0x62, b'a', b'b', 0, 0, b'x']),
    ("PUBACK", &[7, 0x0D, 0, 43, 0, 1, 0]),
    ("PUBCOMP", &[4, 0x0E, 0, 1]),
    ("PUBREC", &[4, 0x0F, 0, 1]),
    ("PUBREL", &[4, 0x10, 0, 1]),
    ("SUBSCRIBE", &[8, 0x12, 0, 0, 5, b'a', b'/', b'b']),
    ("SUBACK", &[8, 0x13, 0, 0, 1, 0, 5, 0]),
    ("UNSUBSCRIBE", &[8, 0x14, 0, 0, 5, b'a', b'/', b'b']),
    ("UNSUBACK", &[4, 0x15, 0, 5]),
    ("PINGREQ", &[2, 0x16]),
    ("PINGREQ c1", &[4, 0x16, b'c', b'1']),
    ("PINGRESP", &[2, 0x17]),
    ("DISCONNECT", &[2, 0x18]),
    ("DISCONNECT 300", &[4, 0x18, 1, 44]),
    ("WILLTOPICUPD", &[4, 0x1A, 0, b'v']),
    ("WILLTOPICRESP", &[3, 0x1B, 0]),
    ("WILLMSGUPD", &[2, 0x1C]),
    ("WILLMSGRESP", &[3, 0x1D, 0]),
];

const STATES: [&str; 9] = [
    "no session",
    "awaiting WILLTOPIC",
    "awaiting WILLMSG",
    "awaiting the broker",
    "active",
    "asleep",
    "awake",
    "after DISCONNECT",
    "QoS -1",
];

/// What becomes of each message in each state, in the order of [`STATES`]; awake means that the broker still
/// has messages, so that there is no PINGRESP yet.
///
/// `.` nothing, `p` PINGRESP, `d` DISCONNECT, `g` GWINFO, `c` CONNACK, `t` WILLTOPICREQ, `m` WILLMSGREQ,
/// `r` REGACK, `f` PUBREL, `w` WILLMSGRESP is sent; `?` the broker is asked; `!` the connection ends.
const TABLE: [(&str, [&str; 9]); 34] = [
    ("ADVERTISE", ["!", ".", ".", ".", ".", ".", ".", ".", "."]),
    ("SEARCHGW", ["g!", "g", "g", "g", "g", "g", "g", "g", "g"]),
    ("GWINFO", ["!", ".", ".", ".", ".", ".", ".", ".", "."]),
    ("CONNECT", ["?", "?", "?", ".", "??", "c", "c", "?", "??"]),
    ("CONNECT with will", ["t", "t", "t", ".", "t", "c", "c", "t", "t"]),
    ("CONNACK", ["!", ".", ".", ".", "d!", "d!", "d!", ".", "."]),
    ("WILLTOPICREQ", ["!", ".", ".", ".", "d!", "d!", "d!", ".", "."]),
    ("WILLTOPIC", ["d!", "m", "m", ".", ".", ".", ".", "d", "d"]),
    ("WILLTOPIC empty", ["d!", "?", "?", ".", ".", ".", ".", "d", "d"]),
    ("WILLMSGREQ", ["!", ".", ".", ".", "d!", "d!", "d!", ".", "."]),
    ("WILLMSG", ["d!", ".", "?", ".", ".", ".", ".", "d", "d"]),
    ("REGISTER", ["d!", "d!", "d!", ".", "r", "r", "r", "d", "d"]),
    ("REGACK", ["!", ".", ".", ".", ".", ".", ".", ".", "."]),
    ("PUBLISH 0", ["d!", "d!", "d!", ".", "?", "?", "?", "d", "d"]),
    ("PUBLISH 1", ["d!", "d!", "d!", ".", "?", "?", "?", "d", "d"]),
    ("PUBLISH 2", ["d!", "d!", "d!", ".", "?", "?", "?", "d", "d"]),
    ("PUBLISH -1", ["?", ".", ".", ".", "?", "?", "?", "?", "?"]),
    ("PUBACK", ["!", ".", ".", ".", ".", ".", ".", ".", "."]),
    ("PUBCOMP", ["!", ".", ".", ".", ".", ".", ".", ".", "."]),
    ("PUBREC", ["!", ".", ".", ".", "f", "f", "f", ".", "."]),
    ("PUBREL", ["d!", "d!", "d!", ".", "?", "?", "?", "d", "d"]),
    ("SUBSCRIBE", ["d!", "d!", "d!", ".", "?", "?", "?", "d", "d"]),
    ("SUBACK", ["!", ".", ".", ".", "d!", "d!", "d!", ".", "."]),
    ("UNSUBSCRIBE", ["d!", "d!", "d!", ".", "?", "?", "?", "d", "d"]),
    ("UNSUBACK", ["!", ".", ".", ".", "d!", "d!", "d!", ".", "."]),
    ("PINGREQ", ["d!", "d!", "d!", ".", "p", "p", ".", "d", "d"]),
    ("PINGREQ c1", ["d!", "d!", "d!", ".", "p", "p", ".", "d", "d"]),
    ("PINGRESP", ["!", ".", ".", ".", ".", ".", ".", ".", "."]),
    ("DISCONNECT", ["d", "d!", "d!", "d", "d?!", "d?!", "d?!", "d", "d"]),
    ("DISCONNECT 300", ["d", "d!", "d!", "d", "d", "d", "d", "d", "d"]),
    ("WILLTOPICUPD", ["d!", "d!", "d!", ".", "?", "?", "?", "d", "d"]),
    ("WILLTOPICRESP", ["!", ".", ".", ".", "d!", "d!", "d!", ".", "."]),
    ("WILLMSGUPD", ["d!", "d!", "d!", ".", "w", "w", "w", "d", "d"]),
    ("WILLMSGRESP", ["!", ".", ".", ".", "d!", "d!", "d!", ".", "."]),
];

pub(crate) fn in_state(state: &str) -> Bench {
    let mut bench = bench();
    let steps: &[&[u8]] = match state {
        "no session" => &[],
        "after DISCONNECT" => &[&[2, 0x18]],
        "awaiting WILLTOPIC" => &[&[8, 0x04, 0x0C, 1, 0, 60, b'c', b'1']],
        "awaiting WILLMSG" => &[&[8, 0x04, 0x0C, 1, 0, 60, b'c', b'1'], &[4, 0x07, 0, b'w']],
        "QoS -1" => &[&[8, 0x0C, 0x62, b'a', b'b', 0, 0, b'x']],
        _ => &[&[8, 0x04, 0x04, 1, 0, 60, b'c', b'1']],
    };
    for step in steps {
        bench.receive(step);
    }
    if ["active", "asleep", "awake", "QoS -1"].contains(&state) {
        bench.accept_connect(false);
    }
    let steps: &[&[u8]] = match state {
        "asleep" => &[&[4, 0x18, 1, 44]],
        "awake" => &[&[4, 0x18, 1, 44], &[4, 0x16, b'c', b'1']],
        _ => &[],
    };
    for step in steps {
        bench.receive(step);
    }
    bench.sent.clear();
    if state != "awaiting the broker" {
        bench.requests.clear();
    }
    bench
}

/// What happened, in the letters of [`TABLE`].
fn outcome(bench: &mut Bench, requests_before: usize) -> String {
    let sent = datagrams(bench).into_iter().map(|datagram| match datagram[1] {
        0x02 => 'g',
        0x05 => 'c',
        0x06 => 't',
        0x08 => 'm',
        0x0B => 'r',
        0x10 => 'f',
        0x17 => 'p',
        0x18 => 'd',
        0x1D => 'w',
        other => panic!("an unexpected message of type {other:#04x}"),
    });
    let asked = std::iter::repeat_n('?', bench.requests.len() - requests_before);
    let ended = bench.closed.map(|_| '!');
    let outcome: String = sent.chain(asked).chain(ended).collect();
    if outcome.is_empty() { ".".to_owned() } else { outcome }
}

#[test]
fn every_message_has_its_outcome_in_every_state() {
    for ((name, message), (row, outcomes)) in MESSAGES.iter().zip(TABLE) {
        assert_eq!(*name, row);
        for (state, expected) in STATES.iter().zip(outcomes) {
            let mut bench = in_state(state);
            let requests = bench.requests.len();
            bench.receive(message);
            if *state == "asleep" {
                bench.idle();
            }
            assert_eq!(outcome(&mut bench, requests), expected, "{name} while {state}");
        }
    }
}

#[test]
fn whatever_came_before_a_device_can_connect() {
    for state in STATES {
        for (name, message) in MESSAGES {
            let mut bench = in_state(state);
            bench.receive(message);
            accept_all(&mut bench);
            if bench.closed.is_some() {
                continue; // the next datagram makes a new connection
            }
            bench.sent.clear();
            bench.receive(&connect(CLEAN));
            accept_all(&mut bench);
            assert!(
                bench.sent.iter().any(|(_, sent)| sent[..] == [3, 0x05, 0]),
                "no CONNACK after {name} while {state}"
            );
        }
    }
}

#[test]
fn a_message_to_a_closed_connection_does_nothing() {
    for (_, message) in MESSAGES {
        let mut bench = connected();
        bench.handle(bus::Event::Close(Reason::Kicked));
        bench.sent.clear();
        bench.receive(message);
        assert!(bench.sent.is_empty() && bench.requests.is_empty());
    }
}

/// Answers every connect, as a broker that admits everybody.
pub(crate) fn accept_all(bench: &mut Bench) {
    while let Some(at) = bench.requests.iter().position(|(_, request)| matches!(request, Request::Connect(_)))
    {
        bench.requests.drain(..at);
        assert_ne!(bench.accept_connect(false).client_id, ClientId::parse(""));
    }
    bench.requests.clear();
}
