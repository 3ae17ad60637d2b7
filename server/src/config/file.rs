use std::io::ErrorKind;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems};
use super::tree::{Entry, Node, Origin, Table, Value};

/// Reads a configuration file; syntax errors are reported all at once.
pub(crate) fn read(path: &std::path::Path) -> Result<Table, Problems> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let (cause, fix) = explain(&error);
        Problems::one(Problem::general(format!("{name}: cannot be read: {cause}; {fix}")))
    })?;
    parse_named(&name, &bytes)
}

/// The tree of a file's text.
pub(crate) fn parse_named(name: &str, bytes: &[u8]) -> Result<Table, Problems> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, &Source::File(name.into(), text)),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let place = Source::File(name.into(), &before).origin(before.len());
            let message = "these bytes are not UTF-8; a configuration file is TOML, which is text";
            Err(Problems::one(Problem::at(place, message.to_owned())))
        }
    }
}

/// The tree of a default, which is written as TOML by serde.
pub(crate) fn parse_default(text: &str) -> Result<Table, Problems> {
    parse(text, &Source::Default)
}

/// The value of an environment variable: TOML if it is that, else text.
pub(crate) fn parse_variable(variable: &Arc<str>, text: &str) -> Node {
    let source = Source::Environment(variable.clone());
    match DeValue::parse(text) {
        Ok(value) => source.node(value),
        Err(_) => Node { value: Value::Text(text.to_owned()), origin: source.origin(0) },
    }
}

/// Why a file cannot be read, and the way out.
fn explain(error: &std::io::Error) -> (String, &'static str) {
    match error.kind() {
        ErrorKind::NotFound => ("there is no such file".to_owned(), "name another, or create it"),
        ErrorKind::IsADirectory => ("it is a directory".to_owned(), "name a file in it"),
        ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), "let the user that runs the server read it")
        }
        _ => (error.to_string(), "name another"),
    }
}

fn parse(text: &str, source: &Source<'_>) -> Result<Table, Problems> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(source.table(table.into_inner()));
    }
    let problem = |error: &toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let message = match error.message() {
            "duplicate key" => "duplicate key; it stands above already, keep one of the two",
            message => message,
        };
        Problem::at(source.origin(start), message.to_owned())
    };
    Err(Problems::new(errors.iter().map(problem).collect()))
}

/// What a span is a place in.
enum Source<'a> {
    Default,
    File(Arc<str>, &'a str),
    Environment(Arc<str>),
}

impl Source<'_> {
    fn origin(&self, offset: usize) -> Origin {
        match self {
            Self::Default => Origin::Default,
            Self::Environment(variable) => Origin::Environment(variable.clone()),
            Self::File(name, text) => {
                let before = text.get(..offset).unwrap_or(text);
                let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
                Origin::File {
                    name: name.clone(),
                    line: before.matches('\n').count() + 1,
                    column: before[line_start..].chars().count() + 1,
                }
            }
        }
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        let mut keys: Vec<_> = table.into_iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
            let origin = self.origin(key.span().start);
            let mut node = self.node(value);
            if matches!(node.value, Value::Table(_)) {
                node.origin = origin.clone(); // the span of a table does not begin at its header
            }
            let key: std::borrow::Cow<'_, str> = key.into_inner();
            Entry { key: key.into_owned(), origin, node }
        };
        Table(keys.into_iter().map(entry).collect())
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Node {
        let origin = self.origin(value.span().start);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Boolean(flag) => Value::Boolean(flag),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Text(number.to_string()),
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Value::Float(number),
                Err(_) => Value::Text(number.to_string()),
            },
            DeValue::Datetime(moment) => Value::Text(moment.to_string()),
            DeValue::Array(elements) => {
                Value::Array(elements.into_iter().map(|element| self.node(element)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { value, origin }
    }
}
