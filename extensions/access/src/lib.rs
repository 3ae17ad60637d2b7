//! Who may connect, and what they may do there: users with passwords, and an ordered list of rules.
//!
//! [`AuthChain`] answers both questions for the broker. Whatever goes wrong inside ends in a refusal.

mod account;
mod acl_file;
mod address;
mod chain;
mod config;
mod denial;
mod explain;
mod fault;
mod files;
mod identity;
mod password;
mod password_file;
mod pattern;
mod policy;
mod rules;
mod scram;
mod tally;
mod throttle;

pub use chain::{AuthChain, Refresh};
pub use config::{Action, Anonymous, Attribute, Config, Identity, Listener, Permit, Rule, User};
pub use explain::Explanation;
pub use fault::{ConfigError, Place, Step};
pub use password::{HashError, hash_password};
pub use scram::{Mechanism, ScramError, is_scram_name, scram_credential};
pub use throttle::Throttle;
