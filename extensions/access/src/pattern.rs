use broker::{Attributes, Client};
use bus::{Filter, TopicError};

/// A rule's topic filter, in which `%c` and `%u` stand for the client id and the user name, and `%{tenant}` for an
/// attribute of the client.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Level>);

/// Whose names are put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) attributes: Option<&'a Attributes>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(client: &'a Client) -> Self {
        Self {
            client_id: client.id.as_str(),
            username: client.identity.username.as_deref(),
            attributes: client.identity.attributes.as_deref(),
        }
    }
}

/// A text with placeholders, such as a mountpoint.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

impl Template {
    pub(crate) fn parse(text: &str) -> Self {
        Self(parts(text))
    }

    /// The text with the names put in; nothing if one is missing or could not be one level of a topic.
    pub(crate) fn fill(&self, names: Names<'_>) -> Option<String> {
        self.0.iter().map(|part| part.text(names)).collect()
    }

    /// The attributes whose values it needs.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &str> {
        attributes(&self.0)
    }
}

fn attributes(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Attribute(name) => Some(&**name),
        _ => None,
    })
}

#[derive(Debug)]
enum Level {
    /// `#`
    Rest,
    /// `+`
    Any,
    Exactly(Vec<Part>),
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    ClientId,
    Username,
    Attribute(Box<str>),
}

