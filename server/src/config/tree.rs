use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A configuration value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What a TOML document can hold.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
}

/// Keys in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(pub(crate) Vec<Entry>);

/// One key of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands; the node's origin is where its value stands.
    pub(crate) origin: Origin,
    pub(crate) node: Node,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { name: Arc<str>, line: usize, column: usize },
    Environment(Arc<str>),
}

/// One step from a node to a node inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// The way from the root to a node, shown as `listeners.mqtt.bind` or `access.users[2].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Table {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    /// The table at the path.
    pub(crate) fn table(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, |table, step| match step {
            Step::Key(key) => match &table.entry(key)?.node.value {
                Value::Table(table) => Some(table),
                _ => None,
            },
            Step::Index(_) => None,
        })
    }

    /// Where the value at the path came from, or what is nearest around it.
    pub(crate) fn origin(&self, path: &Path) -> Origin {
        let mut origin = Origin::Default;
        let mut steps = path.0.iter();
        let mut node = match steps.next() {
            Some(Step::Key(key)) => self.entry(key).map(|entry| &entry.node),
            _ => None,
        };
        while let Some(found) = node {
            origin = found.origin.clone();
            node = match (&found.value, steps.next()) {
                (Value::Table(table), Some(Step::Key(key))) => table.entry(key).map(|entry| &entry.node),
                (Value::Array(elements), Some(Step::Index(index))) => elements.get(*index),
                _ => None,
            };
        }
        origin
    }

    /// Every value that is no table by its dotted key, as text.
    pub(crate) fn leaves(&self) -> BTreeMap<String, String> {
        let mut leaves = BTreeMap::new();
        self.collect_leaves("", &mut leaves);
        leaves
    }

    fn collect_leaves(&self, prefix: &str, leaves: &mut BTreeMap<String, String>) {
        for entry in &self.0 {
            let key = format!("{prefix}{}", entry.key);
            match &entry.node.value {
                Value::Table(table) => table.collect_leaves(&format!("{key}."), leaves),
                value => {
                    leaves.insert(key, value.to_string());
                }
            }
        }
    }

    /// Lays another table over this one: tables are merged key by key, everything else is replaced.
    pub(crate) fn overlay(&mut self, over: Self) {
        for new in over.0 {
            match self.0.iter_mut().find(|entry| entry.key == new.key) {
                None => self.0.push(new),
                Some(old) => old.overlay(new),
            }
        }
    }

    /// Takes out what stands at the path; an element that a path goes through is taken out whole, since what
    /// is left of it would be faulty in another way.
    pub(crate) fn remove(&mut self, path: &[Step]) {
        let Some((Step::Key(key), rest)) = path.split_first() else { return };
        let Some(position) = self.0.iter().position(|entry| entry.key == *key) else { return };
        match (&mut self.0[position].node.value, rest) {
            (Value::Table(table), [_, ..]) => table.remove(rest),
            (Value::Array(elements), [Step::Index(index), ..]) if *index < elements.len() => {
                elements.remove(*index);
            }
            _ => {
                self.0.remove(position);
            }
        }
    }
}

impl Entry {
    fn overlay(&mut self, new: Self) {
        match (&mut self.node.value, new.node.value) {
            (Value::Table(old), Value::Table(table)) => old.overlay(table),
            (value, replacement) => {
                *value = replacement;
                self.node.origin = new.node.origin;
            }
        }
        self.origin = new.origin;
    }
}

impl Path {
    pub(crate) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step) -> Self {
        Self([self.0.as_slice(), &[step]].concat())
    }

    /// Where messages say the keys of this table stand: `in [listeners.mqtt]`.
    pub(crate) fn section(&self) -> String {
        if self.0.is_empty() { "at the top level".to_owned() } else { format!("in [{self}]") }
    }
}

impl fmt::Display for Value {
    /// Writes the value as TOML on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => toml::Value::from(text.as_str()).fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => toml::Value::from(*number).fmt(f),
            Self::Boolean(flag) => flag.fmt(f),
            Self::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(|node| node.value.to_string()).collect();
                write!(f, "[{}]", elements.join(", "))
            }
            Self::Table(table) => {
                let pair = |entry: &Entry| format!("{} = {}", bare_or_quoted(&entry.key), entry.node.value);
                let pairs: Vec<_> = table.0.iter().map(pair).collect();
                write!(f, "{{ {} }}", pairs.join(", "))
            }
        }
    }
}

/// A key as TOML writes it.
pub(crate) fn bare_or_quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { toml::Value::from(key).to_string() }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{}]", index + 1)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Environment(variable) => write!(f, "env {variable}"),
        }
    }
}
