//! Figures by row and subject, as medians and ratios.

use std::fmt;

/// What is measured, and in which unit: a table of its own each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    Cpu,
    Rate,
    Load,
    P50,
    P99,
    P999,
    Memory,
    Connect,
    Retained,
    Filters,
    Matching,
    Cores,
    Transports,
}

/// One figure of one run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) measure: Measure,
    pub(crate) row: String,
    pub(crate) value: f64,
}

/// All figures of a comparison.
pub(crate) struct Tables {
    pub(crate) subjects: Vec<String>,
    /// The subject whose figures are 1 in the ratios.
    pub(crate) yardstick: usize,
    /// Whether the least and the most stand beside the medians.
    pub(crate) spread: bool,
    rows: Vec<Row>,
}

struct Row {
    measure: Measure,
    name: String,
    /// What each subject was measured at.
    values: Vec<Vec<f64>>,
}

impl Measure {
    fn title(self) -> &'static str {
        match self {
            Self::Cpu => "Broker CPU per delivered message, µs",
            Self::Rate => "Deliveries per second",
            Self::Load => {
                "The load generator's own core, %: near 100 it is what limits the rate, not the broker"
            }
            Self::P50 => {
                "Latency, p50, µs: from when a message was due; of b1 from when it was sent, one at a time for each publisher"
            }
            Self::P99 => "Latency, p99, µs",
            Self::P999 => "Latency, p99.9, µs",
            Self::Memory => "Memory in RAM",
            Self::Connect => "Connecting",
            Self::Retained => "Retained messages of 16 bytes",
            Self::Filters => "Subscribing wildcard filters, 100 clients",
            Self::Matching => "Broker CPU per delivered message while there are so many filters, µs",
            Self::Cores => "Two cores beside one: pairs b16",
            Self::Transports => "Broker CPU per delivered message through other transports, µs",
        }
    }
}

impl Figure {
    pub(crate) fn new(measure: Measure, row: impl Into<String>, value: f64) -> Self {
        Self { measure, row: row.into(), value }
    }
}

impl Tables {
    pub(crate) fn new(subjects: Vec<String>, yardstick: usize, spread: bool) -> Self {
        Self { subjects, yardstick, spread, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, subject: usize, figure: Figure) {
        let known = self.rows.iter().position(|row| row.measure == figure.measure && row.name == figure.row);
        let place = known.unwrap_or_else(|| {
            let values = vec![Vec::new(); self.subjects.len()];
            self.rows.push(Row { measure: figure.measure, name: figure.row, values });
            self.rows.len() - 1
        });
        self.rows[place].values[subject].push(figure.value);
    }

    fn cell(&self, values: &[f64], yardstick: Option<f64>) -> String {
        let Some(middle) = median(values) else { return "-".to_owned() };
        let ratio = yardstick.map_or(String::new(), |yardstick| format!(" ({:.2})", middle / yardstick));
        if !self.spread || values.len() < 2 {
            return number(middle) + &ratio;
        }
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{}{ratio} [{}–{}]", number(middle), number(least), number(most))
    }
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

/// Three significant digits, and no fewer where the number has more before the point.
fn number(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{:.0}", value.abs());
            let first = digits.len() % 3;
            let mut grouped = digits[..first].to_owned();
            for group in digits.as_bytes()[first..].chunks(3) {
                if !grouped.is_empty() {
                    grouped.push(',');
                }
                grouped.extend(group.iter().map(|&digit| char::from(digit)));
            }
            if value < 0.0 { format!("-{grouped}") } else { grouped }
        }
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut measures: Vec<Measure> = self.rows.iter().map(|row| row.measure).collect();
        measures.sort();
        measures.dedup();
        for measure in measures {
            writeln!(f, "\n### {}\n\n| | {} |", measure.title(), self.subjects.join(" | "))?;
            writeln!(f, "|---|{}", "---|".repeat(self.subjects.len()))?;
            for row in self.rows.iter().filter(|row| row.measure == measure) {
                let yardstick = median(&row.values[self.yardstick]).filter(|&yardstick| yardstick != 0.0);
                let cells: Vec<String> =
                    row.values.iter().map(|values| self.cell(values, yardstick)).collect();
                writeln!(f, "| {} | {} |", row.name, cells.join(" | "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(spread: bool) -> String {
        let mut tables = Tables::new(vec!["ours".into(), "theirs".into(), "others".into()], 1, spread);
        for value in [3.0, 1.0, 2.0] {
            tables.add(0, Figure::new(Measure::Cpu, "pairs", value));
            tables.add(1, Figure::new(Measure::Cpu, "pairs", value + 2.0));
        }
        tables.add(0, Figure::new(Measure::Rate, "pairs", 1_234_567.0));
        tables.to_string()
    }

    #[test]
    fn a_row_has_medians_and_their_ratios_to_the_yardstick() {
        let text = tables(false);
        assert!(text.contains("| | ours | theirs | others |\n|---|---|---|---|\n"), "{text}");
        assert!(text.contains("| pairs | 2.00 (0.50) | 4.00 (1.00) | - |"), "{text}");
    }

    #[test]
    fn a_row_without_the_yardstick_has_no_ratio() {
        assert!(tables(false).contains("| pairs | 1,234,567 | - | - |"));
    }

    #[test]
    fn the_spread_stands_behind_the_median() {
        assert!(tables(true).contains("| pairs | 2.00 (0.50) [1.00–3.00] |"));
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let numbers = [0.4567, 12.34, 123.4, 1_234.5, -1_000_000.0];
        assert_eq!(numbers.map(number), ["0.46", "12.3", "123", "1,234", "-1,000,000"]);
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
    }
}
