use bus::{Filter, TopicError};

/// A rule's topic filter, in which `%c` and `%u` stand for the client id and the user name.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Level>);

/// Whose names are put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
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
}

impl Pattern {
    /// Takes a topic filter as a rule writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, TopicError> {
        let filter = Filter::parse(text)?;
        if filter.pattern() != filter.as_str() {
            return Err(TopicError::Share); // a share group gives no more rights than its filter
        }
        let levels: Vec<_> = filter.levels().map(Level::parse).collect();
        Ok(match levels.as_slice() {
            [Level::Any, Level::Rest] => Self(vec![Level::Rest]), // every topic has a first level
            _ => Self(levels),
        })
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
}

impl Level {
    fn parse(text: &str) -> Self {
        match text {
            "#" => Self::Rest,
            "+" => Self::Any,
            text => Self::Exactly(parts(text)),
        }
    }

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
        let part = if from.starts_with("%c") {
            Part::ClientId
        } else if from.starts_with("%u") {
            Part::Username
        } else {
            Part::Text("%".into())
        };
        let length = if matches!(part, Part::Text(_)) { 1 } else { 2 };
        parts.extend([Part::Text(before.into()), part]);
        rest = from.split_at(length).1;
    }
    parts.push(Part::Text(rest.into()));
    parts
}

impl Part {
    /// What stands there for this client; nothing if a name is missing or could not be one level of a topic,
    /// so that a client that is called `#` gains nothing by it.
    fn text<'a>(&'a self, names: Names<'a>) -> Option<&'a str> {
        let name = match self {
            Self::Text(text) => return Some(text),
            Self::ClientId => names.client_id,
            Self::Username => names.username?,
        };
        (!name.is_empty() && !name.contains(['+', '#', '/'])).then_some(name)
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

    const ANN: Names<'_> = Names { client_id: "c1", username: Some("ann") };

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
    fn a_name_never_acts_as_a_wildcard_or_as_several_levels() {
        for client_id in ["#", "+", "a/b", "a#"] {
            let names = Names { client_id, username: None };
            for filter in ["dev/#", "dev/+", "dev/a/b", "dev/x", "#"] {
                assert!(!covers("dev/%c", names, filter), "{client_id} {filter}");
                assert!(!overlaps("dev/%c", names, filter), "{client_id} {filter}");
            }
        }
    }

    #[test]
    fn a_pattern_with_a_user_name_never_matches_a_client_without_one() {
        let names = Names { client_id: "c1", username: None };
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
