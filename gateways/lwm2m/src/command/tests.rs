use serde_json::json;

use super::*;

fn parsed(command: Json) -> Result<DownlinkRequest, BadCommand> {
    parse(command.to_string().as_bytes(), &ObjectModel::standard(), WriteFormat::Tlv).1
}

/// The method, the path with its query, and the payload with its format.
fn request(command: Json) -> (Code, String, Option<ContentFormat>, Vec<u8>) {
    let message = parsed(command).unwrap().to_message(&[]);
    let path = message.uri_path().join("/");
    let queries: Vec<String> = message
        .queries()
        .map(|(name, value)| if value.is_empty() { name.to_owned() } else { format!("{name}={value}") })
        .collect();
    let query = if queries.is_empty() { String::new() } else { format!("?{}", queries.join("&")) };
    (message.code(), format!("{path}{query}"), message.content_format(), message.payload().to_vec())
}

/// A command, and the request it becomes.
type Case = (Json, Code, &'static str, Option<ContentFormat>, &'static [u8]);

#[test]
fn every_operation_becomes_the_request_that_the_standard_names() {
    let tlv = Some(ContentFormat::LWM2M_TLV);
    let text = Some(ContentFormat::TEXT);
    let cases: [Case; 14] = [
        (json!({"msgType": "read", "data": {"path": "/3/0/1"}}), Code::GET, "3/0/1", None, b""),
        (json!({"msgType": "read", "data": {"path": "3"}}), Code::GET, "3", None, b""),
        (json!({"msgType": "discover", "data": {"path": "/3/0"}}), Code::GET, "3/0", None, b""),
        (
            json!({"msgType": "write", "data": {"path": "/3/0/14", "type": "String", "value": "+02"}}),
            Code::PUT,
            "3/0/14",
            tlv,
            b"\xC3\x0E+02",
        ),
        (
            json!({"msgType": "write", "data": {"path": "/1/0/1", "value": "200"}}),
            Code::PUT,
            "1/0/1",
            tlv,
            b"\xC2\x01\x00\xC8",
        ),
        (
            json!({"msgType": "write", "data": {"path": "/1/0/1", "value": 200, "format": "text"}}),
            Code::PUT,
            "1/0/1",
            text,
            b"200",
        ),
        (
            json!({"msgType": "write", "data": {"basePath": "/1/0/", "content": [
                {"path": "2", "type": "Integer", "value": "5"}, {"path": "/6", "value": true}]}}),
            Code::POST,
            "1/0",
            tlv,
            b"\xC1\x02\x05\xC1\x06\x01",
        ),
        (
            json!({"msgType": "write", "data": {"basePath": "/3/0/7", "content": [{"path": "1", "value": 5}]}}),
            Code::PUT,
            "3/0/7",
            tlv,
            b"\x83\x07\x41\x01\x05",
        ),
        (
            json!({"msgType": "write-attr", "data": {"path": "/3/0/9", "pmin": 1, "pmax": "60", "gt": 1.5, "st": null}}),
            Code::PUT,
            "3/0/9?gt=1.5&pmax=60&pmin=1&st",
            None,
            b"",
        ),
        (json!({"msgType": "execute", "data": {"path": "/3/0/4"}}), Code::POST, "3/0/4", None, b""),
        (
            json!({"msgType": "execute", "data": {"path": "/3/0/4", "args": "0='x'"}}),
            Code::POST,
            "3/0/4",
            text,
            b"0='x'",
        ),
        (
            json!({"msgType": "create", "data": {"basePath": "/31024", "content": [{"path": "1", "value": "x"}]}}),
            Code::POST,
            "31024",
            tlv,
            b"\xC1\x01x",
        ),
        (
            json!({"msgType": "create", "data": {"basePath": "/31024", "content": [{"path": "7/1", "value": "x"}]}}),
            Code::POST,
            "31024",
            tlv,
            b"\x03\x07\xC1\x01x",
        ),
        (json!({"msgType": "delete", "data": {"path": "/31024/0"}}), Code::DELETE, "31024/0", None, b""),
    ];
    for (command, code, path, format, payload) in cases {
        let name = command.to_string();
        assert_eq!(request(command), (code, path.to_owned(), format, payload.to_vec()), "{name}");
    }
}

#[test]
fn options_say_what_is_wanted() {
    let message = |command| parsed(command).unwrap().to_message(&["lwm2m".to_owned()]);
    let discover = message(json!({"msgType": "discover", "data": {"path": "/3"}}));
    assert_eq!(
        (discover.accept(), discover.uri_path()),
        (Some(ContentFormat::LINK_FORMAT), vec!["lwm2m", "3"])
    );
    let observe = message(json!({"msgType": "observe", "data": {"path": "/3/0/9", "format": "senml-json"}}));
    assert_eq!((observe.observe(), observe.accept()), (Some(0), Some(ContentFormat::SENML_JSON)));
    let cancel = message(json!({"msgType": "cancel-observe", "data": {"path": "/3/0/9"}}));
    assert_eq!((cancel.observe(), cancel.accept()), (Some(1), None));
    let query = message(json!({"msgType": "read", "data": {"path": "/3/0/9?a=1&b"}}));
    assert_eq!(query.queries().collect::<Vec<_>>(), [("a", "1"), ("b", "")]);
}

