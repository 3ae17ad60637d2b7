//! Requests and answers, and what breaks the format of a message.

use bus::{Qos, Reason, Reply, Request};
use coap::{Code, Framing, Message, Token};

use crate::common::{granted, published};
use crate::peer::{LET_IN, aborted, answer, answers, framed, in_session, open, tcp};

#[test]
fn a_publish_is_answered_without_acknowledgement_or_message_id() {
    let mut bench = open();
    // Len 9, TKL 1, PUT, token 0xBB; Uri-Path "ps" "a"; payload "21.5"
    bench.receive(b"\xA1\x03\xBB\xB2ps\x01a\xFF21.5");
    bench.accept_connect(false);
    let (ticket, publish) = published(&mut bench);
    assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("a", &b"21.5"[..]));
    assert_eq!(publish.qos, Qos::AtLeastOnce, "a stream is as good as a confirmable message");
    bench.reply(ticket, Reply::Published { matched: 1 });
    assert_eq!(bench.take_sent(), [LET_IN, b"\x01\x44\xBB"].concat());
}

#[test]
fn the_session_is_told_that_many_messages_may_be_on_their_way() {
    let mut bench = open();
    bench.receive(b"\xA1\x03\xBB\xB2ps\x01a\xFF21.5");
    assert_eq!(bench.accept_connect(false).receive_maximum, 16);
}

#[test]
fn requests_are_answered_in_any_order_by_their_tokens() {
    let mut bench = in_session();
    bench.receive(&[tcp(Code::PUT, b"1", "ps/a", "x"), tcp(Code::GET, b"22", "ps/b", "")].concat());
    let (publish, _) = published(&mut bench);
    let (read, request) = bench.request();
    assert!(matches!(request, Request::Read(_)));
    bench.reply(read, Reply::Read(None));
    bench.reply(publish, Reply::Published { matched: 1 });
    let answers = answers(&mut bench);
    let told: Vec<_> = answers.iter().map(|answer| (answer.token(), answer.code())).collect();
    assert_eq!(told, [(Token::new(b"22"), Code::NOT_FOUND), (Token::new(b"1"), Code::CHANGED)]); // [RFC8323 3.3]
}

#[test]
fn a_request_that_comes_twice_is_worked_twice() {
    let mut bench = in_session();
    for _ in 0..2 {
        bench.receive(&tcp(Code::PUT, b"1", "ps/a", "x"));
        let (ticket, _) = published(&mut bench);
        bench.reply(ticket, Reply::Published { matched: 1 });
        assert_eq!(bench.take_sent(), b"\x01\x441");
    }
}

#[test]
fn requests_wait_unread_while_the_session_is_opened() {
    let mut bench = open();
    let request = |token: u8| tcp(Code::PUT, &[token], "ps/a", &"x".repeat(1000));
    bench.receive(&(0..200).flat_map(request).collect::<Vec<_>>());
    assert_eq!((bench.requests.len(), bench.take_sent().len()), (1, 0));
    bench.accept_connect(false);
    let mut published_count = 0;
    while !bench.requests.is_empty() {
        while !bench.requests.is_empty() {
            let (ticket, _) = published(&mut bench);
            bench.reply(ticket, Reply::Published { matched: 1 });
            published_count += 1;
        }
        bench.receive(b"");
    }
    assert_eq!(published_count, 200, "a datagram's peer would have been told to come back");
}

#[test]
fn an_unknown_critical_option_of_a_request_is_a_bad_option_and_no_end() {
    let mut bench = open();
    // GET, token t, option 9 (OSCORE would be in order, 13 is unknown), empty
    bench.receive(b"\x21\x01t\xD0\x00");
    let answer = answer(&mut bench);
    assert_eq!((answer.code(), answer.token()), (Code::BAD_OPTION, Token::new(b"t"))); // [RFC7252 5.4.1]
    assert_eq!(bench.closed, None);
}

#[test]
fn a_token_may_be_as_long_as_was_announced() {
    let mut bench = open();
    let token = [7; 64];
    bench.receive(&tcp(Code::GET, &token, "nowhere", ""));
    assert_eq!(answer(&mut bench).token(), Token::new(&token));
    bench.receive(&tcp(Code::GET, &[7; 65], "nowhere", ""));
    assert!(aborted(&mut bench).contains("token longer than is taken")); // [RFC8974 2.2.1]
    assert_eq!(bench.closed, Some(Reason::Malformed));
}

