//! Commands from the bus, requests to the device, answers to the bus.

mod common;

use bus::{Ack, ContentFormat, DeliveryId, Qos, Reason, Reply, Ticket};
use coap::{Block, Code, Kind, Message, OptionNumber};
use common::*;
use harness::{Bench, delivery};
use lwm2m::Config;
use serde_json::{Value as Json, json};

/// Carries a command out on a device that answers so; returns the request and the answer on the bus.
fn carried_out(command_json: Json, response: Message) -> (Message, Json) {
    let mut bench = bench();
    registered(&mut bench);
    command(&mut bench, 5, command_json);
    let request = sent(&mut bench);
    answer(&mut bench, &request, response);
    let json = answered(&mut bench);
    assert_eq!(bench.acks, [(DeliveryId::new(5).unwrap(), Ack::Complete)]);
    (request, json)
}

#[test]
fn a_read_is_asked_of_the_device_and_answered_on_the_bus() {
    let mut bench = bench();
    registered(&mut bench);
    command(
        &mut bench,
        5,
        json!({"reqID": "r1", "cacheID": 9, "msgType": "read", "data": {"path": "/3/0/0"}}),
    );
    assert_eq!(bench.connection.room(), 0, "one command at a time");
    let (_, request) = bench.sent.pop_front().unwrap();
    assert_eq!(request[..2], *b"\x48\x01", "CON GET with a token of 8 bytes");
    assert_eq!(request[12..], *b"\xB13\x010\x010", "Uri-Path \"3\" \"0\" \"0\"");
    // ACK 2.05 with the same id and token, Content-Format 11542, one TLV record
    bench.receive(&[b"\x68\x45", &request[2..12], b"\xC2\x2D\x16\xFF\xC5\x00Maker"].concat());
    assert!(bench.acks.is_empty(), "the command is complete once the broker has the answer");
    let (ticket, topic, json) = published(&mut bench);
    assert_eq!(topic, "lwm2m/dev/up/resp");
    let expected = json!({"reqID": "r1", "cacheID": 9, "msgType": "read", "data": {"reqPath": "/3/0/0",
        "code": "2.05", "codeMsg": "content", "content": [{"path": "/3/0/0", "value": "Maker"}]}});
    assert_eq!(json, expected);
    bench.reply(ticket, Reply::Published { matched: 1 });
    assert_eq!(bench.acks, [(DeliveryId::new(5).unwrap(), Ack::Complete)]);
    assert_eq!(bench.connection.room(), 1);
}

#[test]
fn a_device_may_answer_later_in_a_message_of_its_own() {
    let mut bench = bench();
    registered(&mut bench);
    command(&mut bench, 5, json!({"msgType": "read", "data": {"path": "/3/0/9"}}));
    let request = sent(&mut bench);
    bench.receive(&[&[0x60, 0x00][..], &request.id().to_be_bytes()].concat());
    bench.advance(60 * SECOND);
    assert!(
        bench.requests.is_empty() && bench.sent.is_empty(),
        "it has the request, and need not get it again"
    );
    let late = Message::response(Code::CONTENT).with_payload("77").with_token(request.token());
    bench.receive(&numbered(late, Kind::Confirmable, 0x7777).encode());
    assert_eq!(bench.take_sent(), b"\x60\x00\x77\x77");
    assert_eq!(answered(&mut bench)["data"]["content"][0], json!({"path": "/3/0/9", "value": 77}));
}

#[test]
fn a_request_that_is_lost_is_sent_again() {
    let mut bench = bench();
    registered(&mut bench);
    command(&mut bench, 5, json!({"msgType": "read", "data": {"path": "/3/0/9"}}));
    let first = bench.take_sent();
    bench.advance(3 * SECOND);
    assert_eq!(bench.take_sent(), first);
}

