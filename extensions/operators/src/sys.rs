//! `$SYS/broker/…` as Mosquitto has it: names, units and text.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use broker::{Broker, Holdings, Stats};
use bus::{Publish, Qos, Reason, Topic};
use tracing::warn;

use crate::Process;
use crate::load::{Load, SPANS};

/// Publishes what changed since it last looked, every `interval`, for as long as it runs; not at all if that is
/// zero.
pub async fn publish_sys(broker: Broker, version: &'static str, interval: Duration) {
    if interval.is_zero() {
        return;
    }
    let (mut tree, mut warned) = (Tree::new(version, Instant::now()), false);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // It looks at every session, which is no work for a thread that carries messages.
        let looked = broker.clone();
        let Ok(holdings) = tokio::task::spawn_blocking(move || looked.holdings()).await else { return };
        let now = Instant::now();
        let memory = Process::read().resident_bytes;
        let rows = tree.changed(&broker.stats(), &holdings, memory, now);
        let result = rows.into_iter().try_for_each(|(topic, value)| announce(&broker, &topic, value, now));
        if let Some(reason) = result.err().filter(|_| !warned) {
            warned = true;
            warn!(reason = reason.name(), "What the server counts could not be published on $SYS.");
        }
    }
}

fn announce(broker: &Broker, topic: &str, value: String, now: Instant) -> Result<(), Reason> {
    let Ok(topic) = Topic::parse(topic) else { return Ok(()) };
    let publish = Publish { retain: true, ..Publish::new(topic, value, Qos::AtMostOnce) };
    broker.announce(publish, now).map(drop)
}

/// What was published, and what averages need to know.
struct Tree {
    version: &'static str,
    began: Instant,
    last: Instant,
    published: HashMap<String, String>,
    loads: HashMap<&'static str, Load>,
    most_connections: u64,
    most_memory: u64,
}

impl Tree {
    fn new(version: &'static str, now: Instant) -> Self {
        Self {
            version,
            began: now,
            last: now,
            published: HashMap::new(),
            loads: HashMap::new(),
            most_connections: 0,
            most_memory: 0,
        }
    }

    /// The topics whose value is new, with it.
    fn changed(
        &mut self,
        stats: &Stats,
        holdings: &Holdings,
        memory: Option<u64>,
        now: Instant,
    ) -> Vec<(String, String)> {
        let mut rows = self.values(stats, holdings, memory, now);
        rows.retain(|(topic, value)| self.published.get(topic) != Some(value));
        self.published.extend(rows.iter().cloned());
        rows
    }

    fn values(
        &mut self,
        stats: &Stats,
        holdings: &Holdings,
        memory: Option<u64>,
        now: Instant,
    ) -> Vec<(String, String)> {
        self.most_connections = self.most_connections.max(stats.connections);
        let away = stats.sessions.saturating_sub(stats.connections);
        let dropped = stats.dropped.iter().map(|(_, count)| count).sum();
        let closed: u64 = stats.closed.iter().map(|(.., count)| count).sum();
        let stored = stats.retained + holdings.queued + holdings.inflight;
        let received: u64 = stats.received.iter().sum();
        let sent: u64 = stats.delivered.iter().sum();
        let mut rows = vec![
            ("bytes/received", stats.wire_received.bytes),
            ("bytes/sent", stats.wire_sent.bytes),
            ("clients/active", stats.connections),
            ("clients/connected", stats.connections),
            ("clients/disconnected", away),
            ("clients/expired", stats.expired),
            ("clients/inactive", away),
            ("clients/maximum", self.most_connections),
            ("clients/total", stats.sessions),
            ("connections/socket/count", stats.sockets.saturating_sub(closed)),
            ("messages/received", stats.wire_received.frames),
            ("messages/sent", stats.wire_sent.frames),
            ("messages/stored", stored),
            ("publish/bytes/received", stats.received_bytes),
            ("publish/bytes/sent", stats.delivered_bytes),
            ("publish/messages/dropped", dropped),
            ("publish/messages/received", received),
            ("publish/messages/sent", sent),
            ("retained messages/count", stats.retained),
            ("shared_subscriptions/count", stats.shared_subscriptions),
            ("store/messages/bytes", stats.retained_bytes + holdings.queued_bytes),
            ("store/messages/count", stored),
            ("subscriptions/count", stats.subscriptions),
        ];
        if let Some(memory) = memory {
            self.most_memory = self.most_memory.max(memory);
            rows.extend([("heap/current", memory), ("heap/maximum", self.most_memory)]);
        }
        let mut rows: Vec<_> =
            rows.into_iter().map(|(name, count)| (full(name), count.to_string())).collect();
        rows.push((full("version"), format!("watersmeet version {}", self.version)));
        let uptime = now.saturating_duration_since(self.began).as_secs();
        rows.push((full("uptime"), format!("{uptime} seconds")));
        let attempts = stats.opened + stats.refused.iter().map(|(.., count)| count).sum::<u64>();
        self.average(
            now,
            [
                ("messages/received", stats.wire_received.frames),
                ("messages/sent", stats.wire_sent.frames),
                ("publish/received", received),
                ("publish/sent", sent),
                ("publish/dropped", dropped),
                ("bytes/received", stats.wire_received.bytes),
                ("bytes/sent", stats.wire_sent.bytes),
                ("sockets", stats.sockets),
                ("connections", attempts),
            ],
            &mut rows,
        );
        rows
    }

