use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::environment;
use super::problem::{Problem, Problems, suggestion};
use super::tree::{Node, Origin, Path, Step, Table, Value};

/// How many faults are reported at once.
const MOST_FAULTS: usize = 20;

/// Reads a type from a configuration tree. All unknown keys and wrong values are reported, each with its place.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(tree: &Table) -> Result<T, Problems> {
    let mut tree = tree.clone();
    let mut problems = Vec::new();
    let mut removed: Vec<Path> = Vec::new();
    for _ in 0..MOST_FAULTS {
        let root = Node { value: Value::Table(tree.clone()), origin: Origin::Default };
        let unknown = RefCell::new(Vec::new());
        let read = T::deserialize(Cursor { node: &root, path: Path::default(), unknown: &unknown });
        for problem in unknown.into_inner() {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let fault = match read {
            Ok(value) if problems.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(fault) => fault,
        };
        // What is faulty is taken out, so that the next round finds what else is. That a key is missing
        // then is no fault of the file.
        let (path, problem) = fault.locate();
        if !removed.iter().any(|removed| removed.0.starts_with(&path.0)) {
            problems.push(problem);
        }
        if path.0.is_empty() {
            break;
        }
        tree.remove(&path.0);
        removed.push(path);
    }
    Err(Problems::new(problems))
}

/// A place in the tree, as serde reads it.
struct Cursor<'a> {
    node: &'a Node,
    path: Path,
    /// Unknown keys are noted and passed over.
    unknown: &'a RefCell<Vec<Problem>>,
}

/// Why a value cannot be read, and where it stands once that is known.
#[derive(Debug)]
struct Fault {
    message: String,
    place: Option<(Path, Origin)>,
}

impl Fault {
    fn new(message: String) -> Self {
        Self { message, place: None }
    }

    fn at(self, path: &Path, origin: &Origin) -> Self {
        Self { place: self.place.or_else(|| Some((path.clone(), origin.clone()))), ..self }
    }

    fn locate(self) -> (Path, Problem) {
        let Some((path, origin)) = self.place else {
            return (Path::default(), Problem::general(self.message));
        };
        let problem = Problem::at(origin, format!("{path}: {}", self.message));
        (path, problem)
    }
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {}", in_words(expected), name(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = suggestion(variant, expected, |known| format!("{known:?}"));
        Self::new(format!("unknown value {variant:?}{hint}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key {field:?} is missing"))
    }
}

fn in_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" => format!("an integer from 0 to {}", u8::MAX),
        "u16" => format!("an integer from 0 to {}", u16::MAX),
        "u32" => format!("an integer from 0 to {}", u32::MAX),
        "u64" | "usize" => "an integer from 0 up".to_owned(),
        "a nonzero u16" => format!("an integer from 1 to {}", u16::MAX),
        "a nonzero u32" => format!("an integer from 1 to {}", u32::MAX),
        "a nonzero u64" | "a nonzero usize" => "an integer from 1 up".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "an integer".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "text in quotes".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        _ => text,
    }
}

