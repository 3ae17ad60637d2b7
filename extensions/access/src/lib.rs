//! Who may connect, and what they may do there: users with passwords, and an ordered list of rules.
//!
//! [`AuthChain`] answers both questions for the broker. Whatever goes wrong inside ends in a refusal.

mod address;
mod chain;
mod config;
mod denial;
mod password;
mod pattern;
mod rules;
mod throttle;

pub use chain::AuthChain;
pub use config::{Action, Anonymous, Config, ConfigError, Permit, Rule, User};
pub use password::{HashError, hash_password};
pub use throttle::Throttle;
