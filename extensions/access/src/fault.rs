use std::fmt;
use std::path::{Path, PathBuf};

/// Something in the configuration, or in a file that it names, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, and the way out.
    pub message: String,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A key of the configuration, below `access`.
    Key(Vec<Step>),
    /// A line of a file, from 1, or all of it.
    File(PathBuf, Option<usize>),
}

/// One step on the way to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
}

impl ConfigError {
    /// A key of an element of one of the lists: `access.users[1].name`.
    pub(crate) fn entry(list: &str, index: usize, key: &str, message: impl Into<String>) -> Self {
        let steps = [Step::Key(list.to_owned()), Step::Index(index), Step::Key(key.to_owned())];
        Self { place: Place::Key(steps.into()), message: message.into() }
    }

    /// A key of a table: `access.identity.mountpoint`.
    pub(crate) fn key(keys: &[&str], message: impl Into<String>) -> Self {
        let steps = keys.iter().map(|key| Step::Key((*key).to_owned()));
        Self { place: Place::Key(steps.collect()), message: message.into() }
    }

    /// A line of a file.
    pub(crate) fn line(file: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { place: Place::File(file.to_owned(), Some(line)), message: message.into() }
    }

    /// A whole file.
    pub(crate) fn file(file: &Path, message: impl Into<String>) -> Self {
        Self { place: Place::File(file.to_owned(), None), message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, Some(line)) => write!(f, "{}:{line}", file.display()),
            Self::File(file, None) => write!(f, "{}", file.display()),
            Self::Key(steps) => {
                f.write_str("access")?;
                steps.iter().try_for_each(|step| match step {
                    Step::Key(key) => write!(f, ".{key}"),
                    Step::Index(index) => write!(f, "[{}]", index + 1),
                })
            }
        }
    }
}
