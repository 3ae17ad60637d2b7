use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// Records of handshakes that wait for their turn, in the order in which they came.
#[derive(Default)]
pub(crate) struct Waiting {
    records: VecDeque<(SocketAddr, Box<[u8]>)>,
    by_address: HashMap<SocketAddr, usize>,
    bytes: usize,
}

/// How many records wait.
const RECORDS: usize = 1_024;

/// How many bytes they have together.
const BYTES: usize = 1 << 20;

/// How many of them come from one address.
const OF_ONE: usize = 16;

impl Waiting {
    /// Whether there are some of an address.
    pub(crate) fn has(&self, from: &SocketAddr) -> bool {
        self.by_address.contains_key(from)
    }

    /// Keeps a record; whether there is room.
    pub(crate) fn push(&mut self, from: SocketAddr, record: &[u8]) -> bool {
        let of_one = self.by_address.get(&from).copied().unwrap_or_default();
        if self.records.len() >= RECORDS || self.bytes + record.len() > BYTES || of_one >= OF_ONE {
            return false;
        }
        self.by_address.insert(from, of_one + 1);
        self.bytes += record.len();
        self.records.push_back((from, record.into()));
        true
    }

    /// Takes the next.
    pub(crate) fn pop(&mut self) -> Option<(SocketAddr, Box<[u8]>)> {
        let (from, record) = self.records.pop_front()?;
        self.bytes -= record.len();
        match self.by_address.get_mut(&from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.by_address.remove(&from)),
        }
        Some((from, record))
    }
}
