use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::Bans;
use crate::config::{Ban, BanKind};
use crate::{ConfigError, files};

/// A ban file in TOML: the entries that the configuration could have too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    #[serde(default)]
    bans: Vec<Spanned<Ban>>,
}

impl Bans {
    /// Adds the bans of a file: CSV if its name ends so, else TOML.
    pub(super) fn add_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let text = files::read(file)?;
        let is_csv = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let bans = if is_csv { from_csv(file, &text)? } else { from_toml(file, &text)? };
        for (line, ban) in bans {
            let place = format!("{}:{line}", file.display());
            let add = self.add(ban, place);
            add.map_err(|(key, message)| ConfigError::line(file, line, format!("{key}: {message}")))?;
        }
        Ok(())
    }
}

fn from_toml(file: &Path, text: &str) -> Result<Vec<(usize, Ban)>, ConfigError> {
    let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    let read: Toml = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        ConfigError::line(file, line(at), error.message().to_owned())
    })?;
    Ok(read.bans.into_iter().map(|ban| (line(ban.span().start), ban.into_inner())).collect())
}

/// A table with a head that names its columns: kind (or `as`), value (or `who`), and perhaps reason and until. `at` and
/// `by` may be there too.
fn from_csv(file: &Path, text: &str) -> Result<Vec<(usize, Ban)>, ConfigError> {
    let mut lines = files::lines(text);
    let Some((first, head)) = lines.next() else { return Ok(Vec::new()) };
    let columns = cells(head);
    let column = |names: [&str; 2]| columns.iter().position(|column| names.contains(&column.trim()));
    let (Some(kind), Some(value)) = (column(["kind", "as"]), column(["value", "who"])) else {
        let message =
            "the first line names the columns, and must have kind and value: \"kind,value,reason,until\"";
        return Err(ConfigError::line(file, first, message));
    };
    let (reason, until) = (column(["reason", "reason"]), column(["until", "until"]));
    let row = |(number, line): (usize, &str)| {
        let cells = cells(line);
        let cell =
            |at: Option<usize>| at.and_then(|at| cells.get(at)).map_or("", |cell| cell.trim()).to_owned();
        let name = cell(Some(kind));
        let kind = BanKind::find(&name).ok_or_else(|| {
            let known = "client-id, username, address, client-id-regex, username-regex";
            ConfigError::line(file, number, format!("unknown kind {name:?}; known: {known}"))
        })?;
        let until = Some(cell(until)).filter(|until| until != "infinity").unwrap_or_default();
        Ok((number, Ban { kind, value: cell(Some(value)), reason: cell(reason), until }))
    };
    lines.map(row).collect()
}

/// The cells of a line. One in quotes may have commas, and quotes that are doubled.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, cells.last_mut()) {
            ('"', Some(cell)) if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => cells.push(String::new()),
            (other, Some(cell)) => cell.push(other),
            (_, None) => {}
        }
    }
    cells
}
