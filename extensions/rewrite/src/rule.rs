use std::sync::atomic::{AtomicBool, Ordering};

use broker::Client;
use bus::Filter;
use regex::{Regex, RegexBuilder};
use tracing::warn;

use crate::config::{Action, Rule};
use crate::template::Template;

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rewrite[{}].{key}: {message}", index + 1)]
pub struct RuleError {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The key whose value cannot be used.
    pub key: &'static str,
    /// Why.
    pub message: String,
}

/// A rule, ready to be asked.
#[derive(Debug)]
pub(crate) struct Compiled {
    index: usize,
    action: Action,
    source: Filter,
    pattern: Regex,
    to: Template,
    /// It was told that the rule makes what is no topic.
    told: AtomicBool,
}

/// How many bytes one compiled pattern may have, and how many its text.
const PATTERN_SIZE: usize = 1 << 20;
const TEXT_SIZE: usize = 4_096;

impl Compiled {
    pub(crate) fn new(index: usize, rule: &Rule) -> Result<Self, RuleError> {
        let error = |key, message: String| RuleError { index, key, message };
        let source = Filter::parse(&rule.source)
            .map_err(|fault| error("source", format!("the topic filter {:?} {fault}", rule.source)))?;
        if source.pattern() != source.as_str() {
            let message = "rules see topics without $share/{group}/ and the like; leave that out".to_owned();
            return Err(error("source", message));
        }
        for (key, text) in [("pattern", &rule.pattern), ("to", &rule.to)] {
            if text.len() > TEXT_SIZE {
                return Err(error(key, format!("is longer than {TEXT_SIZE} bytes")));
            }
        }
        let pattern = RegexBuilder::new(&rule.pattern).size_limit(PATTERN_SIZE).build();
        let pattern =
            pattern.map_err(|fault| error("pattern", format!("is no regular expression: {fault}")))?;
        let to = Template::parse(&rule.to);
        if rule.to.is_empty() {
            return Err(error("to", "is empty, and no topic is".to_owned()));
        }
        if to.groups() >= pattern.captures_len() {
            let found = pattern.captures_len() - 1;
            return Err(error("to", format!("names ${}, but the pattern has {found} groups", to.groups())));
        }
        Ok(Self { index, action: rule.action, source, pattern, to, told: AtomicBool::new(false) })
    }

    /// Whether it decides on the topic.
    pub(crate) fn decides(&self, action: Action, topic: &str) -> bool {
        (self.action == Action::All || self.action == action) && self.source.matches(topic)
    }

    /// What takes the topic's place, if anything does.
    pub(crate) fn rewritten(&self, client: &Client, topic: &str) -> Option<String> {
        self.to.fill(&self.pattern.captures(topic)?, client)
    }

    /// Tells the log, the first time, that the rule makes what is no topic.
    pub(crate) fn tell(&self, client: &Client, fault: bus::TopicError) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let (rule, client_id) = (self.index + 1, &client.id);
            warn!(rule, %client_id, %fault, "A rewrite rule makes what is no topic; such topics stay as they are.");
        }
    }
}
