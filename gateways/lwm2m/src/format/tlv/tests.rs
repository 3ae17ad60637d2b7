use bytes::Bytes;

use super::*;

fn read(path: &str, bytes: &[u8]) -> Result<Vec<(String, Value)>, DecodeError> {
    let nodes = decode(Lwm2mPath::parse(path).unwrap(), bytes, &ObjectModel::standard())?;
    Ok(nodes.into_iter().map(|node| (node.path.to_string(), node.value)).collect())
}

fn written(base: &str, items: &[(&[u16], Value)]) -> Vec<u8> {
    let items: Vec<Item> =
        items.iter().map(|(ids, value)| Item { ids: ids.to_vec(), value: value.clone() }).collect();
    encode(Lwm2mPath::parse(base).unwrap(), &items).unwrap()
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

/// The Device object, as a device with two batteries reports it.
const DEVICE: &[u8] = b"\xC8\x00\x14Open Mobile Alliance\xC8\x01\x16Lightweight M2M Client\xC8\x02\x09345000123\
    \xC3\x031.0\x86\x06\x41\x00\x01\x41\x01\x05\x88\x07\x08\x42\x00\x0E\xD8\x42\x01\x13\x88\x87\x08\x41\x00\x7D\
    \x42\x01\x03\x84\xC1\x09\x64\xC1\x0A\x0F\x83\x0B\x41\x00\x00\xC4\x0D\x51\x82\x42\x8F\xC6\x0E+02:00\xC1\x10U";

#[test]
fn an_object_instance_is_read() {
    let expected = [
        ("/3/0/0", string("Open Mobile Alliance")),
        ("/3/0/1", string("Lightweight M2M Client")),
        ("/3/0/2", string("345000123")),
        ("/3/0/3", string("1.0")),
        ("/3/0/6/0", Value::Integer(1)),
        ("/3/0/6/1", Value::Integer(5)),
        ("/3/0/7/0", Value::Integer(3_800)),
        ("/3/0/7/1", Value::Integer(5_000)),
        ("/3/0/8/0", Value::Integer(125)),
        ("/3/0/8/1", Value::Integer(900)),
        ("/3/0/9", Value::Integer(100)),
        ("/3/0/10", Value::Integer(15)),
        ("/3/0/11/0", Value::Integer(0)),
        ("/3/0/13", Value::Time(1_367_491_215)),
        ("/3/0/14", string("+02:00")),
        ("/3/0/16", string("U")),
    ];
    let expected = expected.map(|(path, value)| (path.to_owned(), value));
    assert_eq!(read("/3/0", DEVICE).unwrap(), expected);
    let whole = [b"\x08\x00\x79", DEVICE].concat();
    assert_eq!(DEVICE.len(), 0x79);
    assert_eq!(read("/3", &whole).unwrap(), expected, "with a record of the instance");
    assert_eq!(read("/3", DEVICE).unwrap(), expected, "of an object that can have one instance only");
}

#[test]
fn the_object_instances_of_an_object_are_read() {
    let access = b"\x08\x00\x0E\xC1\x00\x01\xC1\x01\x00\x83\x02\x41\x7F\x07\xC1\x03\x7F\
        \x08\x02\x11\xC1\x00\x03\xC1\x01\x00\x86\x02\x41\x7F\x07\x41\x36\x01\xC1\x03\x7F";
    let paths: Vec<String> = read("/2", access).unwrap().into_iter().map(|(path, _)| path).collect();
    let expected =
        ["/2/0/0", "/2/0/1", "/2/0/2/127", "/2/0/3", "/2/2/0", "/2/2/1", "/2/2/2/127", "/2/2/2/54", "/2/2/3"];
    assert_eq!(paths, expected);
}

#[test]
fn ids_and_lengths_take_as_many_bytes_as_the_first_byte_says() {
    let long = [b"\xF0\x81\x02\x01\x00".as_slice(), &[7; 256]].concat();
    assert_eq!(
        read("/65000/0", &long).unwrap(),
        [("/65000/0/33026".into(), Value::Opaque(vec![7; 256].into()))]
    );
    let longer = [b"\xD8\x00\x01\x00\x00".as_slice(), &[7; 65_536]].concat();
    assert_eq!(read("/5/0", &longer).unwrap()[0].1, Value::Opaque(vec![7; 65_536].into()));
    assert_eq!(written("/5/0", &[(&[0], Value::Opaque(vec![7; 65_536].into()))]), longer);
    assert_eq!(written("/65000/0", &[(&[33_026], Value::Opaque(vec![7; 256].into()))]), long);
}

#[test]
fn a_value_that_is_not_of_its_type_or_of_an_unknown_resource_is_opaque() {
    let opaque = |bytes: &'static [u8]| Value::Opaque(Bytes::from_static(bytes));
    assert_eq!(read("/3/0", b"\xC3\x09\x00\x00\x64").unwrap(), [("/3/0/9".into(), opaque(b"\0\0\x64"))]);
    assert_eq!(read("/3/0", b"\xC1\x00\xFF").unwrap(), [("/3/0/0".into(), opaque(b"\xFF"))]);
    assert_eq!(read("/65000/0", b"\xC1\x01\x05").unwrap(), [("/65000/0/1".into(), opaque(b"\x05"))]);
}

#[test]
fn records_that_end_early_or_nest_wrongly_are_refused() {
    for end in 1..DEVICE.len() {
        // A prefix is either whole records or refused; nothing is made up.
        if let Ok(nodes) = read("/3/0", &DEVICE[..end]) {
            assert!(nodes.len() < 16);
        }
    }
    for bad in [
        &b"\xC8"[..],
        b"\xC8\x00",
        b"\xC8\x00\x05abc",
        b"\xF8\xFF",
        b"\x08\x00\x02\x01\x00",
        b"\x82\x07\xC1\x00",
    ] {
        assert_eq!(read("/3/0", bad), Err(DecodeError::Tlv), "{bad:02X?}");
    }
    assert_eq!(
        read("/3/0", b"\x41\x00\x01"),
        Err(DecodeError::Path),
        "a resource instance without a resource"
    );
    assert_eq!(read("/3/0", b"\xE1\xFF\xFF\x01"), Err(DecodeError::Path), "the reserved id");
    assert_eq!(read("/3/0", &b"\xC0\x00".repeat(10_001)), Err(DecodeError::TooMany));
}

#[test]
fn a_number_keeps_its_sign_in_the_fewest_legal_bytes() {
    // A positive number whose highest bit would be set needs one size more, else the device reads it negative.
    let cases: [(i64, &[u8]); 8] = [
        (127, b"\xC1\x01\x7F"),
        (128, b"\xC2\x01\x00\x80"),
        (200, b"\xC2\x01\x00\xC8"),
        (-128, b"\xC1\x01\x80"),
        (40_000, b"\xC4\x01\x00\x00\x9C\x40"),
        (0x80_0000, b"\xC4\x01\x00\x80\x00\x00"),
        (-40_000, b"\xC4\x01\xFF\xFF\x63\xC0"),
        (0x8000_0000, b"\xC8\x01\x08\x00\x00\x00\x00\x80\x00\x00\x00"),
    ];
    for (number, expected) in cases {
        assert_eq!(written("/1/0", &[(&[1], Value::Integer(number))]), expected, "{number}");
        assert_eq!(read("/1/0", expected).unwrap(), [("/1/0/1".into(), Value::Integer(number))]);
    }
    assert_eq!(written("/9/0", &[(&[1], Value::Unsigned(200))]), b"\xC1\x01\xC8");
    assert_eq!(written("/9/0", &[(&[1], Value::Float(1.5))]), b"\xC4\x01\x3F\xC0\0\0");
    assert_eq!(
        written("/9/0", &[(&[1], Value::Float(0.1))]),
        b"\xC8\x01\x08\x3F\xB9\x99\x99\x99\x99\x99\x9A"
    );
    assert_eq!(written("/9/0", &[(&[1], Value::Objlnk(66, 1))]), b"\xC4\x01\x00\x42\x00\x01");
    assert_eq!(written("/9/0", &[(&[1], Value::Boolean(true))]), b"\xC1\x01\x01");
}

#[test]
fn a_float_of_four_bytes_is_the_shortest_decimal() {
    let bytes = [b"\xE4\x16\x44".as_slice(), &5.1f32.to_be_bytes()].concat();
    assert_eq!(read("/3303/0", &bytes).unwrap(), [("/3303/0/5700".into(), Value::Float(5.1))]);
}

#[test]
fn what_is_written_depends_on_the_level_of_the_base() {
    let one = Value::Integer(1);
    assert_eq!(written("/3/0/13", &[(&[], Value::Time(1))]), b"\xC1\x0D\x01");
    assert_eq!(
        written("/3/0/7", &[(&[0], one.clone()), (&[1], one.clone())]),
        b"\x86\x07\x41\x00\x01\x41\x01\x01"
    );
    assert_eq!(written("/3/0/7/1", &[(&[], one.clone())]), b"\x41\x01\x01");
    let batch =
        [(&[14][..], string("x")), (&[7, 0], one.clone()), (&[15], string("y")), (&[7, 1], one.clone())];
    assert_eq!(written("/3/0", &batch), b"\x86\x07\x41\x00\x01\x41\x01\x01\xC1\x0Ex\xC1\x0Fy");
    assert_eq!(written("/1", &[(&[1], one.clone())]), b"\xC1\x01\x01", "the device chooses the instance");
    assert_eq!(written("/1", &[(&[4, 1], one)]), b"\x03\x04\xC1\x01\x01");
    assert_eq!(written("/1", &[]), b"");
}
