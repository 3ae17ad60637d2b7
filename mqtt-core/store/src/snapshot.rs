use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Cursor, Engine, Read, View};
use crate::{Space, StoreError};

/// The store as it was at one moment: batches committed later do not show, and none shows in part.
pub struct Snapshot {
    view: View,
    engine: Arc<Engine>,
    owner: Arc<()>,
}

/// The records of a range, by key; from the back with `rev`.
///
/// A damaged record is an error in its place; where the disk cannot be read on, the error is the last item.
pub struct Records {
    cursor: Option<Cursor>,
    space: Space,
    from: Bytes,
    engine: Arc<Engine>,
}

impl Snapshot {
    pub(crate) fn new(engine: Arc<Engine>, owner: Arc<()>) -> Self {
        Self { view: engine.view(), engine, owner }
    }

    /// The value of one record.
    pub fn get(&self, space: &Space, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        space.belongs_to(&self.owner)?;
        self.engine.get(&self.view, space, key.as_ref())
    }

    /// The records whose keys begin with `prefix`; all of the space if it is empty.
    pub fn prefix(&self, space: &Space, prefix: impl AsRef<[u8]>) -> Result<Records, StoreError> {
        let prefix = prefix.as_ref();
        let end = after(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        self.range::<Vec<u8>>(space, (Bound::Included(prefix.to_vec()), end))
    }

    /// The records whose keys lie in `bounds`; none if these are the wrong way round.
    pub fn range<K: AsRef<[u8]>>(
        &self,
        space: &Space,
        bounds: impl RangeBounds<K>,
    ) -> Result<Records, StoreError> {
        space.belongs_to(&self.owner)?;
        let bounds =
            [bounds.start_bound(), bounds.end_bound()].map(|bound| bound.map(|key| key.as_ref().to_vec()));
        let from = match &bounds[0] {
            Bound::Included(key) | Bound::Excluded(key) => Bytes::copy_from_slice(key),
            Bound::Unbounded => Bytes::new(),
        };
        let cursor = (!is_empty(&bounds)).then(|| self.engine.range(&self.view, space, bounds));
        Ok(Records { cursor, space: space.clone(), from, engine: self.engine.clone() })
    }
}

impl Records {
    fn yielded(&mut self, read: Option<Read>) -> Option<Record> {
        match read? {
            Read::Record(key, value) => Some(Ok((key, value))),
            Read::Damaged(key) => Some(Err(StoreError::Damaged { space: self.space.name.clone(), key })),
            Read::Stuck(error) => {
                self.cursor = None;
                Some(Err(self.engine.blame(error, &self.space, &self.from)))
            }
        }
    }
}

type Record = Result<(Bytes, Bytes), StoreError>;

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let read = self.cursor.as_mut()?.next();
        self.yielded(read)
    }
}

impl DoubleEndedIterator for Records {
    fn next_back(&mut self) -> Option<Record> {
        let read = self.cursor.as_mut()?.next_back();
        self.yielded(read)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("space", &self.space.name).finish_non_exhaustive()
    }
}

/// The first key behind all that begin with `prefix`, if there is one.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}

fn is_empty([start, end]: &[Bound<Vec<u8>>; 2]) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
    }
}
