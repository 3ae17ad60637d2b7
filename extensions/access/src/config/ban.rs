use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Somebody who is not let in, whatever they show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// By what they are known.
    pub kind: BanKind,
    /// The client id, user name, address, network or regular expression.
    pub value: String,
    /// Why, for the log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Until when, as RFC 3339 writes it: `2027-01-31T12:00:00Z`; for ever if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub until: String,
}

/// By what somebody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BanKind {
    /// The client id.
    #[serde(alias = "clientid")]
    ClientId,
    /// The user name.
    Username,
    /// The address, or a network of them: `10.0.0.0/8`.
    #[serde(alias = "network", alias = "peerhost", alias = "peerhost_net")]
    Address,
    /// A regular expression that matches all of the client id.
    #[serde(alias = "clientid_re")]
    ClientIdRegex,
    /// A regular expression that matches all of the user name.
    #[serde(alias = "username_re")]
    UsernameRegex,
}

/// Bans a client id for a time whose connections end too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flapping {
    /// Whether it does.
    pub enabled: bool,
    /// How many connections may end, or be taken over, within the window.
    pub disconnects: u32,
    /// The window.
    #[serde(with = "bus::units::duration")]
    pub window: Duration,
    /// How long the ban lasts.
    #[serde(with = "bus::units::duration")]
    pub ban: Duration,
}

/// Bans an address for a time from which too many wrong passwords come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// Whether it does.
    pub enabled: bool,
    /// How many wrong names or passwords may come within the window.
    pub failures: u32,
    /// The window.
    #[serde(with = "bus::units::duration")]
    pub window: Duration,
    /// How long the ban lasts.
    #[serde(with = "bus::units::duration")]
    pub ban: Duration,
}

impl BanKind {
    /// Its name, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientId => "client-id",
            Self::Username => "username",
            Self::Address => "address",
            Self::ClientIdRegex => "client-id-regex",
            Self::UsernameRegex => "username-regex",
        }
    }

    /// The kind of this name, in our words or in EMQX's.
    pub fn find(name: &str) -> Option<Self> {
        Some(match name {
            "client-id" | "clientid" => Self::ClientId,
            "username" => Self::Username,
            "address" | "network" | "peerhost" | "peerhost_net" => Self::Address,
            "client-id-regex" | "clientid_re" => Self::ClientIdRegex,
            "username-regex" | "username_re" => Self::UsernameRegex,
            _ => return None,
        })
    }
}

impl Default for Flapping {
    fn default() -> Self {
        Self {
            enabled: false,
            disconnects: 15,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(300),
        }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self { enabled: false, failures: 20, window: Duration::from_secs(60), ban: Duration::from_secs(300) }
    }
}
