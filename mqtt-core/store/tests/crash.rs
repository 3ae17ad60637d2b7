//! Kill -9 and power loss: what was acknowledged is there, and no batch is there in part.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use store::{Batch, Commit, Config, Store, StoreError};

const FOLDER: &str = "STORE_TEST_FOLDER";
const KEPT: u64 = 50;

/// Small enough that tables are written and merged between the kills.
fn config() -> Config {
    Config { space_bytes: 20_000, ..Config::default() }
}

/// The value of record `n` in both spaces.
fn value(n: u64) -> Vec<u8> {
    n.to_be_bytes().repeat(1 + n as usize % 40)
}

/// The process that is killed: writes batches, some at a time, and prints the number of each that is acknowledged.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Store::open(folder, config()).unwrap();
    let (queue, index) = (store.space("queue").unwrap(), store.space("index").unwrap());
    let last = store.snapshot().prefix(&queue, "").unwrap().next_back();
    let next = last.map_or(0, |record| u64::from_be_bytes(record.unwrap().0[..].try_into().unwrap()) + 1);
    let mut waiting = VecDeque::<(u64, Commit)>::new();
    for n in next.. {
        let mut batch = Batch::new();
        for space in [&queue, &index] {
            batch.put(space, n.to_be_bytes().to_vec(), value(n));
            if let Some(old) = n.checked_sub(KEPT) {
                batch.remove(space, old.to_be_bytes().to_vec());
            }
        }
        waiting.push_back((n, store.commit(batch)));
        if waiting.len() > 1 + n as usize % 8 {
            let (n, commit) = waiting.pop_front().unwrap();
            commit.wait().unwrap();
            writeln!(std::io::stdout(), "acknowledged {n}").unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_before_kill_9_is_there_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..8 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let acknowledged = run_and_kill(&path, 1 + random % 150);
        let found = verify(&path);
        assert!(found >= acknowledged, "round {round}: {acknowledged} acknowledged, {found} found");
    }
}

/// Kills the writing process once it has acknowledged some batches; says the last one it acknowledged at all.
fn run_and_kill(path: &Path, after: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env(FOLDER, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let mut last = None;
    // The pipe goes on after the kill: what it still holds was acknowledged too.
    for line in lines.map_while(Result::ok) {
        let Some(n) = line.rsplit_once("acknowledged ").and_then(|(_, n)| n.parse().ok()) else { continue };
        last = Some(n);
        seen += 1;
        if seen == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= after, "the writing process ended by itself");
    last.unwrap()
}

/// Both spaces hold the same records: the last ones, without a gap. Says the number of the last one.
fn verify(path: &Path) -> u64 {
    let store = Store::open(path, config()).unwrap();
    let snapshot = store.snapshot();
    let [queue, index] = ["queue", "index"].map(|name| {
        let space = store.space(name).unwrap();
        snapshot.prefix(&space, "").unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    });
    assert_eq!(queue, index, "a batch is there in part");
    let numbers: Vec<_> =
        queue.iter().map(|(key, _)| u64::from_be_bytes(key[..].try_into().unwrap())).collect();
    let last = *numbers.last().unwrap();
    assert_eq!(numbers, ((last + 1).saturating_sub(KEPT)..=last).collect::<Vec<_>>());
    for ((_, found), n) in queue.iter().zip(numbers) {
        assert_eq!(found[..], value(n)[..], "record {n}");
    }
    last
}

/// A store with the groups 1 and 2, and what of its journal belongs to group 1.
fn two_groups(path: &Path) -> u64 {
    let store = Store::open(path, Config::default()).unwrap();
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    batch.put(&space, "first", "kept");
    store.commit(batch).wait().unwrap();
    store.close().unwrap();
    drop(Store::open(path, Config::default()).unwrap());
    let first = path.join("data/0.jnl").metadata().unwrap().len();
    let acknowledged = fs::read(path.join("acknowledged")).unwrap();

    let store = Store::open(path, Config::default()).unwrap();
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    batch.put(&space, "second", vec![7; 10_000]).put(&space, "third", "x");
    store.commit(batch).wait().unwrap();
    store.close().unwrap();
    // As if the power had failed before anybody was told of group 2.
    fs::write(path.join("acknowledged"), acknowledged).unwrap();
    first
}

/// Pages of one sync reach the disk in any order: the end of a group may be there, and a page in it not.
#[test]
fn a_group_torn_by_power_loss_is_left_out_whole_and_the_store_goes_on() {
    for (from, size) in [(0, 1), (0, 4096), (5_000, 4096), (9_000, 100_000)] {
        let folder = tempfile::tempdir().unwrap();
        let first = two_groups(folder.path());
        let journal = OpenOptions::new().write(true).open(folder.path().join("data/0.jnl")).unwrap();
        journal.write_all_at(&vec![0; size], first + from).unwrap();
        for key in ["fourth", "fifth"] {
            let store = Store::open(folder.path(), Config::default()).unwrap();
            let space = store.space("a").unwrap();
            assert_eq!(store.get(&space, "first").unwrap().as_deref(), Some(b"kept".as_slice()));
            assert_eq!(store.get(&space, "second").unwrap(), None);
            assert_eq!(store.get(&space, "third").unwrap(), None);
            let mut batch = Batch::new();
            batch.put(&space, key, "v");
            store.commit(batch).wait().unwrap();
        }
        let store = Store::open(folder.path(), Config::default()).unwrap();
        let space = store.space("a").unwrap();
        assert_eq!(store.snapshot().prefix(&space, "").unwrap().count(), 3);
    }
}

#[test]
fn a_group_that_was_acknowledged_is_not_taken_for_torn() {
    let folder = tempfile::tempdir().unwrap();
    let first = two_groups(folder.path());
    drop(Store::open(folder.path(), Config::default()).unwrap());
    let path = folder.path().join("data/0.jnl");
    let size = path.metadata().unwrap().len();
    let journal = OpenOptions::new().write(true).open(&path).unwrap();
    journal.write_all_at(&[0], first + 5_000).unwrap();
    for _ in 0..2 {
        let refused = Store::open(folder.path(), Config::default()).unwrap_err();
        assert!(
            matches!(&refused, StoreError::DamagedFile { path: place, .. } if *place == path),
            "{refused}"
        );
        assert_eq!(path.metadata().unwrap().len(), size, "the file is left as it is");
    }
}
