use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file of a crate.
#[derive(Debug)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// The Rust files under `folder`, in order of their paths; none where the folder does not exist.
pub fn sources(folder: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && let Ok(text) = fs::read_to_string(&path)
        {
            files.push(SourceFile { path, text });
        }
    }
}
