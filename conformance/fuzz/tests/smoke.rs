//! Every target survives some thousand broken inputs.
//!
//! `FUZZ_SEED` chooses other inputs, `FUZZ_SECONDS` runs each target for that long. A failure prints the target,
//! the seed and the input in hexadecimal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fuzz::{Mutator, Target};

/// How many inputs each target gets, unless `FUZZ_SECONDS` says otherwise.
const INPUTS: u64 = 20_000;

/// How long one input may take; the slowest honest one takes milliseconds.
const HANG: Duration = Duration::from_secs(20);

/// What the whole process may have resident.
const MOST_MEMORY: usize = 768 << 20;

#[test]
fn topics_and_units_survive() {
    run("bus_");
}

#[test]
fn mqtt_survives() {
    run("mqtt_c");
    run("mqtt_d");
}

#[test]
fn mqtt_sn_survives() {
    run("mqtt_sn_");
}

#[test]
fn coap_survives() {
    run("coap_");
}

#[test]
fn lwm2m_survives() {
    run("lwm2m_");
}

#[test]
fn stomp_survives() {
    run("stomp_");
}

#[test]
fn the_resource_directory_survives() {
    run("directory_");
}

#[test]
fn dtls_survives() {
    run("dtls_");
}

#[test]
fn oscore_survives() {
    run("oscore_");
}

#[test]
fn web_socket_and_proxy_headers_survive() {
    run("net_");
}

#[test]
fn every_target_is_among_these() {
    let source = include_str!("smoke.rs");
    for target in Target::all() {
        let is_run = |prefix: &str| target.name.starts_with(prefix);
        let prefixes = source.split("run(\"").skip(1).filter_map(|rest| rest.split_once('"'));
        let mut prefixes = prefixes.map(|(prefix, _)| prefix).filter(|prefix| !prefix.is_empty());
        assert!(prefixes.any(is_run), "{} is run by no test", target.name);
    }
}

fn run(prefix: &str) {
    let targets: Vec<_> =
        Target::all().into_iter().filter(|target| target.name.starts_with(prefix)).collect();
    assert!(!targets.is_empty(), "no target begins with {prefix}");
    for target in targets {
        survives(target);
    }
}

fn survives(target: Target) {
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let end = number("FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut mutator = Mutator::new((target.seeds)(), seed);
    let watch = Watch::over(target.name, seed);
    let first = target.inputs();
    let fewest = INPUTS.max(first.len() as u64);
    let made = std::iter::repeat_with(|| mutator.next_input());
    for (count, input) in (1..).zip(first.into_iter().chain(made)) {
        watch.begin(&input);
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        assert!(
            outcome.is_ok(),
            "{} fails, seed {seed}, input {count}: {}",
            target.name,
            hexadecimal(&input)
        );
        if count % 1_000 == 0 {
            let memory = resident();
            assert!(memory < MOST_MEMORY, "{}, seed {seed}, input {count}: {memory} bytes", target.name);
        }
        if end.map_or(count >= fewest, |end| Instant::now() >= end) {
            break;
        }
    }
}

/// Ends the process when an input takes too long, since nothing else can end its loop.
struct Watch(mpsc::Sender<Vec<u8>>);

impl Watch {
    fn over(name: &'static str, seed: u64) -> Self {
        let (sender, inputs) = mpsc::channel();
        thread::spawn(move || {
            let mut current = Vec::new();
            loop {
                match inputs.recv_timeout(HANG) {
                    Ok(input) => current = input,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let input = hexadecimal(&current);
                        std::io::Write::write_all(
                            &mut std::io::stderr(),
                            format!("{name} hangs, seed {seed}: {input}\n").as_bytes(),
                        )
                        .ok();
                        std::process::abort();
                    }
                }
            }
        });
        Self(sender)
    }

    fn begin(&self, input: &[u8]) {
        self.0.send(input.to_vec()).expect("the watch lasts as long as its sender");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn hexadecimal(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What this process has resident, in bytes; 0 where the system does not tell.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0) * 4096
}
