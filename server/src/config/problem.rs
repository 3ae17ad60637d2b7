use std::fmt;

use super::tree::Origin;

/// One fault of the configuration: place, cause, and the way out where one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    origin: Option<Origin>,
    message: String,
}

/// Every fault that was found, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems(Vec<Problem>);

impl Problem {
    pub(crate) fn at(origin: Origin, message: String) -> Self {
        Self { origin: Some(origin), message }
    }

    pub(crate) fn general(message: String) -> Self {
        Self { origin: None, message }
    }

    fn place(&self) -> (usize, usize) {
        match self.origin {
            Some(Origin::File { line, column, .. }) => (line, column),
            _ => (usize::MAX, 0),
        }
    }
}

impl Problems {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::place);
        problems.dedup();
        Self(problems)
    }

    pub(crate) fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }

    /// Nothing, or the error.
    pub(crate) fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::new(problems)) }
    }
}

/// `; did you mean "…"?` if one of the candidates is near enough, else the list of them.
pub(crate) fn suggestion(written: &str, candidates: &[&str], show: impl Fn(&str) -> String) -> String {
    if let Some(candidate) = nearest(written, candidates) {
        return format!("; did you mean {}?", show(candidate));
    }
    let list: Vec<_> = candidates.iter().map(|candidate| show(candidate)).collect();
    if list.is_empty() { String::new() } else { format!("; known: {}", list.join(", ")) }
}

/// The candidate that differs in at most a third of the letters.
pub(crate) fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&str| strsim::damerau_levenshtein(written, candidate);
    let near = candidates.iter().copied().min_by_key(distance)?;
    (distance(&near) * 3 <= written.len().max(3)).then_some(near)
}

impl std::error::Error for Problems {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
