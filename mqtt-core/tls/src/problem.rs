use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why certificates cannot be used: where, the cause, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, if it is one file's fault.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub cause: String,
    /// What helps.
    pub fix: &'static str,
}

impl Problem {
    pub(crate) fn general(cause: impl Into<String>, fix: &'static str) -> Self {
        Self { file: None, cause: cause.into(), fix }
    }

    pub(crate) fn of(file: &Path, cause: impl Into<String>, fix: &'static str) -> Self {
        Self { file: Some(file.to_owned()), cause: cause.into(), fix }
    }

    /// A file that cannot be read.
    pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Self {
        let (cause, fix) = match error.kind() {
            io::ErrorKind::NotFound => {
                ("there is no such file".to_owned(), "name another in the configuration, or put it there")
            }
            io::ErrorKind::PermissionDenied => {
                ("permission denied".to_owned(), "let the user that runs the server read it")
            }
            io::ErrorKind::IsADirectory => ("it is a directory".to_owned(), "name a file in it"),
            _ => (format!("cannot be read: {error}"), "name another in the configuration"),
        };
        Self::of(file, cause, fix)
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "{}; fix: {}", self.cause, self.fix)
    }
}
