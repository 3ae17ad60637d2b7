//! Bytes that change on the disk are noticed or do no harm: never a wrong value, never a silent gap.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use store::{Batch, Config, Store, StoreError};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Some records, overwritten and removed over many groups, in tables as well as in the journal.
fn fill(path: &Path) -> Model {
    let mut model = Model::new();
    let config = Config { space_bytes: 10_000, ..Config::default() };
    let store = Store::open(path, config).unwrap();
    let space = store.space("a").unwrap();
    let mut n = 0_u32;
    while n < 300 || tables(path) == 0 {
        let mut batch = Batch::new();
        for step in 0..3 {
            let key = (n * 7 + step * 11) % 60;
            let key = key.to_be_bytes().to_vec();
            if (n + step).is_multiple_of(5) {
                batch.remove(&space, key.clone());
                model.remove(&key);
            } else {
                let value = n.to_be_bytes().repeat(1 + n as usize % 9);
                batch.put(&space, key.clone(), value.clone());
                model.insert(key, value);
            }
        }
        store.commit(batch).wait().unwrap();
        n += 1;
        assert!(n < 20_000, "no table is ever written");
    }
    store.close().unwrap();
    // Cuts the space off that journals are made with.
    drop(Store::open(path, Config::default()).unwrap());
    model
}

/// How many tables there are, those that name the spaces aside.
fn tables(path: &Path) -> usize {
    let is_table = |file: &PathBuf| file.to_str().unwrap().contains("/tables/");
    let own = path.join("data/keyspaces/0");
    files(path).iter().filter(|file| is_table(file) && !file.starts_with(&own)).count()
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.path() {
            folder if folder.is_dir() => files.extend(self::files(&folder)),
            file => files.push(file),
        }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    NotOpened,
    SomeDamaged,
    Harmless,
}

/// Opens the store and reads all of it, in both ways there are; fails at a wrong value or a silent gap.
fn read(path: &Path, model: &Model, what: &str) -> Outcome {
    let store = match Store::open(path, Config::default()) {
        Ok(store) => store,
        Err(StoreError::DamagedFile { .. }) => return Outcome::NotOpened,
        Err(other) => panic!("{what}: {other}"),
    };
    let space = store.space("a").unwrap();
    let mut damaged = false;
    for key in (0..60_u32).map(|key| key.to_be_bytes()) {
        match store.get(&space, key) {
            Ok(found) => {
                assert_eq!(found.as_deref(), model.get(&key[..]).map(Vec::as_slice), "{what}: {key:?}")
            }
            Err(StoreError::Damaged { .. }) => damaged = true,
            Err(other) => panic!("{what}: {other}"),
        }
    }
    let mut scanned = Model::new();
    let mut whole = true;
    for record in store.snapshot().prefix(&space, "").unwrap() {
        match record {
            Ok((key, value)) => drop(scanned.insert(key.to_vec(), value.to_vec())),
            Err(StoreError::Damaged { .. }) => whole = false,
            Err(other) => panic!("{what}: {other}"),
        }
    }
    assert!(
        scanned.iter().all(|(key, value)| model.get(key) == Some(value)),
        "{what}: a wrong value in a scan"
    );
    assert!(!whole || scanned.len() == model.len(), "{what}: a silent gap in a scan");
    match damaged || !whole {
        true => Outcome::SomeDamaged,
        false => Outcome::Harmless,
    }
}

#[test]
fn a_changed_byte_is_noticed_or_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound");
    let model = fill(&sound);
    assert_eq!(read(&sound, &model, "unchanged"), Outcome::Harmless);
    let files = files(&sound);
    let changed = folder.path().join("changed");
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) % below
    };
    // A longer run than the usual one sets the variable.
    let trials: usize = std::env::var("STORE_TEST_TRIALS").map_or(120, |trials| trials.parse().unwrap());
    let mut noticed = 0;
    for trial in 0..trials {
        let file = &files[trial % files.len()];
        let mut content = fs::read(file).unwrap();
        if content.is_empty() {
            continue;
        }
        let at = next(content.len() as u64) as usize;
        content[at] ^= 1 << next(8);
        let place = file.strip_prefix(&sound).unwrap();
        copy(&sound, &changed);
        fs::write(changed.join(place), content).unwrap();
        let outcome = read(&changed, &model, &format!("trial {trial}, {} byte {at}", place.display()));
        noticed += usize::from(outcome != Outcome::Harmless);
        fs::remove_dir_all(&changed).unwrap();
    }
    assert!(noticed > trials / 3, "only {noticed} of {trials} were noticed");
}

