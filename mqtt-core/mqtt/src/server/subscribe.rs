use bus::{
    Filter, Keyed, Outbox, ProtocolError, Qos, Reason, Request, SubscribeOptions, Subscription,
    SubscriptionId,
};

use super::Shared;
use super::connected::Connected;
use super::ticket::Asked;
use crate::codec::{
    Kind, Packet, PacketId, Properties, Property, ReasonCode, SubAck, Subscribe, Unsubscribe, Version,
};

impl Connected {
    pub(super) fn subscribe(
        &mut self,
        packet: &Subscribe<'_>,
        shared: &Shared,
        out: &mut Outbox,
    ) -> Result<(), ProtocolError> {
        check_count(packet.filters.len(), shared)?;
        let id = packet.properties.find(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        });
        let id = SubscriptionId(id.unwrap_or(0));
        if id.0 > 0 && !shared.config.subscription_identifiers {
            let reason = Reason::SubscriptionIdsNotSupported;
            return Err(ProtocolError { reason, detail: "CONNACK told that there are no identifiers" }); // [MQTT5 3.2.2.3.12]
        }
        let mut subscriptions = Vec::new();
        let mut refused = Vec::new();
        for (place, (text, options)) in packet.filters.iter().enumerate() {
            let filter = filter(text)?;
            let options = self.options(*options, &filter)?;
            match self.check_filter(&filter, shared)? {
                None => subscriptions.push(Subscription { id, filter, options, keyed: Keyed::ByFilter }),
                Some(reason) => refused.push((place, reason)),
            }
        }
        if let Some(lanes) = self.lanes() {
            subscriptions.iter().for_each(|made| lanes.subscribe(&made.filter, out.lane(), shared));
        }
        if !refused.is_empty() {
            self.rare().refused.push((packet.id, refused));
        }
        out.request(Asked::Subscribe(packet.id).ticket(out.lane()), Request::Subscribe(subscriptions));
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        packet: &Unsubscribe<'_>,
        shared: &Shared,
        out: &mut Outbox,
    ) -> Result<(), ProtocolError> {
        check_count(packet.filters.len(), shared)?;
        let filters = packet.filters.iter().map(|text| filter(text));
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        if let Some(lanes) = self.lanes() {
            filters.iter().for_each(|filter| lanes.unsubscribe(filter));
        }
        let filters = filters.into_iter().map(bus::Unsubscribe::Filter).collect();
        out.request(Asked::Unsubscribe(packet.id).ticket(out.lane()), Request::Unsubscribe(filters));
        Ok(())
    }

    pub(super) fn subscribed(
        &mut self,
        id: PacketId,
        mut results: Vec<Result<Qos, Reason>>,
        out: &mut Outbox,
    ) {
        for (place, reason) in self.refused(id) {
            results.insert(place.min(results.len()), Err(reason));
        }
        let is_v5 = self.version == Version::V5;
        let codes = results.iter().map(|result| match result {
            Ok(qos) => ReasonCode(qos.level()),
            Err(reason) if is_v5 => self.refusal(*reason, Kind::SubAck).0,
            Err(_) => ReasonCode::UNSPECIFIED_ERROR, // the only failure MQTT 3 has [MQTT-3.9.3-2]
        });
        let codes: Vec<_> = codes.collect();
        let refused = results.iter().filter_map(|result| result.err());
        let first = refused.filter_map(|reason| self.refusal(reason, Kind::SubAck).1).next();
        self.acknowledge(first, out, |properties| {
            Packet::SubAck(SubAck { id, properties, codes: codes.clone() }) // [MQTT-3.8.4-6]
        });
    }

    pub(super) fn unsubscribed(&mut self, id: PacketId, results: &[Result<(), Reason>], out: &mut Outbox) {
        let codes = results.iter().map(|result| match result {
            Ok(()) => ReasonCode::SUCCESS,
            Err(reason) => self.refusal(*reason, Kind::UnsubAck).0,
        });
        let codes: Vec<_> = codes.collect();
        let failures = results.iter().filter_map(|result| result.err());
        let first = failures
            .filter(|reason| *reason != Reason::NoSubscription)
            .find_map(|reason| self.refusal(reason, Kind::UnsubAck).1);
        self.acknowledge(first, out, |properties| {
            Packet::UnsubAck(SubAck { id, properties, codes: codes.clone() })
        });
    }

    /// The filters of a SUBSCRIBE that the broker was not asked for, by their places.
    fn refused(&mut self, id: PacketId) -> Vec<(usize, Reason)> {
        let Some(rare) = &mut self.rare else { return Vec::new() };
        let found = rare.refused.iter().position(|(refused, _)| *refused == id);
        found.map(|at| rare.refused.remove(at).1).unwrap_or_default()
    }

    /// Why a filter is refused that is well formed; an error is what the CONNACK ruled out.
    fn check_filter(&self, filter: &Filter, shared: &Shared) -> Result<Option<Reason>, ProtocolError> {
        if filter.levels().count() > shared.limits.topic_levels {
            return Ok(Some(Reason::FilterInvalid));
        }
        if shared.config.wildcard_subscriptions || !filter.has_wildcard() {
            return Ok(None);
        }
        let reason = Reason::WildcardsNotSupported;
        if self.version == Version::V5 {
            return Err(ProtocolError { reason, detail: "CONNACK told that there are no wildcards" }); // [MQTT5 3.2.2.3.11]
        }
        Ok(Some(reason))
    }

    /// Sends an answer, with the first failure in words.
    pub(super) fn acknowledge(
        &self,
        failure: Option<Reason>,
        out: &mut Outbox,
        make: impl Fn(Properties<'_>) -> Packet<'_>,
    ) {
        match failure {
            Some(reason) => self.terms().explain(out, reason.explain(), make),
            None => self.terms().answer(out, &make(Properties::NONE)),
        }
    }

    /// A bridge gets nothing back that it sent, and sees which messages were retained.
    fn options(&self, asked: SubscribeOptions, filter: &Filter) -> Result<SubscribeOptions, ProtocolError> {
        let (manner, is_shared) = (self.manner(), filter.share().is_some());
        if is_shared && !manner.shared_subscriptions_available && self.version == Version::V5 {
            let reason = Reason::SharedSubscriptionsNotSupported;
            return Err(ProtocolError { reason, detail: "CONNACK told that nothing is shared" }); // [MQTT5 3.2.2.3.13]
        }
        if is_shared && asked.no_local {
            return Err(ProtocolError::violation("a shared subscription with no local")); // [MQTT-3.8.3-4]
        }
        Ok(SubscribeOptions {
            no_local: asked.no_local || (manner.no_local && !is_shared),
            retain_as_published: asked.retain_as_published || manner.bridge,
            ..asked
        })
    }
}

/// No packet needs more filters than a connection may have subscriptions.
fn check_count(filters: usize, shared: &Shared) -> Result<(), ProtocolError> {
    if filters > shared.limits.subscriptions {
        return Err(ProtocolError { reason: Reason::QuotaExceeded, detail: "more filters than are taken" });
    }
    Ok(())
}

fn filter(text: &str) -> Result<Filter, ProtocolError> {
    let invalid = |detail| ProtocolError { reason: Reason::FilterInvalid, detail };
    Filter::parse_with_condition(text).map_err(|_| invalid("the filter is not well formed")) // [MQTT-4.7.1]
}
