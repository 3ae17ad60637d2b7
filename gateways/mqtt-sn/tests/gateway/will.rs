use std::time::Duration;

use bus::{Qos, Reason, Will};

use crate::*;

/// `c1`, connected with the will `w` `bye`.
fn with_will() -> Bench {
    let mut bench = bench();
    bench.receive(&connect(CLEAN | WILL));
    bench.receive(&[4, 0x07, 0x30, b'w']);
    bench.receive(&[5, 0x09, b'b', b'y', b'e']);
    bench.accept_connect(false);
    bench.take_sent();
    bench
}

fn set_will(bench: &mut Bench) -> Option<Will> {
    let (ticket, request) = bench.request();
    let Request::SetWill(will) = request else { panic!("expected a will, found {request:?}") };
    bench.reply(ticket, Reply::WillSet);
    will.map(|will| *will)
}

#[test]
fn the_will_is_asked_for_before_the_session_is_opened() {
    let mut bench = bench();
    bench.receive(&connect(CLEAN | WILL));
    assert_eq!(bench.take_sent(), [2, 0x06], "WILLTOPICREQ");
    bench.receive(&[4, 0x07, 0x30, b'w']);
    assert_eq!(bench.take_sent(), [2, 0x08], "WILLMSGREQ");
    assert!(bench.requests.is_empty());
    bench.receive(&[5, 0x09, b'b', b'y', b'e']);
    let will = bench.accept_connect(false).will.unwrap();
    assert_eq!((will.publish.topic.as_str(), &will.publish.payload[..]), ("w", &b"bye"[..]));
    assert!(will.publish.qos == Qos::AtLeastOnce && will.publish.retain && will.delay.is_zero());
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
}

#[test]
fn an_empty_will_topic_means_no_will() {
    let mut bench = bench();
    bench.receive(&connect(CLEAN | WILL));
    bench.receive(&[2, 0x07]);
    assert!(bench.accept_connect(false).will.is_none());
    assert_eq!(bench.take_sent(), [2, 0x06, 3, 0x05, 0]);
}

#[test]
fn what_was_lost_in_the_handshake_is_asked_for_again() {
    let mut bench = bench();
    bench.receive(&connect(CLEAN | WILL));
    bench.receive(&connect(CLEAN | WILL));
    assert_eq!(bench.take_sent(), [2, 0x06, 2, 0x06]);
    bench.receive(&[4, 0x07, 0, b'w']);
    bench.receive(&[4, 0x07, 0, b'w']);
    assert_eq!(bench.take_sent(), [2, 0x08, 2, 0x08]);
    bench.receive(&[2, 0x09]);
    bench.receive(&[2, 0x09]);
    bench.accept_connect(false);
    assert!(bench.requests.is_empty());
    assert_eq!(bench.take_sent(), [3, 0x05, 0]);
}

#[test]
fn a_handshake_that_stops_ends() {
    for before in [&[][..], &[4, 0x07, 0, b'w']] {
        let mut bench = bench();
        bench.receive(&connect(CLEAN | WILL));
        if !before.is_empty() {
            bench.receive(before);
        }
        bench.advance(Duration::from_secs(15));
        assert_eq!(bench.closed, Some(Reason::HandshakeTimeout));
    }
}

#[test]
fn a_will_topic_with_wildcards_is_refused() {
    let mut bench = bench();
    bench.receive(&connect(CLEAN | WILL));
    bench.receive(&[4, 0x07, 0, b'#']);
    assert_eq!(bench.take_sent(), [2, 0x06, 3, 0x05, 3]);
    assert_eq!(bench.closed, Some(Reason::TopicInvalid));
}

#[test]
fn anything_but_the_will_ends_the_handshake() {
    let packets: [&[u8]; 3] = [&[8, 0x0C, 0x20, 0, 1, 0, 1, b'x'], &[7, 0x0A, 0, 0, 0, 1, b'a'], &[2, 0x16]];
    for packet in packets {
        let mut bench = bench();
        bench.receive(&connect(CLEAN | WILL));
        bench.take_sent();
        bench.receive(packet);
        assert_eq!(bench.take_sent(), [2, 0x18], "{packet:?}");
        assert_eq!(bench.closed, Some(Reason::ProtocolViolation));
    }
    let mut bench = bench();
    bench.receive(&connect(CLEAN | WILL));
    bench.receive(&[2, 0x18]);
    assert_eq!(bench.take_sent(), [2, 0x06, 2, 0x18], "a good-bye is a good-bye");
    assert!(bench.requests.is_empty());
}

#[test]
fn the_will_topic_changes_and_the_message_stays() {
    let mut bench = with_will();
    bench.receive(&[4, 0x1A, 0x40, b'v']);
    let will = set_will(&mut bench).unwrap();
    assert_eq!((will.publish.topic.as_str(), &will.publish.payload[..]), ("v", &b"bye"[..]));
    assert!(will.publish.qos == Qos::ExactlyOnce && !will.publish.retain);
    assert_eq!(bench.take_sent(), [3, 0x1B, 0]);
}

#[test]
fn the_will_message_changes_and_the_topic_stays() {
    let mut bench = with_will();
    bench.receive(&[4, 0x1C, b'o', b'k']);
    let will = set_will(&mut bench).unwrap();
    assert_eq!((will.publish.topic.as_str(), &will.publish.payload[..]), ("w", &b"ok"[..]));
    assert_eq!(bench.take_sent(), [3, 0x1D, 0]);
}