#[test]
fn a_missing_file_is_noticed_or_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound");
    let model = fill(&sound);
    let changed = folder.path().join("changed");
    for file in files(&sound) {
        let place = file.strip_prefix(&sound).unwrap();
        copy(&sound, &changed);
        fs::remove_file(changed.join(place)).unwrap();
        read(&changed, &model, &format!("without {}", place.display()));
        fs::remove_dir_all(&changed).unwrap();
    }
}

/// The engine has no checksum over what orders the groups of a journal: a change there would bring an old value back.
#[test]
fn no_bit_of_a_journal_brings_an_old_value_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Config::default()).unwrap();
    let space = store.space("a").unwrap();
    let groups: [&[(&str, &str)]; 3] = [&[("j", "1"), ("k", "1")], &[("j", "2"), ("k", "2")], &[("k", "3")]];
    for group in groups {
        let mut batch = Batch::new();
        for (key, value) in group {
            batch.put(&space, *key, *value);
        }
        store.commit(batch).wait().unwrap();
    }
    store.close().unwrap();
    drop(Store::open(folder.path(), Config::default()).unwrap());

    // The first journal ever, then one before which there were others.
    let first = folder.path().join("data/0.jnl");
    let later = folder.path().join("data/7.jnl");
    let sound = fs::read(&first).unwrap();
    for (journal, bit) in
        [&first, &later].into_iter().flat_map(|path| (0..sound.len() * 8).map(move |bit| (path, bit)))
    {
        let mut changed = sound.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if *journal == later {
            let _ = fs::remove_file(&first);
        }
        fs::write(journal, &changed).unwrap();
        match Store::open(folder.path(), Config::default()) {
            Ok(store) => {
                let space = store.space("a").unwrap();
                assert_eq!(store.get(&space, "j").unwrap().as_deref(), Some(b"2".as_slice()), "bit {bit}");
                assert_eq!(store.get(&space, "k").unwrap().as_deref(), Some(b"3".as_slice()), "bit {bit}");
            }
            Err(StoreError::DamagedFile { path, .. }) => {
                assert_eq!(path, *journal, "bit {bit}");
                assert_eq!(fs::read(journal).unwrap(), changed, "bit {bit}: the file is left as it is");
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn a_journal_that_lost_everything_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Config::default()).unwrap();
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    batch.put(&space, "k", "v");
    store.commit(batch).wait().unwrap();
    store.close().unwrap();
    fs::write(folder.path().join("data/0.jnl"), "").unwrap();
    for _ in 0..2 {
        let refused = Store::open(folder.path(), Config::default()).unwrap_err();
        assert!(matches!(refused, StoreError::DamagedFile { .. }), "{refused}");
    }
}

#[test]
fn a_group_missing_between_two_journals_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("data/0.jnl");
    let lengths = ["first", "second", "third"].map(|key| {
        let store = Store::open(folder.path(), Config::default()).unwrap();
        let space = store.space("a").unwrap();
        let mut batch = Batch::new();
        batch.put(&space, key, "v");
        store.commit(batch).wait().unwrap();
        store.close().unwrap();
        drop(Store::open(folder.path(), Config::default()).unwrap());
        journal.metadata().unwrap().len() as usize
    });
    let content = fs::read(&journal).unwrap();
    let next = folder.path().join("data/1.jnl");
    fs::write(&journal, &content[..lengths[0]]).unwrap();
    fs::write(&next, &content[lengths[1]..]).unwrap();
    let refused = Store::open(folder.path(), Config::default()).unwrap_err();
    assert!(matches!(&refused, StoreError::DamagedFile { path, .. } if *path == next), "{refused}");
}

/// The engine believes a manifest as it is, and deletes the tables that it does not name.
#[test]
fn no_byte_of_a_manifest_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Config::default()).unwrap();
    store.space("a").unwrap();
    store.close().unwrap();
    let tree = folder.path().join("data/keyspaces/0");
    let current = fs::read(tree.join("current")).unwrap();
    let manifest = tree.join(format!("v{}", u64::from_le_bytes(current[..8].try_into().unwrap())));
    for (file, size) in [(&manifest, fs::read(&manifest).unwrap().len()), (&tree.join("current"), 24)] {
        let sound = fs::read(file).unwrap();
        for at in 0..size {
            let mut changed = sound.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(file, changed).unwrap();
            let refused = Store::open(folder.path(), Config::default()).unwrap_err();
            assert!(
                matches!(&refused, StoreError::DamagedFile { path, .. } if path.starts_with(&tree)),
                "{refused}"
            );
        }
        fs::write(file, sound).unwrap();
    }
    Store::open(folder.path(), Config::default()).unwrap();
}
