use std::collections::HashMap;
use std::path::{Path, PathBuf};

use broker::Permission;

use crate::pattern::{Names, Pattern};
use crate::{ConfigError, files};

/// The lines of an access file in Mosquitto's syntax, ready to be asked.
#[derive(Debug)]
pub(crate) struct AclFile {
    pub(crate) file: PathBuf,
    /// The topics of clients without a user name: what stands before the first `user`.
    anonymous: Vec<Line>,
    /// The topics of each user.
    users: HashMap<Box<str>, Vec<Line>>,
    /// What is meant for all clients.
    patterns: Vec<Line>,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) text: Box<str>,
    grant: Grant,
    pattern: Pattern,
}

/// What a line says, those that deny first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grant {
    Deny,
    Read,
    Write,
    ReadWrite,
}

/// What a client wants with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Read,
    Write,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) permission: Permission,
    pub(crate) by: By,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The line with this number.
    Line(usize),
    /// No line matched.
    NoLine,
    /// The patterns cannot be asked for a client whose name is a wildcard.
    WildcardName,
}

impl AclFile {
    /// Reads the lines. One that cannot be used is an error, and an empty file grants nothing.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut acl = Self {
            file: file.to_owned(),
            anonymous: Vec::new(),
            users: HashMap::new(),
            patterns: Vec::new(),
        };
        let mut user: Option<Box<str>> = None;
        for (number, text) in files::lines(text) {
            let error = |message: String| ConfigError::line(file, number, message);
            let (keyword, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
            let rest = rest.trim();
            if rest.is_empty() {
                return Err(error(format!(
                    "expected `topic`, `pattern` or `user` with something behind it, found {text:?}"
                )));
            }
            let line = |pattern: fn(&str) -> _| Line::parse(number, text, rest, pattern).map_err(error);
            match keyword {
                "user" => {
                    acl.users.entry(rest.into()).or_default();
                    user = Some(rest.into());
                }
                "topic" => {
                    let line = line(Pattern::literal)?;
                    match &user {
                        Some(name) => acl.users.entry(name.clone()).or_default().push(line),
                        None => acl.anonymous.push(line),
                    }
                }
                "pattern" => acl.patterns.push(line(Pattern::parse)?),
                other => {
                    return Err(error(format!(
                        "unknown word {other:?}; a line begins with topic, pattern, user or #"
                    )));
                }
            }
        }
        let lists = acl.users.values_mut().chain([&mut acl.anonymous, &mut acl.patterns]);
        lists.for_each(|lines| lines.sort_by_key(|line| line.grant != Grant::Deny));
        Ok(acl)
    }

    /// Whether a topic may be read or written. The client's own lines come before the patterns, and in each the
    /// lines that deny before those that grant.
    pub(crate) fn judge_topic(&self, names: Names<'_>, topic: &str, want: Want) -> Ruling {
        let decide = |lines: &[Line]| {
            let speaks = |line: &&Line| line.grant.speaks_of(want) && line.covers(names, topic);
            lines.iter().find(speaks).map(|line| match line.grant {
                Grant::Deny => Ruling { permission: Permission::Deny, by: By::Line(line.number) },
                _ => Ruling { permission: Permission::Allow, by: By::Line(line.number) },
            })
        };
        let none = || Ruling { permission: Permission::Deny, by: self.nothing_found(names) };
        decide(self.own(names)).or_else(|| decide(self.patterns(names))).unwrap_or_else(none)
    }

    /// Whether all of a filter may be read, some of it or nothing.
    pub(crate) fn judge_filter(&self, names: Names<'_>, filter: &str) -> Ruling {
        let own = Reach::of(self.own(names), names, filter);
        let patterns = Reach::of(self.patterns(names), names, filter);
        let ruling = |permission, number| Ruling { permission, by: By::Line(number) };
        if let Some(line) = own.denies_all {
            return ruling(Permission::Deny, line);
        }
        if let (Some(line), None) = (own.grants_all, own.denies_some) {
            return ruling(Permission::Allow, line);
        }
        if let (Some(line), None) = (patterns.denies_all, own.grants_some) {
            return ruling(Permission::Deny, line);
        }
        let undenied = own.denies_some.is_none() && patterns.denies_some.is_none();
        if let Some(line) = patterns.grants_all.filter(|_| undenied) {
            return ruling(Permission::Allow, line);
        }
        match own.grants_some.or(patterns.grants_some) {
            Some(line) => ruling(Permission::AllowFiltered, line),
            None => Ruling { permission: Permission::Deny, by: self.nothing_found(names) },
        }
    }

    /// The lines that are about the client, with whether each speaks of what it wants with the topic or filter.
    pub(crate) fn relevant<'a>(
        &'a self,
        names: Names<'a>,
        on: &'a str,
        want: Want,
    ) -> impl Iterator<Item = (&'a Line, bool)> {
        let lines = self.own(names).iter().chain(self.patterns(names));
        lines.map(move |line| (line, line.grant.speaks_of(want) && line.meets(names, on)))
    }

    fn own(&self, names: Names<'_>) -> &[Line] {
        match names.username {
            Some(name) => self.users.get(name).map_or(&[], Vec::as_slice),
            None => &self.anonymous,
        }
    }

    fn patterns(&self, names: Names<'_>) -> &[Line] {
        if has_wildcard_name(names) { &[] } else { &self.patterns }
    }

    fn nothing_found(&self, names: Names<'_>) -> By {
        let unasked = has_wildcard_name(names) && !self.patterns.is_empty();
        if unasked { By::WildcardName } else { By::NoLine }
    }
}

