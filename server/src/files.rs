use std::sync::Arc;
use std::time::{Duration, Instant};

use access::{AuthChain, Refresh};
use broker::Broker;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::offering::Offering;

/// How often the files are looked at. What they say is in force two looks after they changed.
const GLANCE: Duration = Duration::from_millis(500);

/// Puts the files that [access] names in force whenever they change, for those who are connected too.
pub(crate) async fn watch(access: AuthChain, broker: Broker, offering: Arc<Offering>) {
    let mut glances = interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        glances.tick().await;
        // Certificates are looked at elsewhere; what changed there is offered here too.
        offering.refresh();
        let access = access.clone();
        match tokio::task::spawn_blocking(move || access.refresh()).await {
            Ok(Refresh::Unchanged) => {}
            Ok(Refresh::Renewed(files)) => {
                offering.refresh();
                broker.reconsider(Instant::now());
                if files.is_empty() {
                    continue; // only bans changed
                }
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                info!(files = files.join(", "), "Access files changed and are in force.");
            }
            Ok(Refresh::Failed(error)) => {
                error!(%error, "An access file changed but cannot be used; what was in force stays so.");
            }
            Err(error) => error!(%error, "The access files could not be looked at."),
        }
    }
}
