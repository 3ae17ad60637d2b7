//! SenML in JSON and CBOR, as LwM2M 1.1 uses it [RFC8428] [LwM2M 1.1 Core 7.4.4].

use serde_json::{Map, Value as Json};

use super::{DecodeError, Item, MAX_NODES, Node, cbor, number, relative_name};
use crate::value::{from_base64, to_base64_url};
use crate::{DataType, Lwm2mPath, ObjectModel, Value};

/// What holds for a record and all behind it.
#[derive(Default)]
struct Base {
    name: String,
    time: Option<f64>,
    number: f64,
}

pub(super) fn decode(path: Lwm2mPath, payload: &[u8], model: &ObjectModel) -> Result<Vec<Node>, DecodeError> {
    read(serde_json::from_slice(payload).map_err(|_| DecodeError::SenMl)?, path, model)
}

/// Reads a pack in CBOR.
pub(super) fn decode_cbor(
    path: Lwm2mPath,
    payload: &[u8],
    model: &ObjectModel,
) -> Result<Vec<Node>, DecodeError> {
    read(cbor::senml_records(payload)?, path, model)
}

fn read(
    records: Vec<Map<String, Json>>,
    path: Lwm2mPath,
    model: &ObjectModel,
) -> Result<Vec<Node>, DecodeError> {
    if records.len() > MAX_NODES {
        return Err(DecodeError::TooMany);
    }
    let mut base = Base::default();
    let nodes = records.iter().map(|record| node(record, &mut base, path, model));
    nodes.filter_map(Result::transpose).collect()
}

/// Reads one record; `None` when it has nothing but base values.
fn node(
    record: &Map<String, Json>,
    base: &mut Base,
    asked: Lwm2mPath,
    model: &ObjectModel,
) -> Result<Option<Node>, DecodeError> {
    // [RFC8428 4.4]: an unknown field whose name ends so must be understood; versions are at most 10.
    let too_new =
        record.get("bver").is_some_and(|version| version.as_u64().is_none_or(|version| version > 10));
    if too_new || record.keys().any(|key| key.ends_with('_')) {
        return Err(DecodeError::SenMl);
    }
    if let Some(name) = record.get("bn") {
        base.name = name.as_str().ok_or(DecodeError::SenMl)?.to_owned();
    }
    if let Some(time) = record.get("bt") {
        base.time = Some(time.as_f64().ok_or(DecodeError::SenMl)?);
    }
    if let Some(number) = record.get("bv") {
        base.number = number.as_f64().ok_or(DecodeError::SenMl)?;
    }
    let own = match record.get("n") {
        None => "",
        Some(name) => name.as_str().ok_or(DecodeError::SenMl)?,
    };
    let name = format!("{}{own}", base.name);
    let path = if name.is_empty() { Some(asked) } else { Lwm2mPath::parse(&name) };
    let path = path.filter(|path| path.is_within(asked));
    let Some(value) = value(record, base.number, path.and_then(|path| model.data_type(path)))? else {
        return Ok(None);
    };
    let time = match record.get("t") {
        None => base.time,
        Some(time) => Some(base.time.unwrap_or(0.0) + time.as_f64().ok_or(DecodeError::SenMl)?),
    };
    Ok(Some(Node { path: path.ok_or(DecodeError::Path)?, value, time }))
}

fn value(
    record: &Map<String, Json>,
    base: f64,
    data_type: Option<DataType>,
) -> Result<Option<Value>, DecodeError> {
    let text =
        |name: &str| record.get(name).map(|value| value.as_str().ok_or(DecodeError::SenMl)).transpose();
    if let Some(text) = text("vs")? {
        let known = data_type.filter(|data_type| *data_type == DataType::Corelnk);
        return Ok(Some(
            known.map_or_else(|| Value::String(text.to_owned()), |_| Value::Corelnk(text.to_owned())),
        ));
    }
    if let Some(text) = text("vd")? {
        return from_base64(text).map(Value::Opaque).map(Some).ok_or(DecodeError::SenMl);
    }
    if let Some(text) = text("vlo")? {
        return Value::from_text(text, DataType::Objlnk).map(Some).ok_or(DecodeError::SenMl);
    }
    match (record.get("v"), record.get("vb")) {
        (Some(Json::Number(found)), _) if base == 0.0 => Ok(number(found, data_type)),
        (Some(Json::Number(found)), _) => {
            let sum = found.as_f64().map(|found| found + base).ok_or(DecodeError::SenMl)?;
            Ok(data_type
                .and_then(|data_type| Value::from_json(&sum.into(), data_type))
                .or(Some(Value::Float(sum))))
        }
        (None, Some(Json::Bool(truth))) => Ok(Some(Value::Boolean(*truth))),
        (None, None) => Ok(None),
        (_, _) => Err(DecodeError::SenMl),
    }
}

