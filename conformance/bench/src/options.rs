use std::path::PathBuf;

use clap::Parser;
use regex::Regex;

/// Compare brokers on the same load in the same run
///
/// Each is started anew for each run, with nothing on disk; runs go round by round over all of them, so that what else
/// the machine does hits all alike. A message that is lost, comes twice or out of order makes the comparison fail.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example: bench --rounds 3 --only 'pairs|lat' relay target/release/watersmeet flashmq mosquitto"
)]
pub(crate) struct Options {
    /// Paths of watersmeet, flashmq, mosquitto or nats-server; relay; or a broker that runs: NAME=HOST:PORT:PID
    #[arg(value_name = "SUBJECT")]
    pub(crate) subjects: Vec<String>,
    /// How often each subject runs each scenario
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// How long one run lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Which scenarios: a regular expression on what --list prints
    #[arg(long, value_name = "REGEX", default_value = "")]
    pub(crate) only: Regex,
    /// A part of the name of the subject whose figures are 1 in the ratios [default: flashmq, or the first that is
    /// neither ours nor the relay]
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
    /// Leave brokers and load to the system's choice of cores, and brokers to theirs of threads
    #[arg(long)]
    pub(crate) unpinned: bool,
    /// Show the least and the most of all rounds too
    #[arg(long)]
    pub(crate) min_max: bool,
    /// Write the tables to this file too, as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Print the names of all scenarios
    #[arg(long)]
    pub(crate) list: bool,
}