    fn average<const N: usize>(
        &mut self,
        now: Instant,
        counts: [(&'static str, u64); N],
        rows: &mut Vec<(String, String)>,
    ) {
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.last, now));
        for (name, count) in counts {
            let averages = self.loads.entry(name).or_default().update(count, passed);
            for ((span, _), average) in SPANS.into_iter().zip(averages) {
                rows.push((full(&format!("load/{name}/{span}")), format!("{average:.2}")));
            }
        }
    }
}

fn full(name: &str) -> String {
    format!("$SYS/broker/{name}")
}

#[cfg(test)]
mod tests {
    use broker::Volume;

    use super::*;

    /// What Mosquitto 2.0 publishes.
    const MOSQUITTO: &str = "bytes/received bytes/sent clients/active clients/connected clients/disconnected \
        clients/expired clients/inactive clients/maximum clients/total heap/current heap/maximum \
        load/bytes/received load/bytes/sent load/connections load/messages/received load/messages/sent \
        load/publish/dropped load/publish/received load/publish/sent load/sockets messages/received \
        messages/sent messages/stored publish/bytes/received publish/bytes/sent publish/messages/dropped \
        publish/messages/received publish/messages/sent retained_messages/count shared_subscriptions/count \
        store/messages/bytes store/messages/count subscriptions/count uptime version";

    #[test]
    fn every_topic_of_mosquitto_is_there() {
        let mut tree = Tree::new("1.2.3", Instant::now());
        let rows = tree.changed(&Stats::default(), &Holdings::default(), Some(1), Instant::now());
        for name in MOSQUITTO.split_whitespace() {
            let spans: &[&str] =
                if name.starts_with("load/") { &["/1min", "/5min", "/15min"] } else { &[""] };
            for span in spans {
                let topic = format!("$SYS/broker/{}{span}", name.replace("retained_m", "retained m"));
                assert!(rows.iter().any(|(there, _)| *there == topic), "{topic}");
            }
        }
    }

    #[test]
    fn only_what_changed_is_published_again() {
        let began = Instant::now();
        let mut tree = Tree::new("1.2.3", began);
        let first = tree.changed(&Stats::default(), &Holdings::default(), None, began);
        let value = |rows: &[(String, String)], name: &str| {
            let row = rows.iter().find(|(topic, _)| *topic == full(name));
            row.map(|(_, value)| value.clone())
        };
        assert_eq!(value(&first, "version").unwrap(), "watersmeet version 1.2.3");
        assert_eq!(value(&first, "load/sockets/1min").unwrap(), "0.00");
        let received = Volume { bytes: 60, frames: 6, messages: 0 };
        let stats = Stats { connections: 2, sessions: 3, wire_received: received, ..Stats::default() };
        let later = began + Duration::from_secs(60);
        let mut second = tree.changed(&stats, &Holdings::default(), None, later);
        second.sort();
        let names: Vec<_> =
            second.iter().map(|(topic, value)| (&topic["$SYS/broker/".len()..], &**value)).collect();
        assert_eq!(
            names,
            [
                ("bytes/received", "60"),
                ("clients/active", "2"),
                ("clients/connected", "2"),
                ("clients/disconnected", "1"),
                ("clients/inactive", "1"),
                ("clients/maximum", "2"),
                ("clients/total", "3"),
                ("load/bytes/received/15min", "3.87"),
                ("load/bytes/received/1min", "37.93"),
                ("load/bytes/received/5min", "10.88"),
                ("load/messages/received/15min", "0.39"),
                ("load/messages/received/1min", "3.79"),
                ("load/messages/received/5min", "1.09"),
                ("messages/received", "6"),
                ("uptime", "60 seconds"),
            ]
        );
    }
}