impl Pattern {
    /// Takes a topic filter as a rule writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, TopicError> {
        Ok(Self::of(levels(text, parts)?))
    }

    /// Takes a topic filter in which nothing stands for a name.
    pub(crate) fn literal(text: &str) -> Result<Self, TopicError> {
        Ok(Self::of(levels(text, |level| vec![Part::Text(level.into())])?))
    }

    /// Takes a topic filter that is compared as it is written, with [`Pattern::is`].
    pub(crate) fn verbatim(text: &str) -> Result<Self, TopicError> {
        Ok(Self(levels(text, parts)?))
    }

    fn of(levels: Vec<Level>) -> Self {
        match levels.as_slice() {
            [Level::Any, Level::Rest] => Self(vec![Level::Rest]), // every topic has a first level
            _ => Self(levels),
        }
    }

    /// The attributes whose values it needs.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|level| match level {
            Level::Exactly(parts) => attributes(parts),
            Level::Rest | Level::Any => attributes(&[]),
        })
    }

    /// Whether the filter or topic is the pattern itself, letter by letter.
    pub(crate) fn is(&self, names: Names<'_>, on: &str) -> bool {
        let mut levels = on.split('/');
        let each = self.0.iter().all(|part| match (part, levels.next()) {
            (Level::Rest, level) => level == Some("#"),
            (Level::Any, level) => level == Some("+"),
            (Level::Exactly(parts), Some(level)) => equal(parts, names, level),
            (Level::Exactly(_), None) => false,
        });
        each && levels.next().is_none()
    }

    /// The pattern for a client one of whose names has several levels, with its names put in as they are. Nothing if
    /// one is missing or has a wildcard.
    pub(crate) fn spelled_out(&self, names: Names<'_>) -> Option<Self> {
        let spell = |level: &Level| match level {
            Level::Rest => Some("#".to_owned()),
            Level::Any => Some("+".to_owned()),
            Level::Exactly(parts) => {
                let texts =
                    parts.iter().map(|part| part.value(names).filter(|text| !text.contains(['+', '#'])));
                texts.collect::<Option<String>>()
            }
        };
        let levels: Option<Vec<_>> = self.0.iter().map(spell).collect();
        Self::literal(&levels?.join("/")).ok()
    }

    /// Whether the pattern matches every topic that `filter` matches. A leading wildcard is not meant for
    /// topics that begin with `$` [MQTT-4.7.2-1].
    pub(crate) fn covers(&self, names: Names<'_>, filter: &str) -> bool {
        if filter.starts_with('$') && !matches!(self.0.first(), Some(Level::Exactly(_))) {
            return false;
        }
        let mut levels = filter.split('/');
        for part in &self.0 {
            match (part, levels.next()) {
                (Level::Rest, _) => return true,
                (Level::Any, Some(level)) if level != "#" => {}
                (Level::Exactly(parts), Some(level)) if equal(parts, names, level) => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// Whether the pattern matches a topic that `filter` matches too. A leading wildcard is meant for topics
    /// that begin with `$` as well, so that denying `#` denies everything.
    pub(crate) fn overlaps(&self, names: Names<'_>, filter: &str) -> bool {
        if !self.0.iter().all(|level| level.is_possible(names)) {
            return false;
        }
        let mut levels = filter.split('/');
        for part in &self.0 {
            match (part, levels.next()) {
                (Level::Rest, _) | (_, Some("#")) => return true,
                (Level::Any, Some(_)) | (Level::Exactly(_), Some("+")) => {}
                (Level::Exactly(parts), Some(level)) if equal(parts, names, level) => {}
                _ => return false,
            }
        }
        matches!(levels.next(), None | Some("#"))
    }

    /// Whether the pattern matches a topic that `filter` matches too, where a leading wildcard of either is not meant
    /// for topics that begin with `$` [MQTT-4.7.2-1].
    pub(crate) fn meets(&self, names: Names<'_>, filter: &str) -> bool {
        let leads_with_wildcard = |text: &str| text == "#" || text == "+" || text.starts_with("+/");
        let apart = match self.0.first() {
            Some(Level::Exactly(parts)) => {
                let dollar = parts.iter().find_map(|part| part.text(names).filter(|text| !text.is_empty()));
                leads_with_wildcard(filter) && dollar.is_some_and(|text| text.starts_with('$'))
            }
            _ => filter.starts_with('$'),
        };
        !apart && self.overlaps(names, filter)
    }
}

fn levels(text: &str, parts: impl Fn(&str) -> Vec<Part>) -> Result<Vec<Level>, TopicError> {
    let filter = Filter::parse(text)?;
    if filter.pattern() != filter.as_str() {
        return Err(TopicError::Share); // a share group gives no more rights than its filter
    }
    let level = |text| match text {
        "#" => Level::Rest,
        "+" => Level::Any,
        text => Level::Exactly(parts(text)),
    };
    Ok(filter.levels().map(level).collect())
}

impl Level {
    fn is_possible(&self, names: Names<'_>) -> bool {
        match self {
            Self::Rest | Self::Any => true,
            Self::Exactly(parts) => parts.iter().all(|part| part.text(names).is_some()),
        }
    }
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(position) = rest.find('%') {
        let (before, from) = rest.split_at(position);
        let (part, length) = placeholder(from).unwrap_or((Part::Text("%".into()), 1));
        parts.extend([Part::Text(before.into()), part]);
        rest = from.split_at(length).1;
    }
    parts.push(Part::Text(rest.into()));
    parts
}

/// What stands at the beginning for a name, and how many bytes it is written with.
fn placeholder(text: &str) -> Option<(Part, usize)> {
    if text.starts_with("%c") {
        return Some((Part::ClientId, 2));
    }
    if text.starts_with("%u") {
        return Some((Part::Username, 2));
    }
    let name = text.strip_prefix("%{")?.split_once('}')?.0;
    Some((Part::Attribute(name.into()), name.len() + 3))
}

impl Part {
    /// What stands there for this client; nothing if a name is missing or could not be one level of a topic,
    /// so that a client that is called `#` gains nothing by it.
    fn text<'a>(&'a self, names: Names<'a>) -> Option<&'a str> {
        let name = self.value(names)?;
        let is_name = !matches!(self, Self::Text(_));
        (!is_name || !name.is_empty() && !name.contains(['+', '#', '/'])).then_some(name)
    }

    fn value<'a>(&'a self, names: Names<'a>) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::ClientId => Some(names.client_id),
            Self::Username => names.username,
            Self::Attribute(name) => names.attributes?.get(name).map(|value| &**value),
        }
    }
}

