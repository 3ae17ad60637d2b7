use std::fmt::{Error, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use broker::{Broker, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::certificates::TlsProfiles;
use crate::listeners::Served;

/// What the server counts, as Prometheus reads it. No label holds what a client chooses.
pub(crate) struct Metrics {
    registry: Registry,
    source: Arc<Source>,
}

/// How often the configuration was read again, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    pub(crate) good: AtomicU64,
    pub(crate) failed: AtomicU64,
}

struct Source {
    broker: Broker,
    listeners: Vec<Served>,
    reloads: Arc<Reloads>,
    tls: Arc<TlsProfiles>,
    began: (Instant, SystemTime),
}

type Label<'a> = (&'static str, &'a str);

impl Metrics {
    pub(crate) fn new(
        broker: Broker,
        listeners: Vec<Served>,
        reloads: Arc<Reloads>,
        tls: Arc<TlsProfiles>,
    ) -> Self {
        let began = (Instant::now(), SystemTime::now());
        let source = Arc::new(Source { broker, listeners, reloads, tls, began });
        let mut registry = Registry::with_prefix("watersmeet");
        registry.register_collector(Box::new(source.clone()));
        Self { registry, source }
    }

    /// The listeners that are served.
    pub(crate) fn listeners(&self) -> &[Served] {
        &self.source.listeners
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn write(&self) -> Result<String, Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (mut page, stats) = (Page(encoder), self.broker.stats());
        self.write_server(&mut page)?;
        self.write_connections(&mut page, &stats)?;
        write_messages(&mut page, &stats)
    }
}

impl Source {
    fn write_server(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let (began, since) = self.began;
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.gauges("build", "The version that runs", [([("version", env!("CARGO_PKG_VERSION"))], 1.0)])?;
        page.gauge("start_time_seconds", "When the server began, in Unix time", since.as_secs_f64())?;
        page.gauge("uptime_seconds", "How long the server runs", began.elapsed().as_secs_f64())?;
        if let Some(bytes) = resident_bytes() {
            page.gauge("resident_memory_bytes", "Memory that the process holds", bytes as f64)?;
        }
        let reloads = [("good", &self.reloads.good), ("failed", &self.reloads.failed)];
        let rows = reloads.map(|(result, count)| ([("result", result)], count.load(Ordering::Relaxed)));
        page.counters("config_reloads", "Configurations that were read again", rows)?;
        let expiries = self.tls.expiries();
        let rows = expiries.iter().map(|(profile, expiry)| {
            let labels = [("profile", profile.as_str()), ("certificate", expiry.subject.as_ref())];
            (labels, expiry.timestamp as f64)
        });
        page.gauges("cert_expiry_timestamp_seconds", "When a TLS certificate ends, in Unix time", rows)
    }

    fn write_connections(&self, page: &mut Page<'_>, stats: &Stats) -> Result<(), Error> {
        let rows = self.listeners.iter().map(|served| {
            let labels = [("listener", served.name.as_ref()), ("protocol", served.protocol)];
            (labels, served.running.open() as f64)
        });
        page.gauges("connections", "Connections now, whether or not they hold a session", rows)?;
        page.counters("connections_closed", "Connections that ended, by cause", by_cause(&stats.closed))?;
        page.counters(
            "connections_refused",
            "Connections and sessions that were refused, by cause",
            by_cause(&stats.refused),
        )?;
        page.gauge("sessions_connected", "Sessions that a connection holds now", stats.connections as f64)?;
        page.gauge("sessions", "Sessions there are now, connected or not", stats.sessions as f64)?;
        page.gauge("subscriptions", "Subscriptions there are now", stats.subscriptions as f64)?;
        let decisions = [("allow", stats.allowed), ("deny", stats.denied)];
        let rows = decisions.map(|(decision, count)| ([("decision", decision)], count));
        page.counters("access_decisions", "Decisions of the access rules", rows)
    }
}

fn by_cause<'a>(
    rows: &'a [(&'static str, bus::Reason, u64)],
) -> impl Iterator<Item = ([Label<'a>; 2], u64)> + 'a {
    rows.iter()
        .map(|(protocol, reason, count)| ([("protocol", *protocol), ("reason", reason.name())], *count))
}

fn write_messages(page: &mut Page<'_>, stats: &Stats) -> Result<(), Error> {
    page.counters("messages_received", "Messages taken from publishers", by_qos(stats.received))?;
    page.counter("received_bytes", "Bytes of the payloads taken from publishers", stats.received_bytes)?;
    page.counters("messages_delivered", "Messages handed to subscribers", by_qos(stats.delivered))?;
    page.counter("delivered_bytes", "Bytes of the payloads handed to subscribers", stats.delivered_bytes)?;
    page.counter("messages_unrouted", "Messages that matched no subscription", stats.unrouted)?;
    page.counter(
        "quota_pauses",
        "Times a client was not listened to because it sent more than it may",
        stats.paused,
    )?;
    page.counter("messages_filtered", "Times that no condition of a subscription was met", stats.filtered)?;
    let dropped = stats.dropped.iter().map(|(reason, count)| ([("reason", reason.name())], *count));
    page.counters("messages_dropped", "Messages thrown away, by cause", dropped)?;
    page.gauge("delayed_messages", "Messages that wait for their time", stats.delayed as f64)?;
    page.gauge(
        "delayed_bytes",
        "Bytes of the messages that wait for their time",
        stats.delayed_bytes as f64,
    )?;
    page.gauge("retained_messages", "Retained messages there are now", stats.retained as f64)?;
    page.gauge("retained_bytes", "Bytes of the retained messages", stats.retained_bytes as f64)
}

fn by_qos(counts: [u64; 3]) -> impl Iterator<Item = ([Label<'static>; 1], u64)> {
    ["0", "1", "2"].into_iter().zip(counts).map(|(qos, count)| ([("qos", qos)], count))
}

/// Resident memory as Linux tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The text that is being written, metric by metric.
struct Page<'a>(DescriptorEncoder<'a>);

/// Labels of one sample.
struct Labels<'a, const N: usize>([Label<'a>; N]);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([Label<'a>; N], f64)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            metric.encode_family(&Labels(labels))?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)
    }

    fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([Label<'a>; N], u64)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            let labels = Labels(labels);
            let mut sample = metric.encode_family(&labels)?;
            sample.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)?;
        }
        Ok(())
    }
}

impl<const N: usize> EncodeLabelSet for Labels<'_, N> {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>) -> Result<(), Error> {
        for (name, value) in &self.0 {
            let mut label = encoder.encode_label();
            let mut key = label.encode_label_key()?;
            key.write_str(name)?;
            let mut text = key.encode_label_value()?;
            text.write_str(value)?;
            text.finish()?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}
