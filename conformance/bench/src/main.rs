//! Compares brokers on the same load in the same run, and prints medians and ratios.
//!
//! The broker runs on one core and the load on another. What is measured first is the broker's CPU time per delivered
//! message: unlike a rate, it depends little on the load generator.

mod frame;
mod generator;
mod histogram;
mod item;
mod measure;
mod options;
mod process;
mod relay;
mod report;
mod scenario;
mod sequence;
mod stamp;
mod subject;
mod table;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use item::{Conditions, Item};
use options::Options;
use subject::{Kind, Subject};
use table::Tables;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let done = match words.get(1..3) {
        Some([word, address]) if word == relay::WORD => {
            address.parse().map_err(|_| format!("{address} is no address")).and_then(relay::serve)
        }
        _ => compare(&Options::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "bench: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// What could not be measured.
#[derive(Default)]
struct Failures {
    /// These make the comparison fail.
    faults: Vec<String>,
    unmeasured: Vec<String>,
}

fn compare(options: &Options) -> Result<(), String> {
    let mut items = item::all();
    items.retain(|item| options.only.is_match(&item.title));
    if options.list {
        let list: String = items.iter().map(|item| format!("{}\n", item.title)).collect();
        return write(&list);
    }
    if items.is_empty() {
        return Err(format!("--only {}: there is no such scenario, see --list", options.only));
    }
    let subjects = options.subjects.iter().map(|word| Subject::parse(word)).collect::<Result<Vec<_>, _>>()?;
    let yardstick = yardstick(&subjects, options.against.as_deref())?;
    generator::open_files();
    if !options.unpinned {
        process::pin(process::LOAD_CORE)?;
    }
    let ours = subjects.iter().find(|subject| subject.kind == Kind::Watersmeet);
    let conditions = Conditions {
        span: Duration::from_secs_f64(options.seconds),
        pinned: !options.unpinned,
        client: ours.map(|subject| subject.place.clone().into()),
    };
    let names = subjects.iter().map(|subject| subject.name.clone()).collect();
    let mut tables = Tables::new(names, yardstick, options.min_max);
    let mut failures = Failures::default();
    for item in &items {
        measure(item, &subjects, options.rounds, &conditions, &mut tables, &mut failures);
    }
    let text = report::text(options, &tables, &failures);
    write(&text)?;
    if let Some(file) = &options.save {
        std::fs::write(file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let failed = failures.faults.len();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} runs failed")) }
}

/// Runs one item on all subjects in turn, round after round.
fn measure(
    item: &Item,
    subjects: &[Subject],
    rounds: u32,
    conditions: &Conditions,
    tables: &mut Tables,
    failures: &mut Failures,
) {
    for round in 1..=rounds {
        for (number, subject) in
            subjects.iter().enumerate().filter(|(_, subject)| item.suits(subject.kind, conditions))
        {
            tell(&format!("{}, round {round} of {rounds}: {}", item.title, subject.name));
            match item.run(subject, conditions) {
                Ok(figures) => figures.into_iter().for_each(|figure| tables.add(number, figure)),
                Err(fault) => {
                    let list = if item.may_fail(subject.kind) {
                        &mut failures.unmeasured
                    } else {
                        &mut failures.faults
                    };
                    list.push(format!("{}, round {round}, {}: {fault}", item.title, subject.name));
                }
            }
        }
    }
    tell("");
}

/// Says on a terminal what is being done, in the place of what was said before.
fn tell(what: &str) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\r\x1b[K{what}");
    }
}

fn yardstick(subjects: &[Subject], against: Option<&str>) -> Result<usize, String> {
    if subjects.is_empty() {
        return Err("name at least one broker, see --help".to_owned());
    }
    let named = |part: &str| subjects.iter().position(|subject| subject.name.contains(part));
    if let Some(part) = against {
        return named(part).ok_or_else(|| format!("--against {part}: no subject is called so"));
    }
    let peer = |subject: &Subject| !matches!(subject.kind, Kind::Watersmeet | Kind::Relay);
    Ok(named("flashmq").or_else(|| subjects.iter().position(peer)).unwrap_or(0))
}

fn write(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| format!("the output: {error}"))
}
