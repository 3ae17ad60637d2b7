use std::time::Instant;

use broker::{Access, Client};
use tracing::warn;

use crate::Throttle;
use crate::rules::DecidedBy;

/// Writes denials to the log, but not without end.
#[derive(Debug, Default)]
pub(crate) struct DenialLog(Throttle);

impl DenialLog {
    pub(crate) fn denied(&self, client: &Client, access: Access<'_>, by: DecidedBy) {
        let Some(left_out) = self.0.turn(Instant::now()) else { return };
        let (action, on, qos, retain) = match access {
            Access::Publish { topic, qos, retain } => ("publish", topic.as_str(), qos.level(), retain),
            Access::Subscribe { filter, qos } => ("subscribe", filter.as_str(), qos.level(), false),
            Access::Receive { topic } => ("receive", topic.as_str(), 0, false),
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
}
