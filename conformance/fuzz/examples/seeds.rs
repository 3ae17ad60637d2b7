//! `seeds TARGET FOLDER` writes the seeds of a target as files, to begin a corpus with.

use std::path::Path;

use fuzz::Target;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        return Err(std::io::Error::other("name a target and a folder"));
    };
    let target =
        Target::named(name).ok_or_else(|| std::io::Error::other(format!("there is no target {name}")))?;
    std::fs::create_dir_all(folder)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(Path::new(folder).join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}
