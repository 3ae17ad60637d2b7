use std::fmt::Write;

use bus::ContentFormat;

use crate::{Code, Config, Message};

/// A resource that `/.well-known/core` tells of (RFC 6690).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The path, with its leading slash.
    pub target: Box<str>,
    /// Name and value pairs such as `rt` and `core.ps`; a value with spaces stands for several.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

impl Link {
    /// A link without attributes.
    pub fn new(target: &str) -> Self {
        Self { target: target.into(), attributes: Vec::new() }
    }

    /// The same with one more attribute.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// The same, saying that it takes OSCORE where everything does [RFC8613 9].
    pub fn protected_as(self, config: &Config) -> Self {
        if config.oscore.required { self.with("osc", "") } else { self }
    }

    /// Whether the query `name=value` selects it; `value` may end with `*` [RFC6690 4.1].
    pub(in crate::pubsub) fn is_selected(&self, name: &str, value: &str) -> bool {
        let fits = |text: &str| match value.strip_suffix('*') {
            Some(prefix) => text.starts_with(prefix),
            None => text == value,
        };
        match name {
            "href" => fits(&self.target),
            name => self
                .attributes
                .iter()
                .filter(|(known, _)| &**known == name)
                .any(|(_, values)| fits(values) || values.split(' ').any(fits)),
        }
    }

    pub(in crate::pubsub) fn write(&self, to: &mut String) {
        let separator = if to.is_empty() { "" } else { "," };
        let _ = write!(to, "{separator}<{}>", self.target);
        for (name, value) in &self.attributes {
            let numeric = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let _ = match (value.is_empty(), numeric) {
                (true, _) => write!(to, ";{name}"),
                (_, true) => write!(to, ";{name}={value}"),
                (_, false) => write!(to, ";{name}=\"{value}\""),
            };
        }
    }
}

/// Answers `GET /.well-known/core` with the links that the query selects.
pub(in crate::pubsub) fn answer_discovery(links: &[Link], request: &Message) -> Message {
    if request.accept().is_some_and(|accept| accept != ContentFormat::LINK_FORMAT) {
        return Message::diagnostic(Code::NOT_ACCEPTABLE, "Links come as application/link-format (40).");
    }
    let mut text = String::new();
    let selected = |link: &&Link| request.queries().all(|(name, value)| link.is_selected(name, value));
    links.iter().filter(selected).for_each(|link| link.write(&mut text));
    let response = Message::response(Code::CONTENT).with_content_format(ContentFormat::LINK_FORMAT);
    response.with_payload(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_an_attribute_is_compared_by_itself_and_as_text() {
        let link = Link::new("/ps").with("rt", "core.ps core.rd").with("ct", "40").with("obs", "");
        let selecting = [
            ("rt", "core.ps"),
            ("rt", "core.rd"),
            ("rt", "core.r*"),
            ("rt", "*"),
            ("ct", "40"),
            ("ct", "4*"),
            ("obs", ""),
            ("obs", "*"),
            ("href", "/ps"),
            ("href", "/*"),
        ];
        for (name, value) in selecting {
            assert!(link.is_selected(name, value), "{name}={value}");
        }
        let others =
            [("rt", "core.p"), ("rt", "ps"), ("rt", "CORE.PS"), ("ct", "040"), ("if", "*"), ("href", "ps")];
        for (name, value) in others {
            assert!(!link.is_selected(name, value), "{name}={value}");
        }
    }
}