#[test]
fn every_format_a_device_answers_in_is_read() {
    let read = |path: &str, format: u16, payload: &[u8]| {
        let response =
            Message::response(Code::CONTENT).with_content_format(ContentFormat(format)).with_payload(payload);
        carried_out(json!({"msgType": "read", "data": {"path": path}}), response).1["data"].take()
    };
    assert_eq!(read("/3/0/9", 0, b"95")["content"], json!([{"path": "/3/0/9", "value": 95}]));
    assert_eq!(
        read("/5/0/0", 42, &[1, 2])["content"],
        json!([{"path": "/5/0/0", "type": "Opaque", "value": "AQI="}])
    );
    assert_eq!(
        read("/3/0", 11_543, br#"{"bn":"/3/0/","e":[{"n":"9","v":95}]}"#)["content"],
        json!([{"path": "/3/0/9", "value": 95}])
    );
    assert_eq!(
        read("/3/0", 110, br#"[{"bn":"/3/0/","n":"9","v":95,"bt":1700000000}]"#)["content"],
        json!([{"path": "/3/0/9", "value": 95, "time": 1_700_000_000.0}])
    );
    let unread = read("/3/0", 11_544, b"\xA0");
    assert_eq!(unread["reason"], "the content format 11544 is not read here");
    assert_eq!(unread["payload"], "oA==");
    let broken = read("/3/0", 11_542, b"\xC8\x00");
    assert_eq!((&broken["code"], &broken["payload"]), (&json!("2.05"), &json!("yAA=")));
    assert_eq!(broken["reason"], "the payload is not valid TLV");
}

#[test]
fn an_error_of_the_device_is_passed_on_with_its_words() {
    let response = Message::diagnostic(Code::NOT_FOUND, "no such resource");
    let (_, json) = carried_out(json!({"reqID": 3, "msgType": "read", "data": {"path": "/9/0/1"}}), response);
    let expected = json!({"reqID": 3, "msgType": "read", "data": {"reqPath": "/9/0/1", "code": "4.04",
        "codeMsg": "not_found", "reason": "no such resource"}});
    assert_eq!(json, expected);
}

#[test]
fn a_write_an_execute_and_a_delete_answer_with_their_code() {
    let write = json!({"msgType": "write", "data": {"path": "/1/0/1", "type": "Integer", "value": "200"}});
    let (request, json) = carried_out(write, Message::response(Code::CHANGED));
    assert_eq!((request.code(), request.payload()), (Code::PUT, &b"\xC2\x01\x00\xC8"[..]));
    assert_eq!(request.content_format(), Some(ContentFormat::LWM2M_TLV));
    assert_eq!(json["data"], json!({"reqPath": "/1/0/1", "code": "2.04", "codeMsg": "changed"}));
    let execute = json!({"msgType": "execute", "data": {"path": "/3/0/4", "args": "1"}});
    let (request, _) = carried_out(execute, Message::response(Code::CHANGED));
    assert_eq!((request.code(), request.payload()), (Code::POST, &b"1"[..]));
    let delete = json!({"msgType": "delete", "data": {"path": "/9/1"}});
    let (_, json) = carried_out(delete, Message::response(Code::DELETED));
    assert_eq!(json["data"]["codeMsg"], "deleted");
    let create = json!({"msgType": "create", "data": {"basePath": "/9"}});
    let created = Message::response(Code::CREATED)
        .with_option(OptionNumber::LOCATION_PATH, "9")
        .with_option(OptionNumber::LOCATION_PATH, "1");
    let (_, json) = carried_out(create, created);
    assert_eq!((&json["data"]["reqPath"], &json["data"]["location"]), (&json!("/9"), &json!("/9/1")));
}

#[test]
fn a_discovery_answers_with_links() {
    let links = Message::response(Code::CONTENT)
        .with_content_format(ContentFormat::LINK_FORMAT)
        .with_payload("</3/0>;pmin=1,</3/0/7>;dim=2,</3/0/9>");
    let (request, json) = carried_out(json!({"msgType": "discover", "data": {"path": "/3/0"}}), links);
    assert_eq!(request.accept(), Some(ContentFormat::LINK_FORMAT));
    assert_eq!(json["data"]["content"], json!(["</3/0>;pmin=1", "</3/0/7>;dim=2", "</3/0/9>"]));
}

#[test]
fn a_command_that_is_none_is_answered_without_bothering_the_device() {
    let cases = [
        (
            "{",
            json!({"data": {"code": "4.00", "codeMsg": "bad_request", "reason": "the command is not a JSON object"}}),
        ),
        (
            r#"{"reqID":1,"msgType":"dance","data":{"path":"/3"}}"#,
            json!({"reqID": 1, "msgType": "dance", "data": {"reqPath": "/3", "code": "4.00",
                "codeMsg": "bad_request", "reason": "msgType is missing or unknown"}}),
        ),
    ];
    for (text, expected) in cases {
        let mut bench = bench();
        registered(&mut bench);
        let now = bench.now;
        bench.deliver(delivery(5, COMMANDS, "lwm2m/dev/dn/x", text, Qos::AtLeastOnce, now));
        assert_eq!(answered(&mut bench), expected);
        assert!(bench.sent.is_empty());
        assert_eq!(bench.acks.len(), 1);
    }
}

#[test]
fn a_device_that_does_not_answer_or_rejects_is_reported() {
    let mut bench = bench();
    registered(&mut bench);
    let read = json!({"reqID": 1, "msgType": "read", "data": {"path": "/3/0/9"}});
    command(&mut bench, 5, read.clone());
    bench.advance(100 * SECOND);
    assert_eq!(bench.sent.drain(..).count(), 5, "sent once and again four times");
    assert_eq!(answered(&mut bench)["msgType"], "coap_timeout");
    command(&mut bench, 6, read);
    let request = sent(&mut bench);
    bench.receive(&[&[0x70, 0x00][..], &request.id().to_be_bytes()].concat());
    let expected = json!({"reqID": 1, "msgType": "coap_reset",
        "data": {"reqPath": "/3/0/9", "code": "5.02", "codeMsg": "bad_gateway"}});
    assert_eq!(answered(&mut bench), expected);
    assert_eq!(bench.connection.room(), 1);
}

#[test]
fn an_answer_that_the_broker_refuses_rejects_the_command() {
    let mut bench = bench();
    registered(&mut bench);
    command(&mut bench, 5, json!({"msgType": "read", "data": {"path": "/3/0/9"}}));
    let request = sent(&mut bench);
    answer(&mut bench, &request, tlv(b"\xC1\x09\x64"));
    let (ticket, _, _) = published(&mut bench);
    bench.refuse(ticket, Reason::NotAuthorized);
    assert_eq!(bench.acks, [(DeliveryId::new(5).unwrap(), Ack::Reject(Reason::NotAuthorized))]);
}

#[test]
fn a_late_reply_for_a_replaced_registration_completes_nothing() {
    let mut bench = bench();
    registered(&mut bench);
    command(&mut bench, 5, json!({"msgType": "read", "data": {"path": "x"}}));
    let (late, _, _) = published(&mut bench);
    registered_with(&mut bench, "ep=dev&lt=200&lwm2m=1.0");
    command(&mut bench, 5, json!({"msgType": "read", "data": {"path": "x"}}));
    bench.reply(late, Reply::Published { matched: 0 });
    assert!(bench.acks.is_empty());
}

fn observing(bench: &mut Bench) -> Message {
    command(bench, 5, json!({"reqID": 7, "msgType": "observe", "data": {"path": "/3303/0/5700"}}));
    let request = sent(bench);
    assert_eq!((request.code(), request.observe()), (Code::GET, Some(0)));
    let value = Message::response(Code::CONTENT).with_payload("20.5").with_observe(10);
    answer(bench, &request, value);
    let json = answered(bench);
    assert_eq!(json["msgType"], "observe");
    assert_eq!(json["data"]["content"][0]["value"], 20.5);
    request
}

fn notification(request: &Message, number: u32, text: &str) -> Message {
    Message::response(Code::CONTENT).with_payload(text).with_observe(number).with_token(request.token())
}

#[test]
fn notifications_go_to_their_topic_in_order() {
    let mut bench = bench();
    registered(&mut bench);
    let request = observing(&mut bench);
    let notify = |bench: &mut Bench, kind, id, number, text| {
        bench.receive(&numbered(notification(&request, number, text), kind, id).encode());
    };
    notify(&mut bench, Kind::NonConfirmable, 0x100, 12, "21");
    let (ticket, topic, json) = published(&mut bench);
    assert_eq!((ticket, topic.as_str()), (Ticket::NONE, "lwm2m/dev/up/notify"));
    let expected = json!({"reqID": 7, "seqNum": 12, "msgType": "notify", "data": {"reqPath": "/3303/0/5700",
        "code": "2.05", "codeMsg": "content", "content": [{"path": "/3303/0/5700", "value": 21.0}]}});
    assert_eq!(json, expected);
    notify(&mut bench, Kind::NonConfirmable, 0x101, 11, "20.9");
    assert!(bench.requests.is_empty(), "it was overtaken on the way");
    notify(&mut bench, Kind::Confirmable, 0x102, 13, "22");
    assert_eq!(bench.take_sent(), b"\x60\x00\x01\x02");
    assert_eq!(published(&mut bench).2["seqNum"], 13);
}

#[test]
fn an_observation_is_cancelled_with_its_own_token() {
    let mut bench = bench();
    registered(&mut bench);
    let observed = observing(&mut bench);
    command(&mut bench, 6, json!({"msgType": "cancel-observe", "data": {"path": "/3303/0/5700"}}));
    let request = sent(&mut bench);
    assert_eq!((request.observe(), request.token()), (Some(1), observed.token()));
    let others = |message: &Message| (message.uri_path().join("/"), message.accept()); // [RFC7641 3.6]
    assert_eq!(others(&request), others(&observed));
    answer(&mut bench, &request, Message::response(Code::CONTENT).with_payload("23"));
    assert_eq!(answered(&mut bench)["data"]["code"], "2.05");
    bench.receive(&numbered(notification(&observed, 20, "24"), Kind::Confirmable, 0x200).encode());
    assert_eq!(bench.take_sent(), b"\x70\x00\x02\x00", "a notification that nobody awaits is reset");
    command(&mut bench, 7, json!({"msgType": "cancel-observe", "data": {"path": "/3303/0/5700"}}));
    assert_eq!(answered(&mut bench)["data"]["reason"], "the path is not observed");
}

#[test]
fn observing_again_replaces_the_observation() {
    let mut bench = bench();
    registered(&mut bench);
    let first = observing(&mut bench);
    let second = observing(&mut bench);
    assert_eq!(first.token(), second.token());
    bench.receive(&numbered(notification(&second, 30, "24"), Kind::NonConfirmable, 0x200).encode());
    assert_eq!(published(&mut bench).2["data"]["content"][0]["value"], 24.0);
    assert!(bench.requests.is_empty(), "it is told once");
}

#[test]
fn a_device_that_answers_without_observing_is_reported() {
    let response = Message::response(Code::CONTENT).with_payload("1");
    let (_, json) = carried_out(json!({"msgType": "observe", "data": {"path": "/3/0/9"}}), response);
    assert_eq!(json["data"]["reason"], "the device answered but does not observe");
}

#[test]
fn observations_are_limited_and_end_with_the_registration() {
    let mut bench = bench_with(Config { observations: 1, ..Config::default() });
    registered(&mut bench);
    let observed = observing(&mut bench);
    command(&mut bench, 6, json!({"msgType": "observe", "data": {"path": "/3/0/9"}}));
    assert_eq!(answered(&mut bench)["data"]["code"], "4.29");
    registered_with(&mut bench, "ep=dev&lt=200&lwm2m=1.0");
    bench.receive(&numbered(notification(&observed, 20, "24"), Kind::Confirmable, 0x200).encode());
    assert_eq!(bench.take_sent(), b"\x70\x00\x02\x00");
}

#[test]
fn an_error_ends_an_observation() {
    let mut bench = bench();
    registered(&mut bench);
    let observed = observing(&mut bench);
    let gone = Message::response(Code::NOT_FOUND).with_token(observed.token());
    bench.receive(&numbered(gone, Kind::NonConfirmable, 0x200).encode());
    let (_, _, json) = published(&mut bench);
    assert_eq!((&json["msgType"], &json["data"]["code"]), (&json!("notify"), &json!("4.04")));
    bench.receive(&numbered(notification(&observed, 20, "24"), Kind::Confirmable, 0x201).encode());
    assert_eq!(bench.take_sent(), b"\x70\x00\x02\x01");
}

#[test]
fn what_shall_always_be_observed_is_where_the_device_has_it() {
    let paths = ["/3303", "/5", "/3/0/9"].map(|path| lwm2m::Lwm2mPath::parse(path).unwrap());
    let mut bench = bench_with(Config { auto_observe: paths.to_vec(), ..Config::default() });
    registered(&mut bench);
    let first = sent(&mut bench);
    assert_eq!((first.uri_path(), first.observe()), (vec!["3303"], Some(0)));
    answer(&mut bench, &first, tlv(b"\x08\x00\x07\xE4\x16\x44\x41\xA4\x00\x00").with_observe(1));
    let (_, topic, json) = published(&mut bench);
    assert_eq!(topic, "lwm2m/dev/up/notify");
    let expected = json!({"seqNum": 1, "msgType": "notify", "data": {"reqPath": "/3303", "code": "2.05",
        "codeMsg": "content", "content": [{"path": "/3303/0/5700", "value": 20.5}]}});
    assert_eq!(json, expected);
    let second = sent(&mut bench);
    assert_eq!(second.uri_path(), ["3", "0", "9"]);
}

#[test]
fn a_large_write_and_a_large_answer_go_in_blocks() {
    let mut bench = bench();
    registered(&mut bench);
    let firmware = json!({"msgType": "write", "encoding": "hex", "data": {"path": "/5/0/0",
        "format": "opaque", "value": "07".repeat(1_500)}});
    command(&mut bench, 5, firmware);
    let first = sent(&mut bench);
    let block = |number, more, exponent| Block { number, more, exponent }.to_uint();
    assert_eq!((first.uint(OptionNumber::BLOCK1), first.payload().len()), (Some(block(0, true, 6)), 1_024));
    let go_on = Message::response(Code::CONTINUE).with_uint(OptionNumber::BLOCK1, block(0, true, 6));
    answer(&mut bench, &first, go_on);
    let last = sent(&mut bench);
    assert_eq!((last.uint(OptionNumber::BLOCK1), last.payload().len()), (Some(block(1, false, 6)), 476));
    assert_eq!(last.content_format(), Some(ContentFormat::OCTET_STREAM));
    let done = Message::response(Code::CHANGED).with_uint(OptionNumber::BLOCK1, block(1, false, 6));
    answer(&mut bench, &last, done);
    assert_eq!(answered(&mut bench)["data"]["code"], "2.04");

    command(&mut bench, 6, json!({"msgType": "read", "data": {"path": "/3/0/0"}}));
    let part = |number, more, text: &str| {
        Message::response(Code::CONTENT)
            .with_uint(OptionNumber::BLOCK2, block(number, more, 0))
            .with_payload(text)
    };
    let first = sent(&mut bench);
    answer(&mut bench, &first, part(0, true, "0123456789abcdef"));
    let second = sent(&mut bench);
    assert_eq!(
        (second.uint(OptionNumber::BLOCK2), second.uri_path()),
        (Some(block(1, false, 0)), vec!["3", "0", "0"])
    );
    answer(&mut bench, &second, part(1, false, "gh"));
    assert_eq!(answered(&mut bench)["data"]["content"][0]["value"], "0123456789abcdefgh");
}

#[test]
fn a_large_first_value_is_fetched_and_the_observation_stands() {
    let mut bench = bench();
    registered(&mut bench);
    command(&mut bench, 5, json!({"msgType": "observe", "data": {"path": "/3/0/0", "format": "text"}}));
    let request = sent(&mut bench);
    let block = |number, more| Block { number, more, exponent: 0 }.to_uint();
    let part = |text: &str, option| {
        Message::response(Code::CONTENT).with_payload(text).with_uint(OptionNumber::BLOCK2, option)
    };
    answer(&mut bench, &request, part("0123456789abcdef", block(0, true)).with_observe(4));
    let fetch = sent(&mut bench);
    assert_eq!((fetch.observe(), fetch.accept()), (None, Some(ContentFormat::TEXT)));
    answer(&mut bench, &fetch, part("g", block(1, false)));
    let json = answered(&mut bench);
    assert_eq!(
        (&json["data"]["content"][0]["value"], &json["data"]["reason"]),
        (&json!("0123456789abcdefg"), &Json::Null)
    );
    bench.receive(&numbered(notification(&request, 5, "x"), Kind::NonConfirmable, 0x200).encode());
    assert_eq!(published(&mut bench).2["data"]["content"][0]["value"], "x");
}

#[test]
fn a_large_notification_is_fetched_to_its_end() {
    let mut bench = bench();
    registered(&mut bench);
    let observed = observing(&mut bench);
    let block = |number, more| Block { number, more, exponent: 0 }.to_uint();
    let first =
        notification(&observed, 20, "1.00000000000000").with_uint(OptionNumber::BLOCK2, block(0, true));
    bench.receive(&numbered(first, Kind::NonConfirmable, 0x200).encode());
    let fetch = sent(&mut bench);
    assert_eq!((fetch.observe(), fetch.uint(OptionNumber::BLOCK2)), (None, Some(block(1, false))));
    assert_ne!(fetch.token(), observed.token());
    let rest =
        Message::response(Code::CONTENT).with_payload("5").with_uint(OptionNumber::BLOCK2, block(1, false));
    answer(&mut bench, &fetch, rest);
    let (_, topic, json) = published(&mut bench);
    assert_eq!((topic.as_str(), &json["seqNum"]), ("lwm2m/dev/up/notify", &json!(20)));
    assert_eq!(json["data"]["content"][0]["value"], 1.000_000_000_000_005);
}

#[test]
fn a_delivery_for_nobody_is_rejected_and_one_too_many_given_back() {
    let mut bench = bench();
    registered(&mut bench);
    let now = bench.now;
    bench.deliver(delivery(4, 9, "x", "{}", Qos::AtLeastOnce, now));
    assert_eq!(bench.acks[0].1, Ack::Reject(Reason::NoSubscription));
    assert!(bench.requests.is_empty(), "it may be another protocol's");
    let read = json!({"msgType": "read", "data": {"path": "/3/0/9"}}).to_string();
    bench.deliver(delivery(5, COMMANDS, "lwm2m/dev/dn", &read, Qos::AtLeastOnce, now));
    bench.handle(bus::Event::Deliver(delivery(6, COMMANDS, "lwm2m/dev/dn", &read, Qos::AtLeastOnce, now)));
    assert_eq!(bench.acks[1], (DeliveryId::new(6).unwrap(), Ack::Return));
}

#[test]
fn a_command_without_guarantee_is_carried_out_and_acknowledged_to_nobody() {
    let mut bench = bench();
    registered(&mut bench);
    let now = bench.now;
    let read = json!({"msgType": "read", "data": {"path": "/3/0/9"}}).to_string();
    bench.deliver(delivery(0, COMMANDS, "lwm2m/dev/dn", &read, Qos::AtMostOnce, now));
    let request = sent(&mut bench);
    answer(&mut bench, &request, tlv(b"\xC1\x09\x64"));
    answered(&mut bench);
    assert!(bench.acks.is_empty());
    assert_eq!(bench.connection.room(), 1);
}
