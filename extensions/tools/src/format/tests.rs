use std::time::Duration;

use bus::{Metadata, Topic};
use mqtt::{ClientEvent, ClientOptions, MqttClient, Version};

use super::*;

/// A message as a client receives it.
fn received(packet: &[u8]) -> Received {
    let mut client = MqttClient::new(ClientOptions::new(Version::V5, "c"));
    let (now, mut out) = (std::time::Instant::now(), Vec::new());
    client.connect(now, &mut out).unwrap();
    client.receive(b"\x20\x03\x00\x00\x00", now, &mut out).unwrap();
    client.receive(packet, now, &mut out).unwrap();
    client.next_event();
    let Some(ClientEvent::Message(message)) = client.next_event() else { panic!("no message") };
    *message
}

fn plain() -> Received {
    received(b"\x33\x0B\x00\x03a/b\x00\x07\x00{} ")
}

fn rich() -> Received {
    let mut message = received(b"\x30\x09\x00\x01a\x02\x0B\x09\xC3\xA9x");
    let metadata = Metadata {
        content_type: Some("text/plain".into()),
        response_topic: Some(Topic::parse("r").unwrap()),
        correlation: Some("id".into()),
        utf8: true,
        user_properties: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
        ..Metadata::default()
    };
    message.publish.metadata = metadata.boxed();
    message.publish.expiry = Some(Duration::from_secs(30));
    message
}

fn written(format: &str, message: &Received) -> String {
    let mut out = Vec::new();
    Format::parse(format, false).unwrap().write(message, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_field_of_a_message_can_be_printed() {
    assert_eq!(written("%t|%l|%m|%p|%q|%r|%x|%X|%%", &plain()), "a/b|3|7|{} |1|1|7b7d20|7B7D20|%");
    assert_eq!(written("%A|%C|%D|%E|%F|%P|%R|%S", &plain()), "|||||||");
    assert_eq!(written("%A|%C|%D|%E|%F|%P|%R|%S|%m", &rich()), "|text/plain|id|30|1|k:v k:w|r|9|0");
}

#[test]
fn fields_have_a_least_and_a_greatest_width() {
    assert_eq!(written("%5t|%-5t|%05t|%.1t|%4.2t", &plain()), "  a/b|a/b  |  a/b|a|  a/");
    assert_eq!(written("%04l|%-04l|%4l|%08x|%03E", &plain()), "0003|3   |   3|007b7d20|000");
    assert_eq!(written("%4p|%.1p", &rich()), "  éx|éx");
}

#[test]
fn times_and_escapes_are_understood() {
    assert_eq!(written(r"\\\0\a\e\n\r\t\v@@", &plain()), "\\\0\x07\x1b\n\r\t\x0b@");
    let text = written("@Y-@m-@dT@H:@M:@S@z %I @N %U @s", &plain());
    let words: Vec<_> = text.split(' ').collect();
    assert_eq!((words[0], words[0].len()), (words[1], "2016-08-10T09:47:38+0100".len()));
    assert_eq!((words[2].len(), words[3].split_once('.').unwrap().1), (9, words[2]));
    assert_eq!(words[3].split_once('.').unwrap().0, words[4]);
}

#[test]
fn a_message_is_printed_as_json() {
    let without_time = |text: String| text.split_once("\"topic\"").unwrap().1.to_owned();
    let text = without_time(written("%j", &plain()));
    assert_eq!(text, ":\"a/b\",\"qos\":1,\"retain\":1,\"payloadlen\":3,\"mid\":7,\"payload\":\"{} \"}");
    let text = without_time(written("%J", &plain()));
    assert_eq!(text, ":\"a/b\",\"qos\":1,\"retain\":1,\"payloadlen\":3,\"mid\":7,\"payload\":{}}");
    let value: serde_json::Value = serde_json::from_str(&written("%j", &rich())).unwrap();
    let expected = serde_json::json!({
        "message-expiry-interval": 30, "payload-format-indicator": 1, "content-type": "text/plain",
        "response-topic": "r", "correlation-data": "id", "user-properties": {"k": "w"},
        "subscription-identifier": 9
    });
    assert_eq!(value["properties"], expected);
    assert_eq!(value["tst"].as_str().unwrap().len(), "2020-05-06T22:12:00.000000+0100".len());
}

#[test]
fn a_payload_that_is_no_json_is_told() {
    let mut out = Vec::new();
    let result = Format::parse("x%Jy", false).unwrap().write(&rich(), &mut out);
    assert_eq!((result, &out[..]), (Err(NotJson("a".to_owned())), &b"xy"[..]));
}

#[test]
fn a_format_that_means_nothing_is_refused() {
    for (format, fault) in [
        ("%z", "%z means nothing"),
        ("a%", "lone %"),
        ("%10", "lone %"),
        ("%.t", "behind the ."),
        ("%99999t", "at most"),
        (r"\q", r"\q means nothing"),
        ("\\", "lone \\"),
        ("@", "lone @"),
        ("@!", "no part of a time"),
    ] {
        let said = format!("{:#}", Format::parse(format, false).unwrap_err());
        assert!(said.contains(fault), "{format}: {said}");
    }
}
