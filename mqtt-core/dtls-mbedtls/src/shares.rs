//! How many of the sessions each peer has, so that nobody's many keep others out.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use dtls::{Proof, SessionId};

/// The sessions by what their peers have proved; all whose peers have proved nothing are one's.
#[derive(Default)]
pub(crate) struct Shares {
    hashes: RandomState,
    sizes: HashMap<Owner, u32>,
    by_size: BTreeSet<(u32, Owner)>,
    /// Those of each owner, the one first that is silent for longest, as far as was looked.
    silent: BTreeSet<(Owner, Instant, SessionId)>,
    /// Before all these times.
    earliest: Option<Instant>,
}

/// What stands for a proof.
pub(crate) type Owner = u64;

impl Shares {
    pub(crate) fn owner(&self, proof: &Proof) -> Owner {
        self.hashes.hash_one(proof)
    }

    pub(crate) fn insert(&mut self, owner: Owner, since: Instant, session: SessionId) {
        self.earliest = Some(self.earliest.map_or(since, |earliest| earliest.min(since)));
        self.silent.insert((owner, since, session));
        self.resize(owner, |size| size + 1);
    }

    pub(crate) fn remove(&mut self, owner: Owner, since: Instant, session: SessionId) {
        if self.silent.remove(&(owner, since, session)) {
            self.resize(owner, |size| size - 1);
        }
    }

    /// The peer of a session was heard since.
    pub(crate) fn put_off(&mut self, (owner, since): (Owner, Instant), heard: Instant, session: SessionId) {
        self.silent.remove(&(owner, since, session));
        self.silent.insert((owner, heard, session));
    }

    /// Whether somebody has several.
    pub(crate) fn has_large(&self) -> bool {
        self.by_size.last().is_some_and(|(size, _)| *size > 1)
    }

    /// Who gives a session up for one more of this owner: whoever has most, or itself if nobody has more; nobody if that
    /// would be another's only one.
    pub(crate) fn giver(&self, owner: Owner) -> Option<Owner> {
        let (most, largest) = *self.by_size.last()?;
        match self.sizes.get(&owner) {
            Some(size) if *size == most => Some(owner),
            _ => (most > 1).then_some(largest),
        }
    }

    /// The session of an owner that is silent for longest, as far as was looked.
    pub(crate) fn first(&self, owner: Owner) -> Option<(Instant, SessionId)> {
        let first = self.silent.range((owner, self.earliest?, SessionId(0))..).next();
        first.filter(|(of, ..)| *of == owner).map(|(_, since, session)| (*since, *session))
    }

    fn resize(&mut self, owner: Owner, change: impl FnOnce(u32) -> u32) {
        let before = self.sizes.get(&owner).copied().unwrap_or_default();
        let after = change(before);
        self.by_size.remove(&(before, owner));
        if after == 0 {
            self.sizes.remove(&owner);
        } else {
            self.sizes.insert(owner, after);
            self.by_size.insert((after, owner));
        }
    }
}
