use std::fmt::Write;

use super::Loaded;
use super::tree::{Entry, Node, Table, Value};

/// What `config show` says beside the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Values,
    Origins,
}

/// Keys that end so hold secrets.
const SECRET: [&str; 5] = ["password", "password_hash", "secret", "token", "psk"];

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
        let path = if path.is_empty() { key(&entry.key) } else { format!("{path}.{}", key(&entry.key)) };
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
    let secret = SECRET.iter().any(|secret| entry.key.ends_with(secret));
    let value = if secret { "\"(not shown)\"".to_owned() } else { inline(&entry.node) };
    let _ = write!(text, "{} = {value}", key(&entry.key));
    if detail == Detail::Origins {
        let _ = write!(text, "  # {}", entry.node.origin);
    }
    text.push('\n');
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => toml::Value::from(text.as_str()).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => toml::Value::from(*number).to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(inline).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Table(table) => {
            let pairs: Vec<_> = table
                .0
                .iter()
                .map(|entry| format!("{} = {}", key(&entry.key), inline(&entry.node)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

fn key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { toml::Value::from(key).to_string() }
}
