//! Requests that applications send to a client by a topic.

mod common;

use std::sync::Arc;

use bus::{Ack, ContentFormat, DeliveryId, Metadata, Qos, Reason, Reply, Request, Right};
use coap::{Code, Config, Kind, Message, OptionNumber, RequestsConfig};
use common::*;
use harness::{Bench, delivery};

/// The subscription to requests.
const REQUESTS: u32 = u32::MAX;

/// A client with a name, of which requests may be made.
fn client() -> Bench {
    client_with(Config::default())
}

fn client_with(config: Config) -> Bench {
    let mut bench = bench_with(config);
    bench.receive(&con(Code::GET, 1, b"t", "ps/a?c=lamp"));
    accept(&mut bench);
    let (read, _) = bench.request();
    let asked = judge(&mut bench, Ok(()));
    assert!(matches!(&asked[..], [Right::Read(topic)] if topic.as_str() == "coap/lamp/request"));
    assert_eq!(granted(&mut bench), REQUESTS);
    bench.reply(read, Reply::Read(None));
    bench.sent.clear();
    bench
}

/// The application publishes a request.
fn ask(bench: &mut Bench, json: &str) {
    bench.deliver(delivery(7, REQUESTS, "coap/lamp/request", json, Qos::AtLeastOnce, bench.now));
}

/// What the application is told.
fn told(bench: &mut Bench) -> String {
    let (_, publish) = published(bench);
    assert_eq!((publish.topic.as_str(), publish.qos), ("coap/lamp/response", Qos::AtLeastOnce));
    let metadata = publish.metadata.unwrap();
    assert_eq!(metadata.content_type.as_deref(), Some("application/json"));
    String::from_utf8(publish.payload.to_vec()).unwrap()
}

