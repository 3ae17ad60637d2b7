use super::*;

#[test]
fn a_topic_alias_stands_for_its_topic() {
    let mut bench = connected(CONNECT_5);
    bench.receive(b"\x30\x07\x00\x01a\x03\x23\x00\x02");
    bench.receive(b"\x30\x06\x00\x00\x03\x23\x00\x02");
    bench.receive(b"\x30\x07\x00\x01b\x03\x23\x00\x02");
    bench.receive(b"\x30\x06\x00\x00\x03\x23\x00\x02");
    let topics: Vec<_> = (0..4).map(|_| next_publish(&mut bench).1.topic.to_string()).collect();
    assert_eq!(topics, ["a", "a", "b", "b"]);
}

#[test]
fn an_alias_that_is_unknown_or_above_the_maximum_ends_the_connection() {
    let limits = Limits { topic_aliases: 4, ..Limits::default() };
    for publish in [
        &b"\x30\x06\x00\x00\x03\x23\x00\x02"[..],
        b"\x30\x07\x00\x01a\x03\x23\x00\x05",
        b"\x30\x07\x00\x01a\x03\x23\x00\x00",
    ] {
        let mut bench = connected_on(bench_with(Config::default(), limits.clone()), CONNECT_5);
        bench.receive(publish);
        assert_eq!((sent_code(&mut bench), bench.closed), (0x94, Some(Reason::TopicAliasInvalid)));
    }
}

/// At QoS 1 and 2 it was a PUBACK and no end, and the topic was kept all the same: one client could hold as many
/// long topics as there are aliases.
#[test]
fn the_topics_behind_aliases_are_bounded_in_bytes_at_every_qos() {
    for flags in [0x30, 0x32, 0x34] {
        let limits = Limits { packet: 100, ..Limits::default() };
        let mut bench = connected_on(bench_with(Config::default(), limits), CONNECT_5);
        let topic = "t".repeat(60);
        for alias in 1..=2 {
            let id: &[u8] = if flags == 0x30 { &[] } else { &[0, alias] };
            let body = [b"\x00\x3C", topic.as_bytes(), id, &[3, 0x23, 0, alias]].concat();
            bench.receive(&[&[flags, body.len() as u8][..], &body].concat());
        }
        assert_eq!((sent_code(&mut bench), bench.closed), (0x97, Some(Reason::QuotaExceeded)));
    }
}

#[test]
fn a_repeated_topic_is_sent_by_alias_to_a_client_that_takes_them() {
    let config = Config { topic_aliases_sent: 1, ..Config::default() };
    let mut bench = connected_on(bench_with(config, Limits::default()), &connect_5(b"\x22\x00\x05"));
    let mut sent = |topic: &str| {
        bench.deliver(delivery(0, 0, topic, "", Qos::AtMostOnce, bench.now));
        bench.take_sent()
    };
    assert_eq!(sent("a"), b"\x30\x07\x00\x01a\x03\x23\x00\x01");
    assert_eq!(sent("a"), b"\x30\x06\x00\x00\x03\x23\x00\x01");
    // A topic that comes once does not take the place of one in use; one that stays does.
    assert_eq!(sent("b"), b"\x30\x04\x00\x01b\x00");
    assert_eq!(sent("b"), b"\x30\x07\x00\x01b\x03\x23\x00\x01");
    assert_eq!(sent("b"), b"\x30\x06\x00\x00\x03\x23\x00\x01");
}

#[test]
fn an_alias_is_not_given_by_a_packet_that_was_not_sent() {
    let properties = b"\x22\x00\x05\x27\x00\x00\x00\x0A";
    let mut bench = connected(&connect_5(properties));
    bench.deliver(delivery(0, 0, "a", "too large", Qos::AtMostOnce, bench.now));
    assert!(bench.take_sent().is_empty());
    bench.deliver(delivery(0, 0, "a", "", Qos::AtMostOnce, bench.now));
    assert_eq!(bench.take_sent().len(), 9, "the topic and its alias");
}

/// The PUBACK said 0x97, the alias was forgotten, and the next PUBLISH with it ended the connection.
#[test]
fn an_alias_holds_though_the_publish_that_gave_it_is_refused() {
    let limits = Limits { user_properties: 0, ..Limits::default() };
    let mut bench = connected_on(bench_with(Config::default(), limits), CONNECT_5);
    bench.receive(b"\x32\x10\x00\x01a\x00\x07\x0A\x23\x00\x01\x26\x00\x01k\x00\x01v");
    assert_eq!(bench.take_sent()[4], 0x97);
    bench.receive(b"\x30\x06\x00\x00\x03\x23\x00\x01");
    assert_eq!(next_publish(&mut bench).1.topic.as_str(), "a");
}

#[test]
fn an_alias_for_a_topic_that_is_not_taken_ends_the_connection() {
    let limits = Limits { topic_levels: 1, ..Limits::default() };
    let mut bench = connected_on(bench_with(Config::default(), limits), CONNECT_5);
    bench.receive(b"\x32\x0B\x00\x03a/b\x00\x07\x03\x23\x00\x01");
    assert_eq!((sent_code(&mut bench), bench.closed), (0x90, Some(Reason::TopicInvalid)));
}
