use std::fmt;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use dial::Lost;

/// What a script is told by mosquitto's clients when nothing came in time.
const TIMED_OUT: u8 = 27;

/// How a command ended, beside success.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Nothing came in time.
    TimedOut,
    /// The server refused the connection with this code, which is the exit code too.
    Refused(u8, String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("timed out"),
            Self::Refused(_, text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Ended {}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        let code = match &lost {
            Lost::Refused(refusal) => refusal.code.0,
            _ => 1,
        };
        Self::Refused(code, lost.to_string())
    }
}

/// Runs a command on this thread.
pub(crate) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(command)
}

/// The exit code, after a word on what failed.
pub(crate) fn code(name: &str, quiet: bool, result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if !quiet {
        say(&format!("watersmeet {name}: {error:#}"));
    }
    match error.downcast_ref() {
        Some(Ended::TimedOut) => ExitCode::from(TIMED_OUT),
        Some(Ended::Refused(code, _)) => ExitCode::from(*code),
        None => ExitCode::FAILURE,
    }
}

/// Writes a line to standard error; nobody need listen.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
