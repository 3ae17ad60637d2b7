use std::time::Duration;

use bus::{Filter, Topic, units};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{Lwm2mPath, Object, WriteFormat};

/// How the gateway meets its devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The shortest lifetime of a registration; a device that asks for less gets this.
    #[serde(with = "units::duration")]
    pub lifetime_min: Duration,
    /// The longest lifetime; a device that asks for more, or for no end (0), gets this.
    #[serde(with = "units::duration")]
    pub lifetime_max: Duration,
    /// The lifetime of a registration that names none.
    #[serde(with = "units::duration")]
    pub lifetime: Duration,
    /// How long a device in queue mode listens after it was last heard. Commands wait outside of that time.
    #[serde(with = "units::duration")]
    pub qmode_time_window: Duration,
    /// How long commands wait for a device whose registration has ended without a good-bye; at least as long as
    /// its lifetime.
    #[serde(with = "units::duration")]
    pub session_expiry: Duration,
    /// How many observations a device may have.
    pub observations: usize,
    /// What is observed as soon as a device registers, where the device has it: `["/3303", "/3/0/9"]`.
    pub auto_observe: Vec<Lwm2mPath>,
    /// The format that values are written in unless the command names one: `tlv`, `json`, `senml-json`, `text` or
    /// `opaque`.
    pub write_format: WriteFormat,
    /// The topics of commands and events.
    pub topics: Topics,
    /// Objects beyond those that are known, or other definitions of them.
    pub objects: Vec<Object>,
}

/// The topics of commands and events, each behind `prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// What all topics of a device begin with; `{endpoint}` stands for its name.
    #[serde(deserialize_with = "prefix")]
    pub prefix: String,
    /// The filter of the commands to the device.
    #[serde(deserialize_with = "filter")]
    pub command: String,
    /// Where the answers to commands go.
    #[serde(deserialize_with = "topic")]
    pub response: String,
    /// Where notifications go.
    #[serde(deserialize_with = "topic")]
    pub notify: String,
    /// Where it is told that a device registered.
    #[serde(deserialize_with = "topic")]
    pub register: String,
    /// Where it is told that a device updated its registration.
    #[serde(deserialize_with = "topic")]
    pub update: String,
    /// Where it is told that a registration ended.
    #[serde(deserialize_with = "topic")]
    pub deregister: String,
}

/// What stands for the name of the device.
const ENDPOINT: &str = "{endpoint}";

impl Default for Config {
    fn default() -> Self {
        Self {
            lifetime_min: Duration::from_secs(15),
            lifetime_max: Duration::from_secs(86_400),
            lifetime: Duration::from_secs(86_400), // [LwM2M 1.0.2 5.3.1]
            qmode_time_window: Duration::from_secs(93), // MAX_TRANSMIT_WAIT [LwM2M 1.1 Transport 6.5]
            session_expiry: Duration::from_secs(86_400),
            observations: 100,
            auto_observe: Vec::new(),
            write_format: WriteFormat::Tlv,
            topics: Topics::default(),
            objects: Vec::new(),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            prefix: "lwm2m/{endpoint}/".to_owned(),
            command: "dn/#".to_owned(),
            response: "up/resp".to_owned(),
            notify: "up/notify".to_owned(),
            register: "up/resp".to_owned(),
            update: "up/update".to_owned(),
            deregister: "up/resp".to_owned(),
        }
    }
}

impl Topics {
    /// One of the topics as it is for a device.
    pub(crate) fn of(&self, endpoint: &str, topic: &str) -> String {
        format!("{}{topic}", self.prefix.replace(ENDPOINT, endpoint))
    }
}

/// Takes what makes topics of the names of all devices, each its own.
fn prefix<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if !text.contains(ENDPOINT) {
        return Err(de::Error::custom(format!("the prefix {text:?} lacks {ENDPOINT}")));
    }
    check(text, |text| Topic::parse(text).map(drop))
}

fn topic<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    check(String::deserialize(from)?, |text| Topic::parse(text).map(drop))
}

fn filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    check(String::deserialize(from)?, |text| Filter::parse(text).map(drop))
}

fn check<E: de::Error>(text: String, parse: fn(&str) -> Result<(), bus::TopicError>) -> Result<String, E> {
    match parse(&text) {
        Ok(()) => Ok(text),
        Err(error) => Err(E::custom(format!("the topic {text:?} {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_written_and_read_and_mistakes_are_named() {
        let written = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), Config::default());
        let cases = [
            ("lifetime_max = \"x\"", "is not a duration"),
            ("auto_observe = [\"/x\"]", "is not a path"),
            ("topics = { prefix = \"lwm2m/\" }", "lacks {endpoint}"),
            ("topics = { response = \"up/#\" }", "misplaced wildcard"),
            ("write_format = \"xml\"", "unknown variant"),
            ("speed = 1", "unknown field"),
        ];
        for (text, expected) in cases {
            let error = toml::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn another_object_is_defined_in_the_configuration() {
        let text = "[[objects]]\nid = 31024\nname = \"Ours\"\nresources = [{ id = 1, name = \"A\", type = \"Time\" }]";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.objects[0].resources[0].data_type, Some(crate::DataType::Time));
    }
}
