mod emqx;
mod page;

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use access::AuthChain;
use broker::{Broker, Holdings, Stats};
use bus::{Reason, Side};
use operators::Process;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rewrite::Rewrite;

use crate::certificates::TlsProfiles;
use crate::listeners::Served;
use page::{Label, Page};

/// What the server counts, as Prometheus reads it. No label holds what a client chooses.
pub(crate) struct Metrics {
    registry: Registry,
    source: Arc<Source>,
}

/// How often the configuration was read again, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    pub(crate) good: Times,
    pub(crate) failed: Times,
}

/// How often something happened, and when last, in Unix time.
#[derive(Debug, Default)]
pub(crate) struct Times {
    count: AtomicU64,
    last: AtomicU64,
}

struct Source {
    broker: Broker,
    access: AuthChain,
    listeners: Vec<Served>,
    reloads: Arc<Reloads>,
    tls: Arc<TlsProfiles>,
    rewrite: Arc<Rewrite>,
    /// What could not be said of clients that come and go.
    untold: Arc<AtomicU64>,
    began: (Instant, SystemTime),
    /// What the sessions hold, as it was when last looked at: that takes a while where there are many.
    held: Mutex<Option<(Instant, Holdings)>>,
}

/// What Prometheus wants to know of every process, under its own names.
#[derive(Debug)]
struct OfProcess {
    began: SystemTime,
}

/// How old what the sessions hold may be when it is told.
const FRESH: Duration = Duration::from_secs(5);

impl Times {
    pub(crate) fn count(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last.store(now.as_secs(), Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new(
        broker: Broker,
        access: AuthChain,
        listeners: Vec<Served>,
        reloads: Arc<Reloads>,
        tls: Arc<TlsProfiles>,
        rewrite: Arc<Rewrite>,
        untold: Arc<AtomicU64>,
    ) -> Self {
        let began = (Instant::now(), SystemTime::now());
        let held = Mutex::default();
        let source =
            Arc::new(Source { broker, access, listeners, reloads, tls, rewrite, untold, began, held });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(OfProcess { began: began.1 }));
        registry.sub_registry_with_prefix("watersmeet").register_collector(Box::new(source.clone()));
        Self { registry, source }
    }

    /// The listeners that are served.
    pub(crate) fn listeners(&self) -> &[Served] {
        &self.source.listeners
    }

    /// What EMQX counts too, under its names: boards that were made for it can be kept.
    pub(crate) fn write_emqx(&self) -> String {
        emqx::write(&self.source.broker.stats(), self.source.began.0.elapsed())
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
        self.write_dtls(&mut page)?;
        write_sessions(&mut page, &stats, &self.holdings())?;
        write_access(&mut page, &stats)?;
        write_wire(&mut page, &stats)?;
        write_messages(&mut page, &stats)
    }
}

impl Collector for OfProcess {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (mut page, process) = (Page(encoder), Process::read());
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        page.gauge("process_start_time_seconds", "When the process began, in Unix time", began)?;
        if let Some(seconds) = process.cpu_seconds {
            page.seconds("process_cpu", "Processor time that the process has used", seconds)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Memory that the process holds", process.resident_bytes),
            ("process_open_fds", "Files and sockets that are open", process.open_files),
            ("process_max_fds", "Files and sockets that may be open", process.most_files),
            ("process_threads", "Threads of the process", process.threads),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            page.gauge(name, help, value as f64)?;
        }
        Ok(())
    }
}

impl Source {
    fn write_server(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let (began, since) = self.began;
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.gauges("build", "The version that runs", [([("version", env!("CARGO_PKG_VERSION"))], 1.0)])?;
        page.gauge("start_time_seconds", "When the server began, in Unix time", since.as_secs_f64())?;
        page.gauge("uptime_seconds", "How long the server runs", began.elapsed().as_secs_f64())?;
        let reloads = [("good", &self.reloads.good), ("failed", &self.reloads.failed)];
        let rows = reloads.map(|(result, times)| ([("result", result)], times.count.load(Ordering::Relaxed)));
        page.counters("config_reloads", "Configurations that were read again", rows)?;
        let last =
            reloads.map(|(result, times)| ([("result", result)], times.last.load(Ordering::Relaxed) as f64));
        page.gauges(
            "config_last_reload_timestamp_seconds",
            "When the configuration was last read again, in Unix time; 0 is never",
            last,
        )?;
        page.counter(
            "announcements_lost",
            "Clients that came or went without its being published, since too many did at once",
            self.untold.load(Ordering::Relaxed),
        )?;
        let invalid = self.rewrite.invalid();
        page.counter("rewrites_invalid", "Topics that stayed, since a rule made what is no topic", invalid)?;
        let rows = self.access.denials().map(|(by, count)| ([("by", by)], count));
        page.counters("access_denials", "Accesses that were denied, by what decided", rows)?;
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
        page.counter(
            "connections_begun",
            "Connections that were begun, whatever became of them",
            stats.sockets,
        )?;
        page.counters("connections_closed", "Connections that ended, by cause", by_cause(&stats.closed))?;
        page.counters(
            "connections_refused",
            "Connections and sessions that were refused, by cause",
            by_cause(&stats.refused),
        )
    }

