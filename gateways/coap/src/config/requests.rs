use std::time::Duration;

use bus::{Topic, units};
use serde::{Deserialize, Deserializer, Serialize, de};

/// How applications send requests to clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestsConfig {
    /// Whether they can.
    pub enabled: bool,
    /// Where requests are published; `{clientid}` stands for the client's id.
    #[serde(deserialize_with = "topic")]
    pub request: String,
    /// Where the answers go.
    #[serde(deserialize_with = "topic")]
    pub response: String,
    /// How long an answer may take, where the request does not say.
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    /// The longest time that a request may say.
    #[serde(with = "units::duration")]
    pub timeout_max: Duration,
    /// How many requests wait for a client while another is under way.
    pub queue: usize,
    /// How many resources of a client are observed.
    pub observations: usize,
}

/// What stands for the client's id.
pub(crate) const CLIENT_ID: &str = "{clientid}";

impl Default for RequestsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            request: "coap/{clientid}/request".to_owned(),
            response: "coap/{clientid}/response".to_owned(),
            timeout: Duration::from_secs(30),
            timeout_max: Duration::from_secs(5 * 60),
            queue: 16,
            observations: 16,
        }
    }
}

/// Takes what makes topics of the ids of all clients, each its own.
fn topic<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if !text.split('/').any(|level| level == CLIENT_ID) {
        return Err(de::Error::custom(format!("the topic {text:?} has no level {CLIENT_ID}")));
    }
    match Topic::parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(de::Error::custom(format!("the topic {text:?} {error}"))),
    }
}