fn name(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("the text {text:?}"),
        Unexpected::Signed(number) => format!("the integer {number}"),
        Unexpected::Unsigned(number) => format!("the integer {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Bool(flag) => flag.to_string(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<'a> Cursor<'a> {
    fn at_key(&self, key: &str, node: &'a Node) -> Self {
        Cursor { node, path: self.path.key(key), unknown: self.unknown }
    }

    fn at_index(&self, index: usize, node: &'a Node) -> Self {
        Cursor { node, path: self.path.index(index), unknown: self.unknown }
    }

    fn located<T>(&self, read: Result<T, Fault>) -> Result<T, Fault> {
        read.map_err(|fault| fault.at(&self.path, &self.node.origin))
    }

    fn note_unknown_keys(&self, table: &Table, fields: &[&str]) {
        for entry in table.0.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
            let hint = suggestion(&entry.key, fields, |known| match entry.origin {
                Origin::Environment(_) => self.variable(known),
                _ => format!("{known:?}"),
            });
            let section = self.path.section();
            let message = format!("unknown key {:?} {section}{hint}", entry.key);
            self.unknown.borrow_mut().push(Problem::at(entry.origin.clone(), message));
        }
    }

    fn variable(&self, key: &str) -> String {
        let keys = self.path.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        });
        environment::variable(&keys.chain([key]).collect::<Vec<_>>())
    }

    fn table<'de, V: Visitor<'de>>(
        &self,
        table: &'a Table,
        known: Option<&[&str]>,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries =
            table.0.iter().filter(|entry| known.is_none_or(|keys| keys.contains(&entry.key.as_str())));
        let entries: Vec<_> = entries.map(|entry| (entry.key.as_str(), &entry.node)).collect();
        visitor.visit_map(Keys { cursor: self, entries: entries.into_iter(), value: None })
    }
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let read = match &self.node.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(flag) => visitor.visit_bool(*flag),
            Value::Array(elements) => {
                visitor.visit_seq(Elements { cursor: &self, elements: elements.iter().enumerate() })
            }
            Value::Table(table) => self.table(table, None, visitor),
        };
        self.located(read)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Table(table) = &self.node.value else { return self.deserialize_any(visitor) };
        self.note_unknown_keys(table, fields);
        self.located(self.table(table, Some(fields), visitor))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        // A variable has no quotes by which to tell the text "1883" from the number.
        let text = match (&self.node.origin, &self.node.value) {
            (Origin::Environment(_), Value::Integer(number)) => number.to_string(),
            (Origin::Environment(_), Value::Float(number)) => number.to_string(),
            (Origin::Environment(_), Value::Boolean(flag)) => flag.to_string(),
            _ => return self.deserialize_any(visitor),
        };
        self.located(visitor.visit_string(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let read = match &self.node.value {
            Value::Text(text) => visitor.visit_enum(StrDeserializer::<Fault>::new(text)),
            Value::Table(table) if table.0.len() == 1 => {
                let entry = &table.0[0];
                let content = self.at_key(&entry.key, &entry.node);
                visitor.visit_enum(Variant { name: &entry.key, content })
            }
            _ => Err(Fault::new("expected the name of a choice".to_owned())),
        };
        self.located(read)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Keys<'c, 'a, I> {
    cursor: &'c Cursor<'a>,
    entries: I,
    value: Option<(&'a str, &'a Node)>,
}

impl<'de, 'a, I: Iterator<Item = (&'a str, &'a Node)>> MapAccess<'de> for Keys<'_, 'a, I> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.entries.next();
        self.value.map(|(key, _)| seed.deserialize(key.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, node) =
            self.value.take().ok_or_else(|| Fault::new("a value without its key".to_owned()))?;
        let cursor = self.cursor.at_key(key, node);
        let (path, origin) = (cursor.path.clone(), &node.origin);
        seed.deserialize(cursor).map_err(|fault| fault.at(&path, origin))
    }
}

struct Elements<'c, 'a, I> {
    cursor: &'c Cursor<'a>,
    elements: I,
}

impl<'de, 'a, I: Iterator<Item = (usize, &'a Node)>> SeqAccess<'de> for Elements<'_, 'a, I> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.elements.next() else { return Ok(None) };
        let cursor = self.cursor.at_index(index, node);
        let (path, origin) = (cursor.path.clone(), &node.origin);
        seed.deserialize(cursor).map(Some).map_err(|fault| fault.at(&path, origin))
    }
}

/// A choice that carries something: a table with the choice's name as its one key.
struct Variant<'a> {
    name: &'a str,
    content: Cursor<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Fault;
    type Variant = Cursor<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Cursor<'a>), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Cursor<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Err(Fault::new("this choice carries nothing".to_owned()).at(&self.path, &self.node.origin))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_struct("", fields, visitor)
    }
}
