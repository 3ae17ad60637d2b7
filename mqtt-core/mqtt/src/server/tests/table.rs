//! Every packet in every state of every version: what the server does with it.
//!
//! A cell is what becomes of the packet:
//!
//! | cell | meaning |
//! |---|---|
//! | `wait` | it stays unread until the reply that is awaited has come |
//! | `c` `a` `p` `r` `s` `u` | the broker is asked to connect, authenticate, publish, release, subscribe, unsubscribe |
//! | `ping` | PINGRESP is sent |
//! | `ack` | the session is told what became of a delivery; `rel`: PUBREL is sent too |
//! | `bye` | the session is left, and the connection closes without a word; `gone`: there is no session yet |
//! | `81` `82` | MQTT 5: the connection closes with this code in CONNACK or DISCONNECT |
//! | `bad` `turn` | the connection closes without a word: the packet is malformed, or out of turn |
//! | `.` | nothing: it comes behind the end |

use bus::{Action, EnhancedAuthentication, Event, Outbox};

use super::*;

/// What happened before the packet comes.
type State = (&'static str, fn() -> Bench);

const CHALLENGE: &[u8] = b"\x15\x00\x01M";
const CONTINUE: &[u8] = b"\xF0\x06\x18\x04\x15\x00\x01M";
const AGAIN: &[u8] = b"\xF0\x06\x19\x04\x15\x00\x01M";

const STATES_5: [State; 11] = [
    ("before", bench),
    ("pending", || pending(CONNECT_5)),
    ("challenged", challenged),
    ("judged", || then(challenged(), CONTINUE)),
    ("connected", || connected(CONNECT_5)),
    ("twice", || connected(CONNECT_5)),
    ("able", able),
    ("again-judged", || then(able(), AGAIN)),
    ("again-challenged", again_challenged),
    ("left", || connected(CONNECT_5)),
    ("closed", || closed(CONNECT_5)),
];

const STATES_311: [State; 6] = [
    ("before", bench),
    ("pending", || pending(CONNECT_311)),
    ("connected", || connected(CONNECT_311)),
    ("twice", || connected(CONNECT_311)),
    ("left", || connected(CONNECT_311)),
    ("closed", || closed(CONNECT_311)),
];

const STATES_31: [State; 6] = [
    ("before", bench),
    ("pending", || pending(CONNECT_31)),
    ("connected", || connected(CONNECT_31)),
    ("twice", || connected(CONNECT_31)),
    ("left", || connected(CONNECT_31)),
    ("closed", || closed(CONNECT_31)),
];

/// Each type of packet as it may be, and, with `*`, with flags that its type does not have.
const PACKETS_5: &[(&str, &[u8])] = &[
    ("0", b"\x00\x00"),
    ("0*", b"\x01\x00"),
    ("CONNECT", CONNECT_5),
    ("CONNECT*", b"\x11\x0E\x00\x04MQTT\x05\x02\x00\x0A\x00\x00\x01c"),
    ("CONNACK", b"\x20\x03\x00\x00\x00"),
    ("CONNACK*", b"\x21\x03\x00\x00\x00"),
    ("PUBLISH-0", b"\x30\x05\x00\x01a\x00x"),
    ("PUBLISH-0*", b"\x38\x05\x00\x01a\x00x"),
    ("PUBLISH-1", b"\x32\x07\x00\x01a\x00\x01\x00x"),
    ("PUBLISH-2", b"\x3D\x07\x00\x01a\x00\x01\x00x"),
    ("PUBLISH-3*", b"\x36\x07\x00\x01a\x00\x01\x00x"),
    ("PUBACK", b"\x40\x02\x00\x01"),
    ("PUBACK*", b"\x42\x02\x00\x01"),
    ("PUBREC", b"\x50\x02\x00\x01"),
    ("PUBREC*", b"\x52\x02\x00\x01"),
    ("PUBREL", b"\x62\x02\x00\x01"),
    ("PUBREL*", b"\x60\x02\x00\x01"),
    ("PUBCOMP", b"\x70\x02\x00\x01"),
    ("PUBCOMP*", b"\x72\x02\x00\x01"),
    ("SUBSCRIBE", b"\x82\x07\x00\x01\x00\x00\x01a\x00"),
    ("SUBSCRIBE*", b"\x80\x07\x00\x01\x00\x00\x01a\x00"),
    ("SUBACK", b"\x90\x04\x00\x01\x00\x00"),
    ("SUBACK*", b"\x92\x04\x00\x01\x00\x00"),
    ("UNSUBSCRIBE", b"\xA2\x06\x00\x01\x00\x00\x01a"),
    ("UNSUBSCRIBE*", b"\xA0\x06\x00\x01\x00\x00\x01a"),
    ("UNSUBACK", b"\xB0\x04\x00\x01\x00\x00"),
    ("UNSUBACK*", b"\xB2\x04\x00\x01\x00\x00"),
    ("PINGREQ", b"\xC0\x00"),
    ("PINGREQ*", b"\xC8\x00"),
    ("PINGRESP", b"\xD0\x00"),
    ("PINGRESP*", b"\xD1\x00"),
    ("DISCONNECT", b"\xE0\x00"),
    ("DISCONNECT*", b"\xE1\x00"),
    ("AUTH-00", b"\xF0\x06\x00\x04\x15\x00\x01M"),
    ("AUTH-18", CONTINUE),
    ("AUTH-19", AGAIN),
    ("AUTH*", b"\xF4\x06\x18\x04\x15\x00\x01M"),
];

/// The same of MQTT 3.1.1 and 3.1, but for CONNECT.
const PACKETS_3: &[(&str, &[u8])] = &[
    ("0", b"\x00\x00"),
    ("0*", b"\x01\x00"),
    ("CONNACK", b"\x20\x02\x00\x00"),
    ("CONNACK*", b"\x21\x02\x00\x00"),
    ("PUBLISH-0", b"\x30\x04\x00\x01ax"),
    ("PUBLISH-0*", b"\x38\x04\x00\x01ax"),
    ("PUBLISH-1", b"\x32\x06\x00\x01a\x00\x01x"),
    ("PUBLISH-2", b"\x3D\x06\x00\x01a\x00\x01x"),
    ("PUBLISH-3*", b"\x36\x06\x00\x01a\x00\x01x"),
    ("PUBACK", b"\x40\x02\x00\x01"),
    ("PUBACK*", b"\x42\x02\x00\x01"),
    ("PUBREC", b"\x50\x02\x00\x01"),
    ("PUBREC*", b"\x52\x02\x00\x01"),
    ("PUBREL", b"\x62\x02\x00\x01"),
    ("PUBREL*", b"\x6A\x02\x00\x01"),
    ("PUBCOMP", b"\x70\x02\x00\x01"),
    ("PUBCOMP*", b"\x72\x02\x00\x01"),
    ("SUBSCRIBE", b"\x82\x06\x00\x01\x00\x01a\x00"),
    ("SUBSCRIBE*", b"\x8A\x06\x00\x01\x00\x01a\x00"),
    ("SUBACK", b"\x90\x03\x00\x01\x00"),
    ("SUBACK*", b"\x92\x03\x00\x01\x00"),
    ("UNSUBSCRIBE", b"\xA2\x05\x00\x01\x00\x01a"),
    ("UNSUBSCRIBE*", b"\xAA\x05\x00\x01\x00\x01a"),
    ("UNSUBACK", b"\xB0\x02\x00\x01"),
    ("UNSUBACK*", b"\xB2\x02\x00\x01"),
    ("PINGREQ", b"\xC0\x00"),
    ("PINGREQ*", b"\xC8\x00"),
    ("PINGRESP", b"\xD0\x00"),
    ("PINGRESP*", b"\xD1\x00"),
    ("DISCONNECT", b"\xE0\x00"),
    ("DISCONNECT*", b"\xE1\x00"),
    ("15", b"\xF0\x00"),
    ("15*", b"\xF1\x00"),
];

const CONNECTS_311: [(&str, &[u8]); 2] =
    [("CONNECT", CONNECT_311), ("CONNECT*", b"\x11\x0D\x00\x04MQTT\x04\x02\x00\x0A\x00\x01c")];
const CONNECTS_31: [(&str, &[u8]); 2] =
    [("CONNECT", CONNECT_31), ("CONNECT*", b"\x11\x0F\x00\x06MQIsdp\x03\x02\x00\x0A\x00\x01c")];

const TABLE_5: &str = "
             before pending challenged judged connected twice able again-judged again-challenged left closed
0            turn   wait    81         wait   81        .     81   81           81               .    .
0*           turn   wait    81         wait   81        .     81   81           81               .    .
CONNECT      c      wait    82         wait   82        .     82   82           82               .    .
CONNECT*     81     wait    81         wait   81        .     81   81           81               .    .
CONNACK      turn   wait    82         wait   82        .     82   82           82               .    .
CONNACK*     turn   wait    81         wait   81        .     81   81           81               .    .
PUBLISH-0    turn   wait    82         wait   p         p     p    p            p                .    .
PUBLISH-0*   turn   wait    81         wait   81        .     81   81           81               .    .
PUBLISH-1    turn   wait    82         wait   p         p     p    p            p                .    .
PUBLISH-2    turn   wait    82         wait   p         p     p    p            p                .    .
PUBLISH-3*   turn   wait    81         wait   81        .     81   81           81               .    .
PUBACK       turn   wait    82         wait   ack       ack   ack  ack          ack              .    .
PUBACK*      turn   wait    81         wait   81        .     81   81           81               .    .
PUBREC       turn   wait    82         wait   rel       rel   rel  rel          rel              .    .
PUBREC*      turn   wait    81         wait   81        .     81   81           81               .    .
PUBREL       turn   wait    82         wait   r         r     r    r            r                .    .
PUBREL*      turn   wait    81         wait   81        .     81   81           81               .    .
PUBCOMP      turn   wait    82         wait   ack       ack   ack  ack          ack              .    .
PUBCOMP*     turn   wait    81         wait   81        .     81   81           81               .    .
SUBSCRIBE    turn   wait    82         wait   s         s     s    s            s                .    .
SUBSCRIBE*   turn   wait    81         wait   81        .     81   81           81               .    .
SUBACK       turn   wait    82         wait   82        .     82   82           82               .    .
SUBACK*      turn   wait    81         wait   81        .     81   81           81               .    .
UNSUBSCRIBE  turn   wait    82         wait   u         u     u    u            u                .    .
UNSUBSCRIBE* turn   wait    81         wait   81        .     81   81           81               .    .
UNSUBACK     turn   wait    82         wait   82        .     82   82           82               .    .
UNSUBACK*    turn   wait    81         wait   81        .     81   81           81               .    .
PINGREQ      turn   wait    82         wait   ping      ping  ping ping         ping             .    .
PINGREQ*     turn   wait    81         wait   81        .     81   81           81               .    .
PINGRESP     turn   wait    82         wait   82        .     82   82           82               .    .
PINGRESP*    turn   wait    81         wait   81        .     81   81           81               .    .
DISCONNECT   turn   wait    gone       wait   bye       .     bye  bye          bye              .    .
DISCONNECT*  turn   wait    81         wait   81        .     81   81           81               .    .
AUTH-00      turn   wait    82         wait   82        .     82   82           82               .    .
AUTH-18      turn   wait    a          wait   82        .     82   82           a                .    .
AUTH-19      turn   wait    82         wait   82        .     a    82           82               .    .
AUTH*        turn   wait    81         wait   81        .     81   81           81               .    .
";

const TABLE_311: &str = "
             before pending connected twice left closed
0            turn   wait    bad       .     .    .
0*           turn   wait    bad       .     .    .
CONNACK      turn   wait    turn      .     .    .
CONNACK*     turn   wait    bad       .     .    .
PUBLISH-0    turn   wait    p         p     .    .
PUBLISH-0*   turn   wait    bad       .     .    .
PUBLISH-1    turn   wait    p         p     .    .
PUBLISH-2    turn   wait    p         p     .    .
PUBLISH-3*   turn   wait    bad       .     .    .
PUBACK       turn   wait    ack       ack   .    .
PUBACK*      turn   wait    bad       .     .    .
PUBREC       turn   wait    rel       rel   .    .
PUBREC*      turn   wait    bad       .     .    .
PUBREL       turn   wait    r         r     .    .
PUBREL*      turn   wait    bad       .     .    .
PUBCOMP      turn   wait    ack       ack   .    .
PUBCOMP*     turn   wait    bad       .     .    .
SUBSCRIBE    turn   wait    s         s     .    .
SUBSCRIBE*   turn   wait    bad       .     .    .
SUBACK       turn   wait    turn      .     .    .
SUBACK*      turn   wait    bad       .     .    .
UNSUBSCRIBE  turn   wait    u         u     .    .
UNSUBSCRIBE* turn   wait    bad       .     .    .
UNSUBACK     turn   wait    turn      .     .    .
UNSUBACK*    turn   wait    bad       .     .    .
PINGREQ      turn   wait    ping      ping  .    .
PINGREQ*     turn   wait    bad       .     .    .
PINGRESP     turn   wait    turn      .     .    .
PINGRESP*    turn   wait    bad       .     .    .
DISCONNECT   turn   wait    bye       .     .    .
DISCONNECT*  turn   wait    bad       .     .    .
15           turn   wait    bad       .     .    .
15*          turn   wait    bad       .     .    .
CONNECT      c      wait    turn      .     .    .
CONNECT*     bad    wait    bad       .     .    .
";

const TABLE_31: &str = "
             before pending connected twice left closed
0            turn   wait    bad       .     .    .
0*           turn   wait    bad       .     .    .
CONNACK      turn   wait    turn      .     .    .
CONNACK*     turn   wait    turn      .     .    .
PUBLISH-0    turn   wait    p         p     .    .
PUBLISH-0*   turn   wait    p         p     .    .
PUBLISH-1    turn   wait    p         p     .    .
PUBLISH-2    turn   wait    p         p     .    .
PUBLISH-3*   turn   wait    bad       .     .    .
PUBACK       turn   wait    ack       ack   .    .
PUBACK*      turn   wait    ack       ack   .    .
PUBREC       turn   wait    rel       rel   .    .
PUBREC*      turn   wait    rel       rel   .    .
PUBREL       turn   wait    r         r     .    .
PUBREL*      turn   wait    r         r     .    .
PUBCOMP      turn   wait    ack       ack   .    .
PUBCOMP*     turn   wait    ack       ack   .    .
SUBSCRIBE    turn   wait    s         s     .    .
SUBSCRIBE*   turn   wait    s         s     .    .
SUBACK       turn   wait    turn      .     .    .
SUBACK*      turn   wait    turn      .     .    .
UNSUBSCRIBE  turn   wait    u         u     .    .
UNSUBSCRIBE* turn   wait    u         u     .    .
UNSUBACK     turn   wait    turn      .     .    .
UNSUBACK*    turn   wait    turn      .     .    .
PINGREQ      turn   wait    ping      ping  .    .
PINGREQ*     turn   wait    ping      ping  .    .
PINGRESP     turn   wait    turn      .     .    .
PINGRESP*    turn   wait    turn      .     .    .
DISCONNECT   turn   wait    bye       .     .    .
DISCONNECT*  turn   wait    bye       .     .    .
15           turn   wait    bad       .     .    .
15*          turn   wait    bad       .     .    .
CONNECT      c      wait    turn      .     .    .
CONNECT*     c      wait    turn      .     .    .
";

#[test]
fn every_packet_of_mqtt_5_in_every_state() {
    compare(TABLE_5, &STATES_5, PACKETS_5);
}

#[test]
fn every_packet_of_mqtt_311_in_every_state() {
    compare(TABLE_311, &STATES_311, &[PACKETS_3, &CONNECTS_311].concat());
}

#[test]
fn every_packet_of_mqtt_31_in_every_state() {
    compare(TABLE_31, &STATES_31, &[PACKETS_3, &CONNECTS_31].concat());
}

/// Compares the table with what happens. It has a row for each packet, a cell for each state, and nothing else.
fn compare(table: &str, states: &[State], packets: &[(&str, &[u8])]) {
    let mut lines = table.lines().filter(|line| !line.is_empty());
    let names: Vec<_> = lines.next().unwrap_or("").split_whitespace().collect();
    assert_eq!(names, states.iter().map(|state| state.0).collect::<Vec<_>>());
    let rows: Vec<Vec<_>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), packets.len());
    for row in rows {
        let (_, packet) = packets.iter().find(|packet| packet.0 == row[0]).expect("a packet of this name");
        let found: Vec<_> = states.iter().map(|state| outcome(*state, packet)).collect();
        assert_eq!(row[1..], found, "{}", row[0]);
    }
    let mut types: Vec<_> =
        packets.iter().map(|(name, packet)| (packet[0] >> 4, name.ends_with('*'))).collect();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), 32, "all 16 types, each with right and with wrong flags");
}

