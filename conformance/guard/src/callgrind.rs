//! Counts instructions with valgrind's callgrind, one process for each path.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use guard::Path;

/// How many instructions each path takes, in order. As many are counted at once as there are processors.
pub(crate) fn count(paths: &[Path]) -> Result<Vec<u64>> {
    std::fs::create_dir_all(folder()?)?;
    let at_once = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, u64)>> {
        let mut counted = Vec::new();
        while let Some((index, path)) = some(&next, paths) {
            counted.push((index, count_one(path)?));
        }
        Ok(counted)
    };
    let mut counted = std::thread::scope(|scope| -> Result<Vec<_>> {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow!("a worker panicked"))??);
        }
        Ok(all)
    })?;
    counted.sort_unstable();
    Ok(counted.into_iter().map(|(_, instructions)| instructions).collect())
}

/// Where the profiles are left for whoever wants to know more.
pub(crate) fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.with_file_name("callgrind"))
}

fn some<'a>(next: &AtomicUsize, paths: &'a [Path]) -> Option<(usize, &'a Path)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    paths.get(index).map(|path| (index, path))
}

/// Counts what is inside `guard::paths::measured`, and nothing that comes before.
fn count_one(path: &Path) -> Result<u64> {
    let file = folder()?.join(format!("{}.out", path.name));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=guard::paths::measured*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["run", path.name])
        .output()
        .context("valgrind does not run; conformance/run install brings it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed under valgrind:\n{said}", path.name);
    let profile = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.context("callgrind told no total")?.trim().parse()?;
    ensure!(total > 0, "{}: callgrind did not see guard::paths::measured", path.name);
    Ok(total)
}
