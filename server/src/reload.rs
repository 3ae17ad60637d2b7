use std::sync::Arc;
use std::time::Instant;

use access::AuthChain;
use broker::Broker;
use rewrite::Rewrite;
use tracing::{info, warn};

use crate::Source;
use crate::certificates::TlsProfiles;
use crate::config::Loaded;
use crate::log::Logging;
use crate::offering::Offering;
use crate::oscore::OscoreContexts;

/// What a running server takes over; everything else waits for a restart.
const AT_ONCE: [&str; 4] = ["access.", "coap.oscore.contexts_file", "log.level", "rewrite"];

/// The parts of a running server that heed a new configuration.
pub(crate) struct Parts {
    pub(crate) access: AuthChain,
    pub(crate) broker: Broker,
    pub(crate) oscore: Arc<OscoreContexts>,
    pub(crate) rewrite: Arc<Rewrite>,
    pub(crate) tls: Arc<TlsProfiles>,
    pub(crate) offering: Arc<Offering>,
    pub(crate) logging: Logging,
}

/// Reads the configuration again and puts in force what can be. A fault changes nothing.
pub(crate) fn reload(
    source: &Source,
    began_with: &Loaded,
    last: &Loaded,
    parts: &Parts,
) -> anyhow::Result<Loaded> {
    let new = source.read()?;
    parts.access.reload(&new.config.access)?;
    parts.rewrite.reload(&new.config.rewrite)?;
    parts.oscore.reload(&new.config)?;
    parts.broker.reconsider(Instant::now());
    parts.logging.set_level(&new.config.log.level)?;
    let at_once = |key: &String| AT_ONCE.iter().any(|prefix| key.starts_with(prefix));
    let mut applied = new.changed(last);
    applied.retain(at_once);
    info!(config = %source.name(), applied = applied.join(", "), "The configuration was read again.");
    // What waits is what differs from the start, however often the file was read since.
    let mut waiting = new.changed(began_with);
    waiting.retain(|key| !at_once(key));
    if !waiting.is_empty() {
        warn!(keys = waiting.join(", "), "These keys were changed, but wait for a restart.");
    }
    Ok(new)
}
