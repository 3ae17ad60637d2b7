//! What a topic's configuration means for its data at `ps/{topic}` [PUBSUB 3].

use std::time::{Duration, Instant};

use bus::{Judgement, Outbox, Publish, Right, SubscriptionId};

use super::operation::Operation;
use super::perform::Pending;
use super::resources::bad;
use super::task::Task;
use super::{PubSub, Turn};
use crate::collection::{Configuration, TopicId};
use crate::reason::refusal;
use crate::{Code, Message, OptionNumber, ReplyTo, Request};

/// How often an observer of a configured topic looks whether it still may: nobody wakes it when another client has
/// changed the topic.
const LOOK: Duration = Duration::from_secs(5);

/// How many publications a client may make.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// When all that it has made would have been made at an even pace.
    even: Option<Instant>,
}

impl Rate {
    /// Counts one more, or says how long it must wait; a second's worth may come at once.
    fn take(&mut self, per_second: u32, now: Instant) -> Result<(), Duration> {
        let Some(pace) = Duration::from_secs(1).checked_div(per_second) else { return Ok(()) };
        let even = self.even.map_or(now, |even| even.max(now));
        let ahead = even.saturating_duration_since(now) + pace;
        match ahead.checked_sub(Duration::from_secs(1)).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                self.even = Some(even + pace);
                Ok(())
            }
        }
    }
}

impl PubSub {
    /// Asks which topic of the bus an operation is about, if that may be one with a configuration; gives it back if
    /// that need not be known.
    pub(super) fn ask_about(
        &mut self,
        operation: Operation,
        request: Request,
        out: &mut Outbox,
    ) -> Option<(Operation, Request)> {
        let topic = match &operation {
            _ if self.topics.is_empty() => None,
            Operation::Publish { publish, .. } => Some(publish.topic.clone()),
            Operation::Observe { filter, .. } => filter.as_topic(),
            // What is not there is 4.04 with or without a configuration.
            Operation::Read { .. } | Operation::Cancel { .. } => None,
        };
        let Some(topic) = topic else { return Some((operation, request)) };
        let Request { message, reply_to } = request;
        let task = Box::new(Task::Data { operation, message, configured: false });
        self.ask(Pending::Judge { reply_to, task }, bus::Request::Judge(vec![Right::Name(topic)]), out);
        None
    }

    /// Does something with a topic's data; if it has a configuration, asks first whether the client may.
    pub(super) fn name_data(
        &mut self,
        operation: Operation,
        message: Message,
        judgements: &[Judgement],
        reply_to: ReplyTo,
        turn: &mut Turn<'_>,
    ) {
        let name = judgements.first().map(|judgement| &judgement.topic);
        let configured = name.is_some_and(|topic| self.topics.of_data(topic, turn.now).is_some());
        let right = match &operation {
            _ if !configured => None,
            Operation::Publish { publish, .. } => Some(Right::Publish(publish.topic.clone())),
            Operation::Observe { filter, .. } => filter.as_topic().map(Right::Read),
            Operation::Read { .. } | Operation::Cancel { .. } => None,
        };
        match right {
            Some(right) => {
                let task = Box::new(Task::Data { operation, message, configured: true });
                self.ask(Pending::Judge { reply_to, task }, bus::Request::Judge(vec![right]), turn.out);
            }
            None => self.carry_out(operation, Request { message, reply_to }, None, turn),
        }
    }

    /// Does something with the data of a topic that has a configuration, as that says.
    pub(super) fn use_data(
        &mut self,
        mut operation: Operation,
        message: Message,
        judgements: &[Judgement],
        reply_to: ReplyTo,
        turn: &mut Turn<'_>,
    ) {
        let mut topic = None;
        if let Some(judgement) = judgements.first() {
            // It may have gone meanwhile.
            let configuration = self.topics.of_data(&judgement.topic, turn.now);
            let obeyed = match (&mut operation, &configuration) {
                _ if judgement.allowed.is_err() => judgement.allowed.map_err(refusal),
                (Operation::Publish { publish, answer }, Some(configuration)) => {
                    self.obey(configuration, judgement, publish, *answer, &message, turn.now)
                }
                // Only what is there can be observed [PUBSUB 3.2.2].
                (_, Some(_)) if !judgement.retained => Err(half_created()),
                _ => Ok(()),
            };
            if let Err(answer) = obeyed {
                turn.respond(&reply_to, answer);
                return;
            }
            topic = configuration.map(|configuration| configuration.id);
        }
        self.carry_out(operation, Request { message, reply_to }, topic, turn);
    }

