//! Requests that applications send to the client, by a topic, and its answers on another.
//!
//! The delivery of a request is complete as soon as it is taken, so that no notification waits for the client's answer;
//! what becomes of the request is said by its answer. One request is under way at a time, others wait within bounds.

mod answer;
mod ask;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{
    ClientId, ContentFormat, Delivery, Filter, Keyed, Metadata, Outbox, Publish, Qos, RetainHandling,
    SubscribeOptions, Subscription, SubscriptionId, Ticket, Topic,
};
use bytes::Bytes;
use serde_json::Value as Json;

use super::Turn;
use crate::config::CLIENT_ID;
use crate::{Config, Endpoint, ExchangeId, Message, SendError};
use answer::{Failure, to_json};
use ask::{Ask, parse};

/// The subscription to the requests; none of an observation.
pub(super) const REQUESTS: SubscriptionId = SubscriptionId(u32::MAX);

/// What applications ask of one client.
#[derive(Debug)]
pub(super) struct Downlink {
    config: Arc<Config>,
    request: Filter,
    response: Topic,
    under_way: Option<(ExchangeId, Waiting)>,
    queue: VecDeque<Waiting>,
    queued_bytes: usize,
    most_bytes: usize,
    /// What the client notifies of, by the exchange that began it.
    observed: HashMap<ExchangeId, Observed>,
}

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct Waiting {
    id: Json,
    correlation: Option<Bytes>,
    ask: Ask,
    timeout: Duration,
    until: Instant,
}

#[derive(Clone, Debug)]
struct Observed {
    id: Json,
    correlation: Option<Bytes>,
    path: Vec<String>,
    query: Vec<String>,
}

/// The longest correlation data that is kept.
const LONGEST_CORRELATION: usize = 256;

impl Downlink {
    /// The requests to a client; `None` where its id makes no level of a topic. Those that wait have at most so many
    /// bytes.
    pub(super) fn new(client_id: &ClientId, config: &Arc<Config>, most_bytes: usize) -> Option<Self> {
        let id = client_id.as_str();
        // A topic that begins with $ is the server's, and one client's topics must not lie within another's.
        let topics = &config.requests;
        if !topics.enabled || id.contains(['/', '+', '#']) || id.starts_with('$') {
            return None;
        }
        let request = Topic::parse(&topics.request.replace(CLIENT_ID, id)).ok()?;
        Some(Self {
            request: Filter::exactly(&request),
            response: Topic::parse(&topics.response.replace(CLIENT_ID, id)).ok()?,
            config: config.clone(),
            under_way: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            most_bytes,
            observed: HashMap::new(),
        })
    }

    /// Where requests are published.
    pub(super) fn topic(&self) -> Option<Topic> {
        self.request.as_topic()
    }

    /// The wish for requests, as they are published from now on.
    pub(super) fn subscription(&self) -> Subscription {
        let options = SubscribeOptions {
            qos: Qos::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Never,
        };
        Subscription { id: REQUESTS, filter: self.request.clone(), options, keyed: Keyed::ById }
    }

    /// Takes a request.
    pub(super) fn take(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let correlation =
            delivery.message.metadata.as_ref().and_then(|metadata| metadata.correlation.clone());
        let correlation = correlation.filter(|correlation| correlation.len() <= LONGEST_CORRELATION);
        let (id, ask) = parse(&delivery.message.payload);
        let ask = match ask {
            Ok(ask) => ask,
            Err(error) => return self.publish(Failure::from(error).to_json(&id), correlation, turn.out),
        };
        let bytes = ask.size();
        if self.queue.len() >= self.config.requests.queue || self.queued_bytes + bytes > self.most_bytes {
            return self.publish(Failure::Busy.to_json(&id), correlation, turn.out);
        }
        let timeout =
            ask.timeout.unwrap_or(self.config.requests.timeout).min(self.config.requests.timeout_max);
        self.queued_bytes += bytes;
        self.queue.push_back(Waiting { id, correlation, ask, timeout, until: turn.now + timeout });
        self.send_next(turn);
    }

    /// The client answered, or notified; `false` if it was not asked here.
    pub(super) fn answered(&mut self, exchange: ExchangeId, message: &Message, turn: &mut Turn<'_>) -> bool {
        if let Some(observed) = self.observed.get(&exchange).cloned() {
            if message.observe().is_none() || !message.code().is_success() {
                self.observed.remove(&exchange); // [RFC7641 3.2]
            }
            self.publish(to_json(&observed.id, message), observed.correlation, turn.out);
            return true;
        }
        let Some((_, Waiting { id, correlation, ask, .. })) =
            self.under_way.take_if(|(under_way, _)| *under_way == exchange)
        else {
            return false;
        };
        self.publish(to_json(&id, message), correlation.clone(), turn.out);
        // The endpoint keeps no more observations than its own limit allows.
        if ask.observe == Some(true) && message.observe().is_some() && turn.endpoint.token(exchange).is_some()
        {
            let Ask { path, query, .. } = ask;
            self.observed.retain(|_, observed| observed.path != path || observed.query != query);
            self.observed.insert(exchange, Observed { id, correlation, path, query });
        }
        self.send_next(turn);
        true
    }

