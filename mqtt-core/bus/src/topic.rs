use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A topic name: 1 to 65,535 bytes of UTF-8 without wildcards and without U+0000 [MQTT-4.7.3].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// A topic filter, perhaps with a prefix that says who else may have it, and a condition that messages must meet.
///
/// The prefixes are `$share/{group}/`, `$queue/` (the share group of that name) and `$exclusive/`. `+` and `#` stand
/// only as whole levels and `#` only last [MQTT-4.7.1]; the length is that of a topic.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    /// Where the pattern begins: behind the prefix, else 0.
    pattern: u32,
    /// Where the pattern ends: before the `?` of a condition, else at the end of the text.
    end: u32,
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
    /// `$queue` or `$exclusive` without a filter behind it, or one prefix behind `$exclusive/`.
    #[error("is not of the form $queue/{{filter}} or $exclusive/{{filter}}")]
    Prefix,
}

const SHARE: &str = "$share/";
const QUEUE: &str = "$queue/";
const EXCLUSIVE: &str = "$exclusive/";

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
    /// Takes a filter as a peer wrote it, prefix included [MQTT5 4.8.2].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let pattern = check_prefix(text)?;
        check_wildcards(text.split_at(pattern).1)?;
        Ok(Self { text: text.into(), pattern: pattern as u32, end: text.len() as u32 })
    }

    /// The same for a subscription that may end with `?` and a condition; as `?` is an ordinary character too, one
    /// is made out only where the text is no filter without it. [`Filter::split_condition`] makes it out everywhere.
    pub fn parse_with_condition(text: &str) -> Result<Self, TopicError> {
        match Self::parse(text) {
            Err(TopicError::Wildcard) if text.contains('?') => Self::split(text.into(), check_prefix(text)?),
            parsed => parsed,
        }
    }

    /// Takes what stands behind the first `?` of the pattern for a condition.
    pub fn split_condition(self) -> Result<Self, TopicError> {
        if self.condition().is_some() || !self.pattern().contains('?') {
            return Ok(self);
        }
        Self::split(self.text, self.pattern as usize)
    }

    fn split(text: Arc<str>, pattern: usize) -> Result<Self, TopicError> {
        let behind = text.split_at(pattern).1;
        let length = behind.find('?').unwrap_or(behind.len());
        if length == 0 {
            return Err(TopicError::Empty);
        }
        check_wildcards(behind.split_at(length).0)?;
        Ok(Self { pattern: pattern as u32, end: (pattern + length) as u32, text })
    }

    /// The filter that matches this one topic.
    pub fn exactly(topic: &Topic) -> Self {
        let text = topic.0.clone();
        let pattern = if text.starts_with('$') { check_prefix(&text).unwrap_or(0) } else { 0 };
        Self { pattern: pattern as u32, end: text.len() as u32, text }
    }

    /// The same prefix and condition around another pattern.
    pub fn with_pattern(&self, pattern: &str) -> Result<Self, TopicError> {
        let prefix = self.text.split_at(self.pattern as usize).0;
        let condition = self.text.split_at(self.end as usize).1;
        let text = [prefix, pattern, condition].concat();
        check_length(&text)?;
        if pattern.contains('\0') {
            return Err(TopicError::Nul);
        }
        check_wildcards(pattern)?;
        let end = (prefix.len() + pattern.len()) as u32;
        Ok(Self { text: text.into(), pattern: self.pattern, end })
    }

    /// The same without its condition.
    pub fn without_condition(&self) -> Self {
        if self.condition().is_none() {
            return self.clone();
        }
        Self { text: self.text.split_at(self.end as usize).0.into(), ..*self }
    }

    /// The whole text, prefix and condition included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What topics are compared with: the text without prefix and condition.
    pub fn pattern(&self) -> &str {
        self.text.split_at(self.end as usize).0.split_at(self.pattern as usize).1
    }

    /// What messages must meet, as the peer wrote it behind the `?`.
    pub fn condition(&self) -> Option<&str> {
        self.text.split_at(self.end as usize).1.strip_prefix('?')
    }

    /// The name of the share group, if the filter names one.
    pub fn share(&self) -> Option<&str> {
        let prefix = self.text.split_at(self.pattern as usize).0;
        if prefix == QUEUE {
            return prefix.strip_suffix('/');
        }
        prefix.strip_prefix(SHARE)?.strip_suffix('/')
    }

    /// The share group, as a filter without condition: the same for all its members, `$queue/…` included.
    pub fn group(&self) -> Option<Self> {
        let (name, pattern) = (self.share()?, self.pattern());
        let text: Arc<str> = [SHARE, name, "/", pattern].concat().into();
        let (end, pattern) = (text.len() as u32, (text.len() - pattern.len()) as u32);
        Some(Self { text, pattern, end })
    }

    /// Whether one session at a time may have the filter.
    pub fn is_exclusive(&self) -> bool {
        self.text.split_at(self.pattern as usize).0 == EXCLUSIVE
    }

    /// Whether the pattern has a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.pattern().contains(['+', '#'])
    }

    /// The topic, if the filter has no wildcard, prefix or condition.
    pub fn as_topic(&self) -> Option<Topic> {
        (self.pattern().len() == self.text.len() && !self.has_wildcard()).then(|| Topic(self.text.clone()))
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

/// Where the pattern begins.
fn check_prefix(text: &str) -> Result<usize, TopicError> {
    check_length(text)?;
    if text.contains('\0') {
        return Err(TopicError::Nul);
    }
    if !text.starts_with('$') {
        return Ok(0);
    }
    if let Some(rest) = text.strip_prefix(SHARE) {
        let (group, filter) = rest.split_once('/').ok_or(TopicError::Share)?;
        if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
            return Err(TopicError::Share); // [MQTT-4.8.2-1], [MQTT-4.8.2-2]
        }
        return Ok(text.len() - filter.len());
    }
    let alone = |prefix: &str| Some(text) == prefix.strip_suffix('/');
    if alone(SHARE) {
        return Err(TopicError::Share);
    }
    if alone(QUEUE) || alone(EXCLUSIVE) {
        return Err(TopicError::Prefix);
    }
    let Some((prefix, rest)) = [QUEUE, EXCLUSIVE].iter().find_map(|p| Some((*p, text.strip_prefix(p)?)))
    else {
        return Ok(0);
    };
    let twice =
        prefix == EXCLUSIVE && [SHARE, QUEUE, EXCLUSIVE].iter().any(|prefix| rest.starts_with(prefix));
    if rest.is_empty() || twice {
        return Err(TopicError::Prefix);
    }
    Ok(prefix.len())
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
        let queue = Filter::parse("$queue/job/#").unwrap();
        assert_eq!((queue.share(), queue.pattern()), (Some("$queue"), "job/#"));
        assert_eq!((queue.as_topic(), queue.is_exclusive()), (None, false));
        let group = Filter::parse("$share/$queue/job/#").unwrap();
        assert_eq!((queue.group(), group.group(), plain.group()), (Some(group.clone()), Some(group), None));
    }

    #[test]
    fn an_exclusive_filter_tells_its_pattern() {
        let filter = Filter::parse("$exclusive/job/1").unwrap();
        assert_eq!((filter.share(), filter.pattern(), filter.is_exclusive()), (None, "job/1", true));
        assert_eq!(filter.as_topic(), None);
        for wrong in
            ["$exclusive", "$exclusive/", "$queue", "$queue/", "$exclusive/$share/g/a", "$exclusive/$queue/a"]
        {
            assert_eq!(Filter::parse(wrong), Err(TopicError::Prefix), "{wrong}");
        }
        assert_eq!(Filter::parse("$exclusively/a").unwrap().pattern(), "$exclusively/a");
    }

    #[test]
    fn a_condition_is_split_off_at_the_first_question_mark() {
        for (text, pattern, condition) in [
            ("a/#?n>5&m=?", "a/#", Some("n>5&m=?")),
            ("$share/g?/+?n=1/#", "+", Some("n=1/#")),
            ("$exclusive/a?", "a", Some("")),
            ("a/b", "a/b", None),
        ] {
            let filter = Filter::parse_with_condition(text).unwrap().split_condition().unwrap();
            assert_eq!((filter.pattern(), filter.condition(), filter.as_str()), (pattern, condition, text));
        }
        let plain = Filter::parse_with_condition("a?n=1").unwrap();
        assert_eq!((plain.pattern(), plain.condition()), ("a?n=1", None));
        assert_eq!(Filter::parse("a/#?n=1"), Err(TopicError::Wildcard));
        assert_eq!(Filter::parse_with_condition("a#?n=1"), Err(TopicError::Wildcard));
        assert_eq!(Filter::parse("?n=1").unwrap().split_condition(), Err(TopicError::Empty));
    }

    #[test]
    fn another_pattern_keeps_prefix_and_condition() {
        let filter = Filter::parse_with_condition("$share/g/a/#?n=1").unwrap();
        let moved = filter.with_pattern("acme/a/#").unwrap();
        assert_eq!((moved.as_str(), moved.pattern()), ("$share/g/acme/a/#?n=1", "acme/a/#"));
        assert_eq!(moved.without_condition(), Filter::parse("$share/g/acme/a/#").unwrap());
        assert_eq!(filter.with_pattern("a/#/b"), Err(TopicError::Wildcard));
    }
}
