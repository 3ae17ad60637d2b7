//! Tells how many of each standard's MUSTs for a server have a passing test, and which have none.
//!
//! `report FILE...`, where each file is what `cargo test` printed, errors included; `-` is standard input.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use protocol_specs::{Coverage, Requirements, TestResults};

fn main() -> ExitCode {
    match report() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report() -> Result<(), Box<dyn std::error::Error>> {
    let mut results = TestResults::default();
    let files: Vec<String> = env::args().skip(1).collect();
    if files.is_empty() {
        return Err("name the files that hold what `cargo test` printed".into());
    }
    for file in files {
        results.read(&output_in(&file).map_err(|error| format!("{file}: {error}"))?);
    }
    if results.is_empty() {
        return Err("there is no test result in these files".into());
    }
    for requirements in Requirements::all()? {
        write!(io::stdout(), "{}", Coverage::of(&requirements, &results))?;
    }
    Ok(())
}

fn output_in(file: &str) -> io::Result<String> {
    if file != "-" {
        return Ok(String::from_utf8_lossy(&fs::read(file)?).into_owned());
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
