use std::time::Duration;

use bus::{Topic, units};
use serde::{Deserialize, Deserializer, Serialize, de};

/// How the resource directory of RFC 9176 is offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DirectoryConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Which rights are asked for: registering an endpoint takes that to publish on `{topic}/{endpoint}`, looking up
    /// that to read `{topic}`. Nothing is published there.
    #[serde(deserialize_with = "topic")]
    pub topic: String,
    /// How many endpoints it holds.
    pub endpoints: usize,
    /// How many endpoints one client may register; those that name themselves by nothing are one client.
    pub endpoints_per_client: usize,
    /// About how much memory all registrations take.
    #[serde(with = "units::size")]
    pub memory: usize,
    /// About how much memory one registration takes.
    #[serde(with = "units::size")]
    pub registration: usize,
    /// How many links one registration has.
    pub links: usize,
    /// How long a registration that has ended can still be refreshed, if its room is not needed.
    #[serde(with = "units::duration")]
    pub keep: Duration,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            topic: "coap/directory".to_owned(),
            endpoints: 10_000,
            endpoints_per_client: 1_000,
            memory: 16 << 20,
            registration: 64 << 10,
            links: 1_024,
            keep: Duration::from_secs(24 * 60 * 60),
        }
    }
}

fn topic<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match Topic::parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(de::Error::custom(format!("the topic {text:?} {error}"))),
    }
}
