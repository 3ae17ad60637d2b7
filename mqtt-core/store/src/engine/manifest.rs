use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::StoreError;

/// Verifies the manifest of each of the engine's trees, and says whether there is a database at all.
///
/// A tree's `current` holds the number of its manifest (8 bytes) and that one's checksum (16 bytes), little endian. The
/// engine deletes a tree without `current`, and tables that no manifest names.
pub(super) fn examine(data: &Path) -> Result<bool, StoreError> {
    let trees = entries(&data.join("keyspaces"))?;
    if !exists(&data.join("version"))? {
        return match trees.is_empty() {
            true => clear(data).map(|()| false),
            false => Err(StoreError::damaged(&data.join("version"), "it is missing")),
        };
    }
    for tree in &trees {
        let current = tree.join("current");
        if exists(&current)? {
            verify(tree, &current)?;
        } else if !entries(&tree.join("tables"))?.is_empty() || (tree.ends_with("0") && trees.len() > 1) {
            return Err(StoreError::damaged(&current, "it is missing"));
        }
    }
    Ok(true)
}

fn verify(tree: &Path, current: &Path) -> Result<(), StoreError> {
    let content = fs::read(current).map_err(StoreError::io(current))?;
    let short = || StoreError::damaged(current, "it is too short");
    let (number, rest) = content.split_first_chunk::<8>().ok_or_else(short)?;
    let (checksum, _) = rest.split_first_chunk::<16>().ok_or_else(short)?;
    let manifest = tree.join(format!("v{}", u64::from_le_bytes(*number)));
    if !exists(&manifest)? {
        return Err(StoreError::damaged(&manifest, "it is missing"));
    }
    let content = fs::read(&manifest).map_err(StoreError::io(&manifest))?;
    match xxh3_128(&content).to_le_bytes() == *checksum {
        true => Ok(()),
        false => Err(StoreError::damaged(&manifest, "it does not have the checksum that `current` says")),
    }
}

/// Without `version` and any tree the making of the store was cut short; its first journal would be in the way.
fn clear(data: &Path) -> Result<(), StoreError> {
    let first = data.join("0.jnl");
    if let Some(other) = entries(data)?.into_iter().find(|path| is_journal(path) && *path != first) {
        return Err(StoreError::damaged(&other, "there is a journal, and nothing else"));
    }
    match fs::remove_file(&first) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io(&first)(error)),
        _ => Ok(()),
    }
}

/// What is in a folder, in order of the names; nothing if there is none.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(StoreError::io(folder))?,
    };
    let paths: Result<Vec<_>, _> = listed.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(StoreError::io(folder))?;
    paths.sort();
    Ok(paths)
}

pub(super) fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jnl")
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(StoreError::io(path))
}
