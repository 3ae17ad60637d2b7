use std::collections::HashMap;
use std::sync::Arc;

use bus::{Message, Reason, Topic};

use crate::Answer;
use crate::access::{Access, Client, Permission};
use crate::broker::Shared;
use crate::mount::is_visible;

/// What stands between a session's queue and its connection: not every message that matched may be received.
pub(crate) struct Screen<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) client: &'a Client,
    pub(crate) seen: &'a mut Option<Box<Seen>>,
}

/// What the authorizer said of topics, for as long as that holds.
#[derive(Default)]
pub(crate) struct Seen {
    epoch: (u64, u64),
    topics: HashMap<Topic, bool>,
}

/// How many topics are remembered for one session, and of what length at most.
const TOPICS: usize = 256;
const LENGTH: usize = 1024;

impl Screen<'_> {
    /// Whether every message is to be looked at. `filtered`: a subscription was allowed on that condition.
    pub(crate) fn is_needed(&self, filtered: bool) -> bool {
        filtered || self.client.identity.mountpoint.is_some()
    }

    /// Why the message is not handed over.
    pub(crate) fn refuses(&mut self, filtered: bool, message: &Message) -> Option<Reason> {
        let topic = &message.topic;
        if self.client.identity.mountpoint.as_ref().is_some_and(|prefix| !is_visible(prefix, topic)) {
            return Some(Reason::TopicInvalid);
        }
        (filtered && !self.may_receive(topic)).then_some(Reason::NotAuthorized)
    }

    fn may_receive(&mut self, topic: &Topic) -> bool {
        let seen = self.seen.get_or_insert_default();
        let epoch = (self.shared.hooks.authorizer.epoch(), self.shared.rights.number());
        if seen.epoch != epoch || seen.topics.len() >= TOPICS {
            seen.topics.clear();
            seen.epoch = epoch;
        }
        if let Some(known) = seen.topics.get(topic) {
            return *known;
        }
        // An answer that takes time cannot be waited for here.
        let permission = self.shared.authorize(self.client, Access::Receive { topic });
        let may = matches!(permission, Answer::Now(Permission::Allow | Permission::AllowFiltered));
        if topic.as_str().len() <= LENGTH {
            seen.topics.insert(topic.clone(), may);
        }
        may
    }
}
