//! What a store promises, told by its callers.

use std::ops::Bound;
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake};

use bytes::Bytes;
use store::{Batch, Config, Records, Store, StoreError};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path().join("records"), Config::default()).unwrap()
}

fn keys(records: impl Iterator<Item = Result<(Bytes, Bytes), StoreError>>) -> Vec<String> {
    records.map(|record| String::from_utf8(record.unwrap().0.to_vec()).unwrap()).collect()
}

#[test]
fn a_batch_over_two_spaces_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let (queue, retained) = (store.space("queue").unwrap(), store.space("retained").unwrap());
    let mut batch = Batch::new();
    batch.put(&queue, "s1/1", "hello").put(&retained, "a/b", "21.5").put(&retained, "a/c", "");
    store.commit(batch).wait().unwrap();
    let mut batch = Batch::new();
    batch.remove(&queue, "s1/1").put(&retained, "a/b", "22.0");
    store.commit(batch).wait().unwrap();
    store.close().unwrap();

    let store = open(&folder);
    let (queue, retained) = (store.space("queue").unwrap(), store.space("retained").unwrap());
    assert_eq!(store.get(&queue, "s1/1").unwrap(), None);
    assert_eq!(store.get(&retained, "a/b").unwrap().as_deref(), Some(b"22.0".as_slice()));
    assert_eq!(store.get(&retained, "a/c").unwrap().as_deref(), Some(b"".as_slice()));
}

#[test]
fn dropping_the_store_writes_what_nobody_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let space = store.space("a").unwrap();
    for n in 0..100_u32 {
        let mut batch = Batch::new();
        batch.put(&space, n.to_be_bytes().to_vec(), "x");
        drop(store.commit(batch));
    }
    drop(store);
    let store = open(&folder);
    let space = store.space("a").unwrap();
    assert_eq!(store.snapshot().prefix(&space, "").unwrap().count(), 100);
}

#[test]
fn of_several_changes_of_a_record_the_last_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    batch.put(&space, "k", "1").put(&space, "gone", "1").put(&space, "k", "2").remove(&space, "gone");
    let first = store.commit(batch);
    let mut batch = Batch::new();
    batch.put(&space, "k", "3");
    let second = store.commit(batch);
    second.wait().unwrap();
    first.wait().unwrap();
    assert_eq!(store.get(&space, "k").unwrap().as_deref(), Some(b"3".as_slice()));
    assert_eq!(store.get(&space, "gone").unwrap(), None);
}

#[test]
fn records_come_in_the_order_of_their_keys_from_either_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    for key in ["b", "a/2", "a/10", "a", "a/1", "c"] {
        batch.put(&space, key, "x");
    }
    batch.put(&space, vec![0xff], "x").put(&space, vec![0xff, 0x00], "x");
    store.commit(batch).wait().unwrap();

    let snapshot = store.snapshot();
    assert_eq!(keys(snapshot.prefix(&space, "a").unwrap()), ["a", "a/1", "a/10", "a/2"]);
    assert_eq!(keys(snapshot.prefix(&space, "a/1").unwrap().rev()), ["a/10", "a/1"]);
    assert_eq!(keys(snapshot.range(&space, "a/10".."c").unwrap()), ["a/10", "a/2", "b"]);
    assert_eq!(snapshot.prefix(&space, [0xff]).unwrap().count(), 2);
    assert_eq!(snapshot.prefix(&space, "").unwrap().count(), 8);
    assert_eq!(snapshot.prefix(&space, "d").unwrap().count(), 0);
    let count = |records: Result<Records, StoreError>| records.unwrap().count();
    assert_eq!(count(snapshot.range::<&str>(&space, ..)), 8);
    assert_eq!(count(snapshot.range(&space, "c".."b")), 0);
    assert_eq!(count(snapshot.range::<&str>(&space, (Bound::Excluded("b"), Bound::Excluded("b")))), 0);
    assert_eq!(count(snapshot.range(&space, "b"..="b")), 1);
}

