use std::time::{Duration, Instant};

use broker::Broker;

/// How late a delayed will or the end of a session may be.
const TICK: Duration = Duration::from_millis(250);

/// Tells the broker the time for as long as it runs, and runs the work that this brings up.
pub async fn keep_time(broker: Broker) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (_, work) = broker.tick(Instant::now());
        for work in work {
            tokio::spawn(work);
        }
    }
}
