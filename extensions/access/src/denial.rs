use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::{Access, Client};
use tracing::{debug, warn};

use crate::Throttle;
use crate::rules::DecidedBy;
use crate::tally::Tally;

/// How many denials of one client are written in one span of time.
const MOST_LINES: u32 = 5;
const SPAN: Duration = Duration::from_secs(10);

/// Writes denials to the log, but not without end: few of one client, and not too many of all. Counts them all.
#[derive(Debug, Default)]
pub(crate) struct DenialLog {
    clients: Tally,
    all: Throttle,
    counts: [AtomicU64; DecidedBy::KINDS.len()],
}

impl DenialLog {
    pub(crate) fn denied(&self, client: &Client, access: Access<'_>, by: &DecidedBy) {
        let kind = DecidedBy::KINDS.iter().position(|kind| *kind == by.kind());
        if let Some(count) = kind.and_then(|kind| self.counts.get(kind)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Access::Receive { topic } = access {
            // The client asked for nothing: it gets of a filter what it may.
            return debug!(client_id = %client.id, topic = topic.as_str(), decided_by = %by, "A message is kept back.");
        }
        let now = Instant::now();
        let of_client = self.clients.count(client.id.as_str(), SPAN, now);
        if of_client > MOST_LINES {
            return self.all.leave_out();
        }
        let Some(left_out) = self.all.turn(now) else { return };
        let (action, on, qos, retain) = in_words(access);
        warn!(
            client_id = %client.id,
            username = client.identity.username.as_deref(),
            address = %client.peer.address,
            listener = %client.peer.listener,
            protocol = client.protocol,
            action,
            topic = on,
            qos,
            retain,
            decided_by = %by,
            left_out,
            "Access was denied."
        );
    }

    /// How many denials there were, by the kind of what decided.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DecidedBy::KINDS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// The action, the topic or filter, the QoS, and whether it is to be retained.
pub(crate) fn in_words(access: Access<'_>) -> (&'static str, &str, u8, bool) {
    match access {
        Access::Publish { topic, qos, retain } => ("publish", topic.as_str(), qos.level(), retain),
        Access::Subscribe { filter, qos } => ("subscribe", filter.as_str(), qos.level(), false),
        Access::Receive { topic } => ("receive", topic.as_str(), 0, false),
        Access::Read { topic } => ("read", topic.as_str(), 0, false),
    }
}