/// A name that would be a wildcard where a pattern puts it in.
fn has_wildcard_name(names: Names<'_>) -> bool {
    names.client_id.contains(['+', '#']) || names.username.is_some_and(|name| name.contains(['+', '#']))
}

/// How far lines reach over a filter: each the first line that does.
#[derive(Default)]
struct Reach {
    denies_all: Option<usize>,
    denies_some: Option<usize>,
    grants_all: Option<usize>,
    grants_some: Option<usize>,
}

impl Reach {
    fn of(lines: &[Line], names: Names<'_>, filter: &str) -> Self {
        let mut reach = Self::default();
        for line in lines.iter().filter(|line| line.grant.speaks_of(Want::Read) && line.meets(names, filter))
        {
            let (all, some) = match line.grant {
                Grant::Deny => (&mut reach.denies_all, &mut reach.denies_some),
                _ => (&mut reach.grants_all, &mut reach.grants_some),
            };
            some.get_or_insert(line.number);
            if line.covers(names, filter) {
                all.get_or_insert(line.number);
            }
        }
        reach
    }
}

impl Line {
    fn parse(
        number: usize,
        text: &str,
        rest: &str,
        pattern: fn(&str) -> Result<Pattern, bus::TopicError>,
    ) -> Result<Self, String> {
        let (grant, filter) = match rest.split_once([' ', '\t']) {
            None => (Grant::ReadWrite, rest),
            Some((word, filter)) => {
                let grant = match word {
                    "read" => Grant::Read,
                    "write" => Grant::Write,
                    "readwrite" => Grant::ReadWrite,
                    "deny" => Grant::Deny,
                    _ => {
                        return Err(format!(
                            "unknown access {word:?}; write read, write, readwrite or deny, before a topic with spaces too"
                        ));
                    }
                };
                (grant, filter.trim())
            }
        };
        let pattern = pattern(filter).map_err(|fault| format!("the topic filter {filter:?} {fault}"))?;
        Ok(Self { number, text: text.into(), grant, pattern })
    }

    /// Whether the line is about all of the topic or filter. What a line denies it denies with a name of several
    /// levels too; what it grants it does not grant with such a name.
    fn covers(&self, names: Names<'_>, on: &str) -> bool {
        match self.spelled_out(names) {
            Some(pattern) => pattern.covers(names, on),
            None => self.pattern.covers(names, on),
        }
    }

    /// Whether the line is about some of it.
    fn meets(&self, names: Names<'_>, on: &str) -> bool {
        match self.spelled_out(names) {
            Some(pattern) => pattern.meets(names, on),
            None => self.pattern.meets(names, on),
        }
    }

    fn spelled_out(&self, names: Names<'_>) -> Option<Pattern> {
        let is_deep = names.client_id.contains('/') || names.username.is_some_and(|name| name.contains('/'));
        (is_deep && self.grant == Grant::Deny).then(|| self.pattern.spelled_out(names)).flatten()
    }
}

