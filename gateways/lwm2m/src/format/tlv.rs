//! The type-length-value format [LwM2M 1.0.2 6.4.3].

use nom::IResult;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24};

use super::{DecodeError, EncodeError, Item, MAX_NODES, Node};
use crate::{DataType, Lwm2mPath, ObjectModel, Value};

/// What a record holds; the number is the two highest bits of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Records of resources.
    ObjectInstance = 0,
    /// A value.
    ResourceInstance = 1,
    /// Records of resource instances.
    MultipleResource = 2,
    /// A value.
    Resource = 3,
}

#[derive(Debug)]
struct Record<'a> {
    kind: Kind,
    id: u16,
    value: &'a [u8],
}

pub(super) fn decode(path: Lwm2mPath, payload: &[u8], model: &ObjectModel) -> Result<Vec<Node>, DecodeError> {
    let mut reader = Reader { path, model, nodes: Vec::new() };
    for record in records(payload) {
        reader.top(record?)?;
    }
    Ok(reader.nodes)
}

/// The records that stand one behind the other.
fn records(input: &[u8]) -> impl Iterator<Item = Result<Record<'_>, DecodeError>> {
    let mut rest = input;
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| match record(rest) {
            Ok((behind, record)) => {
                rest = behind;
                Ok(record)
            }
            Err(_) => {
                rest = &[];
                Err(DecodeError::Tlv)
            }
        })
    })
}

fn record(input: &[u8]) -> IResult<&[u8], Record<'_>> {
    let (input, head) = be_u8(input)?;
    let kind = match head >> 6 {
        0 => Kind::ObjectInstance,
        1 => Kind::ResourceInstance,
        2 => Kind::MultipleResource,
        _ => Kind::Resource,
    };
    let (input, id) = match head & 0b0010_0000 {
        0 => be_u8(input).map(|(input, id)| (input, id.into()))?,
        _ => be_u16(input)?,
    };
    let (input, length) = match (head >> 3) & 0b11 {
        0 => (input, u32::from(head & 0b111)),
        1 => be_u8(input).map(|(input, length)| (input, length.into()))?,
        2 => be_u16(input).map(|(input, length)| (input, length.into()))?,
        _ => be_u24(input)?,
    };
    let (input, value) = take(length)(input)?;
    Ok((input, Record { kind, id, value }))
}

struct Reader<'a> {
    path: Lwm2mPath,
    model: &'a ObjectModel,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    /// A record of the outermost level: what it is below depends on what was asked for.
    fn top(&mut self, record: Record<'_>) -> Result<(), DecodeError> {
        match record.kind {
            Kind::ObjectInstance => self.object_instance(record),
            // An object that can have one instance only may leave the instance's record out.
            Kind::Resource | Kind::MultipleResource => {
                let instance = child(Lwm2mPath::object(self.path.object), self.path.instance().unwrap_or(0))?;
                self.resource(instance, record)
            }
            Kind::ResourceInstance => {
                let resource = self.path.truncated(3).ok_or(DecodeError::Path)?;
                self.value(child(resource, record.id)?, record.value)
            }
        }
    }

    fn object_instance(&mut self, record: Record<'_>) -> Result<(), DecodeError> {
        let instance = child(Lwm2mPath::object(self.path.object), record.id)?;
        records(record.value).try_for_each(|record| self.resource(instance, record?))
    }

    fn resource(&mut self, instance: Lwm2mPath, record: Record<'_>) -> Result<(), DecodeError> {
        let resource = child(instance, record.id)?;
        match record.kind {
            Kind::Resource => self.value(resource, record.value),
            Kind::MultipleResource => records(record.value).try_for_each(|record| match record? {
                Record { kind: Kind::ResourceInstance, id, value } => self.value(child(resource, id)?, value),
                _ => Err(DecodeError::Tlv),
            }),
            Kind::ObjectInstance | Kind::ResourceInstance => Err(DecodeError::Tlv),
        }
    }

    fn value(&mut self, path: Lwm2mPath, bytes: &[u8]) -> Result<(), DecodeError> {
        if self.nodes.len() == MAX_NODES {
            return Err(DecodeError::TooMany);
        }
        let known = self.model.data_type(path).and_then(|data_type| from_bytes(bytes, data_type));
        let value = known.unwrap_or_else(|| Value::Opaque(bytes.to_vec().into()));
        self.nodes.push(Node::new(path, value));
        Ok(())
    }
}

fn child(path: Lwm2mPath, id: u16) -> Result<Lwm2mPath, DecodeError> {
    Some(id).filter(|id| *id != u16::MAX).and_then(|id| path.child(id)).ok_or(DecodeError::Path)
}

/// The value of a type; `None` when the length does not fit [LwM2M 1.0.2 C].
fn from_bytes(bytes: &[u8], data_type: DataType) -> Option<Value> {
    Some(match data_type {
        DataType::String => Value::String(text(bytes)?),
        DataType::Corelnk => Value::Corelnk(text(bytes)?),
        DataType::Integer => Value::Integer(signed(bytes)?),
        DataType::Time => Value::Time(signed(bytes)?),
        DataType::Unsigned => Value::Unsigned(unsigned(bytes)?),
        DataType::Float => Value::Float(match bytes.len() {
            // The shortest decimal of 32 bits says what the device meant: 5.1, not 5.099999904632568.
            4 => f32::from_be_bytes(bytes.try_into().ok()?).to_string().parse().ok()?,
            _ => f64::from_be_bytes(bytes.try_into().ok()?),
        }),
        DataType::Boolean => match bytes {
            [0] => Value::Boolean(false),
            [1] => Value::Boolean(true),
            _ => return None,
        },
        DataType::Opaque => Value::Opaque(bytes.to_vec().into()),
        DataType::Objlnk => {
            let number = u32::from_be_bytes(bytes.try_into().ok()?);
            Value::Objlnk((number >> 16) as u16, number as u16)
        }
    })
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        1 => i8::from_be_bytes(bytes.try_into().ok()?).into(),
        2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        _ => i64::from_be_bytes(bytes.try_into().ok()?),
    })
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match bytes.len() {
        1 => u8::from_be_bytes(bytes.try_into().ok()?).into(),
        2 => u16::from_be_bytes(bytes.try_into().ok()?).into(),
        4 => u32::from_be_bytes(bytes.try_into().ok()?).into(),
        _ => u64::from_be_bytes(bytes.try_into().ok()?),
    })
}

