use std::collections::HashMap;

use bus::PeerName;

use super::way::Way;
use crate::driver::Names;

/// A name, and where it counts.
pub(crate) type Known<W> = (PeerName, <W as Way>::Scope);

/// Which connection a datagram goes to.
pub(crate) struct Index<W: Way> {
    pub(crate) by_source: HashMap<W::Source, usize>,
    pub(crate) by_name: HashMap<Known<W>, usize>,
}

/// What one connection may change of the index.
pub(crate) struct Claims<'a, W: Way> {
    pub(crate) key: usize,
    pub(crate) scope: W::Scope,
    pub(crate) names: &'a mut Vec<Known<W>>,
    pub(crate) index: &'a mut Index<W>,
}

/// How many names one peer may claim.
const NAMES: usize = 16;

impl<W: Way> Index<W> {
    /// Takes a peer out; what another peer has claimed since stays that peer's.
    pub(crate) fn forget(&mut self, source: W::Source, names: &[Known<W>], key: usize) {
        self.leave(source, key);
        for name in names {
            self.release(name, key);
        }
    }

    /// What comes from there is not for this connection any more.
    pub(crate) fn leave(&mut self, source: W::Source, key: usize) {
        if self.by_source.get(&source) == Some(&key) {
            self.by_source.remove(&source);
        }
    }

    fn release(&mut self, name: &Known<W>, key: usize) {
        if self.by_name.get(name) == Some(&key) {
            self.by_name.remove(name);
        }
    }
}

impl<W: Way> Default for Index<W> {
    fn default() -> Self {
        Self { by_source: HashMap::new(), by_name: HashMap::new() }
    }
}

impl<W: Way> Names for Claims<'_, W> {
    fn claim(&mut self, name: PeerName) {
        let known = (name, self.scope.clone());
        if self.names.contains(&known) {
            self.index.by_name.insert(known, self.key);
            return;
        }
        if self.names.len() >= NAMES {
            let oldest = self.names.remove(0);
            self.index.release(&oldest, self.key);
        }
        self.index.by_name.insert(known.clone(), self.key);
        self.names.push(known);
    }

    fn disclaim(&mut self, name: PeerName) {
        let known = (name, self.scope.clone());
        self.names.retain(|claimed| *claimed != known);
        self.index.release(&known, self.key);
    }
}