/// Whether the parts make up the level.
fn equal(parts: &[Part], names: Names<'_>, level: &str) -> bool {
    let rest = parts.iter().try_fold(level, |rest, part| rest.strip_prefix(part.text(names)?));
    rest == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Names<'_> = Names { client_id: "c1", username: Some("ann"), attributes: None };

    fn covers(pattern: &str, names: Names<'_>, filter: &str) -> bool {
        Pattern::parse(pattern).unwrap().covers(names, filter)
    }

    fn overlaps(pattern: &str, names: Names<'_>, filter: &str) -> bool {
        Pattern::parse(pattern).unwrap().overlaps(names, filter)
    }

    #[test]
    fn a_pattern_covers_a_filter_only_if_it_matches_all_of_it() {
        let cases = [
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "a/#", true),
            ("a/#", "a/+/c", true),
            ("a/#", "#", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+", "a", false),
            ("a/b", "a/+", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("#", "a/b", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
        ];
        for (pattern, filter, expected) in cases {
            assert_eq!(covers(pattern, ANN, filter), expected, "{pattern} {filter}");
        }
    }

    #[test]
    fn a_pattern_overlaps_a_filter_if_they_have_a_topic_in_common() {
        let cases = [
            ("secret/#", "#", true),
            ("secret/#", "+/x", true),
            ("secret/#", "secret", true),
            ("secret/#", "public/#", false),
            ("secret/key", "secret/+", true),
            ("secret/key", "secret/key/#", true),
            ("secret/key", "secret/key/x", false),
            ("secret/key", "secret", false),
            ("+/key", "secret/#", true),
            ("a/+/c", "a/b/#", true),
            ("a/+/c", "a/b/d", false),
            ("#", "$SYS/uptime", true),
        ];
        for (pattern, filter, expected) in cases {
            assert_eq!(overlaps(pattern, ANN, filter), expected, "{pattern} {filter}");
        }
    }

    #[test]
    fn names_are_put_in() {
        assert!(covers("dev/%c/#", ANN, "dev/c1/up"));
        assert!(!covers("dev/%c/#", ANN, "dev/c2/up"));
        assert!(covers("%u/x-%c-y", ANN, "ann/x-c1-y"));
        assert!(covers("100%/%x", ANN, "100%/%x"));
    }

    #[test]
    fn attributes_are_put_in_and_a_missing_one_matches_nothing() {
        let attributes = Attributes::from([("tenant".into(), "acme".into()), ("bad".into(), "a/b".into())]);
        let names = Names { attributes: Some(&attributes), ..ANN };
        assert!(covers("%{tenant}/%c", names, "acme/c1"));
        assert!(covers("x-%{tenant}-y/#", names, "x-acme-y/z"));
        assert!(covers("a%{b", names, "a%{b"), "what is no placeholder stands for itself");
        for pattern in ["%{other}/#", "%{bad}/#"] {
            for filter in ["acme/c1", "a/b/c", "/c1", "#"] {
                assert!(
                    !covers(pattern, names, filter) && !overlaps(pattern, names, filter),
                    "{pattern} {filter}"
                );
            }
        }
        let used = Pattern::parse("%{tenant}/a%{bad}/+").unwrap();
        assert_eq!(used.attributes().collect::<Vec<_>>(), ["tenant", "bad"]);
    }

    #[test]
    fn a_verbatim_pattern_is_only_itself() {
        let is = |pattern: &str, on: &str| Pattern::verbatim(pattern).unwrap().is(ANN, on);
        assert!(is("#", "#") && is("+/#", "+/#") && is("a/+/b", "a/+/b") && is("dev/%c/#", "dev/c1/#"));
        for (pattern, on) in
            [("#", "a"), ("+/#", "#"), ("a/+", "a/b"), ("a", "a/b"), ("a/b", "a"), ("%c", "%c")]
        {
            assert!(!is(pattern, on), "{pattern} {on}");
        }
    }

    #[test]
    fn a_name_never_acts_as_a_wildcard_or_as_several_levels() {
        for client_id in ["#", "+", "a/b", "a#"] {
            let names = Names { client_id, username: None, attributes: None };
            for filter in ["dev/#", "dev/+", "dev/a/b", "dev/x", "#"] {
                assert!(!covers("dev/%c", names, filter), "{client_id} {filter}");
                assert!(!overlaps("dev/%c", names, filter), "{client_id} {filter}");
            }
        }
    }

    #[test]
    fn a_pattern_with_a_user_name_never_matches_a_client_without_one() {
        let names = Names { username: None, ..ANN };
        assert!(!covers("home/%u", names, "home/"));
        assert!(!overlaps("home/%u", names, "#"));
    }

    /// All texts of 1 to `most` levels from these.
    fn texts(levels: &[&str], most: usize) -> Vec<String> {
        let mut all: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        let mut last = all.clone();
        for _ in 1..most {
            last = last
                .iter()
                .flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn covering_and_overlapping_are_what_the_matching_topics_say() {
        let topics = texts(&["a", "b", ""], 4);
        let filters: Vec<Filter> =
            texts(&["a", "b", "+", "#"], 3).iter().filter_map(|text| Filter::parse(text).ok()).collect();
        for one in &filters {
            let pattern = Pattern::parse(one.as_str()).unwrap();
            for other in &filters {
                let matched = || topics.iter().filter(|topic| other.matches(topic));
                let covers = matched().all(|topic| one.matches(topic));
                let overlaps = matched().any(|topic| one.matches(topic));
                assert_eq!(pattern.covers(ANN, other.as_str()), covers, "{one} covers {other}");
                assert_eq!(pattern.overlaps(ANN, other.as_str()), overlaps, "{one} overlaps {other}");
            }
        }
    }
}
