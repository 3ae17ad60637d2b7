use std::time::Instant;

use bus::{
    ConditionalPublish, Filter, Keyed, Message as Published, Outbox, Precondition, Publish, Qos, Reason,
    Reply, RetainHandling, SubscribeOptions, Subscription, SubscriptionId, Ticket, Topic, Unsubscribe,
};

use super::condition::Condition;
use super::configured::half_created;
use super::observation::representation;
use super::operation::{Operation, Preference};
use super::resources::Asked;
use super::task::Task;
use super::{PubSub, Turn};
use crate::collection::{Reservation, TopicId};
use crate::content::format;
use crate::reason::refusal;
use crate::{Code, Message, ReplyTo, Request};

/// A question to the broker, and what its answer is for.
pub(super) enum Pending {
    Connect {
        asker: ReplyTo,
        /// Whether the answer is the token of connection mode.
        login: bool,
    },
    Publish {
        reply_to: ReplyTo,
        answer: Message,
        once: Option<u16>,
        topic: Option<TopicId>,
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
            Self::Connect { asker, login } => login.then_some(asker),
            Self::Publish { reply_to, .. }
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
    pub(super) fn perform(&mut self, operation: Operation, request: Request, turn: &mut Turn<'_>) {
        if let Some((operation, request)) = self.ask_about(operation, request, turn.out) {
            self.carry_out(operation, request, None, turn);
        }
    }

    /// Asks the broker for what a request wants of a topic; `configured` if that has a configuration.
    pub(super) fn carry_out(
        &mut self,
        operation: Operation,
        request: Request,
        configured: Option<TopicId>,
        turn: &mut Turn<'_>,
    ) {
        let Request { message, reply_to } = request;
        match operation {
            Operation::Publish { publish, answer } => {
                self.publish(publish, answer, message, configured, reply_to, turn.out);
            }
            Operation::Read { topic, preference } => {
                self.read(topic, reply_to, preference, Purpose::Get, turn.out)
            }
            Operation::Observe { filter, options, preference } => {
                self.observe(filter, options, preference, configured, reply_to, turn);
            }
            Operation::Cancel { filter, preference } => {
                let ids: Vec<Unsubscribe> =
                    self.observations.find(&reply_to.token).map(Unsubscribe::Id).into_iter().collect();
                if let Some(id) = self.observations.find(&reply_to.token) {
                    self.observations.remove(id, turn);
                }
                let pending = Pending::Unsubscribe { reply_to, last: filter.as_topic(), preference };
                self.ask(pending, bus::Request::Unsubscribe(ids), turn.out);
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
        let (response, condition) = (Message::response(answer), Condition::of(&message));
        if answer == Code::CHANGED {
            publish.payload = message.into_payload();
        }
        if publish.qos == Qos::ExactlyOnce {
            self.next_once = self.next_once.checked_add(1).unwrap_or(1);
            publish.once = Some(self.next_once);
        }
        let once = publish.once;
        let pending = Pending::Publish { reply_to, answer: response, once, topic };
        let request = match condition {
            Some(condition) => bus::Request::PublishIf(Box::new(ConditionalPublish {
                publish,
                precondition: Box::new(condition),
            })),
            None => bus::Request::Publish(publish),
        };
        self.ask(pending, request, out);
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

    fn observe(
        &mut self,
        filter: Filter,
        options: SubscribeOptions,
        preference: Preference,
        configured: Option<TopicId>,
        reply_to: ReplyTo,
        turn: &mut Turn<'_>,
    ) {
        let topic = filter.as_topic();
        let known = self.observations.find(&reply_to.token).is_some();
        let seat = configured.and_then(|topic| {
            let own = self.observations.take_seat(&reply_to.token, topic);
            own.or_else(|| self.topics.seat(topic, turn.now))
        });
        let registered = match (configured, &seat) {
            (Some(_), None) => None, // max-subscribers [PUBSUB 3.2.2]
            _ => self.observations.register(&reply_to, &filter, preference.clone(), seat, turn.now),
        };
        self.look_again(turn.now);
        let Some(id) = registered else {
            // [RFC7641 4.1]: an answer without Observe says that there will be no notifications
            return match topic {
                Some(topic) => self.read(topic, reply_to, preference, Purpose::Get, turn.out),
                None => drop(turn.respond(&reply_to, refusal(Reason::QuotaExceeded))),
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
        self.ask(pending, bus::Request::Subscribe(vec![wish]), turn.out);
    }

    /// Answers the peer with what the broker said.
    pub(super) fn answer(&mut self, pending: Pending, reply: Result<Reply, Reason>, turn: &mut Turn<'_>) {
        match (pending, reply) {
            (Pending::Judge { reply_to, task }, Ok(Reply::Judged { judgements, time })) => {
                self.judged(*task, &judgements, time, reply_to, turn);
            }
            (pending @ (Pending::Made { .. } | Pending::Unmade { .. }), reply) => {
                self.done(pending, reply, turn);
            }
            (Pending::Publish { reply_to, answer, once, topic }, Ok(reply)) => {
                let answer = match (reply, topic) {
                    (Reply::Unfulfilled, _) => precondition_failed(),
                    (_, Some(topic)) => self.published(topic, answer, turn),
                    (_, None) => answer,
                };
                if let Some(id) = once {
                    // The message layer keeps duplicates off, so that the id has served.
                    turn.out.request(Ticket::NONE, bus::Request::Release(id));
                }
                turn.respond(&reply_to, answer);
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
                    (Ok(_), Some(topic)) => {
                        self.read(topic, reply_to, preference, Purpose::First(id), turn.out)
                    }
                    (Ok(_), None) => {
                        self.answer_read(None, reply_to, &preference, Purpose::First(id), turn);
                    }
                    (Err(reason), _) => {
                        self.registering = self.registering.saturating_sub(1);
                        self.observations.remove(id, turn);
                        turn.respond(&reply_to, refusal(reason));
                    }
                }
            }
            (Pending::Unsubscribe { reply_to, last: Some(topic), preference }, Ok(_)) => {
                self.read(topic, reply_to, preference, Purpose::Last, turn.out);
            }
            (Pending::Unsubscribe { reply_to, last: None, .. }, Ok(_)) => {
                turn.respond(&reply_to, Message::response(Code::CONTENT));
            }
            (Pending::Read { reply_to, preference, purpose }, Ok(Reply::Read(found))) => {
                self.answer_read(found.as_deref(), reply_to, &preference, purpose, turn);
            }
            (Pending::Directory { reply_to, asked }, reply) => {
                self.directory_judged(reply_to, *asked, reply, turn);
            }
            // What may be subscribed to and not be read is observed from the next message on.
            (Pending::Read { reply_to, preference, purpose: purpose @ Purpose::First(_) }, Err(_)) => {
                self.answer_read(None, reply_to, &preference, purpose, turn);
            }
            (pending, reply) => {
                let reason = reply.err().unwrap_or(Reason::Internal);
                if let Some(reply_to) = pending.reply_to() {
                    turn.respond(reply_to, refusal(reason));
                }
            }
        }
    }

    fn answer_read(
        &mut self,
        found: Option<&Published>,
        reply_to: ReplyTo,
        preference: &Preference,
        purpose: Purpose,
        turn: &mut Turn<'_>,
    ) {
        let answer = match (found, purpose) {
            (Some(published), purpose) => represent(published, preference, purpose, turn.now),
            (None, Purpose::Get) => {
                Message::diagnostic(Code::NOT_FOUND, "Nothing is retained on this topic.")
            }
            (None, Purpose::First(id)) if self.observations.is_seated(id) => half_created(),
            (None, Purpose::First(_) | Purpose::Last) => Message::response(Code::CONTENT),
        };
        let Purpose::First(id) = purpose else {
            turn.respond(&reply_to, answer);
            return;
        };
        self.registering = self.registering.saturating_sub(1);
        if let Some(published) = found {
            self.observations.begin_with(id, published);
        }
        let answer = match self.observations.get(id) {
            Some(_) if answer.code().is_success() => {
                answer.with_observe(self.observations.next_sequence(turn.now))
            }
            _ => answer,
        };
        let established = answer.observe().is_some() && turn.endpoint.fits(&reply_to, &answer);
        let exchange = turn.respond(&reply_to, answer);
        match exchange {
            _ if !established => self.end_observation(id, turn), // [RFC7641 4.1]
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
    match preference.tags.iter().find(|tag| tag.is_of(published)) {
        Some(known) if purpose == Purpose::Get => answer.tagged(*known).into_valid(), // [RFC7252 5.10.6.2]
        _ => answer,
    }
}
