use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// Why the store did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller's: the name of a space is not 1 to 32 of `a-z`, `0-9` and `-`.
    #[error("{0:?} cannot name a space: 1 to 32 of a-z, 0-9 and '-'")]
    SpaceName(String),
    /// The caller's: spaces are costly, and there are this many.
    #[error("there are {0} spaces already, which is as many as a store has")]
    TooManySpaces(usize),
    /// The caller's: the space was opened in another store.
    #[error("the space {0} belongs to another store")]
    ForeignSpace(Arc<str>),
    /// The caller's: a key is 1 to 65535 bytes long, this one is not.
    #[error("a key has 1 to 65535 bytes, not {0}")]
    KeySize(usize),
    /// The caller's: the batch is larger than the whole queue may be, in bytes.
    #[error("a batch of {size} bytes is larger than the queue, which takes {limit}")]
    BatchSize {
        /// What the batch takes.
        size: usize,
        /// What the queue takes.
        limit: usize,
    },
    /// The load's: the disk is slower than the writers. Nothing of the batch was taken; try again later.
    #[error("the write queue is full")]
    Busy,
    /// The surroundings': another process or another `Store` has the folder open.
    #[error("{} is open elsewhere", .0.display())]
    InUse(PathBuf),
    /// The surroundings': the operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// What was accessed.
        path: PathBuf,
        /// What the operating system said.
        error: Arc<io::Error>,
    },
    /// The disk's: the record is there and is not what was written.
    #[error("the record {key:?} in the space {space} is damaged")]
    Damaged {
        /// The name of its space.
        space: Arc<str>,
        /// Its key; where a range could not be read on, the bound that it was read from.
        key: Bytes,
    },
    /// The disk's: the store is not opened, because this file or folder is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    DamagedFile {
        /// The file; the folder where the damage cannot be told more exactly.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The disk's: a write failed, so that nobody knows what is on the disk. Nothing more is written.
    #[error("a write failed, nothing more is written: {0}")]
    Failed(Arc<str>),
}

impl StoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error: Arc::new(error) }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::DamagedFile { path: path.to_owned(), what: what.into() }
    }
}
