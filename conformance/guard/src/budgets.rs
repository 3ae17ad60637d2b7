use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What everything may cost, as `budgets.toml` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    /// What made the program whose instructions were counted: `rustc --version`.
    pub rustc: String,
    /// For which processor: `x86_64`.
    pub processor: String,
    /// What a message costs, by the path it goes.
    pub paths: BTreeMap<String, Budget>,
    /// How many bytes of the heap something holds that rests.
    pub idle: BTreeMap<String, u64>,
}

/// What one message may cost.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Instructions of the processor.
    pub instructions: f64,
    /// Calls of the allocator that give or move memory.
    pub allocations: f64,
    /// The bytes asked for in them.
    pub bytes: f64,
}

/// What a number is beside its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As stored, or nearly.
    Kept,
    /// More than is allowed.
    Exceeded,
    /// So much less that the budget is to be lowered.
    Undercut,
}

const HEADER: &str = "\
# What a message and what rests may cost. `conformance/run guard` compares; `conformance/run guard --store` writes what
# it measured here. A message is counted where it is delivered; a connect, a subscription or a retained message where
# the path's name says so.
";

/// Whether what is measured is to be stored, not compared.
pub fn is_storing() -> bool {
    std::env::var_os("GUARD_STORE").is_some()
}

impl Budgets {
    /// Reads the stored budgets.
    pub fn load() -> Result<Self> {
        let file = file();
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("{} is missing", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not as it should be", file.display()))
    }

    /// Replaces the stored budgets.
    pub fn store(&self) -> Result<()> {
        let mut text = HEADER.to_owned();
        writeln!(text, "rustc = {:?}\nprocessor = {:?}\n\n[paths]", self.rustc, self.processor)?;
        for (name, Budget { instructions, allocations, bytes }) in &self.paths {
            writeln!(
                text,
                "{name:<26} = {{ instructions = {instructions:.0}, allocations = {allocations:.3}, bytes = {bytes:.1} }}"
            )?;
        }
        writeln!(text, "\n# Bytes of the heap.\n[idle]")?;
        for (name, bytes) in &self.idle {
            writeln!(text, "{name:<34} = {bytes}")?;
        }
        let file = file();
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// The names of paths that have a budget and do not exist, or the other way round.
    pub fn unmatched(&self) -> Vec<String> {
        let paths = crate::paths::all();
        let gone = self.paths.keys().filter(|name| !paths.iter().any(|path| path.name == name.as_str()));
        let new = paths.iter().map(|path| path.name).filter(|name| !self.paths.contains_key(*name));
        gone.cloned().chain(new.map(str::to_owned)).collect()
    }
}

impl Verdict {
    /// Judges what was measured: it may be off by this share of what is stored, and by this much besides.
    pub fn new(measured: f64, stored: f64, share: f64, slack: f64) -> Self {
        let most = stored * share + slack;
        match measured - stored {
            more if more > most => Self::Exceeded,
            less if less < -most => Self::Undercut,
            _ => Self::Kept,
        }
    }

    /// What to say of it beside the number.
    pub fn remark(self) -> &'static str {
        match self {
            Self::Kept => "",
            Self::Exceeded => "  MORE THAN STORED",
            Self::Undercut => "  less than stored: lower it with conformance/run guard --store",
        }
    }
}

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "budgets.toml"].iter().collect()
}
