use std::sync::Arc;

use bus::Filter;

use crate::entries::{Entries, Entry};
use crate::share::{GroupRoute, Strategies, Turn};
use crate::target::merge;
use crate::tree::Vacant;

/// The subscriptions of one filter.
#[derive(Clone, Default)]
pub(crate) struct Here {
    entries: Entries,
    #[allow(clippy::box_collection, reason = "it is seldom there, and filters are many")]
    groups: Option<Box<Vec<Group>>>,
}

/// The members of a share group by one filter.
#[derive(Clone)]
pub(crate) struct Group {
    filter: Filter,
    members: Entries,
    turn: Arc<Turn>,
}

impl Here {
    /// Adds a subscription; `old` is the one it replaces.
    pub(crate) fn insert(
        &mut self,
        filter: &Filter,
        entry: Entry,
        old: Option<&Entry>,
        strategies: &Strategies,
    ) {
        let entries = self.entries_of(filter, strategies);
        old.into_iter().for_each(|old| entries.remove(old));
        entries.push(entry);
    }

    pub(crate) fn remove(&mut self, filter: &Filter, entry: &Entry) {
        if filter.share().is_none() {
            return self.entries.remove(entry);
        }
        let Some(groups) = &mut self.groups else { return };
        groups.iter_mut().filter(|group| group.is_of(filter)).for_each(|group| group.members.remove(entry));
        groups.retain(|group| !group.members.is_empty());
        self.groups.take_if(|groups| groups.is_empty());
    }

    fn entries_of(&mut self, filter: &Filter, strategies: &Strategies) -> &mut Entries {
        let Some(name) = filter.share() else { return &mut self.entries };
        let groups = self.groups.get_or_insert_default();
        // The pattern is the same for all that is here; conditions do not part a group.
        let at = groups.iter().position(|group| group.is_of(filter)).unwrap_or_else(|| {
            let (group, turn) = (filter.group().unwrap_or_else(|| filter.clone()), strategies.turn(name));
            groups.push(Group { filter: group, members: Entries::default(), turn });
            groups.len() - 1
        });
        &mut groups.get_mut(at).expect("it was found or just put there").members
    }

    /// Those outside share groups.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().flat_map(|groups| groups.iter())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.iter().len() + self.groups().map(|group| group.members.iter().len()).sum::<usize>()
    }
}

impl Vacant for Here {
    fn is_vacant(&self) -> bool {
        self.entries.is_empty() && self.groups.is_none()
    }
}

impl Group {
    fn is_of(&self, filter: &Filter) -> bool {
        self.filter.share() == filter.share()
    }

    pub(crate) fn route(&self) -> GroupRoute {
        let members: Vec<&Entry> = self.members.iter().collect();
        GroupRoute::new(self.filter.clone(), merge(&members), self.turn.clone())
    }
}
