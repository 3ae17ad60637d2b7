//! Puts other topics in the place of those that clients name, by rules of the configuration.
//!
//! The first rule whose `source` matches decides: if its `pattern` is found in the topic, `to` takes the topic's place,
//! and if not, the topic stays. No topic is rewritten twice.

mod config;
mod rewrite;
mod rule;
mod template;

pub use config::{Action, Rule};
pub use rewrite::Rewrite;
pub use rule::RuleError;
