use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod ban;
mod identity;
mod rule;
mod user;

pub use ban::{Ban, BanKind, Flapping, Guard};
pub use identity::{Attribute, Identity};
pub use rule::{Action, Permit, Rule};
pub use user::User;

/// Who may connect, and what they may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which clients are let in without a user name. Where there are neither users nor a password file, whatever a
    /// client shows is not looked at, and it counts as one without a name.
    pub anonymous: Anonymous,
    /// What happens where no rule matches, and there is no access file.
    pub default: Permit,
    /// A file with more users, one `name:hash` on a line, as mosquitto_passwd writes it; none if empty. It is read
    /// again when it changes.
    pub password_file: PathBuf,
    /// A file with pre-shared keys for DTLS and TLS, one `identity:key` on a line with the key in hexadecimal; none if
    /// empty. It is read again when it changes.
    pub psk_file: PathBuf,
    /// Who may connect with a password.
    pub users: Vec<User>,
    /// What clients may do; the first rule that matches decides.
    pub rules: Vec<Rule>,
    /// A file in the syntax of Mosquitto's access files, asked where no rule matches; none if empty. What it does not
    /// grant is denied. It is read again when it changes.
    pub acl_file: PathBuf,
    /// What goes with being a client: its names, and what stands before its topics.
    pub identity: Identity,
    /// What is known of a client beside its names.
    pub attributes: Vec<Attribute>,
    /// Who is not let in, whatever they show, and does not stay.
    pub bans: Vec<Ban>,
    /// A file with more bans, in TOML or, if its name ends in `.csv`, as a table; none if empty. It is read again when it
    /// changes.
    pub ban_file: PathBuf,
    /// Bans clients for a time whose connections end too often.
    pub flapping: Flapping,
    /// Bans addresses for a time from which too many wrong passwords come.
    pub guard: Guard,
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
    /// In the place of [`Identity::username_from`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_from: Option<String>,
    /// In the place of [`Identity::psk_username`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psk_username: Option<bool>,
    /// In the place of [`Identity::client_id_from`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_from: Option<String>,
    /// In the place of [`Identity::mountpoint`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountpoint: Option<String>,
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

impl Config {
    /// Which clients are let in without a user name on the listener.
    pub fn anonymous_on(&self, listener: &str) -> Anonymous {
        self.listeners.get(listener).and_then(|listener| listener.anonymous).unwrap_or(self.anonymous)
    }

    /// Whether a certificate can stand for a user name and password on the listener.
    pub fn takes_certificates_on(&self, listener: &str) -> bool {
        let own = self.listeners.get(listener).and_then(|listener| listener.username_from.as_ref());
        !own.unwrap_or(&self.identity.username_from).is_empty()
    }

    /// Whether a pre-shared key can stand for a user name and password on the listener, if it takes such keys.
    pub fn takes_keys_on(&self, listener: &str) -> bool {
        self.psk_file().is_some() && self.psk_username_on(listener)
    }

    pub(crate) fn psk_username_on(&self, listener: &str) -> bool {
        let own = self.listeners.get(listener).and_then(|listener| listener.psk_username);
        own.unwrap_or(self.identity.psk_username)
    }

    /// Whether there is a list of users, though it may be empty.
    pub fn keeps_users(&self) -> bool {
        !self.users.is_empty() || self.has_password_file()
    }

    pub(crate) fn has_password_file(&self) -> bool {
        named(&self.password_file).is_some()
    }

    pub(crate) fn psk_file(&self) -> Option<&Path> {
        named(&self.psk_file)
    }

    pub(crate) fn ban_file(&self) -> Option<&Path> {
        named(&self.ban_file)
    }

    pub(crate) fn acl_file(&self) -> Option<&Path> {
        named(&self.acl_file)
    }

    /// The files that the configuration names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.password_file, &self.psk_file, &self.acl_file, &self.ban_file];
        files.into_iter().filter_map(|file| named(file))
    }
}

/// The file, unless its name is empty.
fn named(file: &Path) -> Option<&Path> {
    (file != Path::new("")).then_some(file)
}
