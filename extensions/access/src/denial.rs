use std::sync::Mutex;
use std::time::{Duration, Instant};

use broker::{Access, Client};
use tracing::warn;

use crate::rules::DecidedBy;

/// How many denials are written to the log in one span of time; the rest are counted.
const MOST_LINES: u32 = 20;
const SPAN: Duration = Duration::from_secs(10);

/// Writes denials to the log, but not without end.
#[derive(Debug, Default)]
pub(crate) struct DenialLog(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl DenialLog {
    pub(crate) fn denied(&self, client: &Client, access: Access<'_>, by: DecidedBy) {
        let Some(left_out) = self.turn(Instant::now()) else { return };
        let (action, on, qos, retain) = match access {
            Access::Publish { topic, qos, retain } => ("publish", topic.as_str(), qos.level(), retain),
            Access::Subscribe { filter, qos } => ("subscribe", filter.as_str(), qos.level(), false),
            Access::Read { topic } => ("read", topic.as_str(), 0, false),
        };
        let decided_by = match by {
            DecidedBy::Rule(index) => format!("access.rules[{}]", index + 1),
            DecidedBy::Default => "access.default, since no rule matched".to_owned(),
            DecidedBy::Superuser => "superuser".to_owned(),
            DecidedBy::SystemTopic => "$SYS, where only the server publishes".to_owned(),
        };
        warn!(
            client_id = %client.id,
            username = client.identity.username.as_deref(),
            address = %client.peer.address,
            listener = %client.peer.listener,
            protocol = client.protocol,
            action,
            on,
            qos,
            retain,
            decided_by,
            left_out,
            "Access was denied."
        );
    }

    /// Whether a line may be written now, and how many were left out before it.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().ok()?;
        if window.began.is_none_or(|began| now.saturating_duration_since(began) >= SPAN) {
            *window = Window { began: Some(now), lines: 0, left_out: window.left_out };
        }
        if window.lines == MOST_LINES {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_denials_is_counted_instead_of_written() {
        let log = DenialLog::default();
        let start = Instant::now();
        for _ in 0..MOST_LINES {
            assert_eq!(log.turn(start), Some(0));
        }
        assert_eq!(log.turn(start), None);
        assert_eq!(log.turn(start + SPAN / 2), None);
        assert_eq!(log.turn(start + SPAN), Some(2));
        assert_eq!(log.turn(start + SPAN), Some(0));
    }
}
