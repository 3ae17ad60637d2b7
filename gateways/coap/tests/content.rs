//! Content-Format, ETag and Max-Age cross the bus and come back.

mod common;

use std::sync::Arc;

use bus::{ContentFormat, Metadata, Qos};
use coap::{Code, Kind, Message, OptionNumber};
use common::*;
use harness::{Bench, delivery};

/// What a PUT with these options says of its payload.
fn put(with: impl FnOnce(Message) -> Message) -> Option<Box<Metadata>> {
    let mut bench = bench();
    let put = with(request(Kind::Confirmable, Code::PUT, 1, b"t", "ps/a")).with_payload("21");
    bench.receive(&put.encode());
    accept(&mut bench);
    published(&mut bench).1.metadata
}

/// The notification that a message with this metadata becomes.
fn notified(metadata: Option<Box<Metadata>>) -> Message {
    let mut bench = bench();
    let id = observing(&mut bench, 1, b"t", "ps/a");
    let mut delivery = delivery(7, id, "a", "21", Qos::AtLeastOnce, bench.now);
    let message = Arc::into_inner(delivery.message).unwrap();
    delivery.message = Arc::new(bus::Message { metadata, ..message });
    bench.deliver(delivery);
    sent(&mut bench)
}

/// The answer to a GET, for a message with this metadata.
fn read(bench: &mut Bench, get: &Message, metadata: Option<Box<Metadata>>) -> Message {
    bench.receive(&get.encode());
    let_in(bench);
    let message = Arc::into_inner(harness::message("a", "21", Qos::AtLeastOnce, bench.now)).unwrap();
    found(bench, Arc::new(bus::Message { metadata, ..message }));
    sent(bench)
}

fn property(name: &str, value: &str) -> Option<Box<Metadata>> {
    Metadata { user_properties: vec![(name.into(), value.into())], ..Metadata::default() }.boxed()
}

#[test]
fn a_format_with_a_name_crosses_as_media_type_and_comes_back_as_a_number() {
    let metadata = put(|put| put.with_content_format(ContentFormat(320))).unwrap();
    assert_eq!(metadata.content_type.as_deref(), Some("application/senml-etch+json"));
    assert!(metadata.user_properties.is_empty());
    // An MQTT client sends the same media type back.
    let by_name = Metadata { content_type: metadata.content_type, ..Metadata::default() };
    assert_eq!(notified(by_name.boxed()).content_format(), Some(ContentFormat(320)));
}

#[test]
fn a_format_without_a_name_crosses_as_a_user_property() {
    for number in [11_050, 65_001] {
        let metadata = put(|put| put.with_content_format(ContentFormat(number))).unwrap();
        assert_eq!((&metadata.content_type, metadata.content_format), (&None, Some(ContentFormat(number))));
        let property = ("coap-content-format".into(), number.to_string().into());
        assert_eq!(metadata.user_properties, [property]);
        // What came over another protocol has lost the number, and kept the property.
        let by_name = Metadata { content_format: None, ..*metadata };
        assert_eq!(notified(by_name.boxed()).content_format(), Some(ContentFormat(number)));
    }
    assert_eq!(notified(property("coap-content-format", "x")).content_format(), None);
    assert_eq!(put(|put| put), None);
}

#[test]
fn the_tag_of_a_publisher_comes_back_in_answers_and_notifications() {
    let tagged = |put: Message| put.with_option(OptionNumber::ETAG, b"\x00\xA1");
    let metadata = put(tagged).unwrap();
    assert_eq!(metadata.user_properties, [("coap-etag".into(), "00a1".into())]);
    assert_eq!(notified(Some(metadata.clone())).option(OptionNumber::ETAG), Some(&b"\x00\xA1"[..]));
    let mut bench = bench();
    let get = request(Kind::Confirmable, Code::GET, 1, b"t", "ps/a");
    let answer = read(&mut bench, &get, Some(metadata.clone()));
    assert_eq!((answer.code(), answer.option(OptionNumber::ETAG)), (Code::CONTENT, Some(&b"\x00\xA1"[..])));
    let again = request(Kind::Confirmable, Code::GET, 2, b"t", "ps/a")
        .with_option(OptionNumber::ETAG, b"other")
        .with_option(OptionNumber::ETAG, b"\x00\xA1");
    assert_eq!(read(&mut bench, &again, Some(metadata)).code(), Code::VALID);
}

#[test]
fn what_nobody_has_tagged_has_a_tag_of_its_payload() {
    let two_tags =
        |put: Message| put.with_option(OptionNumber::ETAG, b"1").with_option(OptionNumber::ETAG, b"2");
    assert_eq!(put(two_tags), None);
    let tag = notified(None).option(OptionNumber::ETAG).unwrap().to_vec();
    assert_eq!(tag.len(), 4);
    for metadata in [None, property("coap-etag", "0"), property("coap-etag", "")] {
        assert_eq!(notified(metadata).option(OptionNumber::ETAG), Some(&tag[..]));
    }
}
