//! The security contexts of OSCORE: read from a file, and again whenever it changes.

mod sequence;

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use oscore::{Contexts, ContextsError, Entry, SecurityContext, SequenceKey, Shared, Start};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::config::Config;
use sequence::SequenceFile;

/// How often the file is looked at. What it says is in force two looks after it changed.
const GLANCE: Duration = Duration::from_millis(500);

/// The largest file that is read.
const MOST_BYTES: u64 = 256 << 20;

/// By what a file is known to have changed; `None` stands for one that cannot be looked at.
type Stamp = Option<[i64; 5]>;

/// The contexts in force, and the file that they are from.
pub(crate) struct OscoreContexts {
    in_force: Shared,
    state_directory: PathBuf,
    watched: Mutex<Watched>,
}

struct Watched {
    /// Empty if there is none.
    file: PathBuf,
    read: Stamp,
    /// How it looks since, if that is another way: a file that changes is read when it has stopped to.
    changing: Option<Stamp>,
    known: HashMap<SequenceKey, (Entry, Arc<SecurityContext>)>,
    /// Opened with the first context.
    sequences: Option<Arc<SequenceFile>>,
}

impl OscoreContexts {
    /// Reads the file that is configured, if there is one, and puts its contexts in force.
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let contexts = Self {
            in_force: config.coap.oscore.in_force.clone(),
            state_directory: config.state_directory(),
            watched: Mutex::new(Watched {
                file: PathBuf::new(),
                read: None,
                changing: None,
                known: HashMap::new(),
                sequences: None,
            }),
        };
        contexts.reload(config)?;
        Ok(contexts)
    }

    /// Reads the file that is configured now, and puts its contexts in force. A fault changes nothing.
    pub(crate) fn reload(&self, config: &Config) -> anyhow::Result<()> {
        let mut watched = self.watched.lock();
        let file = config.coap.oscore.contexts_file.clone();
        let read = stamp(&file);
        self.renew(&mut watched, &file)?;
        (watched.file, watched.read, watched.changing) = (file, read, None);
        Ok(())
    }

    /// Looks at the file for as long as the server runs.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut glances = interval(GLANCE);
        glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            glances.tick().await;
            let contexts = self.clone();
            // A file may be on a network that does not answer.
            let _ = tokio::task::spawn_blocking(move || contexts.refresh()).await;
        }
    }

    fn refresh(&self) {
        let mut watched = self.watched.lock();
        if watched.file.as_os_str().is_empty() {
            return;
        }
        let found = stamp(&watched.file);
        if found == watched.read {
            watched.changing = None;
        } else if watched.changing.replace(found) == Some(found) {
            let file = watched.file.clone();
            (watched.read, watched.changing) = (found, None);
            match self.renew(&mut watched, &file) {
                Ok(()) => info!(file = %file.display(), "The OSCORE contexts changed and are in force."),
                Err(error) => {
                    error!(%error, "The OSCORE contexts changed but cannot be used; what was in force stays so.");
                }
            }
        }
    }

    fn renew(&self, watched: &mut Watched, file: &Path) -> anyhow::Result<()> {
        let entries = if file.as_os_str().is_empty() { Vec::new() } else { read(file)? };
        let keys = entries.iter().map(|entry| Ok(entry.parameters.sequence_key()?));
        let keys: Vec<SequenceKey> = keys.collect::<anyhow::Result<_>>()?;
        let fresh = |(key, entry): &(&SequenceKey, &Entry)| {
            watched.known.get(*key).is_none_or(|(known, _)| !is_same(known, entry))
        };
        let new: Vec<SequenceKey> = keys.iter().zip(&entries).filter(fresh).map(|(key, _)| *key).collect();
        let mut starts = HashMap::new();
        if !new.is_empty() {
            let sequences = match &watched.sequences {
                Some(sequences) => sequences.clone(),
                None => Arc::new(SequenceFile::open(&self.state_directory)?),
            };
            starts = sequences.begin(&new, SystemTime::now())?;
            watched.sequences = Some(sequences);
        }
        let mut known = HashMap::new();
        let mut contexts = Vec::new();
        for (key, entry) in keys.iter().zip(&entries) {
            let context = match (watched.known.get(key), starts.get(key), &watched.sequences) {
                (_, Some((next, reserved)), Some(sequences)) => {
                    let start = Start { next: *next, reserved: *reserved, echo: Some(rand::random()) };
                    let owner = entry.owner.clone();
                    Arc::new(SecurityContext::derive(&entry.parameters, owner, start, sequences.clone())?)
                }
                (Some((_, context)), ..) => context.clone(),
                (None, ..) => bail!("a context of {} was not prepared", file.display()),
            };
            contexts.push(context.clone());
            known.insert(*key, (entry.clone(), context));
        }
        let contexts = Contexts::new(contexts).map_err(|error| {
            let (ContextsError::SameRecipient(place) | ContextsError::SameSender(place)) = error;
            let line = entries.get(place).map_or(0, |entry| entry.line);
            anyhow!("{}:{line}: {error}", file.display())
        })?;
        self.in_force.replace(contexts);
        watched.known = known;
        Ok(())
    }
}

/// Looks whether the file that is configured can be used, without beginning to.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    let file = &config.coap.oscore.contexts_file;
    if !file.as_os_str().is_empty() {
        read(file)?;
    }
    Ok(())
}

/// Reads a file of contexts.
fn read(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let cannot = || format!("{} cannot be read; name another in coap.oscore.contexts_file", file.display());
    let found = std::fs::metadata(file).with_context(cannot)?;
    if found.len() > MOST_BYTES {
        bail!("{} has more than 256 MB; name another in coap.oscore.contexts_file", file.display());
    }
    if found.permissions().mode() & 0o007 != 0 {
        warn!(file = %file.display(), "Everybody on this machine can read the OSCORE secrets; chmod o= the file.");
    }
    let text = std::fs::read_to_string(file).with_context(cannot)?;
    let entries = oscore::parse(&text);
    entries.map_err(|error| anyhow!("{}:{}: {}", file.display(), error.line, error.message))
}

/// Whether a context may go on as it is.
fn is_same(known: &Entry, entry: &Entry) -> bool {
    (&known.parameters, &known.owner) == (&entry.parameters, &entry.owner)
}

fn stamp(file: &Path) -> Stamp {
    let found = std::fs::metadata(file).ok()?;
    let [device, inode, size] = [found.dev(), found.ino(), found.size()].map(u64::cast_signed);
    Some([device, inode, size, found.mtime(), found.mtime_nsec()])
}

#[cfg(test)]
mod tests;
