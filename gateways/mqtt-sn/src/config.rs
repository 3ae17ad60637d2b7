use std::collections::HashMap;
use std::num::NonZeroU16;
use std::time::Duration;

use bus::{Topic, units};
use serde::{Deserialize, Serialize};

/// How MQTT-SN is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The gateway id in GWINFO.
    pub gateway_id: u8,
    /// How long an acknowledgement is awaited before a message is sent again (T_retry).
    #[serde(with = "units::duration")]
    pub retry: Duration,
    /// How often a message is sent again before the client counts as lost (N_retry).
    pub retries: u8,
    /// The largest datagram sent; a message that does not fit is rejected, as MQTT-SN has no fragments.
    #[serde(with = "units::size")]
    pub datagram: usize,
    /// How long a session without CleanSession outlives its connection.
    #[serde(with = "units::duration")]
    pub session_expiry: Duration,
    /// How many characters a client id may have; the standard says 23.
    pub client_id_length: usize,
    /// How long a client that asked for no keep alive may be silent.
    #[serde(with = "units::duration")]
    pub without_keep_alive: Duration,
    /// Whether QoS -1 is taken: messages of devices that never connect.
    pub qos_minus_one: bool,
    /// The client id of a device that publishes with QoS -1; `{address}` stands for its address, and its node
    /// behind a forwarder.
    pub qos_minus_one_client_id: String,
    /// How long a device that publishes with QoS -1 may be silent before it is forgotten.
    #[serde(with = "units::duration")]
    pub qos_minus_one_idle: Duration,
    /// Topic ids that devices know without registration; of two for one id, the later counts.
    pub predefined: Vec<Predefined>,
}

/// A topic id that devices know without registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predefined {
    /// The id, 1 to 65535.
    pub id: NonZeroU16,
    /// The topic name, without wildcards.
    #[serde(with = "topic_name")]
    pub topic: Topic,
    /// The client it is for; every client if not set. One client's id goes before everyone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gateway_id: 1,
            retry: Duration::from_secs(10),
            retries: 4,
            datagram: 1_400,
            session_expiry: Duration::from_secs(24 * 3_600),
            client_id_length: 23,
            without_keep_alive: Duration::from_secs(24 * 3_600),
            qos_minus_one: true,
            qos_minus_one_client_id: "mqtt-sn-qos-1-{address}".to_owned(),
            qos_minus_one_idle: Duration::from_secs(60),
            predefined: Vec::new(),
        }
    }
}

/// The predefined topic ids, ready to be looked up.
#[derive(Debug, Default)]
pub(crate) struct PredefinedTopics {
    everyone: HashMap<u16, Topic>,
    of_client: HashMap<String, HashMap<u16, Topic>>,
}

impl PredefinedTopics {
    pub(crate) fn new(entries: &[Predefined]) -> Self {
        let mut topics = Self::default();
        for entry in entries {
            let table = match &entry.client_id {
                None => &mut topics.everyone,
                Some(client_id) => topics.of_client.entry(client_id.clone()).or_default(),
            };
            table.insert(entry.id.get(), entry.topic.clone());
        }
        topics
    }

    pub(crate) fn find(&self, client_id: &str, id: u16) -> Option<&Topic> {
        let own = self.of_client.get(client_id).and_then(|table| table.get(&id));
        own.or_else(|| self.everyone.get(&id))
    }
}

mod topic_name {
    use bus::Topic;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Topic, D::Error> {
        let name = String::deserialize(from)?;
        Topic::parse(&name).map_err(|error| D::Error::custom(format_args!("the topic {name:?} {error}")))
    }

    pub(super) fn serialize<S: Serializer>(topic: &Topic, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(topic.as_str())
    }
}
