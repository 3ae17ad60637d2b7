use std::time::Instant;

use bus::{
    Filter, Keyed, Message as Published, Outbox, Publish, Qos, Reason, Reply, RetainHandling,
    SubscribeOptions, Subscription, SubscriptionId, Ticket, Topic, Unsubscribe,
};

use super::PubSub;
use super::condition::Condition;
use super::configured::half_created;
use super::observation::representation;
use super::operation::{Operation, Preference};
use super::resources::Asked;
use super::task::Task;
use crate::collection::{Reservation, TopicId};
use crate::content::format;
use crate::reason::refusal;
use crate::{Code, ETag, Endpoint, Message, ReplyTo, Request};

/// A question to the broker, and what its answer is for.
pub(super) enum Pending {
    Connect {
        login: Option<ReplyTo>,
    },
    Publish {
        reply_to: ReplyTo,
        answer: Message,
        once: Option<u16>,
        topic: Option<TopicId>,
    },
    /// Whether a publish may be done.
    Condition {
        reply_to: ReplyTo,
        conditional: Box<Conditional>,
    },
    Subscribe {
        reply_to: ReplyTo,
        id: SubscriptionId,
        first: Option<Topic>,
        preference: Preference,
    },
    Unsubscribe {
        reply_to: ReplyTo,
        last: Option<Topic>,
        preference: Preference,
    },
    Read {
        reply_to: ReplyTo,
        preference: Preference,
        purpose: Purpose,
    },
    /// What the client may do with topics that have a configuration, or may have one.
    Judge {
        reply_to: ReplyTo,
        task: Box<Task>,
    },
    /// The first value of a topic that is being made.
    Made {
        reply_to: ReplyTo,
        reservation: Reservation,
    },
    /// The removal of the data of a topic that is removed.
    Unmade {
        reply_to: ReplyTo,
        topic: TopicId,
    },
    /// Whether applications may send requests to the client.
    MayBeAsked,
    /// What the client may do with the resource directory.
    Directory {
        reply_to: ReplyTo,
        asked: Box<Asked>,
    },
}

/// A publish that is done on condition.
pub(super) struct Conditional {
    condition: Condition,
    publish: Publish,
    answer: Code,
    request: Message,
    topic: Option<TopicId>,
}

/// What a retained message is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A GET: nothing is 4.04.
    Get,
    /// The first answer to an observer: nothing is an empty 2.05.
    First(SubscriptionId),
    /// The answer to a GET that ends an observation: nothing is an empty 2.05.
    Last,
}

impl Pending {
    pub(super) fn reply_to(&self) -> Option<&ReplyTo> {
        match self {
            Self::MayBeAsked => None,
            Self::Connect { login } => login.as_ref(),
            Self::Publish { reply_to, .. }
            | Self::Condition { reply_to, .. }
            | Self::Subscribe { reply_to, .. }
            | Self::Unsubscribe { reply_to, .. }
            | Self::Read { reply_to, .. }
            | Self::Judge { reply_to, .. }
            | Self::Made { reply_to, .. }
            | Self::Unmade { reply_to, .. }
            | Self::Directory { reply_to, .. } => Some(reply_to),
        }
    }
}

impl PubSub {
    /// Asks the broker for what a request wants.
    pub(super) fn perform(
        &mut self,
        operation: Operation,
        request: Request,
        endpoint: &mut Endpoint,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some((operation, request)) = self.ask_about(operation, request, out) {
            self.carry_out(operation, request, None, endpoint, now, out);
        }
    }

    /// Asks the broker for what a request wants of a topic; `configured` if that has a configuration.
    pub(super) fn carry_out(
        &mut self,
        operation: Operation,
        request: Request,
        configured: Option<TopicId>,
        endpoint: &mut Endpoint,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Request { message, reply_to } = request;
        match operation {
            Operation::Publish { publish, answer } => match Condition::of(&message) {
                Some(condition) => {
                    let topic = publish.topic.clone();
                    let (request, topic_id) = (message, configured);
                    let conditional = Conditional { condition, publish, answer, request, topic: topic_id };
                    let pending = Pending::Condition { reply_to, conditional: Box::new(conditional) };
                    self.ask(pending, bus::Request::Read(topic), out);
                }
                None => self.publish(publish, answer, message, configured, reply_to, out),
            },
            Operation::Read { topic, preference } => {
                self.read(topic, reply_to, preference, Purpose::Get, out)
            }
            Operation::Observe { filter, options, preference } => {
                self.observe(filter, options, preference, configured, reply_to, endpoint, now, out);
            }
            Operation::Cancel { filter, preference } => {
                let ids: Vec<Unsubscribe> =
                    self.observations.find(&reply_to.token).map(Unsubscribe::Id).into_iter().collect();
                if let Some(id) = self.observations.find(&reply_to.token) {
                    self.observations.remove(id, endpoint, out);
                }
                let pending = Pending::Unsubscribe { reply_to, last: filter.as_topic(), preference };
                self.ask(pending, bus::Request::Unsubscribe(ids), out);
            }
        }
    }

