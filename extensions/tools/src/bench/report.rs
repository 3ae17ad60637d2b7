use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::flow::Run;
use super::histogram::Snapshot;
use super::sessions::Opened;
use super::settings::Settings;
use super::stamp::Faults;
use std::sync::atomic::Ordering::Relaxed;

/// What a run found; durations are in microseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) scenario: String,
    pub(super) target: String,
    pub(super) carrier: &'static str,
    pub(super) version: &'static str,
    pub(super) clients: usize,
    pub(super) qos: u8,
    pub(super) payload: usize,
    pub(super) rate: Option<f64>,
    /// How long the load lasted.
    pub(super) seconds: f64,
    pub(super) connected: u64,
    pub(super) connect_seconds: f64,
    pub(super) connects_per_second: f64,
    pub(super) connect_time: Option<Times>,
    pub(super) sent: u64,
    pub(super) sent_per_second: f64,
    /// In the time of the load, and after it.
    pub(super) received: u64,
    /// In the time of the load.
    pub(super) received_per_second: f64,
    pub(super) refused: u64,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) disordered: u64,
    pub(super) strange: u64,
    /// From when a message was due, without a rate when it was sent, until it came.
    pub(super) latency: Option<Times>,
    /// From when a message was due until it was sent.
    pub(super) generator_lag: Option<Times>,
    /// Connections that ended, or could not be opened.
    pub(super) ended: u64,
    /// Why the last of them did.
    pub(super) why: String,
}

/// Quantiles, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Times {
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p99_9: u64,
    pub(super) max: u64,
}

impl Times {
    /// `None` when nothing was seen.
    pub(super) fn of(seen: &Snapshot) -> Option<Self> {
        let micros = |part| seen.quantile(part).map(|span| span.as_micros() as u64);
        Some(Self {
            p50: micros(0.5)?,
            p90: micros(0.9)?,
            p99: micros(0.99)?,
            p99_9: micros(0.999)?,
            max: seen.largest().as_micros() as u64,
        })
    }
}

impl Report {
    pub(super) fn new(settings: &Settings) -> Self {
        let scenario = settings.scenario.to_possible_value();
        Self {
            scenario: scenario.map(|value| value.get_name().to_owned()).unwrap_or_default(),
            target: settings.dial.target.to_string(),
            carrier: settings.dial.target.carrier.name(),
            version: settings.options.version.name(),
            clients: settings.clients,
            qos: settings.qos.level(),
            payload: settings.payload,
            rate: settings.rate,
            ..Self::default()
        }
    }

    pub(super) fn opened(&mut self, opened: &Opened) {
        self.connected = opened.links.len() as u64;
        self.connect_seconds = opened.took.as_secs_f64();
        self.connects_per_second = self.connected as f64 / self.connect_seconds;
        self.connect_time = Times::of(&opened.times.snapshot());
        self.ended = opened.failed as u64;
        self.why.clone_from(&opened.why);
    }

    pub(super) fn lasted(&mut self, span: Duration) {
        self.seconds = span.as_secs_f64();
    }

    /// Takes the counts at the end of the time as rates, and those after the rest came as sums.
    pub(super) fn settled(&mut self, run: &Run, span: Duration) {
        self.sent_per_second = self.sent as f64 / span.as_secs_f64();
        self.received_per_second = self.received as f64 / span.as_secs_f64();
        self.sent = run.sent.load(Relaxed);
        self.received = run.received.load(Relaxed);
        self.refused = run.refused.load(Relaxed);
    }

    pub(super) fn faults(&mut self, faults: Faults) {
        self.lost = faults.lost;
        self.duplicates = faults.duplicates;
        self.disordered = faults.disordered;
        self.strange = faults.strange;
    }

    pub(super) fn end(&mut self, why: Option<String>) {
        if let Some(why) = why {
            self.ended += 1;
            self.why = why;
        }
    }

    fn carries_messages(&self) -> bool {
        !matches!(self.scenario.as_str(), "idle" | "connect")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, target, carrier, version, clients, seconds, .. } = self;
        write!(f, "{scenario}: {clients} clients, {version} over {carrier} to {target}, {seconds:.1} s")?;
        if self.carries_messages() {
            write!(f, ", QoS {}, {} bytes", self.qos, self.payload)?;
        }
        if let Some(rate) = self.rate {
            write!(f, ", {rate} a second")?;
        }
        writeln!(f)?;
        row(f, "connected", self.connected, self.connects_per_second)?;
        times(f, "connecting", self.connect_time)?;
        if self.carries_messages() {
            row(f, "sent", self.sent, self.sent_per_second)?;
            row(f, "received", self.received, self.received_per_second)?;
            writeln!(f, "  {:<14}{:>14}", "lost", grouped(self.lost))?;
            writeln!(f, "  {:<14}{:>14}", "duplicates", grouped(self.duplicates))?;
            writeln!(f, "  {:<14}{:>14}", "out of order", grouped(self.disordered))?;
            for (name, count) in [("refused", self.refused), ("strange", self.strange)] {
                if count > 0 {
                    writeln!(f, "  {name:<14}{:>14}", grouped(count))?;
                }
            }
            times(f, "latency", self.latency)?;
            times(f, "generator lag", self.generator_lag)?;
        }
        if self.ended > 0 {
            writeln!(f, "  {:<14}{:>14}  {}", "failed", grouped(self.ended), self.why)?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: u64, per_second: f64) -> fmt::Result {
    writeln!(f, "  {name:<14}{:>14}{:>14}/s", grouped(count), grouped(per_second.round() as u64))
}

fn times(f: &mut fmt::Formatter<'_>, name: &str, times: Option<Times>) -> fmt::Result {
    let Some(Times { p50, p90, p99, p99_9, max }) = times else { return Ok(()) };
    let text = |micros| format!("{:.2}", micros as f64 / 1_000.0);
    writeln!(
        f,
        "  {name:<14}p50 {} ms, p90 {} ms, p99 {} ms, p99.9 {} ms, max {} ms",
        text(p50),
        text(p90),
        text(p99),
        text(p99_9),
        text(max)
    )
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
