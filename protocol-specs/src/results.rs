use std::collections::BTreeMap;

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was listed and not run.
    Ignored,
}

/// What `cargo test` printed: the outcome of every test, by test target and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestResults {
    outcomes: BTreeMap<String, Outcome>,
}

impl TestResults {
    /// Adds what one run printed, standard output and standard error in one stream.
    ///
    /// `Running … (target/debug/deps/mqtt-0123456789abcdef)` tells the target of the lines `test path ... ok` that
    /// follow; a test that ran twice and failed once has failed.
    pub fn read(&mut self, output: &str) {
        let mut target = String::new();
        for line in output.lines() {
            if let Some(name) = running(line) {
                target = name;
            } else if let Some((path, outcome)) = finished(line) {
                self.record(format!("{target}::{path}"), outcome);
            }
        }
    }

    /// How the test ended, if it ran.
    pub fn outcome(&self, test: &str) -> Option<Outcome> {
        self.outcomes.get(test).copied()
    }

    /// How many tests ran.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether no test ran.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    fn record(&mut self, test: String, outcome: Outcome) {
        let known = self.outcomes.entry(test).or_insert(outcome);
        if *known != Outcome::Failed {
            *known = outcome;
        }
    }
}

/// The test target of a line `Running …`, without the hash cargo adds to the name of the executable.
fn running(line: &str) -> Option<String> {
    let line = line.trim_start();
    if !line.starts_with("Running ") {
        return None;
    }
    let executable = line.rsplit_once('(')?.1.trim_end().strip_suffix(')')?;
    let name = executable.rsplit(['/', '\\']).next()?;
    let name = name.strip_suffix(".exe").unwrap_or(name);
    Some(name.rsplit_once('-').map_or(name, |(target, _hash)| target).to_owned())
}

/// The path and outcome of a line `test path ... ok`.
fn finished(line: &str) -> Option<(&str, Outcome)> {
    let (path, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let path = path.strip_suffix(" - should panic").unwrap_or(path);
    let outcome = match outcome.split([' ', ',', '<']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored,
        _ => return None,
    };
    Some((path, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
   Compiling mqtt v0.1.0
     Running unittests src/lib.rs (target/debug/deps/mqtt-0123456789abcdef)

running 2 tests
test codec::tests::a_long_length_is_refused ... ok
test codec::tests::a_short_length_is_taken ... FAILED
     Running tests/blackbox/main.rs (/elsewhere/debug/deps/blackbox-fedcba9876543210)
test mqtt::connect::v5::a_second_connect_ends_the_connection ... ok
test mqtt::slow ... ignored, not today
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn a_test_goes_by_its_target_and_its_path() {
        let mut results = TestResults::default();
        results.read(OUTPUT);
        let passed = "mqtt::codec::tests::a_long_length_is_refused";
        assert_eq!(results.outcome(passed), Some(Outcome::Passed));
        let failed = "mqtt::codec::tests::a_short_length_is_taken";
        assert_eq!(results.outcome(failed), Some(Outcome::Failed));
        let blackbox = "blackbox::mqtt::connect::v5::a_second_connect_ends_the_connection";
        assert_eq!(results.outcome(blackbox), Some(Outcome::Passed));
        assert_eq!(results.outcome("blackbox::mqtt::slow"), Some(Outcome::Ignored));
        assert_eq!(results.len(), 4);
    }

    #[test]
    fn a_test_that_failed_in_one_of_two_runs_has_failed() {
        let mut results = TestResults::default();
        results.read(OUTPUT);
        results.read(&OUTPUT.replace("FAILED", "ok"));
        let failed = "mqtt::codec::tests::a_short_length_is_taken";
        assert_eq!(results.outcome(failed), Some(Outcome::Failed));
    }
}