pub(super) fn encode(base: Lwm2mPath, items: &[Item]) -> Vec<u8> {
    let record = |(at, item): (usize, &Item)| {
        let mut record = Map::new();
        let slash = if item.ids.is_empty() { "" } else { "/" };
        if at == 0 {
            record.insert("bn".to_owned(), format!("{base}{slash}").into());
        }
        if !item.ids.is_empty() {
            record.insert("n".to_owned(), relative_name(item).into());
        }
        let (field, value) = match &item.value {
            Value::Integer(_) | Value::Time(_) | Value::Unsigned(_) | Value::Float(_) => {
                ("v", item.value.to_json())
            }
            Value::Boolean(_) => ("vb", item.value.to_json()),
            Value::Opaque(bytes) => ("vd", to_base64_url(bytes).into()),
            Value::Objlnk(..) => ("vlo", item.value.to_json()),
            Value::String(_) | Value::Corelnk(_) => ("vs", item.value.to_json()),
        };
        record.insert(field.to_owned(), value);
        Json::Object(record)
    };
    let records: Vec<Json> = items.iter().enumerate().map(record).collect();
    serde_json::to_vec(&records).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(path: &str, text: &str) -> Result<Vec<Node>, DecodeError> {
        decode(Lwm2mPath::parse(path).unwrap(), text.as_bytes(), &ObjectModel::standard())
    }

    #[test]
    fn a_base_holds_for_the_records_behind_it() {
        let text = r#"[{"bn":"/3/0/","bt":1700000000,"n":"0","vs":"Maker"},{"n":"9","v":95,"t":5},
            {"n":"6/0","v":1},{"bn":"/3/0/","n":"11/0","v":0}]"#;
        let nodes = read("/3", text).unwrap();
        let seen: Vec<(String, &Value, Option<f64>)> =
            nodes.iter().map(|node| (node.path.to_string(), &node.value, node.time)).collect();
        let expected = [
            ("/3/0/0".into(), &Value::String("Maker".into()), Some(1_700_000_000.0)),
            ("/3/0/9".into(), &Value::Integer(95), Some(1_700_000_005.0)),
            ("/3/0/6/0".into(), &Value::Integer(1), Some(1_700_000_000.0)),
            ("/3/0/11/0".into(), &Value::Integer(0), Some(1_700_000_000.0)),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"[{"bn":"/65000/0/","n":"0","vb":true},{"n":"1","vd":"_w"},{"n":"2","vlo":"3:0"},
            {"n":"3","v":1.5},{"n":"4","v":7,"bv":1}]"#;
        let values: Vec<Value> = read("/65000/0", text).unwrap().into_iter().map(|node| node.value).collect();
        let expected = [
            Value::Boolean(true),
            Value::Opaque(Bytes::from_static(&[0xFF])),
            Value::Objlnk(3, 0),
            Value::Float(1.5),
            Value::Float(8.0),
        ];
        assert_eq!(values, expected);
        assert_eq!(read("/3/0/9", r#"[{"v":95}]"#).unwrap()[0].value, Value::Integer(95));
    }

    #[test]
    fn a_pack_in_cbor_says_the_same() {
        // [{-2: "/3/0/", 0: "9", 2: 95}, {0: "0", 3: "A"}]
        let bytes = b"\x82\xA3\x21\x65/3/0/\x00\x619\x02\x18\x5F\xA2\x00\x610\x03\x61A";
        let nodes = decode_cbor(Lwm2mPath::object(3), bytes, &ObjectModel::standard()).unwrap();
        let seen: Vec<(String, Value)> =
            nodes.into_iter().map(|node| (node.path.to_string(), node.value)).collect();
        assert_eq!(
            seen,
            [("/3/0/9".into(), Value::Integer(95)), ("/3/0/0".into(), Value::String("A".into()))]
        );
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        for bad in [
            "",
            "{}",
            "[1]",
            r#"[{"x_":1,"v":1}]"#,
            r#"[{"bver":11,"v":1}]"#,
            r#"[{"vd":"%"}]"#,
            r#"[{"v":"1"}]"#,
        ] {
            assert_eq!(read("/3/0/9", bad), Err(DecodeError::SenMl), "{bad}");
        }
        assert_eq!(read("/3/0/9", r#"[{"n":"/4/0/1","v":1}]"#), Err(DecodeError::Path));
        assert_eq!(read("/3", r#"[{"bn":"/3/0/"}]"#), Ok(Vec::new()));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let base = Lwm2mPath::parse("/3/0").unwrap();
        let items = [
            Item { ids: vec![14], value: Value::String("+02:00".into()) },
            Item { ids: vec![7, 1], value: Value::Integer(5) },
        ];
        let bytes = encode(base, &items);
        assert_eq!(bytes, br#"[{"bn":"/3/0/","n":"14","vs":"+02:00"},{"n":"7/1","v":5}]"#);
        let nodes = decode(base, &bytes, &ObjectModel::standard()).unwrap();
        assert_eq!((nodes[0].path.to_string().as_str(), &nodes[0].value), ("/3/0/14", &items[0].value));
        assert_eq!((nodes[1].path.to_string().as_str(), &nodes[1].value), ("/3/0/7/1", &items[1].value));
    }
}
