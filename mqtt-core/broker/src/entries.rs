use std::collections::HashMap;
use std::sync::Arc;

use bus::{Message, SubscribeOptions, Subscription, SubscriptionId};

use crate::condition::Condition;
use crate::record::Record;

/// The subscriptions of one filter or share group. Where they are many, each is found in one step: when a hundred
/// thousand clients with the same filter go at once, none must look through all the others.
#[derive(Default)]
pub(crate) struct Entries {
    list: Vec<Entry>,
    #[allow(clippy::box_collection, reason = "it is seldom there, and filters are many")]
    places: Option<Box<HashMap<Place, usize>>>,
}

/// A record's address and a subscription of it.
type Place = (usize, SubscriptionId);

/// One subscription of one session.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) record: Arc<Record>,
    pub(crate) id: SubscriptionId,
    pub(crate) options: SubscribeOptions,
    /// What messages must meet.
    pub(crate) condition: Option<Arc<Condition>>,
}

/// From how many subscriptions of one filter on they are found by place.
const MANY: usize = 64;

impl Entry {
    /// The entry of a subscription whose filter has been checked.
    pub(crate) fn of(record: &Arc<Record>, subscription: &Subscription) -> Self {
        let condition = Condition::of(&subscription.filter).ok().flatten().map(Arc::new);
        Self { record: record.clone(), id: subscription.id, options: subscription.options, condition }
    }

    /// Whether the message meets the condition, if there is one.
    pub(crate) fn accepts(&self, message: &Message) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(message))
    }
}

impl Entries {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.list.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn find(&self, record: &Arc<Record>, id: SubscriptionId) -> Option<usize> {
        let known = self.places.as_ref().and_then(|places| places.get(&place(record, id)).copied());
        // A session may hold the same id twice, by filter and by id; one of the two has no place.
        let same = |entry: &Entry| Arc::ptr_eq(&entry.record, record) && entry.id == id;
        known.or_else(|| self.list.iter().position(same))
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.list.push(entry);
        if self.places.is_some() {
            self.index(self.list.len() - 1);
        } else if self.list.len() > MANY {
            self.places = Some(Box::default());
            (0..self.list.len()).for_each(|at| self.index(at));
        }
    }

    pub(crate) fn replace(&mut self, at: usize, entry: Entry) {
        self.remove(at);
        self.push(entry);
    }

    pub(crate) fn remove(&mut self, at: usize) {
        let gone = self.list.swap_remove(at);
        let Some(places) = &mut self.places else { return };
        let gone = place(&gone.record, gone.id);
        if places.get(&gone) == Some(&at) {
            places.remove(&gone);
        }
        let last = self.list.len();
        if let Some(moved) = self.list.get(at)
            && let Some(place) =
                places.get_mut(&place(&moved.record, moved.id)).filter(|place| **place == last)
        {
            *place = at;
        }
        if self.list.is_empty() {
            *self = Self::default();
        }
    }

    fn index(&mut self, at: usize) {
        if let (Some(places), Some(entry)) = (&mut self.places, self.list.get(at)) {
            places.entry(place(&entry.record, entry.id)).or_insert(at);
        }
    }
}

fn place(record: &Arc<Record>, id: SubscriptionId) -> Place {
    (Arc::as_ptr(record).addr(), id)
}
