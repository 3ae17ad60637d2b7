use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Somebody who may connect with a password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Attributes of this user's clients; they go before those that [`super::Attribute`] finds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl fmt::Debug for User {
    /// Leaves out the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("superuser", &self.superuser)
            .finish_non_exhaustive()
    }
}
