//! From SEND to the bus.

use std::time::Duration;

use crate::story::*;
use bus::{Limits, Qos, Reason, Reply};

#[test]
fn send_publishes_its_destination_as_it_is_and_the_receipt_waits_for_the_reply() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut bench = connected(version);
        bench.receive(b"SEND\ndestination:/topic/a\nreceipt:r1\n\nhello\0\n\n");
        let (ticket, publish) = publish(&mut bench);
        assert_eq!(publish.topic.as_str(), "/topic/a", "no prefix is taken off");
        assert_eq!(publish.payload, "hello");
        assert_eq!((publish.qos, publish.retain, publish.expiry), (Qos::AtLeastOnce, false, None));
        assert!(publish.metadata.is_none());
        assert!(bench.take_sent().is_empty(), "no receipt before the broker has the message");
        bench.reply(ticket, Reply::Published { matched: 1 });
        assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:r1\n\n\0");
    }
}

#[test]
fn headers_of_send_become_what_the_bus_knows_them_as() {
    let mut bench = connected("1.2");
    bench.receive(
        b"SEND\ndestination:t\ncontent-type:application/json\nreply-to:answers/1\ncorrelation-id:42\nretain:true\n\
          message-expiry:60\nqos:0\ncontent-length:3\nunit:a\\cb\\nc\\\\\\r\nunit:second\npriority:4\n\na\0b\0",
    );
    let (_, publish) = publish(&mut bench);
    let metadata = publish.metadata.expect("metadata");
    assert_eq!(metadata.content_type.as_deref(), Some("application/json"));
    assert_eq!(metadata.response_topic.as_ref().map(|topic| topic.as_str()), Some("answers/1"));
    assert_eq!(metadata.correlation.as_deref(), Some(&b"42"[..]));
    assert!(publish.retain);
    assert_eq!(publish.expiry, Some(Duration::from_secs(60)));
    assert_eq!(publish.qos, Qos::AtMostOnce);
    assert_eq!(&publish.payload[..], b"a\0b", "content-length lets a body have NUL");
    let user: Vec<(&str, &str)> = metadata.user_properties.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(user, [("unit", "a:b\nc\\\r"), ("priority", "4")], "the first of repeated headers counts");
}

#[test]
fn an_expiry_of_0_is_for_ever_and_a_point_in_time_is_refused() {
    let mut bench = connected("1.2");
    bench.receive(b"SEND\ndestination:t\nexpires:0\n\n\0");
    assert_eq!(publish(&mut bench).1.expiry, None);
    bench.receive(b"SEND\ndestination:t\nexpires:30\n\n\0");
    assert_eq!(publish(&mut bench).1.expiry, Some(Duration::from_secs(30)));
    bench.receive(b"SEND\ndestination:t\nexpires:1763820000000\n\n\0");
    assert_error(&mut bench, Reason::Malformed, "seconds from now");
}

#[test]
fn a_header_value_keeps_its_blanks_from_1_1_on_and_loses_them_in_1_0() {
    for (version, value) in [("1.0", "x"), ("1.1", " x "), ("1.2", " x ")] {
        let mut bench = connected(version);
        bench.receive(b"SEND\ndestination:t\nkey: x \n\n\0");
        let metadata = publish(&mut bench).1.metadata.expect("metadata");
        assert_eq!(&*metadata.user_properties[0].1, value);
    }
}

#[test]
fn a_backslash_is_text_in_1_0_and_an_undefined_escape_is_fatal_later() {
    let mut old = connected("1.0");
    old.receive(b"SEND\ndestination:a\\tb\n\n\0");
    assert_eq!(publish(&mut old).1.topic.as_str(), "a\\tb");
    for (version, header) in [("1.1", "key:\\t"), ("1.1", "key:\\r"), ("1.2", "key:\\t"), ("1.2", "key:\\")] {
        let mut bench = connected(version);
        bench.receive(format!("SEND\nreceipt:9\ndestination:t\n{header}\n\n\0").as_bytes());
        assert_error(&mut bench, Reason::Malformed, "receipt-id:9\n");
    }
}

