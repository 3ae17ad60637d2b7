//! As much of CBOR as a single value and a SenML pack need: scalars, and an array of flat maps [RFC8949].

use nom::IResult;
use nom::bytes::complete::take;
use nom::error::{Error, ErrorKind};
use nom::number::complete::{be_f32, be_f64, be_u8, be_u16, be_u32, be_u64};
use serde_json::{Map, Value as Json};

use super::{DecodeError, MAX_NODES};
use crate::value::to_base64_url;
use crate::{DataType, Value};

/// What no container holds.
#[derive(Clone, Debug, PartialEq)]
enum Scalar<'a> {
    Bytes(&'a [u8]),
    Other(Json),
}

/// The head of a data item: its major type, and its argument unless the length is left open.
struct Head {
    major: u8,
    argument: Option<u64>,
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;
const BREAK: u8 = 0xFF;

/// Reads a payload that is one value.
pub(super) fn decode(payload: &[u8], data_type: Option<DataType>) -> Result<Value, DecodeError> {
    let (rest, found) = scalar(payload).map_err(|_| DecodeError::Cbor)?;
    if !rest.is_empty() {
        return Err(DecodeError::Cbor);
    }
    match found {
        Scalar::Bytes(bytes) => Ok(Value::Opaque(bytes.to_vec().into())),
        Scalar::Other(json) => data_type
            .filter(|data_type| *data_type != DataType::Opaque)
            .and_then(|data_type| Value::from_json(&json, data_type))
            .or_else(|| Value::untyped(&json))
            .ok_or(DecodeError::Cbor),
    }
}

/// Reads a SenML pack into records with the labels that SenML in JSON has [RFC8428 6].
pub(super) fn senml_records(payload: &[u8]) -> Result<Vec<Map<String, Json>>, DecodeError> {
    let mut records = Vec::new();
    let (mut rest, mut left) = container(payload, ARRAY).map_err(|_| DecodeError::SenMl)?;
    while let Some(input) = next_item(rest, &mut left) {
        if records.len() == MAX_NODES {
            return Err(DecodeError::TooMany);
        }
        let (behind, record) = record(input).map_err(|_| DecodeError::SenMl)?;
        records.push(record);
        rest = behind;
    }
    Ok(records)
}

fn record(input: &[u8]) -> IResult<&[u8], Map<String, Json>> {
    let (mut rest, mut left) = container(input, MAP)?;
    let mut record = Map::new();
    while let Some(input) = next_item(rest, &mut left) {
        let (input, label) = scalar(input)?;
        let (behind, value) = scalar(input)?;
        let value = match value {
            Scalar::Bytes(bytes) => to_base64_url(bytes).into(),
            Scalar::Other(json) => json,
        };
        record.insert(name(&label).ok_or_else(|| invalid(input))?, value);
        rest = behind;
    }
    // The break that ends an open map; `next_item` has seen it.
    let rest = if left.is_none() { rest.get(1..).unwrap_or_default() } else { rest };
    Ok((rest, record))
}

/// The name in JSON of a label in CBOR.
fn name(label: &Scalar<'_>) -> Option<String> {
    let Scalar::Other(label) = label else { return None };
    if let Json::String(name) = label {
        return Some(name.clone());
    }
    let name = match label.as_i64()? {
        -1 => "bver",
        -2 => "bn",
        -3 => "bt",
        -4 => "bu",
        -5 => "bv",
        -6 => "bs",
        0 => "n",
        1 => "u",
        2 => "v",
        3 => "vs",
        4 => "vb",
        5 => "s",
        6 => "t",
        7 => "ut",
        8 => "vd",
        // What is not known may be left out, as long as it need not be understood [RFC8428 4.4].
        other => return Some(format!("{other}")),
    };
    Some(name.to_owned())
}

/// Where the next item of a container begins; `None` at its end. `left` is `None` if only a break ends it.
fn next_item<'a>(rest: &'a [u8], left: &mut Option<u64>) -> Option<&'a [u8]> {
    match left {
        None if rest.first() == Some(&BREAK) => None,
        None => Some(rest),
        Some(0) => None,
        Some(left) => {
            *left -= 1;
            Some(rest)
        }
    }
}

/// The head of an array or map: how many items it has.
fn container(input: &[u8], major: u8) -> IResult<&[u8], Option<u64>> {
    match head(input)? {
        (rest, head) if head.major == major => Ok((rest, head.argument)),
        _ => Err(invalid(input)),
    }
}

