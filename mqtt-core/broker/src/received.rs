use std::collections::HashSet;

/// Ids of exactly-once publishes that were routed and not yet released. Whoever never had one has no table.
#[derive(Default)]
pub(crate) struct Received(Option<Box<Table>>);

#[derive(Default)]
struct Table {
    ids: HashSet<u16>,
}

impl Received {
    pub(crate) fn contains(&self, id: u16) -> bool {
        self.0.as_ref().is_some_and(|table| table.ids.contains(&id))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |table| table.ids.len())
    }

    pub(crate) fn insert(&mut self, id: u16) {
        self.0.get_or_insert_default().ids.insert(id);
    }

    /// Takes one out; returns whether it was there.
    pub(crate) fn remove(&mut self, id: u16) -> bool {
        self.0.as_mut().is_some_and(|table| table.ids.remove(&id))
    }
}
