//! OMA LwM2M JSON [LwM2M 1.0.2 6.4.4].

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{DecodeError, Item, MAX_NODES, Node, number, relative_name};
use crate::value::{from_base64, to_base64_url};
use crate::{DataType, Lwm2mPath, ObjectModel, Value};

#[derive(Default, Serialize, Deserialize)]
struct Document {
    #[serde(rename = "bn", default, skip_serializing_if = "Option::is_none")]
    base_name: Option<String>,
    #[serde(rename = "bt", default, skip_serializing_if = "Option::is_none")]
    base_time: Option<f64>,
    #[serde(rename = "e")]
    entries: Vec<Entry>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(rename = "n", skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    number: Option<Number>,
    #[serde(rename = "bv", skip_serializing_if = "Option::is_none")]
    truth: Option<bool>,
    #[serde(rename = "ov", skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(rename = "sv", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

pub(super) fn decode(path: Lwm2mPath, payload: &[u8], model: &ObjectModel) -> Result<Vec<Node>, DecodeError> {
    let document: Document = serde_json::from_slice(payload).map_err(|_| DecodeError::Json)?;
    if document.entries.len() > MAX_NODES {
        return Err(DecodeError::TooMany);
    }
    let base = document.base_name.unwrap_or_else(|| path.to_string());
    let node = |entry: Entry| {
        let path =
            named(&base, &entry.name).filter(|found| found.is_within(path)).ok_or(DecodeError::Path)?;
        let time = match (document.base_time, entry.time) {
            (None, time) => time,
            (Some(base), time) => Some(base + time.unwrap_or(0.0)),
        };
        let value = value(entry, model.data_type(path)).ok_or(DecodeError::Json)?;
        Ok(Node { path, value, time })
    };
    document.entries.into_iter().map(node).collect()
}

/// The path of an entry: the base with the name behind it, with one slash between them.
fn named(base: &str, name: &str) -> Option<Lwm2mPath> {
    match name {
        "" => Lwm2mPath::parse(base),
        name => Lwm2mPath::parse(&format!("{}/{}", base.trim_end_matches('/'), name.trim_start_matches('/'))),
    }
}

fn value(entry: Entry, data_type: Option<DataType>) -> Option<Value> {
    match entry {
        Entry { number: Some(found), .. } => number(&found, data_type),
        Entry { truth: Some(truth), .. } => Some(Value::Boolean(truth)),
        Entry { link: Some(link), .. } => Value::from_text(&link, DataType::Objlnk),
        Entry { text: Some(text), .. } => match data_type {
            Some(DataType::Opaque) => from_base64(&text).map(Value::Opaque),
            Some(DataType::Corelnk) => Some(Value::Corelnk(text)),
            _ => Some(Value::String(text)),
        },
        _ => None,
    }
}

pub(super) fn encode(base: Lwm2mPath, items: &[Item]) -> Vec<u8> {
    let base_name = match items {
        [Item { ids, .. }] if ids.is_empty() => base.to_string(),
        _ => format!("{base}/"),
    };
    let entries = items.iter().map(entry).collect();
    let document = Document { base_name: Some(base_name), base_time: None, entries };
    serde_json::to_vec(&document).unwrap_or_default()
}

fn entry(item: &Item) -> Entry {
    let mut entry = Entry { name: relative_name(item), ..Entry::default() };
    match &item.value {
        Value::Integer(found) | Value::Time(found) => entry.number = Some((*found).into()),
        Value::Unsigned(found) => entry.number = Some((*found).into()),
        Value::Float(found) => entry.number = Number::from_f64(*found),
        Value::Boolean(truth) => entry.truth = Some(*truth),
        Value::Objlnk(..) => entry.link = Some(item.value.to_text()),
        Value::Opaque(bytes) => entry.text = Some(to_base64_url(bytes)),
        Value::String(_) | Value::Corelnk(_) => entry.text = Some(item.value.to_text()),
    }
    entry
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(path: &str, text: &str) -> Result<Vec<(String, Value)>, DecodeError> {
        let nodes = decode(Lwm2mPath::parse(path).unwrap(), text.as_bytes(), &ObjectModel::standard())?;
        Ok(nodes.into_iter().map(|node| (node.path.to_string(), node.value)).collect())
    }

    #[test]
    fn entries_are_named_from_the_base() {
        let text = r#"{"bn":"/3/0/","e":[{"n":"0","sv":"Maker"},{"n":"9","v":95},{"n":"7/1","v":5000},
            {"n":"13","v":1367491215}]}"#;
        let expected = [
            ("/3/0/0".to_owned(), Value::String("Maker".into())),
            ("/3/0/9".to_owned(), Value::Integer(95)),
            ("/3/0/7/1".to_owned(), Value::Integer(5000)),
            ("/3/0/13".to_owned(), Value::Time(1_367_491_215)),
        ];
        assert_eq!(read("/3/0", text).unwrap(), expected);
    }

    #[test]
    fn without_a_base_names_belong_to_what_was_asked() {
        assert_eq!(read("/3/0/9", r#"{"e":[{"v":95}]}"#).unwrap(), [("/3/0/9".into(), Value::Integer(95))]);
        let link = read("/65000/0", r#"{"e":[{"n":"1","ov":"66:2"}]}"#).unwrap();
        assert_eq!(link, [("/65000/0/1".into(), Value::Objlnk(66, 2))]);
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        assert_eq!(read("/3/0", r#"{"bn":"/4/0/","e":[{"n":"1","v":1}]}"#), Err(DecodeError::Path));
        assert_eq!(read("/3/0", r#"{"e":[{"n":"x","v":1}]}"#), Err(DecodeError::Path));
        for bad in ["", "[]", r#"{"e":[{"n":"1"}]}"#, r#"{"e":[{"n":"1","ov":"3"}]}"#] {
            assert_eq!(read("/3/0", bad), Err(DecodeError::Json), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let base = Lwm2mPath::parse("/5/0").unwrap();
        let item = |id, value| Item { ids: vec![id], value };
        let items =
            [item(0, Value::Opaque(Bytes::from_static(b"\xFF\xFE\xFD"))), item(1, Value::String("u".into()))];
        let bytes = encode(base, &items);
        assert_eq!(bytes, br#"{"bn":"/5/0/","e":[{"n":"0","sv":"__79"},{"n":"1","sv":"u"}]}"#);
        let nodes = decode(base, &bytes, &ObjectModel::standard()).unwrap();
        assert_eq!(nodes[0].value, items[0].value);
        assert_eq!(nodes[1].value, items[1].value);
    }
}
