//! How often a message asks for memory, and for how much, on each path.

#![allow(clippy::print_stdout, reason = "the table is what one looks at")]

use allocation_counter::measure;
use guard::{Budget, Budgets, Path, Verdict, is_storing, measured, paths};

/// What tables that grow make of a number: they double at times that depend on how many messages came before.
const SHARE: f64 = 0.02;

/// The same for numbers near zero.
const ALLOCATIONS: f64 = 0.02;
const BYTES: f64 = 4.0;

#[test]
fn no_message_asks_for_more_memory_than_its_budget() {
    let mut budgets = Budgets::load().unwrap();
    let mut exceeded = Vec::new();
    println!("{:<26} {:>24} {:>24}", "a message", "allocations (stored)", "bytes (stored)");
    for path in paths::all() {
        let (allocations, bytes) = per_message(&path);
        let stored = budgets.paths.get(path.name).copied().unwrap_or_default();
        let verdicts = [
            Verdict::new(allocations, stored.allocations, SHARE, ALLOCATIONS),
            Verdict::new(bytes, stored.bytes, SHARE, BYTES),
        ];
        let row = format!(
            "{:<26} {allocations:>12.3} ({:>9.3}) {bytes:>13.1} ({:>8.1})",
            path.name, stored.allocations, stored.bytes
        );
        let has = |verdict| verdicts.contains(&verdict);
        let verdict = [Verdict::Exceeded, Verdict::Undercut].into_iter().find(|verdict| has(*verdict));
        let verdict = verdict.unwrap_or(Verdict::Kept);
        println!("{row}{}", verdict.remark());
        if verdict == Verdict::Exceeded {
            exceeded.push(row);
        }
        budgets.paths.insert(path.name.to_owned(), Budget { allocations, bytes, ..stored });
    }
    if is_storing() {
        budgets.paths.retain(|name, _| paths::all().iter().any(|path| path.name == name));
        return budgets.store().unwrap();
    }
    assert!(exceeded.is_empty(), "more than conformance/guard/budgets.toml allows:\n{}", exceeded.join("\n"));
}

#[test]
fn every_path_has_a_budget_and_every_budget_a_path() {
    assert_eq!(Budgets::load().unwrap().unmatched(), Vec::<String>::new());
}

fn per_message(path: &Path) -> (f64, f64) {
    let mut round = path.warmed_up();
    let mut arrived = 0;
    let counted = measure(|| arrived = measured(&mut round, path.rounds));
    path.check(arrived);
    let messages = path.total() as f64;
    (counted.count_total as f64 / messages, counted.bytes_total as f64 / messages)
}