impl Grant {
    fn speaks_of(self, want: Want) -> bool {
        match self {
            Self::Deny | Self::ReadWrite => true,
            Self::Read => want == Want::Read,
            Self::Write => want == Want::Write,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Names<'_> = Names { client_id: "c1", username: Some("ann"), attributes: None };
    const NOBODY: Names<'_> = Names { username: None, ..ANN };

    fn acl(text: &str) -> AclFile {
        AclFile::parse(Path::new("acl"), text).unwrap()
    }

    fn line(permission: Permission, number: usize) -> Ruling {
        Ruling { permission, by: By::Line(number) }
    }

    const NO_LINE: Ruling = Ruling { permission: Permission::Deny, by: By::NoLine };

    const ALLOW: Permission = Permission::Allow;
    const FILTERED: Permission = Permission::AllowFiltered;
    const DENY: Permission = Permission::Deny;

    #[test]
    fn topics_before_any_user_are_for_clients_without_a_name_only() {
        let acl =
            acl("# a comment\r\n\r\ntopic read news/#\r\nuser ann\r\ntopic home/+\r\ntopic write up\r\n");
        assert_eq!(acl.judge_topic(NOBODY, "news/a", Want::Read), line(ALLOW, 3));
        assert_eq!(acl.judge_topic(NOBODY, "news/a", Want::Write), NO_LINE);
        assert_eq!(acl.judge_topic(ANN, "news/a", Want::Read), NO_LINE);
        for want in [Want::Read, Want::Write] {
            assert_eq!(acl.judge_topic(ANN, "home/a", want), line(ALLOW, 5));
        }
        assert_eq!(acl.judge_topic(ANN, "up", Want::Read), NO_LINE);
        assert_eq!(acl.judge_topic(ANN, "up", Want::Write), line(ALLOW, 6));
        let bob = Names { username: Some("bob"), ..ANN };
        assert_eq!(acl.judge_topic(bob, "home/a", Want::Read), NO_LINE);
    }

    #[test]
    fn an_empty_file_grants_nothing() {
        assert_eq!(acl("").judge_topic(ANN, "a", Want::Read), NO_LINE);
        assert_eq!(acl("# nothing\n").judge_filter(NOBODY, "#"), NO_LINE);
    }

    #[test]
    fn what_is_denied_goes_before_what_is_granted_wherever_it_stands() {
        let acl =
            acl("user ann\ntopic read a/#\ntopic deny a/secret/#\npattern deny a/b\npattern read b/#\n");
        assert_eq!(acl.judge_topic(ANN, "a/x", Want::Read), line(ALLOW, 2));
        assert_eq!(acl.judge_topic(ANN, "a/secret/x", Want::Read), line(DENY, 3));
        assert_eq!(acl.judge_topic(ANN, "a/b", Want::Read), line(ALLOW, 2), "own lines come before patterns");
        assert_eq!(acl.judge_topic(NOBODY, "a/b", Want::Read), line(DENY, 4));
        assert_eq!(acl.judge_topic(NOBODY, "b/x", Want::Read), line(ALLOW, 5));
    }

    #[test]
    fn patterns_put_names_in_and_topics_do_not() {
        let acl = acl("topic read t/%c\npattern write sensor/%u/data\npattern read dev/%c/#\n");
        assert_eq!(acl.judge_topic(ANN, "sensor/ann/data", Want::Write), line(ALLOW, 2));
        assert_eq!(acl.judge_topic(ANN, "sensor/bob/data", Want::Write), NO_LINE);
        assert_eq!(acl.judge_topic(NOBODY, "sensor//data", Want::Write), NO_LINE);
        assert_eq!(acl.judge_topic(NOBODY, "dev/c1/x", Want::Read), line(ALLOW, 3));
        assert_eq!(acl.judge_topic(NOBODY, "t/%c", Want::Read), line(ALLOW, 1));
        assert_eq!(acl.judge_topic(NOBODY, "t/c1", Want::Read), NO_LINE);
    }

    #[test]
    fn a_name_with_a_wildcard_gets_nothing_from_patterns() {
        let acl = acl("topic read open\npattern readwrite dev/%c/#\npattern read all\n");
        for client_id in ["#", "+", "a#", "+/b"] {
            let names = Names { client_id, ..NOBODY };
            for topic in ["dev/x/y", "dev/#", "all"] {
                let ruling = acl.judge_topic(names, topic, Want::Read);
                assert_eq!(ruling, Ruling { permission: DENY, by: By::WildcardName }, "{client_id} {topic}");
            }
            assert_eq!(acl.judge_topic(names, "open", Want::Read), line(ALLOW, 1));
        }
    }

    #[test]
    fn a_name_of_several_levels_is_denied_what_it_names_and_granted_nothing() {
        let acl = acl("pattern deny private/%c/#\npattern read private/#\npattern write dev/%c\n");
        let names = Names { client_id: "a/b", ..NOBODY };
        assert_eq!(acl.judge_topic(names, "private/a/b/x", Want::Read), line(DENY, 1));
        assert_eq!(acl.judge_topic(names, "private/c", Want::Read), line(ALLOW, 2));
        assert_eq!(acl.judge_topic(names, "dev/a/b", Want::Write), NO_LINE);
        assert_eq!(acl.judge_filter(names, "private/a/b/x"), line(DENY, 1));
    }

    #[test]
    fn a_subscription_may_be_made_if_some_of_it_can_be_read() {
        let acl =
            acl("user ann\ntopic read a/#\ntopic deny a/secret\ntopic write w/#\npattern read p/%u/+\n");
        for (filter, ruling) in [
            ("a/#", line(FILTERED, 2)),
            ("a/b", line(ALLOW, 2)),
            ("a/b/#", line(ALLOW, 2)),
            ("a/secret", line(DENY, 3)),
            ("a/+", line(FILTERED, 2)),
            ("#", line(FILTERED, 2)),
            ("+/ann/x", line(FILTERED, 2)),
            ("p/ann/+", line(ALLOW, 5)),
            ("p/+/+", line(FILTERED, 5)),
            ("p/bob/+", NO_LINE),
            ("w/#", NO_LINE),
            ("$SYS/#", NO_LINE),
        ] {
            assert_eq!(acl.judge_filter(ANN, filter), ruling, "{filter}");
        }
    }

    #[test]
    fn a_leading_wildcard_is_not_about_topics_that_begin_with_a_dollar_sign() {
        let acl = acl("topic read #\ntopic deny +/uptime\npattern read $SYS/#\n");
        assert_eq!(acl.judge_topic(NOBODY, "$SYS/uptime", Want::Read), line(ALLOW, 3));
        assert_eq!(acl.judge_filter(NOBODY, "$SYS/uptime"), line(ALLOW, 3));
        assert_eq!(acl.judge_filter(NOBODY, "$SYS/#"), line(ALLOW, 3));
        assert_eq!(acl.judge_filter(NOBODY, "a/b/#"), line(ALLOW, 1));
        assert_eq!(acl.judge_filter(NOBODY, "a/#"), line(FILTERED, 1));
    }

    /// All topics and filters of up to three levels of these.
    fn texts(levels: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        let mut last = all.clone();
        for _ in 1..3 {
            let longer =
                last.iter().flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")));
            last = longer.collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn what_is_said_of_a_filter_is_what_is_said_of_its_topics() {
        let acl =
            acl("topic read a/#\ntopic deny a/b\ntopic deny +/a/b\npattern read b/+\npattern deny b/a\n\
                       pattern deny a/a\npattern read +/b/b\n");
        let topics = texts(&["a", "b", "c", "$x"]);
        let filters = texts(&["a", "b", "c", "$x", "+", "#"]);
        for filter in filters.iter().filter_map(|text| bus::Filter::parse(text).ok()) {
            let matched = topics.iter().filter(|topic| filter.matches(topic));
            let read = |topic: &&String| acl.judge_topic(NOBODY, topic, Want::Read).permission == ALLOW;
            let (all, some) =
                (matched.clone().all(|topic| read(&topic)), matched.clone().any(|topic| read(&topic)));
            match acl.judge_filter(NOBODY, filter.as_str()).permission {
                Permission::Allow => assert!(all, "{filter} holds what may not be read"),
                Permission::Deny => assert!(!some, "{filter} holds what may be read"),
                Permission::AllowFiltered => {}
            }
        }
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named() {
        let fault = |text: &str| AclFile::parse(Path::new("acl"), text).unwrap_err().to_string();
        assert!(fault("\ntopic\n").starts_with("acl:2: expected `topic`"));
        assert!(fault("user \n").starts_with("acl:1: expected"));
        assert!(fault("topics read a\n").starts_with("acl:1: unknown word \"topics\""));
        assert!(fault("topic foo bar\n").starts_with("acl:1: unknown access \"foo\""));
        assert_eq!(fault("topic read a/#/b"), "acl:1: the topic filter \"a/#/b\" has a misplaced wildcard");
        let acl = acl("topic read\ntopic  readwrite   with spaces/#  \n");
        assert_eq!(acl.judge_topic(NOBODY, "read", Want::Write), line(ALLOW, 1));
        assert_eq!(acl.judge_topic(NOBODY, "with spaces/x", Want::Write), line(ALLOW, 2));
    }
}
