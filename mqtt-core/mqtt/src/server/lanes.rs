use std::collections::HashMap;

use bus::{Ack, DeliveryId, Filter, Lane, Outbox, Reason, Topic};

use super::Shared;
use crate::aliases::Incoming;
use crate::codec::PacketId;

/// What is to be remembered of a connection that may have several lanes.
///
/// Some clients count packet ids and topic aliases for each lane, others for the whole connection; both are
/// understood.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Where topics were subscribed, unless on the main lane.
    topics: HashMap<Box<str>, Lane>,
    /// The same for filters with wildcards, and for those of share groups.
    patterns: Vec<(Filter, Lane)>,
    /// Deliveries that were sent on another lane than the main one, and are not complete.
    deliveries: HashMap<DeliveryId, Lane>,
    /// Where exactly-once publishes came from that are not released.
    unreleased: HashMap<PacketId, Lane>,
    /// The topic aliases of other lanes than the main one.
    aliases: HashMap<Lane, Incoming>,
}

impl Lanes {
    /// Notes where a subscription is made. Those that are too many stay with the main lane.
    pub(super) fn subscribe(&mut self, filter: &Filter, lane: Lane, shared: &Shared) {
        self.unsubscribe(filter);
        if lane == Lane::MAIN || self.topics.len() + self.patterns.len() >= shared.limits.subscriptions {
            return;
        }
        if is_topic(filter) {
            self.topics.insert(filter.as_str().into(), lane);
        } else {
            self.patterns.push((filter.clone(), lane));
        }
    }

    /// The subscription ends.
    pub(super) fn unsubscribe(&mut self, filter: &Filter) {
        if is_topic(filter) {
            self.topics.remove(filter.as_str());
        } else {
            self.patterns.retain(|(known, _)| known != filter);
        }
    }

    /// Where a message goes: the lane that subscribed it, else the main one.
    pub(super) fn of(&self, topic: &Topic) -> Lane {
        let topic = topic.as_str();
        let pattern =
            || self.patterns.iter().find(|(filter, _)| filter.matches(topic)).map(|(_, lane)| *lane);
        self.topics.get(topic).copied().or_else(pattern).unwrap_or(Lane::MAIN)
    }

    /// Notes where a delivery was sent.
    pub(super) fn sent(&mut self, id: Option<DeliveryId>, lane: Lane) {
        let Some(id) = id else { return };
        if lane == Lane::MAIN {
            self.deliveries.remove(&id);
        } else {
            self.deliveries.insert(id, lane);
        }
    }

    /// The delivery is done.
    pub(super) fn completed(&mut self, id: DeliveryId) {
        self.deliveries.remove(&id);
    }

    /// Whether an exactly-once publish must wait: another lane uses its id for another message.
    pub(super) fn must_wait(&self, id: PacketId, duplicate: bool, lane: Lane) -> bool {
        !duplicate && self.unreleased.get(&id).is_some_and(|other| *other != lane)
    }

    /// An exactly-once publish has begun.
    pub(super) fn begun(&mut self, id: PacketId, lane: Lane) {
        self.unreleased.insert(id, lane);
    }

    /// The exactly-once publish is over.
    pub(super) fn released(&mut self, id: PacketId) {
        self.unreleased.remove(&id);
    }

    /// The topic that an alias stands for on this lane; `None` if it has none there.
    pub(super) fn alias(&self, alias: u16, lane: Lane) -> Option<Topic> {
        self.aliases.get(&lane)?.find(alias)
    }

    /// Gives a topic its number on this lane.
    pub(super) fn set_alias(
        &mut self,
        alias: u16,
        lane: Lane,
        topic: Topic,
        shared: &Shared,
    ) -> Result<(), Reason> {
        let others = self.aliases.iter().filter(|(other, _)| **other != lane);
        let taken: usize = others.map(|(_, aliases)| aliases.bytes()).sum();
        let bytes = shared.limits.packet.saturating_sub(taken);
        self.aliases.entry(lane).or_default().set(alias, topic, shared.limits.topic_aliases, bytes)
    }

    /// The lane is gone. Its subscriptions go on on the main lane, and what was not acknowledged comes again there.
    pub(super) fn closed(&mut self, lane: Lane, out: &mut Outbox) {
        self.topics.retain(|_, other| *other != lane);
        self.patterns.retain(|(_, other)| *other != lane);
        self.unreleased.retain(|_, other| *other != lane);
        self.aliases.remove(&lane);
        self.deliveries.retain(|id, other| {
            if *other == lane {
                out.ack(*id, Ack::Resend);
            }
            *other != lane
        });
    }
}

fn is_topic(filter: &Filter) -> bool {
    filter.share().is_none() && !filter.has_wildcard()
}