/// Writes items below `base`, which are sorted so that what belongs together stands together.
pub(super) fn encode(base: Lwm2mPath, items: &[Item]) -> Result<Vec<u8>, EncodeError> {
    let mut output = Vec::new();
    match (base.levels(), base.resource()) {
        // The base is an object: with their instances, or one instance whose id the device chooses.
        (1, _) if items.iter().any(instance_is_named) => groups(items, 0, |id, items| {
            let mut resources = Vec::new();
            resource_records(items, 1, &mut resources)?;
            write_record(Kind::ObjectInstance, id, &resources, &mut output)
        })?,
        (1 | 2, _) => resource_records(items, 0, &mut output)?,
        (3, Some(resource)) => resource_record(resource, items, 0, &mut output)?,
        (_, _) => {
            for item in items {
                let id = base.resource_instance().unwrap_or_default();
                write_record(Kind::ResourceInstance, id, &to_bytes(&item.value), &mut output)?;
            }
        }
    }
    Ok(output)
}

fn instance_is_named(item: &Item) -> bool {
    item.ids.len() > 1
}

/// Calls `each` with every id at a depth and the items below it, in the order of their first appearance.
fn groups(
    items: &[Item],
    depth: usize,
    mut each: impl FnMut(u16, &[Item]) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut sorted = items.to_vec();
    sorted.sort_by_key(|item| item.ids.get(depth).copied());
    sorted
        .chunk_by(|a, b| a.ids.get(depth) == b.ids.get(depth))
        .filter_map(|group| Some((*group.first()?.ids.get(depth)?, group)))
        .try_for_each(|(id, group)| each(id, group))
}

fn resource_records(items: &[Item], depth: usize, output: &mut Vec<u8>) -> Result<(), EncodeError> {
    groups(items, depth, |id, items| resource_record(id, items, depth + 1, output))
}

/// Writes one resource: its value, or its instances where the items name them.
fn resource_record(id: u16, items: &[Item], depth: usize, output: &mut Vec<u8>) -> Result<(), EncodeError> {
    let instances = items.iter().filter_map(|item| Some((*item.ids.get(depth)?, &item.value)));
    let mut records = Vec::new();
    let mut found = false;
    for (id, value) in instances {
        found = true;
        write_record(Kind::ResourceInstance, id, &to_bytes(value), &mut records)?;
    }
    match items {
        _ if found => write_record(Kind::MultipleResource, id, &records, output),
        [item, ..] => write_record(Kind::Resource, id, &to_bytes(&item.value), output),
        [] => Ok(()),
    }
}

fn write_record(kind: Kind, id: u16, value: &[u8], output: &mut Vec<u8>) -> Result<(), EncodeError> {
    let long_id = if id > 0xFF { 0b0010_0000 } else { 0 };
    let length = u32::try_from(value.len()).map_err(|_| EncodeError::TooLong)?;
    let (length_type, length_bytes) = match length {
        0..8 => (length as u8, 0),
        8..=0xFF => (0b0000_1000, 1),
        0x100..=0xFFFF => (0b0001_0000, 2),
        0x1_0000..=0xFF_FFFF => (0b0001_1000, 3),
        _ => return Err(EncodeError::TooLong),
    };
    output.push((kind as u8) << 6 | long_id | length_type);
    output.extend(id.to_be_bytes().into_iter().skip(usize::from(long_id == 0)));
    output.extend(length.to_be_bytes().into_iter().skip(4 - length_bytes));
    output.extend_from_slice(value);
    Ok(())
}

/// A number takes 1, 2, 4 or 8 bytes, the fewest that keep its sign [LwM2M 1.0.2 C].
fn to_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) | Value::Corelnk(text) => text.as_bytes().to_vec(),
        Value::Integer(number) | Value::Time(number) => match *number {
            number if let Ok(number) = i8::try_from(number) => number.to_be_bytes().to_vec(),
            number if let Ok(number) = i16::try_from(number) => number.to_be_bytes().to_vec(),
            number if let Ok(number) = i32::try_from(number) => number.to_be_bytes().to_vec(),
            number => number.to_be_bytes().to_vec(),
        },
        Value::Unsigned(number) => match *number {
            number if let Ok(number) = u8::try_from(number) => number.to_be_bytes().to_vec(),
            number if let Ok(number) = u16::try_from(number) => number.to_be_bytes().to_vec(),
            number if let Ok(number) = u32::try_from(number) => number.to_be_bytes().to_vec(),
            number => number.to_be_bytes().to_vec(),
        },
        Value::Float(number) if f64::from(*number as f32) == *number => {
            (*number as f32).to_be_bytes().to_vec()
        }
        Value::Float(number) => number.to_be_bytes().to_vec(),
        Value::Boolean(truth) => vec![u8::from(*truth)],
        Value::Opaque(bytes) => bytes.to_vec(),
        Value::Objlnk(object, instance) => [object.to_be_bytes(), instance.to_be_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests;