fn outcome((name, state): State, packet: &[u8]) -> String {
    let mut bench = state();
    match name {
        "twice" => {
            feed(&mut bench, packet);
            feed(&mut bench, packet)
        }
        "left" => {
            let both = feed(&mut bench, &[b"\xE0\x00", packet].concat());
            if both == "bye" { ".".to_owned() } else { both }
        }
        _ => feed(&mut bench, packet),
    }
}

/// What one call with the packet brings.
fn feed(bench: &mut Bench, packet: &[u8]) -> String {
    let mut out = Outbox::new(Transport::Stream);
    let taken = bench.connection.receive(packet, bench.now, &mut out);
    let sent: Vec<u8> = out.chunks().flat_map(|chunk| chunk.bytes.to_vec()).collect();
    let actions: Vec<_> = std::iter::from_fn(|| out.next_action()).collect();
    if let Err(error) = taken {
        assert!(actions.is_empty(), "{actions:?}");
        return match (sent.as_slice(), error.reason) {
            ([0x20, _, 0, code, ..] | [0xE0, _, code, ..], _) => format!("{code:02X}"),
            ([], Reason::Malformed) => "bad".to_owned(),
            ([], Reason::ProtocolViolation) => "turn".to_owned(),
            other => format!("{other:02X?}"),
        };
    }
    let cell = match (actions.as_slice(), sent.as_slice(), taken) {
        ([], [], Ok(0)) => "wait",
        ([], [], _) => ".",
        ([], b"\xD0\x00", _) => "ping",
        ([Action::Ack(..)], [], _) => "ack",
        ([Action::Ack(..)], b"\x62\x02\x00\x01", _) => "rel",
        ([Action::Close(Reason::Disconnected)], [], _) => "gone",
        ([Action::Request(_, Request::Disconnect(_)), Action::Close(Reason::Disconnected)], [], _) => "bye",
        ([Action::Request(_, request)], [], _) => match request {
            Request::Connect(_) => "c",
            Request::Authenticate(_) => "a",
            Request::Publish(_) => "p",
            Request::Release(_) => "r",
            Request::Subscribe(_) => "s",
            Request::Unsubscribe(_) => "u",
            other => panic!("{other:?}"),
        },
        other => panic!("{other:02X?}"),
    };
    cell.to_owned()
}

fn pending(connect: &[u8]) -> Bench {
    then(bench(), connect)
}

fn then(mut bench: Bench, packet: &[u8]) -> Bench {
    bench.receive(packet);
    bench
}

/// A bench whose client the broker challenges.
fn challenged() -> Bench {
    challenge(pending(&connect_5(CHALLENGE)))
}

/// A connected client that may authenticate again.
fn able() -> Bench {
    connected(&connect_5(CHALLENGE))
}

fn again_challenged() -> Bench {
    challenge(then(able(), AGAIN))
}

fn challenge(mut bench: Bench) -> Bench {
    let (ticket, _) = bench.request();
    let step = EnhancedAuthentication { method: "M".into(), data: "?".into() };
    bench.reply(ticket, Reply::Challenge(Box::new(step)));
    bench
}

fn closed(connect: &[u8]) -> Bench {
    let mut bench = connected(connect);
    bench.handle(Event::Close(Reason::Kicked));
    bench
}