    /// The client rejected what was asked; `false` if it was not asked here.
    pub(super) fn reset(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> bool {
        self.observed.remove(&exchange).is_some() || self.fail(exchange, &Failure::Reset, turn)
    }

    /// The client did not acknowledge or answer in the carrier's time; `false` if it was not asked here.
    pub(super) fn unanswered(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) -> bool {
        self.fail(exchange, &Failure::NotAcknowledged, turn)
    }

    /// The answer cannot be had whole; `false` if it was not asked for here.
    pub(super) fn failed(&mut self, exchange: ExchangeId, reason: &'static str, turn: &mut Turn<'_>) -> bool {
        self.fail(exchange, &Failure::BadAnswer(reason), turn)
    }

    fn fail(&mut self, exchange: ExchangeId, failure: &Failure, turn: &mut Turn<'_>) -> bool {
        let failed = self.under_way.take_if(|(under_way, _)| *under_way == exchange);
        let Some((_, waiting)) = failed else { return false };
        self.publish(failure.to_json(&waiting.id), waiting.correlation, turn.out);
        self.send_next(turn);
        true
    }

    /// Whether the client is asked something, or notifies.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some() || !self.queue.is_empty() || !self.observed.is_empty()
    }

    /// When [`Downlink::expire`] is next due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let under_way = self.under_way.as_ref().map(|(_, waiting)| waiting.until);
        self.queue.iter().map(|waiting| waiting.until).chain(under_way).min()
    }

    /// Gives up what has not been answered in the application's time.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) {
        if let Some((exchange, waiting)) = self.under_way.take_if(|(_, waiting)| waiting.until <= turn.now) {
            turn.endpoint.forget(exchange);
            let failure = Failure::Timeout(waiting.timeout);
            self.publish(failure.to_json(&waiting.id), waiting.correlation, turn.out);
        }
        let (over, queue) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| waiting.until <= turn.now);
        self.queue = queue;
        let over: VecDeque<Waiting> = over;
        for waiting in over {
            self.queued_bytes -= waiting.ask.size();
            let failure = Failure::Timeout(waiting.timeout);
            self.publish(failure.to_json(&waiting.id), waiting.correlation, turn.out);
        }
        self.send_next(turn);
    }

    /// The client leaves: answers what is asked of it.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        for waiting in self.forget(turn.endpoint) {
            self.publish(Failure::Gone.to_json(&waiting.id), waiting.correlation, turn.out);
        }
    }

    /// Awaits nothing more of the client; returns what is not answered.
    pub(super) fn forget(&mut self, endpoint: &mut Endpoint) -> impl Iterator<Item = Waiting> + use<> {
        let under_way = self.under_way.take().map(|(exchange, waiting)| {
            endpoint.forget(exchange);
            waiting
        });
        self.observed.drain().for_each(|(exchange, _)| endpoint.forget(exchange));
        self.queued_bytes = 0;
        under_way.into_iter().chain(std::mem::take(&mut self.queue))
    }

    fn send_next(&mut self, turn: &mut Turn<'_>) {
        while self.under_way.is_none() {
            let Some(waiting) = self.queue.pop_front() else { return };
            self.queued_bytes -= waiting.ask.size();
            match self.send(&waiting.ask, turn) {
                Ok(exchange) => self.under_way = Some((exchange, waiting)),
                Err(failure) => self.publish(failure.to_json(&waiting.id), waiting.correlation, turn.out),
            }
        }
    }

    fn send(&mut self, ask: &Ask, turn: &mut Turn<'_>) -> Result<ExchangeId, Failure> {
        let same = |observed: &Observed| observed.path == ask.path && observed.query == ask.query;
        let known = self.observed.iter().find(|(_, observed)| same(observed)).map(|(exchange, _)| *exchange);
        let token = known.and_then(|exchange| turn.endpoint.token(exchange));
        let mut message = ask.to_message();
        match (ask.observe, token) {
            (Some(false), None) => return Err(Failure::NotObserved),
            (Some(true), None) if self.observed.len() >= self.config.requests.observations => {
                return Err(Failure::TooManyObservations);
            }
            // [RFC7641 3.6], [RFC7641 4.1]: the same token ends the observation, or takes its place.
            (Some(_), Some(token)) => {
                known.and_then(|exchange| self.observed.remove(&exchange));
                message = message.with_token(token);
            }
            (Some(true) | None, _) => {}
        }
        turn.request(message).map_err(|error| match error {
            SendError::Full => Failure::Busy,
            SendError::TooLarge => Failure::TooLarge,
            SendError::Unprotected => Failure::Unprotected,
        })
    }

    fn publish(&self, payload: Bytes, correlation: Option<Bytes>, out: &mut Outbox) {
        let publish = json_publication(&self.response, payload, correlation);
        out.request(Ticket::NONE, bus::Request::Publish(publish));
    }
}

/// JSON as it is published, at least once.
pub fn json_publication(topic: &Topic, payload: Bytes, correlation: Option<Bytes>) -> Publish {
    let mut publish = Publish::new(topic.clone(), payload, Qos::AtLeastOnce);
    let json = ContentFormat::JSON;
    let content_type = json.media_type().map(Into::into);
    let content_format = Some(json);
    let metadata = Metadata { content_type, content_format, utf8: true, correlation, ..Metadata::default() };
    publish.metadata = metadata.boxed();
    publish
}
