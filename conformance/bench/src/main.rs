//! Compares brokers on the same load in the same run, and prints ratios.
//!
//! ```text
//! bench [--rounds N] [--seconds N] [--only TEXT] WATERSMEET [MOSQUITTO | NAME=HOST:PORT:PID]…
//! ```
//!
//! Each argument is a broker: the path of our binary, the path of a mosquitto, or a running broker by name, address
//! and process id. Scenarios run against each in turn, round after round, so that what else the machine does hits all
//! alike. What is measured is the broker's CPU time per delivered message: unlike a rate, it depends little on
//! the load generator. The table holds medians; the brackets, the ratio to the second broker.

mod client;
mod load;
mod peer;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use load::{Load, SCENARIOS};
use peer::Peer;
use table::Table;

struct Options {
    rounds: usize,
    span: Duration,
    only: String,
    peers: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, clippy::print_stderr)]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("bench: {fault}\nusage: bench [--rounds N] [--seconds N] [--only TEXT] BROKER…");
            return ExitCode::from(2);
        }
    };
    match compare(&options).await {
        Ok(table) => {
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("bench: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options =
        Options { rounds: 3, span: Duration::from_secs(1), only: String::new(), peers: Vec::new() };
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{word} wants a number"))
        };
        match word.as_str() {
            "--rounds" => options.rounds = number()?,
            "--seconds" => options.span = Duration::from_secs(number()? as u64),
            "--only" => options.only = words.next().ok_or("--only wants a text")?,
            option if option.starts_with("--") => return Err(format!("there is no option {option}")),
            _ => options.peers.push(word),
        }
    }
    match options.peers.is_empty() || options.rounds == 0 {
        true => Err("name at least one broker, and at least one round".to_owned()),
        false => Ok(options),
    }
}

async fn compare(options: &Options) -> Result<Table, String> {
    let peers = options.peers.iter().map(|word| Peer::start(word)).collect::<Result<Vec<_>, _>>()?;
    for peer in &peers {
        peer.wait_until_open().await?;
    }
    let mut table = Table::new(peers.iter().map(|peer| peer.name.clone()).collect());
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&options.only)) {
        let mut costs = vec![Vec::new(); peers.len()];
        for round in 0..options.rounds {
            for (peer, costs) in peers.iter().zip(&mut costs) {
                let load = Load::prepare(scenario, peer.address, round).await;
                let mut load = load.map_err(|error| format!("{}, {}: {error}", peer.name, scenario.name))?;
                let before = peer.cpu()?;
                let delivered = load.run(options.span).await;
                let delivered =
                    delivered.map_err(|error| format!("{}, {}: {error}", peer.name, scenario.name))?;
                let spent = peer.cpu()? - before;
                costs.push(spent.as_secs_f64() * 1e6 / delivered.max(1) as f64);
            }
        }
        table.row(scenario.name, costs);
    }
    Ok(table)
}
