use std::collections::BTreeMap;
use std::time::Duration;

use bus::{Qos, SessionExpiry, units};
use serde::{Deserialize, Serialize};

use crate::{AutoSubscribe, DelayedConfig, PriorityConfig, ShareStrategy};

/// What sessions, queues and retained messages may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many sessions there may be, connected or not.
    pub max_sessions: usize,
    /// Whether a session belongs to the user who opened it: a client with its id and another user name, or none, is
    /// not let in while it lasts.
    pub bind_sessions: bool,
    /// How many messages one session's queue may hold.
    pub queue_messages: usize,
    /// How many bytes one session's queue may hold.
    #[serde(with = "units::size")]
    pub queue_bytes: usize,
    /// What happens to a message for a full queue.
    pub when_full: WhenFull,
    /// Whether at-most-once messages are queued while the client is away.
    pub queue_qos0_offline: bool,
    /// How many deliveries a session may leave unacknowledged, whatever the client asks for.
    pub max_inflight: u16,
    /// How many exactly-once publishes of one session may be unfinished.
    pub max_received: usize,
    /// How many subscriptions one session may hold.
    pub max_subscriptions: usize,
    /// How many bytes the filters of one session's subscriptions may hold.
    #[serde(with = "units::size")]
    pub subscription_bytes: usize,
    /// How many retained messages one session may have waiting before its next subscription is refused.
    pub max_replay: usize,
    /// The same for all sessions together.
    pub max_replay_total: usize,
    /// How many retained messages there may be.
    pub max_retained: usize,
    /// How many bytes all retained messages may hold.
    #[serde(with = "units::size")]
    pub retained_bytes: usize,
    /// Whether a retained message is delivered only while its publisher may still publish it.
    pub check_retained_source: bool,
    /// The largest payload that may be retained; `"0B"` sets no limit.
    #[serde(with = "units::size")]
    pub max_retained_payload: usize,
    /// How long a message stays retained whose publisher sets no expiry; `"0s"` is for ever.
    #[serde(with = "units::duration")]
    pub retained_expiry: Duration,
    /// How long a session may outlive its connection, whatever the client asks for.
    #[serde(with = "units::duration")]
    pub max_session_expiry: Duration,
    /// How long a message may be worth delivering, whatever the publisher asks for; `"0s"` sets no limit.
    #[serde(with = "units::duration")]
    pub max_message_expiry: Duration,
    /// The largest guarantee: 0, 1 or 2.
    pub max_qos: u8,
    /// Whether messages may be retained.
    pub retain: bool,
    /// Whether `$share/{group}/…` may be subscribed.
    pub shared_subscriptions: bool,
    /// Which member of a share group gets a message.
    pub share_strategy: ShareStrategy,
    /// How long a member's client may be away before what waits for it in its groups is passed on to other members.
    #[serde(with = "units::duration")]
    pub share_grace: Duration,
    /// Whether `$exclusive/…` may be subscribed, by one session at a time.
    pub exclusive_subscriptions: bool,
    /// Whether a filter may end with `?` and a condition on user properties: `{filter}?name=value&number>5`.
    pub property_filters: bool,
    /// Groups with a strategy of their own, by name; `$queue` is that of `$queue/…`.
    pub share_groups: BTreeMap<String, ShareStrategy>,
    /// What messages on `$delayed/{seconds}/…` may cost.
    pub delayed: DelayedConfig,
    /// Which waiting messages go first.
    pub priorities: PriorityConfig,
    /// Subscriptions that are made for each client when it connects.
    pub auto_subscribe: Vec<AutoSubscribe>,
}

/// What happens to a message for a full queue; either way it is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The message is thrown away.
    #[default]
    DropNewest,
    /// The oldest waiting message is thrown away in its place.
    DropOldest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 1_000_000,
            bind_sessions: true,
            queue_messages: 10_000,
            queue_bytes: 64 << 20,
            when_full: WhenFull::default(),
            queue_qos0_offline: false,
            max_inflight: 1_000,
            max_received: 1_000,
            max_subscriptions: 10_000,
            subscription_bytes: 4 << 20,
            max_replay: 1_000_000,
            max_replay_total: 10_000_000,
            max_retained: 1_000_000,
            retained_bytes: 1 << 30,
            check_retained_source: false,
            max_retained_payload: 0,
            retained_expiry: Duration::ZERO,
            max_session_expiry: Duration::from_secs(7 * 86_400),
            max_message_expiry: Duration::ZERO,
            max_qos: 2,
            retain: true,
            shared_subscriptions: true,
            share_strategy: ShareStrategy::default(),
            share_grace: Duration::from_secs(60),
            exclusive_subscriptions: true,
            property_filters: false,
            share_groups: BTreeMap::new(),
            delayed: DelayedConfig::default(),
            priorities: PriorityConfig::default(),
            auto_subscribe: Vec::new(),
        }
    }
}

impl Config {
    pub(crate) fn max_qos(&self) -> Qos {
        Qos::from_level(self.max_qos).unwrap_or(Qos::ExactlyOnce)
    }

    /// How long a message is worth delivering whose publisher asks for so long.
    pub(crate) fn message_expiry(&self, wish: Option<Duration>) -> Option<Duration> {
        let limit = Some(self.max_message_expiry).filter(|limit| !limit.is_zero());
        wish.into_iter().chain(limit).min()
    }

    /// What of the wish is granted.
    pub(crate) fn session_expiry(&self, wish: SessionExpiry) -> SessionExpiry {
        wish.min(SessionExpiry::After(self.max_session_expiry))
    }
}
