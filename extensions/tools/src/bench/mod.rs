//! `watersmeet bench`: load that is bounded, and what becomes of it.

mod flow;
mod histogram;
mod link;
mod load;
mod pace;
mod publisher;
mod report;
mod sessions;
mod settings;
mod stamp;
mod subscriber;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use crate::connection::Connection;

/// Load a server and tell how it did
///
/// The load ends by itself. A table comes at the end, and a line a second before it, on standard error. The exit code
/// is 0 if every connection lasted, whatever was lost on them at QoS 0.
#[derive(Args, Debug)]
#[command(after_help = "Example: watersmeet bench pairs --clients 20 --seconds 5")]
pub(crate) struct Bench {
    /// What is done
    scenario: Scenario,
    /// How many publishers, subscribers, pairs or connections there are [default: 50; for idle 1000, latency 10]
    #[arg(long, value_name = "COUNT", help_heading = "Load", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: Option<u32>,
    /// How long it lasts
    #[arg(long, value_name = "SECONDS", help_heading = "Load", default_value_t = 10.0)]
    seconds: f64,
    /// How many messages, or with connect connections, a second all clients make together; 0 for as many as go
    /// [default: 0, for latency 1000]
    #[arg(long, value_name = "COUNT", help_heading = "Load")]
    rate: Option<f64>,
    /// The guarantee: 0, 1 or 2
    #[arg(short = 'q', long, value_name = "QOS", help_heading = "Load", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// How many bytes a payload has, at least 20
    #[arg(long, value_name = "BYTES", help_heading = "Load", default_value_t = 64)]
    payload: usize,
    /// How many messages of a topic may be on their way before its publishers wait for the subscribers; 0 to flood
    #[arg(long, value_name = "COUNT", help_heading = "Load", default_value_t = 1_000)]
    window: u64,
    /// How many messages above QoS 0 a publisher may have unacknowledged
    #[arg(long, value_name = "COUNT", help_heading = "Load", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    inflight: u16,
    /// How many connections are opened at once
    #[arg(long, value_name = "COUNT", help_heading = "Load", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    opening: u16,
    /// The first levels of all topics
    #[arg(long, value_name = "TOPIC", help_heading = "Load", default_value = "bench")]
    prefix: String,
    /// Threads of the generator [default: as many as there are processors]
    #[arg(long, value_name = "COUNT", help_heading = "Load", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
    /// Load another machine than this one
    #[arg(long, help_heading = "Load")]
    allow_remote: bool,
    /// Write the result to this file too
    #[arg(long, value_name = "FILE", help_heading = "Load")]
    json: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Many publish, one receives
    FanIn,
    /// One publishes, many receive
    FanOut,
    /// Each pair has a topic of its own
    Pairs,
    /// Pairs at a fixed rate: how long messages take from when they were due
    Latency,
    /// Connections that do nothing
    Idle,
    /// Connect, leave, and again
    Connect,
}

impl Bench {
    pub(crate) fn is_quiet(&self) -> bool {
        self.connection.quiet
    }

    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let settings = self.settings()?;
        // More connections need more open files; what the system refuses shows when they are opened.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if let Some(threads) = self.threads {
            runtime.worker_threads(threads.into());
        }
        let runtime = runtime.enable_all().build().context("the runtime cannot be started")?;
        let report = runtime.block_on(async {
            match settings.scenario {
                Scenario::Idle => sessions::idle(&settings).await,
                Scenario::Connect => sessions::connect(&settings).await,
                _ => load::run(&settings).await,
            }
        })?;
        crate::output::print(&report.to_string())?;
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(&report)? + "\n";
            std::fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
        }
        ensure!(report.ended == 0, "{} connections ended: {}", report.ended, report.why);
        Ok(())
    }
}
