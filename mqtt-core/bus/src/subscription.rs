use crate::{Filter, Qos};

/// The id a protocol gives its subscription; every delivery names those that it matched.
///
/// It is stored with the session, so that a protocol can keep what it needs in it across connections: the
/// MQTT 5 subscription identifier, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u32);

/// A wish to receive.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Chosen by the protocol.
    pub id: SubscriptionId,
    /// What to receive.
    pub filter: Filter,
    /// How to receive it.
    pub options: SubscribeOptions,
    /// Which older subscription of the session this one replaces.
    pub keyed: Keyed,
}

/// How messages are received [MQTT5 3.8.3.1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The most the subscriber wants of a hop.
    pub qos: Qos,
    /// Leave out what the subscriber itself published.
    pub no_local: bool,
    /// Keep the publisher's retain flag on live messages.
    pub retain_as_published: bool,
    /// When to send retained messages.
    pub retain_handling: RetainHandling,
}

/// When a subscription is answered with the retained messages that match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// Whenever it is made.
    #[default]
    Always,
    /// When it replaces none.
    IfNew,
    /// Not at all.
    Never,
}

/// What makes two subscriptions of one session the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keyed {
    /// The filter: subscribing again replaces (MQTT, MQTT-SN).
    #[default]
    ByFilter,
    /// The id: one filter may be subscribed twice (STOMP, CoAP observe).
    ById,
}

/// Which subscription ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsubscribe {
    /// The one with this filter.
    Filter(Filter),
    /// The one with this id.
    Id(SubscriptionId),
}
