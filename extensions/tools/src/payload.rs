use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;

/// The flags that say what is published.
#[derive(Args, Clone, Debug)]
pub(crate) struct Payload {
    /// The payload
    #[arg(
        short = 'm',
        long,
        value_name = "TEXT",
        help_heading = "Message",
        group = "payload",
        allow_hyphen_values = true
    )]
    message: Option<String>,
    /// A file whose bytes are the payload
    #[arg(short = 'f', long, value_name = "FILE", help_heading = "Message", group = "payload")]
    file: Option<PathBuf>,
    /// No payload: with -r it removes a retained message
    #[arg(short = 'n', long, help_heading = "Message", group = "payload")]
    null_message: bool,
    /// The payload is all of standard input
    #[arg(short = 's', long, help_heading = "Message", group = "payload")]
    stdin_file: bool,
}

impl Payload {
    /// Reads the payload; `None` if no flag names one.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Bytes>> {
        if let Some(text) = &self.message {
            return Ok(Some(text.clone().into()));
        }
        if let Some(file) = &self.file {
            let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            return Ok(Some(bytes.into()));
        }
        if self.stdin_file {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
            return Ok(Some(bytes.into()));
        }
        Ok(self.null_message.then(Bytes::new))
    }
}
