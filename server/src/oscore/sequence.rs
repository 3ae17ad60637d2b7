use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use oscore::{RESERVED_AHEAD, SequenceKey, SequenceStore};
use parking_lot::Mutex;
use tracing::error;

/// How many numbers a context may use in a second on the average. If the file is lost, a context goes on above what it can
/// have used since [`EPOCH`].
const PER_SECOND: u64 = 64;

/// 2026-01-01.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// However wrong the clock is, half of all numbers remain.
const LATEST_START: u64 = 1 << 39;

const HEADING: &str = "# How far the numbers of OSCORE's contexts may have been used. No number may be used twice: keep this file.\n";

/// Which Sender Sequence Numbers may have been used: a line for each reservation, the highest of which counts.
pub(crate) struct SequenceFile {
    path: PathBuf,
    log: Mutex<Log>,
    /// Locked for as long as the server runs, so that no other uses the same numbers.
    _lock: File,
}

struct Log {
    file: Option<File>,
    bounds: HashMap<SequenceKey, u64>,
}

impl SequenceFile {
    /// Opens the file in the server's own directory, or will make it.
    pub(crate) fn open(state_directory: &Path) -> anyhow::Result<Self> {
        let directory = state_directory.join("oscore");
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        let lock = lock(&directory.join("lock"))?;
        let path = directory.join("sequence");
        let bounds = match fs::read_to_string(&path) {
            Ok(text) => parse(&text).map_err(|line| {
                let name = path.display();
                anyhow!("{name}:{line}: is no reservation; restore the file, or give all contexts new secrets and delete it")
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(error).context(format!("{} cannot be read", path.display())),
        };
        Ok(Self { path, log: Mutex::new(Log { file: None, bounds }), _lock: lock })
    }

    /// Where these contexts begin, and below which number they need not ask again; all of it is stored.
    pub(crate) fn begin(
        &self,
        contexts: &[SequenceKey],
        now: SystemTime,
    ) -> anyhow::Result<HashMap<SequenceKey, (u64, u64)>> {
        let mut log = self.log.lock();
        let unknown = start_without_record(now);
        let start = |key: &SequenceKey| log.bounds.get(key).copied().unwrap_or(unknown);
        let starts: HashMap<SequenceKey, (u64, u64)> = contexts
            .iter()
            .map(|key| (*key, (start(key), start(key).saturating_add(RESERVED_AHEAD))))
            .collect();
        let mut bounds = log.bounds.clone();
        bounds.extend(starts.iter().map(|(key, (_, reserved))| (*key, *reserved)));
        let file = rewrite(&self.path, &bounds)
            .with_context(|| format!("{} cannot be written", self.path.display()))?;
        *log = Log { file: Some(file), bounds };
        Ok(starts)
    }
}

impl SequenceStore for SequenceFile {
    fn reserve(&self, context: SequenceKey, bound: u64) -> bool {
        let mut log = self.log.lock();
        // The file was read again meanwhile, and another context goes on with this one's key.
        let overtaken =
            log.bounds.get(&context).is_some_and(|stored| *stored > bound.saturating_sub(RESERVED_AHEAD));
        let Some(file) = log.file.as_mut().filter(|_| !overtaken) else {
            return false;
        };
        let line = format!("{context} {bound}\n");
        match file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
            Ok(()) => {
                log.bounds.insert(context, bound);
                true
            }
            Err(error) => {
                let file = self.path.display();
                error!(%file, %error, "It cannot be stored which numbers OSCORE uses; messages are lost.");
                false
            }
        }
    }
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let cannot = || format!("{} cannot be made", path.display());
    let file = OpenOptions::new().create(true).append(true).open(path).with_context(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "{} is locked: another server uses these contexts; give each a state_directory",
                path.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
    }
}

/// Reads the reservations; the error is the line that is none. A last line that is not whole was never relied on.
fn parse(text: &str) -> Result<HashMap<SequenceKey, u64>, usize> {
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    let mut bounds = HashMap::new();
    for (number, line) in whole.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let (key, bound) = line
            .split_once(' ')
            .and_then(|(key, bound)| Some((SequenceKey::parse(key)?, bound.parse::<u64>().ok()?)))
            .ok_or(number + 1)?;
        let known = bounds.entry(key).or_insert(0);
        *known = bound.max(*known);
    }
    Ok(bounds)
}

/// Writes the file beside its place and moves it there, so that there is always a whole one; returns it to be appended to.
fn rewrite(path: &Path, bounds: &HashMap<SequenceKey, u64>) -> std::io::Result<File> {
    let mut text = HEADING.to_owned();
    for (key, bound) in bounds {
        let _ = writeln!(text, "{key} {bound}");
    }
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    OpenOptions::new().append(true).open(path)
}

/// Where a context begins of which nothing is stored: it may be new, or the file was lost.
fn start_without_record(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH + EPOCH).unwrap_or_default();
    since.as_secs().saturating_mul(PER_SECOND).min(LATEST_START)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> SequenceKey {
        SequenceKey::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn numbers_go_on_above_what_was_reserved_before() {
        let directory = tempfile::tempdir().unwrap();
        let first = SequenceFile::open(directory.path()).unwrap();
        let starts = first.begin(&[key('a')], at(0)).unwrap();
        assert_eq!(starts[&key('a')], (0, RESERVED_AHEAD));
        assert!(first.reserve(key('a'), 5_000));
        assert!(!first.reserve(key('a'), 5_000), "no two contexts use the same numbers");
        drop(first);
        let second = SequenceFile::open(directory.path()).unwrap();
        let starts = second.begin(&[key('a'), key('b')], at(10)).unwrap();
        assert_eq!(starts[&key('a')], (5_000, 5_000 + RESERVED_AHEAD));
        assert_eq!(starts[&key('b')], (640, 640 + RESERVED_AHEAD));
    }

    #[test]
    fn what_is_not_in_use_now_is_remembered_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let first = SequenceFile::open(directory.path()).unwrap();
        first.begin(&[key('a')], at(0)).unwrap();
        first.begin(&[key('b')], at(0)).unwrap();
        drop(first);
        let second = SequenceFile::open(directory.path()).unwrap();
        assert_eq!(second.begin(&[key('a')], at(0)).unwrap()[&key('a')].0, RESERVED_AHEAD);
    }

    #[test]
    fn a_line_that_was_not_finished_does_not_count_and_a_damaged_one_is_a_fault() {
        let whole = format!("# heading\n{} 7\n{} 5\n", key('a'), key('a'));
        assert_eq!(parse(&whole), Ok(HashMap::from([(key('a'), 7)])));
        assert_eq!(parse(&format!("{whole}{} 90", key('a'))), Ok(HashMap::from([(key('a'), 7)])));
        assert_eq!(parse(&format!("{whole}nonsense\n")), Err(4));
    }

    #[test]
    fn no_two_servers_use_the_same_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let _first = SequenceFile::open(directory.path()).unwrap();
        let error = SequenceFile::open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("another server"), "{error}");
    }

    #[test]
    fn a_wrong_clock_leaves_half_of_the_numbers() {
        assert_eq!(start_without_record(at(1 << 50)), LATEST_START);
        assert_eq!(start_without_record(SystemTime::UNIX_EPOCH), 0);
    }
}
