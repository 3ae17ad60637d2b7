use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::Engine;
use crate::writer::Writer;
use crate::{Batch, Commit, Snapshot, StoreError};

/// A folder of records, open in one process at a time.
///
/// Share it by reference or `Arc`. Dropping it writes what waits; [`Store::close`] also says whether that went well.
#[derive(Debug)]
pub struct Store {
    writer: Writer,
    engine: Arc<Engine>,
    owner: Arc<()>,
}

/// What a store may use of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many batches may wait for the writer.
    pub queue_batches: usize,
    /// How many bytes may wait for the writer; as many again may be in its hands.
    pub queue_bytes: usize,
    /// How many bytes of blocks read from the disk are kept in memory.
    pub cache_bytes: u64,
    /// How many bytes a space gathers in memory before it writes a table; kept from when the space was made.
    pub space_bytes: u64,
}

/// An ordered map in a store, by name. Cheap to clone; belongs to the store that opened it.
#[derive(Clone, Debug)]
pub struct Space {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    owner: Arc<()>,
}

impl Store {
    /// Opens the store in `folder`, and makes it (mode 0700) if it is not there.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while it is open elsewhere; [`StoreError::DamagedFile`] if a file is not what was written, or
    /// if anything acknowledged is missing: nothing is repaired and nothing left out. What a crash left half written
    /// was never acknowledged, and is dropped.
    pub fn open(folder: impl AsRef<Path>, config: Config) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let (engine, mut group) = Engine::open(folder, &config)?;
        let engine = Arc::new(engine);
        let writer = Writer::start(config.queue_batches, config.queue_bytes, {
            let engine = engine.clone();
            move |batches| {
                group += 1;
                engine.write(group, batches)
            }
        });
        Ok(Self { writer: writer.map_err(StoreError::io(folder))?, engine, owner: Arc::default() })
    }

    /// Opens a space, and makes it if it is not there. May block for some syncs.
    pub fn space(&self, name: &str) -> Result<Space, StoreError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(allowed) {
            return Err(StoreError::SpaceName(name.to_owned()));
        }
        let index = self.engine.space(name)?;
        Ok(Space { index, name: name.into(), owner: self.owner.clone() })
    }

    /// Hands a batch to the writer, without blocking. A batch that cannot be taken gives a commit that has failed
    /// already, with [`StoreError::Busy`] if it may be tried again.
    pub fn commit(&self, batch: Batch) -> Commit {
        match batch.check(|space| self.owns(space)) {
            Ok(()) => self.writer.commit(batch),
            Err(error) => Commit::refused(error),
        }
    }

    /// The value of one record, as it is on the disk now. May block for a disk read.
    pub fn get(&self, space: &Space, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        self.snapshot().get(space, key)
    }

    /// Everything that is on the disk now, to be read without what is committed later. It keeps old records on the
    /// disk and the folder open, so that it should not be kept long.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.engine.clone(), self.owner.clone())
    }

    /// Writes what waits, and says whether every write went well.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.writer.close()?;
        self.engine.sync()
    }

    fn owns(&self, space: &Space) -> Result<(), StoreError> {
        space.belongs_to(&self.owner)
    }
}

impl Space {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn belongs_to(&self, owner: &Arc<()>) -> Result<(), StoreError> {
        match Arc::ptr_eq(&self.owner, owner) {
            true => Ok(()),
            false => Err(StoreError::ForeignSpace(self.name.clone())),
        }
    }

    /// A space of no store.
    #[cfg(test)]
    pub(crate) fn lone(name: &str) -> Self {
        Self { index: 0, name: name.into(), owner: Arc::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { queue_batches: 10_000, queue_bytes: 16 << 20, cache_bytes: 32 << 20, space_bytes: 16 << 20 }
    }
}

const NAME_LIMIT: usize = 32;