    fn write_dtls(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let secured =
            self.listeners.iter().filter_map(|served| Some((&*served.name, served.running.dtls()?)));
        let secured: Vec<_> = secured.collect();
        if secured.is_empty() {
            return Ok(());
        }
        let sessions = secured.iter().flat_map(|(listener, counts)| {
            let awake = counts.sessions.saturating_sub(counts.parked);
            let states = [("awake", awake), ("parked", counts.parked), ("handshake", counts.half_open)];
            states.map(|(state, count)| ([("listener", *listener), ("state", state)], count as f64))
        });
        page.gauges("dtls_sessions", "DTLS sessions now, by what they do", sessions)?;
        let handshakes = secured.iter().flat_map(|(listener, counts)| {
            let full = counts.handshakes.saturating_sub(counts.resumed);
            let results = [
                ("full", full),
                ("resumed", counts.resumed),
                ("refused", counts.refused),
                ("turned_away", counts.turned_away),
            ];
            results.map(|(result, count)| ([("listener", *listener), ("result", result)], count))
        });
        page.counters("dtls_handshakes", "DTLS handshakes, by what became of them", handshakes)?;
        let each = |count: fn(&dtls::Counts) -> u64| {
            secured.iter().map(move |(listener, counts)| ([("listener", *listener)], count(counts)))
        };
        page.counters(
            "dtls_cookies",
            "First hellos that were answered with a cookie",
            each(|counts| counts.cookies),
        )?;
        page.counters(
            "dtls_bad_records",
            "DTLS records that were of no session, or forged",
            each(|counts| counts.bad_records),
        )?;
        page.counters(
            "dtls_moves",
            "Times that a DTLS client had another address",
            each(|counts| counts.moved),
        )?;
        page.counters(
            "dtls_withheld",
            "Datagrams that were not sent, since a DTLS client that has moved had not shown yet that it hears them",
            each(|counts| counts.withheld),
        )
    }

    fn holdings(&self) -> Holdings {
        let mut held = self.held.lock();
        match *held {
            Some((at, holdings)) if at.elapsed() < FRESH => holdings,
            _ => held.insert((Instant::now(), self.broker.holdings())).1,
        }
    }
}

fn write_sessions(page: &mut Page<'_>, stats: &Stats, held: &Holdings) -> Result<(), Error> {
    page.gauge("sessions_connected", "Sessions that a connection holds now", stats.connections as f64)?;
    page.gauge("sessions", "Sessions there are now, connected or not", stats.sessions as f64)?;
    page.counter("sessions_opened", "Sessions that were opened or resumed", stats.opened)?;
    page.counter("sessions_expired", "Sessions that ended because nobody came back in time", stats.expired)?;
    page.gauge("subscriptions", "Subscriptions there are now", stats.subscriptions as f64)?;
    let shared = stats.shared_subscriptions as f64;
    page.gauge("shared_subscriptions", "Those of them that go through a share group", shared)?;
    page.gauge("queued_messages", "Messages that wait in the queues of sessions", held.queued as f64)?;
    page.gauge("queued_bytes", "Bytes of the messages that wait", held.queued_bytes as f64)?;
    page.gauge("inflight_messages", "Deliveries that are not acknowledged", held.inflight as f64)
}

fn write_access(page: &mut Page<'_>, stats: &Stats) -> Result<(), Error> {
    let results = [("success", stats.opened), ("failure", failed_authentications(stats))];
    let rows = results.map(|(result, count)| ([("result", result)], count));
    page.counters("authentications", "Clients that were let in, or not because of who they are", rows)?;
    let decisions = [("allow", stats.allowed), ("deny", stats.denied)];
    let rows = decisions.map(|(decision, count)| ([("decision", decision)], count));
    page.counters("access_decisions", "Decisions of the access rules", rows)
}

/// Refusals because of who a client is.
fn failed_authentications(stats: &Stats) -> u64 {
    let is_one = |reason: &Reason| {
        matches!(
            reason,
            Reason::BadCredentials
                | Reason::BadAuthenticationMethod
                | Reason::NotAuthorized
                | Reason::CertificateRefused
                | Reason::ClientIdInvalid
                | Reason::Banned
        )
    };
    stats.refused.iter().filter(|(_, reason, _)| is_one(reason)).map(|(.., count)| count).sum()
}

fn write_wire(page: &mut Page<'_>, stats: &Stats) -> Result<(), Error> {
    let (received, sent) = (stats.wire_received, stats.wire_sent);
    page.counter("wire_received_bytes", "Bytes of all that clients sent, above encryption", received.bytes)?;
    page.counter("wire_sent_bytes", "Bytes of all that clients were sent, above encryption", sent.bytes)?;
    page.counter("packets_received", "Packets, frames and datagrams of clients", received.frames)?;
    page.counter("packets_sent", "Packets, frames and datagrams for clients", sent.frames)
}

fn by_cause<'a>(rows: &'a [(&'static str, Reason, u64)]) -> impl Iterator<Item = ([Label<'a>; 3], u64)> + 'a {
    rows.iter().map(|(protocol, reason, count)| {
        let side = match reason.side() {
            Side::Client => "client",
            Side::Network => "network",
            Side::Server => "server",
        };
        ([("protocol", *protocol), ("reason", reason.name()), ("side", side)], *count)
    })
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

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}
