use std::time::Duration;

use bus::{Topic, units};
use serde::{Deserialize, Serialize};

/// What operators see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often `$SYS/broker/…` is published; `"0s"` never.
    #[serde(with = "units::duration")]
    pub sys_interval: Duration,
    /// The server's name in `$SYS/brokers/{node}/…`.
    pub node: String,
    /// Whether `$SYS/brokers/{node}/clients/{id}/connected` and `…/disconnected` are published.
    pub presence: bool,
    /// Whether `…/subscribed` and `…/unsubscribed` are published too.
    pub presence_subscriptions: bool,
    /// A topic that is kept at `online` or `offline` for each client; `%c` stands for its id. Empty publishes
    /// none.
    pub presence_topic: String,
    /// How many ended connections are remembered, and as many refused ones and denials each.
    pub history: usize,
    /// How many bytes each of the three may hold.
    #[serde(with = "units::size")]
    pub history_bytes: usize,
}

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Which.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Config {
    /// Tells what cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        let error = |key, message: &str| Err(ConfigError { key, message: message.to_owned() });
        if self.node.is_empty() || self.node.contains(['/', '+', '#', '\0']) {
            return error("node", "a node's name is one level of a topic: not empty, and without /, + and #");
        }
        if !self.presence_topic.is_empty() && !is_template(&self.presence_topic) {
            return error("presence_topic", "expected a topic with %c in it, as in \"presence/%c\"");
        }
        Ok(())
    }
}

fn is_template(template: &str) -> bool {
    let topic = template.replace("%c", "c");
    topic != template && !topic.starts_with('$') && Topic::parse(&topic).is_ok()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sys_interval: Duration::from_secs(10),
            node: "watersmeet".to_owned(),
            presence: true,
            presence_subscriptions: false,
            presence_topic: String::new(),
            history: 10_000,
            history_bytes: 16 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_templates_must_make_topics() {
        let fault = |config: Config| config.check().err().map(|error| error.key);
        assert_eq!(fault(Config::default()), None);
        assert_eq!(fault(Config { node: "a/b".into(), ..Config::default() }), Some("node"));
        for (template, bad) in
            [("presence/%c", false), ("presence", true), ("$SYS/%c", true), ("a/#/%c", true)]
        {
            let config = Config { presence_topic: template.into(), ..Config::default() };
            assert_eq!(fault(config).is_some(), bad, "{template}");
        }
    }
}
