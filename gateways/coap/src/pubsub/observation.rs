use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bus::{
    Ack, ContentFormat, Delivery, DeliveryId, Filter, Message as Published, Outbox, Qos, Reason,
    SubscriptionId,
};

use super::Turn;
use super::configured::half_created;
use super::downlink::REQUESTS;
use super::operation::Preference;
use super::sequence::Sequence;
use crate::collection::{Seat, TopicId};
use crate::content::format;
use crate::{Code, Config, ETag, ExchangeId, Message, Notify, OptionNumber, ReplyTo, SendError, Token};

/// The first subscription id of observations; those below are for protocols that use [`PubSub`](crate::PubSub).
const FIRST_ID: u32 = 0x8000_0000;

/// How many non-confirmable notifications are remembered, so that a Reset to one ends its observation.
const REMEMBERED_UNCONFIRMED: usize = 64;

/// A peer's observations of topics [RFC7641].
#[derive(Debug)]
pub(crate) struct Observations {
    by_id: HashMap<SubscriptionId, Observation>,
    by_token: HashMap<Token, SubscriptionId>,
    next_id: u32,
    sequence: Sequence,
    /// Confirmable notifications and answers that are not acknowledged.
    unacknowledged: HashMap<ExchangeId, Sent>,
    unconfirmed: VecDeque<(ExchangeId, SubscriptionId)>,
    notify: Notify,
    confirm_every: Duration,
    confirm_after: usize,
    /// How many non-confirmable notifications were sent since the peer last acknowledged one.
    unproven: usize,
    /// Whether the last message was larger than a block.
    sends_blocks: bool,
    block: usize,
    most: usize,
}

/// A topic or filter that the peer observes with a token.
#[derive(Debug)]
pub(crate) struct Observation {
    /// The request that began it, or the last that renewed it.
    pub(crate) reply_to: ReplyTo,
    /// Whether notifications must say which topic they are of.
    names_topic: bool,
    /// Whether what it does not take is for another member of its share group.
    shared: bool,
    preference: Preference,
    /// The format of the first message that was sent.
    format: Pinned,
    /// When the peer last showed that it wants it.
    confirmed: Instant,
    /// Its place among the subscribers of a topic that has a configuration.
    seat: Option<Seat>,
}

/// Which format notifications have.
#[derive(Clone, Copy, Debug)]
enum Pinned {
    /// That of the first message.
    Open,
    Told(ContentFormat),
    /// The first message had none that is known, so that none is told.
    Untold,
}

#[derive(Debug)]
struct Sent {
    observation: SubscriptionId,
    delivery: Option<DeliveryId>,
    shared: bool,
}

/// What became of one notification.
enum Outcome {
    Awaited,
    Sent,
    /// The observation goes on or was over before.
    Failed(Reason),
    /// The peer is told that there is nothing to observe any more.
    Dismissed,
    /// The observation ends with it.
    Ended(Reason),
}

impl Observations {
    pub(crate) fn new(config: &Config, most: usize) -> Self {
        Self {
            by_id: HashMap::new(),
            by_token: HashMap::new(),
            next_id: 0,
            sequence: Sequence::default(),
            unacknowledged: HashMap::new(),
            unconfirmed: VecDeque::new(),
            notify: config.notify,
            confirm_every: config.confirm_every(),
            confirm_after: config.confirm_after.max(1),
            unproven: 0,
            sends_blocks: false,
            block: config.block,
            most,
        }
    }

    /// Whether this crate chose the id.
    pub(crate) fn owns(id: SubscriptionId) -> bool {
        id.0 >= FIRST_ID && id != REQUESTS
    }

    /// Chooses ids from here on, so that none is one of an earlier connection, of which deliveries may still come.
    pub(crate) fn begin_at(&mut self, chance: u64) {
        self.next_id = chance as u32 & !FIRST_ID;
    }

