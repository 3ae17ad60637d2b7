use serde::{Deserialize, Serialize};

/// What goes with being a client. Where a name comes from is written `"common-name"`, `"subject"`,
/// `"alternative-name"` (the first) or `"fingerprint"` of the client's certificate, `"server-name"`, `"username"`,
/// `"client-id"` or `"user-property:KEY"`; `"psk-identity"` is that of the client's pre-shared key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// What of a verified certificate is the user name, in the place of a user name and password: `"common-name"`,
    /// `"subject"`, `"alternative-name"` or `"fingerprint"`; none if empty.
    pub username_from: String,
    /// Whether the identity of a client's pre-shared key is its user name, in the place of a user name and password.
    pub psk_username: bool,
    /// What is the client id, whatever the client asks for: the same, or `"username"`; none if empty.
    pub client_id_from: String,
    /// What stands before every topic of a client, without its knowing, with `%c`, `%u` and `%{attribute}`; none if
    /// empty. A client for which one of them is missing is refused.
    pub mountpoint: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            username_from: String::new(),
            psk_username: true,
            client_id_from: String::new(),
            mountpoint: String::new(),
        }
    }
}

/// What is known of a client beside its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// What rules and mountpoints call it: `tenant` for `%{tenant}`.
    pub name: String,
    /// Where it comes from. What a client says of itself, its client id and user properties, is no proof.
    pub from: String,
    /// A regular expression that must match all of it; the value is its first group, or all of it without a group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub regex: String,
}
