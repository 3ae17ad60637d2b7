//! `guard`: how many instructions a message takes on each path, counted by valgrind, against the stored budgets.
//!
//! ```text
//! guard [--store] [NAME…]   the paths whose names contain one of these, or all; stores what it finds, or compares
//! guard run NAME            goes one path, for valgrind to count
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what one looks at")]

mod callgrind;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use guard::{Budgets, Path, Verdict, measured, paths};

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much more or less a path may take: hash tables have other seeds in each run, and the system's functions for memory
/// differ from one processor to the next.
const SHARE: f64 = 0.05;

/// The same where another compiler made the program than the one whose numbers are stored.
const SHARE_OF_ANOTHER: f64 = 0.15;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", name] => run(name).map(|()| ExitCode::SUCCESS),
        ["--store", names @ ..] => guard(names, true),
        names => guard(names, false),
    }
}

fn run(name: &str) -> Result<()> {
    let path = paths::all().into_iter().find(|path| path.name == name);
    let path = path.with_context(|| format!("there is no path {name}"))?;
    let mut round = path.warmed_up();
    path.check(measured(&mut round, path.rounds));
    Ok(())
}

/// Counts, and compares or stores; the last line of its output has the counts of what is kept and what is not.
fn guard(names: &[&str], store: bool) -> Result<ExitCode> {
    let mut budgets = Budgets::load()?;
    let (rustc, processor) = (rustc()?, std::env::consts::ARCH);
    let wanted = |path: &Path| names.is_empty() || names.iter().any(|name| path.name.contains(name));
    let paths: Vec<Path> = paths::all().into_iter().filter(wanted).collect();
    let share = if budgets.rustc == rustc { SHARE } else { SHARE_OF_ANOTHER };
    if share > SHARE && !store {
        println!(
            "The stored numbers are of {}, this is {rustc}: {:.0} % more is let pass. Store new ones.",
            budgets.rustc,
            share * 100.0
        );
    }
    let compares = store || budgets.processor == processor;
    if !compares {
        println!(
            "The stored numbers are of {}, this is {processor}: nothing is compared.",
            budgets.processor
        );
    }
    println!("{:<26} {:>24}", "a message", "instructions (stored)");
    let (mut passed, mut failed) = (0, 0);
    for (path, counted) in paths.iter().zip(callgrind::count(&paths)?) {
        let instructions = counted as f64 / path.total() as f64;
        let budget = budgets.paths.entry(path.name.to_owned()).or_default();
        let verdict = match store || !compares {
            true => Verdict::Kept,
            false => Verdict::new(instructions, budget.instructions, share, 0.0),
        };
        println!("{:<26} {instructions:>12.0} ({:>9.0}){}", path.name, budget.instructions, verdict.remark());
        budget.instructions = instructions;
        let count = if verdict == Verdict::Exceeded { &mut failed } else { &mut passed };
        *count += 1;
    }
    if store {
        (budgets.rustc, budgets.processor) = (rustc, processor.to_owned());
        budgets.store()?;
    } else if failed > 0 {
        eprintln!(
            "More than conformance/guard/budgets.toml allows. What takes them: callgrind_annotate FILE, of"
        );
        eprintln!("{}/", callgrind::folder()?.display());
    }
    println!("{passed} kept, {failed} exceeded");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The compiler's name and version.
fn rustc() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc does not run")?;
    ensure!(output.status.success(), "rustc --version failed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
