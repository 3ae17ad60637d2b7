use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::ConfigError;

/// The largest file that is read.
const MOST_BYTES: u64 = 256 << 20;

/// By what a file is known to have changed: which one it is behind all links, how large, and when it was written.
/// `None` stands for a file that cannot be looked at.
pub(crate) type Stamp = Option<[i64; 7]>;

/// Looks at a file without reading it.
pub(crate) fn stamp(file: &Path) -> Stamp {
    let found = std::fs::metadata(file).ok()?;
    let [device, inode, size] = [found.dev(), found.ino(), found.size()].map(u64::cast_signed);
    Some([device, inode, size, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()])
}

/// The text of a file.
pub(crate) fn read(file: &Path) -> Result<String, ConfigError> {
    let cannot = |cause: &str, fix: &str| ConfigError::file(file, format!("cannot be read: {cause}; {fix}"));
    let read = || {
        let mut bytes = Vec::new();
        File::open(file)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = read().map_err(|error| match error.kind() {
        ErrorKind::NotFound => cannot("there is no such file", "name another, or create it"),
        ErrorKind::IsADirectory => cannot("it is a directory", "name a file in it"),
        ErrorKind::PermissionDenied => {
            cannot("permission denied", "let the user that runs the server read it")
        }
        _ => cannot(&error.to_string(), "name another"),
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(cannot("it has more than 256 MB", "name another"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..good).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::line(file, line, "these bytes are not UTF-8; write the file as text")
    })
}

/// The lines that say something, with their numbers from 1: no blank ones, and none that begin with `#`.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
