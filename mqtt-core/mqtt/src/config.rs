use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// What an operator may choose of MQTT; what a connection may cost is in [`bus::Limits`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The longest keep alive, or "none": a client of MQTT 5 that asks for more, or for none, is told to use
    /// this. Earlier versions cannot be told.
    #[serde(with = "bound")]
    pub keep_alive_maximum: Option<Duration>,
    /// How many keep alives a client may be silent, 1 to 100. The standard says 1.5; more is against it.
    #[serde(deserialize_with = "multiplier")]
    pub keep_alive_multiplier: f64,
    /// The longest time a session outlives its connection, or "none"; sessions of MQTT 3 without "clean
    /// session" get exactly this.
    #[serde(with = "bound")]
    pub session_expiry_maximum: Option<Duration>,
    /// How many topic aliases are used towards a client of MQTT 5 that takes them; 0 to 255.
    pub topic_aliases_sent: u8,
    /// Whether an MQTT 3.1 client may have an id of more than 23 characters, which that version forbids.
    pub long_client_ids: bool,
    /// What a client of MQTT 5 is told when it asks what to make response topics of, in which `%c` stands for its id;
    /// empty to tell nothing.
    pub response_information: String,
    /// Where a client of MQTT 5 shall go that is told to use another server, and what all of them are told when
    /// this one shuts down: `host:port` names with spaces between; empty to name none.
    pub server_reference: String,
    /// Whether a client of MQTT 5 hears that it may not publish or subscribe, 0x87; else it hears no more than
    /// that it failed, 0x80.
    pub tell_not_authorized: bool,
    /// Whether filters may have wildcards.
    pub wildcard_subscriptions: bool,
    /// Whether a client of MQTT 5 may give its subscriptions identifiers.
    pub subscription_identifiers: bool,
    /// Whether clients of MQTT 3, which have no such option, get nothing back that they published themselves.
    pub v3_no_local: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_alive_maximum: None,
            keep_alive_multiplier: 1.5,
            session_expiry_maximum: None,
            topic_aliases_sent: 16,
            long_client_ids: true,
            response_information: String::new(),
            server_reference: String::new(),
            tell_not_authorized: true,
            wildcard_subscriptions: true,
            subscription_identifiers: true,
            v3_no_local: false,
        }
    }
}

/// Less than one keep alive would close connections of clients that do all they promised.
fn multiplier<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let factor = f64::deserialize(from)?;
    if (1.0..=100.0).contains(&factor) {
        return Ok(factor);
    }
    Err(D::Error::custom(format!("{factor} is not from 1 to 100")))
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
        for wrong in [
            "keep_alive = \"30s\"",
            "keep_alive_maximum = \"soon\"",
            "topic_aliases_sent = 256",
            "keep_alive_multiplier = 0.9",
            "keep_alive_multiplier = nan",
        ] {
            assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
        }
    }
}
