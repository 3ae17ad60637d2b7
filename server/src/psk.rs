use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};

use crate::cli::PskCommand;
use crate::config::Config;

/// The file that the configuration names.
pub(crate) fn configured(config: &Config) -> anyhow::Result<PathBuf> {
    let file = &config.access.psk_file;
    let fix = "name a file with --file, or as access.psk_file in the configuration";
    ensure!(!file.as_os_str().is_empty(), "there is no file with pre-shared keys; {fix}");
    Ok(file.clone())
}

/// Does what is asked with the file, and returns what to say.
pub(crate) fn run(file: &Path, command: &PskCommand) -> anyhow::Result<String> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound && matches!(command, PskCommand::Add { .. }) => {
            String::new()
        }
        read => read.with_context(|| format!("{} cannot be read", file.display()))?,
    };
    let known = access::parse_psk(file, &text)?;
    let mut known = known.iter().map(|line| (line.number, line.identity));
    match command {
        PskCommand::List => Ok(known.map(|(_, identity)| format!("{identity}\n")).collect()),
        PskCommand::Add { identity, key, bytes } => {
            let line = line(identity, key.as_deref(), *bytes)?;
            let place = known.find(|(_, known)| known == identity).map(|(number, _)| number);
            write(file, &put(&text, place, Some(&line)))?;
            Ok(format!("{line}\n"))
        }
        PskCommand::Remove { identity } => {
            let place = known.find(|(_, known)| known == identity).map(|(number, _)| number);
            let place = place.ok_or_else(|| anyhow!("{} has no key for {identity:?}", file.display()))?;
            write(file, &put(&text, Some(place), None))?;
            Ok(String::new())
        }
    }
}

/// The line that gives an identity its key.
fn line(identity: &str, key: Option<&str>, bytes: u8) -> anyhow::Result<String> {
    let key = match key {
        Some(key) => key.to_ascii_lowercase(),
        None => random_key(bytes),
    };
    let fault = access::key_of_hex(&key).err();
    if let Some(fault) = fault {
        bail!("the key {fault}");
    }
    let line = format!("{identity}:{key}");
    let read = access::parse_psk(Path::new("the identity"), &line).ok();
    let is_same = read.is_some_and(|lines| matches!(&lines[..], [one] if one.identity == identity));
    let rule = "it has 1 to 256 bytes, no line end, no blank at its ends, and does not begin with #";
    ensure!(is_same, "{identity:?} is no identity; {rule}");
    Ok(line)
}

fn random_key(bytes: u8) -> String {
    let mut key = vec![0_u8; bytes.into()];
    rand::Rng::fill(&mut rand::rng(), &mut key[..]);
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text with another line in this place, from 1, or without it; at the end if there is no place.
fn put(text: &str, place: Option<usize>, line: Option<&str>) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    match (place, line) {
        (Some(place), Some(line)) => lines[place - 1] = line,
        (Some(place), None) => drop(lines.remove(place - 1)),
        (None, line) => lines.extend(line),
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Writes the file beside its place and moves it there, so that nobody reads half of it. It keeps its mode; a new one is
/// for its owner alone.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    // A link stays one: what it leads to is replaced.
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut draft = file.clone().into_os_string();
    draft.push(".new");
    let put = || {
        let mode = std::fs::metadata(&file).map_or(0o600, |found| found.permissions().mode() & 0o777);
        let _ = std::fs::remove_file(&draft);
        let mut out: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        out.set_permissions(PermissionsExt::from_mode(mode))?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&draft, &file)
    };
    put().with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(identity: &str, key: Option<&str>) -> PskCommand {
        PskCommand::Add { identity: identity.to_owned(), key: key.map(str::to_owned), bytes: 16 }
    }

    #[test]
    fn keys_are_added_replaced_listed_and_removed_and_comments_stay() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("psk");
        let made = run(&file, &add("urn:dev:1", None)).unwrap();
        assert_eq!(made.len(), "urn:dev:1:".len() + 32 + 1);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, format!("# mine\n\n{made}b:02\n")).unwrap();
        assert_eq!(run(&file, &add("b", Some("A1b2"))).unwrap(), "b:a1b2\n");
        run(&file, &add("c", Some("03"))).unwrap();
        assert_eq!(run(&file, &PskCommand::List).unwrap(), "urn:dev:1\nb\nc\n");
        run(&file, &PskCommand::Remove { identity: "b".to_owned() }).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("# mine\n\n{made}c:03\n"));
        let fault = run(&file, &PskCommand::Remove { identity: "b".to_owned() }).unwrap_err().to_string();
        assert!(fault.ends_with("psk has no key for \"b\""), "{fault}");
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("psk");
        for identity in ["", "#a", " a", "a\nb:00", "a\0"] {
            assert!(run(&file, &add(identity, None)).is_err(), "{identity:?}");
        }
        let fault = run(&file, &add("a", Some("xyz"))).unwrap_err().to_string();
        assert!(fault.starts_with("the key is not hexadecimal"), "{fault}");
        assert!(!file.exists());
        std::fs::write(&file, "broken\n").unwrap();
        assert!(
            run(&file, &add("a", None)).unwrap_err().to_string().contains("psk:1: expected IDENTITY:KEY")
        );
    }
}
