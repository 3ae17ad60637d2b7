use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bus::{Message, SubscribeOptions, Subscription, SubscriptionId};

use crate::condition::Condition;
use crate::record::Record;

/// The subscriptions of one filter or share group: most filters have one. Where they are many, each is found in one step:
/// when a hundred thousand clients with the same filter go at once, none must look through all the others.
#[derive(Clone, Default)]
pub(crate) enum Entries {
    #[default]
    None,
    One(Entry),
    /// Shared with whoever looks at all of them without keeping others from changing them.
    Many(Arc<Crowd>),
}

#[derive(Clone)]
pub(crate) struct Crowd {
    list: Vec<Entry>,
    places: Option<HashMap<Place, usize>>,
}

/// A record's address, a subscription of it, and a number of what it asks.
type Place = (usize, SubscriptionId, u64);

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

    /// Whether the other is the same subscription, or does the same in every respect.
    fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.record, &other.record)
            && (self.id, self.options) == (other.id, other.options)
            && self.condition == other.condition
    }

    /// Whether the message meets the condition, if there is one.
    pub(crate) fn accepts(&self, message: &Message) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(message))
    }
}

impl Entries {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Entry> {
        match self {
            Self::None => [].iter(),
            Self::One(entry) => std::slice::from_ref(entry).iter(),
            Self::Many(crowd) => crowd.list.iter(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.iter().len() == 0
    }

    /// Adds a subscription.
    pub(crate) fn push(&mut self, entry: Entry) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(entry),
            Self::One(first) => Self::Many(Arc::new(Crowd { list: vec![first, entry], places: None })),
            Self::Many(mut crowd) => {
                Arc::make_mut(&mut crowd).push(entry);
                Self::Many(crowd)
            }
        };
    }

    /// Takes a subscription away, if it is there. A session may have several with one id, by filter and by id, or behind
    /// filters that differ by their prefix or condition alone.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        match self {
            Self::One(other) if other.is_like(entry) => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(crowd) => {
                let crowd = Arc::make_mut(crowd);
                crowd.remove(entry);
                if crowd.list.len() <= 1 {
                    *self = crowd.list.pop().map_or(Self::None, Self::One);
                }
            }
        }
    }
}

impl Crowd {
    fn push(&mut self, entry: Entry) {
        self.list.push(entry);
        if self.places.is_some() {
            self.index(self.list.len() - 1);
        } else if self.list.len() > MANY {
            self.places = Some(HashMap::default());
            (0..self.list.len()).for_each(|at| self.index(at));
        }
    }

    fn find(&self, entry: &Entry) -> Option<usize> {
        let known = self.places.as_ref().and_then(|places| places.get(&place(entry)).copied());
        let known = known.filter(|at| self.list.get(*at).is_some_and(|known| known.is_like(entry)));
        // Of two that are alike one has no place.
        known.or_else(|| self.list.iter().position(|other| other.is_like(entry)))
    }

    fn remove(&mut self, entry: &Entry) {
        let Some(at) = self.find(entry) else { return };
        let gone = self.list.swap_remove(at);
        let Some(places) = &mut self.places else { return };
        let gone = place(&gone);
        if places.get(&gone) == Some(&at) {
            places.remove(&gone);
        }
        let last = self.list.len();
        if let Some(moved) = self.list.get(at)
            && let Some(place) = places.get_mut(&place(moved)).filter(|place| **place == last)
        {
            *place = at;
        }
    }

    fn index(&mut self, at: usize) {
        if let (Some(places), Some(entry)) = (&mut self.places, self.list.get(at)) {
            places.entry(place(entry)).or_insert(at);
        }
    }
}

fn place(entry: &Entry) -> Place {
    let mut asked = DefaultHasher::new();
    (entry.options.qos, entry.options.no_local, entry.options.retain_as_published).hash(&mut asked);
    if let Some(condition) = &entry.condition {
        condition.hash(&mut asked);
    }
    (Arc::as_ptr(&entry.record).addr(), entry.id, asked.finish())
}