#[test]
fn an_application_asks_a_client_and_is_told_its_answer() {
    let mut bench = client();
    ask(&mut bench, r#"{"id": "1", "method": "GET", "path": "sensors/temp", "query": ["a=b"], "accept": 0}"#);
    assert_eq!(
        bench.acks,
        [(DeliveryId::new(7).unwrap(), Ack::Complete)],
        "no notification waits for the answer"
    );
    let request = sent(&mut bench);
    assert_eq!((request.kind(), request.code()), (Kind::Confirmable, Code::GET));
    assert_eq!((request.uri_path(), request.query(&["a"])), (vec!["sensors", "temp"], Some("b")));
    assert_eq!(request.accept(), Some(ContentFormat::TEXT));
    answer(&mut bench, &request, Message::response(Code::CONTENT).with_payload("21.5"));
    assert_eq!(told(&mut bench), r#"{"code":"2.05","id":"1","payload":"21.5"}"#);
}

#[test]
fn a_separate_answer_is_told_too_and_an_error_is_an_answer() {
    let mut bench = client();
    ask(
        &mut bench,
        r#"{"id": 2, "method": "POST", "path": "act", "payload": "on", "content_format": "text/plain"}"#,
    );
    let request = sent(&mut bench);
    assert_eq!((request.payload(), request.content_format()), (&b"on"[..], Some(ContentFormat::TEXT)));
    bench.receive(&acknowledgement(request.id()));
    assert!(bench.requests.is_empty());
    let late = Message::response(Code::METHOD_NOT_ALLOWED).with_token(request.token());
    bench.receive(&numbered(late, Kind::Confirmable, 99).encode());
    assert_eq!(told(&mut bench), r#"{"code":"4.05","id":2,"payload":""}"#);
}

#[test]
fn one_request_is_under_way_and_those_that_wait_are_bounded() {
    let requests = RequestsConfig { queue: 2, ..RequestsConfig::default() };
    let mut bench = client_with(Config { requests, ..Config::default() });
    ask(&mut bench, r#"{"id": 1}"#);
    let first = sent(&mut bench);
    bench.receive(&acknowledgement(first.id()));
    ask(&mut bench, r#"{"id": 2}"#);
    ask(&mut bench, r#"{"id": 3}"#);
    ask(&mut bench, r#"{"id": 4}"#);
    assert_eq!(
        told(&mut bench),
        r#"{"error":"busy","id":4,"reason":"as many requests wait for the client as may"}"#
    );
    assert!(bench.sent.is_empty(), "the first is not answered");
    let late = Message::response(Code::CONTENT).with_token(first.token());
    bench.receive(&numbered(late, Kind::NonConfirmable, 98).encode());
    assert!(told(&mut bench).contains(r#""id":1"#));
    let second = sent(&mut bench);
    answer(&mut bench, &second, Message::response(Code::CONTENT));
    assert!(told(&mut bench).contains(r#""id":2"#));
    assert_ne!(sent(&mut bench).token(), second.token());
}

#[test]
fn what_is_not_answered_in_time_is_told_and_the_next_goes() {
    let mut bench = client();
    ask(&mut bench, r#"{"id": 1, "timeout": "10s"}"#);
    let first = sent(&mut bench);
    bench.receive(&acknowledgement(first.id()));
    ask(&mut bench, r#"{"id": 2, "timeout": "5s"}"#);
    ask(&mut bench, r#"{"id": 3}"#);
    bench.advance(6 * SECOND);
    assert_eq!(
        told(&mut bench),
        r#"{"error":"timeout","id":2,"reason":"the client did not answer within 5s"}"#
    );
    bench.advance(5 * SECOND);
    assert_eq!(
        told(&mut bench),
        r#"{"error":"timeout","id":1,"reason":"the client did not answer within 10s"}"#
    );
    let third = sent(&mut bench);
    answer(&mut bench, &third, Message::response(Code::CONTENT));
    assert!(told(&mut bench).contains(r#""id":3"#));
    // An answer that comes too late is nobody's.
    let late = Message::response(Code::CONTENT).with_token(first.token());
    bench.receive(&numbered(late, Kind::Confirmable, 97).encode());
    assert!(bench.requests.is_empty());
}

#[test]
fn a_client_that_does_not_acknowledge_or_rejects_is_told_of() {
    let requests = RequestsConfig { timeout: 300 * SECOND, ..RequestsConfig::default() };
    let mut bench = client_with(Config { requests, ..Config::default() });
    ask(&mut bench, r#"{"id": 1}"#);
    let request = sent(&mut bench);
    bench.receive(&reset(request.id()));
    assert_eq!(told(&mut bench), r#"{"error":"reset","id":1,"reason":"the client rejected the request"}"#);
    ask(&mut bench, r#"{"id": 2}"#);
    bench.advance(100 * SECOND);
    let told = told(&mut bench);
    assert!(told.contains(r#""error":"timeout","id":2"#), "{told}");
    assert_eq!(bench.closed, None, "whether it is gone is for its observations to find out");
}

#[test]
fn a_request_that_cannot_be_read_is_answered_with_the_cause() {
    let mut bench = client();
    ask(&mut bench, r#"{"id": "x", "method": "LOOK"}"#);
    let reason = "method is none of GET, POST, PUT, DELETE, FETCH, PATCH and iPATCH";
    assert_eq!(told(&mut bench), format!(r#"{{"error":"bad_request","id":"x","reason":"{reason}"}}"#));
    ask(&mut bench, "on");
    assert!(told(&mut bench).contains("not a JSON object"));
    assert!(bench.sent.is_empty());
}

#[test]
fn a_resource_is_observed_until_the_application_has_enough() {
    let mut bench = client();
    ask(&mut bench, r#"{"id": "o", "path": "temp", "observe": true}"#);
    let request = sent(&mut bench);
    assert_eq!(request.observe(), Some(0));
    answer(&mut bench, &request, Message::response(Code::CONTENT).with_observe(5).with_payload("20"));
    assert_eq!(told(&mut bench), r#"{"code":"2.05","id":"o","observe":5,"payload":"20"}"#);
    let notify = |id, number, text: &str| {
        let message = Message::response(Code::CONTENT).with_observe(number).with_payload(text);
        numbered(message.with_token(request.token()), Kind::NonConfirmable, id).encode()
    };
    bench.receive(&notify(50, 6, "21"));
    assert_eq!(told(&mut bench), r#"{"code":"2.05","id":"o","observe":6,"payload":"21"}"#);
    ask(&mut bench, r#"{"id": "c", "path": "temp", "observe": false}"#);
    let cancel = sent(&mut bench);
    assert_eq!((cancel.observe(), cancel.token()), (Some(1), request.token()));
    answer(&mut bench, &cancel, Message::response(Code::CONTENT).with_payload("21"));
    assert_eq!(told(&mut bench), r#"{"code":"2.05","id":"c","payload":"21"}"#);
    bench.receive(&notify(51, 7, "22"));
    assert_eq!(sent(&mut bench).kind(), Kind::Reset);
    ask(&mut bench, r#"{"id": "d", "path": "temp", "observe": false}"#);
    assert!(told(&mut bench).contains("not_observed"));
}

#[test]
fn observations_of_a_client_are_bounded() {
    let requests = RequestsConfig { observations: 1, ..RequestsConfig::default() };
    let mut bench = client_with(Config { requests, ..Config::default() });
    ask(&mut bench, r#"{"path": "a", "observe": true}"#);
    let request = sent(&mut bench);
    answer(&mut bench, &request, Message::response(Code::CONTENT).with_observe(1));
    told(&mut bench);
    ask(&mut bench, r#"{"path": "b", "observe": true}"#);
    assert!(told(&mut bench).contains("too_many_observations"));
    // The same again keeps its token, so that the client has one observation [RFC7641 4.1].
    ask(&mut bench, r#"{"path": "a", "observe": true}"#);
    assert_eq!(sent(&mut bench).token(), request.token());
}

#[test]
fn correlation_data_comes_back() {
    let mut bench = client();
    let mut request = delivery(0, REQUESTS, "coap/lamp/request", "{}", Qos::AtMostOnce, bench.now);
    let message = Arc::into_inner(request.message).unwrap();
    let metadata = Metadata { correlation: Some("c-1".into()), ..Metadata::default() }.boxed();
    request.message = Arc::new(bus::Message { metadata, ..message });
    bench.deliver(request);
    let request = sent(&mut bench);
    answer(&mut bench, &request, Message::response(Code::CONTENT));
    assert_eq!(published(&mut bench).1.metadata.unwrap().correlation.as_deref(), Some(&b"c-1"[..]));
}

#[test]
fn a_large_payload_goes_in_blocks_and_a_large_answer_comes_whole() {
    let mut bench = client();
    let payload = "x".repeat(1_500);
    ask(&mut bench, &format!(r#"{{"id": 1, "method": "PUT", "path": "firmware", "payload": "{payload}"}}"#));
    let first = sent(&mut bench);
    let block = first.block1().unwrap();
    assert!(block.more && first.payload().len() == 1_024);
    let go_on = Message::response(Code::CONTINUE).with_uint(OptionNumber::BLOCK1, block.to_uint());
    answer(&mut bench, &first, go_on);
    let second = sent(&mut bench);
    assert_eq!(second.payload().len(), 476);
    let done = Message::response(Code::CHANGED)
        .with_uint(OptionNumber::BLOCK1, second.block1().unwrap().to_uint())
        .with_uint(OptionNumber::BLOCK2, coap::Block { number: 0, more: true, exponent: 2 }.to_uint())
        .with_payload("y".repeat(64));
    answer(&mut bench, &second, done);
    let third = sent(&mut bench);
    assert_eq!(third.block2().unwrap().number, 1);
    let rest = Message::response(Code::CHANGED)
        .with_uint(OptionNumber::BLOCK2, coap::Block { number: 1, more: false, exponent: 2 }.to_uint())
        .with_payload("z");
    answer(&mut bench, &third, rest);
    assert!(told(&mut bench).contains(&format!(r#""payload":"{}z""#, "y".repeat(64))));
}

#[test]
fn who_has_no_name_or_no_right_is_not_asked() {
    let mut bench = bench_with(Config::default());
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a"));
    accept(&mut bench);
    published(&mut bench);
    assert!(bench.requests.is_empty(), "a client without a name");
    for name in ["a/b", "+", "%23", "$x"] {
        let mut bench = bench_with(Config::default());
        bench.receive(&con(Code::PUT, 1, b"t", &format!("ps/a?c={}", name.replace("%23", "#"))));
        accept(&mut bench);
        published(&mut bench);
        assert!(bench.requests.is_empty(), "a name that is no level of a topic: {name}");
    }
    let mut bench = bench_with(Config::default());
    bench.receive(&con(Code::PUT, 1, b"t", "ps/a?c=lamp"));
    accept(&mut bench);
    published(&mut bench);
    judge(&mut bench, Err(Reason::NotAuthorized));
    assert!(bench.requests.is_empty(), "no right: nothing is subscribed, and nobody is told");
}

#[test]
fn an_application_is_told_that_the_client_left() {
    let mut bench = client();
    ask(&mut bench, r#"{"id": 1}"#);
    let first = sent(&mut bench);
    bench.receive(&acknowledgement(first.id()));
    ask(&mut bench, r#"{"id": 2}"#);
    bench.receive(&con(Code::POST, 2, b"t", "mqtt/connection?c=other"));
    accept(&mut bench);
    assert_eq!(told(&mut bench), r#"{"error":"gone","id":1,"reason":"the client left"}"#);
    assert!(told(&mut bench).contains(r#""id":2"#));
    assert!(matches!(bench.request(), (_, Request::Disconnect(_))));
    // When the session is ended by the broker, nobody can be told any more.
    let mut bench = client();
    ask(&mut bench, r#"{"id": 1}"#);
    bench.handle(bus::Event::Close(Reason::ShuttingDown));
    assert!(bench.requests.is_empty());
}
