//! BEGIN, COMMIT and ABORT.

use crate::story::*;
use bus::{Ack, Limits, Reason, Reply};
use stomp::Config;

#[test]
fn commit_asks_for_all_its_messages_at_once_and_acknowledges_when_they_are_published() {
    let mut bench = with_open_transaction();
    bench.receive(b"COMMIT\ntransaction:t\nreceipt:3\n\n\0");
    let (ticket, publishes) = publish_all(&mut bench);
    let payloads: Vec<_> = publishes.iter().map(|publish| &publish.payload[..]).collect();
    assert_eq!(payloads, [b"first".as_slice(), b"second"]);
    assert!(publishes.iter().all(|publish| publish.metadata.is_none()), "the transaction is no property");
    assert!(bench.acks.is_empty() && bench.take_sent().is_empty(), "not before the broker has the messages");
    bench.reply(ticket, Reply::Published { matched: 0 });
    assert_eq!(acks(&mut bench), [(4, Ack::Complete), (5, Ack::Return)]);
    assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:3\n\n\0");
}

#[test]
fn a_commit_that_the_broker_refuses_does_nothing_at_all() {
    let mut bench = with_open_transaction();
    bench.receive(b"COMMIT\ntransaction:t\nreceipt:3\n\n\0");
    let (ticket, _) = publish_all(&mut bench);
    bench.refuse(ticket, Reason::NotAuthorized);
    assert_error(&mut bench, Reason::NotAuthorized, "receipt-id:3\n");
    assert!(bench.acks.is_empty() && bench.requests.is_empty(), "neither ACK nor NACK counts");
}

#[test]
fn what_follows_a_commit_waits_until_it_is_decided() {
    let mut bench = with_open_transaction();
    bench.receive(
        b"COMMIT\ntransaction:t\nreceipt:3\n\n\0SEND\ndestination:b\n\nthird\0DISCONNECT\nreceipt:4\n\n\0",
    );
    let (ticket, _) = publish_all(&mut bench);
    assert!(bench.requests.is_empty());
    bench.reply(ticket, Reply::Published { matched: 0 });
    bench.receive(b"");
    let (third, message) = publish(&mut bench);
    assert_eq!(&message.payload[..], b"third");
    assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:3\n\n\0");
    bench.reply(third, Reply::Published { matched: 0 });
    assert!(matches!(bench.request(), (_, bus::Request::Disconnect(_))));
}

/// A client with two messages of a subscription, and a transaction that sends two and answers both.
fn with_open_transaction() -> harness::Bench {
    let mut bench = connected("1.2");
    let id = subscribe(&mut bench, "SUBSCRIBE\nid:c\ndestination:a\nack:client-individual\n\n\0");
    deliver(&mut bench, 4, id, "a", "x");
    deliver(&mut bench, 5, id, "a", "y");
    bench.take_sent();
    bench.receive(
        b"BEGIN\ntransaction:t\nreceipt:1\n\n\0SEND\ndestination:b\ntransaction:t\nreceipt:2\n\nfirst\0\
          ACK\nid:2a-1\ntransaction:t\n\n\0NACK\nid:2a-2\ntransaction:t\n\n\0\
          SEND\ndestination:b\ntransaction:t\n\nsecond\0",
    );
    assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:1\n\n\0RECEIPT\nreceipt-id:2\n\n\0");
    assert!(bench.requests.is_empty() && bench.acks.is_empty(), "nothing happens before COMMIT");
    bench
}

#[test]
fn abort_forgets_all_of_it() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut bench = connected(version);
        bench.receive(
            b"BEGIN\ntransaction:t\n\n\0SEND\ndestination:b\ntransaction:t\n\nx\0ABORT\ntransaction:t\nreceipt:1\n\n\0",
        );
        assert!(bench.requests.is_empty());
        assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:1\n\n\0");
        // the name is free again
        bench.receive(b"BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\nreceipt:2\n\n\0");
        assert_eq!(sent(&mut bench), "RECEIPT\nreceipt-id:2\n\n\0");
    }
}

#[test]
fn transactions_that_are_unknown_or_open_already_are_errors() {
    for (frames, reason) in [
        ("BEGIN\n\n\0", Reason::ProtocolViolation),
        ("COMMIT\ntransaction:t\n\n\0", Reason::ProtocolViolation),
        ("ABORT\ntransaction:t\n\n\0", Reason::ProtocolViolation),
        ("ACK\nid:2a-1\ntransaction:t\n\n\0", Reason::PacketIdUnknown),
        ("BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0", Reason::PacketIdInUse),
        (
            "BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0",
            Reason::ProtocolViolation,
        ),
    ] {
        let mut bench = connected("1.2");
        bench.receive(frames.as_bytes());
        assert_error(&mut bench, reason, "ERROR");
    }
}

#[test]
fn open_transactions_are_bounded_by_number_frames_bytes_and_name() {
    let limits = Limits { subscriptions: 2, outstanding: 3, ..Limits::default() };
    let config = Config { transactions: 100, name: 10, ..Config::default() };
    let full = |frames: &[&str], part: &str| {
        let mut bench = stranger_within(config.clone(), limits.clone());
        bench.receive(b"CONNECT\naccept-version:1.2\n\n\0");
        bench.accept_connect(false);
        let (last, before) = frames.split_last().expect("some");
        for frame in before {
            bench.receive(frame.as_bytes());
            assert_eq!(bench.closed, None, "{frame}");
        }
        bench.receive(last.as_bytes());
        assert!(bench.closed.is_some_and(|r| matches!(r, Reason::QuotaExceeded | Reason::PacketTooLarge)));
        assert!(sent(&mut bench).contains(part), "{last}");
    };
    let send = "SEND\ndestination:t\ntransaction:a\n\n\0";
    let large = format!("SEND\ndestination:t\ntransaction:a\n\n{}\0", "x".repeat(100));
    let begin = "BEGIN\ntransaction:a\n\n\0";
    full(&[begin, "BEGIN\ntransaction:b\n\n\0", "BEGIN\ntransaction:c\n\n\0"], "stomp.transactions");
    full(&[begin, send, send, send, send], "stomp.transactions");
    full(&[begin, &large], "stomp.transactions");
    full(&["BEGIN\ntransaction:longer than ten\n\n\0"], "stomp.name");
    full(&["SUBSCRIBE\nid:longer than ten\ndestination:t\n\n\0"], "stomp.name");
    full(&["BEGIN\ntransaction:a\nreceipt:longer than ten\n\n\0"], "stomp.name");
}

#[test]
fn what_a_transaction_held_is_given_back_to_the_limit() {
    let limits = Limits { outstanding: 3, ..Limits::default() };
    let mut bench = connected_within("1.2", limits);
    for _ in 0..100 {
        bench.receive(b"BEGIN\ntransaction:a\n\n\0SEND\ndestination:t\ntransaction:a\n\nx\0");
        bench.receive(b"SEND\ndestination:t\ntransaction:a\n\nx\0ABORT\ntransaction:a\n\n\0");
    }
    assert_eq!(bench.closed, None);
}
