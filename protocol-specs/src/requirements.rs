use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// What one standard asks, statement by statement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// The protocol: the name of the folder.
    pub protocol: String,
    /// The version of the protocol these statements belong to.
    pub version: String,
    /// The document the clauses are counted in.
    pub standard: String,
    /// Tests that another server is known to answer differently.
    #[serde(default)]
    pub known_different: Vec<KnownDifferent>,
    /// The statements, in the order of the standard.
    #[serde(rename = "statement")]
    pub statements: Vec<Statement>,
}

/// One normative statement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The standard's own number for it where there is one, else document, clause and a count.
    pub id: String,
    /// The clause it stands in.
    pub clause: String,
    /// How strongly it is meant.
    pub level: Level,
    /// Who has to do it.
    pub binds: Binds,
    /// What it asks, in our own words, in one line.
    pub says: String,
    /// The tests that show it, as `cargo test` prints them, with the test target in front.
    pub tests: Vec<String>,
}

/// How strongly a statement is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Level {
    /// Always.
    #[serde(rename = "MUST")]
    Must,
    /// Never.
    #[serde(rename = "MUST NOT")]
    MustNot,
    /// Unless there is a good reason.
    #[serde(rename = "SHOULD")]
    Should,
    /// Never without a good reason.
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    /// As one likes.
    #[serde(rename = "MAY")]
    May,
}

/// Who has to do what a statement asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binds {
    /// The server, gateway or broker.
    Server,
    /// The client or device.
    Client,
    /// Either end.
    Both,
}

/// A test that another server answers differently.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDifferent {
    /// The server, with its version.
    pub subject: String,
    /// The test.
    pub test: String,
    /// What that server does instead.
    pub why: String,
}

/// Why the requirements could not be read.
#[derive(Debug, Error)]
pub enum RequirementsError {
    /// A file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not in the format.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
}

impl Requirements {
    /// Every requirements file in this crate's folder, in order of their paths.
    pub fn all() -> Result<Vec<Self>, RequirementsError> {
        let mut files = Vec::new();
        for folder in entries(Path::new(env!("CARGO_MANIFEST_DIR")))?.into_iter().filter(|path| path.is_dir())
        {
            files.extend(entries(&folder)?.into_iter().filter(|path| is_requirements(path)));
        }
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// The requirements in one file.
    pub fn read(path: &Path) -> Result<Self, RequirementsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| RequirementsError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| RequirementsError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

impl Level {
    /// Whether a server that does otherwise does not conform.
    pub fn is_must(self) -> bool {
        match self {
            Self::Must | Self::MustNot => true,
            Self::Should | Self::ShouldNot | Self::May => false,
        }
    }
}

impl Binds {
    /// Whether a server has to do it.
    pub fn server(self) -> bool {
        match self {
            Self::Server | Self::Both => true,
            Self::Client => false,
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, RequirementsError> {
    let unreadable = |source| RequirementsError::Unreadable { path: folder.to_owned(), source };
    fs::read_dir(folder).map_err(unreadable)?.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect()
}

fn is_requirements(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("requirements") && name.ends_with(".toml")
}