#[test]
fn a_snapshot_does_not_see_what_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    batch.put(&space, "old", "1").put(&space, "removed", "1");
    store.commit(batch).wait().unwrap();

    let snapshot = store.snapshot();
    let mut batch = Batch::new();
    batch.put(&space, "old", "2").put(&space, "new", "2").remove(&space, "removed");
    store.commit(batch).wait().unwrap();

    assert_eq!(keys(snapshot.prefix(&space, "").unwrap()), ["old", "removed"]);
    assert_eq!(snapshot.get(&space, "old").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(keys(store.snapshot().prefix(&space, "").unwrap()), ["new", "old"]);
}

#[test]
fn a_commit_wakes_its_task_without_a_runtime() {
    struct Bell(Sender<()>);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let space = store.space("a").unwrap();
    let (rings, heard) = channel();
    let waker = Arc::new(Bell(rings)).into();
    let mut context = Context::from_waker(&waker);
    for n in 0..20_u8 {
        let mut batch = Batch::new();
        batch.put(&space, vec![n], "x");
        let mut commit = pin!(store.commit(batch));
        let result = loop {
            match commit.as_mut().poll(&mut context) {
                Poll::Ready(result) => break result,
                Poll::Pending => heard.recv().unwrap(),
            }
        };
        result.unwrap();
        assert!(store.get(&space, [n]).unwrap().is_some());
    }
}

#[test]
fn an_empty_batch_is_a_barrier() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    batch.put(&space, "k", "v");
    drop(store.commit(batch));
    store.commit(Batch::new()).wait().unwrap();
    assert!(store.get(&space, "k").unwrap().is_some());
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let store = Store::open(&path, Config::default()).unwrap();
    let refused = Store::open(&path, Config::default()).unwrap_err();
    assert!(matches!(&refused, StoreError::InUse(place) if *place == path), "{refused}");
    let space = store.space("a").unwrap();
    let mut batch = Batch::new();
    batch.put(&space, "k", "v");
    store.commit(batch).wait().unwrap();
    store.close().unwrap();
    Store::open(&path, Config::default()).unwrap();
}

#[test]
fn nobody_else_may_read_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/records");
    drop(Store::open(&path, Config::default()).unwrap());
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("acknowledged")), 0o600);
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (open(&here), open(&there));
    let (space, foreign) = (store.space("a").unwrap(), other.space("a").unwrap());
    for name in ["", "A", "a/b", "$store", &"a".repeat(33)] {
        assert!(matches!(store.space(name), Err(StoreError::SpaceName(_))), "{name}");
    }
    let commit = |change: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        batch.put(&space, "whole", "batch");
        change(&mut batch);
        store.commit(batch).wait().unwrap_err()
    };
    let empty = commit(&|batch| {
        batch.put(&space, "", "v");
    });
    assert!(matches!(empty, StoreError::KeySize(0)), "{empty}");
    let long = commit(&|batch| {
        batch.remove(&space, vec![7; 65_536]);
    });
    assert!(matches!(long, StoreError::KeySize(65_536)), "{long}");
    let elsewhere = commit(&|batch| {
        batch.put(&foreign, "k", "v");
    });
    assert!(matches!(elsewhere, StoreError::ForeignSpace(_)), "{elsewhere}");
    let large = commit(&|batch| {
        batch.put(&space, "k", vec![0; 16 << 20]);
    });
    assert!(matches!(large, StoreError::BatchSize { .. }), "{large}");
    assert!(matches!(store.get(&foreign, "k"), Err(StoreError::ForeignSpace(_))));
    assert_eq!(store.snapshot().prefix(&space, "").unwrap().count(), 0);
}

#[test]
fn a_store_has_a_few_spaces() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for n in 0..16 {
        store.space(&format!("s{n}")).unwrap();
    }
    assert!(matches!(store.space("one-more"), Err(StoreError::TooManySpaces(16))));
    store.space("s3").unwrap();
    drop(store);
    let store = open(&folder);
    assert!(matches!(store.space("one-more"), Err(StoreError::TooManySpaces(16))));
    store.space("s15").unwrap();
}
