use crate::{Attribute, Link, Value};

/// How much a list of links may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkBounds {
    /// How many links.
    pub links: usize,
    /// How many attributes each of them.
    pub attributes: usize,
}

/// Why a text is no list of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not follow the grammar.
    #[error("the text is not in link format")]
    Malformed,
    /// A control character, or a quotation mark or a space in a target.
    #[error("a link has a character that it must not have")]
    Character,
    /// More links, or more attributes, than the bounds allow.
    #[error("there are too many links or attributes")]
    TooMany,
}

impl Default for LinkBounds {
    fn default() -> Self {
        Self { links: 4_096, attributes: 64 }
    }
}

impl Link {
    /// Reads a list of links, which may be empty. Spaces and line ends between the parts are no part of it.
    pub fn parse_list(text: &str, bounds: LinkBounds) -> Result<Vec<Self>, LinkError> {
        let mut links = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if links.len() == bounds.links {
                return Err(LinkError::TooMany);
            }
            let (link, behind) = parse_link(rest, bounds.attributes)?;
            links.push(link);
            rest = match behind.strip_prefix(',') {
                Some(more) if !more.trim_start().is_empty() => more.trim_start(),
                None if behind.is_empty() => behind,
                Some(_) | None => return Err(LinkError::Malformed),
            };
        }
        Ok(links)
    }
}

/// Reads one link and returns what is behind it.
fn parse_link(text: &str, most: usize) -> Result<(Link, &str), LinkError> {
    let inside = text.strip_prefix('<').and_then(|text| text.split_once('>'));
    let (target, behind) = inside.ok_or(LinkError::Malformed)?;
    if target.chars().any(|character| character.is_control() || matches!(character, ' ' | '"' | '<')) {
        return Err(LinkError::Character);
    }
    let (mut attributes, mut rest) = (Vec::new(), behind.trim_start());
    while let Some(behind) = rest.strip_prefix(';') {
        if attributes.len() == most {
            return Err(LinkError::TooMany);
        }
        let (attribute, behind) = parse_attribute(behind.trim_start())?;
        attributes.push(attribute);
        rest = behind.trim_start();
    }
    Ok((Link { target: target.into(), attributes }, rest))
}

/// Reads `name`, `name=value` or `name="value"` and returns what is behind it.
fn parse_attribute(text: &str) -> Result<(Attribute, &str), LinkError> {
    let (name, rest) = text.split_at(text.find(['=', ';', ',']).unwrap_or(text.len()));
    let name: Box<str> = name.trim_end().into();
    if !is_name(&name) {
        return Err(LinkError::Malformed);
    }
    let Some(rest) = rest.strip_prefix('=') else {
        return Ok((Attribute { name, value: Value::None }, rest));
    };
    let rest = rest.trim_start();
    if let Some(quoted) = rest.strip_prefix('"') {
        let (text, behind) = parse_quoted(quoted)?;
        return Ok((Attribute { name, value: Value::Quoted(text) }, behind));
    }
    let (value, behind) = rest.split_at(rest.find([';', ',']).unwrap_or(rest.len()));
    let value = value.trim_end();
    if value.chars().any(|character| character.is_control() || matches!(character, '"' | '\\')) {
        return Err(LinkError::Character);
    }
    Ok((Attribute { name, value: Value::Token(value.into()) }, behind))
}

/// Reads up to the quotation mark that ends the value, and returns what is behind it.
fn parse_quoted(text: &str) -> Result<(Box<str>, &str), LinkError> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        let plain = match character {
            '"' => return Ok((value.into(), text.get(at + 1..).unwrap_or_default())),
            '\\' => characters.next().map(|(_, escaped)| escaped).ok_or(LinkError::Malformed)?,
            plain => plain,
        };
        if plain.is_control() {
            return Err(LinkError::Character);
        }
        value.push(plain);
    }
    Err(LinkError::Malformed)
}

/// Whether a text can be the name of an attribute: attr-char of RFC 5987, and a `*` at the end.
pub(crate) fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('*').unwrap_or(text);
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Link>, LinkError> {
        Link::parse_list(text, LinkBounds::default())
    }

    #[test]
    fn a_list_is_written_as_it_was_read() {
        let text = "</sensors>;ct=40;title=\"Sensor Index\",</sensors/temp>;rt=\"temperature-c x\";if=sensor;obs,\
                    <http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=\"describedby\",\
                    </t>;title*=UTF-8''%e2%82%ac;sz=99999999999999999999";
        let links = parse(text).unwrap();
        assert_eq!(links.len(), 4);
        assert_eq!(links[1].attribute("obs"), Some(""));
        let written: Vec<String> = links.iter().map(Link::to_string).collect();
        assert_eq!(written.join(","), text);
    }

    #[test]
    fn commas_semicolons_and_escapes_in_quotes_are_part_of_the_value() {
        let links = parse("</3>;title=\"a, \\\"b\\\"; c\" ; obs ,\r\n </4>").unwrap();
        assert_eq!((links.len(), links[0].attribute("title")), (2, Some("a, \"b\"; c")));
        assert_eq!(&*links[1].target, "/4");
        assert_eq!(parse(" "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_list_of_links_is_refused() {
        let bad =
            ["x", "<", "</3", "</3>x", "</3>;", "</3>;=1", "</3>;a=\"", "</3>;a=\"\\", "</3>,", "</3>,,</4>"];
        for text in bad {
            assert_eq!(parse(text), Err(LinkError::Malformed), "{text}");
        }
        for text in ["</a b>", "</\u{0}>", "<\">", "</3>;a=b\"", "</3>;a=\"\u{7}\"", "</3>;a=\u{1}"] {
            assert_eq!(parse(text), Err(LinkError::Character), "{text}");
        }
        assert_eq!(parse("</3>;a b=1"), Err(LinkError::Malformed));
        assert_eq!(parse(&"<>,".repeat(5_000)), Err(LinkError::TooMany));
        assert_eq!(parse(&format!("<>{}", ";a".repeat(65))), Err(LinkError::TooMany));
    }
}
