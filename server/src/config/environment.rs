use std::ffi::OsString;
use std::sync::Arc;

use super::file;
use super::problem::{Problem, Problems, nearest};
use super::tree::{Entry, Node, Origin, Table, Value};

const PREFIX: &str = "WATERSMEET_";

/// What Kubernetes sets in every pod beside a service that is called `watersmeet`.
const FOREIGN: [&str; 2] = ["WATERSMEET_PORT", "WATERSMEET_SERVICE_"];

/// The variable that names the configuration file.
pub(crate) const FILE: &str = "WATERSMEET_CONFIG";

/// Lays `WATERSMEET_SECTION__KEY=value` variables over a configuration.
pub(crate) fn overlay(
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, OsString)>,
) -> Result<(), Problems> {
    let mut ours: Vec<_> = variables.into_iter().filter(|(name, _)| concerns_us(name)).collect();
    ours.sort();
    let mut problems = Vec::new();
    for (name, text) in ours {
        let steps: Vec<&str> = name[PREFIX.len()..].split("__").collect();
        if steps.len() < 2 || steps.contains(&"") {
            problems.push(not_a_key(&name, table));
            continue;
        }
        let Some(text) = text.to_str() else {
            problems.push(Problem::general(format!("env {name}: the value is not UTF-8")));
            continue;
        };
        let variable: Arc<str> = name.as_str().into();
        let value = file::parse_variable(&variable, text);
        let nested = nest(table, &steps, value, &Origin::Environment(variable));
        table.overlay(nested);
    }
    Problems::check(problems)
}

fn concerns_us(name: &str) -> bool {
    let foreign = !name.contains("__") && FOREIGN.iter().any(|prefix| name.starts_with(prefix));
    name.starts_with(PREFIX) && name != FILE && !foreign
}

/// The table with the value at the steps. A step takes the spelling of the key that is already there, so
/// that `MQTT_SN` finds the listener `mqtt-sn`.
fn nest(existing: &Table, steps: &[&str], value: Node, origin: &Origin) -> Table {
    let Some((first, rest)) = steps.split_first() else { return Table::default() };
    let known = existing.0.iter().find(|entry| variable_part(&entry.key) == first.to_ascii_uppercase());
    let key = known.map_or_else(|| first.to_ascii_lowercase(), |entry| entry.key.clone());
    let node = if rest.is_empty() {
        value
    } else {
        let inner = match known.map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => table,
            _ => &Table::default(),
        };
        Node { value: Value::Table(nest(inner, rest, value, origin)), origin: origin.clone() }
    };
    Table(vec![Entry { key, origin: origin.clone(), node }])
}

fn not_a_key(name: &str, table: &Table) -> Problem {
    let mut known = vec![FILE.to_owned()];
    for section in &table.0 {
        if let Value::Table(keys) = &section.node.value {
            known.extend(keys.0.iter().map(|entry| variable(&[&section.key, &entry.key])));
        }
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = match nearest(name, &known) {
        Some(known) => format!("did you mean {known}?"),
        None => "a key is written as WATERSMEET_SECTION__KEY".to_owned(),
    };
    Problem::general(format!("env {name}: names no key of the configuration; {hint}"))
}

/// The variable that sets the key at this path.
pub(crate) fn variable(path: &[&str]) -> String {
    let parts: Vec<_> = path.iter().map(|part| variable_part(part)).collect();
    format!("{PREFIX}{}", parts.join("__"))
}

fn variable_part(key: &str) -> String {
    key.to_ascii_uppercase().replace('-', "_")
}
