mod directory;
mod fault;
mod requests;

use std::path::PathBuf;
use std::time::Duration;

use bus::{Qos, units};
use serde::{Deserialize, Serialize};

use crate::{StreamConfig, TopicsConfig, Transmission};
pub use directory::DirectoryConfig;
pub use fault::ConfigFault;
pub(crate) use requests::CLIENT_ID;
pub use requests::RequestsConfig;

/// How CoAP is offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which notifications the observer must acknowledge.
    pub notify: Notify,
    /// The QoS of a publish whose query has no `qos`.
    pub publish_qos: DefaultQos,
    /// The QoS of an observation whose query has no `qos`; at most 1.
    pub subscribe_qos: DefaultQos,
    /// How long a peer that observes nothing may be silent before its session ends.
    #[serde(with = "units::duration")]
    pub idle: Duration,
    /// How long an observer may be silent before it is asked whether it is there, and how long it may get
    /// nothing but non-confirmable notifications; at most a day.
    #[serde(with = "units::duration")]
    pub observer_check: Duration,
    /// How many non-confirmable notifications a peer gets before it must acknowledge one, at least 1: as many a
    /// victim may get whose address somebody forged.
    pub confirm_after: usize,
    /// The largest message sent, header and options included; never more than a UDP datagram or a record of
    /// DTLS holds. Choose 1152B where datagrams must not be fragmented.
    #[serde(with = "units::size")]
    pub largest_message: usize,
    /// The largest body that is taken or sent in blocks (RFC 7959); never more than `limits.packet`.
    #[serde(with = "units::size")]
    pub largest_body: usize,
    /// The largest block of a body: 16, 32, 64, 128, 256, 512 or 1024 bytes.
    #[serde(with = "units::size")]
    pub block: usize,
    /// Whether datagrams may carry bodies in Q-Blocks too (RFC 9177), whose sender need not wait for each.
    pub q_block: bool,
    /// Whether a peer on plain UDP must prove that it is at its address before it is sent more than three times what
    /// it sent: by Echo (RFC 9175), or by an acknowledgement.
    pub prove_address: bool,
    /// How many bodies of one peer may be under way in blocks, in each direction, at least 1.
    pub transfers: usize,
    /// The longest token taken from a peer, 8 to 65,804 bytes (RFC 8974); a longer one is 4.00, and with 8 a format
    /// error.
    pub longest_token: usize,
    /// The topic collection.
    pub topics: TopicsConfig,
    /// The resource directory.
    pub directory: DirectoryConfig,
    /// OSCORE, which protects requests and answers end to end.
    pub oscore: Oscore,
    /// Requests that applications send to clients.
    pub requests: RequestsConfig,
    /// The transmission parameters of the message layer.
    pub transmission: Transmission,
    /// Over TCP, TLS and WebSocket.
    pub stream: StreamConfig,
}

/// How OSCORE (RFC 8613) is offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Oscore {
    /// The file with the security contexts, a `[[context]]` for each device; nobody has one where it is empty.
    pub contexts_file: PathBuf,
    /// Whether every request must be protected, but for that of `/.well-known/core`.
    pub required: bool,
    /// The contexts in force; whoever reads the file puts them there.
    #[serde(skip)]
    pub in_force: oscore::Shared,
}

/// Which notifications are confirmable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// Those of QoS 1 and above.
    #[default]
    Qos,
    /// All.
    Con,
    /// None but one in `confirm_after` and one a day; QoS 1 then ends at the broker.
    Non,
}

/// The QoS where the peer names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultQos {
    /// 0 for a non-confirmable request, 1 for a confirmable one.
    #[default]
    Coap,
    /// 0
    Qos0,
    /// 1
    Qos1,
    /// 2
    Qos2,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            notify: Notify::default(),
            publish_qos: DefaultQos::default(),
            subscribe_qos: DefaultQos::default(),
            idle: Duration::from_secs(5 * 60),
            observer_check: DAY,
            confirm_after: 32,
            largest_message: 64 << 10,
            largest_body: 4 << 20,
            block: 1 << 10,
            q_block: true,
            prove_address: true,
            transfers: 4,
            longest_token: 64,
            topics: TopicsConfig::default(),
            directory: DirectoryConfig::default(),
            oscore: Oscore::default(),
            requests: RequestsConfig::default(),
            transmission: Transmission::default(),
            stream: StreamConfig::default(),
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// A notification is confirmable at least so often [RFC7641 4.5].
    pub(crate) fn confirm_every(&self) -> Duration {
        self.observer_check.min(DAY)
    }
}

impl DefaultQos {
    pub(crate) fn of(self, confirmable: bool) -> Qos {
        match self {
            Self::Coap if confirmable => Qos::AtLeastOnce,
            Self::Coap | Self::Qos0 => Qos::AtMostOnce,
            Self::Qos1 => Qos::AtLeastOnce,
            Self::Qos2 => Qos::ExactlyOnce,
        }
    }
}
