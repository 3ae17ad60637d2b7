use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an operator may choose of MQTT; what a connection may cost is in [`bus::Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The longest keep alive, or "none": a client of MQTT 5 that asks for more, or for none, is told to use
    /// this. Earlier versions cannot be told.
    #[serde(with = "bound")]
    pub keep_alive_maximum: Option<Duration>,
    /// The longest time a session outlives its connection, or "none"; sessions of MQTT 3 without "clean
    /// session" get exactly this.
    #[serde(with = "bound")]
    pub session_expiry_maximum: Option<Duration>,
    /// How many topic aliases are used towards a client of MQTT 5 that takes them; 0 to 255.
    pub topic_aliases_sent: u8,
    /// Whether an MQTT 3.1 client may have an id of more than 23 characters, which that version forbids.
    pub long_client_ids: bool,
    /// What a client of MQTT 5 is told when it asks what to make response topics of; empty to tell nothing.
    pub response_information: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_alive_maximum: None,
            session_expiry_maximum: None,
            topic_aliases_sent: 16,
            long_client_ids: true,
            response_information: String::new(),
        }
    }
}

/// A duration, or `"none"`.
mod bound {
    use std::time::Duration;

    use bus::units;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        match String::deserialize(from)?.as_str() {
            "none" => Ok(None),
            text => units::parse_duration(text).map(Some).map_err(D::Error::custom),
        }
    }

    pub(super) fn serialize<S: Serializer>(bound: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match bound {
            None => to.serialize_str("none"),
            Some(duration) => to.serialize_str(&units::write_duration(*duration)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_duration_or_none_and_unknown_keys_are_refused() {
        let config: Config =
            toml::from_str("keep_alive_maximum = \"30s\"\nsession_expiry_maximum = \"none\"").unwrap();
        assert_eq!(
            (config.keep_alive_maximum, config.session_expiry_maximum),
            (Some(Duration::from_secs(30)), None)
        );
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), config);
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
        for wrong in ["keep_alive = \"30s\"", "keep_alive_maximum = \"soon\"", "topic_aliases_sent = 256"] {
            assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
        }
    }
}
