use std::path::Path;

use crate::password::Hash;
use crate::{ConfigError, files};

/// One line of a password file.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) name: &'a str,
    pub(crate) hash: Hash,
    /// The hash as it is written.
    pub(crate) text: &'a str,
}

/// Reads lines of the form `name:hash`, as mosquitto_passwd writes them. One that cannot be used is an error: a line
/// that were passed over would lock a user out, or let an old password live on.
pub(crate) fn parse<'a>(file: &Path, text: &'a str) -> Result<Vec<Line<'a>>, ConfigError> {
    let line = |(number, line): (usize, &'a str)| {
        let error = |message: String| ConfigError::line(file, number, message);
        let Some((name, text)) = line.split_once(':') else {
            return Err(error(
                "expected NAME:HASH, but there is no colon; `mosquitto_passwd FILE NAME` adds a user".into(),
            ));
        };
        if name.is_empty() {
            return Err(error("expected NAME:HASH, but there is no name before the colon".into()));
        }
        let hash =
            Hash::parse(text).map_err(|fault| error(format!("what stands behind {name:?} {fault}")))?;
        Ok(Line { number, name, hash, text })
    };
    files::lines(text).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::tests::{PBKDF2, SHA512};

    fn fault(text: &str) -> String {
        parse(Path::new("passwd"), text).unwrap_err().to_string()
    }

    #[test]
    fn lines_of_mosquitto_are_read_with_comments_and_any_line_ends() {
        let text = format!("\u{FEFF}# people\r\nann:{PBKDF2}\r\n\r\n  bob smith:{SHA512}  \n");
        let lines = parse(Path::new("passwd"), &text).unwrap();
        let found: Vec<_> = lines.iter().map(|line| (line.number, line.name)).collect();
        assert_eq!(found, [(2, "ann"), (4, "bob smith")]);
        assert!(lines[0].hash.is_of(b"secret") && lines[1].hash.is_of(b"other pass"));
        assert!(parse(Path::new("passwd"), "").unwrap().is_empty());
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named() {
        assert!(fault(&format!("ann:{PBKDF2}\nbob\n")).starts_with("passwd:2: expected NAME:HASH"));
        assert!(fault(":x").contains("no name"));
        let plain = fault("ann:secret");
        assert!(plain.starts_with("passwd:1: what stands behind \"ann\" is not a password hash"), "{plain}");
        assert!(!plain.contains("secret\""), "a password in plain text is not repeated: {plain}");
        let absurd =
            fault("ann:$argon2id$v=19$m=4294967295,t=4294967295,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAA");
        assert!(absurd.starts_with("passwd:1: what stands behind \"ann\" costs too much"), "{absurd}");
    }
}