fn scalar(input: &[u8]) -> IResult<&[u8], Scalar<'_>> {
    let first = *input.first().unwrap_or(&0);
    let (rest, head) = head(input)?;
    let argument = head.argument.ok_or_else(|| invalid(input))?;
    let json = match head.major {
        UNSIGNED => argument.into(),
        NEGATIVE => (-1 - i64::try_from(argument).map_err(|_| invalid(input))?).into(),
        BYTES => return take(argument)(rest).map(|(rest, bytes)| (rest, Scalar::Bytes(bytes))),
        TEXT => {
            let (rest, bytes) = take(argument)(rest)?;
            let text = std::str::from_utf8(bytes).map_err(|_| invalid(input))?;
            return Ok((rest, Scalar::Other(text.into())));
        }
        SIMPLE => match first & 0x1F {
            20 => false.into(),
            21 => true.into(),
            25 => half(argument as u16).into(),
            26 => be_f32::<_, Error<_>>(input.get(1..).unwrap_or_default())
                .ok()
                .and_then(|(_, number)| number.to_string().parse::<f64>().ok())
                .ok_or_else(|| invalid(input))?
                .into(),
            27 => be_f64::<_, Error<_>>(input.get(1..).unwrap_or_default())
                .map(|(_, number)| number)
                .map_err(|_| invalid(input))?
                .into(),
            _ => return Err(invalid(input)),
        },
        _ => return Err(invalid(input)),
    };
    Ok((rest, Scalar::Other(json)))
}

fn head(input: &[u8]) -> IResult<&[u8], Head> {
    let (rest, first) = be_u8(input)?;
    let (rest, argument) = match first & 0x1F {
        small @ 0..24 => (rest, Some(small.into())),
        24 => be_u8(rest).map(|(rest, number)| (rest, Some(number.into())))?,
        25 => be_u16(rest).map(|(rest, number)| (rest, Some(number.into())))?,
        26 => be_u32(rest).map(|(rest, number)| (rest, Some(number.into())))?,
        27 => be_u64(rest).map(|(rest, number)| (rest, Some(number)))?,
        31 => (rest, None),
        _ => return Err(invalid(input)),
    };
    Ok((rest, Head { major: first >> 5, argument }))
}

/// A number of 16 bits [RFC8949 D].
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (bits >> 10 & 0x1F, f64::from(bits & 0x3FF));
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (mantissa + 1_024.0) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 0 { size } else { -size }
}

fn invalid(input: &[u8]) -> nom::Err<Error<&[u8]>> {
    nom::Err::Error(Error::new(input, ErrorKind::Verify))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_single_value_is_read_as_its_type() {
        let cases: [(&[u8], Option<DataType>, Value); 9] = [
            (b"\x18\x64", Some(DataType::Integer), Value::Integer(100)),
            (b"\x39\x01\xF3", None, Value::Integer(-500)),
            (b"\x1A\x65\x53\xF1\x00", Some(DataType::Time), Value::Time(1_700_000_000)),
            (b"\xF9\x3E\x00", Some(DataType::Float), Value::Float(1.5)),
            (b"\xFA\x40\xA3\x33\x33", None, Value::Float(5.1)),
            (b"\xFB\x3F\xB9\x99\x99\x99\x99\x99\x9A", None, Value::Float(0.1)),
            (b"\xF5", None, Value::Boolean(true)),
            (b"\x61x", None, Value::String("x".into())),
            (b"\x42\x01\x02", Some(DataType::Opaque), Value::Opaque(vec![1, 2].into())),
        ];
        for (bytes, data_type, expected) in cases {
            assert_eq!(decode(bytes, data_type), Ok(expected), "{bytes:02X?}");
        }
    }

    #[test]
    fn a_pack_is_read_with_the_labels_of_json() {
        // [{-2: "/3/0/", 0: "0", 3: "A"}, {0: "9", 2: 95}, {"vlo": "3:0"}], once of open length
        let closed = b"\x83\xA3\x21\x65/3/0/\x00\x610\x03\x61A\xA2\x00\x619\x02\x18\x5F\xA1\x63vlo\x633:0";
        let open =
            b"\x9F\xBF\x21\x65/3/0/\x00\x610\x03\x61A\xFF\xA2\x00\x619\x02\x18\x5F\xA1\x63vlo\x633:0\xFF";
        let expected = json!([{"bn": "/3/0/", "n": "0", "vs": "A"}, {"n": "9", "v": 95}, {"vlo": "3:0"}]);
        for bytes in [&closed[..], &open[..]] {
            let records = senml_records(bytes).unwrap().into_iter().map(Json::Object).collect();
            assert_eq!(Json::Array(records), expected);
        }
        let bytes = senml_records(b"\x81\xA1\x08\x41\xFF").unwrap();
        assert_eq!(bytes[0]["vd"], "_w");
    }

    #[test]
    fn what_nests_or_ends_early_is_refused() {
        for bad in [
            &b""[..],
            b"\x80",
            b"\x18",
            b"\x62x",
            b"\x01\x01",
            b"\xC1\x01",
            b"\xF6",
            b"\x5F\xFF",
            b"\x3B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        ] {
            assert_eq!(decode(bad, None), Err(DecodeError::Cbor), "{bad:02X?}");
        }
        for bad in [
            &b""[..],
            b"\x81",
            b"\x81\x80",
            b"\x81\xA1\x02\x80",
            b"\x9F",
            b"\x81\xBF",
            b"\x81\xA1\x41\x00\x01",
        ] {
            assert_eq!(senml_records(bad), Err(DecodeError::SenMl), "{bad:02X?}");
        }
        let many = [&b"\x9F"[..], &b"\xA0".repeat(10_001)].concat();
        assert_eq!(senml_records(&many), Err(DecodeError::TooMany));
    }
}
