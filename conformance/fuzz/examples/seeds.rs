//! `seeds TARGET FOLDER` writes what a target begins with as files; `seeds` prints the names of all targets, and
//! `seeds --keep TARGET FOLDER` the files of a folder as the lines that `corpus/TARGET` holds, the short ones.

use std::io::Write;
use std::path::Path;

use fuzz::Target;

/// Longer inputs are not worth their place.
const LONGEST: usize = 256;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => print(Target::all().iter().map(|target| target.name.to_owned()))?,
        ["--keep", name, folder] => keep(named(name)?, Path::new(folder))?,
        [name, folder] => write(named(name)?, Path::new(folder))?,
        _ => return Err(std::io::Error::other("name a target and a folder")),
    }
    Ok(())
}

fn named(name: &str) -> std::io::Result<Target> {
    Target::named(name).ok_or_else(|| std::io::Error::other(format!("there is no target {name}")))
}

fn write(target: Target, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (number, seed) in target.inputs().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}

fn keep(target: Target, folder: &Path) -> std::io::Result<()> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        inputs.push(std::fs::read(entry?.path())?);
    }
    let seeds = (target.seeds)();
    inputs.retain(|input| (1..=LONGEST).contains(&input.len()) && !seeds.contains(input));
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    print(inputs.iter().map(|input| input.iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn print(lines: impl Iterator<Item = String>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    lines.into_iter().try_for_each(|line| writeln!(out, "{line}"))
}
