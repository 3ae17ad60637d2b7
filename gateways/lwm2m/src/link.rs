//! Links in CoRE link format [RFC6690 2].

use crate::format::DecodeError;

/// One link: `</3/0>;ver="1.1"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What stands between the angle brackets.
    pub target: String,
    /// Names and values of the attributes, in order; the value of a lone name is empty.
    pub attributes: Vec<(String, String)>,
    /// The link as it was written.
    pub text: String,
}

/// How many links a payload may have, and a link attributes.
const MAX_LINKS: usize = 4_096;
const MAX_ATTRIBUTES: usize = 64;

impl Link {
    /// Reads a list of links.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, DecodeError> {
        let mut links = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if links.len() == MAX_LINKS {
                return Err(DecodeError::TooMany);
            }
            let (link, behind) = Self::parse(rest)?;
            links.push(link);
            rest = match behind.strip_prefix(',') {
                Some(more) if !more.trim().is_empty() => more.trim_start(),
                None if behind.is_empty() => behind,
                Some(_) | None => return Err(DecodeError::Links),
            };
        }
        Ok(links)
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads one link and returns what is behind it.
    fn parse(text: &str) -> Result<(Self, &str), DecodeError> {
        let (target, mut rest) =
            text.strip_prefix('<').and_then(|text| text.split_once('>')).ok_or(DecodeError::Links)?;
        let mut attributes = Vec::new();
        rest = rest.trim_start();
        while let Some(behind) = rest.strip_prefix(';') {
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(DecodeError::TooMany);
            }
            let (attribute, behind) = attribute(behind.trim_start())?;
            attributes.push(attribute);
            rest = behind.trim_start();
        }
        let written = text.len() - rest.len();
        let text = text.split_at(written).0.trim_end().to_owned();
        Ok((Self { target: target.to_owned(), attributes, text }, rest))
    }
}

/// Reads `name`, `name=value` or `name="value"` and returns what is behind it.
fn attribute(text: &str) -> Result<((String, String), &str), DecodeError> {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = name.trim_end().to_owned();
    if name.is_empty() {
        return Err(DecodeError::Links);
    }
    let Some(rest) = rest.strip_prefix('=') else { return Ok(((name, String::new()), rest)) };
    let Some(quoted) = rest.strip_prefix('"') else {
        let (value, rest) = rest.split_at(rest.find([';', ',']).unwrap_or(rest.len()));
        return Ok(((name, value.trim().to_owned()), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok(((name, value), quoted.split_at(at + 1).1)),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            plain => value.push(plain),
        }
    }
    Err(DecodeError::Links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_payload_is_read() {
        let links =
            Link::parse_list("</lwm2m>;rt=\"oma.lwm2m\";ct=\"110 11542\", </lwm2m/1/0>,</lwm2m/3/0>;ver=1.1")
                .unwrap();
        let targets: Vec<&str> = links.iter().map(|link| link.target.as_str()).collect();
        assert_eq!(targets, ["/lwm2m", "/lwm2m/1/0", "/lwm2m/3/0"]);
        assert_eq!(links[0].attribute("rt"), Some("oma.lwm2m"));
        assert_eq!(links[0].attribute("ct"), Some("110 11542"));
        assert_eq!(links[2].attribute("ver"), Some("1.1"));
        assert_eq!(links[2].text, "</lwm2m/3/0>;ver=1.1");
    }

    #[test]
    fn a_comma_in_quotes_and_a_lone_name_are_part_of_the_link() {
        let links = Link::parse_list("</3>;title=\"a, \\\"b\\\"; c\";obs,</4>").unwrap();
        assert_eq!(links.len(), 2);
        assert_eq!(links[0].attribute("title"), Some("a, \"b\"; c"));
        assert_eq!(links[0].attribute("obs"), Some(""));
        assert_eq!(Link::parse_list(" "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_list_of_links_is_refused() {
        for bad in ["x", "<", "</3", "</3>x", "</3>;", "</3>;=1", "</3>;a=\"", "</3>,", "</3>,,</4>"] {
            assert_eq!(Link::parse_list(bad), Err(DecodeError::Links), "{bad}");
        }
        assert_eq!(Link::parse_list(&"<>,".repeat(5_000)), Err(DecodeError::TooMany));
    }
}