    /// Whether notifications are larger than a block, as far as can be foreseen.
    pub(crate) fn sends_blocks(&self) -> bool {
        self.sends_blocks
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Makes an observation, in place of the one with the same token [RFC7641 4.1]; `None` when there are too
    /// many.
    pub(crate) fn register(
        &mut self,
        reply_to: &ReplyTo,
        filter: &Filter,
        preference: Preference,
        seat: Option<Seat>,
        now: Instant,
    ) -> Option<SubscriptionId> {
        let id = match self.by_token.get(&reply_to.token) {
            Some(id) => *id,
            None if self.by_id.len() >= self.most => return None,
            None => self.unused_id(),
        };
        self.by_token.insert(reply_to.token.clone(), id);
        let (names_topic, shared) = (filter.as_topic().is_none(), filter.share().is_some());
        self.by_id.insert(
            id,
            Observation {
                reply_to: reply_to.clone(),
                names_topic,
                shared,
                preference,
                format: Pinned::Open,
                confirmed: now,
                seat,
            },
        );
        Some(id)
    }

    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&Observation> {
        self.by_id.get(&id)
    }

    pub(crate) fn find(&self, token: &Token) -> Option<SubscriptionId> {
        self.by_token.get(token).copied()
    }

    /// Takes the place away that an observation has among the subscribers of a topic, to be given back when it is
    /// renewed.
    pub(crate) fn take_seat(&mut self, token: &Token, topic: TopicId) -> Option<Seat> {
        let id = self.by_token.get(token)?;
        self.by_id.get_mut(id)?.seat.take_if(|seat| seat.topic == topic)
    }

    /// Whether it observes a topic that has a configuration.
    pub(crate) fn is_seated(&self, id: SubscriptionId) -> bool {
        self.by_id.get(&id).is_some_and(|observation| observation.seat.is_some())
    }

    /// The observations of a topic that has a configuration.
    pub(crate) fn of_topic(&self, topic: TopicId) -> Vec<SubscriptionId> {
        self.seated(|seat| seat.topic == topic)
    }

    /// The observations of topics whose configuration does not let them be any more.
    pub(crate) fn dismissed(&self, now: Instant) -> Vec<SubscriptionId> {
        self.seated(|seat| seat.terms(now).is_none())
    }

    /// When to look for [`Observations::dismissed`] again: at `latest`, or sooner if a topic ends before.
    pub(crate) fn next_look(&self, latest: Instant, now: Instant) -> Option<Instant> {
        let seats = self.by_id.values().filter_map(|observation| observation.seat.as_ref());
        seats
            .map(|seat| seat.terms(now).and_then(|terms| terms.ends).map_or(latest, |ends| ends.min(latest)))
            .min()
    }

    /// The first answer of an observation has this message.
    pub(crate) fn begin_with(&mut self, id: SubscriptionId, published: &Published) {
        if let Some(observation) = self.by_id.get_mut(&id) {
            observation.format = observation.format.after(published);
        }
    }

    fn seated(&self, which: impl Fn(&Seat) -> bool) -> Vec<SubscriptionId> {
        let chosen = |observation: &Observation| observation.seat.as_ref().is_some_and(&which);
        let mut ids: Vec<SubscriptionId> =
            self.by_id.iter().filter(|(_, observation)| chosen(observation)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// The number of the next notification [RFC7641 4.4]; one count for all observations of the peer.
    pub(crate) fn next_sequence(&mut self, now: Instant) -> u32 {
        self.sequence.next(now)
    }

    /// Until when no notification may be sent, where they can overtake each other.
    pub(crate) fn rest_until(&self) -> Option<Instant> {
        self.sequence.rests_until()
    }

    /// Goes on after a rest.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.sequence.wake(now);
    }

    /// Watches for what the peer says of the answer that opened an observation.
    pub(crate) fn watch(&mut self, id: SubscriptionId, exchange: ExchangeId, confirmable: bool) {
        if confirmable {
            self.unacknowledged.insert(exchange, Sent { observation: id, delivery: None, shared: false });
        } else {
            self.remember_unconfirmed(exchange, id);
        }
    }

    /// Sends a delivery to those of the observations that exist. Returns which of them end with it.
    pub(crate) fn deliver(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) -> Vec<SubscriptionId> {
        let (mut awaited, mut sent, mut failure, mut ended) =
            (false, false, Reason::NoSubscription, Vec::new());
        for id in delivery.matched.as_slice().iter().copied().filter(|id| Self::owns(*id)) {
            match self.notify(id, delivery, turn) {
                Outcome::Awaited => awaited = true,
                Outcome::Sent => sent = true,
                Outcome::Failed(reason) => failure = reason,
                Outcome::Dismissed => {
                    sent = true;
                    ended.push(id);
                }
                Outcome::Ended(reason) => {
                    failure = reason;
                    ended.push(id);
                }
            }
        }
        match delivery.id {
            _ if awaited => {}
            id if !sent => turn.out.reject(id, failure),
            Some(id) => turn.out.ack(id, Ack::Complete),
            None => {}
        }
        ended
    }

    fn notify(&mut self, id: SubscriptionId, delivery: &Delivery, turn: &mut Turn<'_>) -> Outcome {
        let sequence = self.next_sequence(turn.now);
        let Some(observation) = self.by_id.get_mut(&id) else {
            return Outcome::Failed(Reason::NoSubscription);
        };
        self.sends_blocks = delivery.message.payload.len() > self.block;
        let (reply_to, published) = (&observation.reply_to, &*delivery.message);
        let terms = observation.seat.as_ref().map(|seat| seat.terms(turn.now));
        let removed = published.retain && published.payload.is_empty();
        if terms.is_some_and(|terms| removed || terms.is_none()) {
            let told = turn.notify(reply_to, half_created(), true); // [PUBSUB 3.2.4]
            return told.map_or(Outcome::Ended(Reason::QueueFull), |_| Outcome::Dismissed);
        }
        let observer_check = terms.flatten().and_then(|terms| terms.observer_check);
        let confirm_every = self.confirm_every.min(observer_check.unwrap_or(Duration::MAX)); // [PUBSUB 3.2.3]
        let confirmable = match self.notify {
            _ if turn.endpoint.is_reliable() => false, // [RFC8323 7.2]: it arrives all the same
            Notify::Con => true,
            Notify::Qos if delivery.qos > Qos::AtMostOnce => true,
            // [RFC7641 4.5]: else nobody would notice that the observer is gone; [RFC7641 7]: or never was one
            Notify::Qos | Notify::Non => {
                turn.now >= observation.confirmed + confirm_every
                    || self.unproven >= self.confirm_after
                    || turn.endpoint.is_unproved()
                    // It waits its turn: overtaken, the one before it would be dropped as old [RFC7641 3.4].
                    || !turn.endpoint.can_send()
            }
        };
        let format = format(published);
        if !observation.takes(format) {
            let text = "The topic's messages no longer have the format that was asked for, or told first.";
            let message = Message::diagnostic(Code::NOT_ACCEPTABLE, text); // [RFC7641 4.2]
            let _ = turn.notify(reply_to, message, confirmable);
            return Outcome::Ended(Reason::UnsupportedFeature);
        }
        observation.format = observation.format.after(published);
        let mut message = representation(published, turn.now).with_observe(sequence);
        if !observation.format.is_told(format) {
            message = message.without(OptionNumber::CONTENT_FORMAT); // [RFC7641 4.2]
        }
        if observation.names_topic {
            let levels: Vec<&str> = published.topic.levels().collect();
            // No option can name such a topic [RFC7252 5.10.7].
            if levels.iter().any(|level| level.len() > 255 || matches!(*level, "." | "..")) {
                return Outcome::Failed(Reason::TopicInvalid);
            }
            let path = std::iter::once("ps").chain(levels);
            message =
                path.fold(message, |message, level| message.with_option(OptionNumber::LOCATION_PATH, level));
        }
        match turn.notify(reply_to, message, confirmable) {
            Ok(exchange) if confirmable => {
                // Asked once, not for each message until it answers.
                observation.confirmed = turn.now;
                self.unacknowledged.insert(
                    exchange,
                    Sent { observation: id, delivery: delivery.id, shared: observation.shared },
                );
                Outcome::Awaited
            }
            Ok(exchange) => {
                self.unproven += 1;
                self.remember_unconfirmed(exchange, id);
                Outcome::Sent
            }
            Err(SendError::Full) => Outcome::Failed(Reason::QueueFull),
            Err(SendError::Unprotected) => Outcome::Ended(Reason::NotAuthorized),
            Err(SendError::TooLarge) => Outcome::Failed(Reason::PacketTooLarge),
        }
    }

    /// The peer has what was sent; returns whether it was sent here.
    pub(crate) fn acknowledged(&mut self, exchange: ExchangeId, out: &mut Outbox) -> bool {
        let Some(sent) = self.unacknowledged.remove(&exchange) else { return false };
        self.unproven = 0;
        self.settle(sent.delivery, Ack::Complete, out);
        true
    }

    /// The peer does not want what was sent [RFC7641 3.6]: finds the observation, which ends.
    pub(crate) fn rejected(
        &mut self,
        exchange: ExchangeId,
        reason: Reason,
        out: &mut Outbox,
    ) -> Option<SubscriptionId> {
        if let Some(sent) = self.unacknowledged.remove(&exchange) {
            self.settle(sent.delivery, sent.refused(reason), out);
            return Some(sent.observation);
        }
        self.unconfirmed.iter().find(|(sent, _)| *sent == exchange).map(|(_, id)| *id)
    }

    /// Ends an observation here, with what of it still waits in the endpoint; returns whether there was one.
    pub(crate) fn remove(&mut self, id: SubscriptionId, turn: &mut Turn<'_>) -> bool {
        let Some(observation) = self.by_id.remove(&id) else { return false };
        self.by_token.remove(&observation.reply_to.token);
        self.unconfirmed.retain(|(_, sent)| *sent != id);
        let of_it = |(exchange, sent): (&ExchangeId, &Sent)| (sent.observation == id).then_some(*exchange);
        let mut exchanges: Vec<ExchangeId> = self.unacknowledged.iter().filter_map(of_it).collect();
        exchanges.sort_unstable(); // what happens never hangs on the order of a table
        for exchange in exchanges {
            turn.endpoint.forget(exchange);
            if let Some(sent) = self.unacknowledged.remove(&exchange) {
                self.settle(sent.delivery, sent.refused(Reason::NoSubscription), turn.out);
            }
        }
        true
    }

    pub(crate) fn ids(&self) -> Vec<SubscriptionId> {
        let mut ids: Vec<SubscriptionId> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Acknowledges a delivery once none of its notifications is awaited any more.
    fn settle(&self, delivery: Option<DeliveryId>, ack: Ack, out: &mut Outbox) {
        if let Some(id) = delivery
            && !self.unacknowledged.values().any(|sent| sent.delivery == delivery)
        {
            out.ack(id, ack);
        }
    }

    fn remember_unconfirmed(&mut self, exchange: ExchangeId, id: SubscriptionId) {
        if self.unconfirmed.len() >= REMEMBERED_UNCONFIRMED {
            self.unconfirmed.pop_front();
        }
        self.unconfirmed.push_back((exchange, id));
    }

    fn unused_id(&mut self) -> SubscriptionId {
        loop {
            let id = SubscriptionId(FIRST_ID | self.next_id);
            self.next_id = (self.next_id + 1) & !FIRST_ID;
            if id != REQUESTS && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Observation {
    /// Whether a message of this format may be sent. Publishers of one filter differ, each for a topic of its own, so that
    /// none of them ends it.
    fn takes(&self, format: Option<ContentFormat>) -> bool {
        let pinned = match (self.format, format) {
            (Pinned::Told(first), Some(format)) => first == format || self.names_topic,
            _ => true,
        };
        pinned && self.preference.accepts(format)
    }
}

impl Pinned {
    /// All that follow go by the first message; that one was removed says nothing.
    fn after(self, published: &Published) -> Self {
        match self {
            Self::Open if !published.payload.is_empty() => format(published).map_or(Self::Untold, Self::Told),
            pinned => pinned,
        }
    }

    /// Whether a notification says its format: only if the first one said the same.
    fn is_told(self, format: Option<ContentFormat>) -> bool {
        matches!(self, Self::Told(first) if format == Some(first))
    }
}

impl Sent {
    /// What the session is told of a delivery that the peer did not take.
    fn refused(&self, reason: Reason) -> Ack {
        if self.shared { Ack::Return } else { Ack::Reject(reason) }
    }
}

/// The 2.05 that carries a published message.
pub(crate) fn representation(published: &Published, now: Instant) -> Message {
    let tag = ETag::of(published);
    let mut message = Message::response(Code::CONTENT).with_option(OptionNumber::ETAG, tag.as_slice());
    if let Some(format) = format(published) {
        message = message.with_content_format(format);
    }
    if let Some(remaining) = published.remaining(now) {
        let seconds = u32::try_from(remaining.as_secs()).unwrap_or(u32::MAX);
        message = message.with_uint(OptionNumber::MAX_AGE, seconds); // [RFC7252 5.10.5]
    }
    message.with_shared_payload(published.payload.clone())
}
