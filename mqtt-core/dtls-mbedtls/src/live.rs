use std::collections::BTreeSet;
use std::time::Instant;

use dtls::SessionId;

/// The sessions that are not parked, each on one list, in the order in which they make room.
#[derive(Default)]
pub(crate) struct Live {
    silent: BTreeSet<(Instant, SessionId)>,
    doubted: BTreeSet<(Instant, SessionId)>,
    lasting: BTreeSet<(Instant, SessionId)>,
}

/// One of the lists, and what the time of its entries is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    /// Those that are parked when they are silent; since when they are at the longest.
    Silent,
    /// Those that were woken by what may be anybody's, and whose peers were not heard since; when they were woken.
    Doubted,
    /// Those that cannot be parked, since when they are silent.
    Lasting,
}

impl Live {
    pub(crate) fn insert(&mut self, (list, since): (List, Instant), session: SessionId) {
        self.list_mut(list).insert((since, session));
    }

    pub(crate) fn remove(&mut self, (list, since): (List, Instant), session: SessionId) {
        self.list_mut(list).remove(&(since, session));
    }

    pub(crate) fn count(&self, list: List) -> usize {
        self.list(list).len()
    }

    /// The first of a list.
    pub(crate) fn first(&self, list: List) -> Option<(Instant, SessionId)> {
        self.list(list).first().copied()
    }

    fn list(&self, list: List) -> &BTreeSet<(Instant, SessionId)> {
        match list {
            List::Silent => &self.silent,
            List::Doubted => &self.doubted,
            List::Lasting => &self.lasting,
        }
    }

    fn list_mut(&mut self, list: List) -> &mut BTreeSet<(Instant, SessionId)> {
        match list {
            List::Silent => &mut self.silent,
            List::Doubted => &mut self.doubted,
            List::Lasting => &mut self.lasting,
        }
    }
}
