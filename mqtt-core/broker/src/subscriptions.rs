use bus::{Filter, Keyed, Subscription, SubscriptionId, Unsubscribe};
use hashbrown::HashTable;

use crate::hashing::Hashing;

/// The subscriptions of one session, each with a key of its own. Most sessions have one or none; a few are looked
/// through, and more are found in one step.
#[derive(Default)]
pub(crate) enum Subscriptions {
    #[default]
    None,
    One(Box<Subscription>),
    Several(Box<Several>),
}

#[derive(Default)]
pub(crate) struct Several {
    list: Vec<Subscription>,
    places: Option<Places>,
}

/// Where in the list each one is.
#[derive(Default)]
struct Places {
    table: HashTable<u32>,
    hashing: Hashing,
}

/// What makes two subscriptions of a session the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Filter(Filter),
    Id(SubscriptionId),
}

/// Up to how many are looked through.
const FEW: usize = 8;

impl Subscriptions {
    pub(crate) fn get(&self, key: &Key) -> Option<&Subscription> {
        self.list().get(self.find(key)?)
    }

    /// Adds one, and returns the one it replaces.
    pub(crate) fn insert(&mut self, subscription: Subscription) -> Option<Subscription> {
        if let Some(old) = self.find(&Key::of(&subscription)).and_then(|at| self.list_mut().get_mut(at)) {
            return Some(std::mem::replace(old, subscription));
        }
        *self = match std::mem::take(self) {
            Self::None => Self::One(Box::new(subscription)),
            Self::One(one) => {
                Self::Several(Box::new(Several { list: vec![*one, subscription], places: None }))
            }
            Self::Several(mut several) => {
                several.push(subscription);
                Self::Several(several)
            }
        };
        None
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Subscription> {
        let at = self.find(key)?;
        match std::mem::take(self) {
            Self::None => None,
            Self::One(one) => Some(*one),
            Self::Several(mut several) => {
                let gone = several.swap_remove(at);
                *self = match several.list.len() {
                    1 => several.list.pop().map_or(Self::None, |one| Self::One(Box::new(one))),
                    _ => Self::Several(several),
                };
                Some(gone)
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list().len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Subscription> {
        self.list().iter()
    }

    fn list(&self) -> &[Subscription] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => &several.list,
        }
    }

    fn list_mut(&mut self) -> &mut [Subscription] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Several(several) => &mut several.list,
        }
    }

    fn find(&self, key: &Key) -> Option<usize> {
        if let Self::Several(several) = self
            && let Some(places) = &several.places
        {
            let is = |at: &u32| several.list.get(*at as usize).is_some_and(|known| key.is_of(known));
            return places.table.find(key.hash(&places.hashing), is).map(|at| *at as usize);
        }
        self.list().iter().position(|subscription| key.is_of(subscription))
    }
}

impl IntoIterator for Subscriptions {
    type Item = Subscription;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Subscription>, std::vec::IntoIter<Subscription>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, list) = match self {
            Self::None => (None, Vec::new()),
            Self::One(one) => (Some(*one), Vec::new()),
            Self::Several(several) => (None, several.list),
        };
        one.into_iter().chain(list)
    }
}

impl Several {
    fn push(&mut self, subscription: Subscription) {
        self.list.push(subscription);
        match &mut self.places {
            Some(places) => places.add(&self.list, self.list.len() - 1),
            None if self.list.len() > FEW => {
                let mut places = Places::default();
                (0..self.list.len()).for_each(|at| places.add(&self.list, at));
                self.places = Some(places);
            }
            None => {}
        }
    }

    fn swap_remove(&mut self, at: usize) -> Subscription {
        if let Some(places) = &mut self.places {
            places.take(&self.list, at);
        }
        let gone = self.list.swap_remove(at);
        if self.list.len() <= FEW / 2 {
            self.places = None;
        }
        if self.list.len() < self.list.capacity() / 4 {
            self.list.shrink_to(self.list.len() * 2);
        }
        gone
    }
}

impl Places {
    fn add(&mut self, list: &[Subscription], at: usize) {
        let Self { table, hashing } = self;
        let hash = |at: &u32| list.get(*at as usize).map_or(0, |known| Key::of(known).hash(hashing));
        table.insert_unique(hash(&(at as u32)), at as u32, hash);
    }

    /// Forgets the place `at`, to which the last one of the list will move.
    fn take(&mut self, list: &[Subscription], at: usize) {
        let Self { table, hashing } = self;
        let (at, last) = (at as u32, list.len() as u32 - 1);
        let hash = |at: u32| list.get(at as usize).map_or(0, |known| Key::of(known).hash(hashing));
        if let Ok(place) = table.find_entry(hash(at), |place| *place == at) {
            place.remove();
        }
        if let Some(place) = table.find_mut(hash(last), |place| *place == last) {
            *place = at;
        }
    }
}

impl Key {
    pub(crate) fn of(subscription: &Subscription) -> Self {
        match subscription.keyed {
            Keyed::ByFilter => Self::Filter(subscription.filter.clone()),
            Keyed::ById => Self::Id(subscription.id),
        }
    }

    fn hash(&self, hashing: &Hashing) -> u64 {
        match self {
            Self::Filter(filter) => hashing.of(filter.as_str().as_bytes()),
            Self::Id(id) => hashing.of(&id.0.to_le_bytes()),
        }
    }

    fn is_of(&self, subscription: &Subscription) -> bool {
        match (self, subscription.keyed) {
            (Self::Filter(filter), Keyed::ByFilter) => *filter == subscription.filter,
            (Self::Id(id), Keyed::ById) => *id == subscription.id,
            _ => false,
        }
    }
}

impl From<Unsubscribe> for Key {
    fn from(unsubscribe: Unsubscribe) -> Self {
        match unsubscribe {
            Unsubscribe::Filter(filter) => Self::Filter(filter),
            Unsubscribe::Id(id) => Self::Id(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_are_found_as_in_a_map(steps in vec((0..30_u32, any::<bool>(), 0..5_u32), 1..200)) {
            let (mut subscriptions, mut model) = (Subscriptions::default(), HashMap::new());
            for (at, (n, by_filter, what)) in steps.into_iter().enumerate() {
                let keyed = if by_filter { Keyed::ByFilter } else { Keyed::ById };
                let id = SubscriptionId(if by_filter { at as u32 } else { n });
                let filter = Filter::parse(&format!("t/{n}")).unwrap();
                let fresh = Subscription { id, filter, options: Default::default(), keyed };
                let key = Key::of(&fresh);
                let name = (n, by_filter);
                let gone = match what {
                    0 | 1 => subscriptions.remove(&key).map(|gone| gone.id) == model.remove(&name),
                    _ => subscriptions.insert(fresh).map(|old| old.id) == model.insert(name, id),
                };
                prop_assert!(gone);
                prop_assert_eq!(subscriptions.get(&key).map(|known| known.id), model.get(&name).copied());
                prop_assert_eq!(subscriptions.len(), model.len());
            }
        }
    }

    #[test]
    fn a_session_with_one_subscription_holds_room_for_one() {
        let filter = Filter::parse("a/+").unwrap();
        let one = Subscription {
            id: SubscriptionId(0),
            filter,
            options: Default::default(),
            keyed: Keyed::ByFilter,
        };
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert(one);
        assert!(matches!(subscriptions, Subscriptions::One(_)));
        assert_eq!((size_of::<Subscriptions>(), size_of::<Subscription>()), (16, 40));
    }
}
