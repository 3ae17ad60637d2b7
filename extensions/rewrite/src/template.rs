use broker::Client;
use regex::Captures;

/// What takes a topic's place, with marks for what is put in.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    Text(Box<str>),
    Group(usize),
    ClientId,
    Username,
}

/// The longest topic.
const LONGEST: usize = 65_535;

impl Template {
    /// A `$` without a number and a `%` without `c` or `u` stand for themselves.
    pub(crate) fn parse(text: &str) -> Self {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(sign) = rest.chars().next() {
            let behind = rest.get(sign.len_utf8()..).unwrap_or_default();
            let (mark, taken) = mark(sign, behind);
            match mark {
                Some(part) => {
                    parts.extend([Part::Text(std::mem::take(&mut plain).into()), part]);
                    rest = behind.get(taken..).unwrap_or_default();
                }
                None => {
                    plain.push(sign);
                    rest = behind;
                }
            }
        }
        parts.push(Part::Text(plain.into()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Self(parts)
    }

    /// The largest number of a group that it names.
    pub(crate) fn groups(&self) -> usize {
        let group = |part: &Part| if let Part::Group(number) = part { *number } else { 0 };
        self.0.iter().map(group).max().unwrap_or(0)
    }

    /// The text with everything in place; `None` if a name is missing or could not be one level of a topic.
    pub(crate) fn fill(&self, captures: &Captures<'_>, client: &Client) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(text) => text,
                Part::Group(number) => captures.get(*number).map_or("", |found| found.as_str()),
                Part::ClientId => one_level(client.id.as_str())?,
                Part::Username => one_level(client.identity.username.as_deref()?)?,
            });
            if text.len() > LONGEST {
                break; // it is refused for its length whatever comes behind
            }
        }
        Some(text)
    }
}

fn mark(sign: char, behind: &str) -> (Option<Part>, usize) {
    match (sign, behind.as_bytes().first()) {
        ('%', Some(b'c')) => (Some(Part::ClientId), 1),
        ('%', Some(b'u')) => (Some(Part::Username), 1),
        ('$', Some(b'0'..=b'9')) => {
            let digits = behind.bytes().take(2).take_while(u8::is_ascii_digit).count();
            let number = behind.get(..digits).and_then(|digits| digits.parse().ok());
            (number.map(Part::Group), digits)
        }
        _ => (None, 0),
    }
}

fn one_level(name: &str) -> Option<&str> {
    (!name.is_empty() && !name.contains(['+', '#', '/'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_what_only_looks_like_them() {
        let text = |text: &str| Part::Text(text.into());
        let cases = [
            ("a/$1/%c", vec![text("a/"), Part::Group(1), text("/"), Part::ClientId]),
            ("$share/g/$10$2", vec![text("$share/g/"), Part::Group(10), Part::Group(2)]),
            ("%u%d%", vec![Part::Username, text("%d%")]),
            ("ä$", vec![text("ä$")]),
            ("$123", vec![Part::Group(12), text("3")]),
        ];
        for (template, parts) in cases {
            assert_eq!(Template::parse(template).0, parts, "{template}");
        }
    }
}
