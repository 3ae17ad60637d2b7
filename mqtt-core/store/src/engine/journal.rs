use std::fs::{self, OpenOptions};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::OWN_SPACE;
use super::manifest::{entries, is_journal};
use crate::StoreError;
use crate::record::{seal, unseal};

/// The record that each group begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Counts groups from 1, without gaps.
    pub(super) number: u64,
    /// A sequence number of the engine that lies above those of all earlier groups, and not above this one's.
    pub(super) floor: u64,
}

/// A group as it stands in a journal, with the sequence number that the engine gave it.
struct Written {
    group: Group,
    sequence: u64,
}

/// Verifies that the journals hold every group, in order and whole, and cuts off what a crash left of the last one.
///
/// A group is written only once the one before it is synced. So what follows the last whole group is at most one
/// torn group, which nobody was told of; `acknowledged` is the number of the last one somebody was told of. A
/// journal that is not the last one was synced when it was full.
pub(super) fn examine(data: &Path, acknowledged: u64) -> Result<(), StoreError> {
    let journals = journals(data)?;
    let Some((active, _)) = journals.last() else {
        return Err(StoreError::damaged(data, "there is no journal"));
    };
    // The very first journal begins with group 1; before a later one there may have been any number.
    let mut last = journals.first().filter(|(_, id)| *id == 0).map(|_| Written::BEFORE_ALL);
    for (path, _) in &journals {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(StoreError::io(path))?;
        let size = file.metadata().map_err(StoreError::io(path))?.len();
        let mut journal = Journal { input: BufReader::new(file), left: size, body: Vec::new() };
        let mut whole = 0;
        while let Some(next) = journal.group().map_err(StoreError::io(path))? {
            if !last.as_ref().is_none_or(|last| next.follows(last)) || next.sequence < next.group.floor {
                return Err(StoreError::damaged(
                    path,
                    format!("group {} is out of order", next.group.number),
                ));
            }
            whole = size - journal.left;
            last = Some(next);
        }
        if path == active && whole < size {
            let torn = match &last {
                Some(last) => last.group.number >= acknowledged,
                None => !holds_group(&fs::read(path).map_err(StoreError::io(path))?),
            };
            if !torn {
                return Err(StoreError::damaged(path, format!("it cannot be read from byte {whole} on")));
            }
            let file = journal.input.into_inner();
            file.set_len(whole).and_then(|()| file.sync_all()).map_err(StoreError::io(path))?;
        }
        // A cut in another one shows in the next one, which does not follow.
    }
    Ok(())
}

/// Whether there is a whole group anywhere. It was written after all that lies before it was synced.
fn holds_group(bytes: &[u8]) -> bool {
    let mut starts =
        bytes.windows(START + 1).enumerate().filter(|(_, start)| start[0] == 1 && start[START] == 2);
    starts.any(|(at, _)| {
        let input = &bytes[at..];
        Journal { input, left: input.len() as u64, body: Vec::new() }
            .group()
            .is_ok_and(|group| group.is_some())
    })
}

impl Group {
    pub(super) const KEY: &[u8] = b"group";

    pub(super) fn seal(&self) -> Vec<u8> {
        let value = [self.number.to_le_bytes(), self.floor.to_le_bytes()].concat();
        seal(OWN_SPACE, Self::KEY, &value)
    }

    pub(super) fn number_of(sealed: &[u8]) -> Option<u64> {
        Self::unseal(sealed).map(|group| group.number)
    }

    fn unseal(sealed: &[u8]) -> Option<Self> {
        let value = unseal(OWN_SPACE, Self::KEY, sealed)?;
        let (number, floor) = value.split_first_chunk::<8>()?;
        let floor = u64::from_le_bytes(floor.try_into().ok()?);
        Some(Self { number: u64::from_le_bytes(*number), floor })
    }
}

impl Written {
    const BEFORE_ALL: Self = Self { group: Group { number: 0, floor: 0 }, sequence: 0 };

    fn follows(&self, last: &Self) -> bool {
        self.group.number == last.group.number + 1 && self.group.floor > last.sequence
    }
}

/// A journal being read. Integers are little endian; a group is
///
/// ```text
/// 1, items: u32, sequence number: u64
/// then per item: 2, kind: u8, compression: u8, tree: u64, size of the key: u16, of the value: u32, on the disk: u32, both
/// 3, XXH3 of all items: u64, "FJL" 3
/// ```
struct Journal<R> {
    input: R,
    left: u64,
    body: Vec<u8>,
}

impl<R: Read> Journal<R> {
    /// The next group; `None` where there is no whole one.
    fn group(&mut self) -> std::io::Result<Option<Written>> {
        let Some([1, start @ ..]) = self.take::<START>()? else { return Ok(None) };
        let (items, sequence) = start.split_at(4);
        let (items, sequence) = (number(items), number(sequence));
        let mut hasher = Xxh3::new();
        let mut group = None;
        for item in 0..items {
            let Some(head @ [2, ..]) = self.take::<21>()? else { return Ok(None) };
            let (key, value) = (number(&head[11..13]), number(&head[17..21]));
            if !self.fill(key + value)? {
                return Ok(None);
            }
            hasher.update(&head);
            hasher.update(&self.body);
            if item == 0 {
                group = self.body.strip_prefix(Group::KEY).and_then(Group::unseal);
            }
        }
        let Some([3, end @ ..]) = self.take::<13>()? else { return Ok(None) };
        let whole = number(&end[..8]) == hasher.digest() && end[8..] == *b"FJL\x03";
        Ok(group.filter(|_| whole).map(|group| Written { group, sequence }))
    }

    fn take<const N: usize>(&mut self) -> std::io::Result<Option<[u8; N]>> {
        Ok(self.fill(N as u64)?.then(|| self.body.as_slice().try_into().ok()).flatten())
    }

    /// Reads `size` bytes into the body, if there are as many.
    fn fill(&mut self, size: u64) -> std::io::Result<bool> {
        if size > self.left {
            return Ok(false);
        }
        self.body.clear();
        let read = (&mut self.input).take(size).read_to_end(&mut self.body)? as u64;
        self.left -= read;
        Ok(read == size)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The journals, oldest first; each is full but the last one, which the engine writes to.
fn journals(data: &Path) -> Result<Vec<(PathBuf, u64)>, StoreError> {
    let mut journals = Vec::new();
    for path in entries(data)?.into_iter().filter(|path| is_journal(path)) {
        let id = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let id = id.ok_or_else(|| StoreError::damaged(&path, "it is not named as a journal is"))?;
        journals.push((path, id));
    }
    journals.sort_by_key(|(_, id)| *id);
    Ok(journals)
}

/// The bytes before the first item.
const START: usize = 13;
