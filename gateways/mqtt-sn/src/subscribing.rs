use bus::{
    Filter, Keyed, Qos, Reason, Request, RetainHandling, SubscribeOptions, Subscription, SubscriptionId,
    Topic,
};

use crate::topics::TopicIds;
use crate::turn::{Shared, Turn};
use crate::{Packet, ReturnCode, Subscribe, TopicFilter, Unsubscribe};

/// A SUBSCRIBE that awaits the broker's answer.
#[derive(Debug)]
pub(crate) struct Subscribing {
    pub(crate) msg_id: u16,
    answer: Answer,
}

/// What SUBACK tells of the topic id [5.4.16].
#[derive(Debug)]
enum Answer {
    /// The id that this topic gets.
    Register(Topic),
    /// This one: the predefined id, or 0 for wildcards and short names.
    Fixed(u16),
}

impl Subscribing {
    /// Makes the request, or says why not.
    pub(crate) fn new(
        subscribe: &Subscribe<'_>,
        client_id: &str,
        shared: &Shared,
    ) -> Result<(Self, Request), Reason> {
        let qos = subscribe.qos.ok_or(Reason::QosNotSupported)?;
        let filter = filter(&subscribe.topic, client_id, shared)?;
        let (id, answer) = match subscribe.topic {
            TopicFilter::Name(_) => (0, filter.as_topic().map_or(Answer::Fixed(0), Answer::Register)),
            TopicFilter::Predefined(id) => (PREDEFINED | u32::from(id), Answer::Fixed(id)),
            TopicFilter::Short(_) | TopicFilter::Reserved(_) => (0, Answer::Fixed(0)),
        };
        // One that was sent again is answered again, but its retained messages need not come twice.
        let retain_handling = if subscribe.dup { RetainHandling::IfNew } else { RetainHandling::Always };
        let options = SubscribeOptions { qos, retain_handling, ..SubscribeOptions::default() };
        let subscription = Subscription { id: SubscriptionId(id), filter, options, keyed: Keyed::ByFilter };
        Ok((Self { msg_id: subscribe.msg_id, answer }, Request::Subscribe(vec![subscription])))
    }

    /// The topic that wants an id.
    pub(crate) fn registers(&self) -> Option<&Topic> {
        match &self.answer {
            Answer::Register(topic) => Some(topic),
            Answer::Fixed(_) => None,
        }
    }

    /// Tells the client what became of it.
    pub(crate) fn answer(self, result: Result<Qos, Reason>, topics: &mut TopicIds, turn: &mut Turn<'_>) {
        match result {
            Err(reason) => refuse(self.msg_id, reason, turn),
            Ok(qos) => {
                let topic_id = match self.answer {
                    Answer::Register(topic) => topics.ask(&topic).unwrap_or(0),
                    Answer::Fixed(id) => id,
                };
                let code = ReturnCode::Accepted;
                turn.send(&Packet::SubAck { qos, topic_id, msg_id: self.msg_id, code });
            }
        }
    }
}

/// Tells the client that its SUBSCRIBE failed.
pub(crate) fn refuse(msg_id: u16, reason: Reason, turn: &mut Turn<'_>) {
    let code = crate::refusal::return_code(reason);
    turn.send(&Packet::SubAck { qos: Qos::AtMostOnce, topic_id: 0, msg_id, code });
}

/// The filter that UNSUBSCRIBE names; an error means that there can be no such subscription.
pub(crate) fn unsubscribed(
    unsubscribe: &Unsubscribe<'_>,
    client_id: &str,
    shared: &Shared,
) -> Result<Filter, Reason> {
    filter(&unsubscribe.topic, client_id, shared)
}

/// The predefined id by which a client subscribed, kept with the subscription.
pub(crate) fn predefined_id(id: SubscriptionId) -> Option<u16> {
    u16::try_from(id.0.checked_sub(PREDEFINED)?).ok()
}

/// Set in the ids of subscriptions by predefined topic id.
const PREDEFINED: u32 = 0x1_0000;

fn filter(topic: &TopicFilter<'_>, client_id: &str, shared: &Shared) -> Result<Filter, Reason> {
    match topic {
        TopicFilter::Name(name) => {
            let filter = Filter::parse_with_condition(name).map_err(|_| Reason::FilterInvalid)?;
            let fits = filter.levels().count() <= shared.limits.topic_levels;
            fits.then_some(filter).ok_or(Reason::FilterInvalid)
        }
        TopicFilter::Predefined(id) => {
            let topic = shared.predefined.find(client_id, *id).ok_or(Reason::TopicAliasInvalid)?;
            Ok(Filter::exactly(topic))
        }
        TopicFilter::Short(name) => {
            let name = std::str::from_utf8(name).map_err(|_| Reason::TopicAliasInvalid)?;
            let topic = Topic::parse(name).map_err(|_| Reason::TopicAliasInvalid)?;
            Ok(Filter::exactly(&topic))
        }
        TopicFilter::Reserved(_) => Err(Reason::UnsupportedFeature),
    }
}
