//! A device on a stream of TCP.

mod common;

use bus::{Carrier, ContentFormat, Limits, Link, Reply, Transport};
use coap::{Code, Frame, Framing, Message, Token};
use common::{command, grant, published};
use harness::Bench;
use lwm2m::{Config, Lwm2m};
use serde_json::json;

fn framed(message: &Message) -> Vec<u8> {
    let (token, body) = (message.token(), message.encode_options_and_payload());
    let mut bytes = Vec::new();
    let frame = Frame { code: message.code(), token: token.as_slice(), body: &body };
    Framing::Tcp.encode(&frame, &mut bytes);
    bytes
}

/// The next message that was sent.
fn sent(bench: &mut Bench) -> Message {
    let bytes = bench.take_sent();
    let (frame, length) = Framing::Tcp.decode(&bytes, usize::MAX).unwrap().expect("a message");
    assert_eq!(length, bytes.len(), "more than one message was sent");
    Message::from_parts(frame.code, Token::new(frame.token), frame.body).unwrap()
}

fn answer(bench: &mut Bench, request: &Message, answer: Message) {
    bench.receive(&framed(&answer.with_token(request.token())));
}

fn registered() -> Bench {
    let link = Link { carrier: Carrier::Tcp, secured: None };
    let protocol = Lwm2m::new(Config::default(), coap::Config::default(), Limits::default());
    let mut bench = Bench::over(&protocol, Transport::Stream, link);
    let register = Message::request(Code::POST).with_path(["rd"]).with_token(Token::new(b"T"));
    let queries = ["ep=dev", "lt=300", "lwm2m=1.1", "b=T"];
    let register = queries.iter().fold(register, |message, query| message.with_query(query));
    let register = register.with_content_format(ContentFormat::LINK_FORMAT).with_payload("</1/0>,</3303/0>");
    // The CSM, and the registration in the same breath [RFC8323 3.3].
    bench.receive(&[b"\x00\xE1", &framed(&register)[..]].concat());
    assert_eq!(
        bench.take_sent().len(),
        9,
        "our CSM; larger messages are taken once the broker has let it in"
    );
    let will = bench.accept_connect(false).will.expect("a will");
    assert_eq!((will.publish.topic.as_str(), will.delay), ("lwm2m/dev/up/resp", std::time::Duration::ZERO));
    let told: serde_json::Value = serde_json::from_slice(&will.publish.payload).unwrap();
    assert_eq!(
        (&told["msgType"], &told["data"]["reason"]),
        (&json!("deregister"), &json!("connection_lost"))
    );
    grant(&mut bench);
    let (_, _, event) = published(&mut bench);
    assert_eq!(event["msgType"], "register");
    let bytes = bench.take_sent();
    assert!(bytes.windows(3).any(|created| created == b"\x41T\x82"), "2.01 with the token: {bytes:02x?}");
    bench
}

#[test]
fn a_device_registers_and_is_read_and_observed_without_acknowledgements() {
    let mut bench = registered();
    command(&mut bench, 5, json!({"msgType": "observe", "data": {"path": "/3303/0/5700"}}));
    let request = sent(&mut bench);
    assert_eq!((request.code(), request.observe()), (Code::GET, Some(0)));
    answer(&mut bench, &request, Message::response(Code::CONTENT).with_payload("20.5").with_observe(10));
    let (ticket, _, json) = published(&mut bench);
    assert_eq!((&json["msgType"], &json["data"]["content"][0]["value"]), (&json!("observe"), &json!(20.5)));
    bench.reply(ticket, Reply::Published { matched: 1 });
    // The numbers of notifications say nothing: the stream keeps them in order [RFC8323 7.1].
    for (number, value) in [(9, "21"), (0, "22"), (0, "23")] {
        let notification = Message::response(Code::CONTENT).with_payload(value).with_observe(number);
        answer(&mut bench, &request, notification);
        let (_, topic, json) = published(&mut bench);
        assert_eq!(topic, "lwm2m/dev/up/notify");
        assert_eq!(json["data"]["content"][0]["value"], value.parse::<f64>().unwrap());
    }
    assert_eq!(bench.take_sent(), b"", "nothing is acknowledged");
    command(&mut bench, 6, json!({"msgType": "cancel-observe", "data": {"path": "/3303/0/5700"}}));
    let cancel = sent(&mut bench);
    assert_eq!((cancel.observe(), cancel.token()), (Some(1), request.token())); // [RFC8323 7.4]
}

#[test]
fn a_device_that_does_not_answer_is_reported() {
    let mut bench = registered();
    command(&mut bench, 5, json!({"msgType": "read", "data": {"path": "/3303/0/5700"}}));
    sent(&mut bench);
    bench.advance(common::SECOND * 247);
    let (_, _, json) = published(&mut bench);
    assert_eq!(json["data"]["code"], "5.04", "{json}");
    assert_eq!(bench.take_sent(), b"", "nothing is sent again");
}
