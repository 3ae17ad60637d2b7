use std::collections::VecDeque;
use std::time::Duration;

use bus::{Filter, Limits, Publish, Qos, SubscribeOptions, Topic, Transport};
use harness::Bench;

use super::*;
use crate::{Config, Mqtt};

mod conformance;
mod session;

/// A client whose bytes are looked at, on a clock turned by hand.
struct Desk {
    client: MqttClient,
    now: Instant,
    sent: Vec<u8>,
}

impl Desk {
    fn new(options: ClientOptions) -> Self {
        // The bench has the one clock that tests share.
        let bench = Bench::new(&Mqtt::new(Config::default(), Limits::default()), Transport::Stream);
        Self { client: MqttClient::new(options), now: bench.now, sent: Vec::new() }
    }

    fn connected(options: ClientOptions) -> Self {
        let mut desk = Self::new(options);
        desk.connect();
        let connack: &[u8] = if desk.client.options.version == Version::V5 {
            b"\x20\x03\x00\x00\x00"
        } else {
            b"\x20\x02\x00\x00"
        };
        desk.receive(connack).unwrap();
        assert!(matches!(desk.event(), ClientEvent::Connected(_)));
        desk
    }

    fn connect(&mut self) -> Vec<u8> {
        self.client.connect(self.now, &mut self.sent).unwrap();
        self.take_sent()
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        self.client.receive(bytes, self.now, &mut self.sent)
    }

    fn publish(&mut self, topic: &str, payload: &str, qos: Qos) -> Result<Option<PacketId>, ClientError> {
        let publish = Publish::new(Topic::parse(topic).unwrap(), payload.to_owned(), qos);
        self.client.publish(publish, self.now, &mut self.sent)
    }

    fn advance(&mut self, span: Duration) -> Result<(), ClientError> {
        self.now += span;
        self.client.expire(self.now, &mut self.sent)
    }

    fn event(&mut self) -> ClientEvent {
        self.client.next_event().expect("an event")
    }

    fn message(&mut self) -> Box<Received> {
        let event = self.event();
        let ClientEvent::Message(message) = event else { panic!("expected a message, found {event:?}") };
        message
    }

    fn take_sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sent)
    }
}

fn options(version: Version) -> ClientOptions {
    ClientOptions::new(version, "c")
}

fn filter(text: &str) -> (Filter, SubscribeOptions) {
    (Filter::parse(text).unwrap(), SubscribeOptions { qos: Qos::AtLeastOnce, ..SubscribeOptions::default() })
}

