//! What a process costs, and on which core it runs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of the broker under test, and that of the load.
pub(crate) const BROKER_CORE: usize = 0;
pub(crate) const LOAD_CORE: usize = 1;

/// Clock ticks a second in `/proc`: the kernel's ABI fixes it.
const TICKS: u64 = 100;

const PAGE: u64 = 4_096;

/// Keeps this thread, and the processes it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> Result<(), String> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| format!("core {core} cannot be chosen: {error}"))
}

/// Starts a process on a core, or on all of them.
pub(crate) fn start(command: &mut Command, core: Option<usize>) -> Result<Child, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let fault = |error: &dyn std::fmt::Display| format!("{program} cannot be started: {error}");
    let before = sched_getaffinity(None).map_err(|error| fault(&error))?;
    let mut cores = CpuSet::new();
    match core {
        Some(core) => cores.set(core),
        None => (0..CpuSet::MAX_CPU).for_each(|core| cores.set(core)),
    }
    // A child has its parent's cores.
    sched_setaffinity(None, &cores).map_err(|error| fault(&error))?;
    let child = command.spawn().map_err(|error| fault(&error));
    sched_setaffinity(None, &before).map_err(|error| fault(&error))?;
    child
}

/// The CPU time a process has used, in user and system mode.
pub(crate) fn cpu(process: u32) -> Option<Duration> {
    let root = Path::new("/proc").join(process.to_string());
    let tasks = fs::read_dir(root.join("task")).ok()?;
    // A thread that ends takes its figure along; the brokers here keep theirs.
    let nanoseconds = tasks.map(|task| {
        let figures = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        figures.split(' ').next()?.parse::<u64>().ok()
    });
    match nanoseconds.sum::<Option<u64>>() {
        Some(nanoseconds) => Some(Duration::from_nanos(nanoseconds)),
        None => cpu_in_ticks(&fs::read_to_string(root.join("stat")).ok()?),
    }
}

/// The CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    cpu(std::process::id()).unwrap_or_default()
}

fn cpu_in_ticks(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The 14th and 15th of all fields; the first two end with the bracket.
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// The memory of a process that is in RAM, in bytes.
pub(crate) fn resident(process: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn this_process_costs_time_and_memory() {
        let process = std::process::id();
        // While some thread ends, only whole ticks are known, of which there may be none yet.
        let costs = |_| {
            thread::sleep(Duration::from_millis(10));
            cpu(process).unwrap() > Duration::ZERO
        };
        assert!((0..6_000).any(costs));
        assert!(resident(process).unwrap() > 100_000);
        assert_eq!(cpu(u32::MAX), None);
    }

    #[test]
    fn ticks_are_hundredths_of_a_second() {
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 7 5 0 0 20";
        assert_eq!(cpu_in_ticks(stat), Some(Duration::from_millis(120)));
    }
}
