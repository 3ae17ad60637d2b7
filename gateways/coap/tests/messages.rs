//! The packet format, byte by byte.

use bus::ContentFormat;
use coap::{Code, DecodeError, Kind, Message, OptionNumber, Token};

/// CON GET, id 0x1234, token 0xAB, path `ps/a`, query `qos=1`.
const GET: &[u8] = b"\x41\x01\x12\x34\xAB\xB2ps\x01a\x45qos=1";

#[test]
fn a_request_is_read_as_it_was_written() {
    let request = Message::decode(GET).unwrap();
    assert_eq!((request.kind(), request.code(), request.id()), (Kind::Confirmable, Code::GET, 0x1234));
    assert_eq!((request.token(), request.uri_path()), (Token::new(b"\xAB"), vec!["ps", "a"]));
    assert_eq!(request.query(&["qos", "q"]), Some("1"));
    assert_eq!(request.encode(), GET);
}

#[test]
fn a_response_is_built_option_by_option() {
    let response = Message::response(Code::CONTENT)
        .with_content_format(ContentFormat::JSON)
        .with_observe(300)
        .with_uint(OptionNumber::MAX_AGE, 0)
        .with_token(Token::new(b"t"))
        .with_payload("{}");
    // Observe 6 = 012C, Content-Format 12 = 50, Max-Age 14 = empty
    assert_eq!(response.encode(), b"\x41\x45\x00\x00t\x62\x01\x2C\x61\x32\x20\xFF{}");
}

#[test]
fn what_breaks_the_format_is_refused() {
    let confirmable: &[(&[u8], &str)] = &[
        (b"\x4F\x01\x12\x34123456789", "has a reserved token length"),
        (b"\x4D\x01\x12\x34", "ends within the length of its token"),
        (b"\x4E\x01\x12\x34\x00", "ends within the length of its token"),
        (b"\x4D\x01\x12\x34\x00123456789012", "ends within its token"),
        (b"\x42\x01\x12\x34a", "ends within its token"),
        (b"\x40\x00\x12\x34\xFFx", "is an empty message with something in it"),
        (b"\x41\x00\x12\x34t", "is an empty message with something in it"),
        (b"\x40\x01\x12\x34\xFF", "has a payload marker and no payload"),
        (b"\x40\x20\x12\x34", "has a code of a reserved class"),
        (b"\x40\xC1\x12\x34", "has a code of a reserved class"),
        (b"\x40\xE1\x12\x34", "has a code of a reserved class"),
        (b"\x40\x01\x12\x34\xF0", "has a reserved option delta or length"),
        (b"\x40\x01\x12\x34\x0F", "has a reserved option delta or length"),
        (b"\x40\x01\x12\x34\xB5ps", "ends within an option"),
        (b"\x40\x01\x12\x34\xD0", "ends within an option"),
        (b"\x40\x01\x12\x34\xE0\x00", "ends within an option"),
        (b"\x40\x01\x12\x34\xE0\xFF\xFF", "has an option delta or length above 65,535"),
        (b"\x40\x01\x12\x34\xE0\xFE\x00\xE0\x01\x00", "has an option number above 65,535"),
    ];
    for (datagram, detail) in confirmable {
        let expected = DecodeError::Format { kind: Kind::Confirmable, id: 0x1234, detail };
        assert_eq!(Message::decode(datagram), Err(expected), "{datagram:02x?}");
    }
    for foreign in [&b""[..], b"\x40\x01\x12", b"\x80\x01\x12\x34", b"\x00\x01\x12\x34", b"\xC0\x01\x12\x34"]
    {
        assert_eq!(Message::decode(foreign), Err(DecodeError::Foreign), "{foreign:02x?}");
    }
    let many = [b"\x40\x01\x12\x34\xB0", &[0x00; 400][..]].concat();
    assert!(matches!(
        Message::decode(&many),
        Err(DecodeError::Format { detail: "has too many options", .. })
    ));
}

/// 13 bytes are said by one more byte, 269 by two [RFC8974 2.1].
#[test]
fn an_extended_token_is_read_as_it_was_written() {
    let cases: [(usize, &[u8]); 6] = [
        (9, b"\x49\x01\x12\x34"),
        (12, b"\x4C\x01\x12\x34"),
        (13, b"\x4D\x01\x12\x34\x00"),
        (268, b"\x4D\x01\x12\x34\xFF"),
        (269, b"\x4E\x01\x12\x34\x00\x00"),
        (65_804, b"\x4E\x01\x12\x34\xFF\xFF"),
    ];
    for (length, header) in cases {
        let token = vec![0xAB; length];
        let datagram = [header, &token, b"\xB2ps\x01a\xFFx"].concat();
        let message = Message::decode(&datagram).unwrap();
        assert_eq!((message.token().as_slice(), message.id()), (&token[..], 0x1234));
        assert_eq!((message.uri_path(), message.payload()), (vec!["ps", "a"], &b"x"[..]));
        assert_eq!(message.encode(), datagram);
        assert_eq!(message.encode_options_and_payload(), b"\xB2ps\x01a\xFFx");
    }
}
