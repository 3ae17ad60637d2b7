use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One rule. It matches if each of its conditions does; a condition that is left out always does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it decides.
    pub permit: Permit,
    /// Which action it is about.
    #[serde(default)]
    pub action: Action,
    /// Topic filters; `%c` stands for the client id, `%u` for the user name and `%{tenant}` for an attribute. To
    /// allow a subscription a filter must cover all of it; to deny one, any common topic is enough.
    pub topics: Vec<String>,
    /// Whether the topics are meant as they are written: `#` is then only the filter `#` itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub eq: bool,
    /// User names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Client ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_ids: Vec<String>,
    /// Addresses or networks: `"10.0.0.0/8"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Attributes that the client has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Names of listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// Protocols, with their version or without: `"MQTT 5"`, `"CoAP"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
    /// The guarantee asked in publishing or subscribing: any of 0, 1 and 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub qos: Vec<u8>,
    /// Whether what is published is to be retained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<bool>,
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

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::All => "all",
        })
    }
}
