use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A topic name: 1 to 65,535 bytes of UTF-8 without wildcards and without U+0000 [MQTT-4.7.3].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// A topic filter, with the share group it names if it begins with `$share/{group}/`.
///
/// `+` and `#` stand only as whole levels and `#` only last [MQTT-4.7.1]; the length is that of a topic.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    /// Where the pattern begins: behind `$share/{group}/`, else 0.
    pattern: u32,
}

/// What is wrong with a topic name or filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The text has no characters.
    #[error("is empty")]
    Empty,
    /// The text has more than 65,535 bytes.
    #[error("is longer than 65,535 bytes")]
    TooLong,
    /// The text has U+0000.
    #[error("contains U+0000")]
    Nul,
    /// A topic name has `+` or `#`, or a filter has one that is not a whole level, or `#` is not last.
    #[error("has a misplaced wildcard")]
    Wildcard,
    /// `$share` without a group name or a filter behind it, or with a wildcard in the group's name.
    #[error("is not of the form $share/{{group}}/{{filter}}")]
    Share,
}

const SHARE: &str = "$share/";

impl Topic {
    /// Takes a topic name as a peer wrote it.
    pub fn parse(name: &str) -> Result<Self, TopicError> {
        check_length(name)?;
        match name.bytes().find(|b| matches!(b, b'+' | b'#' | 0)) {
            None => Ok(Self(name.into())),
            Some(0) => Err(TopicError::Nul),
            Some(_) => Err(TopicError::Wildcard),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels between the slashes; empty levels count.
    pub fn levels(&self) -> std::str::Split<'_, char> {
        self.0.split('/')
    }
}

impl Filter {
    /// Takes a filter as a peer wrote it, `$share/{group}/…` included [MQTT5 4.8.2].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check_length(text)?;
        if text.contains('\0') {
            return Err(TopicError::Nul);
        }
        let pattern = match text.strip_prefix(SHARE) {
            None if text == "$share" => return Err(TopicError::Share),
            None => 0,
            Some(rest) => {
                let (group, filter) = rest.split_once('/').ok_or(TopicError::Share)?;
                if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
                    return Err(TopicError::Share); // [MQTT-4.8.2-1], [MQTT-4.8.2-2]
                }
                text.len() - filter.len()
            }
        };
        check_wildcards(text.split_at(pattern).1)?;
        Ok(Self { text: text.into(), pattern: pattern as u32 })
    }

    /// The filter that matches this one topic.
    pub fn exactly(topic: &Topic) -> Self {
        let pattern = if topic.as_str().starts_with(SHARE) {
            Self::parse(topic.as_str()).map_or(0, |filter| filter.pattern)
        } else {
            0
        };
        Self { text: topic.0.clone(), pattern }
    }

    /// The whole text, share prefix included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What topics are compared with: the text without the share prefix.
    pub fn pattern(&self) -> &str {
        self.text.split_at(self.pattern as usize).1
    }

    /// The name of the share group, if the filter names one.
    pub fn share(&self) -> Option<&str> {
        let prefix = self.text.split_at(self.pattern as usize).0;
        prefix.strip_prefix(SHARE)?.strip_suffix('/')
    }

    /// Whether the pattern has a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.pattern().contains(['+', '#'])
    }

    /// The topic, if the filter has neither wildcard nor share group.
    pub fn as_topic(&self) -> Option<Topic> {
        (self.pattern == 0 && !self.has_wildcard()).then(|| Topic(self.text.clone()))
    }

    /// The levels of the pattern.
    pub fn levels(&self) -> std::str::Split<'_, char> {
        self.pattern().split('/')
    }

    /// Whether a message on `topic` matches; a leading wildcard never matches a topic that begins with `$`
    /// [MQTT-4.7.2-1].
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.pattern().starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for part in self.levels() {
            match (part, levels.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (part, Some(level)) if part == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

fn check_length(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        1..=65_535 => Ok(()),
        _ => Err(TopicError::TooLong),
    }
}

fn check_wildcards(pattern: &str) -> Result<(), TopicError> {
    let mut levels = pattern.split('/').peekable();
    while let Some(level) = levels.next() {
        let fits = match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            level => !level.contains(['+', '#']),
        };
        if !fits {
            return Err(TopicError::Wildcard);
        }
    }
    Ok(())
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_matches_as_the_standard_says() {
        let cases = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("a/b", "a/b/c", false),
            ("$share/g/a/+", "a/b", true),
        ];
        for (filter, topic, expected) in cases {
            assert_eq!(Filter::parse(filter).unwrap().matches(topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn a_misplaced_wildcard_is_refused() {
        for filter in ["a#", "#/a", "a/#/b", "a+", "+a/b", "$share/g/a#"] {
            assert_eq!(Filter::parse(filter), Err(TopicError::Wildcard), "{filter}");
        }
        for filter in ["$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/g+/a"] {
            assert_eq!(Filter::parse(filter), Err(TopicError::Share), "{filter}");
        }
        assert_eq!(Topic::parse("a/+"), Err(TopicError::Wildcard));
        assert_eq!(Topic::parse("a\0"), Err(TopicError::Nul));
        assert_eq!(Topic::parse(""), Err(TopicError::Empty));
        assert_eq!(Topic::parse(&"a".repeat(65_536)), Err(TopicError::TooLong));
    }

    #[test]
    fn a_shared_filter_tells_its_group_and_pattern() {
        let filter = Filter::parse("$share/workers/job/#").unwrap();
        assert_eq!((filter.share(), filter.pattern()), (Some("workers"), "job/#"));
        let plain = Filter::parse("job/#").unwrap();
        assert_eq!((plain.share(), plain.pattern()), (None, "job/#"));
    }
}
