use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// The number of the last acknowledged group, in a file that is the lock on the folder too.
///
/// Written after each group's sync and not synced itself: kill -9 does not lose it, power loss may leave an older
/// number. So it is never above what is on the disk, and a store that has less has lost something.
#[derive(Debug)]
pub(super) struct Acknowledged {
    file: File,
    path: PathBuf,
    group: u64,
}

impl Acknowledged {
    /// Takes the lock, and reads the number; one that is absent or unreadable vouches for nothing.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("acknowledged");
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io(&path))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse(folder.to_owned()),
            TryLockError::Error(error) => StoreError::io(&path)(error),
        })?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(StoreError::io(&path))?;
        Ok(Self { file, path, group: decode(&content).unwrap_or(0) })
    }

    /// The number as it was when the folder was opened.
    pub(super) fn group(&self) -> u64 {
        self.group
    }

    pub(super) fn write(&self, group: u64) -> io::Result<()> {
        let group = group.to_le_bytes();
        let mut content = [0; 12];
        content[..8].copy_from_slice(&group);
        content[8..].copy_from_slice(&crc32fast::hash(&group).to_le_bytes());
        self.file.write_all_at(&content, 0)
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(StoreError::io(&self.path))
    }
}

impl Drop for Acknowledged {
    /// Closing the file is not enough: a process that is just being started still has it open for a moment.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn decode(content: &[u8]) -> Option<u64> {
    let (group, sum) = content.split_first_chunk::<8>()?;
    (crc32fast::hash(group).to_le_bytes() == sum).then(|| u64::from_le_bytes(*group))
}
