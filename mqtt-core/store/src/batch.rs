use bytes::Bytes;

use crate::{Space, StoreError};

/// Changes to one or several spaces that happen together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    writes: Vec<Write>,
    size: usize,
}

/// One change; no value removes the record.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) space: Space,
    pub(crate) key: Bytes,
    pub(crate) value: Option<Bytes>,
}

impl Batch {
    /// Makes a batch without changes; committed, it resolves when everything before it is on the disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record, in place of the one with the same key. Of two changes of a record the later one counts.
    pub fn put(&mut self, space: &Space, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.push(space, key.into(), Some(value.into()))
    }

    /// Removes a record, if there is one.
    pub fn remove(&mut self, space: &Space, key: impl Into<Bytes>) -> &mut Self {
        self.push(space, key.into(), None)
    }

    /// What it takes in the queue, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    pub(crate) fn check(&self, space: impl Fn(&Space) -> Result<(), StoreError>) -> Result<(), StoreError> {
        for write in &self.writes {
            space(&write.space)?;
            if write.key.is_empty() || write.key.len() > KEY_LIMIT {
                return Err(StoreError::KeySize(write.key.len()));
            }
        }
        Ok(())
    }

    fn push(&mut self, space: &Space, key: Bytes, value: Option<Bytes>) -> &mut Self {
        self.size += size_of::<Write>() + key.len() + value.as_ref().map_or(0, Bytes::len);
        self.writes.push(Write { space: space.clone(), key, value });
        self
    }
}

const KEY_LIMIT: usize = u16::MAX as usize;
