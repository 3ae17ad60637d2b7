use std::fmt::{self, Write as _};

/// One link: `</sensors/temp>;rt="temperature-c";if="sensor"` [RFC6690 2].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What stands between the angle brackets.
    pub target: Box<str>,
    /// The attributes, in order.
    pub attributes: Vec<Attribute>,
}

/// One attribute of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The name: `rt`.
    pub name: Box<str>,
    /// The value, in the form it was written in.
    pub value: Value,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// There is none: `;obs`.
    None,
    /// Without quotation marks: `;ct=40`.
    Token(Box<str>),
    /// In quotation marks, here without them and their escapes: `;title="a b"`.
    Quoted(Box<str>),
}

/// What a link must have to be found: an attribute, or a target, with a value or with one that begins so
/// [RFC6690 4.1].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criterion {
    name: Box<str>,
    value: Box<str>,
    /// Whether the value may go on; the query had a `*` at its end.
    prefix: bool,
}

impl Link {
    /// A link without attributes.
    pub fn new(target: &str) -> Self {
        Self { target: target.into(), attributes: Vec::new() }
    }

    /// The same with one more attribute, in quotation marks.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push(Attribute { name: name.into(), value: Value::Quoted(value.into()) });
        self
    }

    /// The value of the first attribute of this name; empty if it has none.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| &*attribute.name == name).map(|found| found.value.text())
    }

    /// Whether the link has what is looked for.
    pub fn matches(&self, criterion: &Criterion) -> bool {
        if criterion.name() == "href" {
            return criterion.fits(&self.target);
        }
        self.attributes
            .iter()
            .any(|attribute| criterion.fits_attribute(&attribute.name, attribute.value.text()))
    }
}

impl Value {
    /// The value, however it is written; empty if there is none.
    pub fn text(&self) -> &str {
        match self {
            Self::None => "",
            Self::Token(text) | Self::Quoted(text) => text,
        }
    }
}

impl Criterion {
    /// Reads an argument of a query.
    pub fn new(name: &str, value: &str) -> Self {
        let (value, prefix) = match value.strip_suffix('*') {
            Some(value) => (value, true),
            None => (value, false),
        };
        Self { name: name.into(), value: value.into(), prefix }
    }

    /// The attribute that is looked at; `href` stands for the target.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value without its `*`, and whether it may go on.
    pub(crate) fn value(&self) -> (&str, bool) {
        (&self.value, self.prefix)
    }

    /// Whether a value is the one that is looked for.
    pub fn fits(&self, value: &str) -> bool {
        if self.prefix { value.starts_with(&*self.value) } else { value == &*self.value }
    }

    /// Whether an attribute is the one that is looked for, with one of its values.
    pub fn fits_attribute(&self, name: &str, value: &str) -> bool {
        *self.name == *name
            && match name {
                // [RFC6690 4.1]: each of the values is an attribute of its own
                "rt" | "if" | "rel" | "rev" | "ct" => value.split(' ').any(|one| self.fits(one)),
                _ => self.fits(value),
            }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.target)?;
        self.attributes.iter().try_for_each(|attribute| attribute.fmt(f))
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ";{}", self.name)?;
        match &self.value {
            Value::None => Ok(()),
            Value::Token(text) if is_token(text) => write!(f, "={text}"),
            Value::Token(text) | Value::Quoted(text) => write_quoted(f, text),
        }
    }
}

/// Writes `="…"`.
pub(crate) fn write_quoted(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_str("=\"")?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

/// Adds a link to a list.
pub(crate) fn push(list: &mut String, link: &impl fmt::Display) {
    if !list.is_empty() {
        list.push(',');
    }
    let _ = write!(list, "{link}"); // a string takes everything
}

/// Whether a value may stand without quotation marks [RFC6690 2].
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_values_is_enough_where_they_are_relation_types() {
        let link = Link::new("/t").with("if", "example tag:example.net,2020:sensor").with("title", "a b");
        let finds = |name, value| link.matches(&Criterion::new(name, value));
        assert!(finds("if", "tag:example.net,2020:sensor") && finds("if", "tag:*") && finds("title", "a b"));
        assert!(!finds("if", "tag:") && !finds("title", "b") && !finds("rt", "*"));
        assert!(finds("href", "/t") && finds("href", "*") && !finds("href", "/"));
        assert!(finds("title", "*"), "an empty prefix fits whatever is there");
    }

    #[test]
    fn a_value_that_is_no_token_is_quoted() {
        let token = |text: &str| Attribute { name: "a".into(), value: Value::Token(text.into()) }.to_string();
        assert_eq!(token("40"), ";a=40");
        assert_eq!(token("40 60"), ";a=\"40 60\"");
        assert_eq!(token(""), ";a=\"\"");
        assert_eq!(Link::new("/").with("title", "\"\\").to_string(), "</>;title=\"\\\"\\\\\"");
    }
}
