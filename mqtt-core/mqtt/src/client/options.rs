use std::time::Duration;

use bus::{EnhancedAuthentication, SessionExpiry, UserProperty, Will};
use bytes::Bytes;

use crate::codec::Version;

/// How a client connects, and what it may cost.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The version to speak.
    pub version: Version,
    /// The client id; empty lets the server choose, where the version allows it.
    pub client_id: String,
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Bytes>,
    /// The first step of an enhanced authentication (MQTT 5).
    pub authentication: Option<EnhancedAuthentication>,
    /// What the server publishes when this client is lost.
    pub will: Option<Will>,
    /// How often the server hears of this client at least, in seconds; 0 is never.
    pub keep_alive: u16,
    /// Whether the server throws an earlier session away, at every connect.
    pub clean_start: bool,
    /// How long the server keeps the session (MQTT 5).
    pub session_expiry: SessionExpiry,
    /// What else CONNECT says of this client (MQTT 5).
    pub said: Vec<UserProperty>,
    /// Whether the server shall say what response topics may be made of (MQTT 5).
    pub request_response_information: bool,
    /// Whether the server may say in words why something failed, in packets other than CONNACK, PUBLISH and
    /// DISCONNECT (MQTT 5).
    pub request_problem_information: bool,
    /// Whether to say by the level's top bit that this is a bridge (MQTT 3).
    pub bridge: bool,
    /// Whether messages are acknowledged by [`MqttClient::acknowledge`](crate::MqttClient::acknowledge) only.
    pub acknowledge_by_hand: bool,
    /// How long an answer to CONNECT or PINGREQ may take.
    pub patience: Duration,
    /// The largest packet taken.
    pub packet_maximum: usize,
    /// How many messages above QoS 0 the server may leave unfinished.
    pub receive_maximum: u16,
    /// The highest topic alias taken (MQTT 5).
    pub topic_alias_maximum: u16,
    /// How many user properties of a message are taken (MQTT 5).
    pub user_properties: usize,
    /// How many publishes above QoS 0 are kept until they are acknowledged, and how many subscribe or
    /// unsubscribe requests.
    pub unacknowledged: usize,
    /// How many events wait to be taken, at most; when there are so many, no input is taken.
    pub events: usize,
}

impl ClientOptions {
    /// A client of a version with an id, a clean start and a keep alive of 60 s.
    pub fn new(version: Version, client_id: impl Into<String>) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            username: None,
            password: None,
            authentication: None,
            will: None,
            keep_alive: 60,
            clean_start: true,
            session_expiry: SessionExpiry::AtOnce,
            said: Vec::new(),
            request_response_information: false,
            request_problem_information: true,
            bridge: false,
            acknowledge_by_hand: false,
            patience: Duration::from_secs(30),
            packet_maximum: 1 << 20,
            receive_maximum: 100,
            topic_alias_maximum: 16,
            user_properties: 100,
            unacknowledged: 1_000,
            events: 1_000,
        }
    }
}
