use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Config;

/// The TLS profiles by name; `default` is always there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Profiles(pub(crate) BTreeMap<String, tls::Config>);

impl Default for Profiles {
    fn default() -> Self {
        Self(BTreeMap::from([("default".to_owned(), tls::Config::default())]))
    }
}

impl Config {
    /// Where the server keeps what it makes itself: what is configured, else what the system intends for that.
    pub(crate) fn state_directory(&self) -> PathBuf {
        if !self.state_directory.as_os_str().is_empty() {
            return self.state_directory.clone();
        }
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let of_user = || set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
        // systemd may name several, apart by colons.
        let of_service = set("STATE_DIRECTORY").and_then(|list| env::split_paths(&list).next());
        of_service
            .or_else(|| Some(of_user()?.join("watersmeet")))
            .unwrap_or_else(|| "/var/lib/watersmeet".into())
    }
}