#[test]
fn what_cannot_be_published_is_an_error_with_the_receipt_id() {
    for (headers, reason, part) in [
        ("x:y", Reason::ProtocolViolation, "SEND has no destination"),
        ("destination:", Reason::TopicInvalid, "message:invalid destination"),
        ("destination:a/#", Reason::TopicInvalid, "message:invalid destination"),
        ("destination:t\nreply-to:+", Reason::TopicInvalid, "message:invalid destination"),
        ("destination:t\nretain:yes", Reason::Malformed, "retain is neither true nor false"),
        ("destination:t\nqos:2", Reason::QosNotSupported, "qos is neither 0 nor 1"),
        ("destination:t\ntransaction:tx", Reason::ProtocolViolation, "no open transaction"),
        ("destination:t\ncontent-length:x", Reason::Malformed, "content-length"),
        ("destination:t\ncontent-length:1", Reason::Malformed, "content-length"),
        ("destination:t\nno colon", Reason::Malformed, "no colon"),
        ("destination:t\n:no name", Reason::Malformed, "no name"),
    ] {
        let mut bench = connected("1.2");
        bench.receive(format!("SEND\nreceipt:9\n{headers}\n\nbody\0").as_bytes());
        assert!(bench.requests.is_empty());
        assert_error(&mut bench, reason, part);
        let mut bench = connected("1.2");
        bench.receive(format!("SEND\nreceipt:9\n{headers}\n\nbody\0").as_bytes());
        assert_error(&mut bench, reason, "\nreceipt-id:9\n");
    }
}

#[test]
fn a_publish_that_the_broker_refuses_is_an_error() {
    let mut bench = connected("1.1");
    bench.receive(b"SEND\ndestination:secret\nreceipt:5\n\n\0");
    let (ticket, _) = publish(&mut bench);
    bench.refuse(ticket, Reason::NotAuthorized);
    assert_error(&mut bench, Reason::NotAuthorized, "ERROR\nmessage:not authorized\nreceipt-id:5\n");
}

#[test]
fn limits_hold_while_a_frame_arrives() {
    let limits = Limits { packet: 1_000, user_properties: 3, topic_levels: 3, ..Limits::default() };
    let refused: [(Vec<u8>, &str); 6] = [
        ([&b"SEND\ndestination:t\n\n"[..], &[b'x'; 1_000]].concat(), "frame too large"),
        (b"SEND\ndestination:t\ncontent-length:1000\n\n".to_vec(), "frame too large"),
        (b"SEND\ndestination:t\ncontent-length:99999999999999999999999\n\n".to_vec(), "frame too large"),
        ([&b"SEND\n"[..], &b"a:b\n".repeat(21)].concat(), "more headers than limits.user_properties"),
        (b"SEND\ndestination:t\na:1\nb:1\nc:1\nd:1\n\n\0".to_vec(), "limits.user_properties"),
        (b"SEND\ndestination:a/b/c/d\n\n\0".to_vec(), "too many levels"),
    ];
    for (bytes, part) in refused {
        let mut bench = connected_within("1.2", limits.clone());
        bench.receive(&bytes);
        assert!(bench.closed.is_some(), "{part}");
        assert!(sent(&mut bench).contains(part), "{part}");
    }
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_arrive_in_pieces() {
    let limits = Limits { packet: 1_000, ..Limits::default() };
    let head = b"SEND\ndestination:t\n\n";
    let body = vec![b'x'; 1_000 - head.len() - 1];
    let mut bench = connected_within("1.2", limits);
    bench.receive(head);
    for piece in body.chunks(7) {
        bench.receive(piece);
    }
    bench.receive(b"\0");
    assert_eq!(publish(&mut bench).1.payload, body);
}

#[test]
fn no_more_is_read_than_may_await_its_reply() {
    let limits = Limits { outstanding: 2, ..Limits::default() };
    let mut bench = connected_within("1.2", limits);
    bench.receive(b"SEND\ndestination:t\n\n1\0SEND\ndestination:t\n\n2\0SEND\ndestination:t\n\n3\0");
    assert_eq!(bench.requests.len(), 2);
    let (ticket, _) = publish(&mut bench);
    bench.reply(ticket, Reply::Published { matched: 0 });
    bench.receive(b"");
    assert_eq!(bench.requests.len(), 2, "the third is read now");
}
