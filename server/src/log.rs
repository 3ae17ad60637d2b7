use std::io::{IsTerminal, stderr};

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// The running log, whose level can be changed.
pub(crate) struct Logging {
    level: reload::Handle<EnvFilter, Registry>,
}

impl Logging {
    /// Begins to log to standard error.
    pub(crate) fn start(log: &Log) -> anyhow::Result<Self> {
        let (filter, level) = reload::Layer::new(EnvFilter::try_new(&log.level)?);
        let lines = match log.format {
            LogFormat::Text => fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr).boxed(),
            LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).try_init().context("the log cannot begin")?;
        Ok(Self { level })
    }

    /// Logs from this level on.
    pub(crate) fn set_level(&self, level: &str) -> anyhow::Result<()> {
        self.level.reload(EnvFilter::try_new(level)?).context("the level of the log cannot be changed")
    }
}
