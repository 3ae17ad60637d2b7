use serde::{Deserialize, Serialize};

/// Who may connect, and what they may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which clients are let in without a user name. Where there are no users, whatever a client shows is not
    /// looked at, and it counts as one without a name.
    pub anonymous: Anonymous,
    /// What happens where no rule matches.
    pub default: Permit,
    /// Who may connect with a password.
    pub users: Vec<User>,
    /// What clients may do; the first rule that matches decides.
    pub rules: Vec<Rule>,
}

/// Which clients are let in without a user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anonymous {
    /// Those on this machine.
    #[default]
    Loopback,
    /// All.
    Everywhere,
    /// None.
    Never,
}

/// Somebody who may connect with a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The password's argon2id hash in PHC form; `watersmeet passwd NAME` prints it.
    pub password_hash: String,
    /// Whether the rules do not apply to this user.
    #[serde(default)]
    pub superuser: bool,
}

/// One rule. It matches if each of its conditions does; a condition that is left out always does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it decides.
    pub permit: Permit,
    /// Which action it is about.
    #[serde(default)]
    pub action: Action,
    /// Topic filters; `%c` stands for the client id and `%u` for the user name. To allow a subscription a
    /// filter must cover all of it; to deny one, any common topic is enough.
    pub topics: Vec<String>,
    /// User names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Client ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_ids: Vec<String>,
    /// Addresses or networks: `"10.0.0.0/8"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permit {
    /// It may be.
    #[default]
    Allow,
    /// It may not be.
    Deny,
}

/// Which action a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Publishing.
    Publish,
    /// Subscribing, and reading a retained message.
    Subscribe,
    /// Both.
    #[default]
    All,
}

/// A user or rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Whether it is one of the `users` or one of the `rules`.
    pub list: &'static str,
    /// Which of the list, from 0.
    pub index: usize,
    /// The key within it.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Debug for User {
    /// Leaves out the hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("superuser", &self.superuser)
            .finish_non_exhaustive()
    }
}
