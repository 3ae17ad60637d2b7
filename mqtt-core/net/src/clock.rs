use std::time::{Duration, Instant, SystemTime};

use broker::Broker;

/// How late a delayed will or the end of a session may be.
const TICK: Duration = Duration::from_millis(250);

/// How soon it is called again while it has more to do than it does at once.
const SOON: Duration = Duration::from_millis(5);

/// Tells the broker the time for as long as it runs, and runs the work that this brings up.
pub async fn keep_time(broker: Broker) {
    loop {
        let now = Instant::now();
        broker.tell_time(now, SystemTime::now());
        let (next, work) = broker.tick(now);
        for work in work {
            tokio::spawn(work);
        }
        let busy = next.is_some_and(|next| next <= now);
        tokio::time::sleep(if busy { SOON } else { TICK }).await;
    }
}