#[test]
fn a_connect_of_each_version_is_written() {
    let cases = [
        (Version::V31, &b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01c"[..]),
        (Version::V311, b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c"),
        (
            Version::V5,
            b"\x10\x19\x00\x04MQTT\x05\x02\x00\x3C\x0B\x21\x00\x64\x27\x00\x10\x00\x00\x22\x00\x10\x00\x01c",
        ),
    ];
    for (version, connect) in cases {
        assert_eq!(Desk::new(options(version)).connect(), connect);
    }
}

#[test]
fn a_refusal_is_an_event_with_its_code() {
    let mut desk = Desk::new(options(Version::V311));
    desk.connect();
    desk.receive(b"\x20\x02\x00\x05").unwrap();
    assert!(matches!(desk.event(), ClientEvent::Refused(refusal) if refusal.code == ReasonCode(5)));
    assert!(!desk.client.is_connected());
}

#[test]
fn a_publish_of_each_qos_is_sent_and_completed() {
    let mut desk = Desk::connected(options(Version::V311));
    assert_eq!(desk.publish("a", "x", Qos::AtMostOnce), Ok(None));
    assert_eq!(desk.take_sent(), b"\x30\x04\x00\x01ax");
    desk.publish("a", "x", Qos::AtLeastOnce).unwrap();
    assert_eq!(desk.take_sent(), b"\x32\x06\x00\x01a\x00\x01x");
    desk.publish("a", "x", Qos::ExactlyOnce).unwrap();
    assert_eq!(desk.take_sent(), b"\x34\x06\x00\x01a\x00\x02x");
    desk.receive(b"\x50\x02\x00\x02\x40\x02\x00\x01").unwrap();
    assert_eq!(desk.take_sent(), b"\x62\x02\x00\x02");
    desk.receive(b"\x70\x02\x00\x02").unwrap();
    for id in [1, 2] {
        let event = desk.event();
        assert!(matches!(event, ClientEvent::Published(done, ReasonCode::SUCCESS) if done.get() == id));
    }
    assert_eq!(desk.client.unacknowledged(), 0);
}

#[test]
fn the_servers_window_holds_publishes_back() {
    let mut desk = Desk::new(options(Version::V5));
    desk.connect();
    desk.receive(b"\x20\x06\x00\x00\x03\x21\x00\x01").unwrap();
    desk.publish("a", "", Qos::AtLeastOnce).unwrap();
    desk.take_sent();
    desk.publish("b", "", Qos::AtLeastOnce).unwrap();
    assert!(desk.take_sent().is_empty());
    desk.receive(b"\x40\x03\x00\x01\x10").unwrap();
    assert_eq!(desk.take_sent(), b"\x32\x06\x00\x01b\x00\x02\x00");
}

#[test]
fn what_the_server_does_not_offer_or_take_is_not_sent() {
    let mut desk = Desk::new(options(Version::V5));
    desk.connect();
    desk.receive(b"\x20\x0A\x00\x00\x07\x24\x01\x27\x00\x00\x00\x0A").unwrap();
    assert_eq!(desk.publish("a", "", Qos::ExactlyOnce), Err(ClientError::NotOffered));
    assert_eq!(desk.publish("a", "too large", Qos::AtLeastOnce), Err(ClientError::PacketTooLarge));
    assert_eq!(desk.client.unacknowledged(), 0);
    assert!(desk.take_sent().is_empty());
}

#[test]
fn subscribing_and_unsubscribing_are_answered() {
    let mut desk = Desk::connected(options(Version::V5));
    desk.client.subscribe(&[filter("a")], Some(7), &[], desk.now, &mut desk.sent).unwrap();
    assert_eq!(desk.take_sent(), b"\x82\x09\x00\x01\x02\x0B\x07\x00\x01a\x01");
    desk.receive(b"\x90\x04\x00\x01\x00\x01").unwrap();
    assert!(
        matches!(desk.event(), ClientEvent::Subscribed(_, codes) if codes == [ReasonCode::GRANTED_QOS_1])
    );
    desk.client.unsubscribe(&[filter("a").0], &[], desk.now, &mut desk.sent).unwrap();
    assert_eq!(desk.take_sent(), b"\xA2\x06\x00\x02\x00\x00\x01a");
    desk.receive(b"\xB0\x04\x00\x02\x00\x11").unwrap();
    assert!(matches!(desk.event(), ClientEvent::Unsubscribed(_, codes) if codes[0].0 == 0x11));
    let unasked = desk.receive(b"\x90\x04\x00\x01\x00\x01");
    assert_eq!(unasked, Err(ClientError::Violation("an answer to nothing")));
}

#[test]
fn a_message_is_acknowledged_and_handed_out() {
    let mut desk = Desk::connected(options(Version::V5));
    desk.receive(b"\x3B\x0E\x00\x01a\x00\x05\x07\x0B\x09\x02\x00\x00\x00\x1Ex").unwrap();
    assert_eq!(desk.take_sent(), b"\x40\x02\x00\x05");
    let message = desk.message();
    assert_eq!((message.publish.topic.as_str(), &message.publish.payload[..]), ("a", &b"x"[..]));
    assert_eq!((message.publish.retain, message.duplicate), (true, true));
    assert_eq!(message.publish.expiry, Some(Duration::from_secs(30)));
    assert_eq!(message.subscriptions, [9]);
}

#[test]
fn a_message_of_qos_2_is_handed_out_once() {
    let mut desk = Desk::connected(options(Version::V311));
    let publish = b"\x34\x06\x00\x01a\x00\x05x";
    desk.receive(&[&publish[..], publish].concat()).unwrap();
    assert_eq!(desk.take_sent(), b"\x50\x02\x00\x05\x50\x02\x00\x05");
    desk.message();
    assert!(desk.client.next_event().is_none());
    desk.receive(b"\x62\x02\x00\x05").unwrap();
    assert_eq!(desk.take_sent(), b"\x70\x02\x00\x05");
    desk.receive(publish).unwrap();
    desk.message();
}

#[test]
fn topic_aliases_of_the_server_are_understood() {
    let mut desk = Desk::connected(options(Version::V5));
    desk.receive(b"\x30\x07\x00\x01a\x03\x23\x00\x02\x30\x06\x00\x00\x03\x23\x00\x02").unwrap();
    assert_eq!(
        (desk.message().publish.topic, desk.message().publish.topic.as_str()),
        (Topic::parse("a").unwrap(), "a")
    );
    assert!(desk.receive(b"\x30\x07\x00\x01a\x03\x23\x00\x11").is_err(), "17 is above the maximum");
}

#[test]
fn input_waits_while_nobody_takes_the_events() {
    let mut desk = Desk::connected(ClientOptions { events: 1, ..options(Version::V311) });
    let publish = b"\x30\x03\x00\x01a";
    assert_eq!(desk.receive(&[&publish[..], publish].concat()), Ok(5));
    assert_eq!(desk.receive(publish), Ok(0));
    desk.message();
    assert_eq!(desk.receive(publish), Ok(5));
}

#[test]
fn a_quiet_client_pings_and_gives_up_without_an_answer() {
    let mut desk = Desk::connected(options(Version::V311));
    desk.advance(Duration::from_millis(53_999)).unwrap();
    assert!(desk.take_sent().is_empty());
    desk.advance(Duration::from_millis(1)).unwrap();
    assert_eq!(desk.take_sent(), b"\xC0\x00");
    desk.receive(b"\xD0\x00").unwrap();
    desk.advance(Duration::from_secs(60)).unwrap();
    assert_eq!(desk.take_sent(), b"\xC0\x00");
    assert_eq!(desk.advance(Duration::from_secs(30)), Err(ClientError::NoAnswer));
    assert!(!desk.client.is_connected());
}

#[test]
fn a_server_that_breaks_the_protocol_is_left() {
    for packet in [&b"\xC1\x00"[..], b"\x20\x02\x00\x00", b"\xC0\x00", b"\xE0\x00", b"\x30\x03\x00\x01#"] {
        let mut desk = Desk::connected(options(Version::V311));
        assert!(desk.receive(packet).is_err(), "{packet:02X?}");
        assert!(!desk.client.is_connected());
    }
    let mut desk = Desk::connected(options(Version::V5));
    desk.receive(b"\xE0\x01\x8B").unwrap();
    assert!(
        matches!(desk.event(), ClientEvent::Disconnected(refusal) if refusal.code == ReasonCode::SERVER_SHUTTING_DOWN)
    );
    assert!(!desk.client.is_connected());
}

#[test]
fn no_bytes_make_a_client_panic() {
    use crate::samples::{Chance, VERSIONS};
    let mut chance = Chance::new(11);
    for (version, last) in VERSIONS {
        for kind in 1..=last {
            let original = chance.encoded(kind, version);
            for index in 0..original.len() {
                for value in [0, 0x7F, 0xFF, original[index] ^ 1] {
                    let mut bytes = original.clone();
                    bytes[index] = value;
                    let mut desk = Desk::new(options(version));
                    desk.connect();
                    let _ = desk.receive(&bytes);
                    let _ = Desk::connected(options(version)).receive(&bytes);
                }
            }
        }
    }
}

/// Client and server connection, back to back.
#[test]
fn client_and_server_understand_each_other_in_every_version() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut bench = Bench::new(&Mqtt::new(Config::default(), Limits::default()), Transport::Stream);
        let mut client = MqttClient::new(options(version));
        let mut wire = Vec::new();
        client.connect(bench.now, &mut wire).unwrap();
        bench.receive(&std::mem::take(&mut wire));
        bench.accept_connect(false);
        exchange(&mut client, &mut bench, &mut wire);
        assert!(client.is_connected());
        let topic = Topic::parse("a").unwrap();
        client.publish(Publish::new(topic, "up", Qos::ExactlyOnce), bench.now, &mut wire).unwrap();
        client.subscribe(&[filter("a")], None, &[], bench.now, &mut wire).unwrap();
        exchange(&mut client, &mut bench, &mut wire);
        bench.deliver(harness::delivery(9, 0, "a", "down", Qos::ExactlyOnce, bench.now));
        exchange(&mut client, &mut bench, &mut wire);
        assert_eq!(
            bench.acks.iter().map(|(_, ack)| *ack).collect::<Vec<_>>(),
            [bus::Ack::Received, bus::Ack::Complete]
        );
        let events: Vec<_> = std::iter::from_fn(|| client.next_event()).collect();
        let [_, ClientEvent::Published(..) | ClientEvent::Subscribed(..), _, ClientEvent::Message(message)] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(&message.publish.payload[..], b"down");
        client.disconnect(false, None, &[], &mut wire).unwrap();
        bench.receive(&wire);
        assert_eq!(bench.closed, Some(bus::Reason::Disconnected));
    }
}

/// Carries bytes both ways, with a broker that grants everything, until nobody says any more.
fn exchange(client: &mut MqttClient, bench: &mut Bench, wire: &mut Vec<u8>) {
    loop {
        bench.receive(&std::mem::take(wire));
        let mut asked = std::mem::take(&mut bench.requests);
        answer(&mut asked, bench);
        let sent = bench.take_sent();
        client.receive(&sent, bench.now, wire).unwrap();
        if wire.is_empty() && sent.is_empty() {
            return;
        }
    }
}

fn answer(asked: &mut VecDeque<(bus::Ticket, bus::Request)>, bench: &mut Bench) {
    use bus::{Reply, Request};
    while let Some((ticket, request)) = asked.pop_front() {
        bench.reply(
            ticket,
            match request {
                Request::Publish(_) => Reply::Published { matched: 1 },
                Request::Release(_) => Reply::Released { known: true },
                Request::Subscribe(wishes) => {
                    Reply::Subscribed(wishes.iter().map(|wish| Ok(wish.options.qos)).collect())
                }
                request => panic!("unexpected {request:?}"),
            },
        );
    }
}