    /// Makes a publish what the topic's configuration wants, or says why it is none.
    fn obey(
        &mut self,
        topic: &Configuration,
        judgement: &Judgement,
        publish: &mut Publish,
        answer: Code,
        message: &Message,
        now: Instant,
    ) -> Result<(), Message> {
        if answer == Code::DELETED {
            return if judgement.retained { Ok(()) } else { Err(half_created()) }; // [PUBSUB 3.2.4]
        }
        if let Some(format) = topic.properties.content_format
            && message.content_format() != Some(format)
        {
            let text = format!("This topic takes Content-Format {}.", format.0);
            return Err(Message::diagnostic(Code::UNSUPPORTED_CONTENT_FORMAT, &text)); // [PUBSUB 3.2.1]
        }
        if message.payload().is_empty() {
            return Err(bad("An empty value cannot be kept; DELETE removes the value."));
        }
        self.rate.take(self.config.topics.publish_rate, now).map_err(|wait| {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let text = "More is published than is taken.";
            Message::diagnostic(Code::TOO_MANY_REQUESTS, text)
                .with_uint(OptionNumber::MAX_AGE, u32::try_from(seconds).unwrap_or(u32::MAX)) // [RFC8516 3]
        })?;
        publish.retain = true;
        let left = topic.ends.map(|ends| ends.saturating_duration_since(now));
        publish.expiry = publish.expiry.into_iter().chain(left).min();
        self.topics.note_data(topic.id, judgement.retained, now);
        Ok(())
    }

    /// What a publisher is answered whose publish on a configured topic is done.
    pub(super) fn published(&mut self, topic: TopicId, answer: Message, turn: &mut Turn<'_>) -> Message {
        if answer.code() == Code::DELETED {
            self.topics.note_data(topic, false, turn.now);
            for id in self.observations.of_topic(topic) {
                self.dismiss(id, turn); // [PUBSUB 3.2.4]
            }
            return answer;
        }
        match self.topics.note_data(topic, true, turn.now) {
            true => answer,
            false => answer.with_code(Code::CREATED), // [PUBSUB 3.2.1]
        }
    }

    /// Ends the observations of configured topics that are gone, or have too many subscribers.
    pub(super) fn look(&mut self, turn: &mut Turn<'_>) {
        for id in self.observations.dismissed(turn.now) {
            self.dismiss(id, turn); // [PUBSUB 2.5.3], [PUBSUB 2.5.5]
        }
        self.look_again(turn.now);
    }

    /// Sees to it that [`PubSub::look`] is called in time.
    pub(super) fn look_again(&mut self, now: Instant) {
        self.look_at = self.observations.next_look(now + LOOK, now);
    }

    /// Tells an observer that there is nothing to observe any more [RFC7641 3.2].
    fn dismiss(&mut self, id: SubscriptionId, turn: &mut Turn<'_>) {
        if let Some(observation) = self.observations.get(id) {
            let told = turn.notify(&observation.reply_to, half_created(), true);
            if told.is_err() {
                let _ = turn.notify(&observation.reply_to, half_created(), false);
            }
        }
        self.end_observation(id, turn);
    }
}

/// What is said where a topic has no data, or none any more.
pub(super) fn half_created() -> Message {
    Message::diagnostic(Code::NOT_FOUND, "The topic has no data.")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs a time to begin with")]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_an_even_pace() {
        let mut now = Instant::now();
        let mut rate = Rate::default();
        let taken = |rate: &mut Rate, now| (0..9).take_while(|_| rate.take(4, now).is_ok()).count();
        assert_eq!(taken(&mut rate, now), 4);
        assert_eq!(rate.take(4, now), Err(Duration::from_millis(250)));
        now += Duration::from_millis(500);
        assert_eq!(taken(&mut rate, now), 2);
        now += Duration::from_secs(60);
        assert_eq!(taken(&mut rate, now), 4);
        assert_eq!((0..99).take_while(|_| Rate::default().take(0, now).is_ok()).count(), 99);
    }
}
