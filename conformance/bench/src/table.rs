use std::fmt;

/// Scenarios by brokers.
pub(crate) struct Table {
    names: Vec<String>,
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names, rows: Vec::new() }
    }

    /// Adds the medians of a scenario: one list of measurements for each broker.
    pub(crate) fn row(&mut self, scenario: &str, measurements: Vec<Vec<f64>>) {
        self.rows.push((scenario.to_owned(), measurements.into_iter().map(median).collect()));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broker CPU time per delivered message, in microseconds (ratio to the second broker)")?;
        write!(f, "{:24}", "")?;
        for name in &self.names {
            write!(f, "{name:>24}")?;
        }
        for (scenario, medians) in &self.rows {
            write!(f, "\n{scenario:24}")?;
            for value in medians {
                match medians.get(1) {
                    Some(yardstick) => write!(f, "{:>24}", format!("{value:.2} ({:.2})", value / yardstick))?,
                    None => write!(f, "{value:>24.2}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_medians_and_their_ratio_to_the_second_broker() {
        let mut table = Table::new(vec!["ours".into(), "theirs".into()]);
        table.row("pairs", vec![vec![3.0, 1.0, 2.0], vec![5.0, 4.0, 3.0]]);
        let last = table.to_string().lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(last, "pairs 2.00 (0.50) 4.00 (1.00)");
    }
}
