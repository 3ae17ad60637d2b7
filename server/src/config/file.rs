use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems};
use super::tree::{Entry, Node, Origin, Table, Value};

/// Reads a configuration file; syntax errors are reported all at once.
pub(crate) fn read(path: &std::path::Path) -> Result<Table, Problems> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problems::one(Problem::general(format!("{name}: cannot be read: {error}"))))?;
    parse_named(&name, &text)
}

/// The tree of a file's text.
pub(crate) fn parse_named(name: &str, text: &str) -> Result<Table, Problems> {
    parse(text, &Source::File(name.into(), text))
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

fn parse(text: &str, source: &Source<'_>) -> Result<Table, Problems> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(source.table(table.into_inner()));
    }
    let problem = |error: &toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        Problem::at(source.origin(start), error.message().to_owned())
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
