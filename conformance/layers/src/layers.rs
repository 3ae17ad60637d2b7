use std::collections::BTreeMap;

/// The layer of each crate, as the table `| layer | crate | …` of a Markdown page says it.
#[derive(Debug, PartialEq, Eq)]
pub struct Layers {
    layers: BTreeMap<String, u32>,
    later: Vec<String>,
}

/// Why a page has no usable table.
#[derive(Debug, PartialEq, Eq)]
pub enum TableError {
    /// No line begins `| layer | crate |`.
    Missing,
    /// A row does not begin with a number and crate names in backquotes.
    Row(String),
    /// A crate stands in two rows.
    Twice(String),
}

impl Layers {
    /// Reads the first layer table of `page`. A row that says `(later)` names crates that need not exist yet.
    pub fn parse(page: &str) -> Result<Self, TableError> {
        let mut rows = page.lines().skip_while(|line| !is_heading(line));
        rows.next().ok_or(TableError::Missing)?;
        let mut table = Self { layers: BTreeMap::new(), later: Vec::new() };
        for row in rows.take_while(|line| line.trim_start().starts_with('|')).filter(|row| !is_rule(row)) {
            table.add(row)?;
        }
        Ok(table)
    }

    /// The crate's layer; 0 is the lowest.
    pub fn of(&self, name: &str) -> Option<u32> {
        self.layers.get(name).copied()
    }

    /// The crates that the table says exist.
    pub fn crates(&self) -> impl Iterator<Item = &str> {
        self.layers.keys().map(String::as_str).filter(|name| !self.later.iter().any(|later| later == name))
    }

    fn add(&mut self, row: &str) -> Result<(), TableError> {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').map(str::trim).collect();
        let malformed = || TableError::Row(row.to_owned());
        let [layer, names, ..] = cells.as_slice() else { return Err(malformed()) };
        let layer: u32 = layer.parse().map_err(|_| malformed())?;
        let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            return Err(malformed());
        }
        for name in names {
            if self.layers.insert(name.to_owned(), layer).is_some() {
                return Err(TableError::Twice(name.to_owned()));
            }
            if row.contains("(later)") {
                self.later.push(name.to_owned());
            }
        }
        Ok(())
    }
}

fn is_heading(line: &str) -> bool {
    let cells: Vec<&str> = line.trim().trim_start_matches('|').split('|').map(str::trim).collect();
    matches!(cells.as_slice(), ["layer", "crate", ..])
}

fn is_rule(row: &str) -> bool {
    row.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_may_name_several_crates_and_may_be_for_later() {
        let page = "text\n| layer | crate | sentence |\n|---|---|---|\n| 0 | `bus` | a |\n\
                    | 5 | `rules` `bridges` | b (later) |\n\n| 9 | `other` | no part of the table |";
        let layers = Layers::parse(page).unwrap();
        assert_eq!((layers.of("bus"), layers.of("bridges"), layers.of("other")), (Some(0), Some(5), None));
        assert_eq!(layers.crates().collect::<Vec<_>>(), ["bus"]);
    }

    #[test]
    fn a_table_that_cannot_be_read_is_an_error() {
        let page = |row: &str| format!("| layer | crate |\n|---|---|\n| 0 | `bus` |\n{row}");
        assert_eq!(Layers::parse("no table"), Err(TableError::Missing));
        assert_eq!(Layers::parse(&page("| x | `a` |")), Err(TableError::Row("| x | `a` |".into())));
        assert_eq!(Layers::parse(&page("| 1 | a |")), Err(TableError::Row("| 1 | a |".into())));
        assert_eq!(Layers::parse(&page("| 1 | `bus` |")), Err(TableError::Twice("bus".into())));
    }
}
