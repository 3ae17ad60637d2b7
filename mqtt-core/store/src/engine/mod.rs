//! The storage engine, fjall, behind the few calls that the store needs. Nothing outside this folder names it.
//!
//! Three things are done for it here. All batches of a group are one batch of its own, synced before it shows, so
//! that at most the last one in the journal can be torn. Each carries the group's number, and the number last
//! acknowledged stands in a file beside, so that a loss is noticed whatever its cause. And the journal and the
//! manifests are verified before it sees them, because it cuts off a journal at the first thing it cannot read,
//! and believes a manifest without looking at the checksum.

mod acknowledged;
mod journal;
mod manifest;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable};
use parking_lot::RwLock;

use crate::record::{seal, unseal};
use crate::{Batch, Config, Space, StoreError};
use acknowledged::Acknowledged;
use journal::Group;

/// An open folder.
pub(crate) struct Engine {
    spaces: RwLock<Vec<(Arc<str>, Keyspace)>>,
    own: Keyspace,
    database: Database,
    data: PathBuf,
    space_bytes: u64,
    // The lock on the folder: last, so that it is given back last.
    acknowledged: Acknowledged,
}

/// A moment of the database.
pub(crate) type View = fjall::Snapshot;

/// A place in a range of records.
pub(crate) struct Cursor {
    records: fjall::Iter,
    space: Arc<str>,
}

/// What a step of a cursor came upon.
pub(crate) enum Read {
    Record(Bytes, Bytes),
    Damaged(Bytes),
    /// There is no way on.
    Stuck(ReadError),
}

/// Why the engine could not read.
pub(crate) struct ReadError(fjall::Error);