#[test]
fn what_breaks_the_format_of_a_message_ends_the_connection() {
    let broken: [(&[u8], &str); 9] = [
        (b"\x0F", "token length 15"),
        (b"\x00\x20", "reserved class"),
        (b"\x00\x60", "reserved class"),
        (b"\x00\xC0", "reserved class"),
        (b"\x11\x00t\xFF", "empty message with something in it"),
        (b"\x01\x00t", "empty message with something in it"),
        (b"\x10\x01\xF0", "reserved option delta"),
        (b"\x10\x01\xB2", "ends within an option"),
        (b"\x10\x01\xFF", "payload marker and no payload"),
    ];
    for (bytes, why) in broken {
        let mut bench = open();
        bench.receive(bytes);
        let told = aborted(&mut bench); // [RFC8323 5.6]
        assert!(told.contains(why), "{bytes:02x?}: {told}");
        assert_eq!(bench.closed, Some(Reason::Malformed));
        assert!(bench.requests.is_empty(), "it was worked");
    }
}

/// Requests go both ways over one connection [RFC8323 3.3].
#[test]
fn an_application_asks_a_client_on_its_stream_and_is_told_its_answer() {
    let mut bench = open();
    let get = Message::request(Code::GET).with_path(["ps", "a"]).with_query("c=lamp");
    bench.receive(&framed(Framing::Tcp, b"t", &get));
    bench.accept_connect(false);
    let (read, _) = bench.request();
    let (judge, request) = bench.request();
    let Request::Judge(rights) = request else { panic!("{request:?}") };
    let topic = bus::Topic::parse("coap/lamp/request").unwrap();
    assert_eq!(rights, [bus::Right::Read(topic.clone())]);
    let judgement = bus::Judgement { topic, allowed: Ok(()), retained: false };
    bench.reply(judge, Reply::Judged { judgements: vec![judgement], time: None });
    let requests = granted(&mut bench);
    bench.reply(read, Reply::Read(None));
    bench.take_sent();
    let ask = r#"{"id": 1, "method": "GET", "path": "temp"}"#;
    bench.deliver(harness::delivery(7, requests, "coap/lamp/request", ask, Qos::AtLeastOnce, bench.now));
    let asked = answer(&mut bench);
    assert_eq!((asked.code(), asked.uri_path()), (Code::GET, vec!["temp"]));
    let said = Message::response(Code::CONTENT).with_payload("21.5");
    bench.receive(&framed(Framing::Tcp, asked.token().as_slice(), &said));
    let (_, told) = published(&mut bench);
    assert_eq!(told.topic.as_str(), "coap/lamp/response");
    assert_eq!(&told.payload[..], br#"{"code":"2.05","id":1,"payload":"21.5"}"#);
    assert_eq!(bench.take_sent(), b"", "nothing is acknowledged");
}

#[test]
fn an_answer_to_nothing_means_nothing() {
    let mut bench = open();
    bench.receive(b"\x01\x45t");
    assert_eq!((bench.take_sent(), bench.closed), (vec![], None));
}

/// Reads `ps/b`, on which so many bytes are retained.
fn read(bench: &mut harness::Bench, bytes: usize) -> Message {
    bench.receive(&tcp(Code::GET, b"t", "ps/b", ""));
    let (ticket, _) = bench.request();
    let message = harness::message("b", &"x".repeat(bytes), Qos::AtMostOnce, bench.now);
    bench.reply(ticket, Reply::Read(Some(message)));
    answer(bench)
}

#[test]
fn no_answer_is_longer_than_the_peer_takes() {
    let mut bench = in_session();
    assert_eq!(read(&mut bench, 1000).code(), Code::CONTENT);
    let part = read(&mut bench, 1200);
    assert_eq!((part.payload().len(), part.block2().map(|block| block.more)), (1024, Some(true)));
    bench.receive(b"\x30\xE1\x22\x20\x00"); // CSM: 8,192 bytes
    assert_eq!(read(&mut bench, 1200).code(), Code::CONTENT);
    bench.receive(b"\x20\xE1\x21\x60"); // CSM: 96 bytes
    let whole = framed(Framing::Tcp, b"t", &read(&mut bench, 70));
    assert_eq!((whole.len() <= 96, bench.closed), (true, None)); // [RFC8323 5.3.1]
    bench.receive(b"\x20\xE1\x21\x40"); // CSM: 64 bytes
    let part = read(&mut bench, 70);
    assert_eq!((part.payload().len(), part.block2().map(|block| block.more)), (32, Some(true)));
}
