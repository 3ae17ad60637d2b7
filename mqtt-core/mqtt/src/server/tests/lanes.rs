use bus::{Ack, Carrier, DeliveryId, Lane, Link};

use super::*;

const DATA: Lane = Lane(1);
const OTHER: Lane = Lane(2);

/// A client of MQTT 5 on QUIC that is connected.
fn quic() -> Bench {
    let link = Link { carrier: Carrier::Quic, secured: None };
    let mqtt = Mqtt::new(Config::default(), Limits::default());
    connected_on(Bench::over(&mqtt, Transport::Stream, link), CONNECT_5)
}

fn subscribe(bench: &mut Bench, lane: Lane, filter: &[u8]) {
    let body = [b"\x00\x0A\x00\x00", &[filter.len() as u8][..], filter, b"\x02"].concat();
    bench.receive_on(lane, &[&[0x82, body.len() as u8][..], &body].concat());
    let (ticket, _) = bench.request();
    bench.reply(ticket, Reply::Subscribed(vec![Ok(Qos::ExactlyOnce)]));
    assert_eq!(take(bench), [(lane, b"\x90\x04\x00\x0A\x00\x02".to_vec())]);
}

fn take(bench: &mut Bench) -> Vec<(Lane, Vec<u8>)> {
    bench.sent.drain(..).collect()
}

#[track_caller]
fn delivered_on(bench: &mut Bench, id: u16, topic: &str) -> Lane {
    let now = bench.now;
    bench.deliver(delivery(id, 0, topic, "x", Qos::AtLeastOnce, now));
    let sent = take(bench);
    assert_eq!((sent.len(), sent[0].1[0] >> 4), (1, 3), "{sent:02X?}");
    sent[0].0
}

#[test]
fn a_message_goes_on_the_lane_that_subscribed_it() {
    let mut bench = quic();
    subscribe(&mut bench, DATA, b"a/+");
    subscribe(&mut bench, OTHER, b"b");
    subscribe(&mut bench, Lane::MAIN, b"c");
    assert_eq!(delivered_on(&mut bench, 1, "a/1"), DATA);
    assert_eq!(delivered_on(&mut bench, 2, "b"), OTHER);
    assert_eq!(delivered_on(&mut bench, 3, "c"), Lane::MAIN);

    subscribe(&mut bench, OTHER, b"a/+");
    assert_eq!(delivered_on(&mut bench, 4, "a/1"), OTHER, "the last subscription counts");
    bench.receive_on(DATA, b"\xA2\x06\x00\x0B\x00\x00\x01b");
    assert_eq!(delivered_on(&mut bench, 5, "b"), Lane::MAIN, "any lane may end it");
}

#[test]
fn a_lost_lane_leaves_its_subscriptions_and_unfinished_deliveries_to_the_main_one() {
    let mut bench = quic();
    subscribe(&mut bench, DATA, b"a");
    subscribe(&mut bench, OTHER, b"b");
    for (id, topic) in [(1, "a"), (2, "a"), (3, "b")] {
        delivered_on(&mut bench, id, topic);
    }
    bench.receive_on(DATA, b"\x40\x02\x00\x01");
    bench.acks.clear();

    bench.close_lane(DATA);
    assert_eq!(bench.acks, [(DeliveryId::new(2).unwrap(), Ack::Resend)]);
    assert_eq!(delivered_on(&mut bench, 2, "a"), Lane::MAIN);
    assert_eq!(delivered_on(&mut bench, 4, "b"), OTHER);
    bench.acks.clear();
    bench.close_lane(DATA);
    assert_eq!(bench.acks, [], "what the main lane has does not come again");
}

#[test]
fn what_concerns_the_whole_connection_is_answered_on_the_main_lane() {
    let mut bench = quic();
    bench.receive_on(DATA, b"\xC0\x00");
    assert_eq!(take(&mut bench), [(Lane::MAIN, b"\xD0\x00".to_vec())]);
    bench.receive_on(DATA, b"\xF1\x00");
    let sent = take(&mut bench);
    assert_eq!((sent.len(), sent[0].0), (1, Lane::MAIN));
    assert_eq!((sent[0].1[0], sent[0].1[2]), (0xE0, 0x81), "DISCONNECT, malformed packet");
    assert_eq!(bench.closed, Some(Reason::Malformed));
}

#[test]
fn an_exactly_once_id_that_another_lane_uses_waits_until_it_is_free() {
    let mut bench = quic();
    let publish = |topic: u8| [0x34, 0x06, 0, 1, topic, 0, 7, 0];
    bench.receive_on(DATA, &publish(b'a'));
    let (first, _) = bench.request();
    bench.receive_on(OTHER, &publish(b'b'));
    assert!(bench.requests.is_empty(), "it is another message, though it has the same id");
    bench.reply(first, Reply::Published { matched: 1 });
    bench.receive_on(DATA, b"\x62\x02\x00\x07");
    let (release, _) = bench.request();
    bench.reply(release, Reply::Released { known: true });
    bench.receive_on(OTHER, b"");
    assert!(matches!(bench.request(), (_, Request::Publish(publish)) if publish.topic.as_str() == "b"));

    // The lane is lost, and the client goes on elsewhere.
    bench.close_lane(OTHER);
    bench.receive(&[0x3C, 0x06, 0, 1, b'b', 0, 7, 0]);
    assert!(matches!(bench.request(), (_, Request::Publish(publish)) if publish.once == Some(7)));
}

#[test]
fn a_topic_alias_counts_on_its_lane_and_that_of_the_main_lane_everywhere() {
    let mut bench = quic();
    let define = |topic: u8| [0x30, 0x07, 0, 1, topic, 3, 0x23, 0, 1];
    let used = b"\x30\x06\x00\x00\x03\x23\x00\x01";
    bench.receive(&define(b'm'));
    bench.receive_on(DATA, &define(b'd'));
    let mut topics = Vec::new();
    for lane in [Lane::MAIN, DATA, OTHER] {
        bench.receive_on(lane, used);
    }
    while let Some((_, Request::Publish(publish))) = bench.requests.pop_front() {
        topics.push(publish.topic.as_str().to_owned());
    }
    assert_eq!(topics, ["m", "d", "m", "d", "m"]);
}