#[test]
fn bytes_are_base64_or_hexadecimal() {
    let write = |value: &str, encoding: &str| {
        parsed(json!({"msgType": "write", "encoding": encoding, "data": {"path": "/5/0/0", "value": value}}))
    };
    let payload = |found: Result<DownlinkRequest, BadCommand>| found.unwrap().body.unwrap().1;
    assert_eq!(payload(write("AQI=", "plain")), b"\xC2\x00\x01\x02");
    assert_eq!(payload(write("0102ff", "hex")), b"\xC3\x00\x01\x02\xFF");
    assert_eq!(write("012", "hex"), Err(BadCommand::Value("/5/0/0".into())));
    assert_eq!(write("*", "plain"), Err(BadCommand::Value("/5/0/0".into())));
}

#[test]
fn a_command_that_cannot_be_carried_out_says_why() {
    let cases = [
        (json!([]), BadCommand::Json),
        (json!({"data": {}}), BadCommand::MessageType),
        (json!({"msgType": "fly", "data": {}}), BadCommand::MessageType),
        (json!({"msgType": "read"}), BadCommand::Data),
        (json!({"msgType": "read", "data": "x"}), BadCommand::Data),
        (json!({"msgType": "read", "data": {}}), BadCommand::Path("path")),
        (json!({"msgType": "read", "data": {"path": "/x"}}), BadCommand::Path("path")),
        (json!({"msgType": "read", "data": {"path": "/"}}), BadCommand::Path("path")),
        (json!({"msgType": "read", "data": {"path": "/3", "format": "xml"}}), BadCommand::Format),
        (json!({"msgType": "execute", "data": {"path": "/3/0"}}), BadCommand::Depth),
        (json!({"msgType": "execute", "data": {"path": "/3/0/4", "args": 5}}), BadCommand::Arguments),
        (json!({"msgType": "delete", "data": {"path": "/3"}}), BadCommand::Depth),
        (json!({"msgType": "delete", "data": {"path": "/3/0/1"}}), BadCommand::Depth),
        (json!({"msgType": "create", "data": {"basePath": "/3/0"}}), BadCommand::Depth),
        (json!({"msgType": "write", "data": {"path": "/3/0", "value": 1}}), BadCommand::Depth),
        (json!({"msgType": "write", "data": {"path": "/1/0/1"}}), BadCommand::Value("/1/0/1".into())),
        (
            json!({"msgType": "write", "data": {"path": "/1/0/1", "value": "x"}}),
            BadCommand::Value("/1/0/1".into()),
        ),
        (
            json!({"msgType": "write", "data": {"path": "/1/0/1", "type": "Blob", "value": "x"}}),
            BadCommand::Type("Blob".into()),
        ),
        (json!({"msgType": "write", "data": {"basePath": "/1/0", "content": []}}), BadCommand::Content),
        (json!({"msgType": "write", "data": {"basePath": "/1/0", "content": [1]}}), BadCommand::Content),
        (
            json!({"msgType": "write", "data": {"basePath": "/1/0", "content": [{"path": "x", "value": 1}]}}),
            BadCommand::Path("content.path"),
        ),
        (
            json!({"msgType": "write", "data": {"basePath": "/1/0", "content": [{"path": "1/2/3", "value": 1}]}}),
            BadCommand::Depth,
        ),
        (
            json!({"msgType": "write", "data": {"basePath": "/1/0", "format": "text",
                "content": [{"path": "1", "value": 1}, {"path": "2", "value": 1}]}}),
            BadCommand::Encode(EncodeError::NotOne),
        ),
        (
            json!({"msgType": "write", "data": {"basePath": "/3/0",
                "content": [{"path": "7", "value": 1}, {"path": "6", "value": 1}, {"path": "7/0", "value": 1}]}}),
            BadCommand::Encode(EncodeError::Twice),
        ),
        (
            json!({"msgType": "create", "data": {"basePath": "/9",
                "content": [{"path": "1", "value": 1}, {"path": "7/1", "value": 1}]}}),
            BadCommand::Encode(EncodeError::NoInstance),
        ),
        (
            json!({"msgType": "create", "data": {"basePath": "/9", "format": "senml-json",
                "content": [{"path": "1", "value": 1}]}}),
            BadCommand::Encode(EncodeError::NoInstance),
        ),
        (json!({"msgType": "write-attr", "data": {"path": "/3/0/9"}}), BadCommand::NoAttribute),
        (
            json!({"msgType": "write-attr", "data": {"path": "/3/0/9", "pmin": -1}}),
            BadCommand::Attribute("pmin".into()),
        ),
        (
            json!({"msgType": "write-attr", "data": {"path": "/3/0/9", "x": 1}}),
            BadCommand::Attribute("x".into()),
        ),
    ];
    for (command, error) in cases {
        let text = command.to_string();
        assert_eq!(parsed(command), Err(error), "{text}");
    }
}

#[test]
fn what_else_the_command_says_is_kept_for_the_answer() {
    let command = br#"{"reqID":7,"cacheID":"c","msgType":"read","data":{"path":"/3/0/x"}}"#;
    let (envelope, request) = parse(command, &ObjectModel::standard(), WriteFormat::Tlv);
    assert_eq!(Json::Object(envelope.echo), json!({"reqID": 7, "cacheID": "c"}));
    assert_eq!((envelope.message_type.as_deref(), envelope.path.as_deref()), (Some("read"), Some("/3/0/x")));
    assert!(request.is_err());
    let (envelope, _) = parse(b"\xFF", &ObjectModel::standard(), WriteFormat::Tlv);
    assert!(envelope.echo.is_empty() && envelope.message_type.is_none());
}
