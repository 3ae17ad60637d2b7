//! An LwM2M device on the bench.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::time::Duration;

use bus::{ContentFormat, Limits, Qos, Reply, Request, Ticket, Transport};
use coap::{Code, Kind, Message, Token};
use harness::{Bench, delivery};
use lwm2m::{Config, Lwm2m};
use serde_json::Value as Json;

pub const SECOND: Duration = Duration::from_secs(1);

/// The subscription to commands.
pub const COMMANDS: u32 = 1;

pub fn bench() -> Bench {
    bench_with(Config::default())
}

pub fn bench_with(config: Config) -> Bench {
    let protocol = Lwm2m::new(config, coap::Config::default(), Limits::default());
    Bench::new(&protocol, Transport::Datagram)
}

/// A confirmable request as the device sends it: `POST rd?ep=a` with an id.
pub fn con(method: Code, id: u16, uri: &str) -> Message {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let message = Message::request(method).with_path(path.split('/')).with_token(Token::new(b"T"));
    let queries = query.split('&').filter(|argument| !argument.is_empty());
    let message = queries.fold(message, |message, argument| message.with_query(argument));
    numbered(message, Kind::Confirmable, id)
}

/// The same message with another kind and id.
pub fn numbered(message: Message, kind: Kind, id: u16) -> Message {
    let mut bytes = message.encode();
    let kind = match kind {
        Kind::Confirmable => 0,
        Kind::NonConfirmable => 1,
        Kind::Acknowledgement => 2,
        Kind::Reset => 3,
    };
    bytes[0] = bytes[0] & 0xCF | kind << 4;
    bytes[2..4].copy_from_slice(&id.to_be_bytes());
    Message::decode(&bytes).unwrap()
}

/// `POST rd` with a list of objects.
pub fn register(id: u16, query: &str, objects: &str) -> Vec<u8> {
    let message = con(Code::POST, id, &format!("rd?{query}"));
    message.with_content_format(ContentFormat::LINK_FORMAT).with_payload(objects).encode()
}

/// The one datagram that was sent.
pub fn sent(bench: &mut Bench) -> Message {
    let (_, datagram) = bench.sent.pop_front().expect("a datagram");
    assert!(bench.sent.is_empty(), "more than one datagram was sent");
    Message::decode(&datagram).unwrap()
}

/// Grants the subscription to commands.
pub fn grant(bench: &mut Bench) -> String {
    let (ticket, request) = bench.request();
    let Request::Subscribe(wishes) = request else { panic!("expected a subscribe, found {request:?}") };
    bench.reply(ticket, Reply::Subscribed(vec![Ok(wishes[0].options.qos)]));
    wishes[0].filter.as_str().to_owned()
}

/// Takes the request to publish: its ticket, topic and JSON.
pub fn published(bench: &mut Bench) -> (Ticket, String, Json) {
    let (ticket, request) = bench.request();
    let Request::Publish(publish) = request else { panic!("expected a publish, found {request:?}") };
    assert_eq!(publish.qos, Qos::AtLeastOnce);
    let json = serde_json::from_slice(&publish.payload).unwrap();
    (ticket, publish.topic.as_str().to_owned(), json)
}

/// Registers with this query; returns the path of the registration.
pub fn registered_with(bench: &mut Bench, query: &str) -> String {
    bench.receive(&register(1, query, "</1/0>,</3/0>,</3303/0>"));
    while !matches!(bench.requests.front(), Some((_, Request::Connect(_)))) {
        bench.requests.pop_front().expect("a connect");
    }
    bench.accept_connect(false);
    grant(bench);
    let (_, datagram) = bench.sent.pop_front().expect("an answer");
    let created = Message::decode(&datagram).unwrap();
    assert_eq!(created.code(), Code::CREATED);
    let (_, _, event) = published(bench);
    assert_eq!(event["msgType"], "register");
    created.location_path().join("/")
}

/// Registers as `dev`, which always listens.
pub fn registered(bench: &mut Bench) -> String {
    registered_with(bench, "ep=dev&lt=300&lwm2m=1.0&b=U")
}

/// The application publishes a command.
pub fn command(bench: &mut Bench, id: u16, json: Json) {
    let now = bench.now;
    bench.deliver(delivery(id, COMMANDS, "lwm2m/dev/dn", &json.to_string(), Qos::AtLeastOnce, now));
}

/// The device answers a request in its acknowledgement.
pub fn answer(bench: &mut Bench, request: &Message, answer: Message) {
    let answer = numbered(answer.with_token(request.token()), Kind::Acknowledgement, request.id());
    bench.receive(&answer.encode());
}

/// Takes the answer to a command from `up/resp` and lets the broker have it.
pub fn answered(bench: &mut Bench) -> Json {
    let (ticket, topic, json) = published(bench);
    assert_eq!(topic, "lwm2m/dev/up/resp");
    bench.reply(ticket, Reply::Published { matched: 1 });
    json
}

pub fn tlv(bytes: &[u8]) -> Message {
    Message::response(Code::CONTENT).with_content_format(ContentFormat::LWM2M_TLV).with_payload(bytes)
}
