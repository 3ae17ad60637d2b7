use std::fs;
use std::process::Command;

use crate::Failures;
use crate::options::Options;
use crate::table::Tables;

/// The tables, with what must be known to repeat and to judge them.
pub(crate) fn text(options: &Options, tables: &Tables, failures: &Failures) -> String {
    let command: Vec<String> = std::env::args().skip(1).map(|word| quoted(&word)).collect();
    let manner = if options.unpinned {
        "Neither broker nor load is bound to a core"
    } else {
        "The broker runs on core 0 with one worker thread where it can be told, the load on core 1"
    };
    let mut text = format!(
        "`conformance/run bench {}`\n\n{}. {}, Linux {}. {manner}. Medians of {} rounds of {} s; in brackets the ratio \
         to {}.\n{tables}",
        command.join(" "),
        output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        machine(),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        options.rounds,
        options.seconds,
        tables.subjects[tables.yardstick],
    );
    for (title, list) in [("Runs that failed", &failures.faults), ("Not measured", &failures.unmeasured)] {
        if !list.is_empty() {
            text += &format!("\n### {title}\n\n- {}\n", list.join("\n- "));
        }
    }
    if failures.faults.is_empty() {
        text += "\nIn all runs nothing was lost, came twice, or came out of order.\n";
    }
    text
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = cpus.lines().filter_map(|line| line.strip_prefix("model name\t: ")).collect();
    format!("{} cores of {}", models.len(), models.first().unwrap_or(&"an unknown kind"))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:,".contains(character);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}
