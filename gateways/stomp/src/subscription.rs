use std::collections::HashMap;

use bus::{Filter, Limits, ProtocolError, Reason, SubscribeOptions, SubscriptionId, Ticket};

use crate::error::error;
use crate::publish::{flag, qos};
use crate::{Frame, Version};

/// The subscriptions of one connection by the id that the bus knows them by.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    table: HashMap<SubscriptionId, Subscription>,
    /// How many bytes all names have.
    bytes: usize,
    /// Whether a subscription ever got another id than the one its name stands for.
    displaced: bool,
}

/// One subscription as the client made it.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) name: Name,
    pub(crate) ack: AckMode,
    pub(crate) shared: bool,
    /// The request that ends it, once the client has asked for that.
    pub(crate) ends: Option<Ticket>,
}

/// What the client calls a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// By its `id` header.
    Id(Box<str>),
    /// By its destination: 1.0 knows subscriptions without an id.
    Destination(Box<str>),
}

/// Who acknowledges, and how much at once [STOMP1.2 SUBSCRIBE ack Header].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckMode {
    /// Nobody: what is sent counts as received.
    Auto,
    /// The client, up to the message it names.
    Client,
    /// The client, one message at a time.
    ClientIndividual,
}

/// What a SUBSCRIBE frame asks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: Name,
    pub(crate) ack: AckMode,
    pub(crate) filter: Filter,
    pub(crate) options: SubscribeOptions,
}

impl Wanted {
    pub(crate) fn parse(
        frame: &Frame,
        version: Version,
        longest: usize,
        limits: &Limits,
    ) -> Result<Self, ProtocolError> {
        let destination =
            frame.header("destination").ok_or(ProtocolError::violation("SUBSCRIBE has no destination"))?;
        let filter = Filter::parse_with_condition(destination)
            .map_err(|_| error(Reason::FilterInvalid, "no topic filter"))?;
        if filter.levels().count() > limits.topic_levels {
            return Err(error(Reason::FilterInvalid, "the topic filter has too many levels"));
        }
        if frame.header("selector").is_some_and(|selector| !selector.trim().is_empty()) {
            return Err(error(Reason::UnsupportedFeature, "selectors are not supported"));
        }
        let ack = match frame.header("ack") {
            None | Some("auto") => AckMode::Auto,
            Some("client") => AckMode::Client,
            Some("client-individual") if version != Version::V1_0 => AckMode::ClientIndividual,
            Some(_) => return Err(ProtocolError::violation("ack is no mode of this STOMP version")),
        };
        let no_local = flag(frame, "no-local", "no-local is neither true nor false")?;
        if no_local && filter.share().is_some() {
            return Err(ProtocolError::violation("no-local means nothing in a share group")); // [MQTT-3.8.3-4]
        }
        let options = SubscribeOptions { qos: qos(frame)?, no_local, ..Default::default() };
        Ok(Self { name: Name::parse(frame, version, longest)?, ack, filter, options })
    }
}

impl Name {
    /// The name that a SUBSCRIBE or UNSUBSCRIBE uses.
    pub(crate) fn parse(frame: &Frame, version: Version, longest: usize) -> Result<Self, ProtocolError> {
        match (frame.header("id"), frame.header("destination")) {
            (Some(name), _) | (None, Some(name)) if name.len() > longest => Err(too_long()),
            (Some(id), _) => Ok(Self::Id(id.into())),
            (None, Some(destination)) if version == Version::V1_0 => {
                Ok(Self::Destination(destination.into()))
            }
            (None, _) => Err(ProtocolError::violation("the id of the subscription is missing")),
        }
    }

    /// The text for the `subscription` header, which a subscription without an id goes without.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Destination(_) => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::Destination(text) => text,
        }
    }

    /// The bus id that this name has in every connection: above the numbers that MQTT has for subscriptions, the
    /// number itself if the name is one; else a hash in the upper half. A resumed session knows its subscriptions
    /// by nothing else.
    fn stable(&self) -> SubscriptionId {
        const LOWER: u32 = 1 << 28; // [MQTT5 3.8.2.1.2]
        const UPPER: u32 = 1 << 31;
        let (salt, text) = match self {
            Self::Id(id) => (0x00, id),
            Self::Destination(destination) => (0xFF, destination),
        };
        let number = self.id().and_then(|id| id.parse().ok()).filter(|number: &u32| {
            *number < UPPER - LOWER && self.id().is_some_and(|id| id == number.to_string())
        });
        if let Some(number) = number {
            return SubscriptionId(LOWER + number);
        }
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a
        for byte in std::iter::once(salt).chain(text.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let folded = (hash >> 32) as u32 ^ hash as u32;
        SubscriptionId(folded | UPPER)
    }
}