    fn publish(
        &mut self,
        mut publish: Publish,
        answer: Code,
        message: Message,
        topic: Option<TopicId>,
        reply_to: ReplyTo,
        out: &mut Outbox,
    ) {
        let response = Message::response(answer);
        if answer == Code::CHANGED {
            publish.payload = message.into_payload();
        }
        if publish.qos == Qos::ExactlyOnce {
            self.next_once = self.next_once.checked_add(1).unwrap_or(1);
            publish.once = Some(self.next_once);
        }
        let once = publish.once;
        let pending = Pending::Publish { reply_to, answer: response, once, topic };
        self.ask(pending, bus::Request::Publish(publish), out);
    }

    fn read(
        &mut self,
        topic: Topic,
        reply_to: ReplyTo,
        preference: Preference,
        purpose: Purpose,
        out: &mut Outbox,
    ) {
        self.ask(Pending::Read { reply_to, preference, purpose }, bus::Request::Read(topic), out);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one operation")]
    fn observe(
        &mut self,
        filter: Filter,
        options: SubscribeOptions,
        preference: Preference,
        configured: Option<TopicId>,
        reply_to: ReplyTo,
        endpoint: &mut Endpoint,
        now: Instant,
        out: &mut Outbox,
    ) {
        let topic = filter.as_topic();
        let known = self.observations.find(&reply_to.token).is_some();
        let seat = configured.and_then(|topic| {
            let own = self.observations.take_seat(&reply_to.token, topic);
            own.or_else(|| self.topics.seat(topic, now))
        });
        let registered = match (configured, &seat) {
            (Some(_), None) => None, // max-subscribers [PUBSUB 3.2.2]
            _ => self.observations.register(&reply_to, &filter, preference.clone(), seat, now),
        };
        self.look_again(now);
        let Some(id) = registered else {
            // [RFC7641 4.1]: an answer without Observe says that there will be no notifications
            return match topic {
                Some(topic) => self.read(topic, reply_to, preference, Purpose::Get, out),
                None => drop(endpoint.respond(&reply_to, refusal(Reason::QuotaExceeded), now, out)),
            };
        };
        // The first answer brings the retained message of a single topic, so that it is not delivered too.
        let wants_first = match options.retain_handling {
            _ if configured.is_some() => true, // [PUBSUB 3.2.2]
            RetainHandling::Always => true,
            RetainHandling::IfNew => !known,
            RetainHandling::Never => false,
        };
        let retain_handling = match topic {
            Some(_) => RetainHandling::Never,
            None => options.retain_handling,
        };
        let first = topic.filter(|_| wants_first);
        let options = SubscribeOptions { retain_handling, ..options };
        let wish = Subscription { id, filter, options, keyed: Keyed::ById };
        self.registering += 1;
        let pending = Pending::Subscribe { reply_to, id, first, preference };
        self.ask(pending, bus::Request::Subscribe(vec![wish]), out);
    }

    /// Answers the peer with what the broker said.
    pub(super) fn answer(
        &mut self,
        pending: Pending,
        reply: Result<Reply, Reason>,
        endpoint: &mut Endpoint,
        now: Instant,
        out: &mut Outbox,
    ) {
        match (pending, reply) {
            (Pending::Judge { reply_to, task }, Ok(Reply::Judged { judgements, time })) => {
                self.judged(*task, &judgements, time, reply_to, endpoint, now, out);
            }
            (pending @ (Pending::Made { .. } | Pending::Unmade { .. }), reply) => {
                self.done(pending, reply, endpoint, now, out);
            }
            (Pending::Condition { reply_to, conditional }, Ok(Reply::Read(found))) => {
                let Conditional { condition, publish, answer, request, topic } = *conditional;
                match condition.holds(found.as_deref()) {
                    true => self.publish(publish, answer, request, topic, reply_to, out),
                    false => drop(endpoint.respond(&reply_to, precondition_failed(), now, out)),
                }
            }
            (Pending::Publish { reply_to, answer, once, topic }, Ok(_)) => {
                let answer = match topic {
                    Some(topic) => self.published(topic, answer, endpoint, now, out),
                    None => answer,
                };
                if let Some(id) = once {
                    // The message layer keeps duplicates off, so that the id has served.
                    out.request(Ticket::NONE, bus::Request::Release(id));
                }
                endpoint.respond(&reply_to, answer, now, out);
            }
            (Pending::Subscribe { reply_to, id, first, preference }, reply) => {
                let granted = match reply {
                    Ok(Reply::Subscribed(results)) => {
                        results.first().copied().unwrap_or(Err(Reason::Internal))
                    }
                    Ok(_) => Err(Reason::Internal),
                    Err(reason) => Err(reason),
                };
                match (granted, first) {
                    (Ok(_), Some(topic)) => self.read(topic, reply_to, preference, Purpose::First(id), out),
                    (Ok(_), None) => {
                        self.answer_read(None, reply_to, &preference, Purpose::First(id), endpoint, now, out);
                    }
                    (Err(reason), _) => {
                        self.registering = self.registering.saturating_sub(1);
                        self.observations.remove(id, endpoint, out);
                        endpoint.respond(&reply_to, refusal(reason), now, out);
                    }
                }
            }
            (Pending::Unsubscribe { reply_to, last: Some(topic), preference }, Ok(_)) => {
                self.read(topic, reply_to, preference, Purpose::Last, out);
            }
            (Pending::Unsubscribe { reply_to, last: None, .. }, Ok(_)) => {
                endpoint.respond(&reply_to, Message::response(Code::CONTENT), now, out);
            }
            (Pending::Read { reply_to, preference, purpose }, Ok(Reply::Read(found))) => {
                self.answer_read(found.as_deref(), reply_to, &preference, purpose, endpoint, now, out);
            }
            (Pending::Directory { reply_to, asked }, reply) => {
                self.directory_judged(reply_to, *asked, reply, endpoint, now, out);
            }
            // What may be subscribed to and not be read is observed from the next message on.
            (Pending::Read { reply_to, preference, purpose: purpose @ Purpose::First(_) }, Err(_)) => {
                self.answer_read(None, reply_to, &preference, purpose, endpoint, now, out);
            }
            (pending, reply) => {
                let reason = reply.err().unwrap_or(Reason::Internal);
                if let Some(reply_to) = pending.reply_to() {
                    endpoint.respond(reply_to, refusal(reason), now, out);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one answer")]
    fn answer_read(
        &mut self,
        found: Option<&Published>,
        reply_to: ReplyTo,
        preference: &Preference,
        purpose: Purpose,
        endpoint: &mut Endpoint,
        now: Instant,
        out: &mut Outbox,
    ) {
        let answer = match (found, purpose) {
            (Some(published), purpose) => represent(published, preference, purpose, now),
            (None, Purpose::Get) => {
                Message::diagnostic(Code::NOT_FOUND, "Nothing is retained on this topic.")
            }
            (None, Purpose::First(id)) if self.observations.is_seated(id) => half_created(),
            (None, Purpose::First(_) | Purpose::Last) => Message::response(Code::CONTENT),
        };
        let Purpose::First(id) = purpose else {
            endpoint.respond(&reply_to, answer, now, out);
            return;
        };
        self.registering = self.registering.saturating_sub(1);
        self.observations.pin_format(id, found.and_then(format));
        let answer = match self.observations.get(id) {
            Some(_) if answer.code().is_success() => answer.with_observe(self.observations.next_sequence()),
            _ => answer,
        };
        let established = answer.observe().is_some() && endpoint.fits(&reply_to, &answer);
        let exchange = endpoint.respond(&reply_to, answer, now, out);
        match exchange {
            _ if !established => self.end_observation(id, endpoint, out), // [RFC7641 4.1]
            Some(exchange) => self.observations.watch(id, exchange, reply_to.confirmable),
            None => {}
        }
    }
}

fn precondition_failed() -> Message {
    let text = "What is retained on the topic is not what the request asks for.";
    Message::diagnostic(Code::PRECONDITION_FAILED, text) // [RFC7252 5.10.8]
}

/// The answer that carries a retained message, or says why it cannot.
fn represent(published: &Published, preference: &Preference, purpose: Purpose, now: Instant) -> Message {
    if !preference.accepts(format(published)) {
        return Message::diagnostic(Code::NOT_ACCEPTABLE, "The message has another format."); // [RFC7252 5.10.4]
    }
    if preference.condition.as_ref().is_some_and(|condition| !condition.holds(Some(published))) {
        return precondition_failed();
    }
    let answer = representation(published, now);
    match purpose {
        Purpose::Get if preference.tags.contains(&ETag::of(published)) => answer.into_valid(), // [RFC7252 5.10.6.2]
        Purpose::Get | Purpose::First(_) | Purpose::Last => answer,
    }
}
