use bus::{Message as Published, Precondition};

use crate::{ETag, Message, OptionNumber};

/// What must be true of a topic's retained message for a request to be done [RFC7252 5.10.8].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// The tags of which one must be the message's; `None` stands for any.
    one_of: Vec<Option<ETag>>,
    /// Whether there must be none.
    absent: bool,
}

impl Condition {
    /// The condition that a request has, if it has one.
    pub(super) fn of(request: &Message) -> Option<Self> {
        let one_of: Vec<_> = request.options(OptionNumber::IF_MATCH).map(ETag::new).collect();
        let absent = request.option(OptionNumber::IF_NONE_MATCH).is_some();
        (absent || !one_of.is_empty()).then_some(Self { one_of, absent })
    }
}

impl Precondition for Condition {
    fn holds(&self, found: Option<&Published>) -> bool {
        let Some(found) = found else { return self.one_of.is_empty() };
        !self.absent && self.one_of.iter().any(|wanted| wanted.is_none_or(|wanted| wanted.is_of(found)))
    }
}
