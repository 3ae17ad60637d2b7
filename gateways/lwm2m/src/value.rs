use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The type of a resource [LwM2M 1.1 Core C].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// UTF-8 text.
    String,
    /// A signed number of at most 64 bits.
    Integer,
    /// An unsigned number of at most 64 bits; since LwM2M 1.1.
    Unsigned,
    /// A number of 32 or 64 bits.
    Float,
    /// True or false.
    Boolean,
    /// Bytes.
    Opaque,
    /// Seconds since 1970.
    Time,
    /// A link to an object instance.
    Objlnk,
    /// A list of links in link format; since LwM2M 1.1.
    Corelnk,
}

/// The value of a resource or resource instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// UTF-8 text.
    String(String),
    /// A signed number.
    Integer(i64),
    /// An unsigned number.
    Unsigned(u64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes; also what a device sent for a resource whose type is not known.
    Opaque(Bytes),
    /// Seconds since 1970.
    Time(i64),
    /// An object's id and an instance's.
    Objlnk(u16, u16),
    /// Links in link format.
    Corelnk(String),
}

impl DataType {
    /// The type with this name, whatever its case; `Unsigned Integer` is [`DataType::Unsigned`].
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "string" => Self::String,
            "integer" => Self::Integer,
            "unsigned" | "unsigned integer" => Self::Unsigned,
            "float" => Self::Float,
            "boolean" => Self::Boolean,
            "opaque" => Self::Opaque,
            "time" => Self::Time,
            "objlnk" => Self::Objlnk,
            "corelnk" => Self::Corelnk,
            _ => return None,
        })
    }
}

impl Value {
    /// Takes a value of a type as a command writes it: numbers and truth values as such or as text, bytes as
    /// base64, an object link as `"object:instance"`. `None` when it is not of the type.
    pub fn from_json(value: &Json, data_type: DataType) -> Option<Self> {
        if let Json::String(text) = value {
            return Self::from_text(text, data_type);
        }
        Some(match data_type {
            DataType::Integer => Self::Integer(whole(value)?),
            DataType::Time => Self::Time(whole(value)?),
            DataType::Unsigned => Self::Unsigned(value.as_u64()?),
            DataType::Float => Self::Float(value.as_f64()?),
            DataType::Boolean => Self::Boolean(match value {
                Json::Bool(truth) => *truth,
                number => number.as_u64().filter(|number| *number < 2)? == 1,
            }),
            DataType::String if value.is_number() || value.is_boolean() => Self::String(value.to_string()),
            DataType::String | DataType::Opaque | DataType::Objlnk | DataType::Corelnk => return None,
        })
    }

    /// Takes a value without a stated type: text, a truth value, a whole number, or one with a fraction.
    pub fn untyped(value: &Json) -> Option<Self> {
        Some(match value {
            Json::String(text) => Self::String(text.clone()),
            Json::Bool(truth) => Self::Boolean(*truth),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Integer(number),
                (None, Some(number)) => Self::Unsigned(number),
                (None, None) => Self::Float(number.as_f64()?),
            },
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        })
    }

    /// Takes a value of a type from text; `None` when it is not of the type [LwM2M 1.1 Core C].
    pub fn from_text(text: &str, data_type: DataType) -> Option<Self> {
        Some(match data_type {
            DataType::String => Self::String(text.to_owned()),
            DataType::Corelnk => Self::Corelnk(text.to_owned()),
            DataType::Integer => Self::Integer(text.trim().parse().ok()?),
            DataType::Time => Self::Time(text.trim().parse().ok()?),
            DataType::Unsigned => Self::Unsigned(text.trim().parse().ok()?),
            DataType::Float => {
                Self::Float(text.trim().parse().ok().filter(|number: &f64| number.is_finite())?)
            }
            DataType::Boolean => Self::Boolean(match text.trim() {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => return None,
            }),
            DataType::Opaque => Self::Opaque(from_base64(text)?),
            DataType::Objlnk => {
                let (object, instance) = text.trim().split_once(':')?;
                Self::Objlnk(object.parse().ok()?, instance.parse().ok()?)
            }
        })
    }

    /// The value as `text/plain` has it.
    pub fn to_text(&self) -> String {
        match self {
            Self::String(text) | Self::Corelnk(text) => text.clone(),
            Self::Integer(number) | Self::Time(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Boolean(truth) => u8::from(*truth).to_string(),
            Self::Opaque(bytes) => STANDARD.encode(bytes),
            Self::Objlnk(object, instance) => format!("{object}:{instance}"),
        }
    }

    /// The value as the bus sees it.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Integer(number) | Self::Time(number) => (*number).into(),
            Self::Unsigned(number) => (*number).into(),
            Self::Float(number) if number.is_finite() => (*number).into(),
            Self::Boolean(truth) => (*truth).into(),
            Self::Float(_) | Self::String(_) | Self::Corelnk(_) | Self::Opaque(_) | Self::Objlnk(..) => {
                self.to_text().into()
            }
        }
    }
}

/// A number without a fraction, however it is written.
fn whole(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
    })
}

/// Bytes from base64, with or without padding, of either alphabet.
pub(crate) fn from_base64(text: &str) -> Option<Bytes> {
    let text = text.trim().trim_end_matches('=');
    STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok().map(Bytes::from)
}

/// Bytes as SenML writes them [RFC8428 4.3].
pub(crate) fn to_base64_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_may_write_a_value_as_text_or_as_such() {
        let cases = [
            (json!("200"), DataType::Integer, Some(Value::Integer(200))),
            (json!(-1), DataType::Integer, Some(Value::Integer(-1))),
            (json!(2.0), DataType::Time, Some(Value::Time(2))),
            (json!(2.5), DataType::Integer, None),
            (json!("1.5"), DataType::Float, Some(Value::Float(1.5))),
            (json!("inf"), DataType::Float, None),
            (json!(u64::MAX), DataType::Unsigned, Some(Value::Unsigned(u64::MAX))),
            (json!("true"), DataType::Boolean, Some(Value::Boolean(true))),
            (json!(0), DataType::Boolean, Some(Value::Boolean(false))),
            (json!(2), DataType::Boolean, None),
            (json!("AQI="), DataType::Opaque, Some(Value::Opaque(Bytes::from_static(&[1, 2])))),
            (json!("!"), DataType::Opaque, None),
            (json!("3:0"), DataType::Objlnk, Some(Value::Objlnk(3, 0))),
            (json!(5), DataType::String, Some(Value::String("5".into()))),
            (json!([]), DataType::String, None),
        ];
        for (json, data_type, expected) in cases {
            assert_eq!(Value::from_json(&json, data_type), expected, "{json} {data_type:?}");
        }
    }
}
