//! Whether the server has more to do than it can: told by its memory, and by how late its tasks run.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bus::units;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::workers::Beats;

/// When the server protects itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OverloadConfig {
    /// Whether it does.
    pub enabled: bool,
    /// Resident memory above which nobody is taken in and publishers are not listened to; 0 takes four fifths of
    /// what the machine or its control group has.
    #[serde(with = "units::size")]
    pub memory: usize,
    /// How late tasks may run before nobody is taken in.
    #[serde(with = "units::duration")]
    pub lag: Duration,
}

/// How hard the server is pressed, for all listeners to see.
#[derive(Debug, Default)]
pub struct Overload {
    level: AtomicU8,
    /// Connections refused and publishers paused because of it.
    refused: AtomicU64,
    paused: AtomicU64,
    /// Of the threads that run connections, if there are such.
    beats: OnceLock<Arc<Beats>>,
}

/// How hard the server is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// It keeps up.
    None,
    /// Its tasks run late: nobody is taken in.
    Busy,
    /// Its memory is used up: publishers are not listened to either, until queues have shrunk.
    Full,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
struct Reading {
    memory: u64,
    lag: Duration,
}

/// How often it is looked.
pub(crate) const PERIOD: Duration = Duration::from_millis(500);

/// Pressure ends where a reading is below this part of its limit, so that it does not come and go.
const RELIEF: f64 = 0.9;

/// How long a publisher is not listened to before it is looked again.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

impl Overload {
    /// How hard the server is pressed now.
    pub fn pressure(&self) -> Pressure {
        match self.level.load(Ordering::Relaxed) {
            0 => Pressure::None,
            1 => Pressure::Busy,
            _ => Pressure::Full,
        }
    }

    /// How many connections were refused and how often publishers were paused because of it.
    pub fn counts(&self) -> (u64, u64) {
        (self.refused.load(Ordering::Relaxed), self.paused.load(Ordering::Relaxed))
    }

    /// Whether a new connection must be refused.
    pub(crate) fn refuses(&self) -> bool {
        let refuses = self.pressure() > Pressure::None;
        self.refused.fetch_add(u64::from(refuses), Ordering::Relaxed);
        refuses
    }

    /// Whether a publisher must wait.
    pub(crate) fn pauses(&self) -> bool {
        let pauses = self.pressure() == Pressure::Full;
        if pauses {
            self.paused.fetch_add(1, Ordering::Relaxed);
        }
        pauses
    }

    /// Looks at these threads too.
    pub(crate) fn follow(&self, beats: Arc<Beats>) {
        // Whoever follows some already was given the same ones: a server has its threads once.
        let _ = self.beats.set(beats);
    }

    /// Measures for as long as the server runs.
    pub async fn watch(&self, config: OverloadConfig) {
        let limit = match config.memory {
            0 => machine_memory().map_or(u64::MAX, |bytes| bytes / 5 * 4),
            bytes => bytes as u64,
        };
        loop {
            let began = Instant::now();
            tokio::time::sleep(PERIOD).await;
            let lag = began.elapsed().saturating_sub(PERIOD);
            let lag = self.beats.get().map_or(lag, |beats| lag.max(beats.lag(Instant::now())));
            self.judge(Reading { memory: resident_memory().unwrap_or(0), lag }, limit, config.lag);
        }
    }

    fn judge(&self, reading: Reading, memory: u64, lag: Duration) {
        let old = self.pressure();
        let over = |value: f64, limit: f64, pressed: bool| value > limit * if pressed { RELIEF } else { 1.0 };
        let full = over(reading.memory as f64, memory as f64, old == Pressure::Full);
        let busy = over(reading.lag.as_secs_f64(), lag.as_secs_f64(), old == Pressure::Busy);
        let new = match (full, busy) {
            (true, _) => Pressure::Full,
            (false, true) => Pressure::Busy,
            (false, false) => Pressure::None,
        };
        self.level.store(new as u8, Ordering::Relaxed);
        let (used, late) = (reading.memory, reading.lag);
        match new {
            _ if new == old => {}
            Pressure::None => info!(memory = used, "The server keeps up again."),
            Pressure::Busy => warn!(?late, limit = ?lag, "Tasks run late; no new connections are taken."),
            Pressure::Full => {
                warn!(
                    memory = used,
                    limit = memory,
                    "Memory is used up; publishers and new connections wait."
                )
            }
        }
    }
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self { enabled: true, memory: 0, lag: Duration::from_secs(3) }
    }
}

/// Resident memory of this process, as Linux tells it.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&status, "VmRSS:")
}

/// What the control group may have, or else the machine.
fn machine_memory() -> Option<u64> {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| kibibytes(&text, "MemTotal:"));
    group.into_iter().chain(machine).min()
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn judged(overload: &Overload, memory: u64, lag: Duration) -> Pressure {
        overload.judge(Reading { memory, lag }, 1_000, SECOND);
        overload.pressure()
    }

    #[test]
    fn memory_weighs_more_than_lag_and_pressure_ends_a_little_below_where_it_began() {
        let overload = Overload::default();
        assert_eq!(judged(&overload, 1_000, SECOND), Pressure::None);
        assert_eq!(judged(&overload, 0, SECOND * 2), Pressure::Busy);
        assert_eq!(judged(&overload, 0, SECOND.mul_f64(0.95)), Pressure::Busy);
        assert_eq!(judged(&overload, 1_001, SECOND * 2), Pressure::Full);
        assert_eq!(judged(&overload, 950, Duration::ZERO), Pressure::Full);
        assert_eq!(judged(&overload, 850, Duration::ZERO), Pressure::None);
    }

    #[test]
    fn connections_are_refused_before_publishers_are_paused() {
        let overload = Overload::default();
        assert!(!overload.refuses() && !overload.pauses());
        judged(&overload, 0, SECOND * 2);
        assert!(overload.refuses() && !overload.pauses());
        judged(&overload, 2_000, Duration::ZERO);
        assert!(overload.refuses() && overload.pauses());
        assert_eq!(overload.counts(), (2, 1));
    }

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t    1836 kB\n", "VmRSS:"), Some(1836 * 1024));
        assert_eq!(kibibytes("VmRSS: much", "VmRSS:"), None);
    }
}
