//! A report in plain words.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{Connection, Ended, Report, SessionRow, Volume};
use crate::moment::say;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let id = &self.client_id;
        match &self.session {
            Some(session) => session.describe(f)?,
            None if self.is_unknown() => {
                writeln!(f, "{id}: nothing is known of a client with this id.")?;
                writeln!(
                    f,
                    "  It has not tried to connect since the server began, or too long ago to be remembered;"
                )?;
                writeln!(f, "  or it never came as far as to say its id.")?;
            }
            None => writeln!(f, "{id}: not connected, and has no session.")?,
        }
        if !self.findings.is_empty() {
            writeln!(f, "\nWhat stands out:")?;
        }
        for finding in &self.findings {
            writeln!(f, "  * {}.", finding.text)?;
            if !finding.hint.is_empty() {
                writeln!(f, "    fix: {}", finding.hint)?;
            }
        }
        list(f, "Connections that ended, newest first:", &self.closed)?;
        list(f, "Attempts that were refused, newest first:", &self.refused)?;
        if !self.denied.is_empty() {
            writeln!(f, "\nWhat it was not let do, newest first:")?;
        }
        for denied in &self.denied {
            let times = if denied.count > 1 { format!(", {} times", denied.count) } else { String::new() };
            writeln!(f, "  {}  {} {:?}{times}", denied.at, denied.action, denied.on)?;
        }
        let whence = match self.is_unknown() {
            true => "Connections that ended before they said who they are, newest first:",
            false => "From its addresses, connections that ended before they said who they are:",
        };
        list(f, whence, &self.strangers)
    }
}

impl SessionRow {
    fn describe(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let since = self.since.as_deref().unwrap_or("an unknown time");
        let span = self.seconds.map_or_else(String::new, |seconds| format!(" ({})", span(seconds)));
        match self.connected {
            true => writeln!(f, "{}: online since {since}{span}.", self.client_id)?,
            false => {
                writeln!(f, "{}: not connected since {since}{span}; its session is kept.", self.client_id)?;
            }
        }
        if let Some(connection) = &self.connection {
            writeln!(f, "  {connection}{}", keep_alive(self.keep_alive))?;
        }
        let (subscriptions, waiting) =
            (many(self.subscriptions, "subscription"), many(self.queued, "message"));
        writeln!(f, "  {subscriptions}; {waiting} waiting, and {} not acknowledged", self.inflight)
    }
}

impl Display for Connection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { address, listener, carrier, protocol, username } = self;
        write!(f, "{protocol} over {carrier} from {address}, listener {listener}")?;
        match username {
            Some(name) => write!(f, ", user {name}"),
            None => Ok(()),
        }
    }
}

fn list(f: &mut Formatter<'_>, heading: &str, rows: &[Ended]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{heading}")?;
    rows.iter().try_for_each(|row| row.describe(f))
}

impl Ended {
    fn describe(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { at, reason, side, cause, hint, .. } = self;
        writeln!(f, "  {at}  {reason} (side: {side}): {cause}")?;
        if let Some(detail) = &self.detail {
            writeln!(f, "      exactly: {detail}")?;
        }
        writeln!(f, "      {}{}", self.connection, keep_alive(self.keep_alive))?;
        if let (Some(lasted), Some(silent)) = (self.lasted, self.silent) {
            write!(f, "      lasted {}, silent for the last {}", span(lasted), span(silent))?;
            if let (Some(received), Some(sent)) = (self.received, self.sent) {
                write!(f, "; it sent {received}, and was sent {sent}")?;
            }
            writeln!(f)?;
        }
        match hint.is_empty() {
            true => Ok(()),
            false => writeln!(f, "      fix: {hint}"),
        }
    }
}

impl Display for Volume {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { bytes, packets, messages } = self;
        write!(
            f,
            "{} in {} of {}",
            many(*messages, "message"),
            many(*packets, "packet"),
            many(*bytes, "byte")
        )
    }
}

/// `1 message`, `2 messages`.
fn many(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn keep_alive(seconds: Option<u64>) -> String {
    match seconds {
        Some(0) | None => ", no keep alive".to_owned(),
        Some(seconds) => format!(", keep alive {}", say(Duration::from_secs(seconds))),
    }
}

fn span(seconds: f64) -> String {
    say(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
