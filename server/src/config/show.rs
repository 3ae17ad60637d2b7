use std::fmt::Write;

use super::Loaded;
use super::tree::{Entry, Node, Table, Value, bare_or_quoted};

/// What `config show` says beside the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Values,
    Origins,
}

/// Keys that end so hold secrets.
const SECRET: [&str; 6] = ["password", "password_hash", "scram", "secret", "token", "psk"];

/// The configuration in force as TOML, without secrets.
pub(crate) fn show(loaded: &Loaded, detail: Detail) -> String {
    let mut text = String::new();
    section(&mut text, &loaded.tree, "", detail);
    text.trim_start().to_owned()
}

fn section(text: &mut String, table: &Table, path: &str, detail: Detail) {
    let is_section =
        |entry: &&Entry| matches!(&entry.node.value, Value::Table(_)) || blocks(&entry.node).is_some();
    for entry in table.0.iter().filter(|entry| !is_section(entry)) {
        line(text, entry, detail);
    }
    for entry in table.0.iter().filter(is_section) {
        let path = if path.is_empty() {
            bare_or_quoted(&entry.key)
        } else {
            format!("{path}.{}", bare_or_quoted(&entry.key))
        };
        if let Some(elements) = blocks(&entry.node) {
            for table in elements {
                let _ = write!(text, "\n[[{path}]]\n");
                section(text, table, &path, detail);
            }
        } else if let Value::Table(table) = &entry.node.value {
            if table.0.iter().any(|entry| !is_section(&entry)) {
                let _ = write!(text, "\n[{path}]\n");
            }
            section(text, table, &path, detail);
        }
    }
}

/// The tables of an array that is written as `[[blocks]]`.
fn blocks(node: &Node) -> Option<Vec<&Table>> {
    let Value::Array(elements) = &node.value else { return None };
    let table = |node| match node {
        &Node { value: Value::Table(ref table), .. } => Some(table),
        _ => None,
    };
    let tables: Option<Vec<_>> = elements.iter().map(table).collect();
    tables.filter(|tables| !tables.is_empty())
}

fn line(text: &mut String, entry: &Entry, detail: Detail) {
    // How long a token may be is no token.
    let is_number = matches!(entry.node.value, Value::Integer(_));
    let secret = !is_number && SECRET.iter().any(|secret| entry.key.ends_with(secret));
    let value = if secret { "\"(not shown)\"".to_owned() } else { entry.node.value.to_string() };
    let _ = write!(text, "{} = {value}", bare_or_quoted(&entry.key));
    if detail == Detail::Origins {
        let _ = write!(text, "  # {}", entry.node.origin);
    }
    text.push('\n');
}