impl Engine {
    /// Opens `folder` and says the number of the last group in it.
    pub(crate) fn open(folder: &Path, config: &Config) -> Result<(Self, u64), StoreError> {
        make(folder).map_err(StoreError::io(folder))?;
        let acknowledged = Acknowledged::open(folder)?;
        let data = folder.join("data");
        if manifest::examine(&data)? {
            journal::examine(&data, acknowledged.group())?;
        }
        // A byte that is not covered by a checksum may run the engine into one of its assertions.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = Database::builder(&data)
                .cache_size(config.cache_bytes)
                .journal_compression(CompressionType::None)
                .max_journaling_size(JOURNAL_BYTES)
                .open()?;
            let own = database.keyspace(OWN_SPACE, KeyspaceCreateOptions::default)?;
            Ok((database, own))
        }));
        let (database, own) = opened
            .unwrap_or_else(|_| Err(fjall::Error::Unrecoverable))
            .map_err(|error| blame_for_opening(error, folder, &data))?;
        // The names of the folders must survive as well as what is in them.
        sync_folder(folder).map_err(StoreError::io(folder))?;

        let found = own.get(Group::KEY).map_err(|error| blame_for_opening(error, folder, &data))?;
        let group = match found {
            Some(sealed) => {
                Group::number_of(&sealed).ok_or_else(|| StoreError::damaged(&data, "the group's number"))?
            }
            None => 0,
        };
        if group < acknowledged.group() {
            let what = format!("{} groups were acknowledged, {group} are there", acknowledged.group());
            return Err(StoreError::damaged(&data, what));
        }
        acknowledged.write(group).map_err(StoreError::io(folder))?;
        let space_bytes = config.space_bytes;
        Ok((Self { spaces: RwLock::default(), own, database, data, space_bytes, acknowledged }, group))
    }

    /// Opens or makes a space and says its index.
    pub(crate) fn space(&self, name: &str) -> Result<usize, StoreError> {
        let mut spaces = self.spaces.write();
        if let Some(index) = spaces.iter().position(|(known, _)| **known == *name) {
            return Ok(index);
        }
        if !self.database.keyspace_exists(name) && self.database.keyspace_count() > SPACE_LIMIT {
            return Err(StoreError::TooManySpaces(SPACE_LIMIT));
        }
        let options = || KeyspaceCreateOptions::default().max_memtable_size(self.space_bytes);
        let keyspace = self
            .database
            .keyspace(name, options)
            .map_err(|error| blame_for_opening(error, &self.data, &self.data))?;
        spaces.push((name.into(), keyspace));
        Ok(spaces.len() - 1)
    }

    /// Puts a group of batches on the disk, whole.
    pub(crate) fn write(&self, number: u64, batches: Vec<Batch>) -> Result<(), StoreError> {
        // The engine takes a key once per batch of its own; of several changes the last one counts.
        let mut changes = BTreeMap::new();
        for write in batches.into_iter().flat_map(Batch::into_writes) {
            changes.insert((write.space.index, write.key), write.value);
        }
        let spaces = self.spaces.read();
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let group = Group { number, floor: self.database.seqno() };
        batch.insert(&self.own, Group::KEY, group.seal());
        for ((space, key), value) in changes {
            let (name, keyspace) = &spaces[space];
            match value {
                Some(value) => batch.insert(keyspace, &*key, seal(name, &key, &value)),
                None => batch.remove(keyspace, &*key),
            }
        }
        drop(spaces);
        batch.commit().map_err(|error| StoreError::Failed(error.to_string().into()))?;
        self.acknowledged.write(number).map_err(|error| StoreError::Failed(error.to_string().into()))
    }

    /// Makes the number of the last acknowledged group survive power loss too.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.acknowledged.sync()
    }

    pub(crate) fn view(&self) -> View {
        self.database.snapshot()
    }

    pub(crate) fn get(&self, view: &View, space: &Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let damaged = || StoreError::Damaged { space: space.name.clone(), key: Bytes::copy_from_slice(key) };
        if key.is_empty() {
            return Err(StoreError::KeySize(0));
        }
        match view.get(&self.keyspace(space), key) {
            Ok(None) => Ok(None),
            Ok(Some(sealed)) => unseal(&space.name, key, &sealed).map(Some).ok_or_else(damaged),
            Err(error) => Err(self.blame(ReadError(error), space, key)),
        }
    }

    pub(crate) fn range(&self, view: &View, space: &Space, [start, end]: [Bound<Vec<u8>>; 2]) -> Cursor {
        Cursor { records: view.range(&self.keyspace(space), (start, end)), space: space.name.clone() }
    }

    /// Says what kept a record, or those from `key` on, from being read.
    pub(crate) fn blame(&self, error: ReadError, space: &Space, key: &[u8]) -> StoreError {
        match refused_by_system(error.0) {
            Ok(error) => StoreError::io(&self.data)(error),
            Err(_) => StoreError::Damaged { space: space.name.clone(), key: Bytes::copy_from_slice(key) },
        }
    }

    fn keyspace(&self, space: &Space) -> Keyspace {
        self.spaces.read()[space.index].1.clone()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Cursor {
    pub(crate) fn next(&mut self) -> Option<Read> {
        self.records.next().map(|record| self.read(record))
    }

    pub(crate) fn next_back(&mut self) -> Option<Read> {
        self.records.next_back().map(|record| self.read(record))
    }

    fn read(&self, record: fjall::Guard) -> Read {
        match record.into_inner() {
            Ok((key, sealed)) => {
                let value = unseal(&self.space, &key, &sealed);
                let key = Bytes::copy_from_slice(&key);
                value.map_or(Read::Damaged(key.clone()), |value| Read::Record(key, value))
            }
            Err(error) => Read::Stuck(ReadError(error)),
        }
    }
}

fn blame_for_opening(error: fjall::Error, folder: &Path, data: &Path) -> StoreError {
    if matches!(error, fjall::Error::Locked) {
        return StoreError::InUse(folder.to_owned());
    }
    match refused_by_system(error) {
        Ok(error) => StoreError::io(data)(error),
        Err(error) => StoreError::damaged(data, error.to_string()),
    }
}

/// Tells an operating system that refuses from a file that is missing, short or wrong.
fn refused_by_system(error: fjall::Error) -> Result<std::io::Error, fjall::Error> {
    use ErrorKind::{AlreadyExists, InvalidData, InvalidInput, NotFound, UnexpectedEof};
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => match error.kind() {
            AlreadyExists | InvalidData | InvalidInput | NotFound | UnexpectedEof => Err(error.into()),
            _ => Ok(error),
        },
        error => Err(error),
    }
}

fn make(folder: &Path) -> std::io::Result<()> {
    if !folder.try_exists()? {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))?;
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

const OWN_SPACE: &str = "$store";
const SPACE_LIMIT: usize = 16;
const JOURNAL_BYTES: u64 = 128 << 20;
