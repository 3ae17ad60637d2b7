use std::hash::{BuildHasher, Hasher, RandomState};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

/// A fast hash of topics and their levels. Peers choose these, so nobody can know its seed.
#[derive(Clone)]
pub(crate) struct Hashing(SeedableRandomState);

impl Hashing {
    pub(crate) fn of(&self, text: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(text);
        hasher.finish()
    }
}

impl BuildHasher for Hashing {
    type Hasher = foldhash::fast::FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

impl Default for Hashing {
    fn default() -> Self {
        let seed = RandomState::new().build_hasher().finish();
        Self(SeedableRandomState::with_seed(seed, SharedSeed::global_random()))
    }
}