impl Subscriptions {
    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.table.get(&id)
    }

    /// The subscription with this name that the client has not ended.
    pub(crate) fn find(&self, name: &Name) -> Option<SubscriptionId> {
        let named = |subscription: &Subscription| subscription.name == *name && subscription.ends.is_none();
        let stable = name.stable();
        if self.table.get(&stable).is_some_and(named) {
            return Some(stable);
        }
        let mut all = self.displaced.then(|| self.table.iter()).into_iter().flatten();
        all.find(|(_, subscription)| named(subscription)).map(|(id, _)| *id)
    }

    /// Takes a subscription in and allots its bus id.
    ///
    /// Two names rarely meet in one id. A session that outlives the connection cannot be told later which was
    /// meant, so there the second name is refused; else it gets the next free id.
    pub(crate) fn insert(
        &mut self,
        subscription: Subscription,
        durable: bool,
        limits: &Limits,
    ) -> Result<SubscriptionId, ProtocolError> {
        if self.find(&subscription.name).is_some() {
            return Err(error(Reason::PacketIdInUse, "a subscription with this id exists already"));
        }
        if self.table.len() >= limits.subscriptions {
            return Err(error(Reason::QuotaExceeded, "no more subscriptions than limits.subscriptions"));
        }
        let mut id = subscription.name.stable();
        while self.table.get(&id).is_some_and(|taken| taken.name != subscription.name) {
            if durable {
                return Err(error(Reason::PacketIdInUse, "the subscription needs another id"));
            }
            id = SubscriptionId(id.0.checked_add(1).unwrap_or(1 << 28));
            self.displaced = true;
        }
        let length = subscription.name.text().len();
        if self.bytes + length > limits.packet {
            let detail = "the ids of all subscriptions are longer together than limits.packet";
            return Err(error(Reason::QuotaExceeded, detail));
        }
        self.bytes += length;
        if let Some(replaced) = self.table.insert(id, subscription) {
            self.bytes -= replaced.name.text().len();
        }
        Ok(id)
    }

    /// Notes that the client has asked to end a subscription.
    pub(crate) fn end(&mut self, id: SubscriptionId, ticket: Ticket) {
        if let Some(subscription) = self.table.get_mut(&id) {
            subscription.ends = Some(ticket);
        }
    }

    /// Forgets a subscription that ended with this request, unless it was made anew since.
    pub(crate) fn ended(&mut self, id: SubscriptionId, ticket: Ticket) {
        if self.table.get(&id).is_some_and(|subscription| subscription.ends == Some(ticket))
            && let Some(ended) = self.table.remove(&id)
        {
            self.bytes -= ended.name.text().len();
        }
    }
}

pub(crate) fn too_long() -> ProtocolError {
    error(Reason::PacketTooLarge, "an id, receipt or transaction name is longer than stomp.name allows")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str) -> Subscription {
        Subscription { name: Name::Id(id.into()), ack: AckMode::Auto, shared: false, ends: None }
    }

    #[test]
    fn a_name_has_the_same_bus_id_in_every_connection() {
        assert_eq!(Name::Id("0".into()).stable(), SubscriptionId(1 << 28));
        assert_eq!(Name::Id("41".into()).stable(), SubscriptionId((1 << 28) + 41));
        assert_eq!(Name::Id("sub-0".into()).stable(), Name::Id("sub-0".into()).stable());
        for id in ["sub-0", "007", "+1", "4294967295", ""] {
            assert!(Name::Id(id.into()).stable().0 >= 1 << 31, "{id} is hashed");
        }
        assert_ne!(Name::Id("a".into()).stable(), Name::Destination("a".into()).stable());
    }

    #[test]
    fn names_that_meet_in_one_id_are_told_apart_or_refused() {
        let (one, other) = colliding();
        let limits = Limits::default();
        let mut passing = Subscriptions::default();
        let first = passing.insert(named(&one), false, &limits).expect("free");
        let second = passing.insert(named(&other), false, &limits).expect("the next id is free");
        assert_ne!(first, second);
        assert_eq!(passing.find(&Name::Id(other.as_str().into())), Some(second));

        let mut durable = Subscriptions::default();
        durable.insert(named(&one), true, &limits).expect("free");
        let refused = durable.insert(named(&other), true, &limits).expect_err("the id is taken");
        assert_eq!(refused.reason, Reason::PacketIdInUse);
    }

    /// Two names with one hash, found by trying.
    fn colliding() -> (String, String) {
        let mut seen = HashMap::new();
        for n in 0_u32.. {
            let name = format!("x{n}");
            if let Some(other) = seen.insert(Name::Id(name.as_str().into()).stable(), name.clone()) {
                return (other, name);
            }
        }
        unreachable!("31 bits collide long before 32 bits are counted through")
    }
}
