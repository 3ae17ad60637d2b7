use super::wire::{packet, properties, text};
use super::{Version, property};

/// A CONNECT that keeps to the rules; one that does not is written by hand.
#[derive(Clone, Debug)]
pub struct Connect {
    pub(super) version: Version,
    client_id: String,
    clean: bool,
    keep_alive: u16,
    properties: Vec<u8>,
    will: Option<Will>,
    user_name: Option<String>,
    password: Option<String>,
}

/// The will of a CONNECT.
#[derive(Clone, Debug)]
pub struct Will {
    topic: String,
    payload: String,
    qos: u8,
    retain: bool,
    properties: Vec<u8>,
}

impl Connect {
    /// A CONNECT that begins a new session which ends with its connection.
    pub fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.to_owned(),
            clean: true,
            keep_alive: 60,
            properties: Vec::new(),
            will: None,
            user_name: None,
            password: None,
        }
    }

    /// A CONNECT that takes up its session, or begins one, which outlives its connection.
    pub fn to_session(version: Version, client_id: &str) -> Self {
        Self::new(version, client_id).clean(false).property(property::session_expiry(300))
    }

    /// Sets CleanSession or Clean Start.
    pub fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    /// Sets the keep alive time in seconds.
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Adds a property; MQTT 3.1.1 leaves it out.
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }

    /// Sets the will.
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// Sets the user name.
    pub fn user_name(mut self, name: &str) -> Self {
        self.user_name = Some(name.to_owned());
        self
    }

    /// Sets the password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The packet.
    pub fn bytes(&self) -> Vec<u8> {
        let mut flags = u8::from(self.clean) << 1;
        let mut payload = text(&self.client_id);
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
            payload.extend(properties(self.version, &will.properties));
            payload.extend(text(&will.topic));
            payload.extend(text(&will.payload));
        }
        if let Some(name) = &self.user_name {
            flags |= 0x80;
            payload.extend(text(name));
        }
        if let Some(password) = &self.password {
            flags |= 0x40;
            payload.extend(text(password));
        }
        let level = match self.version {
            Version::V3 => 4,
            Version::V5 => 5,
        };
        let [high, low] = self.keep_alive.to_be_bytes();
        let properties = properties(self.version, &self.properties);
        packet(0x10, &[&text("MQTT"), &[level, flags, high, low], &properties, &payload])
    }
}

impl Will {
    /// A will at QoS 0 that is not retained.
    pub fn new(topic: &str, payload: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.to_owned(),
            qos: 0,
            retain: false,
            properties: Vec::new(),
        }
    }

    /// Sets the QoS.
    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    /// Asks to retain it.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Adds a property; MQTT 3.1.1 leaves it out.
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}
