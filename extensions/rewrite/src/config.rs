use serde::{Deserialize, Serialize};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whose topics it is about.
    #[serde(default)]
    pub action: Action,
    /// A topic filter: which topics it is about. A filter that is subscribed counts as a topic whose levels may be `+`
    /// and `#`, without `$share/{group}/` and the like.
    pub source: String,
    /// A regular expression, found anywhere in the topic unless it has `^` and `$`.
    pub pattern: String,
    /// What takes the topic's place. `$1` stands for what the first group of the pattern found, `%c` for the client id
    /// and `%u` for the user name; where that has `+`, `#` or `/`, or is not known, the topic stays.
    pub to: String,
}

/// Whose topics a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Those of messages and wills.
    Publish,
    /// Those of subscriptions, and of what is read.
    Subscribe,
    /// All.
    #[default]
    All,
}
