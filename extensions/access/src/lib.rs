//! Who may connect, and what they may do there: users, certificates and bans; rules and access files.
//!
//! [`AuthChain`] answers both questions for the broker. Whatever goes wrong inside ends in a refusal. It reads the files
//! that its configuration names, and reads them again in [`AuthChain::refresh`].

mod account;
mod acl_file;
mod bans;
mod chain;
mod config;
mod denial;
mod explain;
mod fault;
mod files;
mod identity;
mod moment;
mod password;
mod password_file;
mod pattern;
mod policy;
mod psk_file;
mod rules;
mod scram;
mod tally;
mod throttle;
mod watchers;

pub use chain::{AuthChain, BanError, ListedBan, Refresh};
pub use config::{
    Action, Anonymous, Attribute, Ban, BanKind, Config, Flapping, Guard, Identity, Listener, Permit, Rule,
    User,
};
pub use explain::Explanation;
pub use fault::{ConfigError, Place, Step};
pub use password::{HashError, hash_password};
pub use psk_file::{PreSharedKeys, PskLine, key_of_hex, parse_psk};
pub use scram::{Mechanism, ScramError, is_scram_name, scram_credential};
pub use throttle::Throttle;

#[cfg(test)]
mod hostile;
