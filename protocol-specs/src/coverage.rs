use std::fmt;

use crate::{Outcome, Requirements, Statement, TestResults};

/// How far test results show that a server does what a standard's MUSTs ask.
#[derive(Clone, Debug)]
pub struct Coverage<'a> {
    requirements: &'a Requirements,
    musts: Vec<(&'a Statement, Proof)>,
}

/// What the test results say of one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Every test it lists passed.
    Shown,
    /// A test it lists failed.
    Broken(String),
    /// A test it lists did not run.
    NotRun(String),
    /// It lists no test.
    Untested,
}

impl<'a> Coverage<'a> {
    /// Holds the statements that bind a server at MUST level against `results`.
    pub fn of(requirements: &'a Requirements, results: &TestResults) -> Self {
        let binding = requirements
            .statements
            .iter()
            .filter(|statement| statement.level.is_must() && statement.binds.server());
        let musts = binding.map(|statement| (statement, Proof::of(statement, results))).collect();
        Self { requirements, musts }
    }

    /// How many statements bind a server at MUST level.
    pub fn musts(&self) -> usize {
        self.musts.len()
    }

    /// How many of them are shown by passing tests.
    pub fn shown(&self) -> usize {
        self.musts.iter().filter(|(_, proof)| *proof == Proof::Shown).count()
    }

    /// Those that are not shown, with the reason.
    pub fn open(&self) -> impl Iterator<Item = &(&'a Statement, Proof)> {
        self.musts.iter().filter(|(_, proof)| *proof != Proof::Shown)
    }
}

impl fmt::Display for Coverage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirements { protocol, version, .. } = self.requirements;
        writeln!(
            f,
            "{protocol} {version}: {} of {} server MUSTs have a passing test",
            self.shown(),
            self.musts()
        )?;
        for (statement, proof) in self.open() {
            writeln!(f, "  {}: {proof}: {}", statement.id, statement.says)?;
        }
        Ok(())
    }
}

impl Proof {
    fn of(statement: &Statement, results: &TestResults) -> Self {
        let mut proof = if statement.tests.is_empty() { Self::Untested } else { Self::Shown };
        for test in &statement.tests {
            match results.outcome(test) {
                Some(Outcome::Passed) => {}
                Some(Outcome::Failed) => return Self::Broken(test.clone()),
                Some(Outcome::Ignored) | None => proof = Self::NotRun(test.clone()),
            }
        }
        proof
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown => write!(f, "shown"),
            Self::Broken(test) => write!(f, "{test} failed"),
            Self::NotRun(test) => write!(f, "{test} did not run"),
            Self::Untested => write!(f, "no test"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIREMENTS: &str = r#"
        protocol = "sample"
        version = "1"
        standard = "none"
        statement = [
            { id = "A", clause = "1", level = "MUST", binds = "server", says = "a", tests = ["suite::a"] },
            { id = "B", clause = "1", level = "MUST", binds = "both", says = "b", tests = ["suite::a", "suite::b"] },
            { id = "C", clause = "1", level = "MUST NOT", binds = "server", says = "c", tests = [] },
            { id = "D", clause = "1", level = "MUST", binds = "server", says = "d", tests = ["suite::d"] },
            { id = "E", clause = "1", level = "MUST", binds = "client", says = "e", tests = [] },
            { id = "F", clause = "1", level = "SHOULD", binds = "server", says = "f", tests = [] },
        ]
    "#;

    #[test]
    fn only_musts_of_the_server_count_and_every_listed_test_has_to_pass() {
        let requirements: Requirements = toml::from_str(REQUIREMENTS).unwrap();
        let mut results = TestResults::default();
        results.read("Running tests/suite.rs (target/suite-0)\ntest a ... ok\ntest b ... FAILED\n");
        assert_eq!(
            Coverage::of(&requirements, &results).to_string(),
            "sample 1: 1 of 4 server MUSTs have a passing test\n\
             \x20 B: suite::b failed: b\n\
             \x20 C: no test: c\n\
             \x20 D: suite::d did not run: d\n"
        );
    }
}