#[test]
fn a_change_waits_for_the_answer_to_the_one_before() {
    let mut bench = with_will();
    bench.receive(&[4, 0x1A, 0x40, b'v']);
    bench.receive(&[4, 0x1A, 0x40, b'v']);
    bench.receive(&[4, 0x1C, b'o', b'k']);
    let will = set_will(&mut bench).unwrap();
    assert_eq!((will.publish.topic.as_str(), &will.publish.payload[..]), ("v", &b"bye"[..]));
    assert!(bench.requests.is_empty(), "or the message would have brought the old topic back");
    bench.receive(&[4, 0x1C, b'o', b'k']);
    let will = set_will(&mut bench).unwrap();
    assert_eq!((will.publish.topic.as_str(), &will.publish.payload[..]), ("v", &b"ok"[..]));
    assert_eq!(bench.take_sent(), [3, 0x1B, 0, 3, 0x1D, 0]);
}

#[test]
fn an_empty_will_topic_update_removes_the_will() {
    let mut bench = with_will();
    bench.receive(&[2, 0x1A]);
    assert!(set_will(&mut bench).is_none());
    assert_eq!(bench.take_sent(), [3, 0x1B, 0]);
    bench.receive(&[4, 0x1C, b'o', b'k']);
    assert_eq!(bench.take_sent(), [3, 0x1D, 3], "a message without a topic is no will");
}

#[test]
fn a_client_without_a_will_may_set_one_later() {
    let mut bench = connected();
    bench.receive(&[4, 0x1A, 0, b'w']);
    assert!(set_will(&mut bench).unwrap().publish.payload.is_empty());
    bench.receive(&[4, 0x1C, b'o', b'k']);
    assert_eq!(&set_will(&mut bench).unwrap().publish.payload[..], b"ok");
    assert_eq!(bench.take_sent(), [3, 0x1B, 0, 3, 0x1D, 0]);
}

#[test]
fn a_refused_change_leaves_the_will_as_it_was() {
    let mut bench = with_will();
    bench.receive(&[4, 0x1A, 0, b'v']);
    let (ticket, _) = bench.request();
    bench.refuse(ticket, Reason::NotAuthorized);
    bench.receive(&[4, 0x1A, 0, b'#']);
    assert_eq!(bench.take_sent(), [3, 0x1B, 3, 3, 0x1B, 3]);
    bench.receive(&[2, 0x1C]);
    assert_eq!(set_will(&mut bench).unwrap().publish.topic.as_str(), "w");
}

#[test]
fn a_client_that_comes_back_with_a_new_will_is_asked_for_it() {
    let mut bench = bench();
    open(&mut bench, 0);
    bench.receive(&connect(WILL));
    assert_eq!(bench.take_sent(), [2, 0x06]);
    assert!(bench.requests.is_empty(), "it has its session until it asks for the next");
    bench.receive(&[4, 0x07, 0, b'w']);
    bench.receive(&[2, 0x09]);
    assert!(matches!(bench.request().1, Request::Disconnect(leave) if !leave.publish_will));
    let asked = bench.accept_connect(true);
    assert!(!asked.clean_start && asked.will.is_some());
}

#[test]
fn a_client_that_leaves_while_it_is_asked_for_a_new_will_leaves_its_session() {
    let mut bench = connected();
    bench.receive(&connect(CLEAN | WILL));
    bench.receive(&[2, 0x18]);
    assert_eq!(bench.take_sent(), [2, 0x06, 2, 0x18]);
    assert!(matches!(bench.request().1, Request::Disconnect(leave) if !leave.publish_will));
    assert_eq!(bench.closed, Some(Reason::Disconnected));
}

/// The copy was taken for a new beginning, and the next message of the client ended its connection.
#[test]
fn a_connect_that_the_network_doubled_does_not_end_the_session() {
    let publish = [8, 0x0C, 0x22, b'a', b'b', 0, 7, b'x'];
    let mut bench = with_will();
    bench.deliver(harness::delivery(9, 0, "ab", "y", Qos::AtLeastOnce, bench.now));
    bench.receive(&publish);
    let (before, _) = published(&mut bench);
    bench.take_sent();
    bench.receive(&connect(CLEAN | WILL));
    assert_eq!(bench.take_sent(), [2, 0x06], "WILLTOPICREQ, in case the client began anew");
    assert_eq!(bench.connection.room(), 0);
    take_published(&mut bench, before);
    assert_eq!(bench.take_sent(), [7, 0x0D, b'a', b'b', 0, 7, 0], "what it asked before is answered");

    bench.receive(&publish);
    assert_eq!(bench.take_sent(), [8, 0x0C, 0xA2, b'a', b'b', 0, 9, b'y'], "its PUBACK may be lost");
    published(&mut bench);
    bench.receive(&[7, 0x0D, b'a', b'b', 0, 9, 0]);
    assert!(bench.requests.is_empty() && bench.acks.len() == 1);
    assert_eq!(bench.closed, None);

    bench.receive(&connect(CLEAN | WILL));
    bench.receive(&[4, 0x18, 1, 44]);
    assert_eq!(bench.take_sent(), [2, 0x06, 2, 0x18], "it may go to sleep as well");
    bench.advance(Duration::from_secs(300));
    assert_eq!(bench.closed, None);
}

#[test]
fn a_client_that_says_nothing_to_a_doubled_connect_stays_connected() {
    let mut bench = with_will();
    bench.receive(&connect(CLEAN | WILL));
    bench.take_sent();
    bench.advance(Duration::from_secs(15));
    assert_eq!((bench.closed, bench.connection.room() > 0), (None, true));
    bench.advance(Duration::from_secs(75));
    assert_eq!(bench.closed, Some(Reason::KeepAliveTimeout), "as if nothing had come");
}
