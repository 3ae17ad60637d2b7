use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Who may connect, and what they may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which clients are let in without a user name. Where there are neither users nor a password file, whatever a
    /// client shows is not looked at, and it counts as one without a name.
    pub anonymous: Anonymous,
    /// What happens where no rule matches.
    pub default: Permit,
    /// A file with more users, one `name:hash` on a line, as mosquitto_passwd writes it; none if empty. It is read
    /// again when it changes.
    pub password_file: PathBuf,
    /// Who may connect with a password.
    pub users: Vec<User>,
    /// What clients may do; the first rule that matches decides.
    pub rules: Vec<Rule>,
    /// What differs on some listeners, by their names.
    pub listeners: BTreeMap<String, Listener>,
}

/// What differs on one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// Which clients are let in without a user name here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Anonymous>,
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
    /// The password's argon2id hash in PHC form, which `watersmeet passwd NAME` prints; or what mosquitto_passwd makes.
    /// It may be left out where there is `scram`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub password_hash: String,
    /// What SCRAM needs of the password, one for each mechanism, in the form of RFC 5803; `watersmeet passwd NAME`
    /// prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scram: Vec<String>,
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

impl Config {
    /// Which clients are let in without a user name on the listener.
    pub fn anonymous_on(&self, listener: &str) -> Anonymous {
        self.listeners.get(listener).and_then(|listener| listener.anonymous).unwrap_or(self.anonymous)
    }

    /// Whether there is a list of users, though it may be empty.
    pub fn keeps_users(&self) -> bool {
        !self.users.is_empty() || self.has_password_file()
    }

    pub(crate) fn has_password_file(&self) -> bool {
        self.password_file != Path::new("")
    }

    /// The files that the configuration names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [self.password_file.as_path()];
        files.into_iter().filter(|file| *file != Path::new(""))
    }
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
